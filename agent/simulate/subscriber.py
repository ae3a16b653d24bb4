"""The witness's ear: an MQTT 3.1.1 subscriber at QoS 1 that shares no code with the agent's uplink.

Source: MQTT Version 3.1.1, OASIS Standard, chapters 2 and 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Self

from drivers.backoff import Backoff
from drivers.tasks import TaskGroup

_log = logging.getLogger(__name__)
_KEEPALIVE_S = 30
_PING_S = 10.0
_ANSWER_S = 5.0
_FIRST_CONNECT_S = 15.0
_MAX_REMAINING = 268_435_455  # section 2.2.3
_CHUNK_BYTES = 64 * 1024


class PacketKind(IntEnum):
    """The upper half of a packet's first byte (section 2.2.1)."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class WireFault(Exception):
    """The broker said something that is not MQTT 3.1.1, or refused."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it came from the broker."""

    topic: str
    payload: bytes
    is_retained: bool
    is_repeat: bool
    """The DUP flag: the broker sent it before."""


OnMessage = Callable[[Heard], None]


class PacketParser:
    """Cuts a byte stream into control packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets completed by these bytes.

        Raises:
            WireFault: a length of more than four bytes (section 2.2.3).
        """
        self._buffer += data
        packets: list[Packet] = []
        while (cut := self._length()) is not None:
            head, length = cut
            if len(self._buffer) < head + length:
                break
            first = self._buffer[0]
            packets.append(
                Packet(first >> 4, first & 0xF, bytes(self._buffer[head : head + length]))
            )
            del self._buffer[: head + length]
        return packets

    def _length(self) -> tuple[int, int] | None:
        value = 0
        for place in range(4):
            if len(self._buffer) < place + 2:
                return None
            byte = self._buffer[place + 1]
            value |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                return place + 2, value
        raise WireFault("a length of more than four bytes")


def packet(kind: PacketKind, flags: int, body: bytes) -> bytes:
    """Return a control packet on the wire."""
    if len(body) > _MAX_REMAINING:
        raise ValueError("a packet cannot be that long")
    head = bytearray([kind << 4 | flags])
    rest = len(body)
    while True:
        rest, low = divmod(rest, 128)
        head.append(low | (0x80 if rest else 0))
        if not rest:
            return bytes(head) + body


def text(value: str) -> bytes:
    """Return a length-prefixed UTF-8 string (section 1.5.3)."""
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def read_publish(message: Packet) -> tuple[Heard, int | None]:
    """Return what a PUBLISH says, and its packet id when it wants a PUBACK.

    Raises:
        WireFault: it is cut short or its topic is not UTF-8.
    """
    try:
        (length,) = struct.unpack_from(">H", message.body)
        topic = message.body[2 : 2 + length].decode()
        at = 2 + length
        number: int | None = None
        if message.flags & 0x6:
            (number,) = struct.unpack_from(">H", message.body, at)
            at += 2
    except (struct.error, UnicodeDecodeError) as fault:
        raise WireFault("a broken PUBLISH") from fault
    heard = Heard(topic, message.body[at:], bool(message.flags & 1), bool(message.flags & 8))
    return heard, number


class Subscriber:
    """Listens while entered; entering returns once the broker has granted the subscriptions."""

    def __init__(
        self, host: str, port: int, filters: Sequence[str], on_message: OnMessage, client_id: str
    ) -> None:
        """`on_message` runs on the loop's thread before the broker gets its PUBACK."""
        self._where = (host, port)
        self._filters = tuple(filters)
        self._on_message = on_message
        self._client_id = client_id
        self._ready = asyncio.Event()
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.sessions = 0
        """Connections made. The session is kept by the broker in between."""
        self.gaps = 0
        """Sessions the broker had forgotten: messages may be missing, so no verdict is clean."""

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(TaskGroup())
        self._task = tasks.create_task(self._run(), name=f"witness {self._client_id}")
        try:
            async with asyncio.timeout(_FIRST_CONNECT_S):
                await self._ready.wait()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        # The user's own error goes on as it is, not as part of a group; a cancel must be seen.
        if isinstance(error, Exception):
            await self._stack.aclose()
        else:
            await self._stack.__aexit__(kind, error, trace)

    async def _run(self) -> None:
        pause = Backoff(0.05, 1.0)
        is_down = False
        while True:
            try:
                await self._listen(pause)
            except (OSError, TimeoutError, WireFault) as error:
                if not is_down or self._ready.is_set():
                    _log.info("witness: no broker at %s:%d: %s", *self._where, error)
                is_down = True
            self._ready.clear()
            await asyncio.sleep(pause.next_s())

    async def _listen(self, pause: Backoff) -> None:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(*self._where)
        try:
            parser = PacketParser()
            # Section 3.1: protocol level 4, clean session off so that the broker keeps what is sent.
            writer.write(
                packet(
                    PacketKind.CONNECT,
                    0,
                    text("MQTT")
                    + bytes([4, 0])
                    + struct.pack(">H", _KEEPALIVE_S)
                    + text(self._client_id),
                )
            )
            granted = (text(name) + b"\x01" for name in self._filters)
            writer.write(packet(PacketKind.SUBSCRIBE, 2, b"\x00\x01" + b"".join(granted)))
            unanswered = 0
            while True:
                try:
                    async with asyncio.timeout(_PING_S if self._ready.is_set() else _ANSWER_S):
                        data = await reader.read(_CHUNK_BYTES)
                except TimeoutError:
                    unanswered += 1
                    if unanswered > 1 or not self._ready.is_set():
                        raise
                    writer.write(packet(PacketKind.PINGREQ, 0, b""))
                    continue
                if not data:
                    raise ConnectionResetError("the broker closed the connection")
                unanswered = 0
                for each in parser.feed(data):
                    self._take(each, writer, pause)
        finally:
            with contextlib.suppress(OSError):
                writer.write(packet(PacketKind.DISCONNECT, 0, b""))
            writer.close()

    def _take(self, each: Packet, writer: asyncio.StreamWriter, pause: Backoff) -> None:
        match each.kind:
            case PacketKind.PUBLISH:
                heard, number = read_publish(each)
                self._on_message(heard)
                if number is not None:
                    writer.write(packet(PacketKind.PUBACK, 0, struct.pack(">H", number)))
            case PacketKind.CONNACK:
                if len(each.body) != 2 or each.body[1]:
                    raise WireFault(f"connection refused: {each.body.hex()}")
                if self.sessions and not each.body[0] & 1:
                    self.gaps += 1
                    _log.warning("witness: the broker forgot the session; messages may be missing")
                self.sessions += 1
            case PacketKind.SUBACK:
                if 0x80 in each.body[2:]:
                    raise WireFault("subscription refused")
                pause.reset()
                self._ready.set()
            case PacketKind.PINGRESP:
                pass
            case _:
                raise WireFault(f"unexpected packet of kind {each.kind}")
