"""What a person ordered for a time: it ends by itself, and a restart does not lengthen it.

The time runs on the monotonic clock. Over a restart the time that was left is remembered with the wall
time of then. Where the clock was set then and is set now, the time in between counts; where it is set
only later, it counts from that moment on. Without a clock it cannot be known and is not counted, so an
order may last longer by the outage, and never by more.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from drivers.clock import ClockState, Stamp

_OVER_S = 1.0
"""What was over before this run is due so long before what is due now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """So much time was left at that moment."""

    seconds: float
    at: Stamp

    def now_s(self, now: Stamp) -> float:
        """Return what is left `now`, in a later run; as before where a clock was not set."""
        if ClockState.SYNCED is not self.at.clock or now.clock is not ClockState.SYNCED:
            return self.seconds
        # A clock that went back counts nothing: an order never lasts longer for it.
        return self.seconds - max(0, now.wall_ms - self.at.wall_ms) / 1000


class Standing:
    """One such order: an inhibit of one rule, or a drill."""

    __slots__ = ("_is_counted", "actor", "came_from", "reason", "until_s")

    def __init__(self, actor: str, reason: str, until_s: float) -> None:
        self.actor = actor
        self.reason = reason
        self.until_s = until_s
        """Monotonic."""
        self.came_from: Left | None = None
        """What an earlier run remembered of it; None: it was ordered in this one."""
        self._is_counted = True

    def remembered(self, left: Left, now: Stamp, longest_s: float = inf) -> None:
        """Take up what was left in an earlier run; no memory, however damaged, makes it endless."""
        self.until_s = now.mono_s + min(longest_s, max(-_OVER_S, left.now_s(now)))
        self.came_from = left
        self._is_counted = now.clock is ClockState.SYNCED

    def clock_was_set(self, now: Stamp) -> None:
        """Count the time between the runs, now that it can be known."""
        if self.came_from is not None and not self._is_counted:
            self._is_counted = True
            if self.came_from.at.clock is ClockState.SYNCED:
                left_s = max(0.0, self.came_from.now_s(now))
                self.until_s = min(self.until_s, now.mono_s + left_s)

    def left_s(self, now_s: float) -> float:
        """Return how long it still stands."""
        return max(0.0, self.until_s - now_s)
