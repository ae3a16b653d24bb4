"""The page's handlers: whole page, live part, forms, and the two static files."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import web

from agent.core.effects import Outcome
from agent.local.api import BODY_S
from agent.local.bridge import Bridge, NoAnswer
from agent.local.commands import NotUnderstood, read_fields
from agent.local.forms import command_fields
from agent.local.guard import Forbidden, Guard
from agent.local.page import Answer, Form, full_page, live_part, silent_page, silent_part
from agent.local.terms import Words, choose_lang

STATIC = (("page.css", "text/css"), ("page.js", "text/javascript"))


class Visits:
    """Handlers over the bridge."""

    def __init__(self, bridge: Bridge, guard: Guard) -> None:
        self._bridge = bridge
        self._guard = guard

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
            web.get("/", self._page),
            web.get("/live", self._live),
            web.post("/commands", self._command),
            web.get("/favicon.ico", _no_icon),
            *[web.get(f"/static/{name}", _static(name, kind)) for name, kind in STATIC],
        ]

    async def _page(self, request: web.Request) -> web.Response:
        return await self._render(request, _words(request), None)

    async def _live(self, request: web.Request) -> web.Response:
        words = _words(request)
        try:
            view = await self._bridge.view()
        except NoAnswer:
            response = _html(silent_part(words), 503)
        else:
            can_command = self._guard.may_command(request)
            response = _html(live_part(view, words, can_command=can_command))
        response.headers["X-Plantroom-Part"] = "live"
        return response

    async def _command(self, request: web.Request) -> web.Response:
        """Carry out a button of the form and show the page with what became of it."""
        try:
            async with asyncio.timeout(BODY_S):
                sent = await request.post()
        except TimeoutError:
            return web.Response(status=408, text="the form did not come")
        except (ValueError, LookupError):
            return web.Response(status=400, text="the form cannot be read")
        fields = {key: value for key, value in sent.items() if isinstance(value, str)}
        token, lang = fields.pop("token", ""), fields.pop("lang", "")
        do = fields.pop("do", "")
        words = Words(choose_lang(lang, request.headers.get("Accept-Language", "")))
        try:
            self._guard.check_write(request, token)
            command = read_fields(command_fields(do, fields), "page")
        except Forbidden:
            answer = Answer(name=None, outcome=_refusal("forbidden"))
            return await self._render(request, words, answer, status=403)
        except NotUnderstood as error:
            answer = Answer(name=None, outcome=_refusal("bad_argument", str(error)))
            return await self._render(request, words, answer, status=400)
        try:
            outcome = await self._bridge.submit(command)
        except NoAnswer:
            outcome = _refusal("no_answer")
        answer = Answer(name=command.name, outcome=outcome)
        status = 200 if outcome.ok else 409
        return await self._render(
            request, words, answer, status=status, actor=fields.get("actor", "")
        )

    async def _render(
        self,
        request: web.Request,
        words: Words,
        answer: Answer | None,
        *,
        status: int = 200,
        actor: str = "",
    ) -> web.Response:
        try:
            view = await self._bridge.view()
        except NoAnswer:
            return _html(silent_page(words, answer), 503)
        form = None
        if self._guard.may_command(request):
            form = Form(token=self._guard.token, command_id=str(uuid.uuid4()), actor=actor)
        return _html(full_page(view, words, form, answer), status)


def _words(request: web.Request) -> Words:
    asked = request.query.get("lang", "")
    return Words(choose_lang(asked, request.headers.get("Accept-Language", "")))


def _refusal(code: str, message: str = "") -> Outcome:
    return Outcome(ok=False, code=code, message=message)


def _html(text: str, status: int = 200) -> web.Response:
    headers = {"Vary": "Accept-Language"}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


async def _no_icon(_: web.Request) -> web.Response:
    return web.Response(status=204)


def _static(name: str, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    # Read once and kept: nothing is read from disk while serving.
    text = files("agent.local").joinpath("static", name).read_text("utf-8")

    async def serve(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return serve
