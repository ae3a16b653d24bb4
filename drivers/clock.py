"""Time, told and never asked: the clock every part is given.

Durations and deadlines are monotonic seconds. Stamps carry UTC milliseconds for people and the
cloud, with a flag that says whether this box had its clock from the network yet: a Raspberry Pi
boots without one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class ClockState(StrEnum):
    """Whether the wall clock can be trusted."""

    SYNCED = "synced"
    UNSYNCED = "unsynced"


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment on both clocks."""

    mono_s: float
    """CLOCK_MONOTONIC in seconds; the only time rules may look at."""
    wall_ms: int
    """Unix epoch in milliseconds, UTC; never for arithmetic."""
    clock: ClockState = ClockState.SYNCED

    @property
    def mono_ms(self) -> int:
        """Monotonic milliseconds, as on the wire."""
        return round(self.mono_s * 1000)


class Clock(Protocol):
    """What gives the time."""

    def mono_s(self) -> float:
        """Return monotonic seconds."""

    def stamp(self) -> Stamp:
        """Return this moment on both clocks."""


class SystemClock:
    """The machine's clocks. `state` is set by whoever watches time synchronisation."""

    def __init__(self) -> None:
        self.state = ClockState.UNSYNCED

    def mono_s(self) -> float:
        """Return CLOCK_MONOTONIC in seconds (the asyncio loop's clock too)."""
        return time.monotonic()  # noqa: TID251 - the one place that asks

    def stamp(self) -> Stamp:
        """Return this moment on both clocks."""
        return Stamp(self.mono_s(), time.time_ns() // 1_000_000, self.state)


class ManualClock:
    """A clock that moves only when told; for tests and timelines."""

    def __init__(
        self,
        mono_s: float = 1000.0,
        wall_ms: int = 1_750_000_000_000,
        state: ClockState = ClockState.SYNCED,
    ) -> None:
        self._mono_s = mono_s
        self._wall_ms = wall_ms
        self.state = state

    def mono_s(self) -> float:
        """Return the told monotonic time in seconds."""
        return self._mono_s

    def stamp(self) -> Stamp:
        """Return the told moment on both clocks."""
        return Stamp(self._mono_s, self._wall_ms, self.state)

    def advance(self, seconds: float) -> Stamp:
        """Move both clocks on by `seconds` and return the new moment."""
        if seconds < 0:
            raise ValueError("time does not run backwards; use step_wall for a wall clock jump")
        self._mono_s += seconds
        self._wall_ms += round(seconds * 1000)
        return self.stamp()

    def step_wall(self, seconds: float) -> Stamp:
        """Jump the wall clock alone, as NTP does, and return the new moment."""
        self._wall_ms += round(seconds * 1000)
        return self.stamp()


def next_beat_s(now_s: float, period_s: float) -> float:
    """Return the next multiple of a period on the monotonic clock.

    What recurs and may come at any time comes there, so that one wake-up serves all of it: a wake-up
    alone costs as much as what is done in it.
    """
    beat_s = (now_s // period_s + 1) * period_s
    return beat_s if beat_s > now_s else beat_s + period_s  # rounding


def read_boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Return the kernel's id of this boot (proc(5)), or `unknown` where there is none."""
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return "unknown"
