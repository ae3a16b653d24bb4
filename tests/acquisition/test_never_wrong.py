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
from benchmarks.never_wrong import WIRES, Plan, run
from drivers.clock import ManualClock
from drivers.reading import Quality, Reading

PLACE = Place("line", 7, 20)


async def test_three_thousand_faulty_reads_deliver_no_wrong_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    outcomes = await run(Plan(reads=3000, longest_s=20.0))
    assert set(outcomes) == set(WIRES)
    played: Counter[FaultKind] = Counter()
    for wire, outcome in outcomes.items():
        assert not outcome.wrong, f"{wire}: {outcome.examples}"
        assert outcome.good > 500
        assert outcome.failed > 20
        played.update(outcome.played)
    assert sum(each.reads for each in outcomes.values()) >= 3000
    assert set(played) == set(FaultKind)


def test_the_same_run_without_the_checks_delivers_wrong_values_on_every_wire(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def unchecked() -> Counter[str]:
        # the library throws on what it cannot decode: the loop is not to print each one
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        plan = Plan(reads=3000, rate=0.4, is_checked=False, longest_s=20.0)
        outcomes = await run(plan)
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


def _reading(value: int) -> Reading:
    return Reading(
        point="d.c20", value=value, quality=Quality.GOOD, unit="", at=ManualClock().stamp()
    )
