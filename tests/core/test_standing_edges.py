"""What people order for a time, at its edges: who ordered it over two restarts, what replaces what, drills by zone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.effects import AlarmState, EventKind, OrdersView
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, Orders
from agent.core.spec import AnyOf, Contact, PointKind, PointSpec, Unheard
from agent.core.standing import Left, Standing
from drivers.clock import ClockState, Stamp
from tests.core.test_standing import (
    SITE,
    drill,
    fire,
    inhibit,
    kinds,
    late,
    start_anew,
    view,
)
from tests.core.timeline import World

# -- the time that is left -------------------------------------------------------------------------

SET, UNSET = ClockState.SYNCED, ClockState.UNSYNCED


@pytest.mark.parametrize(
    ("then", "now", "passed_ms", "left_s"),
    [
        (SET, SET, 0, 100.0),
        (SET, SET, 30_000, 70.0),
        (SET, SET, 500, 99.5),
        (SET, SET, 130_000, -30.0),
        (SET, SET, -30_000, 100.0),
        (UNSET, SET, 30_000, 100.0),
        (SET, UNSET, 30_000, 100.0),
        (UNSET, UNSET, 30_000, 100.0),
    ],
)
def test_what_is_left_in_a_later_run(
    then: ClockState, now: ClockState, passed_ms: int, left_s: float
) -> None:
    left = Left(seconds=100.0, at=Stamp(5.0, 1_000_000, then))
    assert left.now_s(Stamp(7.0, 1_000_000 + passed_ms, now)) == left_s


@pytest.mark.parametrize(("passed_ms", "left_s"), [(30_000, 70.0), (130_000, 0.0)])
def test_what_was_remembered_stands_for_what_is_left(passed_ms: int, left_s: float) -> None:
    standing = Standing("bo", "works", 0.0)
    standing.remembered(Left(seconds=100.0, at=Stamp(5.0, 0, SET)), Stamp(7.0, passed_ms, SET))
    assert (standing.until_s == 7.0 + left_s) if left_s else (standing.until_s < 7.0)
    assert standing.left_s(7.0) == left_s
    assert standing.left_s(1e6) == 0.0


def test_the_time_between_two_runs_counts_once_and_never_lengthens() -> None:
    standing = Standing("bo", "works", 0.0)
    standing.remembered(Left(seconds=100.0, at=Stamp(5.0, 0, SET)), Stamp(7.0, 0, UNSET))
    assert standing.until_s == 107.0
    standing.clock_was_set(Stamp(17.0, 40_000, SET))
    assert standing.until_s == 77.0
    standing.clock_was_set(Stamp(27.0, 90_000, SET))
    assert standing.until_s == 77.0, "once"
    slow = Standing("bo", "works", 0.0)
    slow.remembered(Left(seconds=100.0, at=Stamp(5.0, 0, SET)), Stamp(7.0, 0, UNSET))
    slow.clock_was_set(Stamp(57.0, 10_000, SET))
    assert slow.until_s == 107.0, "the wall clock knows of less than has passed here"
    over = Standing("bo", "works", 0.0)
    over.remembered(Left(seconds=100.0, at=Stamp(5.0, 0, SET)), Stamp(7.0, 0, UNSET))
    over.clock_was_set(Stamp(17.0, 400_000, SET))
    assert over.until_s == 17.0, "over at once, and not before now"


def test_what_a_clock_that_was_set_has_counted_at_the_start_is_not_counted_again() -> None:
    standing = Standing("bo", "works", 0.0)
    standing.remembered(Left(seconds=100.0, at=Stamp(5.0, 0, SET)), Stamp(7.0, 20_000, SET))
    assert standing.until_s == 87.0
    standing.clock_was_set(Stamp(8.0, 90_000, SET))
    assert standing.until_s == 87.0, "the clock was put forward since"


def test_an_order_of_this_run_has_no_time_between_runs() -> None:
    standing = Standing("bo", "works", 50.0)
    standing.clock_was_set(Stamp(7.0, 10**9, SET))
    assert standing.until_s == 50.0


# -- over restarts ---------------------------------------------------------------------------------


def test_who_ordered_what_and_why_is_known_over_two_restarts() -> None:
    world = World(SITE)
    inhibit(world, seconds=600.0)
    world.command(
        "drill", is_on=True, scope=("hall",), duration_s=600.0, reason="yearly", with_linkage=True
    )
    first = world.engine.snapshot(None).orders
    after = start_anew(world, first)
    assert after.engine.snapshot(None).orders == first
    assert view(after, "fire-a").inhibited_by == "anna"
    (told,) = kinds(after, EventKind.DRILL)
    assert told.detail["with_linkage"] is True
    after.advance(600.0)
    ended = [kinds(after, kind)[-1] for kind in (EventKind.INHIBIT, EventKind.DRILL)]
    assert [(event.to_state, event.code) for event in ended] == [
        ("uninhibited", "expired"), ("ended", "expired"),
    ]  # fmt: skip
    assert ended[0].reason == "welding"


@pytest.mark.parametrize("drill_s", [5.0, 300.0])
def test_an_alarm_of_a_drill_that_was_taken_out_is_real_when_both_ended_while_nobody_ran(
    drill_s: float,
) -> None:
    world = World(SITE)
    drill(world, "a", seconds=drill_s)
    world.read({"a": True})
    inhibit(world, seconds=100.0)
    kept = world.engine.snapshot(None)
    world.clock.advance(3600.0)
    after = start_anew(world, kept.orders, kept.memories)
    after.tick()
    seen = view(after, "fire-a")
    assert (seen.state, seen.is_test, seen.is_inhibited) == (
        AlarmState.ACTIVE_UNACKED, False, False,
    )  # fmt: skip


def test_an_inhibit_that_a_newer_memory_lengthens_does_not_end_by_the_older_one() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    early = world.engine.snapshot(None).orders
    world.command("uninhibit", "fire-a")
    inhibit(world, seconds=600.0)
    after = start_anew(world, early)
    late(after, world.engine.snapshot(None).orders)
    after.advance(599.0)
    assert view(after, "fire-a").is_inhibited
    after.advance(1.0)
    assert not view(after, "fire-a").is_inhibited


def test_a_drill_that_a_newer_memory_lengthens_does_not_end_by_the_older_one() -> None:
    world = World(SITE)
    drill(world, "a", seconds=60.0)
    early = world.engine.snapshot(None).orders
    world.command("drill", is_on=False)
    drill(world, "hall", seconds=600.0)
    after = start_anew(world, early)
    late(after, world.engine.snapshot(None).orders)
    after.advance(599.0)
    assert after.engine.standing_orders().drill_scope == ("hall",)
    after.advance(1.0)
    assert after.engine.standing_orders() == OrdersView()


def test_the_time_counted_late_ends_an_order_at_its_new_moment() -> None:
    world = World(SITE)
    inhibit(world, seconds=600.0)
    drill(world, "hall", seconds=600.0)
    orders = world.engine.snapshot(None).orders
    world.clock.advance(500.0)
    world.clock.state = UNSET
    after = start_anew(world, orders)
    after.tick()  # it is not set yet
    after.clock.state = SET
    after.tick()
    after.advance(99.0)
    assert view(after, "fire-a").is_inhibited
    assert after.engine.standing_orders().drill_left_s == 1.0
    after.advance(1.0)
    assert not view(after, "fire-a").is_inhibited
    assert after.engine.standing_orders().drill_left_s is None


def test_only_what_has_ended_is_taken_back() -> None:
    world = World(SITE)
    inhibit(world, "fire-b", seconds=600.0)
    inhibit(world, "fire-a", seconds=600.0)
    orders = world.engine.snapshot(None).orders
    after = start_anew(world, orders)
    known = dict(orders.inhibits)
    del known["fire-b"]
    late(after, Orders(inhibits=known))
    inhibited = [each.rule for each in after.engine.alarms() if each.is_inhibited]
    assert inhibited == ["fire-a"]


def test_an_inhibit_of_a_rule_that_is_gone_hinders_none_that_follows() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    (memory,) = world.engine.snapshot(None).orders.inhibits.values()
    orders = Orders(inhibits={"gone": replace(memory, rule="gone"), "fire-a": memory})
    after = start_anew(world, orders)
    assert view(after, "fire-a").is_inhibited


# -- the end of an inhibit ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ("on ack", AlarmState.ACTIVE_UNACKED),
        ("on", AlarmState.ACTIVE_UNACKED),
        ("on ack off", AlarmState.LATCHED_ACKED),
        ("on off", AlarmState.LATCHED_UNACKED),
        ("", AlarmState.NORMAL),
    ],
)
def test_at_the_end_of_an_inhibit_only_what_stands_acknowledged_is_told_anew(
    steps: str, ends: AlarmState
) -> None:
    world = World(SITE)
    world.read({"b": False})
    for step in steps.split():
        if step == "ack":
            world.command("ack", "fire-b")
        else:
            world.read({"b": step == "on"})
    inhibit(world, "fire-b")
    known = len(kinds(world, EventKind.ALARM))
    assert world.command("uninhibit", "fire-b").ok
    assert view(world, "fire-b").state is ends
    told = kinds(world, EventKind.ALARM)[known:]
    assert [event.reason for event in told] == (["uninhibited"] if steps == "on ack" else [])


def test_what_is_shown_of_an_inhibit_is_shown_at_once() -> None:
    world = World(SITE)
    world.shown.clear()
    inhibit(world)
    assert "fire-a" in world.shown
    world.shown.clear()
    world.command("uninhibit", "fire-a")
    assert "fire-a" in world.shown


# -- what is inside a drill --------------------------------------------------------------------------


PLACES = replace(
    SITE,
    points=(
        *SITE.points,
        PointSpec(id="nowhere", kind=PointKind.SMOKE, is_contact=True, stale_after_s=1e9),
    ),
    rules=(
        fire("own-zone", "nowhere", zone="attic"),
        fire("no-zone", "nowhere"),
        fire("point-zone", "a"),
        fire("other-zone", "a", zone="attic"),
        fire("both", "a", condition=AnyOf(parts=(Contact(point="a"), Contact(point="b")))),
        fire("undeclared", "x", condition=Unheard(point="x"), zone="attic"),
    ),
)


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        (("attic",), {"own-zone"}),
        (("nowhere",), {"own-zone", "no-zone"}),
        (("shed",), {"point-zone", "other-zone"}),
        (("a",), {"point-zone", "other-zone"}),
        (("a", "b"), {"point-zone", "other-zone", "both"}),
        (("shed", "hall"), {"point-zone", "other-zone", "both"}),
        (("b",), set()),
    ],
)
def test_what_is_inside_a_drill(scope: tuple[str, ...], inside: set[str]) -> None:
    world = World(PLACES)
    drill(world, *scope)
    world.read({"a": True, "b": False, "nowhere": True})
    tests = {each.rule for each in world.engine.alarms() if each.is_test}
    assert tests == inside


def test_a_drill_names_zones_of_rules_and_points_and_refuses_what_is_neither() -> None:
    world = World(PLACES)
    for scope in (("attic",), ("shed",), ("nowhere",)):
        drill(world, *scope)
        assert world.engine.standing_orders().drill_scope == scope
        world.command("drill", is_on=False)
    refused = world.command("drill", is_on=True, scope=("x",), duration_s=60.0)
    assert refused.code == "unknown_point"


def test_what_rests_in_a_drill_and_is_raised_after_its_end_is_real() -> None:
    world = World(SITE)
    drill(world, "a", seconds=60.0)
    world.advance(60.0)
    world.read({"a": True})
    assert not view(world, "fire-a").is_test
    assert world.active_outputs() == ["cut", "siren"]


def test_what_was_real_in_one_drill_is_a_test_in_the_next() -> None:
    world = World(SITE)
    world.read({"a": True})
    drill(world, "a")
    world.command("drill", is_on=False)
    world.read({"a": False})
    world.command("ack", "fire-a")
    world.command("reset", "fire-a")
    drill(world, "a")
    world.read({"a": True})
    assert view(world, "fire-a").is_test


@pytest.mark.parametrize("with_linkage", [False, True])
def test_a_test_alarm_known_late_moves_outputs_only_in_a_drill_with_linkage(
    with_linkage: bool,
) -> None:
    world = World(SITE)
    drill(world, "a", with_linkage=with_linkage)
    world.read({"a": True})
    snapshot = world.engine.snapshot(None)
    after = World(SITE, clock=world.clock)
    after.engine = Engine(SITE, is_memory_whole=False)
    after.do(after.engine.start(world.clock.stamp()))
    late(after, snapshot.orders)
    for memory in snapshot.memories:
        after.do(after.engine.restore(memory, world.clock.stamp()))
    after.do(after.engine.memory_is_whole())
    assert view(after, "fire-a").is_test
    assert after.active_outputs() == (["cut", "siren"] if with_linkage else [])


def test_orders_of_a_drill_that_come_after_its_alarms_move_their_outputs() -> None:
    world = World(SITE)
    drill(world, "a", with_linkage=True)
    world.read({"a": True})
    snapshot = world.engine.snapshot(None)
    newer = snapshot.orders.drill
    assert newer is not None
    older = replace(newer, with_linkage=False)
    after = start_anew(world, Orders(drill=older), snapshot.memories)
    assert after.active_outputs() == []
    late(after, Orders(drill=newer))
    assert after.active_outputs() == ["cut", "siren"]


@pytest.mark.parametrize(
    ("was", "is_test_again"),
    [
        (AlarmState.ACTIVE_UNACKED, False),
        (AlarmState.LATCHED_ACKED, False),
    ],
)
def test_an_alarm_of_before_the_drill_that_is_remembered_late_stays_real(
    was: AlarmState, is_test_again: bool
) -> None:
    world = World(SITE)
    drill(world, "a")
    world.do(
        world.engine.restore(
            AlarmMemory(rule="fire-a", state=was, since_wall_ms=5), world.clock.stamp()
        )
    )
    world.read({"a": False})
    world.read({"a": True})
    assert view(world, "fire-a").state is AlarmState.ACTIVE_UNACKED
    assert view(world, "fire-a").is_test is is_test_again


def test_an_alarm_raised_in_the_drill_and_remembered_late_is_a_test_each_time() -> None:
    world = World(SITE)
    drill(world, "a")
    latched = AlarmMemory(
        rule="fire-a", state=AlarmState.LATCHED_ACKED, since_wall_ms=5, is_test=True
    )
    world.do(world.engine.restore(latched, world.clock.stamp()))
    world.read({"a": True})
    assert view(world, "fire-a").is_test


def test_an_alarm_at_rest_that_is_remembered_late_is_in_the_drill_like_the_rest() -> None:
    world = World(SITE)
    known = AlarmMemory(rule="fire-a", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5)
    world.engine = Engine(SITE, (known,), is_memory_whole=False)
    world.do(world.engine.start(world.clock.stamp()))
    drill(world, "a")
    world.do(
        world.engine.restore(replace(known, state=AlarmState.NORMAL), world.clock.stamp())
    )  # fmt: skip
    world.read({"a": True})
    assert view(world, "fire-a").is_test


def test_what_was_told_to_have_ended_hinders_none_that_follows_late() -> None:
    world = World(SITE)
    inhibit(world, seconds=60.0)
    (memory,) = world.engine.snapshot(None).orders.inhibits.values()
    gone = replace(memory, rule="gone")
    after = start_anew(world, Orders(inhibits={"gone": gone}))
    after.events.clear()
    late(after, Orders(inhibits={"gone": gone, "fire-a": memory}))
    assert [(event.rule, event.to_state) for event in kinds(after, EventKind.INHIBIT)] == [
        ("fire-a", "inhibited")
    ]
