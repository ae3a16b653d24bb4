"""How much may be under way, either way, and what waits in the box until it is looked at. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MOST_IN_FLIGHT = 20
"""What paho sends without queueing by itself; more would wait unseen in its memory."""

MOST_WAITING, MOST_WAITING_BYTES = 2_000, 4 * 1024 * 1024
"""Messages heard and not yet looked at, where it is bounded what a broker may send. It is asked for no
more than `MOST_IN_FLIGHT` at once (MQTT 5, Receive Maximum), but mosquitto 2.0.11 sends all that it has
after the first acknowledgement."""

TAKEN_BYTES = 16 * 1024
"""Taken from the socket at once, where it is bounded what a broker may send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker told in its CONNACK (MQTT 5.0 section 3.2.2.3)."""

    receive_maximum: int = 65535
    max_packet_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """How much is taken from a broker that may be anybody's mouthpiece."""

    most_bytes: int = 128 * 1024
    """Of one packet; the link ends at a larger one. Brokers could be told to keep it back (MQTT 5,
    Maximum Packet Size), but mosquitto 2.0.11 then loses a place of its window with each, and after
    twenty the box hears nothing any more without anybody knowing (tests/uplink/test_commands.py)."""
    most_per_s: int = 500
    """Messages; what comes faster waits in the broker, so that a flood does not keep the loop busy."""
    keeps_s: int = 0
    """How long the broker keeps our subscriptions and what was sent on them while the link is down
    (MQTT 5 session expiry); 0 and on 3.1.1: it forgets them."""


class Waiting:
    """What was heard and not yet looked at."""

    def __init__(self) -> None:
        self._count = 0
        self._bytes = 0
        self.dropped = 0
        """Messages there was no room for."""

    def take(self, size: int) -> bool:
        """Count one in; return whether there is room for it."""
        if self._count >= MOST_WAITING or self._bytes >= MOST_WAITING_BYTES:
            self.dropped += 1
            return False
        self._count += 1
        self._bytes += size
        return True

    def let_go(self, size: int) -> None:
        """One was looked at."""
        self._count -= 1
        self._bytes -= size
