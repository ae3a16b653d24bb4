"""What comes on an RTU line while nothing is asked: thrown away, and followed by silence."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.clock import SystemClock
from drivers.errors import NoReply
from drivers.modbus.plan import Request
from drivers.modbus.spec import Area, SerialPort, TcpPort
from drivers.modbus.transport import Link
from tests.modbus.harness import mbap, rtu

SETTLE_S = 0.2
FIRST = Request(area=Area.HOLDING, address=0, count=1)
SECOND = Request(area=Area.HOLDING, address=20, count=1)
GLITCH = b"\0"
ANSWER = rtu(1, bytes([3, 2, 0x11, 0x11]))
RIGHT = rtu(1, bytes([3, 2, 0x22, 0x22]))


class FarEnd:
    """The other end of a line, which says only what a test tells it to."""

    def __init__(self, port: SerialPort | TcpPort, say: Callable[[bytes], object]) -> None:
        self.port = port
        self.say = say
        self.answers: list[bytes] = []
        """To the next requests, in order; none: silence."""

    def hear(self) -> None:
        """Answer a request."""
        if self.answers and (answer := self.answers.pop(0)):
            self.say(answer)


@asynccontextmanager
async def serial_line() -> AsyncIterator[FarEnd]:
    far, near = pty.openpty()
    tty.setraw(far)
    tty.setraw(near)
    end = FarEnd(SerialPort(path=os.ttyname(near), baud=115200), lambda data: os.write(far, data))
    loop = asyncio.get_running_loop()

    def readable() -> None:
        os.read(far, 1024)
        end.hear()

    loop.add_reader(far, readable)
    try:
        yield end
    finally:
        loop.remove_reader(far)
        os.close(far)
        os.close(near)


class _Caller(asyncio.Protocol):
    def __init__(self, end: FarEnd) -> None:
        self._end = end
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._end.say = transport.write

    def data_received(self, data: bytes) -> None:
        self._end.hear()


@asynccontextmanager
async def tcp_line(*, is_rtu: bool) -> AsyncIterator[FarEnd]:
    end = FarEnd(TcpPort(host="127.0.0.1", port=0, rtu=is_rtu), lambda _: None)
    caller = _Caller(end)
    server = await asyncio.get_running_loop().create_server(lambda: caller, "127.0.0.1", 0)
    end.port = TcpPort(host="127.0.0.1", port=server.sockets[0].getsockname()[1], rtu=is_rtu)
    try:
        yield end
    finally:
        server.close()
        if caller.transport is not None:
            caller.transport.abort()
        await server.wait_closed()


@asynccontextmanager
async def line(wire: str, *, settle_s: float = SETTLE_S) -> AsyncIterator[tuple[FarEnd, Link]]:
    """A line with an open link on it."""
    async with serial_line() if wire == "serial" else tcp_line(is_rtu=wire != "tcp") as end:
        link = Link("line", end.port, SystemClock(), settle_s=settle_s, on_lost=lambda: None)
        try:
            await link.open()
            await asyncio.sleep(0.01)
            yield end, link
        finally:
            link.abandon()


async def ask(link: Link, what: Request, timeout_s: float = 1.0) -> list[int]:
    return (await link.read(1, what, source="d1", timeout_s=timeout_s)).words


def wait_s(link: Link) -> float:
    """Return how long nothing may be read from now on."""
    return link.ready_s - asyncio.get_running_loop().time()


@pytest.mark.parametrize("wire", ["serial", "rtu over tcp"])
async def test_a_late_answer_the_loop_had_no_time_to_read_is_not_taken_for_the_next(
    wire: str,
) -> None:
    async with line(wire, settle_s=0.0) as (end, link):
        with pytest.raises(NoReply):
            await ask(link, FIRST, timeout_s=0.02)
        await asyncio.sleep(0.01)
        end.answers = [RIGHT]
        # between the loop's last look at the port and the request
        asyncio.get_running_loop().call_soon(end.say, ANSWER)
        assert await ask(link, SECOND) == [0x2222]


@pytest.mark.parametrize("wire", ["serial", "rtu over tcp"])
async def test_after_an_answer_nobody_waits_for_the_line_is_silent_anew(wire: str) -> None:
    async with line(wire) as (end, link):
        end.answers = [RIGHT]
        assert await ask(link, FIRST) == [0x2222]
        await asyncio.sleep(0.03)
        assert wait_s(link) <= 0
        end.say(ANSWER)
        await asyncio.sleep(0.02)
        assert SETTLE_S / 2 < wait_s(link) <= SETTLE_S


async def test_an_answer_right_behind_the_one_asked_for_is_heard_as_well() -> None:
    async with line("serial") as (end, link):
        end.answers = [RIGHT + ANSWER]
        assert await ask(link, FIRST) == [0x2222]
        assert SETTLE_S / 2 < wait_s(link) <= SETTLE_S


@pytest.mark.parametrize("noise", [b"", b"\x07\x08\x09"])
async def test_a_byte_more_from_a_transceiver_costs_a_gap_and_no_settling(noise: bytes) -> None:
    async with line("serial") as (end, link):
        end.answers = [noise + RIGHT]
        assert await ask(link, FIRST) == [0x2222]
        for _ in range(3):
            end.say(GLITCH)
            await asyncio.sleep(0.01)
        assert wait_s(link) <= 0


async def test_a_line_that_babbles_is_asked_again_after_two_settlings_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    async with line("serial", settle_s=0.05) as (end, link):
        end.answers = [RIGHT]
        await ask(link, FIRST)
        started_s = loop.time()
        for _ in range(15):
            end.say(ANSWER)
            await asyncio.sleep(0.01)
        assert wait_s(link) <= 0
        assert link.ready_s >= started_s + 0.05
        end.answers = [RIGHT]
        assert await ask(link, SECOND) == [0x2222]


async def test_on_modbus_tcp_transaction_ids_tell_and_nothing_is_waited_for() -> None:
    async with line("tcp") as (end, link):
        end.answers = [mbap(1, 1, bytes([3, 2, 0x22, 0x22]))]
        assert await ask(link, FIRST) == [0x2222]
        end.say(mbap(1, 1, bytes([3, 2, 0x11, 0x11])))
        await asyncio.sleep(0.02)
        assert wait_s(link) <= 0
