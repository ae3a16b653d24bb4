"""The engine's door at its edges: the very moment of a limit, late ticks, late orders, what a memory keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.core.effects import (
    AlarmState,
    Event,
    EventKind,
    OrdersView,
    SetOutput,
    ShowAlarm,
    Telemeter,
)
from agent.core.engine import LONG_DELAY_S, Engine
from agent.core.memory import AlarmMemory, DelayMemory, Orders, apply_event, orders_after
from agent.core.spec import (
    AllOf,
    Condition,
    Contact,
    DerivedHow,
    DerivedSpec,
    Flat,
    LampSign,
    Scheduled,
    TelemetryMode,
    TelemetryPolicy,
)
from drivers.clock import ClockState, ManualClock, Stamp
from drivers.reading import Quality, Reading
from tests.core.test_engine import point, rule, site, told
from tests.core.test_linkages import order, output
from tests.core.test_linkages import world as with_outputs
from tests.core.test_standing import SITE, inhibit, late, start_anew, view
from tests.core.test_voting import Utc
from tests.core.timeline import World

QUIET_S = 1e9


def half_hour_long(clock: ManualClock, until_min: int) -> Scheduled:
    """A part of every day that ends so many minutes from now."""
    end = clock.stamp().wall_ms // 60_000 % 1440 + until_min
    return Scheduled(
        calendar=Utc(), days=frozenset(range(7)), from_min=end - 30, to_min=end
    )  # fmt: skip


@pytest.fixture
def clock() -> ManualClock:
    """A full minute of an ordinary afternoon."""
    return ManualClock(wall_ms=29_166_900 * 60_000)


# -- what the passing of time decides ----------------------------------------------------------------


def scheduled(clock: ManualClock, on_delay_s: float) -> World:
    """An alarm on a contact, only in a part of the day that ends in two minutes."""
    both: Condition = AllOf(parts=(Contact(point="p"), half_hour_long(clock, 2)))
    made = World(
        site(rule(condition=both, on_delay_s=on_delay_s), points=(point(stale_after_s=QUIET_S),)),
        clock=clock,
    )
    clock.advance(60.0)
    made.tick()
    made.read({"p": True})
    return made


@pytest.mark.parametrize(("on_delay_s", "is_raised"), [(59.0, True), (60.0, True), (61.0, False)])
def test_a_delay_that_was_over_before_time_ended_the_condition_is_over_though_the_tick_is_late(
    clock: ManualClock, on_delay_s: float, is_raised: bool
) -> None:
    made = scheduled(clock, on_delay_s)
    clock.advance(60.0)
    effects = made.tick()
    came_and_went = [("r", "normal", "active_unacked"), ("r", "active_unacked", "returned_unacked")]
    assert told(effects) == (came_and_went if is_raised else [])


def test_what_time_alone_decides_names_the_point_it_decided_by_before(clock: ManualClock) -> None:
    made = scheduled(clock, 0.0)
    clock.advance(60.0)
    made.tick()
    assert [(event.point, event.value) for event in made.events] == [("p", True), ("p", True)]


# -- readings --------------------------------------------------------------------------------------


def test_a_reading_of_the_same_moment_as_the_last_is_no_late_one() -> None:
    world = World(site(rule()))
    world.read({"p": False})
    assert told(world.read({"p": True})) == [("r", "normal", "active_unacked")]
    assert world.engine.late_readings == 0


def test_counters_begin_at_none_and_count_each() -> None:
    world = World(site(rule()))
    assert (world.engine.late_readings, world.engine.unknown_readings) == (0, 0)
    old = world.reading("p", True)
    world.clock.advance(1.0)
    world.read({"p": False, "x": 1.0, "y": 1.0})
    for _ in range(2):
        world.do(world.engine.on_readings([old], world.clock.stamp()))
    assert (world.engine.late_readings, world.engine.unknown_readings) == (2, 2)


def test_one_for_zero_and_true_for_one_are_other_values() -> None:
    """Equal in Python, and not the same: a contact that suddenly sends numbers is looked at again."""
    world = World(site(rule()))
    world.read({"p": True})
    assert world.alarms() == {"r": "active_unacked"}
    world.read({"p": 1})
    (shown,) = world.engine.alarms()
    assert shown.is_unknown


def test_silence_counts_from_the_start_for_what_was_never_read() -> None:
    world = World(site(points=(point(stale_after_s=30.0),)))
    start_s = world.clock.mono_s()
    assert world.engine.next_deadline_s() == start_s + 30.0
    world.clock.advance(29.0)
    world.read({"p": 1.0})
    assert world.engine.next_deadline_s() == start_s + 30.0, "an early call costs nothing"
    world.clock.advance(1.0)
    assert world.tick() == []
    assert world.engine.next_deadline_s() == start_s + 59.0


def test_a_reading_in_the_very_moment_of_silence_is_in_time() -> None:
    world = World(site(rule(), points=(point(stale_after_s=30.0),)))
    world.read({"p": True})
    world.clock.advance(30.0)
    effects = world.read({"p": True})
    assert effects == []
    assert not view(world, "r").is_unknown


def test_several_points_gone_silent_are_told_in_the_order_of_their_silence() -> None:
    points = (point("p", stale_after_s=30.0), point("q", stale_after_s=10.0))
    world = World(site(points=points))
    world.read({"p": 1.0, "q": 1.0})
    world.clock.advance(100.0)
    stale = [each.reading.point for each in world.tick() if isinstance(each, Telemeter)]
    assert stale == ["q", "p"]


def test_of_conditions_that_fall_due_by_one_late_tick_that_of_the_parent_is_looked_at_first() -> (
    None
):
    child = rule("child", Flat(point="p", for_s=50.0, within=1.0), suppressed_by=("parent",))
    parent = rule("parent", Flat(point="p", for_s=60.0, within=1.0))
    world = World(site(child, parent, points=(point(stale_after_s=QUIET_S),)))
    world.read({"p": 5.0})
    world.clock.advance(100.0)
    assert ("child", "normal", "active_unacked") not in told(world.tick())
    assert world.alarms() == {"parent": "active_unacked"}
    assert view(world, "child").is_suppressed


@pytest.mark.parametrize("state", list(ClockState))
def test_what_is_derived_from_a_silence_is_told_of_the_moment_the_silence_began(
    state: ClockState,
) -> None:
    every = TelemetryPolicy(mode=TelemetryMode.EVERY)
    quiet = point("q", stale_after_s=QUIET_S)
    points = (point("p"), quiet, replace(quiet, id="sum", telemetry=every))
    derived = DerivedSpec(point="sum", how=DerivedHow.SUM, sources=("p", "q"))
    world = World(replace(site(points=points), derived=(derived,)), clock=ManualClock(state=state))
    world.read({"p": 1.0, "q": 2.0})
    read = world.clock.stamp()
    world.clock.advance(35.25)
    stale = [each.reading for each in world.tick() if isinstance(each, Telemeter)]
    assert [(each.point, each.reason) for each in stale] == [
        ("p", "no reading for 30 s"), ("sum", "p: no reading for 30 s"),
    ]  # fmt: skip
    assert stale[1].at == Stamp(read.mono_s + 30.0, read.wall_ms + 30_000, state)


def test_a_stale_point_passes_the_gates_of_its_telemetry_like_any_reading() -> None:
    none = TelemetryPolicy(mode=TelemetryMode.NONE)
    world = World(site(points=(point(telemetry=none),)))
    world.read({"p": 1.0})
    world.clock.advance(30.0)
    assert [type(each).__name__ for each in world.tick()] == ["ShowState"]


# -- what a restart should know ----------------------------------------------------------------------


@pytest.mark.parametrize(("delay_s", "counts"), [(LONG_DELAY_S, False), (LONG_DELAY_S + 1, True)])
def test_only_a_delay_longer_than_a_minute_is_worth_a_write(delay_s: float, counts: bool) -> None:
    world = World(site(rule(on_delay_s=delay_s)))
    assert not world.engine.counts_down()
    world.read({"p": True})
    assert world.engine.counts_down() is counts


def test_the_snapshot_knows_the_delays_of_now() -> None:
    world = World(site(rule(on_delay_s=9.0, off_delay_s=7.0)))
    assert world.engine.snapshot(None).delays == ()
    world.read({"p": True})
    world.clock.advance(2.0)
    world.tick()
    assert world.engine.snapshot(None).delays == (DelayMemory(rule="r", left_s=7.0),)
    world.clock.advance(7.0)
    world.tick()
    assert world.engine.snapshot(None).delays == ()
    world.read({"p": False})
    assert world.engine.snapshot(None).delays == (DelayMemory(rule="r", left_s=7.0),)


# -- late orders -------------------------------------------------------------------------------------


def test_lamps_follow_orders_that_come_late_in_the_same_call() -> None:
    made = with_outputs(
        output("manual", "lamp", shows=LampSign.MANUAL),
        output("inhibited", "lamp", shows=LampSign.INHIBIT),
        output("testing", "lamp", shows=LampSign.TEST),
        classes=(),
        rules=("nobody",),
    )
    order(made, "inhibit", "smoke-a", duration_s=60.0, reason="works")
    order(made, "drill", is_on=True, scope=("door",), duration_s=60.0)
    order(made, "mode", mode="manual")
    orders = made.engine.snapshot(None).orders
    made.engine = Engine(made.site)
    made.do(made.engine.start(made.clock.stamp()))
    assert made.active_outputs() == []
    effects = made.do(made.engine.restore_orders(orders, made.clock.stamp()))
    lit = {each.output for each in effects if isinstance(each, SetOutput) and each.is_active}
    assert lit == {"manual", "inhibited", "testing"}
    effects = made.do(made.engine.restore_orders(Orders(), made.clock.stamp()))
    dark = {each.output for each in effects if isinstance(each, SetOutput) and not each.is_active}
    assert dark == {"manual", "inhibited", "testing"}


def test_lamps_show_from_the_start_what_was_ordered_before_it() -> None:
    made = with_outputs(
        output("lamp", "lamp", shows=LampSign.MANUAL), classes=(), rules=("nobody",)
    )
    made.engine = Engine(made.site, orders=Orders(is_manual=True))
    assert made.engine.standing_orders() == OrdersView(), "nothing is taken up before the start"
    made.do(made.engine.start(made.clock.stamp()))
    assert made.active_outputs() == ["lamp"]


def test_orders_that_come_late_count_the_outage_once_the_clock_is_set_though_it_was_before() -> (
    None
):
    world = World(SITE)
    inhibit(world)
    orders = world.engine.snapshot(None).orders
    world.clock.advance(1800.0)
    after = start_anew(world, Orders())
    after.tick()  # the clock is set, and there is nothing to count
    after.clock.state = ClockState.UNSYNCED
    late(after, orders)
    assert view(after, "fire-a").inhibited_left_s == 3600.0
    after.clock.state = ClockState.SYNCED
    after.tick()
    assert view(after, "fire-a").inhibited_left_s == 1800.0


def test_a_late_memory_in_normal_releases_what_an_older_one_hid() -> None:
    parent = rule("parent", Contact(point="q"))
    world = World(
        site(parent, rule("child", suppressed_by=("parent",)), points=(point(), point("q")))
    )
    memory = AlarmMemory(rule="parent", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5)
    world.engine = Engine(world.site, (memory,), is_memory_whole=False)
    world.do(world.engine.start(world.clock.stamp()))
    assert view(world, "child").is_suppressed
    normal = replace(memory, state=AlarmState.NORMAL)
    effects = world.do(world.engine.restore(normal, world.clock.stamp()))
    assert told(effects) == [("child", "suppressed", "unsuppressed")]
    assert not view(world, "child").is_suppressed


def test_a_late_memory_is_looked_at_in_its_moment(clock: ManualClock) -> None:
    """The part of the day is told by the stamp of the moment in which the memory came."""
    made = World(
        site(rule(condition=half_hour_long(clock, 2)), points=(point(stale_after_s=QUIET_S),)),
        clock=clock,
    )
    clock.advance(600.0)  # the part is over, and no tick came yet
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5)
    made.engine = Engine(made.site)
    made.do(made.engine.start(clock.stamp()))
    clock.step_wall(-600.0)
    effects = made.do(made.engine.restore(memory, clock.stamp()))
    assert told(effects) == []
    assert made.alarms() == {"r": "active_acked"}
    next_s = made.engine.next_deadline_s()
    assert next_s == clock.mono_s() + 60.0


# -- what the log makes of a memory ------------------------------------------------------------------


def replayed(*steps: tuple[str, dict[str, Any]]) -> AlarmMemory:
    """The memory after alarm events (`to` by name) and silences, two seconds apart."""
    memories: dict[str, AlarmMemory] = {}
    for number, (to_state, more) in enumerate(steps):
        kind = EventKind.SILENCE if "silenced" in to_state else EventKind.ALARM
        event = Event(
            kind=kind, subject="r", rule="r", at=Stamp(0.0, number * 2000), to_state=to_state
        )
        apply_event(memories, replace(event, **more))
    return memories["r"]


BY = {"actor": "bo"}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("active_unacked", {})], {"state": AlarmState.ACTIVE_UNACKED}),
        (
            [("active_unacked", {}), ("silenced", {}), ("active_acked", BY)],
            {"state": AlarmState.ACTIVE_ACKED, "since_wall_ms": 4000, "is_silenced": True, **BY},
        ),
        (
            [("active_acked", BY), ("latched_acked", {})],
            {"state": AlarmState.LATCHED_ACKED, "since_wall_ms": 2000, **BY},
        ),
        (
            [("active_acked", BY), ("latched_acked", {"actor": "chen"})],
            {"state": AlarmState.LATCHED_ACKED, "since_wall_ms": 2000, "actor": "chen"},
        ),
        (
            [("active_unacked", {}), ("silenced", {}), ("latched_unacked", {})],
            {"state": AlarmState.LATCHED_UNACKED, "since_wall_ms": 4000, "is_silenced": True},
        ),
        (
            [("active_unacked", {}), ("silenced", {}), ("unsilenced", {})],
            {"state": AlarmState.ACTIVE_UNACKED, "since_wall_ms": 0},
        ),
        (
            [("active_acked", BY), ("silenced", {}), ("active_unacked", {})],
            {"state": AlarmState.ACTIVE_UNACKED, "since_wall_ms": 4000},
        ),
        (  # a run that knew only an older occurrence, which had been acknowledged, tells of its moves
            [
                ("active_unacked", {}),
                ("latched_acked", {"from_state": "active_acked"}),
                ("active_acked", {"from_state": "latched_acked"}),
            ],
            {"state": AlarmState.ACTIVE_UNACKED, "since_wall_ms": 4000},
        ),
        (
            [("latched_unacked", {}), ("latched_acked", {"from_state": "active_acked"})],
            {"state": AlarmState.LATCHED_UNACKED, "since_wall_ms": 2000},
        ),
        (
            [("active_unacked", {}), ("latched_unacked", {"from_state": "active_acked"})],
            {"state": AlarmState.LATCHED_UNACKED, "since_wall_ms": 2000},
        ),
        (  # told by a version to come, from a state this one does not know
            [("active_unacked", {}), ("active_acked", {"from_state": "shelved", **BY})],
            {"state": AlarmState.ACTIVE_ACKED, "since_wall_ms": 2000, **BY},
        ),
        (
            [("active_unacked", {}), ("active_acked", {"from_state": "active_unacked", **BY})],
            {"state": AlarmState.ACTIVE_ACKED, "since_wall_ms": 2000, **BY},
        ),
        (
            [("active_unacked", {"is_test": True, "detail": {"first_out": True}})],
            {"state": AlarmState.ACTIVE_UNACKED, "is_test": True, "is_first_out": True},
        ),
        (
            [("active_unacked", {"detail": {"first_out": "yes"}})],
            {"state": AlarmState.ACTIVE_UNACKED},
        ),
    ],
)
def test_what_a_memory_keeps_from_event_to_event(
    steps: list[tuple[str, dict[str, Any]]], expected: dict[str, Any]
) -> None:
    wanted = AlarmMemory(rule="r", state=AlarmState.NORMAL, since_wall_ms=0)
    assert replayed(*steps) == replace(wanted, **expected)


def test_a_silence_of_an_alarm_that_is_not_remembered_makes_no_memory() -> None:
    memories: dict[str, AlarmMemory] = {}
    told_of = Event(kind=EventKind.SILENCE, subject="r", rule="r", at=Stamp(0.0, 0))
    apply_event(memories, replace(told_of, to_state="silenced"))
    assert memories == {}


def order_event(kind: EventKind, to_state: str, **more: Any) -> Event:
    return replace(
        Event(kind=kind, subject="x", rule="x", at=Stamp(7.0, 7000), to_state=to_state), **more
    )


def test_orders_follow_their_events_one_by_one() -> None:
    orders = Orders()
    for kind, to_state in (
        (EventKind.INHIBIT, "inhibited"),
        (EventKind.DRILL, "started"),
        (EventKind.OUTPUT, "cut"),
        (EventKind.OUTPUT, "active"),
        (EventKind.MODE, "manual"),
    ):
        orders = orders_after(orders, order_event(kind, to_state))
    assert set(orders.inhibits) == {"x"}
    assert orders.drill is not None
    assert orders.cut == orders.running == frozenset({"x"})
    assert orders.is_manual
    for kind, to_state in (
        (EventKind.OUTPUT, "restored"),
        (EventKind.OUTPUT, "inactive"),
        (EventKind.MODE, "auto"),
        (EventKind.DRILL, "ended"),
        (EventKind.INHIBIT, "uninhibited"),
    ):
        orders = orders_after(orders, order_event(kind, to_state))
    assert orders == Orders()


@pytest.mark.parametrize("kind", list(EventKind))
def test_an_event_that_orders_nothing_leaves_the_orders_alone(kind: EventKind) -> None:
    event = order_event(kind, "whatever")
    stands = Orders(cut=frozenset({"x"}), running=frozenset({"x"}))
    assert orders_after(stands, event) == stands


def test_a_drill_in_the_log_keeps_place_time_and_whether_outputs_act() -> None:
    detail: dict[str, Any] = {"scope": "shed a", "seconds": 60, "with_linkage": True}
    event = order_event(EventKind.DRILL, "started", actor="bo", reason="yearly", detail=detail)
    drill = orders_after(Orders(), event).drill
    assert drill is not None
    assert (drill.scope, drill.left.seconds, drill.left.at) == (("shed", "a"), 60, event.at)
    assert (drill.with_linkage, drill.actor, drill.reason) == (True, "bo", "yearly")
    bare = orders_after(Orders(), replace(event, detail={})).drill
    assert bare is not None
    assert (bare.scope, bare.left.seconds, bare.with_linkage) == ((), 0.0, False)


# -- what is shown -----------------------------------------------------------------------------------


def test_an_alarm_is_shown_with_the_time_that_is_left_as_of_the_call() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    world.clock.advance(10.0)
    effects = world.read({"a": True})
    (shown,) = [e.alarm for e in effects if isinstance(e, ShowAlarm) and e.alarm.rule == "fire-a"]
    assert shown.inhibited_left_s == 50.0
    stale = Reading(point="a", value=None, quality=Quality.BAD, unit="", at=world.clock.stamp())
    world.clock.advance(5.0)
    effects = world.do(world.engine.on_readings([stale], world.clock.stamp()))
    (shown,) = [e.alarm for e in effects if isinstance(e, ShowAlarm) and e.alarm.rule == "fire-a"]
    assert shown.inhibited_left_s == 45.0


def test_a_reading_after_a_long_silence_comes_after_the_stale_one_that_was_missed() -> None:
    every = TelemetryPolicy(mode=TelemetryMode.EVERY)
    world = World(site(rule(), points=(point(telemetry=every, stale_after_s=30.0),)))
    world.read({"p": True})
    world.clock.advance(100.0)
    effects = world.read({"p": True})
    told_of = [each.reading for each in effects if isinstance(each, Telemeter)]
    now = world.clock.stamp()
    assert [(each.quality, each.value, each.at) for each in told_of] == [
        (Quality.STALE, None, now),
        (Quality.GOOD, True, now),
    ]


def test_each_time_an_alarm_is_raised_is_counted() -> None:
    world = World(site(rule(needs_ack=False)))
    for _ in range(3):
        world.read({"p": True})
        world.read({"p": False})
    assert list(world.engine.transitions().values()) == [3, 3]
