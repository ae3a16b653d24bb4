"""The answers for machines: health, metrics, JSON, commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

from agent.local.bridge import Bridge, NoAnswer
from agent.local.commands import NotUnderstood, read_json
from agent.local.guard import Door, Guard
from agent.local.metrics import expose
from agent.local.stream import Stream
from agent.local.view import AgentView
from agent.local.wire import (
    Json,
    alarms_json,
    dumps,
    events_json,
    outcome_json,
    outputs_json,
    points_json,
    status_json,
)

BODY_S = 5.0
"""How long a request may take to send its body."""

MOST_EVENTS = 1000
EVENTS = 100
"""Events told when no limit is given."""

REFUSAL_STATUS = MappingProxyType(
    {
        "unknown_rule": 404,
        "unknown_point": 404,
        "unknown_output": 404,
        "bad_argument": 400,
        "no_end": 400,
        "no_reason": 400,
        "too_long": 400,
        "not_on_spot": 403,
        "not_allowed": 403,
        "rule_failed": 500,
    }
)
"""HTTP status by outcome code; the other refusals are 409: not in this state."""


class Api:
    """Handlers over the bridge."""

    def __init__(self, bridge: Bridge, guard: Guard, stream: Stream) -> None:
        self._bridge = bridge
        self._guard = guard
        self._stream = stream

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
            web.get("/api/v1/status", self._show(status_json), name="status"),
            web.get("/api/v1/points", self._show(points_json), name="points"),
            web.get("/api/v1/alarms", self._show(alarms_json), name="alarms"),
            web.get("/api/v1/outputs", self._show(outputs_json), name="outputs"),
            web.get("/api/v1/events", self._events),
            web.get("/api/v1/stream", self._stream.handle, allow_head=False),
            web.post("/api/v1/commands", self._commands),
        ]

    async def _healthz(self, _: web.Request) -> web.Response:
        """Alive: the agent's loop answers."""
        await self._bridge.view()
        return json_response({"alive": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        view = await self._bridge.view()
        body = {"ready": not view.not_ready, "not_ready": list(view.not_ready)}
        return json_response(body, status=503 if view.not_ready else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        view: AgentView | None
        try:
            view = await self._bridge.view()
        except NoAnswer:
            view = None
        body, content_type = expose(view, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _show(
        self, encode: Callable[[AgentView], Json]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def show(_: web.Request) -> web.Response:
            return json_response(encode(await self._bridge.view()))

        return show

    async def _events(self, request: web.Request) -> web.Response:
        asked = request.query.get("limit", str(EVENTS))
        if not (asked.isascii() and asked.isdigit() and len(asked) < 6 and int(asked) > 0):
            return error_response(400, "bad_argument", "limit must be a number from 1")
        records = await self._bridge.events(min(int(asked), MOST_EVENTS))
        return json_response(events_json(records))

    async def _commands(self, request: web.Request) -> web.Response:
        self._guard.check_write(request)
        origin = "cli" if self._guard.door_of(request) is Door.UNIX else "page"
        if request.content_type != "application/json":
            return error_response(415, "bad_argument", "send application/json")
        try:
            async with asyncio.timeout(BODY_S):
                text = await request.text()
            command = read_json(text, origin)
        except TimeoutError:
            return error_response(408, "bad_argument", "the body did not come")
        except UnicodeDecodeError:
            return error_response(400, "bad_argument", "the body is not UTF-8")
        except (NotUnderstood, LookupError) as error:
            return error_response(400, "bad_argument", str(error))
        outcome = await self._bridge.submit(command)
        status = 200 if outcome.ok else REFUSAL_STATUS.get(outcome.code, 409)
        return json_response(outcome_json(command.id, outcome), status=status)


def json_response(body: Mapping[str, Any], status: int = 200) -> web.Response:
    """Return JSON."""
    return web.Response(text=dumps(body) + "\n", status=status, content_type="application/json")


def error_response(status: int, code: str, message: str) -> web.Response:
    """Return a refusal in the shape of an outcome."""
    return json_response({"ok": False, "code": code, "message": message}, status)
