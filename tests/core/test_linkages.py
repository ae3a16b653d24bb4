"""Outputs: delays, several detectors, manual mode, interlocks, times, turns, cuts, tests, keys and lamps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.core.effects import Command, CommandName, Event, EventKind, Outcome, SetOutput
from agent.core.engine import Engine
from agent.core.memory import NO_ORDERS, Orders, orders_after
from agent.core.spec import (
    AlarmClass,
    Contact,
    KeySpec,
    LampSign,
    Linkage,
    OutputKind,
    OutputSpec,
    Pattern,
    PointKind,
    PointSpec,
    RuleSpec,
    SelfTest,
    SiteSpec,
)
from drivers.clock import ClockState
from drivers.reading import Value
from tests.core.test_voting import Utc
from tests.core.timeline import World

POINTS = ("smoke-1", "smoke-2", "call", "door", "key", "switch")


def rule(name: str, point: str, alarm_class: str = "fire", **more: object) -> RuleSpec:
    plain = RuleSpec(
        id=name, alarm_class=AlarmClass(alarm_class), condition=Contact(point=point), zone="hall"
    )
    return replace(plain, **more)  # type: ignore[arg-type]


RULES = (
    rule("smoke-a", "smoke-1"),
    rule("smoke-b", "smoke-2"),
    rule("call", "call", is_call_point=True),
    rule("interlock.fan", "door", "technical", needs_ack=False),
)


def output(name: str, kind: str = "relay", **more: object) -> OutputSpec:
    return replace(OutputSpec(id=name, kind=OutputKind(kind)), **more)  # type: ignore[arg-type]


def world(*outputs: OutputSpec, keys: tuple[KeySpec, ...] = (), **link: object) -> World:
    names = tuple(each.id for each in outputs)
    plain = Linkage(id="fire", outputs=names, classes=(AlarmClass.FIRE,))
    site = SiteSpec(
        site="s",
        box="box",
        points=tuple(PointSpec(id=name, kind=PointKind.GENERIC) for name in POINTS),
        rules=RULES,
        outputs=outputs,
        linkages=(replace(plain, **link),),  # type: ignore[arg-type]
        keys=keys,
    )
    made = World(site)
    quiet: dict[str, Value | None] = dict.fromkeys(POINTS, False)
    made.values.update(quiet)
    made.read(quiet)
    return made


def read(made: World, **values: Value | None) -> list[str]:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    made.values.update(named)
    made.read(named)
    return made.active_outputs()


def wait(made: World, seconds: float) -> list[str]:
    made.advance(seconds)
    return made.active_outputs()


def order(made: World, name: str, target: str = "", /, **more: object) -> str:
    wish = Command(id="c", name=CommandName(name), actor="anna", origin="cli", target=target)
    outcome, effects = made.engine.on_command(replace(wish, **more), made.clock.stamp())  # type: ignore[arg-type]
    made.do(effects)
    assert isinstance(outcome, Outcome)
    return outcome.code


def told(made: World, *kinds: str) -> list[tuple[str, str, str]]:
    return [
        (event.subject, event.to_state, event.code)
        for event in made.events
        if event.kind is EventKind.OUTPUT and (not kinds or event.to_state in kinds)
    ]


# -- several detectors, delays ---------------------------------------------------------------------


def test_equipment_that_needs_two_detectors_waits_for_the_second_and_then_stays() -> None:
    made = world(output("fan"), needs=2)
    assert read(made, smoke_1=True) == []
    assert read(made, smoke_2=True) == ["fan"]
    assert read(made, smoke_1=False, smoke_2=False) == ["fan"]  # both are latched
    for name in ("smoke-a", "smoke-b"):
        made.command("ack", name)
    made.command("reset", "smoke-a")
    assert made.active_outputs() == ["fan"]
    made.command("reset", "smoke-b")
    assert made.active_outputs() == []


def test_two_rules_on_one_detector_are_one_detector() -> None:
    made = world(output("fan"), needs=2)
    site = replace(made.site, rules=(*RULES, rule("smoke-again", "smoke-1")))
    again = World(site)
    assert read(again, smoke_1=True) == []


def test_a_linkage_waits_for_its_delay_and_says_so() -> None:
    made = world(output("fan"), delay_s=60.0)
    assert read(made, smoke_1=True) == []
    assert told(made) == [("fan", "waiting", "delay")]
    assert wait(made, 59.9) == []
    assert wait(made, 0.1) == ["fan"]
    assert told(made) == [("fan", "waiting", "delay")]


def test_a_manual_call_point_ends_the_wait() -> None:
    made = world(output("fan"), delay_s=60.0)
    read(made, smoke_1=True)
    wait(made, 10)
    assert read(made, call=True) == ["fan"]


def test_a_delay_begins_anew_when_the_alarm_was_reset_before_it_was_over() -> None:
    made = world(output("fan"), delay_s=60.0)
    read(made, smoke_1=True)
    read(made, smoke_1=False)
    made.command("ack", "smoke-a")
    made.command("reset", "smoke-a")
    wait(made, 50)
    assert read(made, smoke_1=True) == []
    assert wait(made, 59) == []
    assert wait(made, 1) == ["fan"]


# -- mode ------------------------------------------------------------------------------------------


def test_in_manual_mode_equipment_waits_for_a_person_and_sirens_do_not() -> None:
    made = world(output("fan"), output("siren", "siren"), output("supply", "cut-off"))
    assert order(made, "mode", mode="manual") == "done"
    assert read(made, smoke_1=True) == ["siren", "supply"]
    assert told(made, "waiting") == [("fan", "waiting", "manual")]
    assert order(made, "mode", mode="auto") == "done"
    assert made.active_outputs() == ["fan", "siren", "supply"]
    modes = [(e.from_state, e.to_state, e.actor) for e in made.events if e.kind is EventKind.MODE]
    assert modes == [("auto", "manual", "anna"), ("manual", "auto", "anna")]


def test_switching_to_manual_takes_nothing_away() -> None:
    made = world(output("fan"))
    read(made, smoke_1=True)
    order(made, "mode", mode="manual")
    assert made.active_outputs() == ["fan"]


def test_a_linkage_may_act_in_manual_mode_too() -> None:
    made = world(output("fan"), acts_in_manual=True)
    order(made, "mode", mode="manual")
    assert read(made, smoke_1=True) == ["fan"]


def test_a_mode_that_is_none_is_refused_and_the_same_one_is_no_event() -> None:
    made = world(output("fan"))
    assert order(made, "mode", mode="semi") == "bad_argument"
    assert order(made, "mode", mode="auto") == "done"
    assert not [event for event in made.events if event.kind is EventKind.MODE]


# -- interlock, times, turns -----------------------------------------------------------------------


def test_an_interlock_goes_before_every_demand_and_is_told() -> None:
    made = world(output("fan", interlock="interlock.fan"))
    assert read(made, smoke_1=True) == ["fan"]
    assert read(made, door=True) == []
    assert told(made) == [("fan", "blocked", "interlock")]
    assert read(made, door=False) == ["fan"]


def test_an_interlock_whose_off_delay_runs_forbids_still() -> None:
    made = world(output("fan", interlock="interlock.fan"))
    lock = rule("interlock.fan", "door", "technical", needs_ack=False, off_delay_s=10.0)
    made = World(replace(made.site, rules=(*RULES[:-1], lock)))
    read(made, **dict.fromkeys(("smoke_1", "smoke_2", "call", "door"), False))
    read(made, door=True)
    read(made, smoke_1=True)
    assert read(made, door=False) == []
    assert wait(made, 9.9) == []
    assert wait(made, 0.1) == ["fan"]


def test_an_unknown_interlock_starts_nothing_and_stops_nothing() -> None:
    made = world(output("fan", interlock="interlock.fan"))
    read(made, door=None)
    assert read(made, smoke_1=True) == []
    assert read(made, door=False) == ["fan"]
    assert read(made, door=None) == ["fan"]


def test_a_longest_time_active_ends_it_until_it_is_asked_for_anew() -> None:
    made = world(output("fan", max_on_s=30.0))
    assert read(made, smoke_1=True) == ["fan"]
    assert wait(made, 29.9) == ["fan"]
    assert wait(made, 0.1) == []
    assert told(made) == [("fan", "blocked", "max_on_time")]
    assert read(made, smoke_2=True) == []
    read(made, smoke_1=False, smoke_2=False)
    made.command("ack")
    made.command("reset")
    assert read(made, smoke_1=True) == ["fan"]


def test_a_siren_that_has_sounded_its_longest_sounds_again_for_a_new_alarm() -> None:
    made = world(output("siren", "siren", max_on_s=30.0))
    read(made, smoke_1=True)
    assert wait(made, 30) == []
    assert read(made, smoke_2=True) == ["siren"]
    assert wait(made, 30) == []
    made.command("silence", "smoke-a")
    assert made.active_outputs() == []


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("link", [{"delay_s": 60.0}, {}])
def test_equipment_that_ran_goes_on_running_over_a_restart(
    link: dict[str, Any], is_late: bool
) -> None:
    made = world(output("fan"), **link)
    read(made, smoke_1=True)
    wait(made, 60)
    order(made, "mode", mode="manual")
    assert made.active_outputs() == ["fan"]
    snapshot = made.engine.snapshot(None)
    assert snapshot.orders.running == {"fan"}
    made.outputs.clear()
    now = made.clock.stamp()
    if is_late:
        made.engine = Engine(made.site, is_memory_whole=False)
        made.do(made.engine.start(now))
        made.do(made.engine.restore_orders(snapshot.orders, now))
        for memory in snapshot.memories:
            made.do(made.engine.restore(memory, now))
        made.do(made.engine.memory_is_whole())
    else:
        made.engine = Engine(made.site, snapshot.memories, orders=snapshot.orders)
        made.do(made.engine.start(now))
    assert made.active_outputs() == ["fan"]
    # a new alarm later waits as ever
    made.command("ack")
    read(made, smoke_1=False)
    made.command("reset")
    assert made.active_outputs() == []
    assert read(made, smoke_1=True) == []


def test_what_waited_before_a_restart_waits_after_it() -> None:
    made = world(output("fan"))
    order(made, "mode", mode="manual")
    read(made, smoke_1=True)
    snapshot = made.engine.snapshot(None)
    made.engine = Engine(made.site, snapshot.memories, orders=snapshot.orders)
    made.outputs.clear()
    made.do(made.engine.start(made.clock.stamp()))
    assert made.active_outputs() == []


def test_a_shortest_rest_is_kept() -> None:
    made = world(output("siren", "siren", min_off_s=20.0))
    read(made, smoke_1=True)
    made.command("silence", "smoke-a")
    wait(made, 5)
    assert read(made, smoke_2=True) == []
    assert wait(made, 14.9) == []
    assert wait(made, 0.1) == ["siren"]


def test_loads_are_switched_in_one_after_another() -> None:
    made = world(*(output(f"fan-{n}", stagger_s=3.0) for n in (1, 2, 3)), output("plain"))
    assert read(made, smoke_1=True) == ["fan-1", "plain"]
    assert wait(made, 2.9) == ["fan-1", "plain"]
    assert wait(made, 0.1) == ["fan-1", "fan-2", "plain"]
    assert wait(made, 3.0) == ["fan-1", "fan-2", "fan-3", "plain"]


def test_what_cuts_is_never_staggered_and_power_returns_in_turn() -> None:
    shed = [
        output(f"shed-{n}", "cut-off", is_energised_when_active=False, stagger_s=5.0)
        for n in (1, 2)
    ]
    made = world(*shed)
    assert made.active_outputs() == ["shed-2"]  # after a start they are switched in, in turn
    assert wait(made, 4.9) == ["shed-2"]
    assert wait(made, 0.1) == []
    wait(made, 20)
    assert read(made, smoke_1=True) == ["shed-1", "shed-2"]
    read(made, smoke_1=False)
    made.command("ack")
    made.command("reset")
    assert made.active_outputs() == ["shed-2"]
    assert wait(made, 5) == []


def test_cut_offs_that_were_held_for_the_memory_are_switched_in_in_turn_once_it_is_whole() -> None:
    shed = [
        output(f"shed-{n}", "cut-off", is_energised_when_active=False, stagger_s=5.0)
        for n in (1, 2)
    ]
    made = world(*shed)
    wait(made, 20)
    made.outputs.clear()
    made.engine = Engine(made.site, is_memory_whole=False)
    made.do(made.engine.start(made.clock.stamp()))
    wait(made, 10)
    assert False not in made.outputs.values()  # nothing was told to restore
    made.do(made.engine.memory_is_whole())
    assert sorted(name for name, is_on in made.outputs.items() if not is_on) == ["shed-1"]
    assert wait(made, 5) == []
    assert made.outputs == {"shed-1": False, "shed-2": False}


# -- restored by hand ------------------------------------------------------------------------------


def shed(made: World) -> None:
    read(made, smoke_1=True)
    read(made, smoke_1=False)
    made.command("ack")


def test_a_cut_is_given_back_by_a_person_on_the_spot_and_only_after_the_reset() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    assert order(made, "restore", "supply") == "not_active"
    shed(made)
    assert order(made, "restore", "supply") == "latched"
    made.command("reset")
    assert made.active_outputs() == ["supply"]
    assert order(made, "restore", "supply", origin="mqtt") == "not_on_spot"
    assert order(made, "restore", "suply") == "unknown_output"
    assert made.active_outputs() == ["supply"]
    assert order(made, "restore", "supply", origin="key") == "done"
    assert made.active_outputs() == []
    assert told(made) == [("supply", "cut", "cut"), ("supply", "restored", "restored")]


def test_a_cut_stays_over_a_restart_by_snapshot_and_by_the_log() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    shed(made)
    made.command("reset")
    snapshot = made.engine.snapshot(None)
    assert snapshot.orders.cut == {"supply"}
    replayed = NO_ORDERS
    for event in made.events:
        replayed = orders_after(replayed, event)
    assert replayed == replace(snapshot.orders, running=frozenset())  # told by what switches
    again = Engine(made.site, snapshot.memories, orders=snapshot.orders)
    made.outputs.clear()
    made.events.clear()
    made.engine = again
    made.do(again.start(made.clock.stamp()))
    assert made.active_outputs() == ["supply"]
    assert told(made) == []  # it is no new cut
    assert order(made, "restore", "supply") == "done"
    assert made.active_outputs() == []
    assert made.engine.snapshot(None).orders == NO_ORDERS


def test_a_cut_that_the_log_knows_late_is_taken_up_and_one_it_ended_is_let_go() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    made.do(made.engine.restore_orders(Orders(cut=frozenset({"supply"})), made.clock.stamp()))
    assert made.active_outputs() == ["supply"]
    made.do(made.engine.restore_orders(NO_ORDERS, made.clock.stamp()))
    assert made.active_outputs() == []


def test_manual_mode_is_remembered() -> None:
    made = world(output("fan"))
    order(made, "mode", mode="manual")
    snapshot = made.engine.snapshot(None)
    assert snapshot.orders.is_manual
    replayed = NO_ORDERS
    for event in made.events:
        replayed = orders_after(replayed, event)
    assert replayed == replace(snapshot.orders, running=frozenset())  # told by what switches
    made.engine = Engine(made.site, (), orders=snapshot.orders)
    made.do(made.engine.start(made.clock.stamp()))
    made.read(dict.fromkeys(POINTS, False))
    assert read(made, smoke_1=True) == []


# -- tests -----------------------------------------------------------------------------------------


def test_a_person_tests_an_output_for_a_bounded_time() -> None:
    made = world(output("siren", "siren", test_max_s=10.0), output("supply", "cut-off"))
    assert order(made, "output", "siren", is_on=True, duration_s=5.0) == "done"
    assert made.active_outputs() == ["siren"]
    assert wait(made, 5) == []
    assert order(made, "output", "siren", is_on=True, duration_s=10.0) == "done"
    assert order(made, "output", "siren", is_on=False) == "done"
    assert made.active_outputs() == []


@pytest.mark.parametrize(
    ("target", "more", "code"),
    [
        ("siren", {"is_on": True}, "no_end"),
        ("siren", {}, "bad_argument"),
        ("siren", {"is_on": True, "duration_s": 11.0}, "too_long"),
        ("siren", {"is_on": True, "duration_s": -1.0}, "bad_argument"),
        ("siren", {"is_on": True, "duration_s": float("nan")}, "bad_argument"),
        ("siren", {"is_on": False}, "not_active"),
        ("supply", {"is_on": True, "duration_s": 1.0}, "not_allowed"),
        ("nothing", {"is_on": True, "duration_s": 1.0}, "unknown_output"),
    ],
)
def test_a_test_that_makes_no_sense_is_refused_and_moves_nothing(
    target: str, more: dict[str, object], code: str
) -> None:
    made = world(output("siren", "siren", test_max_s=10.0), output("supply", "cut-off"))
    assert order(made, "output", target, **more) == code
    assert made.active_outputs() == []
    last = made.events[-1]
    assert (last.kind, last.to_state, last.code) == (EventKind.COMMAND, "output", code)


def test_what_an_interlock_forbids_is_not_tested() -> None:
    made = world(output("fan", test_max_s=10.0, interlock="interlock.fan"))
    read(made, door=True)
    assert order(made, "output", "fan", is_on=True, duration_s=5.0) == "interlocked"


def test_an_alarm_during_a_test_keeps_the_output_active_after_it() -> None:
    made = world(output("siren", "siren", test_max_s=10.0))
    order(made, "output", "siren", is_on=True, duration_s=5.0)
    read(made, smoke_1=True)
    assert wait(made, 60) == ["siren"]


def test_an_output_tests_itself_at_its_minute_of_the_week() -> None:
    made = world(output("siren", "siren"))
    at_ms = made.clock.stamp().wall_ms
    minute = at_ms // 60_000 + 2
    day = (minute // 1440 + 3) % 7
    test = SelfTest(calendar=Utc(), days=frozenset({day}), minute=minute % 1440, for_s=2.0)
    site = replace(made.site, outputs=(output("siren", "siren", self_test=test),))
    again = World(site, clock=made.clock)
    assert again.clock.stamp().clock is ClockState.SYNCED
    again.advance((minute * 60_000 - at_ms) / 1000)
    assert again.active_outputs() == ["siren"]
    assert told(again) == [("siren", "tested", "test")]
    assert wait(again, 2) == []
    assert wait(again, 120) == []


# -- keys and lamps --------------------------------------------------------------------------------


def test_a_key_is_a_person_and_only_a_press_counts() -> None:
    made = world(
        output("buzzer", "buzzer"), keys=(KeySpec(point="key", command="ack", actor="lobby"),)
    )
    read(made, smoke_1=True)
    assert read(made, key=True) == []
    acked: Event = next(event for event in made.events if event.to_state == "active_acked")
    assert acked.actor == "lobby"
    read(made, smoke_2=True)
    assert made.active_outputs() == ["buzzer"]
    assert read(made, key=None) == ["buzzer"]
    assert read(made, key=True) == ["buzzer"]  # back from unknown: nobody pressed
    assert read(made, key=False) == ["buzzer"]
    assert read(made, key=True) == []


def test_a_key_on_a_point_nobody_declared_is_never_pressed() -> None:
    made = world(output("buzzer", "buzzer"), keys=(KeySpec(point="gone", command="ack"),))
    assert read(made, smoke_1=True, gone=False) == ["buzzer"]
    assert read(made, gone=True) == ["buzzer"]
    assert made.alarms() == {"smoke-a": "active_unacked"}


def test_a_switch_sets_the_mode_both_ways_and_a_lamp_shows_it() -> None:
    made = world(
        output("fan"),
        output("lamp", "lamp", shows=LampSign.MANUAL),
        keys=(KeySpec(point="switch", command="mode"),),
    )
    site = replace(
        made.site, linkages=(Linkage(id="f", outputs=("fan",), classes=(AlarmClass.FIRE,)),)
    )
    made = World(site)
    made.read(dict.fromkeys(POINTS, False))
    assert read(made, switch=True) == ["lamp"]
    assert read(made, smoke_1=True) == ["lamp"]
    assert read(made, switch=False) == ["fan"]


def test_lamps_show_inhibits_and_tests() -> None:
    made = world(
        output("inhibited", "lamp", shows=LampSign.INHIBIT),
        output("testing", "lamp", shows=LampSign.TEST),
        output("siren", "siren", test_max_s=10.0),
        classes=(AlarmClass.GAS,),
    )
    order(made, "inhibit", "smoke-a", duration_s=60.0, reason="works")
    assert made.active_outputs() == ["inhibited"]
    order(made, "output", "siren", is_on=True, duration_s=5.0)
    assert made.active_outputs() == ["inhibited", "siren", "testing"]
    assert wait(made, 5) == ["inhibited"]
    order(made, "drill", is_on=True, scope=("hall",), duration_s=60.0)
    assert made.active_outputs() == ["inhibited", "testing"]
    assert wait(made, 60) == []


# -- patterns --------------------------------------------------------------------------------------


def test_the_most_urgent_class_decides_how_a_siren_sounds() -> None:
    named = ((AlarmClass.FIRE, Pattern.TEMPORAL_3), (AlarmClass.TECHNICAL, Pattern.PULSED))
    made = world(output("siren", "siren", patterns=named), classes=())
    made = World(
        replace(made.site, linkages=(Linkage(id="all", outputs=("siren",), zones=("hall",)),))
    )
    made.read(dict.fromkeys(POINTS, False))

    def patterns() -> list[Pattern]:
        effects = [each for each in made.effects if isinstance(each, SetOutput) and each.is_active]
        return [each.pattern for each in effects]

    read(made, door=True)
    assert patterns() == [Pattern.PULSED]
    read(made, smoke_1=True)
    assert patterns() == [Pattern.PULSED, Pattern.TEMPORAL_3]
    read(made, smoke_2=True)
    assert patterns() == [Pattern.PULSED, Pattern.TEMPORAL_3]


# -- detectors that latch themselves ---------------------------------------------------------------


def self_latching(**more: object) -> World:
    line = output("line", resets=("smoke-1", "smoke-2"), reset_pulse_s=5.0, blank_s=10.0)
    made = world(line, classes=(AlarmClass.GAS,))
    if more:
        rules = tuple(replace(each, **more) for each in RULES)  # type: ignore[arg-type]
        made = World(replace(made.site, rules=rules))
        made.read(dict.fromkeys(POINTS, False))
    read(made, smoke_1=True)
    return made


def test_a_reset_pulses_the_supply_and_follows_once_the_detector_is_quiet() -> None:
    made = self_latching()
    assert order(made, "reset", "smoke-a", code="real") == "condition_holds"  # nobody has seen it
    made.command("ack", "smoke-a")
    assert order(made, "reset", "smoke-a", code="real") == "done"
    assert made.active_outputs() == ["line"]
    assert order(made, "reset", "smoke-a", code="real") == "done"  # it is under way
    read(made, smoke_1=False)  # without supply a detector is quiet: that counts for nothing
    assert made.alarms() == {"smoke-a": "active_acked"}
    assert wait(made, 4.9) == ["line"]
    assert wait(made, 0.1) == []
    wait(made, 9.9)
    assert made.alarms() == {"smoke-a": "active_acked"}
    wait(made, 2)
    assert made.alarms() == {}
    ends = [event for event in made.events if event.to_state == "normal"]
    assert [(event.actor, event.code) for event in ends] == [("anna", "real")]


def test_a_detector_that_is_in_alarm_again_stands_and_the_reset_is_told_as_refused() -> None:
    made = self_latching()
    made.command("ack", "smoke-a")
    order(made, "reset", "smoke-a", code="real")
    wait(made, 60)
    assert made.alarms() == {"smoke-a": "active_acked"}
    last = [event for event in made.events if event.kind is EventKind.COMMAND][-1]
    assert (last.to_state, last.code, last.actor) == ("reset", "condition_holds", "anna")


def test_another_detector_on_the_line_is_blanked_too_and_loses_no_alarm() -> None:
    made = self_latching()
    read(made, smoke_2=True)
    made.command("ack")
    assert order(made, "reset", "smoke-a", code="real") == "done"
    read(made, smoke_1=False, smoke_2=False)
    assert made.alarms() == {"smoke-a": "active_acked", "smoke-b": "active_acked"}
    wait(made, 20)
    assert made.alarms() == {"smoke-b": "latched_acked"}


def test_a_detector_that_is_no_point_of_the_site_is_pulsed_and_its_alarm_stands() -> None:
    line = output("line", resets=("smoke-1", "smoke-9"), reset_pulse_s=5.0, blank_s=10.0)
    made = world(line, classes=(AlarmClass.GAS,))
    read(made, smoke_1=True)
    made.command("ack")
    assert order(made, "reset", "smoke-a", code="real") == "done"
    assert made.active_outputs() == ["line"]


def test_an_alarm_that_hangs_on_more_than_the_line_is_not_reset_by_it() -> None:
    made = self_latching()
    read(made, call=True)
    made.command("ack")
    assert order(made, "reset", "call", code="real") == "condition_holds"
    assert made.active_outputs() == []


def test_the_reset_waits_for_the_off_delay_of_its_alarm() -> None:
    made = self_latching(off_delay_s=20.0)
    made.command("ack", "smoke-a")
    order(made, "reset", "smoke-a", code="real")
    read(made, smoke_1=False)
    wait(made, 30)
    assert made.alarms() == {"smoke-a": "active_acked"}
    wait(made, 6)
    assert made.alarms() == {}


# -- what people are told --------------------------------------------------------------------------


def answer(made: World, name: str, target: str = "", /, **more: object) -> tuple[bool, str, str]:
    wish = Command(id="c", name=CommandName(name), actor="anna", origin="cli", target=target)
    outcome, effects = made.engine.on_command(replace(wish, **more), made.clock.stamp())  # type: ignore[arg-type]
    made.do(effects)
    return outcome.ok, outcome.code, outcome.message


def test_every_answer_about_an_output_in_its_words() -> None:
    made = world(
        output("siren", "siren", test_max_s=10.0),
        output("supply", "cut-off", is_restored_by_hand=True),
        output("fan", test_max_s=10.0, interlock="interlock.fan"),
    )
    on = {"is_on": True, "duration_s": 5.0}
    assert answer(made, "restore", "x") == (False, "unknown_output", "there is no output 'x'")
    assert answer(made, "restore", "supply", origin="mqtt") == (
        False, "not_on_spot", "only a person on the spot gives power back",
    )  # fmt: skip
    assert answer(made, "restore", "supply") == (
        False, "not_active", "supply does not wait for a person",
    )  # fmt: skip
    assert answer(made, "output", "x", **on) == (False, "unknown_output", "there is no output 'x'")
    assert answer(made, "output", "siren") == (
        False, "bad_argument", "say whether the test starts or stops",
    )  # fmt: skip
    assert answer(made, "output", "supply", **on) == (
        False, "not_allowed", "supply is not tested (test_max_s in its settings)",
    )  # fmt: skip
    assert answer(made, "output", "siren", is_on=False) == (
        False, "not_active", "siren is not being tested",
    )  # fmt: skip
    assert answer(made, "output", "siren", is_on=True) == (
        False, "no_end", "a test needs an end: say for how long",
    )  # fmt: skip
    assert answer(made, "output", "siren", is_on=True, duration_s=0.0) == (
        False, "bad_argument", "a time is a number of seconds above 0",
    )  # fmt: skip
    assert answer(made, "output", "siren", is_on=True, duration_s=10.5) == (
        False, "too_long", "a test of it lasts 10 s at most",
    )  # fmt: skip
    read(made, door=True)
    assert answer(made, "output", "fan", **on) == (
        False, "interlocked", "fan: its interlock forbids it, or is not known",
    )  # fmt: skip
    assert answer(made, "output", "siren", is_on=True, duration_s=10.0) == (
        True, "done", "siren tested for 10 s",
    )  # fmt: skip
    assert answer(made, "output", "siren", is_on=False) == (True, "done", "test of siren ended")
    assert answer(made, "mode", mode="half") == (
        False, "bad_argument", "the mode is auto or manual",
    )  # fmt: skip
    assert answer(made, "mode", mode="auto") == (True, "done", "linkage is auto already")
    assert answer(made, "mode", mode="manual", reason="works") == (
        True,
        "done",
        "linkage is manual",
    )
    told_mode = next(event for event in made.events if event.kind is EventKind.MODE)
    assert (told_mode.subject, told_mode.actor, told_mode.reason) == ("box", "anna", "works")
    shed(made)
    assert answer(made, "restore", "supply") == (
        False, "latched", "supply: an alarm still asks for it; reset that first",
    )  # fmt: skip
    made.command("reset")
    assert answer(made, "restore", "supply", reason="looked") == (True, "done", "supply restored")
    restored = next(event for event in made.events if event.to_state == "restored")
    assert (restored.actor, restored.reason, restored.from_state) == ("anna", "looked", "cut")


def test_what_is_held_until_the_memory_is_whole_is_not_given_back() -> None:
    made = world(output("supply", "cut-off", is_restored_by_hand=True))
    made.engine = Engine(made.site, is_memory_whole=False)
    made.do(made.engine.start(made.clock.stamp()))
    assert answer(made, "restore", "supply") == (
        False, "latched", "supply: what was before the start is still being read",
    )  # fmt: skip


def test_a_key_names_itself_and_its_moment() -> None:
    made = world(
        output("supply", "cut-off", is_restored_by_hand=True),
        keys=(KeySpec(point="key", command="restore", target="supply", actor="lobby"),),
    )
    shed(made)
    made.command("reset")
    at_ms = made.clock.stamp().wall_ms
    assert read(made, key=True) == []
    command = [event for event in made.events if event.kind is EventKind.COMMAND][-1]
    assert (command.subject, command.actor, command.code) == ("supply", "lobby", "done")
    assert command.detail == {"id": f"key-{at_ms}", "origin": "key", "identity": ""}
