"""A part of the week in the site's time zone, over midnight and over changes of summer time."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from agent.core.spec import Scheduled
from agent.core.watching import Truth
from drivers.clock import ClockState, Stamp
from drivers.reading import Reading

_MINUTE_MS = 60_000


class ScheduledWatch:
    """True in the part; looked at again each full minute, so that a clock that is set is noticed."""

    def __init__(self, spec: Scheduled) -> None:
        self._spec = spec
        self._due_s = inf

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Return what holds; see Watch."""
        self._due_s = at_s + (_MINUTE_MS - at.wall_ms % _MINUTE_MS) / 1000
        if at.clock is not ClockState.SYNCED:
            return None
        return is_within(self._spec, at.wall_ms)

    def hold(self) -> None:
        """Remember nothing: the clock tells."""

    def due_s(self) -> float:
        """Return the next full minute."""
        return self._due_s


def is_within(spec: Scheduled, wall_ms: int) -> bool:
    """Return whether UTC milliseconds lie in the part, as the clock on the wall shows it there.

    A minute that summer time skips never comes, one that it repeats comes twice.
    """
    today, minute = spec.calendar.minute_of_week(wall_ms)
    if spec.from_min < spec.to_min:
        return today in spec.days and spec.from_min <= minute < spec.to_min
    yesterday = (today - 1) % 7
    return (today in spec.days and minute >= spec.from_min) or (
        yesterday in spec.days and minute < spec.to_min
    )
