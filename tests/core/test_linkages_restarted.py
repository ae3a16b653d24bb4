"""Outputs over restarts with half or late memory, and what wears off: rests, turns, longest times."""

from __future__ import annotations

from dataclasses import replace

from agent.core.effects import AlarmState, Event, EventKind, SetOutput
from agent.core.engine import Engine
from agent.core.memory import NO_ORDERS, AlarmMemory, Orders, orders_after
from drivers.clock import Stamp
from tests.core.test_linkages import POINTS, order, output, read, wait, world
from tests.core.timeline import World


def half_started(made: World, memories: tuple[AlarmMemory, ...] = ()) -> None:
    """Start `made` anew while more memory may come."""
    made.outputs.clear()
    made.effects.clear()
    made.engine = Engine(made.site, memories, is_memory_whole=False)
    made.do(made.engine.start(made.clock.stamp()))


def late_orders(made: World, orders: Orders) -> None:
    made.do(made.engine.restore_orders(orders, made.clock.stamp()))


STANDS = AlarmMemory(rule="smoke-a", state=AlarmState.ACTIVE_UNACKED, since_wall_ms=0)


# -- restarts --------------------------------------------------------------------------------------


def test_a_cut_of_this_run_is_not_forgotten_when_older_orders_come_late() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    half_started(made)
    made.read(dict.fromkeys(POINTS, False))
    read(made, smoke_1=True)
    read(made, smoke_1=False)
    made.command("ack")
    made.command("reset")
    late_orders(made, NO_ORDERS)
    made.do(made.engine.memory_is_whole())
    assert made.active_outputs() == ["supply"]
    assert made.engine.snapshot(None).orders.cut == {"supply"}


def test_a_mode_ordered_in_this_run_is_newer_than_late_orders() -> None:
    made = world(output("fan"))
    half_started(made)
    made.read(dict.fromkeys(POINTS, False))
    order(made, "mode", mode="manual")
    late_orders(made, NO_ORDERS)
    assert read(made, smoke_1=True) == []


def test_what_waits_for_a_person_acts_when_late_orders_say_auto() -> None:
    made = world(output("fan"))
    made.engine = Engine(made.site, orders=Orders(is_manual=True), is_memory_whole=False)
    made.do(made.engine.start(made.clock.stamp()))
    made.read(dict.fromkeys(POINTS, False))
    assert read(made, smoke_1=True) == []
    late_orders(made, NO_ORDERS)
    assert made.active_outputs() == ["fan"]


def test_a_held_valve_that_could_not_start_yet_is_opened_once_it_may() -> None:
    made = world(output("valve", "valve", interlock="interlock.fan"))
    half_started(made, (STANDS,))
    made.do(made.engine.memory_is_whole())
    made.effects.clear()
    read(made, door=False)
    assert made.active_outputs() == ["valve"]


def test_a_held_valve_that_waits_for_its_turn_is_opened_when_it_comes() -> None:
    made = world(*(output(f"valve-{n}", "valve", stagger_s=5.0) for n in (1, 2)))
    half_started(made, (STANDS,))
    made.do(made.engine.memory_is_whole())
    made.advance(10.0)
    assert made.active_outputs() == ["valve-1", "valve-2"]


def test_a_held_valve_whose_turn_has_come_is_not_told_to_rest_first() -> None:
    made = world(*(output(f"valve-{n}", "valve", stagger_s=5.0) for n in (1, 2)))
    half_started(made, (STANDS,))
    assert made.active_outputs() == ["valve-1"]
    made.clock.advance(6.0)
    assert made.command("reset", "smoke-a").code == "condition_unknown"  # so much for now
    made.do(made.engine.memory_is_whole())
    assert made.active_outputs() == ["valve-1", "valve-2"]
    assert made.effects[-1] == SetOutput(output="valve-2", is_active=True, cause="smoke-a")
    assert [
        each for each in made.effects if isinstance(each, SetOutput) and not each.is_active
    ] == []


def test_what_the_log_tells_of_outputs_is_known_after_it() -> None:
    orders = NO_ORDERS
    seen = []
    for subject, to_state in (
        ("supply", "cut"),
        ("fan", "active"),
        ("siren", "active"),
        ("fan", "failed"),
        ("fan", "inactive"),
        ("supply", "restored"),
    ):
        event = Event(
            kind=EventKind.OUTPUT, subject=subject, at=Stamp(1.0, 1000), to_state=to_state
        )
        orders = orders_after(orders, event)
        seen.append((sorted(orders.cut), sorted(orders.running)))
    assert seen == [
        (["supply"], []),
        (["supply"], ["fan"]),
        (["supply"], ["fan", "siren"]),
        (["supply"], ["fan", "siren"]),
        (["supply"], ["siren"]),
        ([], ["siren"]),
    ]


def test_equipment_that_ran_by_one_detector_left_of_two_runs_on_over_a_restart() -> None:
    made = world(output("fan"), needs=2)
    read(made, smoke_1=True, smoke_2=True)
    read(made, smoke_1=False)
    made.command("ack", "smoke-a")
    made.command("reset", "smoke-a")
    assert made.active_outputs() == ["fan"]
    made.restart()
    assert made.active_outputs() == ["fan"]


def test_loads_that_ran_are_not_stopped_by_a_restart_to_take_turns() -> None:
    made = world(*(output(f"fan-{n}", stagger_s=3.0) for n in (1, 2)))
    read(made, smoke_1=True)
    assert wait(made, 10) == ["fan-1", "fan-2"]
    made.restart()
    assert made.active_outputs() == ["fan-1", "fan-2"]


def test_what_ran_is_not_stopped_by_an_interlock_that_is_not_read_yet() -> None:
    made = world(output("fan", interlock="interlock.fan"))
    assert read(made, smoke_1=True) == ["fan"]
    made.restart()
    assert made.active_outputs() == ["fan"]
    assert read(made, door=True) == []


def test_a_siren_with_a_delay_sounds_on_over_a_restart() -> None:
    made = world(output("siren", "siren"), output("supply", "cut-off"), delay_s=60.0)
    read(made, smoke_1=True)
    assert wait(made, 60) == ["siren", "supply"]
    made.restart()
    assert made.active_outputs() == ["siren", "supply"]


# -- the longest time active -----------------------------------------------------------------------


def test_a_new_alarm_shortly_before_the_end_sounds_for_a_whole_longest_time() -> None:
    made = world(output("siren", "siren", max_on_s=30.0))
    read(made, smoke_1=True)
    wait(made, 29)
    read(made, smoke_2=True)
    assert wait(made, 29) == ["siren"]
    assert wait(made, 1) == []


def test_a_detector_that_latched_and_is_in_alarm_again_sounds_anew() -> None:
    made = world(output("siren", "siren", max_on_s=30.0))
    made = World(
        replace(made.site, rules=tuple(replace(r, is_latched=True) for r in made.site.rules))
    )
    made.read(dict.fromkeys(POINTS, False))
    made.values.update(dict.fromkeys(POINTS, False))
    read(made, smoke_1=True)
    assert wait(made, 31) == []
    read(made, smoke_1=False)
    assert read(made, smoke_1=True) == ["siren"]


# -- call points, reset lines ----------------------------------------------------------------------


def test_a_call_point_that_is_latched_still_ends_the_wait() -> None:
    made = world(output("fan"), classes=(), rules=("smoke-a",), delay_s=60.0)
    read(made, call=True)
    read(made, call=False)
    assert made.alarms() == {"call": "latched_unacked"}
    assert read(made, smoke_1=True) == ["fan"]


def test_a_call_point_in_a_drill_ends_no_wait_of_a_real_alarm() -> None:
    made = world(output("fan"), classes=(), rules=("smoke-a",), delay_s=60.0)
    order(made, "drill", is_on=True, scope=("call",), duration_s=600.0)
    read(made, call=True)
    assert read(made, smoke_1=True) == []
