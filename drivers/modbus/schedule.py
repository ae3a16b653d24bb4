"""Whose turn it is on the line. Pure: it is told the time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from drivers.modbus.spec import PollClass

T = TypeVar("T")

ORDER = (PollClass.FIRE, PollClass.NORMAL, PollClass.SLOW)

PATIENCE = 3
"""Times a poll that is a whole period late lets a more urgent one go first, so that a line with too
many fire points still reads the others."""


@dataclass(slots=True, eq=False)
class Poll(Generic[T]):
    """Something to do every so often; `what` is the caller's."""

    what: T
    poll_class: PollClass
    period_s: float
    due_s: float
    tries: int = 0
    """Failed tries within the present turn."""
    turn: int = field(default=0, repr=False)
    """Which entry of the schedule is the valid one; 0 while it is in none."""


class Schedule(Generic[T]):
    """Polls by class and time. A poll is taken, done, and put back; meanwhile it is not due."""

    def __init__(self) -> None:
        self._heaps: dict[PollClass, list[tuple[float, int, Poll[T]]]] = {
            each: [] for each in ORDER
        }
        self._passed = dict.fromkeys(ORDER, 0)
        self._turns = count(1)

    def put(self, poll: Poll[T], behind_s: float | None = None) -> None:
        """Let a poll wait for its `due_s`; with `behind_s`, behind all of its class due before that."""
        poll.turn = next(self._turns)
        at_s = poll.due_s if behind_s is None else behind_s
        heapq.heappush(self._heaps[poll.poll_class], (at_s, poll.turn, poll))

    def remove(self, poll: Poll[T]) -> None:
        """Take a poll out, wherever it is."""
        poll.turn = 0

    def take(self, now_s: float) -> Poll[T] | None:
        """Return the poll whose turn it is and take it out; None when none is due."""
        due = [each for each in ORDER if (top := self._top(each)) and top.due_s <= now_s]
        if not due:
            return None
        chosen = due[0]
        for each in due[1:]:
            late = self._top(each)
            if late is not None and now_s - late.due_s > late.period_s:
                self._passed[each] += 1
                if self._passed[each] > PATIENCE:
                    chosen = each
                    break
        self._passed[chosen] = 0
        poll = heapq.heappop(self._heaps[chosen])[2]
        poll.turn = 0
        return poll

    def next_due_s(self) -> float | None:
        """Return when the next poll is due, None when there is none."""
        tops = [top.due_s for each in ORDER if (top := self._top(each)) is not None]
        return min(tops, default=None)

    def done(self, poll: Poll[T], now_s: float) -> int:
        """Put a taken poll back for its next turn; return how many turns were missed.

        The beat is kept: the next turn is a whole number of periods after this one was due.
        """
        missed = max(0, int((now_s - poll.due_s) // poll.period_s))
        poll.due_s += (missed + 1) * poll.period_s
        poll.tries = 0
        self.put(poll)
        return missed

    def _top(self, poll_class: PollClass) -> Poll[T] | None:
        heap = self._heaps[poll_class]
        while heap and heap[0][1] != heap[0][2].turn:
            heapq.heappop(heap)
        return heap[0][2] if heap else None
