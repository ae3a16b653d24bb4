"""Mock pins that another process can move: how a test or an installer at a desk plays the wiring.

A Unix socket, one line a request: `drive 17 1` answers `ok`, `level 23` answers `0` or `1`,
anything else answers `error: ...`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.simulate.pins import MovablePins
from drivers.tasks import TaskGroup

_LINE_LIMIT = 256
_IDLE_S = 600.0


def answer(pins: MovablePins, line: str) -> str:
    """Carry out one request line and return the answer, without the newline."""
    match line.split():
        case ["drive", pin, ("0" | "1") as level] if pin.isdecimal():
            try:
                pins.drive(int(pin), level == "1")
            except (ValueError, LookupError) as error:
                return f"error: {error}"
            return "ok"
        case ["level", pin] if pin.isdecimal():
            try:
                return "1" if pins.level(int(pin)) else "0"
            except (ValueError, LookupError) as error:
                return f"error: {error}"
        case _:
            return "error: say `drive PIN 0|1` or `level PIN`"


async def serve_pins(pins: MovablePins, path: Path) -> None:
    """Serve the door until cancelled. The socket's folder must exist."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                writer.write(f"{answer(pins, line.decode('ascii', 'replace'))}\n".encode())
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            return
        finally:
            writer.close()

    async with TaskGroup() as talks:

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talks.create_task(talk(reader, writer), name="pin door")

        server = await asyncio.start_unix_server(accepted, path=path, limit=_LINE_LIMIT)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()  # who holds the door is let go with the group
