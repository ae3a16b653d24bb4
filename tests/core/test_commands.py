"""Acknowledge, silence, reset: every answer in its words, and what is written down of each wish."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Command, CommandName, Event, EventKind, SetOutput
from agent.core.spec import AlarmClass, AllOf, Contact, Side, Threshold
from tests.core.test_engine import Brittle, point, rule, site
from tests.core.test_linkages import order, output, read, self_latching
from tests.core.test_linkages import world as world_of_outputs
from tests.core.timeline import World


def answer(world: World, name: str, target: str = "", **wish: Any) -> tuple[bool, str, str]:
    outcome = world.command(name, target, **wish)
    return outcome.ok, outcome.code, outcome.message


def two_detectors() -> World:
    """Two latching alarms that stand, and nobody has seen either."""
    rules = (rule("a", is_latched=True), rule("b", Contact(point="q"), is_latched=True))
    made = World(site(*rules, points=(point(), point("q"))))
    made.read({"p": True, "q": True})
    return made


def test_what_makes_no_sense_is_refused_whatever_the_alarms_are() -> None:
    world = two_detectors()
    assert answer(world, "ack", actor="") == (False, "bad_argument", "a command needs an actor")
    assert answer(world, "reset", code="fine") == (
        False, "bad_argument", "the closing code is one of real, false, test, maintenance",
    )  # fmt: skip
    assert answer(world, "reset", code="false") == (
        False, "bad_argument", "a false alarm needs its cause as the reason",
    )  # fmt: skip
    assert world.alarms() == {"a": "active_unacked", "b": "active_unacked"}


@pytest.mark.parametrize("name", ["ack", "silence"])
def test_a_closing_code_closes_nothing_but_a_reset(name: str) -> None:
    assert answer(two_detectors(), name, "a", code="false")[0] is True


@pytest.mark.parametrize("code", ["", "real", "test", "maintenance"])
def test_only_a_false_alarm_needs_its_cause(code: str) -> None:
    world = two_detectors()
    world.command("ack")
    world.read({"p": False})
    assert answer(world, "reset", "a", code=code) == (True, "done", "a reset")


def test_why_one_alarm_is_not_answered() -> None:
    world = two_detectors()
    assert answer(world, "ack", "x") == (False, "unknown_rule", "x: there is no such rule")
    assert answer(world, "reset", "a", code="real") == (
        False, "condition_holds", "a: the condition still holds, or its delay is running",
    )  # fmt: skip
    world.read({"p": False})
    assert answer(world, "reset", "a", code="real") == (
        False, "unacknowledged", "a: nobody has acknowledged it",
    )  # fmt: skip
    world.read({"p": None})
    world.command("ack", "a")
    assert answer(world, "reset", "a", code="real") == (
        False, "condition_unknown",
        "a: the condition cannot be told: a point it looks at gives no good value",
    )  # fmt: skip
    world.read({"p": False})
    world.command("reset", "a")
    assert answer(world, "ack", "a") == (
        False, "not_active", "a: there is nothing to do it to",
    )  # fmt: skip


def test_a_rule_that_broke_is_not_reset_and_one_beside_it_is_told_as_unknown() -> None:
    limit = Brittle(57.0)
    limit.is_broken = False
    hot = AllOf(parts=(Contact(point="q"), Threshold(point="p", side=Side.ABOVE, limit=limit)))
    rules = (
        rule("a", Contact(point="q"), is_latched=True),
        rule("broken", hot, is_latched=True),
    )
    world = World(site(*rules, points=(point(), point("q"))))
    world.read({"p": 60.0, "q": True})
    world.command("ack")
    limit.is_broken = True
    world.read({"p": 20.0, "q": None})
    assert answer(world, "reset", "broken") == (
        False, "rule_failed", "broken: the rule cannot be evaluated",
    )  # fmt: skip
    assert answer(world, "reset") == (
        False, "condition_unknown",
        "a: the condition cannot be told: a point it looks at gives no good value",
    )  # fmt: skip


def test_a_wish_for_all_does_what_it_can_and_says_what_not() -> None:
    world = two_detectors()
    assert answer(world, "ack") == (True, "done", "a, b acknowledged")
    assert answer(world, "ack") == (False, "not_active", "there is nothing to do it to")
    assert answer(world, "silence") == (True, "done", "a, b silenced")
    world.read({"p": False})
    assert answer(world, "reset", code="real") == (
        True, "done", "a reset; refused: b (condition_holds)",
    )  # fmt: skip
    assert answer(world, "silence") == (True, "done", "b silenced")
    world.read({"p": True, "q": False})
    assert answer(world, "reset", code="real") == (
        True, "done", "b reset; refused: a (condition_holds)",
    )  # fmt: skip
    world.read({"p": False})
    assert answer(world, "reset", code="real") == (
        False, "unacknowledged", "a: nobody has acknowledged it",
    )  # fmt: skip


def test_several_that_were_refused_are_each_named() -> None:
    rules = tuple(rule(name, Contact(point=name), is_latched=True) for name in "abc")
    world = World(site(*rules, points=tuple(point(name) for name in "abc")))
    world.read(dict.fromkeys("abc", True))
    world.command("ack")
    world.read({"b": False})
    assert answer(world, "reset") == (
        True, "done", "b reset; refused: a (condition_holds), c (condition_holds)",
    )  # fmt: skip


def test_the_reset_of_a_detector_that_latches_itself_says_what_it_does() -> None:
    made = self_latching()
    made.command("ack", "smoke-a")
    assert answer(made, "reset", "smoke-a", code="real") == (
        True, "done", "smoke-a: supply of its detectors pulsed, and when quiet, reset",
    )  # fmt: skip


def test_a_detector_that_is_lost_is_not_pulsed() -> None:
    made = self_latching()
    made.command("ack", "smoke-a")
    read(made, smoke_1=None)
    assert answer(made, "reset", "smoke-a", code="real")[1] == "condition_unknown"
    assert made.active_outputs() == []


@pytest.mark.parametrize("name", ["ack", "silence"])
def test_only_a_reset_pulses_a_supply(name: str) -> None:
    made = self_latching()
    made.command("ack", "smoke-a")
    assert answer(made, name, "smoke-a")[0] is True
    assert made.active_outputs() == []


# -- what is written down --------------------------------------------------------------------------


def last(made: World) -> Event:
    return [event for event in made.events if event.kind is EventKind.COMMAND][-1]


DETAIL: dict[str, str | int | float | bool | None] = {"id": "c1", "origin": "page", "identity": ""}


def test_a_wish_about_an_alarm_is_written_down_whole() -> None:
    made = world_of_outputs(output("siren", "siren"))
    read(made, smoke_1=True)
    made.command("ack", "smoke-a", reason="seen", code="real")
    assert last(made) == Event(
        kind=EventKind.COMMAND, subject="smoke-a", at=made.clock.stamp(), rule="smoke-a",
        alarm_class=AlarmClass.FIRE, to_state="ack", actor="anna", code="done", reason="seen",
        zone="hall", is_test=False, detail=DETAIL,
    )  # fmt: skip


def test_a_wish_about_a_test_alarm_is_a_test_though_it_ends_it() -> None:
    made = world_of_outputs(output("siren", "siren"))
    order(made, "drill", is_on=True, scope=("smoke-1",), duration_s=60.0)
    read(made, smoke_1=True)
    made.command("ack", "smoke-a")
    read(made, smoke_1=False)
    made.command("reset", "smoke-a", code="test")
    assert made.alarms() == {}
    assert (last(made).to_state, last(made).is_test) == ("reset", True)


def test_a_wish_about_an_output_names_the_output_and_no_rule() -> None:
    made = world_of_outputs(output("siren", "siren", test_max_s=10.0))
    made.command("output", "siren", is_on=True, duration_s=5.0, reason="monthly")
    assert last(made) == Event(
        kind=EventKind.COMMAND, subject="siren", at=made.clock.stamp(), to_state="output",
        alarm_class=AlarmClass.TECHNICAL, actor="anna", code="done", reason="monthly",
        is_test=False, detail=DETAIL,
    )  # fmt: skip


def test_a_wish_about_all_or_about_nothing_known_is_the_boxs() -> None:
    made = world_of_outputs(output("siren", "siren"))
    made.command("ack")
    assert (last(made).subject, last(made).rule, last(made).code) == ("box", "", "not_active")
    made.command("ack", "nobody")
    assert last(made) == Event(
        kind=EventKind.COMMAND, subject="box", at=made.clock.stamp(), rule="nobody",
        alarm_class=AlarmClass.TECHNICAL, to_state="ack", actor="anna", code="unknown_rule",
        detail=DETAIL,
    )  # fmt: skip


def test_what_a_wish_does_carries_who_asked_when_and_why() -> None:
    made = world_of_outputs(output("siren", "siren"))
    read(made, smoke_1=True)
    read(made, smoke_1=False)
    made.advance(5.0)
    made.command("ack", "smoke-a", actor="bo")
    made.advance(5.0)
    made.command("reset", "smoke-a", actor="chen", code="false", reason="steam")
    acked, reset = [event for event in made.events if event.kind is EventKind.ALARM][-2:]
    assert (acked.to_state, acked.actor) == ("latched_acked", "bo")
    assert (reset.actor, reset.code, reset.reason, reset.at) == (
        "chen", "false", "steam", made.clock.stamp(),
    )  # fmt: skip


def test_an_output_that_a_wish_stops_names_the_wish() -> None:
    made = world_of_outputs(output("siren", "siren"))
    read(made, smoke_1=True)
    wish = Command(id="c2", name=CommandName.SILENCE, actor="bo", origin="cli", target="smoke-a")
    outcome, effects = made.engine.on_command(wish, made.clock.stamp())
    assert outcome.ok
    assert [each for each in effects if isinstance(each, SetOutput)] == [
        SetOutput(output="siren", is_active=False, cause="silence")
    ]
