"""Reads along on the link to the broker: what was published and got its PUBACK, where loss is defined."""

from __future__ import annotations

import struct
from collections.abc import Callable

from agent.simulate.proxy import Direction
from agent.simulate.subscriber import Heard, PacketKind, PacketParser, read_publish

_CONNECT_BYTE = 0x10
_CONNECT_HEAD = 12
"""Within so many bytes of a CONNECT stands the protocol's name (MQTT 5.0 section 3.1.2.1)."""


class Tap:
    """Follows one connection after the other through a proxy (its `record`)."""

    def __init__(self, on_acked: Callable[[Heard], None]) -> None:
        """`on_acked` hears of each message at the moment its PUBACK comes back."""
        self._on_acked = on_acked
        self._forget()

    def _forget(self) -> None:
        self._up, self._down = PacketParser(), PacketParser()
        self._waiting: dict[int, Heard] = {}

    def record(self, direction: Direction, data: bytes) -> None:
        """Take a chunk (agent.simulate.proxy.Record)."""
        if direction is Direction.UP:
            if data[0] == _CONNECT_BYTE and b"MQTT" in data[:_CONNECT_HEAD]:
                self._forget()
            for packet in self._up.feed(data):
                if packet.kind == PacketKind.PUBLISH:
                    heard, number = read_publish(packet)
                    if number is not None:
                        self._waiting[number] = heard
            return
        for packet in self._down.feed(data):
            if packet.kind != PacketKind.PUBACK:
                continue
            (number,) = struct.unpack_from(">H", packet.body)
            acked = self._waiting.pop(number, None)
            if acked is not None:
                # MQTT 5 puts properties in front of the payload (section 3.3.2.3), all our payloads
                # are JSON objects; an empty one clears a retained topic.
                start = acked.payload.find(b"{")
                payload = acked.payload[start:] if start >= 0 else b""
                self._on_acked(Heard(acked.topic, payload, False, acked.is_repeat))
