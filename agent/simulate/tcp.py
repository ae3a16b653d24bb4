"""Units behind a TCP port: Modbus TCP, or RTU frames tunnelled through TCP."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from agent.simulate.faults import FaultPlan
from agent.simulate.frames import Adu, Framing, RtuParser, TcpParser
from agent.simulate.ledger import Ledger
from agent.simulate.slave import SimUnit
from agent.simulate.station import Reply, Station

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7): SO_LINGER with time 0 sends RST
_FRAME_GAP_S = 0.05
"""An RTU request in pieces further apart than this is two: a tunnel has no 3.5 characters to go by."""


class TcpSlave:
    """A Modbus TCP server on loopback (RTU over TCP with `rtu`), open while entered."""

    def __init__(
        self,
        units: Iterable[SimUnit],
        ledger: Ledger,
        *,
        bus: str = "tcp",
        rtu: bool = False,
        faults: FaultPlan | None = None,
        turnaround_s: float = 0.0,
        port: int = 0,
    ) -> None:
        """`turnaround_s` is what a unit thinks before it answers; `port` 0 takes any free one."""
        self.station = Station(
            bus,
            units,
            ledger,
            framing=Framing.RTU if rtu else Framing.TCP,
            is_stream=True,
            faults=faults,
        )
        self.host = "127.0.0.1"
        self.port = port
        self.turnaround_s = turnaround_s
        self._server: asyncio.Server | None = None
        self._lines: set[_Connection] = set()

    def set_silent(self, unit: int, is_silent: bool) -> None:
        """Switch one unit off or on; the others answer on."""
        self.station.faults.set_silent(unit, is_silent)

    async def start(self) -> None:
        """Listen; `port` is the real one from here on.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self.station, self._lines, self.turnaround_s),
            self.host,
            self.port,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection; what was still to be answered is dropped."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for line in tuple(self._lines):
            line.drop()
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


class _Connection(asyncio.Protocol):
    """One client. Answers are timed by the loop, so no task can outlive the connection."""

    def __init__(self, station: Station, lines: set[_Connection], turnaround_s: float) -> None:
        self._station = station
        self._lines = lines
        self._turnaround_s = turnaround_s
        self._parser = RtuParser() if station.framing is Framing.RTU else TcpParser()
        self._transport: asyncio.Transport | None = None
        self._due: set[asyncio.TimerHandle] = set()
        self._gap: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server makes no other
        self._transport = transport
        self._lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lines.discard(self)
        for handle in self._due:
            handle.cancel()
        self._due.clear()
        if self._gap is not None:
            self._gap.cancel()

    def data_received(self, data: bytes) -> None:
        self._answer(self._parser.feed(data))
        if isinstance(self._parser, RtuParser):
            if self._gap is not None:
                self._gap.cancel()
            self._gap = None
            if self._parser.is_waiting:
                self._gap = asyncio.get_running_loop().call_later(_FRAME_GAP_S, self._went_quiet)

    def drop(self) -> None:
        """Close at once, without sending what is still in the buffer."""
        if self._transport is not None:
            self._transport.abort()

    def _went_quiet(self) -> None:
        self._answer(self._parser.silence())

    def _answer(self, requests: list[Adu]) -> None:
        for request in requests:
            reply = self._station.reply(request)
            if reply is None:
                continue
            delay_s = self._turnaround_s + reply.wire.delay_s
            if delay_s <= 0:
                self._send(reply)
            else:
                self._send_later(delay_s, reply)

    def _send_later(self, delay_s: float, reply: Reply) -> None:
        def send() -> None:
            self._due.discard(handle)
            self._send(reply)

        handle = asyncio.get_running_loop().call_later(delay_s, send)
        self._due.add(handle)

    def _send(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._station.left(reply)
        if reply.wire.data:
            self._transport.write(reply.wire.data)
        if reply.wire.is_reset:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()
