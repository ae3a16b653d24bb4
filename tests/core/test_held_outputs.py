"""Valves and cut-offs that nobody touches until all alarm memory has come, and what each is told then."""

from __future__ import annotations

import pytest

from agent.core.effects import AlarmState, SetOutput
from agent.core.engine import Engine
from agent.core.memory import NO_ORDERS, AlarmMemory, Orders
from agent.core.spec import AlarmClass, Pattern
from tests.core.test_linkages import POINTS, order, output, read, wait, world
from tests.core.test_linkages_restarted import STANDS, half_started, late_orders
from tests.core.timeline import World

GONE = AlarmMemory(rule="smoke-a", state=AlarmState.NORMAL, since_wall_ms=0)


def whole(made: World) -> list[SetOutput]:
    """What outputs are told when all memory has come."""
    effects = made.do(made.engine.memory_is_whole())
    return [each for each in effects if isinstance(each, SetOutput)]


def closed(name: str, cause: str = "start") -> SetOutput:
    return SetOutput(output=name, is_active=False, cause=cause)


@pytest.mark.parametrize(
    ("kind", "more", "is_held"),
    [
        ("valve", {}, True),
        ("cut-off", {}, True),
        ("relay", {"is_restored_by_hand": True}, True),
        ("relay", {}, True),
        ("siren", {}, False),
        ("lamp", {}, False),
    ],
)
def test_what_is_held(kind: str, more: dict[str, object], is_held: bool) -> None:
    made = world(output("x", kind, **more))
    half_started(made)
    assert made.outputs == ({} if is_held else {"x": False})
    assert whole(made) == ([closed("x")] if is_held else [])
    assert whole(made) == [], "once"


def test_nothing_is_held_when_all_memory_was_known_at_the_start() -> None:
    made = world(output("valve", "valve"))
    assert made.outputs == {"valve": False}


def test_each_held_output_is_told_by_what_stands_of_it() -> None:
    made = world(
        output("a-open", "valve"),
        output("b-rest", "valve", interlock="interlock.fan"),
        output("c-cut", "cut-off", is_restored_by_hand=True),
        output("d-idle", "relay", is_restored_by_hand=True),
    )
    half_started(made, (STANDS,))
    assert made.outputs == {"a-open": True, "c-cut": True, "d-idle": True}
    assert whole(made) == [closed("b-rest", "smoke-a")], "its interlock is not known: it rests"


def test_held_outputs_after_one_that_stays_active_are_let_go_too() -> None:
    made = world(output("a", "valve"), output("b", "valve"), rules=("smoke-a",), outputs=("a",))
    half_started(made, (STANDS,))
    assert whole(made) == [closed("b")]


def test_a_cut_that_its_interlock_keeps_at_rest_is_told_so() -> None:
    made = world(
        output("supply", "cut-off", is_restored_by_hand=True, interlock="interlock.fan")
    )  # fmt: skip
    half_started(made)
    late_orders(made, Orders(cut=frozenset({"supply"})))
    assert made.outputs == {}
    assert whole(made) == [closed("supply")]
    read(made, door=False)
    assert made.active_outputs() == ["supply"], "it waits for a person all the time"


def test_what_is_held_may_be_made_active_and_then_stays_so() -> None:
    made = world(output("valve", "valve"))
    half_started(made, (STANDS,))
    made.effects.clear()
    made.do(made.engine.restore(GONE, made.clock.stamp()))
    assert made.outputs == {"valve": True}
    assert whole(made) == [closed("valve")]


def test_a_valve_still_open_from_before_is_tested_without_being_shut_first() -> None:
    made = world(output("valve", "valve", min_off_s=60.0, test_max_s=20.0))
    opened_and_no_longer_asked_for(made)
    assert order(made, "output", "valve", is_on=True, duration_s=20.0) == "done"
    assert whole(made) == []
    assert wait(made, 19.9) == ["valve"]
    assert wait(made, 0.1) == []


def test_a_valve_held_open_for_its_longest_time_is_shut_when_all_memory_has_come() -> None:
    made = world(output("valve", "valve", min_off_s=60.0, max_on_s=5.0, test_max_s=20.0))
    opened_and_no_longer_asked_for(made)
    assert order(made, "output", "valve", is_on=True, duration_s=20.0) == "done"
    wait(made, 6)
    made.events.clear()
    assert whole(made) == [closed("valve")]
    (event,) = made.events
    assert (event.to_state, event.code) == ("blocked", "max_on_time")
    assert event.at == made.clock.stamp()


def opened_and_no_longer_asked_for(made: World) -> None:
    half_started(made)
    made.read(dict.fromkeys(POINTS, False))
    assert read(made, smoke_1=True) == ["valve"]
    read(made, smoke_1=False)
    order(made, "ack")
    order(made, "reset")
    assert made.active_outputs() == ["valve"], "nobody knows yet what else asks for it"


@pytest.mark.parametrize("kind", ["valve", "relay"])
def test_what_came_after_all_memory_is_not_taken_for_running_before(kind: str) -> None:
    made = world(output("valve", kind))
    half_started(made)
    whole(made)
    made.read(dict.fromkeys(POINTS, False))
    order(made, "mode", mode="manual")
    read(made, smoke_1=True)
    late_orders(made, Orders(running=frozenset({"valve"}), is_manual=True))
    assert read(made, smoke_2=True) == []


def test_a_relay_that_works_by_dropping_out_in_turn_is_not_told_to_rest_before_all_memory() -> None:
    made = world(output("x", is_energised_when_active=False, stagger_s=5.0))
    half_started(made)
    assert made.outputs == {}
    assert whole(made) == [closed("x")]


def test_what_ran_and_was_told_since_is_started_again_by_no_interlock_that_is_not_known() -> None:
    made = world(output("fan", interlock="interlock.fan"))
    made.engine = Engine(
        made.site, orders=Orders(running=frozenset({"fan"})), is_memory_whole=False
    )
    made.do(made.engine.start(made.clock.stamp()))
    made.read(dict.fromkeys(POINTS, False))
    assert read(made, smoke_1=True) == ["fan"]
    read(made, smoke_1=False)
    order(made, "ack")
    order(made, "reset")
    assert made.active_outputs() == []
    read(made, door=None)
    assert read(made, smoke_1=True) == []


def test_equipment_that_was_told_to_rest_at_the_start_does_not_run_on_by_late_orders() -> None:
    made = world(output("fan"))
    made.engine = Engine(made.site)
    made.do(made.engine.start(made.clock.stamp()))
    made.read(dict.fromkeys(POINTS, False))
    order(made, "mode", mode="manual")
    late_orders(made, Orders(running=frozenset({"fan"}), is_manual=True))
    assert read(made, smoke_1=True) == []


def test_what_is_running_leaves_out_the_health_output_and_what_rests() -> None:
    made = world(output("fan"), output("siren", "siren"), output("health", "health"))
    assert made.engine.snapshot(None).orders.running == frozenset()
    read(made, smoke_1=True)
    order(made, "silence", "smoke-a")
    assert made.engine.snapshot(None).orders.running == {"fan"}
    read(made, smoke_1=False)
    order(made, "ack")
    order(made, "reset")
    assert made.active_outputs() == ["health"]
    assert made.engine.snapshot(None).orders.running == frozenset()


# -- what a person restored in this run --------------------------------------------------------------


def test_what_was_restored_in_this_run_is_not_cut_again_by_late_orders() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    read(made, smoke_1=True)
    read(made, smoke_1=False)
    made.command("ack")
    made.command("reset")
    assert order(made, "restore", "supply") == "done"
    late_orders(made, Orders(cut=frozenset({"supply"})))
    assert made.active_outputs() == []


def test_late_orders_that_know_no_cut_end_none_that_an_alarm_asks_for() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    half_started(made, (STANDS,))
    late_orders(made, NO_ORDERS)
    assert made.active_outputs() == ["supply"]
    assert made.engine.snapshot(None).orders.cut == {"supply"}
    assert made.engine.standing_orders().cut == {"supply"}


# -- patterns, causes --------------------------------------------------------------------------------


def said(made: World) -> list[tuple[str, bool, str, Pattern]]:
    return [
        (each.output, each.is_active, each.cause, each.pattern)
        for each in made.effects
        if isinstance(each, SetOutput)
    ]


def test_an_output_names_what_moved_it_and_how_it_sounds() -> None:
    named = ((AlarmClass.FIRE, Pattern.TEMPORAL_3),)
    made = world(output("siren", "siren", patterns=named), output("fan"))
    made.effects.clear()
    read(made, smoke_1=True)
    made.command("silence", "smoke-a")
    read(made, smoke_2=True)
    read(made, smoke_1=False, smoke_2=False)
    made.command("ack")
    made.command("reset")
    steady, temporal = Pattern.STEADY, Pattern.TEMPORAL_3
    assert said(made) == [
        ("siren", True, "smoke-a", temporal),
        ("fan", True, "smoke-a", steady),
        ("siren", False, "silence", steady),
        ("siren", True, "smoke-b", temporal),
        ("siren", False, "reset", steady),
        ("fan", False, "reset", steady),
    ]


def test_what_time_moves_names_the_alarm_that_asks() -> None:
    made = world(output("fan"), delay_s=60.0)
    made.effects.clear()
    read(made, smoke_1=True)
    wait(made, 60)
    assert said(made) == [("fan", True, "smoke-a", Pattern.STEADY)]


def test_what_is_asked_for_and_rests_is_told_no_pattern() -> None:
    named = ((AlarmClass.FIRE, Pattern.TEMPORAL_3),)
    made = world(output("siren", "siren", patterns=named, interlock="interlock.fan"))
    read(made, door=True)
    made.effects.clear()
    read(made, smoke_1=True)
    assert said(made) == []
    read(made, door=False)
    read(made, door=True)
    assert said(made) == [
        ("siren", True, "smoke-a", Pattern.TEMPORAL_3),
        ("siren", False, "smoke-a", Pattern.STEADY),
    ]


def test_what_is_asked_for_at_the_start_and_rests_is_told_no_pattern() -> None:
    named = ((AlarmClass.FIRE, Pattern.TEMPORAL_3),)
    made = world(output("siren", "siren", patterns=named, interlock="interlock.fan"))
    made.effects.clear()
    made.engine = Engine(made.site, (STANDS,))
    made.do(made.engine.start(made.clock.stamp()))
    assert said(made) == [("siren", False, "smoke-a", Pattern.STEADY)]


def test_a_class_no_pattern_is_named_for_sounds_steadily() -> None:
    made = world(
        output("siren", "siren", patterns=((AlarmClass.GAS, Pattern.PULSED),)),
        output("plain", "siren"),
    )
    made.effects.clear()
    read(made, smoke_1=True)
    assert {pattern for _, _, _, pattern in said(made)} == {Pattern.STEADY}


def test_at_the_start_a_siren_sounds_as_what_is_remembered_asks() -> None:
    made = world(output("siren", "siren", patterns=((AlarmClass.FIRE, Pattern.TEMPORAL_3),)))
    made.effects.clear()
    made.engine = Engine(made.site, (STANDS,))
    made.do(made.engine.start(made.clock.stamp()))
    assert said(made) == [("siren", True, "smoke-a", Pattern.TEMPORAL_3)]


# -- tests ---------------------------------------------------------------------------------------------


def test_a_test_in_its_last_moment_is_over() -> None:
    made = world(output("siren", "siren", test_max_s=10.0))
    assert order(made, "output", "siren", is_on=True, duration_s=0.5) == "done"
    assert wait(made, 0.4) == ["siren"]
    made.clock.advance(0.1)
    assert order(made, "output", "siren", is_on=False) == "not_active"


def test_is_testing_tells_of_any_output_until_its_test_is_over() -> None:
    made = world(output("fan", test_max_s=10.0), output("siren", "siren", test_max_s=10.0))
    assert not made.engine.standing_orders().is_testing
    order(made, "output", "siren", is_on=True, duration_s=5.0)
    assert made.engine.standing_orders().is_testing
    wait(made, 5)
    assert not made.engine.standing_orders().is_testing


def test_a_cut_of_before_that_was_restored_in_this_run_is_not_cut_again_by_late_orders() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    before = Orders(cut=frozenset({"supply"}))
    made.engine = Engine(made.site, orders=before)
    made.do(made.engine.start(made.clock.stamp()))
    assert made.active_outputs() == ["supply"]
    assert order(made, "restore", "supply") == "done"
    late_orders(made, before)
    assert made.active_outputs() == []
