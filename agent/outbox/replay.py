"""How fast a backlog of telemetry may go out, so that a thin link keeps room for others."""

from __future__ import annotations

from collections.abc import Sequence

from agent.outbox.pace import Pace
from agent.outbox.records import Batch
from drivers.clock import Clock

REPLAY_AGE_S = 10.0
"""A batch whose first reading is older is part of a backlog."""
BURST_S = 0.5
"""So much of the allowance may gather while nothing is sent."""


class ReplayLimit:
    """At most so many stored readings a second, besides as many as come in meanwhile.

    Because of the latter a backlog shrinks by the limit however much is measured.
    """

    def __init__(self, readings_s: float, boot: str, clock: Clock, live: Pace) -> None:
        """`readings_s` 0: as fast as the link takes it."""
        self._readings_s = readings_s
        self._boot = boot
        self._clock = clock
        self._live = live
        self._debt = 0.0
        """Readings sent beyond the allowance; below zero: what may still be sent at once."""
        self._at_s = clock.mono_s()

    def pause_s(self) -> float:
        """Return how long to wait before the next batch; 0: not at all."""
        if not self._readings_s:
            return 0.0
        rate = self._settle()
        return max(0.0, self._debt / rate)

    def note(self, batches: Sequence[Batch]) -> None:
        """Count what was handed out; only a backlog costs."""
        if not self._readings_s:
            return
        now_s = self._clock.mono_s()
        for each in batches:
            if each.boot != self._boot or now_s - each.readings[0].at.mono_s > REPLAY_AGE_S:
                self._debt += len(each.readings)

    def _settle(self) -> float:
        now_s = self._clock.mono_s()
        rate = self._readings_s + self._live.readings_per_s(now_s)
        self._debt = max(-BURST_S * rate, self._debt - (now_s - self._at_s) * rate)
        self._at_s = now_s
        return rate
