"""A link that can be broken: TCP in, TCP out, and a hand on the cable."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from types import TracebackType
from typing import Self

from drivers.tasks import TaskGroup

_log = logging.getLogger(__name__)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7): SO_LINGER with time 0 sends RST
_CHUNK_BYTES = 64 * 1024
_CHUNKS_UNDER_WAY = 256
_CONNECT_S = 5.0


class LinkState(StrEnum):
    """How the link is."""

    PASS = "pass"  # noqa: S105 - a state, not a password
    CUT = "cut"
    """Connections are reset and new ones refused."""
    MUTE = "mute"
    """Connections stay or are taken, but nothing comes through: half-open. What was sent meanwhile
    arrives when the link passes again, as TCP sends it again after an outage."""


class Direction(StrEnum):
    """Which way bytes go."""

    UP = "up"
    """From the client to the target."""
    DOWN = "down"


Record = Callable[[Direction, bytes], None]
"""Hears of every chunk that is passed on, on the loop's thread."""


class TcpProxy:
    """Forwards a loopback port to a target while entered."""

    def __init__(
        self, host: str, port: int, *, delay_s: float = 0.0, record: Record | None = None
    ) -> None:
        """`host` and `port` are the target; `delay_s` is added one way, each way."""
        self.host = "127.0.0.1"
        self.port = 0
        self.delay_s = delay_s
        self.state = LinkState.PASS
        self.connections = 0
        """Connections taken since start."""
        self._target = (host, port)
        self._record = record
        self._holder: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        # Bound but never listening: while the link is cut the port refuses, and stays ours.
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.bind((self.host, 0))
            self.port = self._holder.getsockname()[1]
            await self._listen()
        except BaseException:
            self._holder.close()
            raise
        self._tasks = await self._stack.enter_async_context(TaskGroup())
        self._passing.set()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._refuse()
        self._reset_all()
        try:
            # The user's own error goes on as it is, not as part of a group; a cancel must be seen.
            if isinstance(error, Exception):
                await self._stack.aclose()
            else:
                await self._stack.__aexit__(kind, error, trace)
        finally:
            if self._holder is not None:
                self._holder.close()

    async def set_state(self, state: LinkState) -> None:
        """Put the link into a state; at once, whatever it was before."""
        if state is self.state:
            return
        _log.info("link %s: %s -> %s", self.port, self.state, state)
        self.state = state
        if state is LinkState.PASS:
            self._passing.set()
        else:
            self._passing.clear()
        if state is LinkState.CUT:
            self._refuse()
            self._reset_all()
        elif self._server is None:
            await self._listen()

    def reset_connections(self) -> None:
        """Reset what is open, once; new connections are taken as the state says."""
        self._reset_all()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accepted, self.host, self.port)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _reset_all(self) -> None:
        for task, writers in tuple(self._open.items()):
            for writer in writers:
                _reset(writer)
            task.cancel()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tasks is None or self.state is LinkState.CUT:
            _reset(writer)
            return
        self.connections += 1
        task = self._tasks.create_task(
            self._serve(reader, writer), name=f"link {self.port} #{self.connections}"
        )
        self._open[task] = (writer,)
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far = await asyncio.open_connection(*self._target)
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - a coroutine runs in a task
            self._open[task] = (writer, far)
            async with TaskGroup() as both:
                both.create_task(self._pump(reader, far, Direction.UP), name="link up")
                both.create_task(self._pump(far_reader, writer, Direction.DOWN), name="link down")
            await _close(writer)
            await _close(far)
        except* (OSError, TimeoutError) as lost:
            _log.debug("link %s: a connection ended: %s", self.port, lost.exceptions[0])
        finally:
            for each in (writer, far):
                if each is not None:
                    _reset(each)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        """Carry one direction until its sender closes; then close the other side for sending."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)
        loop = asyncio.get_running_loop()

        async def deliver() -> None:
            while True:
                due_s, data = await under_way.get()
                if (wait_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                await self._passing.wait()
                if writer.is_closing():  # reset while it waited
                    return
                if not data:
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
                if self._record is not None:
                    self._record(direction, data)
                writer.write(data)
                await writer.drain()

        async with TaskGroup() as pair:
            pair.create_task(deliver(), name=f"link {direction} delivery")
            while True:
                data = await reader.read(_CHUNK_BYTES)
                await under_way.put((loop.time() + self.delay_s, data))
                if not data:
                    break


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close once everything written has gone out."""
    writer.close()
    async with asyncio.timeout(_CONNECT_S):
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
