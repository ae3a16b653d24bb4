"""Devices that fall silent together: what that costs the others on the line."""

from __future__ import annotations

import asyncio
import logging

import pytest

from benchmarks.silent import Case, measure
from drivers.modbus.presence import Share
from drivers.modbus.schedule import Poll, Schedule
from drivers.modbus.spec import PollClass


async def test_three_devices_falling_silent_at_once_hardly_delay_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    cases = [
        Case(
            wire=wire,
            silent=3,
            devices=12,
            baud=19200,
            period_s=2.0,
            quiet_s=2.5,
            onset_s=6.0,
            steady_s=4.0,
        )
        for wire in ("rtu", "shared tcp")
    ]
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(measure(case), name=case.wire) for case in cases]
    for case, run in zip(cases, runs, strict=True):
        cost = run.result()
        assert cost.false_good == 0, case.wire
        assert cost.kept > 0.5, case.wire  # before: a ninth
        assert cost.longest_period_s < 6.5, case.wire


def test_another_try_goes_behind_the_polls_that_waited_meanwhile() -> None:
    schedule: Schedule[str] = Schedule()
    failed = Poll("failed", PollClass.NORMAL, 3.0, 10.0)
    waiting = [Poll(f"due {due}", PollClass.NORMAL, 3.0, due) for due in (10.1, 10.7, 10.9)]
    for poll in (failed, *waiting):
        schedule.put(poll)
    assert schedule.take(10.0) is failed
    schedule.put(failed, behind_s=10.8)
    taken = [schedule.take(11.0) for _ in range(4)]
    assert taken == [waiting[0], waiting[1], failed, waiting[2]]


def test_another_try_keeps_the_beat_of_its_poll() -> None:
    schedule: Schedule[str] = Schedule()
    failed = Poll("failed", PollClass.NORMAL, 3.0, 10.0)
    schedule.put(failed, behind_s=10.8)
    assert schedule.take(10.8) is failed
    assert schedule.done(failed, 11.0) == 0
    assert failed.due_s == 13.0


def test_another_try_of_a_fire_point_does_not_wait_for_less_urgent_polls() -> None:
    schedule: Schedule[str] = Schedule()
    fire = Poll("fire", PollClass.FIRE, 1.0, 10.0)
    normal = Poll("normal", PollClass.NORMAL, 3.0, 10.1)
    schedule.put(normal)
    schedule.put(fire, behind_s=10.8)
    assert schedule.take(10.8) is fire


def test_what_was_saved_is_not_spent_while_others_wait() -> None:
    share = Share(0.2, 0.0)
    assert not share.must_yield(0.0)
    share.spend(1.0)
    share.yield_after(1.0, 1.0)
    assert share.has_left(1.0)  # savings of a minute: enough for an idle line
    assert share.must_yield(4.9)
    assert not share.must_yield(5.0)  # 1 s in 5 s is a fifth: now it may delay others again


def test_a_share_of_nothing_always_yields_once_used() -> None:
    share = Share(0.0, 0.0)
    share.yield_after(0.8, 1.0)
    assert share.must_yield(1e9)
