"""At least N of M, and alarm verification: several signals, or one signal twice, before it counts.

A voter that is unknown is left out, and the rest decide:

| of M voters | it is |
|---|---|
| as many are true as `count`, or as are known when fewer are | true |
| one is true and stood for `timeout_s` (0: never) | true |
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
    """Counts its voters by the table above."""

    def __init__(self, spec: AtLeast, parts: tuple[Watch, ...]) -> None:
        self._count = spec.count
        self._timeout_s = spec.timeout_s or inf
        self._parts = parts
        self._since_s = inf
        """Since when at least one voter has been true."""
        self._is_forced = False

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Return what holds; see Watch."""
        seen = [part.look(latest, at, at_s) for part in self._parts]
        yes, unknown = seen.count(True), seen.count(None)
        if yes:
            self._since_s = min(self._since_s, at_s)
        elif not unknown:
            self._since_s = inf
        known = len(seen) - unknown
        self._is_forced = yes > 0 and at_s >= self._since_s + self._timeout_s
        if self._is_forced or (known and yes >= min(self._count, known)):
            return True
        return None if yes + unknown >= min(self._count, len(seen)) else False

    def hold(self) -> None:
        """Which of them held is not remembered: each that is still in its deadband counts."""
        for part in self._parts:
            part.hold()

    def due_s(self) -> float:
        """Return when the wait of a single voter is over, or a part may tell otherwise."""
        forced_s = inf if self._is_forced else self._since_s + self._timeout_s
        return min(forced_s, *(part.due_s() for part in self._parts))


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
