"""One alarm: what it keeps over a restart, what is left of its delay, and how it is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.alarm import Alarm
from agent.core.effects import AlarmState, AlarmView
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory
from agent.core.spec import AlarmClass, AllOf, Contact, Scheduled, Side, Threshold
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality
from tests.core.test_engine import point, rule, site
from tests.core.test_voting import Utc
from tests.core.timeline import World


def seen(world: World, name: str = "r") -> AlarmView:
    return next(each for each in world.engine.alarms() if each.rule == name)


def left_s(world: World) -> float:
    (delay,) = world.engine.snapshot(None).delays
    return delay.left_s


def test_who_acknowledged_and_since_when_is_known_after_a_restart() -> None:
    world = World(site(rule(is_latched=True)))
    world.read({"p": True})
    world.command("ack", actor="bo")
    (memory,) = world.engine.snapshot(None).memories
    assert memory == AlarmMemory(
        rule="r",
        state=AlarmState.ACTIVE_ACKED,
        since_wall_ms=world.clock.stamp().wall_ms,
        actor="bo",
    )
    since_ms = world.clock.stamp().wall_ms
    world.clock.advance(3600.0)
    world.restart()
    assert (seen(world).actor, seen(world).state) == ("bo", AlarmState.ACTIVE_ACKED)
    # the monotonic time of another run means nothing, and nobody knows how good its clock was
    assert seen(world).since == Stamp(0.0, since_ms, ClockState.UNSYNCED)


def test_an_alarm_by_itself_stands_under_none_waits_for_nothing_and_has_no_past() -> None:
    made = Alarm(rule(alarm_class=AlarmClass.GAS), "hall")
    assert (made.parents, made.children, made.mates, made.called_by, made.calls) == ((),) * 5
    assert made.order == (0, AlarmClass.GAS.rank)
    assert (made.left_s(9.0), made.since) == (0.0, Stamp(0.0, 0, ClockState.UNSYNCED))


def test_what_is_left_of_a_delay_that_runs_and_of_one_that_is_frozen() -> None:
    world = World(site(rule(on_delay_s=5.0)))
    world.read({"p": True})
    world.advance(2.0)
    assert left_s(world) == 3.0
    world.read({"p": None})
    world.advance(2.0)
    assert left_s(world) == 3.0
    world.read({"p": True})
    world.advance(2.75)
    assert left_s(world) == 0.25
    world.clock.advance(10.0)
    world.command("mode", mode="auto")  # it is over, and no tick has come yet
    assert left_s(world) == 0.0


def test_a_delay_that_froze_shortly_before_its_end_runs_on_with_what_was_left() -> None:
    world = World(site(rule(on_delay_s=5.0), points=(point(), point("q"))))
    world.read({"p": True})
    world.advance(4.5)
    world.read({"p": None})
    world.read({"p": True})
    assert left_s(world) == 0.5
    world.advance(0.5)
    assert world.alarms() == {"r": "active_unacked"}


def test_an_alarm_never_read_is_seen_with_the_first_point_it_watches() -> None:
    both = AllOf(parts=(Contact(point="q"), Contact(point="p")))
    world = World(site(rule(condition=both, group="g"), points=(point(zone="z"), point("q"))))
    assert seen(world) == AlarmView(
        rule="r",
        alarm_class=AlarmClass.FAULT,
        state=AlarmState.NORMAL,
        since=world.clock.stamp(),
        point="q",
        value=None,
        unit="",
        quality=None,
        zone="",
        is_unknown=True,
        group="g",
    )


def test_an_alarm_is_seen_with_the_reading_that_decided_it() -> None:
    world = World(site(rule(is_latched=True), points=(point(unit="kPa", zone="z"),)))
    world.read({"p": True})
    raised = AlarmView(
        rule="r",
        alarm_class=AlarmClass.FAULT,
        state=AlarmState.ACTIVE_UNACKED,
        since=world.clock.stamp(),
        point="p",
        value=True,
        unit="",
        quality=Quality.GOOD,
        zone="z",
        is_latched=True,
    )
    assert seen(world) == raised
    world.command("inhibit", "r", actor="bo", reason="works", duration_s=60.0)
    world.clock.advance(20.0)
    world.command("silence", "r")
    assert seen(world) == replace(
        raised, is_silenced=True, is_inhibited=True, inhibited_left_s=40.0, inhibited_by="bo"
    )


def test_an_alarm_is_seen_with_what_decided_it_though_another_point_was_lost_since() -> None:
    both = AllOf(parts=(Contact(point="p"), Contact(point="q")))
    world = World(site(rule(condition=both), points=(point(), point("q"))))
    world.read({"p": True})
    world.read({"q": True})
    world.read({"p": None})
    assert seen(world).is_unknown
    assert (seen(world).point, seen(world).value, seen(world).quality) == ("q", True, Quality.GOOD)


def test_an_alarm_is_seen_with_the_unit_of_its_reading_and_one_of_the_clock_with_no_point() -> None:
    hour = Scheduled(calendar=Utc(), days=frozenset(range(7)), from_min=0, to_min=1440)
    high = Threshold(point="p", side=Side.ABOVE, limit=5.0)
    world = World(site(rule(condition=high), rule("hour", hour)))
    reading = replace(world.reading("p", 6.0), unit="kPa")
    world.do(world.engine.on_readings([reading], world.clock.stamp()))
    assert (seen(world).value, seen(world).unit) == (6.0, "kPa")
    assert (seen(world, "hour").state, seen(world, "hour").point) == (
        AlarmState.ACTIVE_UNACKED,
        "",
    )
    assert seen(world, "hour").zone == "", "nowhere, and not unknown"


@pytest.mark.parametrize(
    ("alarm_class", "ending"),
    [
        (AlarmClass.FIRE, "latched_acked"),
        (AlarmClass.GAS, "latched_acked"),
        (AlarmClass.SUPERVISORY, None),
    ],
)
def test_fire_and_gas_are_latched_whatever_the_rule_says(
    alarm_class: AlarmClass, ending: str | None
) -> None:
    world = World(site(rule(alarm_class=alarm_class, is_latched=False)))
    world.read({"p": True})
    world.command("ack")
    world.read({"p": False})
    assert world.alarms().get("r") == ending


def test_an_active_alarm_that_was_remembered_waits_for_no_old_delay() -> None:
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_UNACKED, since_wall_ms=5)
    world = World(site(rule(on_delay_s=5.0, off_delay_s=7.0)))
    world.read({"p": True})  # pending
    world.do(world.engine.restore(memory, world.clock.stamp()))
    assert world.alarms() == {"r": "active_unacked"}
    assert world.engine.snapshot(None).delays == ()
    world.read({"p": False})
    assert left_s(world) == 7.0
    engine = Engine(world.site, (memory,))
    assert engine.snapshot(None).delays == ()
