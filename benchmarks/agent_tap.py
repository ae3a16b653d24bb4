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

    def __init__(
        self,
        on_acked: Callable[[Heard], None],
        *,
        on_sent: Callable[[Heard], None] = lambda _: None,
        on_connect: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_acked` hears of each message at the moment its PUBACK comes back, `on_sent` as it goes out.

        `on_connect` hears of each connection before.
        """
        self._on_acked = on_acked
        self._on_sent = on_sent
        self._on_connect = on_connect
        self._forget()

    def _forget(self) -> None:
        self._up, self._down = PacketParser(), PacketParser()
        self._waiting: dict[int, Heard] = {}

    def record(self, direction: Direction, data: bytes) -> None:
        """Take a chunk (agent.simulate.proxy.Record)."""
        if direction is Direction.UP:
            if data[0] == _CONNECT_BYTE and b"MQTT" in data[:_CONNECT_HEAD]:
                self._forget()
                self._on_connect()
            for packet in self._up.feed(data):
                if packet.kind == PacketKind.PUBLISH:
                    heard, number = read_publish(packet)
                    if number is not None:
                        self._waiting[number] = heard
                        self._on_sent(_bare(heard))
            return
        for packet in self._down.feed(data):
            if packet.kind != PacketKind.PUBACK:
                continue
            (number,) = struct.unpack_from(">H", packet.body)
            acked = self._waiting.pop(number, None)
            if acked is not None:
                self._on_acked(_bare(acked))


def _bare(heard: Heard) -> Heard:
    # MQTT 5 puts properties in front of the payload (section 3.3.2.3), all our payloads are JSON
    # objects; an empty one clears a retained topic.
    start = heard.payload.find(b"{")
    payload = heard.payload[start:] if start >= 0 else b""
    return Heard(heard.topic, payload, False, heard.is_repeat)
