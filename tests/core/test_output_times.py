"""Times of one output at their edges: its turn, its rest, its longest time active, its test."""

from __future__ import annotations

from math import inf

import pytest

from agent.core.engine import Engine
from agent.core.output import Output, StartQueue
from agent.core.spec import LampSign, Pattern
from tests.core.test_linkages import order, output, read, wait, world
from tests.core.test_linkages_restarted import STANDS


def test_an_output_nobody_has_asked_yet_rests_waits_for_nothing_and_is_held_by_nothing() -> None:
    made = Output(output("fan", min_off_s=60.0, max_on_s=30.0), StartQueue(), is_held=False)
    assert (made.refusal, made.pattern, made.due_s) == ("", Pattern.STEADY, inf)
    assert made.decide(5.0) is False
    made.is_demanded = lambda: True
    assert made.decide(5.0) is True
    flags = (made.is_cut, made.is_sign, made.was_running, made.is_told, made.may_run_on)
    assert flags == (False, False, False, False, False)


def test_a_siren_is_asked_anew_by_a_new_alarm_only_and_not_by_what_else_moves() -> None:
    made = world(output("siren", "siren", max_on_s=30.0), rules=("smoke-a",))
    assert read(made, smoke_1=True) == ["siren"]
    wait(made, 20)
    assert read(made, call=True) == ["siren"]  # it moves the delays of that alarm, and asks nothing
    assert wait(made, 9.9) == ["siren"]
    assert wait(made, 0.1) == []


@pytest.mark.parametrize("stagger_s", [0.5, 1.0, 2.0])
def test_loads_follow_each_other_however_short_their_turn_is(stagger_s: float) -> None:
    made = world(*(output(f"fan-{n}", stagger_s=stagger_s) for n in (1, 2)))
    assert read(made, smoke_1=True) == ["fan-1"]
    assert wait(made, stagger_s) == ["fan-1", "fan-2"]


@pytest.mark.parametrize("stagger_s", [0.5, 1.0, 2.0])
def test_power_returns_in_turn_after_a_start_however_short_the_turn_is(stagger_s: float) -> None:
    shed = (
        output(f"shed-{n}", "cut-off", is_energised_when_active=False, stagger_s=stagger_s)
        for n in (1, 2)
    )
    made = world(*shed)
    assert made.active_outputs() == ["shed-2"]
    assert wait(made, stagger_s) == []


def test_a_cut_off_without_a_turn_has_not_just_begun_to_rest_at_the_start() -> None:
    made = world(output("cut", "cut-off", is_energised_when_active=False, min_off_s=60.0))
    assert read(made, smoke_1=True) == ["cut"]


def test_what_is_cut_from_the_start_on_is_cut_for_its_longest_time() -> None:
    cut = output("cut", "cut-off", is_energised_when_active=False, stagger_s=5.0, max_on_s=30.0)
    made = world(cut)
    made.engine = Engine(made.site, (STANDS,))
    made.do(made.engine.start(made.clock.stamp()))
    assert made.active_outputs() == ["cut"]
    assert wait(made, 29.9) == ["cut"]
    assert wait(made, 0.1) == []


def test_a_lamp_that_must_rest_is_told_so_in_the_moment_of_the_command_it_shows() -> None:
    made = world(output("lamp", "lamp", shows=LampSign.MANUAL, interlock="interlock.fan"))
    read(made, door=True)
    made.clock.advance(0.5)
    made.events.clear()
    assert order(made, "mode", mode="manual") == "done"
    (event,) = [each for each in made.events if each.to_state == "blocked"]
    assert (event.subject, event.code, event.at) == ("lamp", "interlock", made.clock.stamp())
