"""A set of whole numbers kept as spans. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]
"""From the first up to, without, the second."""


class Spans:
    """Spans that neither touch nor overlap, in order. Memory grows with holes, not with numbers."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._firsts: list[int] = []
        self._stops: list[int] = []
        for first, stop in spans:
            self.add(first, stop)

    def __iter__(self) -> Iterator[Span]:
        return zip(tuple(self._firsts), tuple(self._stops), strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    @property
    def first(self) -> int:
        """The lowest number; there has to be one."""
        return self._firsts[0]

    def add(self, first: int, stop: int) -> None:
        """Put numbers in."""
        if first >= stop:
            return
        # everything that touches melts into one span
        low = bisect_right(self._firsts, first)
        if low and self._stops[low - 1] >= first:
            low -= 1
        high = bisect_right(self._firsts, stop)
        if low < high:
            first = min(first, self._firsts[low])
            stop = max(stop, self._stops[high - 1])
        self._firsts[low:high] = [first]
        self._stops[low:high] = [stop]

    def remove(self, first: int, stop: int) -> None:
        """Take numbers out."""
        if first >= stop or not self._firsts or first >= self._stops[-1] or stop <= self.first:
            return
        kept = [*self.within(self.first, first), *self.within(stop, self._stops[-1])]
        self._firsts = [each for each, _ in kept]
        self._stops = [each for _, each in kept]

    def within(self, first: int, stop: int) -> Iterator[Span]:
        """Yield what is in it from `first` up to, without, `stop`."""
        for low, high in self:
            if high > first and low < stop:
                yield max(low, first), min(high, stop)

    def holes(self, first: int, stop: int) -> Iterator[Span]:
        """Yield what is not in it from `first` up to, without, `stop`."""
        for low, high in self.within(first, stop):
            if low > first:
                yield first, low
            first = high
        if first < stop:
            yield first, stop
