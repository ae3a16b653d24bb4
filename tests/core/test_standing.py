"""What people order for a time: inhibit and drill, with everything that must not come of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.core.commands import HANDLERS
from agent.core.effects import (
    AlarmState,
    AlarmView,
    Command,
    CommandName,
    Effect,
    Event,
    EventKind,
    OrdersView,
    Outcome,
    Record,
)
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, DelayMemory, Orders, apply_event, orders_after
from agent.core.spec import (
    AlarmClass,
    AllOf,
    Contact,
    Linkage,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
)
from drivers.clock import ClockState, ManualClock, Stamp
from tests.core.timeline import World

HOUR_S = 3600.0


def fire(name: str, point: str, **more: Any) -> RuleSpec:
    plain = RuleSpec(id=name, alarm_class=AlarmClass.FIRE, condition=Contact(point=point))
    return replace(plain, **more)


SITE = SiteSpec(
    site="s",
    box="box-1",
    points=tuple(
        PointSpec(id=name, kind=PointKind.SMOKE, zone=zone, is_contact=True, stale_after_s=1e9)
        for name, zone in {"a": "shed", "b": "hall", "c": ""}.items()
    ),
    rules=(
        fire("fire-a", "a"),
        fire("fire-b", "b"),
        fire("fire-c", "c", zone="shed", on_delay_s=5.0),
        fire("fire-ab", "a", condition=AllOf(parts=(Contact(point="a"), Contact(point="b")))),
        RuleSpec(
            id="valve",
            alarm_class=AlarmClass.SUPERVISORY,
            condition=Contact(point="a", is_active=True),
            needs_ack=False,
        ),
    ),
    outputs=(
        OutputSpec(id="siren", kind=OutputKind.SIREN),
        OutputSpec(id="cut", kind=OutputKind.CUT_OFF),
    ),
    linkages=(Linkage(id="all", outputs=("siren", "cut"), classes=(AlarmClass.FIRE,)),),
)


def kinds(world: World, kind: EventKind) -> list[Event]:
    return [event for event in world.events if event.kind is kind]


def view(world: World, rule: str) -> AlarmView:
    return next(each for each in world.engine.alarms() if each.rule == rule)


def inhibit(world: World, target: str = "fire-a", seconds: float | None = HOUR_S) -> Outcome:
    return world.command("inhibit", target, reason="welding", duration_s=seconds)


def drill(world: World, *scope: str, seconds: float = HOUR_S, with_linkage: bool = False) -> None:
    outcome = world.command(
        "drill", is_on=True, scope=scope, duration_s=seconds, with_linkage=with_linkage
    )
    assert outcome.ok, outcome


def alarm_events(world: World, rule: str) -> list[tuple[str, str, bool, str]]:
    return [
        (event.from_state, event.to_state, event.is_test, event.code)
        for event in kinds(world, EventKind.ALARM)
        if event.rule == rule
    ]


# -- inhibit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"target": ""}, "bad_argument"),
        ({"target": "fire-z"}, "unknown_rule"),
        ({"reason": ""}, "no_reason"),
        ({"reason": "  "}, "no_reason"),
        ({"duration_s": None}, "no_end"),
        ({"duration_s": 0.0}, "bad_argument"),
        ({"duration_s": -1.0}, "bad_argument"),
        ({"duration_s": float("nan")}, "bad_argument"),
        ({"duration_s": float("inf")}, "bad_argument"),
        ({"duration_s": 7 * 86400.0 + 1}, "too_long"),
        ({"actor": ""}, "bad_argument"),
    ],
)
def test_an_inhibit_without_target_reason_or_end_is_refused_recorded_and_changes_nothing(
    more: dict[str, Any], code: str
) -> None:
    world = World(SITE)
    before, known = world.engine.alarms(), len(world.events)
    wish: dict[str, Any] = {"target": "fire-a", "reason": "welding", "duration_s": 60.0}
    outcome = world.command("inhibit", **(wish | more))
    assert (outcome.ok, outcome.code) == (False, code)
    assert outcome.message
    assert [event.code for event in world.events[known:]] == [code]
    assert world.engine.alarms() == before


def test_the_longest_inhibit_is_the_sites_affair() -> None:
    world = World(replace(SITE, inhibit_max_s=60.0))
    assert inhibit(world, seconds=61.0).code == "too_long"
    assert inhibit(world, seconds=60.0).ok


def test_an_inhibited_alarm_is_seen_and_raises_nothing_until_its_time_is_over() -> None:
    world = World(SITE)
    assert inhibit(world).ok
    (event,) = kinds(world, EventKind.INHIBIT)
    assert (event.from_state, event.to_state, event.actor, event.reason) == (
        "uninhibited", "inhibited", "anna", "welding",
    )  # fmt: skip
    assert (event.rule, event.detail, event.code) == ("fire-a", {"seconds": HOUR_S}, "")
    world.advance(600.0)
    world.read({"a": True})
    shown = view(world, "fire-a")
    assert (shown.state, shown.is_pending, shown.is_inhibited) == (AlarmState.NORMAL, True, True)
    assert (shown.inhibited_left_s, shown.inhibited_by) == (HOUR_S - 600, "anna")
    assert world.active_outputs() == []
    world.advance(HOUR_S - 600)
    assert view(world, "fire-a").state is AlarmState.ACTIVE_UNACKED
    assert world.active_outputs() == ["cut", "siren"]
    event = kinds(world, EventKind.INHIBIT)[-1]
    assert (event.to_state, event.code, event.actor) == ("uninhibited", "expired", "")
    assert view(world, "fire-a").inhibited_left_s is None


def test_a_condition_that_went_while_inhibited_leaves_nothing_behind() -> None:
    world = World(SITE)
    inhibit(world, "a")
    world.read({"a": True})
    world.read({"a": False})
    assert world.command("uninhibit", "a").ok
    assert world.alarms() == {}


def test_an_unknown_condition_raises_nothing_at_the_inhibits_end() -> None:
    world = World(SITE)
    inhibit(world)
    world.read({"a": True})
    world.read({"a": None})
    world.command("uninhibit", "fire-a")
    assert "fire-a" not in world.alarms()
    world.read({"a": True})
    assert "fire-a" in world.alarms()


def test_what_is_up_stays_up_with_its_outputs_and_is_told_anew_at_the_end() -> None:
    world = World(SITE)
    world.read({"b": True})
    world.command("ack", "fire-b")
    world.command("silence", "fire-b")
    assert inhibit(world, "b").ok
    assert view(world, "fire-b").state is AlarmState.ACTIVE_ACKED
    assert world.active_outputs() == ["cut"], "silenced, and still cut"
    world.command("uninhibit", "fire-b")
    assert view(world, "fire-b").state is AlarmState.ACTIVE_UNACKED
    assert world.active_outputs() == ["cut", "siren"], "somebody has to look at it again"


def test_an_inhibited_alarm_that_was_up_ends_as_always_and_does_not_come_again() -> None:
    world = World(SITE)
    world.read({"b": True})
    inhibit(world, "fire-b")
    world.read({"b": False})
    assert view(world, "fire-b").state is AlarmState.LATCHED_UNACKED
    world.command("ack", "fire-b")
    world.read({"b": True})
    assert view(world, "fire-b").state is AlarmState.LATCHED_ACKED, "nothing new while inhibited"
    assert world.command("reset", "fire-b").code == "condition_holds"
    world.read({"b": False})
    assert world.command("reset", "fire-b").ok
    world.read({"b": True})
    assert view(world, "fire-b").state is AlarmState.NORMAL


def test_a_point_inhibits_every_rule_that_watches_it_and_frees_those_it_can() -> None:
    world = World(SITE)
    assert inhibit(world, "fire-ab").ok
    assert inhibit(world, "a").ok
    inhibited = [each.rule for each in world.engine.alarms() if each.is_inhibited]
    assert inhibited == ["fire-a", "fire-ab", "valve"]
    assert inhibit(world, "a").code == "already_inhibited"
    assert world.command("uninhibit", "fire-a").ok
    assert world.command("uninhibit", "fire-a").code == "not_inhibited"
    assert world.command("uninhibit", "a").ok
    assert not any(each.is_inhibited for each in world.engine.alarms())
    assert world.command("uninhibit", "a").code == "not_inhibited"
    assert world.command("uninhibit", "z").code == "unknown_rule"
    assert world.command("uninhibit").code == "bad_argument"
    world.advance(2 * HOUR_S)
    assert not [event for event in world.events if event.code == "expired"], "its time is no more"


def test_the_end_comes_before_a_reading_of_a_later_moment() -> None:
    world = World(SITE)
    inhibit(world, seconds=10.0)
    world.read({"a": True})
    world.clock.advance(11.0)
    world.read({"a": False})
    assert view(world, "fire-a").state is AlarmState.LATCHED_UNACKED, "it was on at the end"


# -- drill ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"is_on": None}, "bad_argument"),
        ({"is_on": False}, "no_drill"),
        ({"scope": ()}, "bad_argument"),
        ({"scope": ("shed", "attic")}, "unknown_point"),
        ({"duration_s": None}, "no_end"),
        ({"duration_s": 4 * HOUR_S + 1}, "too_long"),
        ({"duration_s": 10 * 365 * 86400.0}, "too_long"),
        ({"duration_s": 0.0}, "bad_argument"),
    ],
)
def test_a_drill_without_end_or_place_is_refused_recorded_and_changes_nothing(
    more: dict[str, Any], code: str
) -> None:
    world = World(SITE)
    wish: dict[str, Any] = {"is_on": True, "scope": ("shed",), "duration_s": HOUR_S}
    outcome = world.command("drill", **(wish | more))
    assert (outcome.ok, outcome.code) == (False, code)
    assert [event.code for event in world.events] == [code]


def test_a_drill_never_leaves_as_fire_and_demands_nothing() -> None:
    world = World(SITE)
    drill(world, "shed")
    assert world.command("drill", is_on=True, scope=("hall",), duration_s=9.0).code == "drill_runs"
    world.read({"a": True, "b": False})
    assert view(world, "fire-a").is_test
    assert world.active_outputs() == []
    world.command("ack", "fire-a")
    world.read({"a": False})
    world.command("reset", "fire-a")
    assert world.alarms() == {}
    about_a = [event for event in world.events if event.rule == "fire-a"]
    assert about_a
    assert all(event.is_test for event in about_a)
    assert not view(world, "fire-a").is_test


def test_a_drill_with_linkage_moves_outputs_and_its_end_moves_them_back() -> None:
    world = World(SITE)
    drill(world, "a", with_linkage=True)
    world.read({"a": True})
    assert world.active_outputs() == ["cut", "siren"]
    world.read({"a": False})
    assert world.active_outputs() == ["cut", "siren"], "latched, as a real one"
    assert world.command("drill", is_on=False).ok
    assert world.active_outputs() == []
    assert world.alarms() == {}


def test_a_real_alarm_outside_the_drill_acts_as_always() -> None:
    world = World(SITE)
    drill(world, "shed")
    world.read({"b": True})
    assert not view(world, "fire-b").is_test
    assert world.active_outputs() == ["cut", "siren"]


def test_a_rule_that_looks_at_a_point_outside_the_drill_stays_real() -> None:
    world = World(SITE)
    drill(world, "shed")
    world.read({"a": True, "b": True})
    assert view(world, "fire-a").is_test
    assert not view(world, "fire-ab").is_test


def test_what_was_up_when_the_drill_began_stays_real_until_it_is_normal() -> None:
    world = World(SITE)
    world.read({"a": True, "c": True})
    assert view(world, "fire-c").is_pending
    drill(world, "shed")
    world.advance(5.0)
    assert not view(world, "fire-a").is_test
    assert not view(world, "fire-c").is_test, "its delay ran before the drill"
    world.read({"a": False})
    world.read({"a": True})
    assert not view(world, "fire-a").is_test, "latched all the time"
    world.read({"a": False})
    world.command("ack", "fire-a")
    world.command("reset", "fire-a")
    world.read({"a": True})
    assert view(world, "fire-a").is_test


@pytest.mark.parametrize("by", ["person", "time"])
def test_the_end_of_a_drill_ends_its_alarms_and_what_holds_becomes_real(by: str) -> None:
    world = World(SITE)
    drill(world, "shed", seconds=60.0)
    world.read({"a": True})
    world.read({"c": True})
    world.advance(6.0)
    world.read({"c": False})
    assert set(world.alarms()) == {"fire-a", "fire-c", "valve"}
    if by == "person":
        world.command("drill", is_on=False)
    else:
        world.advance(54.0)
    assert world.alarms() == {"fire-a": "active_unacked", "valve": "active_unacked"}
    assert alarm_events(world, "fire-a") == [
        ("normal", "active_unacked", True, ""),
        ("active_unacked", "normal", True, "drill_ended"),
        ("normal", "active_unacked", False, ""),
    ]
    assert world.active_outputs() == ["cut", "siren"]
    ended = kinds(world, EventKind.DRILL)[-1]
    assert (ended.to_state, ended.code) == ("ended", "" if by == "person" else "expired")
    assert ended.detail == {"scope": "shed", "seconds": 0.0, "with_linkage": False}


def test_what_cannot_be_told_at_the_drills_end_becomes_real_too() -> None:
    world = World(SITE)
    drill(world, "a")
    world.read({"a": True})
    world.read({"a": None})
    world.command("drill", is_on=False)
    assert world.alarms()["fire-a"] == "active_unacked"
    assert not view(world, "fire-a").is_test


def test_an_inhibited_alarm_does_not_become_real_with_the_drills_end() -> None:
    world = World(SITE)
    drill(world, "a")
    world.read({"a": True})
    inhibit(world, "fire-a")
    world.command("drill", is_on=False)
    assert "fire-a" not in world.alarms()
    assert view(world, "fire-a").is_pending


def test_a_test_hides_no_real_fault_and_wakes_no_silenced_siren() -> None:
    rules = (
        *(each for each in SITE.rules if each.id != "fire-ab"),
        RuleSpec(
            id="under",
            alarm_class=AlarmClass.FAULT,
            condition=Contact(point="b"),
            suppressed_by=("valve",),
        ),
    )
    world = World(replace(SITE, rules=rules))
    world.read({"b": True})
    world.command("silence", "fire-b")
    drill(world, "a")
    world.read({"a": True})
    assert view(world, "valve").is_test
    assert not view(world, "under").is_suppressed
    assert view(world, "fire-b").is_silenced
    world.command("drill", is_on=False)
    assert view(world, "under").is_suppressed, "now it is real"


def test_silence_and_inhibit_of_a_test_are_tests_on_the_wire() -> None:
    world = World(SITE)
    drill(world, "a")
    world.read({"a": True})
    known = len(world.events)
    world.command("silence", "fire-a")
    inhibit(world, "fire-a")
    assert all(event.is_test for event in world.events[known:])


# -- over a restart -------------------------------------------------------------------------------


def start_anew(world: World, orders: Orders, memories: tuple[AlarmMemory, ...] = ()) -> World:
    """A new run at the world's clock; what happens in it is all that is in its events."""
    after = World(SITE, clock=world.clock)
    after.events.clear()
    after.outputs.clear()
    after.engine = Engine(SITE, memories, orders=orders)
    after.do(after.engine.start(world.clock.stamp()))
    return after


def replayed(world: World) -> tuple[Orders, dict[str, AlarmMemory]]:
    orders, memories = Orders(), dict[str, AlarmMemory]()
    for event in world.events:
        orders = orders_after(orders, event)
        apply_event(memories, event)
    return orders, memories


@pytest.mark.parametrize("way", ["snapshot", "replay"])
def test_an_inhibit_goes_on_after_a_restart_with_the_time_that_is_left(way: str) -> None:
    world = World(SITE)
    inhibit(world)
    world.advance(600.0)
    orders = world.engine.snapshot(None).orders if way == "snapshot" else replayed(world)[0]
    world.clock.advance(300.0)
    after = start_anew(world, orders)
    (event,) = kinds(after, EventKind.INHIBIT)
    assert (event.code, event.from_state, event.to_state) == ("restart", "inhibited", "inhibited")
    assert (event.actor, event.reason) == ("anna", "welding")
    assert event.detail["seconds"] == pytest.approx(HOUR_S - 900)
    after.read({"a": True})
    assert "fire-a" not in after.alarms()
    after.advance(HOUR_S - 901)
    assert view(after, "fire-a").is_inhibited
    after.advance(2)
    assert after.alarms()["fire-a"] == "active_unacked"


def test_an_inhibit_whose_end_passed_in_the_outage_ends_at_the_start() -> None:
    world = World(SITE)
    inhibit(world)
    orders = world.engine.snapshot(None).orders
    world.clock.advance(2 * HOUR_S)
    after = start_anew(world, orders)
    after.read({"a": True})
    after.tick()
    assert after.alarms()["fire-a"] == "active_unacked"


@pytest.mark.parametrize(
    ("was", "left_s"), [(ClockState.SYNCED, HOUR_S - 1800), (ClockState.UNSYNCED, HOUR_S)]
)
def test_without_a_clock_the_outage_counts_once_the_clock_is_set(
    was: ClockState, left_s: float
) -> None:
    world = World(SITE)
    world.clock.state = was
    inhibit(world)
    drill(world, "a")
    orders = world.engine.snapshot(None).orders
    world.clock.advance(1800.0)
    world.clock.state = ClockState.UNSYNCED
    after = start_anew(world, orders)
    assert view(after, "fire-a").inhibited_left_s == HOUR_S
    world.clock.state = ClockState.SYNCED
    after.tick()
    assert view(after, "fire-a").inhibited_left_s == left_s
    memory = after.engine.snapshot(None).orders.drill
    assert memory is not None
    assert memory.left.seconds == left_s
    world.clock.step_wall(10**9)
    after.tick()
    assert view(after, "fire-a").inhibited_left_s == left_s, "a later step moves nothing"


def test_a_wall_clock_that_went_back_makes_no_inhibit_longer() -> None:
    world = World(SITE)
    inhibit(world)
    orders = world.engine.snapshot(None).orders
    world.clock.step_wall(-(10**9))
    assert view(start_anew(world, orders), "fire-a").inhibited_left_s == HOUR_S


def test_an_inhibit_of_a_rule_that_is_gone_is_told_to_have_ended() -> None:
    world = World(SITE)
    inhibit(world)
    (memory,) = world.engine.snapshot(None).orders.inhibits.values()
    gone = Orders(inhibits={"gone": replace(memory, rule="gone")})
    after = start_anew(world, gone)
    (event,) = kinds(after, EventKind.INHIBIT)
    assert (event.subject, event.to_state, event.code) == ("gone", "uninhibited", "rule_removed")
    assert after.engine.snapshot(None).orders == Orders()


@pytest.mark.parametrize("way", ["snapshot", "replay"])
@pytest.mark.parametrize("with_linkage", [False, True])
def test_a_drill_goes_on_after_a_restart_with_its_alarms(way: str, with_linkage: bool) -> None:
    world = World(SITE)
    world.read({"c": True})
    world.advance(6.0)
    drill(world, "shed", with_linkage=with_linkage)
    world.read({"a": True})
    snapshot = world.engine.snapshot(None)
    orders, memories = snapshot.orders, snapshot.memories
    if way == "replay":
        orders, known = replayed(world)
        assert known == {each.rule: each for each in memories}
    after = start_anew(world, orders, memories)
    (event,) = kinds(after, EventKind.DRILL)
    assert (event.code, event.to_state, event.detail["scope"]) == ("restart", "started", "shed")
    assert view(after, "fire-a").is_test
    assert not view(after, "fire-c").is_test
    after.read({"c": False})
    after.command("ack", "fire-c")
    after.command("reset", "fire-c")
    assert after.active_outputs() == (["cut", "siren"] if with_linkage else [])
    after.read({"a": False})
    after.command("drill", is_on=False)
    assert after.alarms() == {}
    assert all(event.is_test for event in after.events if event.rule == "fire-a")


def test_alarms_of_a_drill_that_is_over_after_the_restart_are_ended() -> None:
    world = World(SITE)
    drill(world, "a")
    world.read({"a": True})
    after = start_anew(world, Orders(), world.engine.snapshot(None).memories)
    assert ("active_unacked", "normal", True, "drill_ended") in alarm_events(after, "fire-a")


def test_a_drill_resumes_without_what_the_configuration_no_longer_has() -> None:
    world = World(SITE)
    drill(world, "a")
    memory = world.engine.snapshot(None).orders.drill
    assert memory is not None
    after = start_anew(world, Orders(drill=replace(memory, scope=("a", "gone"))))
    assert kinds(after, EventKind.DRILL)[0].detail["scope"] == "a"


def late(world: World, orders: Orders) -> list[Effect]:
    return world.do(world.engine.restore_orders(orders, world.clock.stamp()))


def test_orders_that_come_late_are_taken_up_unless_something_newer_stands() -> None:
    world = World(SITE)
    inhibit(world)
    drill(world, "a")
    orders = world.engine.snapshot(None).orders
    after = start_anew(world, Orders())
    late(after, orders)
    assert view(after, "fire-a").is_inhibited
    assert after.command("drill", is_on=False).ok
    newer = start_anew(world, Orders())
    inhibit(newer, seconds=60.0)
    drill(newer, "hall", seconds=60.0)
    assert late(newer, orders) == []
    assert view(newer, "fire-a").inhibited_left_s == 60.0
    assert late(newer, Orders()) == [], "ordered in this run: no memory takes it back"


def test_late_memory_corrects_what_was_taken_up_at_the_start() -> None:
    world = World(SITE)
    inhibit(world)
    drill(world, "a")
    early = world.engine.snapshot(None).orders
    world.command("uninhibit", "fire-a")
    world.command("drill", is_on=False)
    taken_back = start_anew(world, early)
    late(taken_back, early)
    assert view(taken_back, "fire-a").is_inhibited, "nothing new: nothing changes"
    late(taken_back, Orders())
    assert not view(taken_back, "fire-a").is_inhibited
    assert taken_back.command("drill", is_on=False).code == "no_drill"
    inhibit(world, seconds=7200.0)
    drill(world, "hall")
    other = start_anew(world, early)
    late(other, world.engine.snapshot(None).orders)
    assert view(other, "fire-a").inhibited_left_s == 7200.0
    memory = other.engine.snapshot(None).orders.drill
    assert memory is not None
    assert memory.scope == ("hall",)


def test_a_test_alarm_remembered_late_without_its_drill_is_ended() -> None:
    world = World(SITE)
    memory = AlarmMemory(
        rule="fire-a", state=AlarmState.LATCHED_ACKED, since_wall_ms=5, is_test=True
    )
    world.do(world.engine.restore(memory, world.clock.stamp()))
    assert alarm_events(world, "fire-a") == [("latched_acked", "normal", True, "drill_ended")]


def test_a_delay_in_progress_begins_anew_after_a_restart_and_says_so() -> None:
    world = World(SITE)
    world.read({"c": True})
    world.advance(2.0)
    (delay,) = world.engine.snapshot(None).delays
    assert delay == DelayMemory(rule="fire-c", left_s=3.0)
    engine = Engine(SITE, delays=(delay, DelayMemory(rule="gone", left_s=1.0)))
    told = [each.event for each in engine.start(world.clock.stamp()) if isinstance(each, Record)]
    assert [(each.subject, each.to_state, each.detail) for each in told] == [
        ("fire-c", "delay_restarted", {"seconds": 3.0})
    ]


def test_what_counts_down_is_known_and_a_short_delay_is_not_worth_it() -> None:
    slow = replace(SITE, rules=(fire("slow", "a", on_delay_s=300.0), *SITE.rules[1:]))
    world = World(slow)
    world.read({"c": True})
    assert not world.engine.counts_down(), "five seconds"
    world.read({"a": True})
    assert world.engine.counts_down()
    world.read({"a": False})
    assert not world.engine.counts_down()
    inhibit(world, "fire-b")
    assert world.engine.counts_down()
    world.command("uninhibit", "fire-b")
    drill(world, "a")
    assert world.engine.counts_down()


def test_an_order_written_by_a_newer_version_without_its_time_is_over_at_once() -> None:
    event = Event(
        kind=EventKind.INHIBIT, subject="r", rule="r", at=Stamp(1.0, 1000), to_state="inhibited"
    )
    assert orders_after(Orders(), event).inhibits["r"].left.seconds == 0.0


# -- all commands ---------------------------------------------------------------------------------


def test_every_wish_has_somebody_who_carries_it_out() -> None:
    assert set(HANDLERS) == set(CommandName)


def test_what_people_ordered_is_seen_while_it_stands() -> None:
    world = World(SITE)
    assert world.engine.standing_orders() == OrdersView()
    drill(world, "shed", "b", seconds=60.0)
    world.command("mode", mode="manual")
    world.advance(20.0)
    seen = world.engine.standing_orders()
    assert (seen.drill_scope, seen.drill_left_s, seen.is_manual) == (("shed", "b"), 40.0, True)
    world.advance(40.0)
    assert world.engine.standing_orders() == OrdersView(is_manual=True)


def test_every_command_is_one_event_that_names_who_whence_and_its_id() -> None:
    engine = Engine(SITE)
    clock = ManualClock()
    engine.start(clock.stamp())
    wish = Command(
        id="c-7", name=CommandName.DRILL, actor="bo", origin="mqtt", identity="cloud", is_on=False
    )
    outcome, effects = engine.on_command(wish, clock.stamp())
    (record,) = [each for each in effects if isinstance(each, Record)]
    assert record.event.detail == {"id": "c-7", "origin": "mqtt", "identity": "cloud"}
    assert (record.event.kind, record.event.code) == (EventKind.COMMAND, outcome.code)
    assert not wish.is_on_the_spot
    assert replace(wish, origin="key").is_on_the_spot
