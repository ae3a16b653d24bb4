"""At least N of M, and alarm verification: several signals, or one signal twice, before it counts.

A voter in fault is unknown: it is left out, and the rest decide. One that nobody has heard of yet is
no fault: it is waited for, at most until its point goes stale, so a start makes nobody alarm alone. Nor
is one that is read and fills its window still (a rate of rise): it is waited for as long as that takes.

| of M voters, the first row that fits | it is |
|---|---|
| one is true and has stood for `timeout_s` (0: never) | true, the full alarm |
| as many are true as `count`, or as are not in fault when fewer are | true |
| after a full alarm one that made it is unknown, or is true again | unknown, or true: not over |
| none is known | unknown |
| `count` could be reached if the unknown ones were true | unknown |
| else | false |

So 2 of 3 with one in fault is 2 of 2, with two in fault 1 of 1; one that alarms alone is not forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from agent.core.spec import AtLeast, Verified
from agent.core.watching import Truth, Watch
from drivers.clock import Stamp
from drivers.reading import Reading


class AtLeastWatch:
    """Counts its voters by the table above; `points` are those each voter looks at.

    `fills_s`: how long each may be unknown from when it began to be read, without being in fault.
    """

    def __init__(
        self,
        spec: AtLeast,
        parts: tuple[Watch, ...],
        points: tuple[tuple[str, ...], ...],
        fills_s: tuple[float, ...],
    ) -> None:
        self._count = spec.count
        self._timeout_s = spec.timeout_s or inf
        self._parts = parts
        self._points = points
        self._fills_s = fills_s
        self._read_s = [inf] * len(parts)
        """Since when all points of each voter give a value."""
        self._since_s = [inf] * len(parts)
        """Since when each voter has been true; one that fails meanwhile does not begin anew."""
        self._is_forced = False
        self._due_s = inf

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Return what holds; see Watch."""
        seen = [part.look(latest, at, at_s) for part in self._parts]
        yes, unknown = seen.count(True), seen.count(None)
        self._follow(seen, at_s)
        able = len(seen) - sum(
            self._is_in_fault(index, truth, latest, at_s) for index, truth in enumerate(seen)
        )
        if yes and (self._is_forced or yes >= min(self._count, able)):
            return True
        if self._is_forced:
            return None
        return None if yes + unknown >= min(self._count, len(seen)) else False

    def _is_in_fault(
        self, index: int, truth: Truth, latest: Mapping[str, Reading], at_s: float
    ) -> bool:
        readings = [latest.get(point) for point in self._points[index]]
        is_read = all(each is not None and each.value is not None for each in readings)
        self._read_s[index] = min(self._read_s[index], at_s) if is_read else inf
        if truth is not None or None in readings:
            return False
        return not (is_read and at_s < self._read_s[index] + self._fills_s[index])

    def hold(self) -> None:
        """Take it that it held.

        Which of them held is not remembered: each that is still in its deadband counts, and with a
        time-out each may have stood for so long.
        """
        if self._timeout_s < inf:
            self._is_forced = True
            self._since_s = [-inf] * len(self._parts)
        for part in self._parts:
            part.hold()

    def due_s(self) -> float:
        """Return when the wait of a single voter is over, or a part may tell otherwise."""
        return min(self._due_s, *(part.due_s() for part in self._parts))

    def _follow(self, seen: list[Truth], at_s: float) -> None:
        first_s = inf
        for index, truth in enumerate(seen):
            if truth is not None:
                self._since_s[index] = min(self._since_s[index], at_s) if truth else inf
            if truth:
                first_s = min(first_s, self._since_s[index])
        forced_s = first_s + self._timeout_s
        if at_s >= forced_s:
            self._is_forced = True
        elif min(self._since_s) == inf:
            self._is_forced = False
        self._due_s = inf if self._is_forced else forced_s


class VerifiedWatch:
    """False at the first signal; true when it stands after the blanking time, or comes again.

    The first signal waits for `blank_s` from its begin; whatever is signalled between then and the end
    of the window confirms it. Without that the next signal is a first one again. Once confirmed it is
    as its part is, until that is known to be gone.
    """

    def __init__(self, spec: Verified, part: Watch) -> None:
        self._window_s = spec.window_s
        self._blank_s = spec.blank_s
        self._part = part
        self._first_s = inf
        self._is_confirmed = False
        self._due_s = inf

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Return what holds; see Watch."""
        truth = self._part.look(latest, at, at_s)
        if self._is_confirmed:
            self._is_confirmed = truth is not False
            self._due_s = inf
            return truth
        if at_s > self._first_s + self._window_s:
            self._first_s = inf
        if truth:
            self._first_s = min(self._first_s, at_s)
            if at_s >= self._first_s + self._blank_s:
                self._is_confirmed, self._first_s, self._due_s = True, inf, inf
                return True
        self._due_s = self._first_s + self._blank_s if truth else inf
        return None if truth is None else False

    def hold(self) -> None:
        """Take it that it was confirmed."""
        self._is_confirmed = True
        self._part.hold()

    def due_s(self) -> float:
        """Return when the blanking time of a signal that stands is over, or the part may tell otherwise."""
        return min(self._due_s, self._part.due_s())
