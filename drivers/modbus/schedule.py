"""Whose turn it is on the line. Pure: it is told the time."""

from __future__ import annotations

import heapq
from collections import deque
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
    ahead_s: float = 0.0
    """By how much the next turn comes sooner than a period after this one, to fall on the beat."""
    turn: int = field(default=0, repr=False)
    """Which entry of the schedule is the valid one; 0 while it is in none."""


class Schedule(Generic[T]):
    """Polls by class and time. A poll is taken, done, and put back; meanwhile it is not due.

    What is tried again after a silence waits aside: for a moment when nothing else of its class is
    due, or until the caller says that the others have had their turn.
    """

    def __init__(self, phase_s: float | None = None) -> None:
        """With `phase_s`, turns fall on multiples of their period and that much more; else as they began."""
        self._phase_s = phase_s
        self._heaps: dict[PollClass, list[tuple[float, int, Poll[T]]]] = {
            each: [] for each in ORDER
        }
        self._aside: dict[PollClass, deque[tuple[int, Poll[T]]]] = {each: deque() for each in ORDER}
        self._passed = dict.fromkeys(ORDER, 0)
        self._turns = count(1)

    def begin(self, poll: Poll[T], now_s: float) -> None:
        """Let a poll be due now, and from then on with the beat."""
        poll.due_s = now_s
        poll.tries = 0
        poll.ahead_s = 0.0 if self._phase_s is None else (now_s - self._phase_s) % poll.period_s
        self.put(poll)

    def put(self, poll: Poll[T], behind_s: float | None = None) -> None:
        """Let a poll wait for its `due_s`; with `behind_s`, behind all of its class due before that."""
        poll.turn = next(self._turns)
        at_s = poll.due_s if behind_s is None else behind_s
        heapq.heappush(self._heaps[poll.poll_class], (at_s, poll.turn, poll))

    def put_aside(self, poll: Poll[T]) -> None:
        """Let a poll that met silence wait for its next try."""
        poll.turn = next(self._turns)
        self._aside[poll.poll_class].append((poll.turn, poll))

    def remove(self, poll: Poll[T]) -> None:
        """Take a poll out, wherever it is."""
        poll.turn = 0

    def take(self, now_s: float, *, may_try_again: bool = True) -> Poll[T] | None:
        """Return the poll whose turn it is and take it out; None when none is due.

        With `may_try_again`, what waits aside goes before the others of its class, else behind them.
        """
        due = [
            poll
            for each in ORDER
            if (poll := self._next_of(each, now_s, may_try_again=may_try_again)) is not None
        ]
        if not due:
            return None
        chosen = due[0]
        for each in due[1:]:
            if now_s - each.due_s > each.period_s:
                self._passed[each.poll_class] += 1
                if self._passed[each.poll_class] > PATIENCE:
                    chosen = each
                    break
        self._passed[chosen.poll_class] = 0
        chosen.turn = 0
        return chosen

    def next_due_s(self) -> float | None:
        """Return when the next poll is due, None when there is none."""
        due_s: float | None = None
        for each in ORDER:
            for first in (self._top(each), self._first_aside(each)):
                if first is not None and (due_s is None or first.due_s < due_s):
                    due_s = first.due_s
        return due_s

    def done(self, poll: Poll[T], now_s: float) -> int:
        """Put a taken poll back for its next turn; return how many turns were missed.

        The beat is kept: the next turn is a whole number of periods after this one was due.
        """
        missed = max(0, int((now_s - poll.due_s) // poll.period_s))
        poll.due_s += (missed + 1) * poll.period_s - poll.ahead_s
        poll.ahead_s = 0.0
        poll.tries = 0
        self.put(poll)
        return missed

    def _next_of(
        self, poll_class: PollClass, now_s: float, *, may_try_again: bool
    ) -> Poll[T] | None:
        aside, top = self._first_aside(poll_class), self._top(poll_class)
        if top is None or top.due_s > now_s:
            return aside
        return aside if aside is not None and may_try_again else top

    def _first_aside(self, poll_class: PollClass) -> Poll[T] | None:
        aside = self._aside[poll_class]
        while aside and aside[0][0] != aside[0][1].turn:
            aside.popleft()
        return aside[0][1] if aside else None

    def _top(self, poll_class: PollClass) -> Poll[T] | None:
        heap = self._heaps[poll_class]
        while heap and heap[0][1] != heap[0][2].turn:
            heapq.heappop(heap)
        return heap[0][2] if heap else None
