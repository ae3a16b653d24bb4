"""What an alarm asks of an output: the table at the head of agent.core.linkage, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent.core.effects import AlarmState, SetOutput
from agent.core.spec import AlarmClass, Linkage, OutputKind, Pattern
from drivers.reading import Value
from tests.core.test_linkages import POINTS, order, output, read, rule, wait, world
from tests.core.timeline import World

ALL = frozenset(OutputKind) - {OutputKind.HEALTH}
BUZZER, SIREN = frozenset({OutputKind.BUZZER}), frozenset({OutputKind.SIREN})
SHOWN = frozenset({OutputKind.STROBE, OutputKind.LAMP})
PROTECTING = frozenset({OutputKind.RELAY, OutputKind.VALVE, OutputKind.CUT_OFF})


@dataclass(frozen=True)
class Row:
    """What is done to the alarm of a rule, and what it asks for then."""

    steps: str
    state: AlarmState
    active: frozenset[OutputKind]


TABLE = (
    Row("", AlarmState.NORMAL, frozenset()),
    Row("on", AlarmState.ACTIVE_UNACKED, ALL),
    Row("on ack", AlarmState.ACTIVE_ACKED, ALL - BUZZER),
    Row("on silence", AlarmState.ACTIVE_UNACKED, ALL - BUZZER - SIREN),
    Row("on ack silence", AlarmState.ACTIVE_ACKED, ALL - BUZZER - SIREN),
    Row("on hide", AlarmState.ACTIVE_UNACKED, PROTECTING),
    Row("on silence hide", AlarmState.ACTIVE_UNACKED, PROTECTING),
    Row("on hide unhide", AlarmState.ACTIVE_UNACKED, ALL),
    Row("on off", AlarmState.LATCHED_UNACKED, ALL),
    Row("on off ack", AlarmState.LATCHED_ACKED, ALL - BUZZER),
    Row("on off silence", AlarmState.LATCHED_UNACKED, ALL - BUZZER - SIREN),
    Row("on off ack reset", AlarmState.NORMAL, frozenset()),
    Row("drill on", AlarmState.ACTIVE_UNACKED, frozenset()),
    Row("drill on off", AlarmState.LATCHED_UNACKED, frozenset()),
    Row("drill-with on", AlarmState.ACTIVE_UNACKED, ALL),
    Row("drill-with on silence", AlarmState.ACTIVE_UNACKED, ALL - BUZZER - SIREN),
)
UNLATCHED = (
    Row("on off", AlarmState.RETURNED_UNACKED, frozenset()),
    Row("on ack off", AlarmState.NORMAL, frozenset()),
)


def played(steps: str, *, is_latched: bool) -> World:
    kinds = tuple(output(kind.value, kind.value) for kind in OutputKind)
    site = replace(
        world(*kinds).site,
        rules=(
            rule("low", "smoke-1", "supervisory", is_latched=is_latched, suppressed_by=("parent",)),
            rule("parent", "door", "fault"),
        ),
        linkages=(Linkage(id="l", outputs=tuple(kind.value for kind in OutputKind), rules=("low",)),),
    )  # fmt: skip
    made = World(site)
    made.read(dict.fromkeys(POINTS, False))
    for step in steps.split():
        match step:
            case "on" | "off":
                read(made, smoke_1=step == "on")
            case "hide" | "unhide":
                read(made, door=step == "hide")
            case "drill" | "drill-with":
                order(
                    made, "drill", is_on=True, scope=("smoke-1",), duration_s=60.0,
                    with_linkage=step == "drill-with",
                )  # fmt: skip
            case command:
                assert order(made, command, "low") == "done"
    return made


@pytest.mark.parametrize(
    ("row", "is_latched"),
    [*((row, True) for row in TABLE), *((row, False) for row in UNLATCHED)],
    ids=lambda each: each.steps or "nothing" if isinstance(each, Row) else str(each),
)
def test_what_an_alarm_asks_of_each_kind_of_output(row: Row, is_latched: bool) -> None:
    made = played(row.steps, is_latched=is_latched)
    (low, _) = made.engine.alarms()
    assert low.state is row.state
    active = {OutputKind(name) for name in made.active_outputs()}
    assert active - {OutputKind.HEALTH} == row.active
    asks = row.state in (
        AlarmState.ACTIVE_UNACKED, AlarmState.ACTIVE_ACKED, AlarmState.LATCHED_UNACKED,
        AlarmState.LATCHED_ACKED,
    )  # fmt: skip
    is_dry = "drill" in row.steps.split()
    assert (OutputKind.HEALTH in active) is not (asks and not is_dry)


def test_every_state_stands_in_the_table() -> None:
    assert {row.state for row in (*TABLE, *UNLATCHED)} == set(AlarmState)


@pytest.mark.parametrize(
    ("filled", "is_named"),
    [
        ({}, True),
        ({"rules": ("smoke-a",)}, True),
        ({"rules": ("smoke-b",)}, False),
        ({"classes": (AlarmClass.FIRE,)}, True),
        ({"classes": (AlarmClass.GAS,)}, False),
        ({"zones": ("hall",)}, True),
        ({"zones": ("yard",)}, False),
        ({"rules": ("smoke-a",), "classes": (AlarmClass.GAS,)}, False),
        ({"rules": ("smoke-a",), "zones": ("yard",)}, False),
        ({"classes": (AlarmClass.FIRE,), "zones": ("yard",)}, False),
        ({"rules": ("smoke-b",), "classes": (AlarmClass.FIRE,), "zones": ("hall",)}, False),
        ({"rules": ("smoke-b", "smoke-a"), "zones": ("yard", "hall")}, True),
    ],
)
def test_a_linkage_names_an_alarm_by_every_field_it_fills(
    filled: dict[str, Any], is_named: bool
) -> None:
    made = world(output("fan"), **{"classes": (), **filled})
    assert read(made, smoke_1=True) == (["fan"] if is_named else [])


# -- delays ----------------------------------------------------------------------------------------


def test_a_delay_counts_from_when_enough_asked_and_not_from_the_latest() -> None:
    made = world(output("fan"), needs=2, delay_s=60.0)
    read(made, smoke_1=True)
    wait(made, 100)
    read(made, smoke_2=True)
    wait(made, 59)
    read(made, smoke_1=False)  # latched: it asks as before
    read(made, smoke_1=True)
    assert wait(made, 0.9) == []
    assert wait(made, 0.1) == ["fan"]


def test_equipment_that_waits_for_its_delay_in_manual_mode_then_waits_for_a_person() -> None:
    made = world(output("fan"), delay_s=60.0)
    order(made, "mode", mode="manual")
    read(made, smoke_1=True)
    assert wait(made, 60) == []
    waited = [event.code for event in made.events if event.to_state == "waiting"]
    assert waited == ["delay", "manual"]
    order(made, "mode", mode="auto")
    assert made.active_outputs() == ["fan"]


def test_what_waits_says_so_once_however_many_alarms_follow() -> None:
    made = world(output("fan"), delay_s=60.0)
    read(made, smoke_1=True)
    read(made, smoke_2=True)
    assert [event.code for event in made.events if event.to_state == "waiting"] == ["delay"]


def test_what_waits_anew_says_so_anew() -> None:
    made = world(output("fan"), delay_s=60.0)
    for _ in range(2):
        read(made, smoke_1=True)
        read(made, smoke_1=False)
        made.command("ack")
        made.command("reset")
    assert [event.code for event in made.events if event.to_state == "waiting"] == ["delay"] * 2


@pytest.mark.parametrize(("needs", "detectors", "acts"), [(0, 1, True), (1, 1, True), (2, 1, False),
                                                          (2, 2, True), (3, 2, False)])  # fmt: skip
def test_how_many_detectors_are_enough(needs: int, detectors: int, acts: bool) -> None:
    made = world(output("fan"), needs=needs)
    for number in range(1, detectors + 1):
        made.read({f"smoke-{number}": True})
    assert made.active_outputs() == (["fan"] if acts else [])


def test_a_call_point_in_the_alarm_itself_is_no_second_detector() -> None:
    made = world(output("fan"), needs=2)
    assert read(made, call=True) == []
    assert read(made, smoke_1=True) == ["fan"]


# -- what is asked anew --------------------------------------------------------------------------------


def told(made: World) -> list[tuple[str, bool, str]]:
    return [
        (each.output, each.is_active, each.cause)
        for each in made.effects
        if isinstance(each, SetOutput)
    ]


def test_what_needs_two_names_the_one_that_made_it_enough() -> None:
    made = world(output("fan"), needs=2)
    made.effects.clear()
    read(made, smoke_1=True)
    read(made, smoke_2=True)
    assert told(made) == [("fan", True, "smoke-b")]


def test_what_an_alarm_that_ends_by_itself_no_longer_asks_for_names_it() -> None:
    made = world(output("fan"), classes=(), rules=("interlock.fan",))
    made.effects.clear()
    read(made, door=True)
    read(made, door=False)
    assert told(made) == [("fan", True, "interlock.fan"), ("fan", False, "interlock.fan")]


def test_what_a_new_alarm_asks_of_what_is_active_already_is_not_told_again() -> None:
    made = world(output("fan"), output("siren", "siren"))
    read(made, smoke_1=True)
    made.effects.clear()
    read(made, smoke_2=True)
    assert told(made) == []


def strobed(**of_a: Any) -> World:
    """A strobe of thirty seconds on two alarms, `a` and `b`; `b` is hidden by `parent`."""
    made = world(output("strobe", "strobe", max_on_s=30.0))
    rules = (
        rule("a", "smoke-1", **of_a),
        rule("b", "smoke-2", "supervisory", suppressed_by=("parent",)),
        rule("parent", "door", "fault"),
    )
    linkages = (Linkage(id="l", outputs=("strobe",), rules=("a", "b")),)
    made = World(replace(made.site, rules=rules, linkages=linkages))
    quiet: dict[str, Value | None] = dict.fromkeys(POINTS, False)
    made.values.update(quiet)
    made.read(quiet)
    return made


def test_an_alarm_acknowledged_before_and_released_by_its_parent_is_shown_a_whole_time() -> None:
    made = strobed()
    read(made, smoke_2=True)
    order(made, "ack", "b")
    read(made, door=True)
    assert made.active_outputs() == []
    read(made, smoke_1=True)
    wait(made, 20)
    read(made, door=False)
    assert wait(made, 29.9) == ["strobe"]
    assert wait(made, 0.1) == []


def test_an_acknowledgement_is_not_asking_anew() -> None:
    made = strobed()
    read(made, smoke_1=True)
    wait(made, 20)
    order(made, "ack", "a")
    assert wait(made, 9.9) == ["strobe"]
    assert wait(made, 0.1) == []


def test_what_is_acknowledged_and_forgotten_is_shown_a_whole_time_again() -> None:
    made = strobed(realarm_s=45.0)
    read(made, smoke_1=True)
    order(made, "ack", "a")
    assert wait(made, 30) == []
    assert wait(made, 15) == ["strobe"]
    assert made.alarms() == {"a": "active_unacked"}
    assert wait(made, 29.9) == ["strobe"]
    assert wait(made, 0.1) == []


# -- sounders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_shared", "active"), [(True, ["east", "fan"]), (False, ["fan", "west"])]
)
def test_a_new_alarm_ends_a_silence_only_where_both_sound(
    is_shared: bool, active: list[str]
) -> None:
    made = world(output("fan"), output("east", "siren"), output("west", "siren"))
    linkages = (
        Linkage(id="a", outputs=("fan", "east"), rules=("smoke-a",)),
        Linkage(id="b", outputs=("fan", "east" if is_shared else "west"), rules=("smoke-b",)),
    )
    made = World(replace(made.site, linkages=linkages))
    made.read(dict.fromkeys(POINTS, False))
    read(made, smoke_1=True)
    order(made, "silence", "smoke-a")
    assert made.active_outputs() == ["fan"]
    assert read(made, smoke_2=True) == active
    silenced = {each.rule for each in made.engine.alarms() if each.is_silenced}
    assert silenced == (set() if is_shared else {"smoke-a"})


def test_urgency_is_of_classes_and_not_of_their_names() -> None:
    named = ((AlarmClass.FIRE, Pattern.TEMPORAL_3), (AlarmClass.FAULT, Pattern.PULSED))
    made = world(output("siren", "siren", patterns=named))
    rules = (rule("a", "smoke-1", "fault"), rule("b", "smoke-2", "fire"))
    linkages = (Linkage(id="l", outputs=("siren",)),)
    made = World(replace(made.site, rules=rules, linkages=linkages))
    made.read(dict.fromkeys(POINTS, False))
    made.effects.clear()
    read(made, smoke_1=True)
    read(made, smoke_2=True)
    patterns = [each.pattern for each in made.effects if isinstance(each, SetOutput)]
    assert patterns == [Pattern.PULSED, Pattern.TEMPORAL_3]


def test_a_test_sounds_steadily_though_patterns_are_named() -> None:
    named = ((AlarmClass.FIRE, Pattern.TEMPORAL_3),)
    made = world(output("siren", "siren", patterns=named, test_max_s=10.0))
    made.effects.clear()
    order(made, "output", "siren", is_on=True, duration_s=5.0)
    (sounds,) = [each for each in made.effects if isinstance(each, SetOutput)]
    assert (sounds.is_active, sounds.pattern) == (True, Pattern.STEADY)
