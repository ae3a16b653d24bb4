"""Server-sent events: alarms and state as they change, looked at once a second while anybody listens."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web

from agent.local.bridge import Bridge, NoAnswer
from agent.local.summary import quality_of
from agent.local.view import AgentView
from agent.local.wire import alarms_json, dumps, outputs_json, points_json

_log = logging.getLogger(__name__)

PERIOD_S = 1.0
HEARTBEAT_S = 10.0
"""A comment at least this often, so that both ends notice a dead connection."""

WRITE_S = 10.0
"""A listener that takes nothing for this long is dropped."""

MOST_LISTENERS = 16
"""More are refused with 503: phones of a duty room, not the public."""


class Stream:
    """One look a second, shared by all listeners. Used on the page's loop only."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._listeners = 0
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._number = 0
        self._frames: dict[str, tuple[int, object, bytes]] = {}
        self._is_closed = False
        self._is_failing = False

    async def run(self) -> None:
        """Look at the agent once a second while somebody listens; until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - listeners must not cost the page its thread
                if not self._is_failing:
                    _log.exception("the stream cannot tell what it sees")
                self._is_failing = True
                message = f"the stream failed: {type(error).__name__}"
                self._put("agent", message, {"answers": False, "message": message})
            else:
                self._is_failing = False
            await asyncio.sleep(PERIOD_S)

    async def _look(self) -> None:
        try:
            view = await self._bridge.view()
        except NoAnswer as error:
            self._put("agent", str(error), {"answers": False, "message": str(error)})
        else:
            alarms, state = alarms_json(view), {**points_json(view), **outputs_json(view)}
            self._put("agent", "", {"answers": True, "message": ""})
            steady = [{**each, "inhibited_left_s": None} for each in alarms["alarms"]]
            self._put("alarms", (steady, view.not_ready), alarms)
            self._put("state", _face(view), state)

    def _put(self, name: str, face: object, body: dict[str, Any]) -> None:
        last = self._frames.get(name)
        if last is not None and last[1] == face:
            return
        self._number += 1
        frame = f"event: {name}\nid: {self._number}\ndata: {dumps(body)}\n\n".encode()
        self._frames[name] = (self._number, face, frame)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """Let every listener go."""
        self._is_closed = True
        self._changed.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one listener until it leaves or is too slow."""
        if self._listeners >= MOST_LISTENERS:
            raise web.HTTPServiceUnavailable(text="too many listeners")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        self._listeners += 1
        if self._listeners == 1:
            self._frames.clear()
            self._wanted.set()
        try:
            await response.prepare(request)
            await self._serve(response)
        except (ConnectionError, TimeoutError):
            _log.debug("a listener has gone")
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._wanted.clear()
        return response

    async def _serve(self, response: web.StreamResponse) -> None:
        sent: dict[str, int] = {}
        await _write(response, b"retry: 3000\n\n")
        while not self._is_closed:
            changed = self._changed
            due = [
                (number, name, frame)
                for name, (number, _, frame) in self._frames.items()
                if sent.get(name) != number
            ]
            for number, name, frame in sorted(due):
                await _write(response, frame)
                sent[name] = number
            if changed.is_set() or due:
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await changed.wait()
            except TimeoutError:
                await _write(response, b": alive\n\n")


async def _write(response: web.StreamResponse, frame: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(frame)


def _face(view: AgentView) -> object:
    """Return what of points and outputs counts as a change: not the times."""
    return (
        [
            (point.reading and point.reading.value, quality_of(point, view.at))
            for point in view.points
        ],
        view.outputs,
        [(bus.online, [device.online for device in bus.devices]) for bus in view.buses],
        [(uplink.is_connected, uplink.reason) for uplink in view.uplinks],
        view.outbox is not None and view.outbox.is_writable,
    )
