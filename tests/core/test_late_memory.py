"""Memory that comes after the start: what people did meanwhile is newer, and what was real stays real."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from agent.core.effects import AlarmState, EventKind
from agent.core.engine import Engine
from agent.core.memory import NO_ORDERS, AlarmMemory, Orders
from agent.core.spec import (
    AlarmClass,
    Condition,
    Contact,
    Flat,
    PointKind,
    PointSpec,
    RuleSpec,
    Scheduled,
    Side,
    SiteSpec,
    Threshold,
)
from agent.core.standing import Left
from drivers.clock import ClockState, ManualClock
from tests.core.test_engine import point, rule, site
from tests.core.test_standing import (
    SITE,
    alarm_events,
    drill,
    inhibit,
    kinds,
    late,
    start_anew,
    view,
)
from tests.core.test_voting import Utc
from tests.core.timeline import World


def orders_of(world: World) -> Orders:
    return world.engine.snapshot(None).orders


@pytest.mark.parametrize("by", ["a person", "its time"])
def test_an_inhibit_that_ended_since_the_start_is_not_taken_up_again(by: str) -> None:
    before = World(SITE)
    inhibit(before, seconds=60.0)
    early = orders_of(before)
    before.advance(5.0)
    after = start_anew(before, early)
    if by == "a person":
        after.command("uninhibit", "fire-a")
    else:
        after.advance(60.0)
    late(after, orders_of(before))
    assert not view(after, "fire-a").is_inhibited
    assert late(after, early) == []


@pytest.mark.parametrize("by", ["a person", "its time"])
def test_a_drill_that_ended_since_the_start_is_not_taken_up_again(by: str) -> None:
    before = World(SITE, clock=ManualClock(state=ClockState.UNSYNCED))
    drill(before, "shed", seconds=60.0)
    early = orders_of(before)
    before.advance(5.0)
    after = start_anew(before, early)
    if by == "a person":
        after.command("drill", is_on=False)
    else:
        after.advance(60.0)
    late(after, orders_of(before))
    after.read({"a": True})
    assert not view(after, "fire-a").is_test


def test_an_inhibit_of_a_rule_that_is_gone_is_told_once() -> None:
    before = World(SITE)
    inhibit(before)
    memory = orders_of(before).inhibits["fire-a"]
    gone = Orders(inhibits={"gone": replace(memory, rule="gone")})
    after = start_anew(before, gone)
    late(after, gone)
    assert [event.rule for event in kinds(after, EventKind.INHIBIT)] == ["gone"]


def test_a_fire_from_before_the_drill_that_is_remembered_after_it_stays_real() -> None:
    before = World(SITE)
    drill(before, "shed")
    after = start_anew(before, NO_ORDERS)
    late(after, orders_of(before))
    latched = AlarmMemory(rule="fire-a", state=AlarmState.LATCHED_UNACKED, since_wall_ms=5)
    after.do(after.engine.restore(latched, after.clock.stamp()))
    after.read({"a": True})
    assert alarm_events(after, "fire-a") == [("latched_unacked", "active_unacked", False, "")]
    for state in (AlarmState.NORMAL, AlarmState.ACTIVE_UNACKED):
        again = start_anew(before, NO_ORDERS)
        late(again, orders_of(before))
        test = replace(latched, state=state, is_test=state is not AlarmState.NORMAL)
        again.do(again.engine.restore(test, again.clock.stamp()))
        again.read({"a": False})
        again.command("ack")
        again.command("reset")
        again.read({"a": True})
        assert view(again, "fire-a").is_test, "a drill's alarm stays one"


def test_what_is_on_its_way_in_a_drill_stays_in_it_when_more_is_remembered_of_the_drill() -> None:
    before = World(SITE)
    drill(before, "shed", "c")
    early = orders_of(before)
    before.advance(5.0)
    after = start_anew(before, early)
    after.read({"c": True})
    late(after, orders_of(before))
    after.advance(6.0)
    assert view(after, "fire-c").state is AlarmState.ACTIVE_UNACKED
    assert view(after, "fire-c").is_test
    after.command("drill", is_on=False)
    drill(after, "c")
    after.advance(1.0)
    assert not view(after, "fire-c").is_test, "what was up before the next drill is real"


def test_a_silence_since_the_start_is_newer_than_a_memory() -> None:
    before = World(SITE)
    stands = AlarmMemory(rule="fire-a", state=AlarmState.LATCHED_UNACKED, since_wall_ms=5)
    after = start_anew(before, NO_ORDERS, (stands,))
    after.command("silence", "fire-a")
    acked = replace(stands, state=AlarmState.LATCHED_ACKED, actor="bo")
    after.do(after.engine.restore(acked, after.clock.stamp()))
    assert view(after, "fire-a").is_silenced
    assert after.outputs["siren"] is False


@pytest.mark.parametrize(
    ("seconds", "inhibited_s", "drilled_s"),
    [(inf, 7 * 86_400.0, 4 * 3600.0), (nan, 0.0, 0.0), (-5.0, 0.0, 0.0), (60.0, 60.0, 60.0)],
)
def test_no_memory_makes_an_order_endless(
    seconds: float, inhibited_s: float, drilled_s: float
) -> None:
    before = World(SITE)
    inhibit(before)
    drill(before, "shed")
    orders = orders_of(before)
    assert orders.drill is not None
    left = Left(seconds=seconds, at=before.clock.stamp())
    inhibits = {rule: replace(each, left=left) for rule, each in orders.inhibits.items()}
    after = start_anew(before, Orders(inhibits=inhibits, drill=replace(orders.drill, left=left)))
    assert view(after, "fire-a").inhibited_left_s == inhibited_s
    assert after.engine.standing_orders().drill_left_s == drilled_s


# -- unknown, and late ticks -----------------------------------------------------------------------


def frosty() -> World:
    """`frost` alarms without delay, and is suppressed while the bus is down."""
    return World(
        SiteSpec(
            site="s",
            box="box",
            points=tuple(
                PointSpec(id=name, kind=PointKind.GENERIC, stale_after_s=1e9)
                for name in ("bus", "heat")
            ),
            rules=(
                RuleSpec(
                    id="bus-down",
                    alarm_class=AlarmClass.FAULT,
                    condition=Contact(point="bus", is_active=False),
                    needs_ack=False,
                ),
                RuleSpec(
                    id="frost",
                    alarm_class=AlarmClass.TECHNICAL,
                    condition=Threshold(point="heat", side=Side.BELOW, limit=5),
                    on_delay_s=2.0,
                    suppressed_by=("bus-down",),
                ),
            ),
        )
    )


def test_the_end_of_a_suppression_raises_nothing_that_is_unknown_and_begins_its_delay_anew() -> (
    None
):
    made = frosty()
    made.read({"bus": False, "heat": 1.0})
    made.advance(3.0)
    made.read({"heat": None})
    made.read({"bus": True})
    made.advance(10.0)
    assert made.alarms() == {}
    made.read({"heat": 1.0})
    made.advance(1.5)
    assert made.alarms() == {}, "the whole delay, from when it is known"
    made.advance(0.5)
    assert made.alarms() == {"frost": "active_unacked"}


def test_what_fell_due_first_is_done_first_though_nobody_looked() -> None:
    made = World(SITE)
    drill(made, "shed", seconds=5.0)
    made.command("drill", is_on=False)
    drill(made, "a", seconds=20.0)
    inhibit(made, seconds=10.0)
    made.read({"a": True})
    made.events.clear()
    made.clock.advance(4000.0)
    made.tick()
    assert [event.kind for event in made.events if event.kind is not EventKind.ALARM] == [
        EventKind.INHIBIT,
        EventKind.DRILL,
    ]
    assert alarm_events(made, "fire-a") == [
        ("normal", "active_unacked", True, ""),
        ("active_unacked", "normal", True, "drill_ended"),
        ("normal", "active_unacked", False, ""),
    ]


def test_what_falls_due_in_the_moment_of_a_reading_is_done_before_it() -> None:
    made = World(SITE)
    inhibit(made, seconds=10.0)
    made.events.clear()
    made.clock.advance(10.0)
    made.read({"a": True})
    said = [(event.kind, event.to_state) for event in made.events if event.rule == "fire-a"]
    assert said == [(EventKind.INHIBIT, "uninhibited"), (EventKind.ALARM, "active_unacked")]


def test_a_start_without_memory_is_whole_when_it_is_said() -> None:
    made = World(SITE)
    made.engine = Engine(SITE, is_memory_whole=False)
    made.outputs.clear()
    made.do(made.engine.start(made.clock.stamp()))
    assert "cut" not in made.outputs
    made.do(made.engine.memory_is_whole())
    assert made.outputs["cut"] is False


@pytest.mark.parametrize("when", ["at the start", "late"])
def test_a_test_alarm_that_the_drill_of_now_does_not_take_in_becomes_real(when: str) -> None:
    before = World(SITE)
    drill(before, "hall", with_linkage=True)
    stands = AlarmMemory(
        rule="fire-a", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5, is_test=True
    )
    after = start_anew(before, orders_of(before), (stands,) if when == "at the start" else ())
    after.do(after.engine.restore(stands, after.clock.stamp()))
    assert not view(after, "fire-a").is_test
    assert view(after, "fire-a").state is AlarmState.ACTIVE_UNACKED
    assert after.outputs["siren"] is True


@pytest.mark.parametrize(
    "condition",
    [
        Scheduled(calendar=Utc(), days=frozenset(), from_min=0, to_min=60),
        Flat(point="p", for_s=60.0, within=1.0),
    ],
)
def test_an_alarm_remembered_late_is_judged_at_once_by_the_clocks_of_now(
    condition: Condition,
) -> None:
    made = World(site(rule(condition=condition), points=(point(),)))
    made.read({"p": 5.0})
    made.read({"p": 9.0})
    stood = AlarmMemory(rule="r", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5)
    made.do(made.engine.restore(stood, made.clock.stamp()))
    assert made.alarms() == {}
    assert not view(made, "r").is_unknown
