"""Holds every value called good against what left the plant, and against what the plant promised.

The plant promises that no answer leaves later than time-out + settling after its request was
written: that long a driver stays silent. RTU has no transaction id, so an answer later than that can
meet the next question and cannot be told from its answer. What comes of one is counted apart.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.simulate.faults import TRUE_ANYWAY
from agent.simulate.ledger import decode_counter
from benchmarks.never_wrong_plant import Left
from drivers.reading import Quality, Reading

_KEPT = 4096
"""Values and questions remembered of a bus; it makes at most some hundred a second."""
_LAG_S = 5.0
"""The plant tells in the order in which things leave; what it has not told by so much later never left."""
_MOST_LOST = 64
"""Requests in a row that may have been lost."""
_EXAMPLES = 10


@dataclass(slots=True)
class Question:
    """One request, as the driver sent it."""

    before_s: float
    """Just before its bytes were written: an answer to it was asked no sooner."""
    after_s: float
    """When they had been written for sure: what the plant promises runs from here."""
    unit: int
    first: int
    """Register address; with `end` what it asks for."""
    end: int
    was_misled: bool = False
    """It was answered by an answer that came later than promised."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    point: str
    value: int
    question: Question


class BusJudge:
    """Judges one bus."""

    def __init__(self, points: Mapping[str, tuple[int, int]], promise_s: float) -> None:
        """`points` with the unit and the address each shows; `promise_s` is time-out + settling."""
        self._points = dict(points)
        self._promise_s = promise_s
        self._questions: deque[Question] = deque(maxlen=_KEPT)
        self._asked = 0
        self._lost = 0
        """Requests that never reached a unit, as those of a connection that was reset."""
        self._left: dict[int, Left] = {}
        self._waiting: deque[_Delivery] = deque()
        self._delivered: dict[str, int] = {}
        self.good = 0
        """Values called good."""
        self.wrong: Counter[str] = Counter()
        """Values called good that were not although the plant kept its promise, by what they were."""
        self.too_late = 0
        """Wrong values that left later than promised."""
        self.in_wake = 0
        """Wrong values whose question had been answered by one of those: its own answer met the next."""
        self.left_too_late = 0
        """Values that left later than promised, wherever they ended."""
        self.examples: list[str] = []

    def asked(self, question: Question) -> None:
        """Note that the driver is about to write a request."""
        self._asked += 1
        self._questions.append(question)

    def left(self, left: Left) -> None:
        """Note what left the plant."""
        self._left[left.value] = left
        if len(self._left) > _KEPT:
            del self._left[next(iter(self._left))]
        own = self._question_of(left)
        if own is not None and self._lateness_s(left, own) > 0:
            self.left_too_late += 1

    def emit(self, readings: Sequence[Reading]) -> None:
        """Take readings from the bus; its last question is theirs."""
        for each in readings:
            if each.quality is Quality.GOOD and each.point in self._points:
                assert isinstance(each.value, int)
                self._waiting.append(_Delivery(each.point, each.value, self._questions[-1]))

    def judge(self, told_s: float) -> None:
        """Judge what was delivered, as far as the plant has told of it; `told_s` is its newest word."""
        while self._waiting:
            delivery = self._waiting[0]
            if delivery.value not in self._left and told_s - delivery.question.after_s < _LAG_S:
                return
            self._waiting.popleft()
            self._judge(delivery)

    def _judge(self, delivery: _Delivery) -> None:
        self.good += 1
        left = self._left.get(delivery.value)
        verdict = self._verdict(delivery, left)
        self._delivered[delivery.point] = delivery.value
        own = None if left is None else self._question_of(left)
        late_s = 0.0
        if left is not None and own is not None:
            late_s = self._lateness_s(left, own)
        is_pushed_on = own is not None and own is not delivery.question and own.was_misled
        if late_s > 0 or is_pushed_on:
            delivery.question.was_misled = own is not delivery.question
        if not verdict:
            return
        if late_s > 0:
            self.too_late += 1
        elif is_pushed_on:
            self.in_wake += 1
        else:
            self.wrong[verdict] += 1
            if len(self.examples) < _EXAMPLES:
                spare_s = -late_s
                self.examples.append(
                    f"{delivery.point} = {delivery.value:#x}: {verdict}, "
                    f"{left}, asked by {own}, taken for {delivery.question}, in time by {spare_s:.4f} s"
                )

    def _verdict(self, delivery: _Delivery, left: Left | None) -> str:
        """Return what is wrong with a value, empty for nothing."""
        unit, address, _ = decode_counter(delivery.value)
        if (unit, address) != self._points[delivery.point]:
            return "of another register"
        if left is None:
            return "never sent"
        if left.fault and left.fault not in TRUE_ANYWAY:
            return "from a false answer"
        if self._delivered.get(delivery.point) == delivery.value:
            return "delivered twice"
        return "older than the question" if left.asked_s < delivery.question.before_s else ""

    def _question_of(self, left: Left) -> Question | None:
        """Return the question a value was the answer to: requests arrive in the order they are sent."""
        unit, address, _ = decode_counter(left.value)
        oldest = self._asked - len(self._questions)
        at = left.request - 1 + self._lost - oldest
        for step in range(_MOST_LOST):
            if not 0 <= at + step < len(self._questions):
                return None
            each = self._questions[at + step]
            if each.before_s > left.asked_s:
                return None
            if each.unit == unit and each.first <= address < each.end:
                self._lost += step
                return each
        return None

    def _lateness_s(self, left: Left, own: Question) -> float:
        return left.left_s - own.after_s - self._promise_s
