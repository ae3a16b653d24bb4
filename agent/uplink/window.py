"""How much may be in flight, so that an event never waits long behind telemetry. Pure."""

from __future__ import annotations

from dataclasses import dataclass

QUEUEING_CAP_S = 0.3
"""Waiting in the link's buffers above which less telemetry is put into it; a third of the 1 s in
which an event has to overtake a backlog (docs/design.md section 10)."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Slots of a window. What is left over all of them is kept free for events."""

    window: int

    @property
    def bulk(self) -> int:
        """Slots for telemetry and states together."""
        return max(1, self.window - self.window // 5)

    @property
    def telemetry(self) -> int:
        """Slots for telemetry, so that states move during a backlog."""
        return max(1, self.window - 2 * (self.window // 5))


class TelemetryPace:
    """Telemetry in flight, led by the time it waits over the link's own (after LEDBAT, RFC 6817).

    The quickest acknowledgement seen is taken as the link's own time; what is longer is queueing.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = float(min(4, most))
        self._quickest_s = float("inf")

    @property
    def limit(self) -> int:
        """Batches that may be in flight now, at least 1."""
        return int(self._now)

    def on_ack(self, took_s: float) -> None:
        """Learn from one acknowledgement: halve when it queued too long, else grow slowly."""
        self._quickest_s = min(self._quickest_s, took_s)
        if took_s - self._quickest_s > QUEUEING_CAP_S:
            self._now = max(1.0, self._now / 2)
        else:
            self._now = min(float(self._most), self._now + 0.5)
