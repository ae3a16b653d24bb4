"""The small version of benchmarks/never_wrong.py: the faulty simulator against the real driver."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from agent.simulate.faults import FaultKind
from agent.simulate.ledger import Place, encode_counter
from agent.simulate.slave import Counter as CountedRegister
from benchmarks.judge import Judge
from benchmarks.never_wrong import Plan, run
from benchmarks.never_wrong_judge import BusJudge, Question
from benchmarks.never_wrong_plant import WIRES, Left
from drivers.clock import ManualClock
from drivers.reading import Quality, Reading

PLACE = Place("line", 7, 20)


async def test_three_thousand_faulty_reads_deliver_no_wrong_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    result = await run(Plan(reads=3000, longest_s=20.0))
    outcomes = result.wires
    assert set(outcomes) == set(WIRES)
    for wire, outcome in outcomes.items():
        assert not outcome.wrong, f"{wire}: {outcome.examples}"
        assert outcome.good > 500
        assert outcome.failed > 20
    assert sum(each.reads for each in outcomes.values()) >= 3000
    assert set(result.played) == set(FaultKind)


def test_the_same_run_without_the_checks_delivers_wrong_values_on_every_wire(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def unchecked() -> Counter[str]:
        # the library throws on what it cannot decode: the loop is not to print each one
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        plan = Plan(reads=3000, rate=0.4, is_checked=False, longest_s=20.0)
        outcomes = (await run(plan)).wires
        for wire, outcome in outcomes.items():
            assert outcome.wrong_total > 10, wire
        return sum((each.wrong for each in outcomes.values()), Counter())

    wrong = asyncio.run(unchecked())
    assert wrong["of another register"] + wrong["older than the question"] > 0


@pytest.mark.parametrize(
    ("sent", "delivered", "verdict"),
    [
        ([(0, "")], encode_counter(7, 20, 0), ""),
        ([(0, "late")], encode_counter(7, 20, 0), ""),
        ([(0, "")], encode_counter(7, 40, 0), "of another register"),
        ([(0, "")], encode_counter(8, 20, 0), "of another register"),
        ([(0, "")], encode_counter(7, 20, 1), "never sent"),
        ([(0, "wrong count")], encode_counter(7, 20, 0), "from a false answer"),
        ([(0, ""), (1, "")], encode_counter(7, 20, 0), "older than the question"),
    ],
)
def test_the_judge_knows_a_true_value_from_a_wrong_one(
    sent: list[tuple[int, str]], delivered: int, verdict: str
) -> None:
    judge = Judge(ManualClock())
    counted = CountedRegister(7, 20)
    judge.add("d.c20", PLACE, counted)
    for _, fault in sent:
        counted.read()
        judge.read(PLACE, counted.last, fault)
    judge.emit([_reading(delivered)])
    assert judge.good == 1
    assert list(judge.wrong) == ([verdict] if verdict else [])


def test_the_judge_sees_a_value_that_is_delivered_again() -> None:
    judge = Judge(ManualClock())
    counted = CountedRegister(7, 20)
    judge.add("d.c20", PLACE, counted)
    counted.read()
    judge.read(PLACE, counted.last)
    judge.emit([_reading(counted.last)])
    assert not judge.wrong
    judge.emit([_reading(counted.last)])
    assert judge.wrong == {"delivered twice": 1}


PROMISE_S = 0.07
FIRST, SECOND = encode_counter(7, 20, 0), encode_counter(7, 40, 0)


def _asked(judge: BusJudge, at_s: float, address: int = 20) -> None:
    judge.asked(Question(at_s, at_s + 0.001, 7, address, address + 2))


@pytest.mark.parametrize(
    ("left", "delivered", "verdict"),
    [
        (Left(0, FIRST, "", 2, 1.002, 1.01), FIRST, ""),
        (Left(0, FIRST, "late", 2, 1.002, 1.05), FIRST, ""),
        (Left(0, FIRST, "wrong count", 2, 1.002, 1.01), FIRST, "from a false answer"),
        (Left(0, SECOND, "", 2, 1.002, 1.01), SECOND, "of another register"),
        (Left(0, FIRST, "", 1, 0.902, 0.96), FIRST, "older than the question"),
        (Left(0, FIRST, "", 2, 1.002, 1.01), FIRST + 1, "never sent"),
    ],
)
def test_the_judge_of_two_processes_knows_a_wrong_value(
    left: Left, delivered: int, verdict: str
) -> None:
    judge = BusJudge({"d.c20": (7, 20)}, PROMISE_S)
    _asked(judge, 0.9)
    _asked(judge, 1.0)
    judge.emit([_reading(delivered)])
    judge.left(left)
    judge.judge(100.0)
    assert judge.good == 1
    assert list(judge.wrong) == ([verdict] if verdict else [])
    assert (judge.too_late, judge.in_wake, judge.left_too_late) == (0, 0, 0)


def test_the_judge_waits_for_what_the_plant_has_not_told_yet() -> None:
    judge = BusJudge({"d.c20": (7, 20)}, PROMISE_S)
    _asked(judge, 1.0)
    judge.emit([_reading(FIRST)])
    judge.judge(1.1)
    assert judge.good == 0
    judge.left(Left(0, FIRST, "", 1, 1.002, 1.01))
    judge.judge(1.1)
    assert (judge.good, judge.wrong.total()) == (1, 0)


def test_an_answer_later_than_promised_is_counted_apart_and_so_is_what_it_pushed_on() -> None:
    judge = BusJudge({"d.c20": (7, 20), "d.c40": (7, 40), "d.c60": (7, 60)}, PROMISE_S)
    third = encode_counter(7, 60, 0)
    _asked(judge, 1.0)
    _asked(judge, 1.0711, 40)
    judge.left(Left(0, FIRST, "", 1, 1.0712, 1.0713))  # even the request was seen late
    judge.emit([_reading(FIRST, "d.c40")])
    judge.left(Left(0, SECOND, "", 2, 1.0713, 1.0733))
    _asked(judge, 1.0732, 60)
    judge.emit([_reading(SECOND, "d.c60")])  # the answer to the second: in time, and in the way
    judge.left(Left(0, third, "", 3, 1.0733, 1.08))
    _asked(judge, 1.09)
    judge.emit([_reading(third)])
    judge.judge(100.0)
    assert (judge.too_late, judge.in_wake, judge.left_too_late) == (1, 2, 1)
    assert not judge.wrong


def test_another_try_that_an_answer_too_late_satisfied_pushes_its_own_answer_on() -> None:
    judge = BusJudge({"d.c20": (7, 20), "d.c40": (7, 40)}, PROMISE_S)
    again = encode_counter(7, 20, 1)
    _asked(judge, 1.0)
    _asked(judge, 1.08)
    judge.left(Left(0, FIRST, "", 1, 1.09, 1.091))
    judge.emit([_reading(FIRST)])  # true, and asked for: not wrong
    _asked(judge, 1.092, 40)
    judge.left(Left(0, again, "", 2, 1.09, 1.093))
    judge.emit([_reading(again, "d.c40")])
    judge.judge(100.0)
    assert (judge.too_late, judge.in_wake, judge.left_too_late) == (0, 1, 1)
    assert not judge.wrong


def test_an_answer_within_the_promise_that_is_taken_for_another_is_wrong() -> None:
    judge = BusJudge({"d.c20": (7, 20), "d.c40": (7, 40)}, PROMISE_S)
    _asked(judge, 1.0)
    judge.left(Left(0, FIRST, "", 1, 1.05, 1.0709))
    _asked(judge, 1.0712, 40)
    judge.emit([_reading(FIRST, "d.c40")])
    judge.judge(100.0)
    assert judge.wrong == {"of another register": 1}
    assert (judge.too_late, judge.in_wake, judge.left_too_late) == (0, 0, 0)


def test_requests_that_were_lost_do_not_shift_the_others() -> None:
    judge = BusJudge({"d.c20": (7, 20), "d.c40": (7, 40)}, PROMISE_S)
    _asked(judge, 1.0)
    _asked(judge, 1.1, 40)
    judge.left(Left(0, SECOND, "", 1, 1.101, 1.102))
    judge.emit([_reading(SECOND, "d.c40")])
    judge.judge(100.0)
    assert judge.good == 1
    assert not judge.wrong
    assert judge.left_too_late == 0


def _reading(value: int, point: str = "d.c20") -> Reading:
    return Reading(
        point=point, value=value, quality=Quality.GOOD, unit="", at=ManualClock().stamp()
    )
