"""Conditions over time: how fast a point changes, whether it hangs, whether a quiet pipe loses pressure.

All windows run on monotonic time, in bounded memory, and begin anew at every start: what was before
is not remembered, so nothing is told before enough is known again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import fsum, inf

from agent.core.derived import SLICES, Rate
from agent.core.spec import Faster, Flat, Leaking, Side
from agent.core.watching import Truth, Watch, is_certain, number_in, time_of
from drivers.clock import Stamp
from drivers.reading import Reading

_LONGEST_GAP = 0.25
"""Of a leak's window: after a longer time of not knowing it begins anew. Our choice: a straight line
through what is left would rest on too little."""

_HOUR_S = 3600.0


class FasterWatch:
    """True while the change between the ends of the window is beyond the limit."""

    def __init__(self, spec: Faster) -> None:
        self._point = spec.point
        self._limit = spec.limit
        self._sign = 1.0 if spec.side is Side.ABOVE else -1.0
        self._rate = Rate(spec.window_s, spec.per_s, is_counter=False)
        self._taken: Reading | None = None
        self._truth: Truth = None

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Take the newest reading, if it is new, and return what holds; see Watch."""
        reading = latest.get(self._point)
        if reading is not None and reading is not self._taken:
            self._taken = reading
            number, taken_s = number_in(reading), time_of(reading, at_s)
            self._rate.take(number, taken_s, is_certain=is_certain(reading))
            rate = None if number is None else self._rate.answer(taken_s).number
            self._truth = None if rate is None else rate * self._sign > self._limit
        return self._truth

    def hold(self) -> None:
        """Remember nothing: a rate has no deadband."""

    def due_s(self) -> float:
        """Return never: a rate changes with readings only."""
        return inf


class FlatWatch:
    """True once nothing moved for long enough. Unknown until it was seen to move or to hang."""

    def __init__(self, spec: Flat) -> None:
        self._point = spec.point
        self._for_s = spec.for_s
        self._within = spec.within
        self._low = self._high = 0.0
        self._since_s = inf
        self._has_moved = False
        self._hangs = False

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Return what holds; see Watch."""
        reading = latest.get(self._point)
        number = number_in(reading)
        if reading is None or number is None:
            self._since_s, self._has_moved = inf, False
            return None
        if self._since_s == inf:
            self._since_s = time_of(reading, at_s)
            self._low = self._high = number
        low, high = min(self._low, number), max(self._high, number)
        if high - low > self._within:
            self._has_moved = True
            self._since_s = time_of(reading, at_s)
            low = high = number
        self._low, self._high = low, high
        self._hangs = at_s >= self._since_s + self._for_s
        if self._hangs:
            return True
        return False if self._has_moved else None

    def hold(self) -> None:
        """Remember nothing: what hung before the restart is unknown until it moves or hangs again."""

    def due_s(self) -> float:
        """Return when it will have hung for long enough; never, once it has."""
        return inf if self._hangs else self._since_s + self._for_s


class LeakWatch:
    """True while the straight line through the window falls fast enough."""

    def __init__(self, spec: Leaking, quiet: Watch) -> None:
        self._spec = spec
        self._quiet = quiet
        self._kept: deque[tuple[float, float]] = deque()
        """(time, number), at most one a slice, oldest first."""
        self._taken: Reading | None = None
        self._is_held = False
        self._truth: Truth = None

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Take the newest reading, if it is new, and return what holds; see Watch."""
        if self._quiet.look(latest, at, at_s) is not True:
            self._kept.clear()
            self._taken = latest.get(self._spec.point)  # read before the pump was known to stand
            self._truth = None
            return None
        reading = latest.get(self._spec.point)
        number = number_in(reading)
        if reading is None or number is None:
            return None
        if reading is not self._taken:
            self._taken = reading
            self._take(number, time_of(reading, at_s))
        return self._truth

    def hold(self) -> None:
        """Take it that it leaked."""
        self._is_held = True
        self._quiet.hold()

    def due_s(self) -> float:
        """Return when its `quiet` may tell otherwise."""
        return self._quiet.due_s()

    def _take(self, number: float, at_s: float) -> None:
        kept, window_s = self._kept, self._spec.window_s
        if kept and at_s - kept[-1][0] > window_s * _LONGEST_GAP:
            kept.clear()
        if kept and at_s - kept[-1][0] < window_s / SLICES:
            return
        kept.append((at_s, number))
        while len(kept) > 1 and kept[1][0] <= at_s - window_s:
            kept.popleft()
        if at_s - kept[0][0] < window_s:
            self._truth = None
            return
        limit = self._spec.limit - (self._spec.deadband if self._is_held else 0.0)
        self._truth = self._is_held = -slope_of(kept) * _HOUR_S >= limit


def slope_of(points: deque[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through (time in s, number), per second.

    At least two points at different times.
    """
    count = len(points)
    middle_s = fsum(at_s for at_s, _ in points) / count
    # The mean of the numbers falls out of the sum.
    above = fsum((at_s - middle_s) * number for at_s, number in points)
    return above / fsum((at_s - middle_s) ** 2 for at_s, _ in points)
