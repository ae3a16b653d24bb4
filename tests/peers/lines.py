"""What lies between the driver and a peer's serial port: a line that can vanish, or a gateway."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from drivers.modbus.spec import SerialPort, TcpPort
from tests.peers.programs import Program


@dataclass
class Wire:
    """How a peer is reached; `cut` and `mend` take the way there away and bring it back."""

    port: TcpPort | SerialPort
    cut: Callable[[], None]
    mend: Callable[[], None]


def _forward(source: int, target: int) -> None:
    """Move what is there; a far end that is gone reads as nothing."""
    with suppress(BlockingIOError, OSError):
        data = os.read(source, 1024)
        os.write(target, data)


@asynccontextmanager
async def direct(program: Program) -> AsyncIterator[Wire]:
    """The peer's own TCP port; cutting it kills the peer."""
    yield Wire(TcpPort(host="127.0.0.1", port=program.port), program.kill, program.start)


@asynccontextmanager
async def serial(program: Program, folder: Path) -> AsyncIterator[Wire]:
    """A serial port with a name that stays, as udev gives it; cutting it pulls the adaptor out.

    A pty has no parity (termios answers EINVAL), so none is set.
    """
    loop = asyncio.get_running_loop()
    name = folder / "adaptor"
    ends: list[int] = []

    def mend() -> None:
        near, far = pty.openpty()
        tty.setraw(far)
        os.set_blocking(near, False)
        ends.extend((near, far))
        name.symlink_to(os.ttyname(far))
        loop.add_reader(near, _forward, near, program.line)
        loop.add_reader(program.line, _forward, program.line, near)

    def cut() -> None:
        if not ends:
            return
        loop.remove_reader(ends[0])
        loop.remove_reader(program.line)
        name.unlink()
        while ends:
            os.close(ends.pop())

    await _quieten(program.line)
    mend()
    try:
        yield Wire(SerialPort(path=str(name)), cut, mend)
    finally:
        cut()


async def _quieten(line: int) -> None:
    """Wait until the line rests, and throw away what a test before left on it.

    modbus-serial takes all bytes less than 30 ms apart for one request (8.0.25, servers/serverserial.js).
    """
    await asyncio.sleep(0.04)
    with suppress(BlockingIOError):
        while os.read(line, 1024):
            pass


@asynccontextmanager
async def gateway(program: Program) -> AsyncIterator[Wire]:
    """A transparent TCP-to-serial gateway: RTU frames over TCP; cutting it drops the connection."""
    loop = asyncio.get_running_loop()
    open_now: set[asyncio.StreamWriter] = set()
    handlers: set[asyncio.Task[None]] = set()
    is_cut = False

    def from_line() -> None:
        with suppress(BlockingIOError, OSError):
            data = os.read(program.line, 1024)
            for writer in open_now:
                writer.write(data)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        task.add_done_callback(handlers.discard)
        open_now.add(writer)
        with suppress(ConnectionError):
            while not is_cut and (data := await reader.read(1024)):
                os.write(program.line, data)
        open_now.discard(writer)
        writer.close()

    def cut() -> None:
        nonlocal is_cut
        is_cut = True
        for writer in list(open_now):
            writer.transport.abort()

    def mend() -> None:
        nonlocal is_cut
        is_cut = False

    await _quieten(program.line)
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    loop.add_reader(program.line, from_line)
    try:
        yield Wire(
            TcpPort(host="127.0.0.1", port=server.sockets[0].getsockname()[1], rtu=True), cut, mend
        )
    finally:
        loop.remove_reader(program.line)
        server.close()
        cut()
        async with asyncio.timeout(5):
            if handlers:
                await asyncio.wait(handlers)
