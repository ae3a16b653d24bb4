"""Equipment over tests, starts and late memory: switches, longest times, start pulses, reset lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.effects import AlarmState, Event, EventKind, SetOutput
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, Orders, orders_after
from agent.core.spec import DerivedHow, DerivedSpec, KeySpec, PointKind, PointSpec
from drivers.reading import Value
from tests.core.test_linkages import POINTS, order, output, read, told, wait, world
from tests.core.timeline import World

SWITCH = (KeySpec(point="switch", command="mode", actor="hall"),)
QUIET: dict[str, Value | None] = dict.fromkeys(POINTS, False)


def start_anew(made: World, orders: Orders | None = None, *, is_memory_whole: bool = True) -> None:
    made.outputs.clear()
    made.events.clear()
    made.effects.clear()
    made.engine = Engine(made.site, orders=orders or Orders(), is_memory_whole=is_memory_whole)
    made.do(made.engine.start(made.clock.stamp()))


def late(made: World, orders: Orders, *memories: AlarmMemory) -> None:
    made.do(made.engine.restore_orders(orders, made.clock.stamp()))
    for memory in memories:
        made.do(made.engine.restore(memory, made.clock.stamp()))
    made.do(made.engine.memory_is_whole())


def modes(made: World) -> list[tuple[str, str, str, str]]:
    return [
        (event.from_state, event.to_state, event.actor, event.reason)
        for event in made.events
        if event.kind is EventKind.MODE
    ]


def moves(made: World, name: str) -> list[bool]:
    return [
        effect.is_active
        for effect in made.effects
        if isinstance(effect, SetOutput) and effect.output == name
    ]


# -- the mode --------------------------------------------------------------------------------------


def test_a_switch_that_stands_in_manual_at_the_start_is_manual() -> None:
    made = world(output("fan"), keys=SWITCH)
    start_anew(made)
    made.read(QUIET | {"switch": True})
    assert modes(made) == [("auto", "manual", "hall", "position of the switch at the start")]
    assert read(made, smoke_1=True) == []
    assert read(made, switch=False) == ["fan"]


def test_a_switch_that_stands_in_auto_at_the_start_ends_the_manual_mode_of_before() -> None:
    made = world(output("fan"), keys=SWITCH)
    start_anew(made, Orders(is_manual=True))
    made.read(QUIET)
    assert modes(made) == [("manual", "auto", "hall", "position of the switch at the start")]


def test_a_switch_that_stands_as_the_mode_is_tells_nothing() -> None:
    made = world(output("fan"), keys=SWITCH)
    start_anew(made)
    made.read(QUIET)
    assert made.events == []


@pytest.mark.parametrize("was", [False, True])
def test_a_switch_that_comes_back_from_unknown_counts_where_it_was_moved(was: bool) -> None:
    made = world(output("fan"), keys=SWITCH)
    read(made, switch=was)
    ordered, moved = ("auto", "auto") if was else ("manual", "manual")
    order(made, "mode", mode=ordered)
    made.events.clear()
    read(made, switch=None)
    read(made, switch=was)
    assert modes(made) == [], "it was not moved: what was ordered since stands"
    order(made, "mode", mode="manual" if was else "auto")
    made.events.clear()
    read(made, switch=None)
    read(made, switch=not was)
    assert [each[1] for each in modes(made)] == [moved]


def test_a_mode_ordered_before_the_memory_came_is_an_event_though_it_changes_nothing() -> None:
    made = world(output("fan"))
    manual = Orders(is_manual=True)
    start_anew(made, is_memory_whole=False)
    assert order(made, "mode", mode="auto") == "done"
    assert modes(made) == [("", "auto", "anna", "")]
    assert order(made, "mode", mode="auto") == "done"
    assert len(modes(made)) == 1
    late(made, manual)
    assert not made.engine.standing_orders().is_manual
    for event in made.events:
        manual = orders_after(manual, event)
    assert not manual.is_manual, "nor after the next start"


# -- the longest time active -----------------------------------------------------------------------


def test_a_test_takes_nothing_from_the_longest_time_of_an_alarm() -> None:
    made = world(output("fan", max_on_s=10.0, test_max_s=60.0))
    order(made, "output", "fan", is_on=True, duration_s=60.0)
    wait(made, 7.0)
    read(made, smoke_1=True)
    assert wait(made, 9.5) == ["fan"]
    assert wait(made, 1.0) == []
    assert told(made, "blocked") == [("fan", "blocked", "max_on_time")]


def test_a_test_that_used_up_the_longest_time_stops_no_alarm() -> None:
    made = world(output("fan", max_on_s=5.0, test_max_s=60.0))
    order(made, "output", "fan", is_on=True, duration_s=60.0)
    assert wait(made, 7.0) == []
    assert read(made, smoke_1=True) == ["fan"]
    assert wait(made, 4.5) == ["fan"]
    assert wait(made, 1.0) == []


def test_the_end_of_a_start_pulse_is_no_refusal() -> None:
    made = world(output("pump", max_on_s=2.0, is_start_pulse=True))
    assert read(made, smoke_1=True) == ["pump"]
    assert wait(made, 3.0) == []
    assert wait(made, 60.0) == []
    assert told(made, "blocked") == []


@pytest.mark.parametrize("way", ["snapshot", "log"])
def test_a_test_that_runs_at_a_restart_makes_no_single_detector_enough(way: str) -> None:
    made = world(output("fan", test_max_s=60.0), needs=2)
    order(made, "output", "fan", is_on=True, duration_s=60.0)
    read(made, smoke_1=True)
    assert made.active_outputs() == ["fan"]
    snapshot = made.engine.snapshot(None)
    orders = snapshot.orders
    if way == "log":
        (cause,) = {
            each.cause for each in made.effects if isinstance(each, SetOutput) and each.is_active
        }
        switched = Event(
            kind=EventKind.OUTPUT,
            subject="fan",
            at=made.clock.stamp(),
            rule=cause,
            to_state="active",
        )
        orders = orders_after(Orders(), switched)
    made.outputs.clear()
    made.engine = Engine(made.site, snapshot.memories, orders=orders)
    made.do(made.engine.start(made.clock.stamp()))
    assert made.active_outputs() == []
    assert read(made, smoke_2=True) == ["fan"]


# -- relays and late memory ------------------------------------------------------------------------

STANDS = AlarmMemory(rule="smoke-a", state=AlarmState.LATCHED_ACKED, since_wall_ms=0)


def test_a_relay_that_runs_goes_on_without_a_stop_when_its_alarm_is_remembered_late() -> None:
    made = world(output("fan", stagger_s=5.0, min_off_s=60.0))
    start_anew(made, is_memory_whole=False)
    assert moves(made, "fan") == []
    late(made, Orders(running=frozenset({"fan"})), STANDS)
    assert moves(made, "fan") == [True]


def test_a_relay_that_nothing_asks_for_is_told_to_rest_once_the_memory_is_whole() -> None:
    made = world(output("fan", min_off_s=60.0))
    start_anew(made, is_memory_whole=False)
    late(made, Orders())
    assert moves(made, "fan") == [False]
    assert read(made, smoke_1=True) == ["fan"], "it rested all the time"


def test_a_relay_that_ran_and_is_told_to_rest_keeps_its_rest() -> None:
    made = world(output("fan", min_off_s=60.0))
    start_anew(made, is_memory_whole=False)
    late(made, Orders(running=frozenset({"fan"})))
    assert moves(made, "fan") == [False]
    assert read(made, smoke_1=True) == []
    assert wait(made, 61.0) == ["fan"]


def test_a_relay_that_acted_since_the_start_is_stopped_as_ever() -> None:
    made = world(output("fan"))
    start_anew(made, is_memory_whole=False)
    made.read(QUIET)
    assert read(made, smoke_1=True) == ["fan"]
    read(made, smoke_1=False)
    made.command("ack")
    made.command("reset")
    assert moves(made, "fan") == [True, False]
    late(made, Orders())
    assert moves(made, "fan") == [True, False]


def test_a_relay_that_an_alarm_known_at_the_start_asks_for_is_as_free_as_ever() -> None:
    made = world(output("fan"))
    made.effects.clear()
    made.engine = Engine(made.site, (STANDS,), is_memory_whole=False)
    made.do(made.engine.start(made.clock.stamp()))
    made.read(QUIET)
    made.command("reset")
    assert moves(made, "fan") == [True, False]


def test_a_supply_and_a_start_pulse_are_told_to_rest_at_once() -> None:
    made = world(
        output("supply", resets=("smoke-1",)), output("pump", max_on_s=2.0, is_start_pulse=True)
    )
    start_anew(made, is_memory_whole=False)
    assert made.outputs == {"supply": False, "pump": False}


# -- reset lines -----------------------------------------------------------------------------------


def supplied(*derived: DerivedSpec) -> World:
    supply = output("supply", resets=("smoke-1",), reset_pulse_s=5.0, blank_s=10.0)
    made = world(supply, rules=("nothing",))
    more = tuple(PointSpec(id=each.point, kind=PointKind.GENERIC) for each in derived)
    fresh = World(replace(made.site, points=(*made.site.points, *more), derived=derived))
    fresh.values.update(QUIET)
    fresh.read(QUIET)
    return fresh


def reset(made: World) -> None:
    read(made, smoke_1=True)
    made.command("ack")
    assert made.command("reset", "smoke-a").ok


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        (None, "condition_unknown", "nothing is known of the detector since its supply was pulsed"),
        (True, "condition_holds", "the detector is in alarm again after its supply was pulsed"),
    ],
)
def test_a_reset_that_fails_tells_why(value: Value | None, code: str, reason: str) -> None:
    made = supplied()
    reset(made)
    made.values["smoke-1"] = value
    wait(made, 60.0)
    ended = [event for event in made.events if event.kind is EventKind.COMMAND][-1]
    assert (ended.to_state, ended.code, ended.reason) == ("reset", code, reason)


def test_what_is_derived_from_a_detector_without_supply_counts_for_nothing_either() -> None:
    made = supplied(
        DerivedSpec(point="more", how=DerivedHow.SUM, sources=("sum",)),
        DerivedSpec(point="sum", how=DerivedHow.SUM, sources=("smoke-1", "door")),
        DerivedSpec(point="apart", how=DerivedHow.SUM, sources=("door",)),
    )
    reset(made)
    before, apart = made.engine.reading("more"), made.engine.reading("apart")
    wait(made, 14.0)
    assert made.engine.reading("more") is before
    assert made.engine.reading("apart") is not apart
    wait(made, 3.0)
    assert made.engine.reading("more") is not before


def test_a_shorter_blanking_does_not_end_a_longer_one() -> None:
    """Two lines on one detector, one after the other."""
    made = supplied()
    reset(made)
    made.engine._blank(("smoke-1", "gone"), made.clock.mono_s() + 2.0)
    wait(made, 10.0)
    read(made, smoke_1=False)
    assert made.alarms() == {"smoke-a": "active_acked"}
    wait(made, 6.0)
    assert made.alarms() == {}
