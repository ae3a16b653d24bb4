"""Outputs that test themselves: when they do, when they do not, and what is written down of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.effects import Event, EventKind, SetOutput
from agent.core.memory import TESTED
from agent.core.spec import OutputSpec, SelfTest
from drivers.clock import ClockState, ManualClock
from drivers.reading import Value
from tests.core.test_linkages import POINTS, output, read, wait, world
from tests.core.test_voting import Utc
from tests.core.timeline import World

DAY_MIN = 1440
FOR_S = 2.0


def minutes(clock: ManualClock) -> int:
    """Whole minutes of the wall clock since the epoch, which began on a Thursday."""
    return clock.stamp().wall_ms // 60_000


def siren_tested(clock: ManualClock, *in_min: int, **more: object) -> OutputSpec:
    """A siren that tests itself so many minutes from now, each on its day of the week."""
    at = [minutes(clock) + each for each in in_min]
    assert len({each % DAY_MIN for each in at}) == 1
    days = frozenset((each // DAY_MIN + 3) % 7 for each in at)
    test = SelfTest(calendar=Utc(), days=days, minute=at[0] % DAY_MIN, for_s=FOR_S)
    return output("siren", "siren", zone="yard", self_test=test, **more)


def site_with(clock: ManualClock, *outputs: OutputSpec) -> World:
    made = World(world(*outputs).site, clock=clock)
    quiet: dict[str, Value | None] = dict.fromkeys(POINTS, False)
    made.values.update(quiet)
    made.read(quiet)
    made.events.clear()
    return made


def to_minute(made: World, in_min: int) -> None:
    """Let time pass up to the beginning of a minute."""
    end_ms = (minutes(made.clock) + in_min) * 60_000
    made.advance((end_ms - made.clock.stamp().wall_ms) / 1000)


def live_quietly(made: World, seconds: float) -> None:
    """Let long times pass in which nothing is read: only deadlines count."""
    end_s = made.clock.mono_s() + seconds
    while (next_s := made.engine.next_deadline_s()) is not None and next_s <= end_s:
        made.clock.advance(next_s - made.clock.mono_s())
        made.tick()
    made.clock.advance(end_s - made.clock.mono_s())


def told(made: World) -> list[tuple[str, str]]:
    return [
        (event.to_state, event.reason)
        for event in made.events
        if event.kind is EventKind.OUTPUT and event.code == "test"
    ]


@pytest.fixture
def clock() -> ManualClock:
    """At a full minute of an ordinary day, so that whole minutes can be counted."""
    return ManualClock(wall_ms=29_166_667 * 60_000)


def test_a_self_test_is_written_down_whole(clock: ManualClock) -> None:
    made = site_with(clock, siren_tested(clock, 2))
    to_minute(made, 2)
    assert made.events == [
        Event(
            kind=EventKind.OUTPUT, subject="siren", at=clock.stamp(), to_state="tested",
            actor="self-test", code="test", zone="yard", is_test=True,
        )
    ]  # fmt: skip
    assert made.active_outputs() == ["siren"]
    switched = [each for each in made.effects if isinstance(each, SetOutput)][-1]
    assert switched.cause == TESTED, "no alarm: it does not count as running for one"
    assert wait(made, FOR_S - 0.1) == ["siren"]
    assert wait(made, 0.1) == []


def test_what_may_not_be_tested_says_so_and_moves_nothing(clock: ManualClock) -> None:
    made = site_with(clock, siren_tested(clock, 2, interlock="interlock.fan"))
    read(made, door=True)
    made.events.clear()
    to_minute(made, 2)
    assert made.events == [
        Event(
            kind=EventKind.OUTPUT, subject="siren", at=clock.stamp(), to_state="not_tested",
            actor="self-test", code="test", reason="demanded, or its interlock forbids it",
            zone="yard", is_test=True,
        )
    ]  # fmt: skip
    assert made.active_outputs() == []


@pytest.mark.parametrize(
    ("what", "is_tested"),
    [("nothing", True), ("demanded", False), ("interlock", False), ("interlock unknown", False)],
)
def test_only_what_nobody_demands_and_nothing_forbids_is_tested(
    clock: ManualClock, what: str, is_tested: bool
) -> None:
    made = site_with(clock, siren_tested(clock, 2, interlock="interlock.fan"))
    match what:
        case "demanded":
            read(made, smoke_1=True)
        case "interlock":
            read(made, door=True)
        case "interlock unknown":
            read(made, door=None)
    to_minute(made, 2)
    assert [name for name, _ in told(made)] == ["tested" if is_tested else "not_tested"]


def test_it_tests_itself_on_each_of_its_days_and_on_no_other(clock: ManualClock) -> None:
    made = site_with(clock, siren_tested(clock, 2, 2 + 2 * DAY_MIN))
    days_with_a_test = []
    for day in range(8):
        known = len(told(made))
        live_quietly(made, 86_400.0)
        days_with_a_test.append((day, len(told(made)) - known))
    assert [day for day, tests in days_with_a_test if tests] == [0, 2, 7]
    assert all(tests <= 1 for _, tests in days_with_a_test)


def test_its_minute_is_looked_at_once_though_the_wall_clock_goes_back_in_it(
    clock: ManualClock,
) -> None:
    made = site_with(clock, siren_tested(clock, 1))
    to_minute(made, 1)
    made.advance(59.0)
    clock.step_wall(-55.0)
    made.advance(70.0)
    assert [name for name, _ in told(made)] == ["tested"]


def test_a_start_within_the_minute_tests_at_once(clock: ManualClock) -> None:
    clock.advance(30.0)
    made = World(world(siren_tested(clock, 0)).site, clock=clock)
    assert [name for name, _ in told(made)] == ["tested"]


def test_while_the_clock_is_not_set_nothing_is_tested_and_then_it_is(clock: ManualClock) -> None:
    clock.state = ClockState.UNSYNCED
    made = site_with(clock, siren_tested(clock, 1, 1 + DAY_MIN))
    live_quietly(made, 600.0)
    assert told(made) == []
    clock.state = ClockState.SYNCED
    live_quietly(made, 86_400.0)
    assert [name for name, _ in told(made)] == ["tested"]


def test_it_looks_at_each_full_minute_and_not_more_often(clock: ManualClock) -> None:
    clock.advance(12.5)
    quiet = tuple(
        replace(each, stale_after_s=1e9) for each in world(siren_tested(clock, 900)).site.points
    )
    made = World(replace(world(siren_tested(clock, 900)).site, points=quiet), clock=clock)
    looks = []
    for _ in range(3):
        next_s = made.engine.next_deadline_s()
        assert next_s is not None
        looks.append(next_s - 1012.5)
        clock.advance(next_s - clock.mono_s())
        made.tick()
    assert looks == [47.5, 107.5, 167.5]


def test_a_site_without_self_tests_never_looks_at_the_clock(clock: ManualClock) -> None:
    quiet = tuple(
        replace(each, stale_after_s=1e9) for each in world(output("siren", "siren")).site.points
    )
    made = World(replace(world(output("siren", "siren")).site, points=quiet), clock=clock)
    assert made.engine.next_deadline_s() == clock.mono_s() + 1e9
