"""The page's thread: its own loop, started and stopped from the agent's, able to harm neither.

Whatever happens in there (a handler that blocks, a port that is taken, a bug) the agent's loop only
hears of it. The thread is a daemon: what does not end in time is left behind and ends with the
process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

from aiohttp import web

from agent.local.application import build
from agent.local.bridge import ANSWER_S, Bridge
from agent.local.contract import AgentDoor
from agent.local.guard import Guard
from agent.local.listeners import (
    FIRST_REQUEST_S,
    RETRY_FIRST_S,
    Connections,
    Listener,
    TcpPlace,
    UnixPlace,
)
from agent.local.spec import LocalSpec
from agent.local.stream import Stream
from drivers.tasks import TaskGroup

_log = logging.getLogger(__name__)

STOP_S = 3.0
"""How long the agent waits for the page at its end, unless told otherwise."""

PULSE_S = 10.0
KEEPALIVE_S = 15.0
CLOSE_S = 0.5
"""How long answers under way may take to finish at the end."""

OnHealth = Callable[[bool, str], None]


class PageEnded(Exception):
    """The page's thread ended by itself; the log says why. It can be started again."""


class LocalServer:
    """Page, API and metrics. All methods are for the agent's loop."""

    def __init__(
        self,
        spec: LocalSpec,
        door: AgentDoor,
        loop: asyncio.AbstractEventLoop,
        *,
        on_health: OnHealth = lambda _ok, _why: None,
        answer_s: float = ANSWER_S,
        retry_first_s: float = RETRY_FIRST_S,
        pulse_s: float = PULSE_S,
        first_request_s: float = FIRST_REQUEST_S,
    ) -> None:
        """Bind nothing yet.

        Args:
            spec: where to listen.
            door: of the agent; called on `loop`.
            loop: the agent's.
            on_health: called on `loop` when all places are open (True, "") or some are not
                (False, why), and when the thread died; on changes only.
            answer_s: how long the agent's loop may take to answer.
            retry_first_s: the first pause before a place that is taken is tried again; grows to 30 s.
            pulse_s: how long the thread may be silent before it is said to hang.
            first_request_s: how long a connection may be open before its first request.
        """
        self._spec = spec
        self._door = door
        self._loop = loop
        self._on_health = on_health
        self._answer_s = answer_s
        self._retry_first_s = retry_first_s
        self._tcp = TcpPlace(spec.host, spec.port) if spec.port is not None else None
        self._thread: threading.Thread | None = None
        self._page_loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked = asyncio.Event()
        self._ended = asyncio.Event()
        self._shut: dict[str, str] = {}
        self._health: tuple[bool, str] | None = None
        self._is_hung = False
        self._pulse_s = pulse_s
        self._first_request_s = first_request_s

    @property
    def port(self) -> int | None:
        """The TCP port bound now; None while there is none."""
        return self._tcp.bound_port if self._tcp is not None else None

    @property
    def is_running(self) -> bool:
        """Whether the thread lives and has not said its last word."""
        return self._thread is not None and not self._ended.is_set()

    def start(self) -> None:
        """Start the thread and return at once; that places are open is told by `on_health`.

        Raises:
            RuntimeError: it runs already.
        """
        if self.is_running:
            raise RuntimeError("the page runs already")
        self._stop_asked = asyncio.Event()  # of the page's loop
        self._ended = asyncio.Event()
        self._shut = {place.name: "not open yet" for place in self._places()}
        self._health = None
        self._is_hung = False
        self._page_loop = page_loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._live,
            args=(page_loop, self._stop_asked, self._ended),
            name="plantroom-page",
            daemon=True,
        )
        self._thread.start()

    async def stop(self, deadline_s: float = STOP_S) -> bool:
        """End the thread; return whether it ended within `deadline_s`, else it is left behind."""
        page_loop = self._page_loop
        if page_loop is None or not self.is_running:
            return True
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            page_loop.call_soon_threadsafe(self._stop_asked.set)
        try:
            async with asyncio.timeout(deadline_s):
                await self._ended.wait()
        except TimeoutError:
            _log.warning("the page did not end within %g s and is left behind", deadline_s)
            return False
        return True

    async def run(self) -> None:
        """Serve until cancelled or stopped; ends within `STOP_S`. A thread that hangs is told by `on_health`.

        Raises:
            PageEnded: the thread ended by itself.
        """
        self.start()
        try:
            while not self._ended.is_set():
                await self._feel_pulse()
        finally:
            await self.stop()
        if not self._stop_asked.is_set():
            raise PageEnded("the page's thread has ended")

    async def _feel_pulse(self) -> None:
        page_loop, beat = self._page_loop, asyncio.Event()
        if page_loop is not None:
            with contextlib.suppress(
                RuntimeError
            ):  # its loop has ended: then so has the wait below
                page_loop.call_soon_threadsafe(lambda: self._call_agent(beat.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pulse_s):
                await self._ended.wait()
        is_hung = not beat.is_set() and not self._ended.is_set()
        if is_hung != self._is_hung:
            self._is_hung = is_hung
            if is_hung:
                _log.warning("the page's thread hangs")
                self._on_health(False, "page hangs")
            elif self._health is not None:
                self._on_health(*self._health)

    # -- on the page's thread ------------------------------------------------------------------------

    def _live(
        self,
        page_loop: asyncio.AbstractEventLoop,
        stop_asked: asyncio.Event,
        ended: asyncio.Event,
    ) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: page_loop) as runner:
                runner.run(self._serve(stop_asked))
        except BaseException as error:  # noqa: BLE001 - the thread's last word, told to the agent
            _log.exception("the page's thread died")
            self._tell(False, f"page died: {type(error).__name__}")
        finally:
            self._call_agent(ended.set)

    async def _serve(self, stop_asked: asyncio.Event) -> None:
        if not self._shut:
            self._tell(True, "")  # nothing to listen on is as it was asked for
        guard = Guard(self._spec.host)
        bridge = Bridge(self._door, self._loop, self._answer_s)
        stream = Stream(bridge)
        connections = Connections(self._first_request_s)
        application = build(bridge, guard, stream, connections.note_asked)
        runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=CLOSE_S,
        )
        await runner.setup()
        assert runner.server is not None  # noqa: S101 - set by setup
        factory = connections.factory(runner.server)
        try:
            async with TaskGroup() as group:
                tasks = [group.create_task(stream.run(), name="page stream")]
                for place in self._places():
                    listener = Listener(place, factory, self._report, self._retry_first_s)
                    tasks.append(group.create_task(listener.run(), name=f"page at {place.name}"))
                await stop_asked.wait()
                for task in tasks:
                    task.cancel()
        finally:
            async with asyncio.timeout(2 * CLOSE_S + 1):
                await runner.cleanup()

    def _places(self) -> list[TcpPlace | UnixPlace]:
        places: list[TcpPlace | UnixPlace] = [self._tcp] if self._tcp is not None else []
        if self._spec.socket is not None:
            places.append(UnixPlace(self._spec.socket))
        return places

    def _report(self, place: str, why: str) -> None:
        if self._shut.get(place) != why:
            if why:
                _log.warning("page not reachable at %s: %s", place, why)
            else:
                is_any_port = (
                    self._tcp is not None and place == self._tcp.name and not self._spec.port
                )
                _log.info("page at %s%s", place, f" (port {self.port})" if is_any_port else "")
        self._shut[place] = why
        faults = [f"{name}: {each}" for name, each in self._shut.items() if each]
        if all(each != "not open yet" for each in self._shut.values()):
            self._tell(not faults, "; ".join(faults))

    def _tell(self, ok: bool, why: str) -> None:
        if self._health != (ok, why):
            self._health = (ok, why)
            self._call_agent(lambda: self._on_health(ok, why))

    def _call_agent(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the agent's loop has ended
            self._loop.call_soon_threadsafe(call)
