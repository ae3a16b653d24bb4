"""Times of one output at their edges: its turn, its rest, its longest time active, its test."""

from __future__ import annotations

import pytest

from tests.core.test_linkages import output, read, wait, world


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
