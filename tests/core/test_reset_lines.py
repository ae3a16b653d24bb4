"""Reset lines: which supply is taken away, which alarms are reset by it, and when one gives up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.effects import EventKind, SetOutput, Telemeter
from agent.core.spec import AllOf, Contact, Linkage
from drivers.reading import Value
from tests.core.test_linkages import POINTS, order, output, read, rule, wait, world
from tests.core.timeline import World


def lined(**more: object) -> World:
    """Two lines, `east` with smoke-1 and the call point, `west` with smoke-2; an alarm on both."""
    east = output("east", resets=("smoke-1", "call"), reset_pulse_s=5.0, blank_s=10.0)
    west = output("west", resets=("smoke-2",), reset_pulse_s=2.0, blank_s=20.0)
    both = AllOf(parts=(Contact(point="smoke-1"), Contact(point="smoke-2")))
    rules = (
        rule("a", "smoke-1", **more),  # type: ignore[arg-type]
        rule("b", "smoke-2"),
        rule("both", "smoke-1", condition=both),
        rule("half", "smoke-1", condition=AllOf(parts=(Contact(point="smoke-1"), Contact(point="door")))),
    )  # fmt: skip
    site = replace(world(east, west).site, rules=rules, linkages=(Linkage(id="l", outputs=()),))
    made = World(site)
    quiet: dict[str, Value | None] = dict.fromkeys(POINTS, False)
    made.values.update(quiet)
    made.read(quiet)
    return made


@pytest.mark.parametrize(
    ("name", "code", "pulsed"),
    [
        ("a", "done", ["east"]),
        ("b", "done", ["west"]),
        ("both", "done", ["east", "west"]),
        ("half", "condition_holds", []),
    ],
)
def test_only_the_lines_of_an_alarms_own_detectors_are_pulsed(
    name: str, code: str, pulsed: list[str]
) -> None:
    made = lined()
    read(made, smoke_1=True, smoke_2=True, door=True)
    order(made, "ack")
    assert order(made, "reset", name) == code
    assert made.active_outputs() == pulsed


def test_each_line_is_pulsed_for_its_own_time_and_judged_after_the_longest() -> None:
    made = lined()
    read(made, smoke_1=True, smoke_2=True)
    order(made, "ack")
    order(made, "reset", "both")
    read(made, smoke_1=False, smoke_2=False)
    assert wait(made, 1.9) == ["east", "west"]
    assert wait(made, 0.1) == ["east"]
    assert wait(made, 3.0) == []
    wait(made, 16.9)
    assert "both" in made.alarms()
    wait(made, 1.1)
    assert "both" not in made.alarms()


def test_an_alarm_nobody_has_seen_pulses_nothing() -> None:
    made = lined()
    read(made, smoke_1=True)
    assert order(made, "reset", "a") == "condition_holds"
    assert made.active_outputs() == []


def test_it_gives_up_in_time_and_can_be_asked_again() -> None:
    made = lined(off_delay_s=3.0)
    read(made, smoke_1=True)
    order(made, "ack")
    order(made, "reset", "a")
    wait(made, 32.9)  # 5 s pulse, 10 s blanking, 15 s to answer, 3 s off-delay
    commands = [event for event in made.events if event.kind is EventKind.COMMAND]
    assert commands[-1].code == "done"
    wait(made, 0.1)
    commands = [event for event in made.events if event.kind is EventKind.COMMAND]
    assert commands[-1].code == "condition_holds"
    assert made.active_outputs() == []
    assert order(made, "reset", "a") == "done"
    assert made.active_outputs() == ["east"]


def test_a_reset_that_followed_is_not_refused_later() -> None:
    made = lined()
    read(made, smoke_1=True)
    order(made, "ack")
    order(made, "reset", "a", reason="smoked", code="false")
    read(made, smoke_1=False)
    wait(made, 16)
    (ended,) = [event for event in made.events if event.to_state == "normal" and event.rule == "a"]
    assert (ended.actor, ended.code, ended.reason) == ("anna", "false", "smoked")
    known = len(made.events)
    wait(made, 60)
    assert made.events[known:] == []


def test_a_reading_of_the_moment_the_blanking_ends_is_believed() -> None:
    made = lined()
    read(made, smoke_1=True)
    order(made, "ack")
    order(made, "reset", "a")
    made.values.pop("smoke-1")
    wait(made, 15.0)
    assert "a" in made.alarms()
    made.read({"smoke-1": False})
    assert "a" not in made.alarms()


def test_a_reading_of_the_moment_the_blanking_ends_counts_and_is_kept_when_it_comes_late() -> None:
    made = lined()
    read(made, smoke_1=True)
    order(made, "ack")
    order(made, "reset", "a")
    wait(made, 15.0)
    ended = made.reading("smoke-1", True)
    made.values["smoke-1"] = False
    wait(made, 2.0)
    effects = made.do(made.engine.on_readings([ended], made.clock.stamp()))
    assert effects == [Telemeter(reading=ended)]
    assert made.engine.late_readings == 1


def test_a_reset_that_followed_is_told_in_its_own_moment_and_gives_back_by_that_command() -> None:
    made = lined()
    outputs = (*made.site.outputs, output("fan"))
    made = World(replace(made.site, outputs=outputs, linkages=(Linkage(id="l", outputs=("fan",)),)))
    read(made, **dict.fromkeys(("smoke_1", "smoke_2", "call", "door"), False))
    read(made, smoke_1=True)
    order(made, "ack")
    order(made, "reset", "a")
    order(made, "reset", "half")
    made.values["smoke-1"] = False
    wait(made, 14.5)
    made.effects.clear()
    made.clock.advance(2.0)
    made.read({"smoke-1": False})
    (ended,) = [event for event in made.events if event.to_state == "normal" and event.rule == "a"]
    assert ended.at == made.clock.stamp()
    assert SetOutput(output="fan", is_active=False, cause="reset") in made.effects
