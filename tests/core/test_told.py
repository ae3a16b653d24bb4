"""What is written down of each thing that happens, whole: no field more, none less, none otherwise.

These records are the journal people read after a fire and what the cloud is told, so each is held to
every field.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.core.effects import AlarmState, Effect, Event, EventKind, Record
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, DelayMemory, Orders
from agent.core.spec import AlarmClass, Contact, PointSpec, Side, Threshold, Unheard
from drivers.clock import Stamp
from drivers.reading import Quality, Reading
from tests.core import test_engine as plain
from tests.core.test_linkages import POINTS, order, output, read, self_latching, world
from tests.core.test_standing import HOUR_S, SITE, inhibit, late, start_anew
from tests.core.timeline import World

CLASS = {"alarm_class": AlarmClass.FIRE}


def only(events: list[Event], kind: EventKind) -> list[Event]:
    return [event for event in events if event.kind is kind]


def recorded(effects: list[Effect]) -> list[Event]:
    return [effect.event for effect in effects if isinstance(effect, Record)]


def now(made: World) -> Stamp:
    return made.clock.stamp()


# -- outputs ---------------------------------------------------------------------------------------


def about_output(made: World, code: str, **more: Any) -> Event:
    return replace(
        Event(kind=EventKind.OUTPUT, subject="fan", at=now(made), zone="roof", code=code), **more
    )


def test_what_waits_for_its_delay() -> None:
    made = world(output("fan", zone="roof"), delay_s=60.0)
    read(made, smoke_1=True)
    assert only(made.events, EventKind.OUTPUT) == [
        about_output(made, "delay", to_state="waiting", rule="smoke-a", **CLASS)
    ]


def test_what_waits_for_a_person_names_the_alarm_that_asked_first() -> None:
    made = world(output("fan", zone="roof"), needs=2)
    order(made, "mode", mode="manual")
    read(made, smoke_2=True)
    read(made, smoke_1=True)
    assert only(made.events, EventKind.OUTPUT) == [
        about_output(made, "manual", to_state="waiting", rule="smoke-b", **CLASS)
    ]


def test_what_an_interlock_stops() -> None:
    made = world(output("fan", zone="roof", interlock="interlock.fan"))
    read(made, smoke_1=True)
    read(made, door=True)
    assert only(made.events, EventKind.OUTPUT) == [
        about_output(made, "interlock", to_state="blocked", rule="smoke-a", **CLASS)
    ]


def test_what_a_person_tests_and_an_interlock_stops_is_nobodys_alarm() -> None:
    made = world(output("fan", zone="roof", interlock="interlock.fan", test_max_s=60.0))
    order(made, "output", "fan", is_on=True, duration_s=60.0)
    read(made, door=True)
    assert only(made.events, EventKind.OUTPUT) == [
        about_output(made, "interlock", to_state="blocked")
    ]


def test_what_ran_its_longest_time() -> None:
    made = world(output("fan", zone="roof", max_on_s=30.0))
    read(made, smoke_1=True)
    made.advance(30.0)
    assert only(made.events, EventKind.OUTPUT) == [
        about_output(made, "max_on_time", to_state="blocked", rule="smoke-a", **CLASS)
    ]


def test_a_cut_and_that_it_was_given_back() -> None:
    made = world(output("fan", "cut-off", zone="roof", is_restored_by_hand=True))
    read(made, smoke_1=True)
    cut = about_output(made, "cut", to_state="cut", rule="smoke-a", **CLASS)
    made.advance(5.0)
    read(made, smoke_1=False)
    made.command("ack")
    made.command("reset")
    order(made, "restore", "fan", reason="looked", code="real")
    assert only(made.events, EventKind.OUTPUT) == [
        cut,
        about_output(
            made, "restored", from_state="cut", to_state="restored", actor="anna", reason="looked"
        ),
    ]


@pytest.mark.parametrize("is_drill", [False, True])
def test_what_waits_in_a_drill_says_that_it_is_a_test(is_drill: bool) -> None:
    made = world(output("fan", zone="roof"), delay_s=60.0)
    if is_drill:
        order(
            made, "drill", is_on=True, scope=("smoke-1",), duration_s=600.0, with_linkage=True
        )  # fmt: skip
    read(made, smoke_1=True)
    assert [event.is_test for event in only(made.events, EventKind.OUTPUT)] == [is_drill]


def test_the_mode_and_who_ordered_it() -> None:
    made = world(output("fan"))
    order(made, "mode", mode="manual", reason="works", code="real")
    order(made, "mode", mode="auto")
    told = Event(kind=EventKind.MODE, subject="box", at=now(made), actor="anna")
    assert only(made.events, EventKind.MODE) == [
        replace(told, from_state="auto", to_state="manual", reason="works"),
        replace(told, from_state="manual", to_state="auto"),
    ]


def test_a_reset_that_a_detector_refused() -> None:
    made = self_latching()
    made.command("ack", "smoke-a")
    order(made, "reset", "smoke-a", code="real")
    made.advance(29.9)
    known = len(made.events)
    made.advance(0.2)
    (told,) = made.events[known:]
    assert told == Event(
        kind=EventKind.COMMAND, subject="smoke-a", at=told.at, alarm_class=AlarmClass.FIRE,
        rule="smoke-a", to_state="reset", actor="anna", code="condition_holds",
        reason="the detector is in alarm again after its supply was pulsed", zone="hall",
    )  # fmt: skip
    assert told.at.mono_s == pytest.approx(now(made).mono_s - 0.1)


# -- inhibits --------------------------------------------------------------------------------------


def about_inhibit(world: World, before: str, after: str, **more: Any) -> Event:
    told = Event(
        kind=EventKind.INHIBIT, subject="fire-a", at=now(world), alarm_class=AlarmClass.FIRE,
        rule="fire-a", point="a", from_state=before, to_state=after, is_acked=True, zone="shed",
    )  # fmt: skip
    return replace(told, **more)


def test_an_inhibit_and_its_end_by_a_person() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    began = about_inhibit(
        world, "uninhibited", "inhibited",
        actor="anna", reason="welding", detail={"seconds": 60.0},
    )  # fmt: skip
    world.advance(1.0)
    world.command("uninhibit", "fire-a", actor="bo", reason="done")
    ended = about_inhibit(
        world, "inhibited", "uninhibited", actor="bo", reason="done", detail={"seconds": 0.0}
    )
    assert only(world.events, EventKind.INHIBIT) == [began, ended]


def test_an_inhibit_that_time_ends_keeps_its_reason_and_names_nobody() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    world.advance(60.0)
    assert only(world.events, EventKind.INHIBIT)[1:] == [
        about_inhibit(
            world, "inhibited", "uninhibited",
            code="expired", reason="welding", detail={"seconds": 0.0},
        )
    ]  # fmt: skip


def test_an_inhibit_taken_up_after_a_restart() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    orders = world.engine.snapshot(None).orders
    world.clock.advance(20.0)
    after = start_anew(world, orders)
    assert after.events == [
        about_inhibit(
            world, "inhibited", "inhibited",
            actor="anna", reason="welding", code="restart", detail={"seconds": 40.0},
        )
    ]  # fmt: skip


def test_an_inhibit_that_the_log_knows_to_have_ended() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    after = start_anew(world, world.engine.snapshot(None).orders)
    after.events.clear()
    late(after, Orders())
    assert after.events == [
        about_inhibit(
            world, "inhibited", "uninhibited", code="restart", detail={"seconds": 0.0}
        )
    ]  # fmt: skip


def test_an_inhibit_of_a_rule_that_is_gone() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    (memory,) = world.engine.snapshot(None).orders.inhibits.values()
    after = start_anew(world, Orders(inhibits={"gone": replace(memory, rule="gone")}))
    assert after.events == [
        Event(
            kind=EventKind.INHIBIT, subject="gone", at=now(world), rule="gone",
            from_state="inhibited", to_state="uninhibited", code="rule_removed",
            detail={"seconds": 0.0},
        )
    ]  # fmt: skip


def test_what_an_inhibit_held_back_names_no_person_as_its_cause() -> None:
    world = World(SITE)
    inhibit(world)
    world.read({"a": True})
    world.command("uninhibit", "fire-a", actor="bo", reason="done", code="real")
    raised = [event for event in only(world.events, EventKind.ALARM) if event.rule == "fire-a"]
    assert raised == [
        Event(
            kind=EventKind.ALARM, subject="fire-a", at=now(world), alarm_class=AlarmClass.FIRE,
            rule="fire-a", point="a", from_state="normal", to_state="active_unacked",
            is_acked=False, value=True, quality=Quality.GOOD, reason="uninhibited", zone="shed",
        )
    ]  # fmt: skip


# -- drills ----------------------------------------------------------------------------------------


def about_drill(world: World, before: str, after: str, seconds: float, **more: Any) -> Event:
    told = Event(
        kind=EventKind.DRILL, subject="box-1", at=now(world), from_state=before, to_state=after,
        detail={"scope": "shed c", "seconds": seconds, "with_linkage": True},
    )  # fmt: skip
    return replace(told, **more)


def drilled(**more: Any) -> World:
    world = World(SITE)
    world.command(
        "drill", is_on=True, scope=("shed", "c"), duration_s=60.0, with_linkage=True,
        reason="yearly", **more,
    )  # fmt: skip
    return world


def test_a_drill_and_its_end_by_a_person() -> None:
    world = drilled()
    began = about_drill(world, "ended", "started", 60.0, actor="anna", reason="yearly")
    world.advance(1.0)
    world.command("drill", is_on=False, actor="bo", reason="enough")
    ended = about_drill(world, "started", "ended", 0.0, actor="bo", reason="enough")
    assert only(world.events, EventKind.DRILL) == [began, ended]


def test_a_drill_that_time_ends() -> None:
    world = drilled()
    world.advance(60.0)
    assert only(world.events, EventKind.DRILL)[1:] == [
        about_drill(world, "started", "ended", 0.0, code="expired")
    ]


def test_a_drill_taken_up_after_a_restart() -> None:
    world = drilled()
    orders = world.engine.snapshot(None).orders
    world.clock.advance(20.0)
    after = start_anew(world, orders)
    assert after.events == [
        about_drill(
            world, "started", "started", 40.0, actor="anna", reason="yearly", code="restart"
        )
    ]


def test_a_drill_that_the_log_knows_to_have_ended() -> None:
    world = drilled()
    after = start_anew(world, world.engine.snapshot(None).orders)
    after.events.clear()
    late(after, Orders())
    assert after.events == [about_drill(world, "started", "ended", 0.0, code="restart")]


def test_the_end_of_a_test_alarm_names_the_drill_and_nobody() -> None:
    world = drilled()
    world.read({"c": True})
    world.advance(5.0)
    world.read({"c": False})
    world.command("drill", is_on=False, reason="enough", code="real")
    told = only(world.events, EventKind.ALARM)[-1]
    assert told == Event(
        kind=EventKind.ALARM, subject="fire-c", at=now(world), alarm_class=AlarmClass.FIRE,
        rule="fire-c", point="c", from_state="latched_unacked", to_state="normal", is_acked=True,
        value=False, quality=Quality.GOOD, code="drill_ended", zone="shed", is_test=True,
    )  # fmt: skip


# -- rules -----------------------------------------------------------------------------------------


def test_a_rule_that_breaks_down_and_recovers() -> None:
    limit = plain.Brittle(57.0)
    broken = plain.rule(
        condition=Threshold(point="p", side=Side.ABOVE, limit=limit),
        alarm_class=AlarmClass.FIRE, zone="shed",
    )  # fmt: skip
    world = World(plain.site(broken))
    world.read({"p": 20.0})
    told = Event(
        kind=EventKind.SYSTEM, subject="r", at=now(world), alarm_class=AlarmClass.FAULT, rule="r",
        to_state="failed", code="rule_failed", reason="ZeroDivisionError: brittle", zone="shed",
    )  # fmt: skip
    assert world.events == [told]
    limit.is_broken = False
    world.clock.advance(1.0)
    world.read({"p": 21.0})
    assert world.events[1:] == [replace(told, at=now(world), to_state="recovered", reason="")]


def test_the_alarm_of_a_rule_that_is_gone() -> None:
    world = World(plain.site(plain.rule()))
    memory = AlarmMemory(rule="gone", state=AlarmState.LATCHED_ACKED, since_wall_ms=5)
    told = recorded(world.do(world.engine.restore(memory, now(world))))
    assert told == [
        Event(
            kind=EventKind.ALARM, subject="gone", at=now(world), rule="gone",
            from_state="latched_acked", to_state="normal", code="rule_removed",
        )
    ]  # fmt: skip
    assert recorded(world.engine.restore(memory, now(world))) == told, "each time it is asked"


def test_a_delay_that_begins_anew() -> None:
    world = World(SITE)
    engine = Engine(SITE, delays=(DelayMemory(rule="fire-c", left_s=3.0),))
    assert recorded(engine.start(now(world))) == [
        Event(
            kind=EventKind.SYSTEM, subject="fire-c", at=now(world), alarm_class=AlarmClass.FIRE,
            rule="fire-c", to_state="delay_restarted", zone="shed", detail={"seconds": 3.0},
        )
    ]  # fmt: skip


def measured() -> tuple[World, Event]:
    """A technical alarm on a pressure with a parent on a contact, and what its records have in common."""
    low = plain.rule(
        "low", Threshold(point="p", side=Side.BELOW, limit=100.0),
        zone="roof", suppressed_by=("parent",),
    )  # fmt: skip
    parent = plain.rule("parent", Contact(point="q"), needs_ack=False)
    points: tuple[PointSpec, ...] = (plain.point(unit="kPa"), plain.point("q"))
    world = World(plain.site(low, parent, points=points, kinds="siren"))
    reading = replace(world.reading("p", 80.0), unit="kPa")
    world.do(world.engine.on_readings([reading], now(world)))
    told = Event(
        kind=EventKind.ALARM, subject="low", at=now(world), alarm_class=AlarmClass.FAULT,
        rule="low", point="p", from_state="normal", to_state="active_unacked", is_acked=False,
        value=80.0, unit="kPa", quality=Quality.GOOD, zone="roof",
    )  # fmt: skip
    assert world.events == [told]
    world.events.clear()
    world.clock.advance(1.0)
    return world, replace(told, at=now(world))


def test_an_alarm_that_is_suppressed_and_released() -> None:
    world, low = measured()
    told = replace(low, kind=EventKind.SUPPRESSION, reason="parent")
    world.read({"q": True})
    assert only(world.events, EventKind.SUPPRESSION) == [
        replace(told, from_state="unsuppressed", to_state="suppressed")
    ]
    world.events.clear()
    world.read({"q": False})
    assert only(world.events, EventKind.SUPPRESSION) == [
        replace(told, from_state="suppressed", to_state="unsuppressed")
    ]


def test_an_alarm_that_is_silenced() -> None:
    world, low = measured()
    world.command("silence", "low", code="real", reason="heard")
    assert only(world.events, EventKind.SILENCE) == [
        replace(
            low, kind=EventKind.SILENCE, from_state="unsilenced", to_state="silenced",
            actor="anna", code="real", reason="heard",
        )
    ]  # fmt: skip


def test_a_silence_that_a_new_alarm_ends() -> None:
    world, low = measured()
    world.command("silence", "low")
    world.events.clear()
    world.read({"q": True})
    told = only(world.events, EventKind.SILENCE)
    assert told == [
        replace(
            low, kind=EventKind.SILENCE, from_state="silenced", to_state="unsilenced",
            code="new_alarm", reason="parent",
        )
    ]  # fmt: skip


def test_an_alarm_that_a_person_acknowledged() -> None:
    world, low = measured()
    world.command("ack", "low", reason="seen")
    assert only(world.events, EventKind.ALARM) == [
        replace(
            low, from_state="active_unacked", to_state="active_acked", is_acked=True,
            actor="anna", reason="seen",
        )
    ]  # fmt: skip


def test_an_alarm_of_a_point_that_was_never_read_has_no_value() -> None:
    world = World(plain.site(plain.rule(condition=Unheard(point="p"))))
    assert world.events == [
        Event(
            kind=EventKind.ALARM, subject="r", at=now(world), alarm_class=AlarmClass.FAULT,
            rule="r", point="p", from_state="normal", to_state="active_unacked", is_acked=False,
        )
    ]  # fmt: skip


# -- readings --------------------------------------------------------------------------------------


def test_a_silent_point() -> None:
    world = World(plain.site(plain.rule(), points=(plain.point(unit="kPa", stale_after_s=2.5),)))
    world.clock.advance(2.5)
    world.tick()
    assert world.engine.reading("p") == Reading(
        point="p", value=None, quality=Quality.STALE, unit="kPa", at=now(world),
        reason="no reading for 2.5 s",
    )  # fmt: skip


def test_nothing_is_told_of_an_ordinary_day() -> None:
    made = world(output("fan", zone="roof"), output("siren", "siren"))
    made.advance(HOUR_S / 60)
    made.read(dict.fromkeys(POINTS, False))
    assert made.events == []
