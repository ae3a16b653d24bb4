"""A broker of a few lines that does what it is told: for answers that mosquitto never gives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14


@dataclass
class Script:
    """How the broker behaves (MQTT 5 only)."""

    connack: bytes | None = b"\x00\x00\x00"
    """Flags, reason code, properties with their length; None: no answer."""
    connack_after_s: float = 0.0
    puback_code: dict[str, int] = field(default_factory=dict)
    """Reason code by topic; 0 otherwise. 256: no answer at all."""
    suback_code: int | None = 0
    """Reason code of every SUBACK; None: no answer."""
    hang_up_at: str = ""
    """Topic at which it sends DISCONNECT 149 and closes."""
    after_connack: bytes = b""
    """Bytes sent on top, sound or not."""
    port: int = 0
    unanswered: int = 0
    most_unanswered: int = 0
    topics: list[str] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)
    said_goodbye: bool = False


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return head >> 4, await reader.readexactly(size)


async def _serve(
    script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while True:
        kind, body = await _packet(reader)
        if kind == CONNECT and script.connack is not None:
            await asyncio.sleep(script.connack_after_s)
            writer.write(bytes([0x20, len(script.connack)]) + script.connack)
            writer.write(script.after_connack)
        elif kind == PUBLISH:
            length = int.from_bytes(body[:2], "big")
            topic = body[2 : 2 + length].decode()
            script.topics.append(topic)
            script.packets.append(body)
            if script.hang_up_at and script.hang_up_at in topic:
                writer.write(b"\xe0\x02\x95\x00")
                return
            code = next((c for t, c in script.puback_code.items() if t in topic), 0)
            script.unanswered += 1
            script.most_unanswered = max(script.most_unanswered, script.unanswered)
            if code < 256:
                mid = body[2 + length : 4 + length]
                # Late enough for several to be under way at once.
                asyncio.get_running_loop().call_later(
                    0.01, _answer, script, writer, b"\x40\x04" + mid + bytes([code, 0])
                )
        elif kind == SUBSCRIBE and script.suback_code is not None:
            writer.write(b"\x90\x04" + body[:2] + bytes([0, script.suback_code]))
        elif kind == DISCONNECT:
            script.said_goodbye = True
            return


def _answer(script: Script, writer: asyncio.StreamWriter, answer: bytes) -> None:
    script.unanswered -= 1
    if not writer.is_closing():
        writer.write(answer)


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Script]:
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await _serve(script, reader, writer)
        finally:
            writer.close()
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for task in tuple(handlers):
            task.cancel()
        if handlers:
            await asyncio.wait(tuple(handlers), timeout=2)
