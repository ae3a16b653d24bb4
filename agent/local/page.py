"""The page as a whole: banner, toolbar, sections, and the same without an agent that answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.effects import CommandName, Outcome
from agent.core.spec import Label
from agent.local.commands import CLOSING_CODES, MOST_CHARACTERS
from agent.local.forms import (
    DRILL_START,
    DRILL_STOP,
    DURATIONS_MIN,
    INHIBIT_RULE,
    MODE_AUTO,
    MODE_MANUAL,
)
from agent.local.markup import Html, join, tag
from agent.local.phrases import age_text, clock_text
from agent.local.sections import (
    alarms_section,
    buses_section,
    outbox_section,
    outputs_section,
    points_section,
    uplinks_section,
)
from agent.local.summary import Summary, age_s, is_blind, summarise
from agent.local.terms import Lang, Words
from agent.local.view import AgentView

REFRESH_S = 10
"""How often the page reloads itself where scripts do not run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the command form needs; none is shown where commands are not taken."""

    token: str
    command_id: str
    """So that a double click is one command."""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of the command that led to this page."""

    name: CommandName | None
    outcome: Outcome


def full_page(view: AgentView, words: Words, form: Form | None, answer: Answer | None) -> str:
    """Return the whole page."""
    first, rest = _live(view, words, can_command=form is not None)
    place = f"{view.site.site} / {view.site.box}"
    zones = sorted({point.spec.zone for point in view.points} - {""})
    places = [(each, words.label(view.site.labels.get(each, Label()), each)) for each in zones]
    rules = [(each.id, words.label(each.label, each.id)) for each in view.site.rules]
    toolbar = _toolbar(form, places, rules, words)
    return _document(words, place, _answer(answer, words), first, toolbar, rest)


def silent_page(words: Words, answer: Answer | None = None) -> str:
    """Return the page for when the agent does not answer: it claims nothing but that."""
    return _document(words, "", _answer(answer, words), silent_part(words))


def silent_part(words: Words) -> Html:
    """Return what stands in place of the live parts while the agent does not answer."""
    told = tag("section", tag("h2", words("page.silent")), class_="banner blind", role="alert")
    return join(tag("div", told, id="first", class_="live"), tag("div", id="rest", class_="live"))


def live_part(view: AgentView, words: Words, *, can_command: bool) -> Html:
    """Return everything that changes by itself: what is urgent, and the rest."""
    return join(_live(view, words, can_command=can_command))


def _live(view: AgentView, words: Words, *, can_command: bool) -> tuple[Html, Html]:
    summary = summarise(view)
    first = tag(
        "div",
        _banner(view, summary, words),
        _not_ready(view, words),
        _orders(view, summary, words),
        alarms_section(view, summary, words, can_command=can_command),
        id="first",
        class_="live",
    )
    rest = tag(
        "div",
        outputs_section(view, words, can_command=can_command),
        points_section(view, words),
        buses_section(view, words),
        uplinks_section(view, words),
        outbox_section(view, words),
        tag("p", f"{words('page.clock')} {clock_text(view.at, words)}", class_="note"),
        id="rest",
        class_="live",
    )
    return first, rest


def _banner(view: AgentView, summary: Summary, words: Words) -> Html:
    if (oldest := summary.oldest) is not None:
        each = oldest.alarm_class
        age = age_s(oldest.since, view.at)
        ago = "" if age is None else f" ({words('page.ago').format(age_text(age, words))})"
        kind = f"banner {each}" + (" unacked" if summary.unacked else "")
        counts = [
            f"{len(summary.standing)} {words('page.standing')}",
            f"{summary.unacked} {words('page.unacked')}" if summary.unacked else "",
            f"{words('page.oldest')} {clock_text(oldest.since, words)}{ago}",
        ]
        return tag(
            "section",
            tag("h2", words(f"class.{each}")),
            tag("p", " · ".join(filter(None, counts))),
            class_=kind,
            role="alert",
        )
    if is_blind(view, summary):
        return tag("section", tag("h2", words("page.blind")), class_="banner blind", role="alert")
    return tag("section", tag("h2", words("page.quiet")), class_="banner quiet")


def _not_ready(view: AgentView, words: Words) -> Html | None:
    if not view.not_ready:
        return None
    reasons = [tag("li", reason) for reason in view.not_ready]
    return tag("section", tag("h3", words("page.not_ready")), tag("ul", reasons), class_="warning")


def _orders(view: AgentView, summary: Summary, words: Words) -> Html | None:
    """Return what people ordered and stands: nothing of it may be overlooked."""
    orders, told = view.orders, []
    if orders.drill_left_s is not None:
        left = words("page.left").format(age_text(orders.drill_left_s, words))
        where = (
            words.label(view.site.labels.get(each, Label()), each) for each in orders.drill_scope
        )
        told.append(f"{words('page.drill')}: {', '.join(where)} ({left})")
    if summary.inhibited:
        told.append(f"{words('page.inhibited')}: {len(summary.inhibited)}")
    if orders.is_manual:
        told.append(words("page.manual"))
    if orders.cut:
        labels = {each.id: each.label for each in view.site.outputs}
        cut = (words.label(labels.get(each, Label()), each) for each in sorted(orders.cut))
        told.append(f"{words('page.cut')}: {', '.join(cut)}")
    if orders.is_testing:
        told.append(words("page.testing"))
    if not told:
        return None
    return tag("section", tag("ul", [tag("li", each) for each in told]), class_="warning orders")


def _answer(answer: Answer | None, words: Words) -> Html | None:
    if answer is None:
        return None
    outcome = answer.outcome
    name = words(f"command.{answer.name}") if answer.name else ""
    told = words.of("outcome", outcome.code)
    detail = f" ({outcome.message})" if outcome.message and not outcome.ok else ""
    kind = "answer" if outcome.ok else "answer refused"
    return tag(
        "p", f"{name}: {told}{detail}" if name else told + detail, class_=kind, role="status"
    )


def _toolbar(
    form: Form | None,
    places: Sequence[tuple[str, str]],
    rules: Sequence[tuple[str, str]],
    words: Words,
) -> Html:
    if form is None:
        return tag("p", words("page.loopback"), class_="note")
    codes = [tag("option", words("page.choose"), value="")]
    codes += [tag("option", words(f"closing.{code}"), value=code) for code in CLOSING_CODES]
    most = str(MOST_CHARACTERS)
    return tag(
        "form",
        tag("input", type="hidden", name="token", value=form.token),
        tag("input", type="hidden", name="id", value=form.command_id),
        tag("input", type="hidden", name="lang", value=words.lang),
        tag(
            "label",
            tag("span", words("page.actor")),
            tag("input", name="actor", value=form.actor, maxlength=most, autocomplete="name"),
        ),
        tag(
            "label",
            tag("span", words("page.closing")),
            tag("select", codes, name="code"),
        ),
        tag(
            "label",
            tag("span", words("page.reason")),
            tag("input", name="reason", maxlength=most, autocomplete="off"),
        ),
        tag(
            "div",
            [
                tag(
                    "button",
                    f"{words(f'command.{name}')} ({words('page.all')})",
                    name="do",
                    value=f"{name}:",
                )
                for name in (CommandName.ACK, CommandName.SILENCE, CommandName.RESET)
            ],
            class_="all",
        ),
        _maintenance(places, rules, words),
        tag("p", words("page.loopback"), class_="note"),
        id="command",
        method="post",
        action="/commands",
        accept_charset="utf-8",
    )


def _maintenance(
    places: Sequence[tuple[str, str]], rules: Sequence[tuple[str, str]], words: Words
) -> Html:
    """Return what is done on purpose and for a time: inhibits, drills, the mode of linkage."""
    times = [tag("option", words("page.choose"), value="")]
    times += [
        tag("option", age_text(minutes * 60, words), value=str(minutes))
        for minutes in DURATIONS_MIN
    ]
    which = [tag("option", words("page.choose"), value="")]
    which += [tag("option", name, value=rule) for rule, name in rules]
    where = [tag("option", words("page.choose"), value="")]
    where += [tag("option", name, value=place) for place, name in places]
    buttons = [
        tag("button", words(f"page.{what}"), name="do", value=f"{what}:")
        for what in (INHIBIT_RULE, DRILL_START, DRILL_STOP, MODE_AUTO, MODE_MANUAL)
    ]
    return tag(
        "details",
        tag("summary", words("page.maintenance")),
        tag("label", tag("span", words("page.minutes")), tag("select", times, name="minutes")),
        tag("label", tag("span", words("page.which")), tag("select", which, name="rule")),
        tag("label", tag("span", words("page.place")), tag("select", where, name="place")),
        tag("div", buttons, class_="all"),
    )


def _document(words: Words, place: str, *body: Html | None) -> str:
    lang = words.lang
    other = Lang.EN if lang is Lang.ZH else Lang.ZH
    title = words("page.title") + (f" · {place}" if place else "")
    reload = tag("meta", http_equiv="refresh", content=f"{REFRESH_S};url=/?lang={lang}")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("link", rel="stylesheet", href="/static/page.css"),
        tag("script", src="/static/page.js", defer=True),
        tag("noscript", reload),
    )
    switch = tag(
        "a", "English" if other is Lang.EN else "中文", href=f"/?lang={other}", hreflang=other
    )
    header = tag("header", tag("h1", title), switch)
    supplement = tag("p", words("page.supplement"), class_="supplement")
    lost = tag("p", words("page.lost"), " ", tag("time"), id="lost", hidden=True, role="alert")
    main = tag("main", lost, *body)
    html = tag("html", head, tag("body", header, supplement, main), lang=lang)
    return f"<!doctype html>{html}"
