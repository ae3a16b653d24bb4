"use strict";
// Keeps the live parts fresh. The server renders; this fetches them again when the stream says
// that something changed, and every five seconds for the ages. If nothing comes, the page says so.
const FRESH_MS = 5000;
const LOST_MS = 12000;
const lost = document.getElementById("lost");
const lang = document.documentElement.lang;
let heardAt = Date.now();
let isFetching = false;
let isDue = false;

function judge() {
  const isLost = Date.now() - heardAt > LOST_MS;
  if (isLost && lost.hidden) {
    lost.querySelector("time").textContent = new Date(heardAt).toLocaleString(lang);
  }
  lost.hidden = !isLost;
  document.body.classList.toggle("lost", isLost);
}

async function refresh() {
  if (isFetching) { isDue = true; return; }
  isFetching = true;
  isDue = false;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), 8000);
  try {
    const answer = await fetch("/live?lang=" + encodeURIComponent(lang),
      { cache: "no-store", signal: patience.signal });
    const part = await answer.text();
    if (answer.headers.get("X-Plantroom-Part") === "live") {
      const focused = document.activeElement && document.activeElement.id;
      const box = document.createElement("template");
      box.innerHTML = part;
      for (const fresh of Array.from(box.content.children)) {
        document.getElementById(fresh.id)?.replaceWith(fresh);
      }
      if (focused) { document.getElementById(focused)?.focus(); }
      heardAt = Date.now();
    }
  } catch {
    // told by judge() when it lasts
  } finally {
    clearTimeout(timer);
    isFetching = false;
    judge();
    if (isDue) { setTimeout(refresh, 500); }
  }
}

const stream = new EventSource("/api/v1/stream");
for (const name of ["alarms", "state", "agent"]) { stream.addEventListener(name, refresh); }
setInterval(refresh, FRESH_MS);
setInterval(judge, 1000);
if (location.pathname !== "/") { history.replaceState(null, "", "/?lang=" + lang); }
