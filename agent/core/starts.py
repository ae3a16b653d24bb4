"""How often a contact became active: a jockey pump that starts more often than it should, or than usual.

A small leak shows in the jockey pump's starts before it shows in the pressure (docs/thresholds.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf

from agent.core.spec import Starting
from agent.core.watching import Truth, contact_in, time_of
from drivers.clock import Stamp
from drivers.reading import Reading

DAY_S = 86400.0

MOST_STARTS = 2000
"""Remembered within one window: so many are too many, whatever the limit or the usual is."""


class StartingWatch:
    """True while the starts within the window exceed the limit.

    What was not seen may have been starts: with too few seen in a window that was not known as a
    whole, it is unknown. Usual is the mean of the last whole windows that were known, in memory only:
    after a restart it is learned anew, and until a day of it is known, it is unknown.
    """

    def __init__(self, spec: Starting) -> None:
        self._point = spec.point
        self._limit = spec.limit
        self._per_s = spec.per_s
        self._factor = spec.factor
        self._starts: deque[float] = deque(maxlen=MOST_STARTS)
        self._was: bool | None = None
        self._known_from_s = inf
        """Since when nothing was missed."""
        self._counted_s = inf
        """The end of the last whole window that went into what is usual, or where the first begins."""
        self._count = 0
        """Starts since then."""
        self._windows_a_day = max(1, round(DAY_S / spec.per_s))
        self._usual: deque[int] = deque(maxlen=spec.usual_days * self._windows_a_day)

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Count a start, if there was one, and return what holds; see Watch."""
        reading = latest.get(self._point)
        is_active = contact_in(reading)
        if reading is None or is_active is None:
            self._was, self._known_from_s, self._counted_s = None, inf, inf
            return True if self._is_beyond(at_s) else None
        if self._was is None:
            self._known_from_s = self._counted_s = at_s
            self._count = 0
        self._learn(at_s)
        if is_active and self._was is False:
            self._starts.append(time_of(reading, at_s))
            self._count += 1
        self._was = is_active
        if self._is_beyond(at_s):
            return True
        is_whole = at_s >= self._known_from_s + self._per_s
        return False if is_whole and self._most() is not None else None

    def hold(self) -> None:
        """Remember nothing: the starts before a restart are not known."""

    def due_s(self) -> float:
        """Return when a start leaves the window or a window is whole."""
        oldest_s = self._starts[0] if self._starts else inf
        return min(oldest_s, self._counted_s) + self._per_s

    def _is_beyond(self, at_s: float) -> bool:
        while self._starts and self._starts[0] + self._per_s <= at_s:
            self._starts.popleft()
        most = self._most()
        return most is not None and len(self._starts) > most

    def _most(self) -> float | None:
        """Return how many starts are in order; None while it is not known what is usual."""
        if not self._factor:
            return self._limit
        if len(self._usual) < self._windows_a_day:
            return None
        most = max(self._limit, self._factor * sum(self._usual) / len(self._usual))
        return min(most, MOST_STARTS - 1)

    def _learn(self, at_s: float) -> None:
        while at_s >= self._counted_s + self._per_s:
            self._usual.append(self._count)
            self._count = 0
            self._counted_s += self._per_s
