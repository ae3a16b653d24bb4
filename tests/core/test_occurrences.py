"""How often alarms come: first-out, re-alarm, chattering, flood; and what a manual call point calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.core.alarm import Alarm
from agent.core.effects import AlarmView, Event, EventKind
from agent.core.engine import Engine
from agent.core.families import tie
from agent.core.spec import (
    AlarmClass,
    Contact,
    Linkage,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
)
from agent.core.transitions import Given
from tests.core.timeline import World


def rule(number: int, **more: Any) -> RuleSpec:
    plain = RuleSpec(
        id=f"r{number}",
        alarm_class=AlarmClass.SUPERVISORY,
        condition=Contact(point=f"p{number}"),
        needs_ack=False,
    )
    return replace(plain, **more)


def site(*rules: RuleSpec) -> SiteSpec:
    return SiteSpec(
        site="s",
        box="box-1",
        points=tuple(
            PointSpec(id=f"p{number}", kind=PointKind.GENERIC, is_contact=True, stale_after_s=1e9)
            for number in range(12)
        ),
        rules=rules,
        outputs=(
            OutputSpec(id="siren", kind=OutputKind.SIREN),
            OutputSpec(id="buzzer", kind=OutputKind.BUZZER),
        ),
        linkages=(Linkage(id="all", outputs=("siren", "buzzer")),),
    )


def of(world: World, kind: EventKind) -> list[Event]:
    return [event for event in world.events if event.kind is kind]


def first_out(world: World) -> list[str]:
    return [each.rule for each in world.engine.alarms() if each.is_first_out]


def view(world: World, name: str = "r0") -> AlarmView:
    return next(each for each in world.engine.alarms() if each.rule == name)


# -- first-out ------------------------------------------------------------------------------------


def test_the_first_of_a_group_is_known_until_the_whole_group_is_normal() -> None:
    world = World(site(rule(0, group="g"), rule(1, group="g"), rule(2)))
    world.read({"p2": True})
    world.read({"p1": True})
    world.read({"p0": True})
    assert first_out(world) == ["r1"]
    assert [event.rule for event in of(world, EventKind.ALARM) if event.detail] == ["r1"]
    assert view(world, "r1").group == "g"
    world.read({"p1": False})
    assert first_out(world) == ["r1"], "it came first, though it went first too"
    world.read({"p1": True})
    assert first_out(world) == [], "not the first any more: the other stands"
    world.read({"p0": False})
    world.read({"p1": False})
    world.read({"p0": True})
    assert first_out(world) == ["r0"]
    world.read({"p0": False})
    assert first_out(world) == []
    assert view(world, "r0").is_first_out is False


def test_tests_and_real_alarms_each_have_their_first() -> None:
    world = World(site(rule(0, group="g"), rule(1, group="g")))
    world.command("drill", is_on=True, scope=("p0",), duration_s=60.0)
    world.read({"p0": True})
    world.read({"p1": True})
    assert first_out(world) == ["r0", "r1"]
    world.read({"p0": False})
    assert first_out(world) == ["r1"]


def test_first_out_survives_a_restart() -> None:
    world = World(site(rule(0, group="g"), rule(1, group="g")))
    world.read({"p0": True, "p1": True})
    world.restart()
    assert first_out(world) == ["r0"]


# -- re-alarm -------------------------------------------------------------------------------------


def test_an_acknowledged_alarm_that_stands_has_to_be_seen_anew() -> None:
    world = World(site(rule(0, realarm_s=60.0)))
    world.read({"p0": True})
    world.command("ack")
    world.command("silence")
    assert world.active_outputs() == []
    world.advance(59.5)
    assert world.alarms() == {"r0": "active_acked"}
    world.advance(1.0)
    assert world.alarms() == {"r0": "active_unacked"}
    assert world.active_outputs() == ["buzzer", "siren"], "no longer silenced"
    assert view(world).actor == ""
    event = of(world, EventKind.ALARM)[-1]
    assert (event.from_state, event.to_state) == ("active_acked", "active_unacked")
    world.command("ack")
    world.advance(61.0)
    assert world.alarms() == {"r0": "active_unacked"}, "again and again"


def test_what_ended_or_has_no_such_time_is_not_told_anew() -> None:
    world = World(site(rule(0, realarm_s=60.0), rule(1)))
    world.read({"p0": True, "p1": True})
    world.command("ack")
    world.read({"p0": False})
    world.advance(300.0)
    assert world.alarms() == {"r1": "active_acked"}


def test_what_is_clearing_or_inhibited_is_told_anew_only_later() -> None:
    world = World(site(rule(0, realarm_s=60.0, off_delay_s=20.0)))
    world.read({"p0": True})
    world.command("ack")
    world.advance(50.0)
    world.read({"p0": False})
    world.advance(15.0)
    assert world.alarms() == {"r0": "active_acked"}, "the time came while it was going"
    world.read({"p0": True})
    world.advance(50.0)
    world.command("inhibit", "r0", reason="work", duration_s=1000.0)
    world.advance(900.0)
    assert world.alarms() == {"r0": "active_acked"}
    world.advance(200.0)
    assert world.alarms() == {"r0": "active_unacked"}


def test_what_was_clearing_and_came_back_is_told_anew_one_time_later() -> None:
    world = World(site(rule(0, realarm_s=60.0, off_delay_s=20.0)))
    world.read({"p0": True})
    world.command("ack")
    world.advance(55.0)
    world.read({"p0": False})
    world.advance(10.0)
    world.read({"p0": True})
    world.advance(54.0)
    assert world.alarms() == {"r0": "active_acked"}
    world.advance(2.0)
    assert world.alarms() == {"r0": "active_unacked"}


def test_each_alarm_has_its_own_time_to_be_seen_anew_however_short() -> None:
    world = World(site(rule(0, realarm_s=1.0), rule(1, realarm_s=30.0), rule(2, realarm_s=0.5)))
    world.read({"p0": True, "p1": True, "p2": True})
    world.command("ack")
    world.advance(0.5)
    assert [each for each, state in world.alarms().items() if state == "active_unacked"] == ["r2"]
    world.advance(0.5)
    assert world.alarms()["r0"] == "active_unacked"
    assert world.alarms()["r1"] == "active_acked"
    world.advance(29.0)
    assert world.alarms()["r1"] == "active_unacked"


@pytest.mark.parametrize("is_late", [False, True])
def test_the_time_begins_anew_after_a_restart(is_late: bool) -> None:
    world = World(site(rule(0, realarm_s=60.0)))
    world.read({"p0": True})
    world.command("ack")
    world.advance(50.0)
    if is_late:
        (memory,) = world.engine.snapshot(None).memories
        world.engine = Engine(world.site)
        world.do(world.engine.start(world.clock.stamp()))
        world.do(world.engine.restore(memory, world.clock.stamp()))
    else:
        world.restart()
    world.advance(59.0)
    assert world.alarms() == {"r0": "active_acked"}
    world.advance(2.0)
    assert world.alarms() == {"r0": "active_unacked"}


# -- chattering -----------------------------------------------------------------------------------


def cycle(world: World, times: int, pause_s: float, point: str = "p0") -> None:
    for _ in range(times):
        world.read({point: True})
        world.read({point: False})
        world.advance(pause_s)


@pytest.mark.parametrize("alarm_class", [AlarmClass.FIRE, AlarmClass.SUPERVISORY])
def test_three_cycles_in_a_minute_chatter_and_a_calm_minute_ends_it(
    alarm_class: AlarmClass,
) -> None:
    world = World(site(rule(0, alarm_class=alarm_class)))
    cycle(world, 2, 20.0)
    assert not of(world, EventKind.CHATTERING)
    cycle(world, 1, 20.0)
    (event,) = of(world, EventKind.CHATTERING)
    assert (event.rule, event.from_state, event.to_state) == ("r0", "steady", "chattering")
    assert view(world).is_chattering
    world.read({"p0": True})
    assert world.alarms() == {"r0": "active_unacked"}, "chattering hides nothing"
    assert world.active_outputs() == ["buzzer", "siren"]
    world.read({"p0": False})
    world.advance(59.0)
    assert view(world).is_chattering
    world.advance(2.0)
    event = of(world, EventKind.CHATTERING)[-1]
    assert (event.from_state, event.to_state) == ("chattering", "steady")
    assert not view(world).is_chattering


def test_only_the_last_cycles_count() -> None:
    world = World(site(rule(0)))
    cycle(world, 5, 60.0)
    cycle(world, 2, 5.0)
    assert not of(world, EventKind.CHATTERING)
    cycle(world, 1, 5.0)
    assert [event.to_state for event in of(world, EventKind.CHATTERING)] == ["chattering"]
    world.advance(60.0)
    assert view(world).is_chattering is False


def test_slower_cycles_do_not_chatter() -> None:
    world = World(site(rule(0)))
    cycle(world, 6, 30.0)
    assert not of(world, EventKind.CHATTERING)


# -- flood ----------------------------------------------------------------------------------------

MANY = site(*(rule(number) for number in range(12)))


def raise_each(world: World, *numbers: int, every_s: float) -> None:
    for number in numbers:
        world.read({f"p{number}": True})
        world.advance(every_s)


def test_ten_new_alarms_in_ten_minutes_are_a_flood_until_fewer_than_five_are() -> None:
    world = World(MANY)
    raise_each(world, *range(9), every_s=60.0)
    assert not of(world, EventKind.FLOOD)
    world.read({"p9": True})
    (event,) = of(world, EventKind.FLOOD)
    assert (event.subject, event.from_state, event.to_state) == ("box-1", "steady", "flood")
    world.advance(60.0)
    world.read({"p10": True})
    # now at 600 s: the fifth newest came at 360 s and leaves the window at 960 s
    world.advance(359.0)
    assert len(of(world, EventKind.FLOOD)) == 1
    world.advance(2.0)
    assert [event.to_state for event in of(world, EventKind.FLOOD)] == ["flood", "steady"]
    world.read({"p11": True})
    assert len(of(world, EventKind.FLOOD)) == 2


@pytest.mark.parametrize(("last_s", "expected"), [(599.0, ["flood"]), (600.0, [])])
def test_the_tenth_alarm_counts_within_ten_minutes_of_the_first(
    last_s: float, expected: list[str]
) -> None:
    world = World(MANY)
    raise_each(world, *range(9), every_s=0.0)
    world.advance(last_s)
    world.read({"p9": True})
    assert [event.to_state for event in of(world, EventKind.FLOOD)] == expected


def test_alarms_long_ago_hide_no_flood() -> None:
    world = World(MANY)
    raise_each(world, *range(12), every_s=100.0)
    world.read(dict.fromkeys((f"p{number}" for number in range(12)), False))
    assert not of(world, EventKind.FLOOD)
    raise_each(world, *range(10), every_s=1.0)
    assert [event.to_state for event in of(world, EventKind.FLOOD)] == ["flood"]


def test_each_flood_is_written_down_with_its_begin_and_its_end() -> None:
    world = World(MANY)
    for _ in range(2):
        raise_each(world, *range(10), every_s=0.0)
        begin = Event(
            kind=EventKind.FLOOD,
            subject="box-1",
            at=world.clock.stamp(),
            from_state="steady",
            to_state="flood",
        )
        world.read(dict.fromkeys((f"p{number}" for number in range(10)), False))
        world.advance(600.0)
        end = replace(begin, at=world.clock.stamp(), from_state="flood", to_state="steady")
        assert of(world, EventKind.FLOOD)[-2:] == [begin, end]
    assert len(of(world, EventKind.FLOOD)) == 4


def test_ten_alarms_over_a_longer_time_are_none_and_tests_do_not_count() -> None:
    world = World(MANY)
    raise_each(world, *range(10), every_s=67.0)
    assert not of(world, EventKind.FLOOD)
    drilled = World(MANY)
    scope = tuple(f"p{number}" for number in range(12))
    drilled.command("drill", is_on=True, scope=scope, duration_s=600.0)
    raise_each(drilled, *range(12), every_s=1.0)
    assert not of(drilled, EventKind.FLOOD)


# -- the fault hierarchy ---------------------------------------------------------------------------


def alarms(*specs: tuple[RuleSpec, str]) -> dict[str, Alarm]:
    made = {spec.id: Alarm(spec, zone) for spec, zone in specs}
    tie(made)
    return made


def test_what_is_above_is_found_near_and_far_and_only_fire_and_gas_have_nothing_above() -> None:
    bus, line, end = rule(3), rule(1, suppressed_by=("r3",)), rule(0, suppressed_by=("r1", "r2"))
    fire = rule(2, alarm_class=AlarmClass.FIRE, suppressed_by=("r3",))
    made = alarms(*((each, "") for each in (bus, line, end, fire)))
    assert {
        name: sorted(each.spec.id for each in alarm.parents) for name, alarm in made.items()
    } == {"r3": [], "r1": ["r3"], "r0": ["r1", "r2", "r3"], "r2": []}
    assert [each.spec.id for each in made["r3"].children] == ["r1", "r0"]


# -- manual call points ---------------------------------------------------------------------------


def stand(alarm: Alarm, *, is_test: bool = False) -> None:
    alarm.take(Given.MET, 0.0)
    alarm.take(Given.DELAY_OVER, 0.0)
    alarm.is_test = is_test


def test_a_call_point_calls_its_zone_and_its_group_while_it_stands() -> None:
    made = alarms(
        (rule(0, is_call_point=True, group="g", is_latched=True), "hall"),
        (rule(1), "hall"),
        (rule(2, group="g"), "shed"),
        (rule(3), "shed"),
    )

    def called() -> list[str]:
        return [name for name, alarm in made.items() if alarm.is_called]

    assert called() == []
    stand(made["r0"])
    assert called() == ["r0", "r1", "r2"]
    assert {each.spec.id for each in made["r0"].calls} == {"r0", "r1", "r2"}
    for given in (Given.NOT_MET, Given.DELAY_OVER):
        made["r0"].take(given, 1.0)
    assert called() == ["r0", "r1", "r2"], "latched"
    for given in (Given.ACK, Given.RESET):
        made["r0"].take(given, 1.0)
    assert called() == []


def test_a_call_point_without_a_place_calls_itself_only_by_its_group() -> None:
    made = alarms((rule(0, is_call_point=True), ""), (rule(1), ""), (rule(2, group="g"), ""))
    stand(made["r0"])
    assert not any(alarm.is_called for alarm in made.values())


def test_a_call_point_in_a_drill_calls_no_real_alarm() -> None:
    made = alarms((rule(0, is_call_point=True), "hall"), (rule(1), "hall"), (rule(2), "hall"))
    stand(made["r0"], is_test=True)
    stand(made["r2"], is_test=True)
    assert not made["r1"].is_called
    assert made["r2"].is_called
