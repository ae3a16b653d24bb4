"""What falls due when: a heap of deadlines with at most one live entry for each thing that waits."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """A thing with a deadline; the agenda notes on it when it will be called."""

    scheduled_s: float
    """Infinite while it is not on the agenda."""


T = TypeVar("T", bound=Waiting)


class Agenda(Generic[T]):
    """Calls things at or before their deadlines; who is called early looks and asks to be called again.

    A deadline that moves away costs nothing until its old entry comes up, so a reading that only
    renews a deadline never touches the heap.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0

    def call(self, item: T, at_s: float) -> None:
        """See to it that `item` is called at monotonic `at_s` or before."""
        if at_s < item.scheduled_s:
            item.scheduled_s = at_s
            self._count += 1
            heappush(self._heap, (at_s, self._count, item))

    def next_s(self) -> float | None:
        """Return when the next call is due, None when nothing waits."""
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].scheduled_s:
            heappop(heap)  # an entry overtaken by an earlier one
        return heap[0][0] if heap else None

    def due(self, now_s: float) -> Iterator[T]:
        """Yield everything due by monotonic `now_s`, each taken off the agenda first."""
        heap = self._heap
        while heap and heap[0][0] <= now_s:
            at_s, _, item = heappop(heap)
            if at_s == item.scheduled_s:
                item.scheduled_s = inf
                yield item
