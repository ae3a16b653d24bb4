"""Every answer about what people order for a time, in its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.core.test_standing import SITE, drill, inhibit, view
from tests.core.timeline import World

TARGET: dict[str, Any] = {"target": "fire-a", "reason": "welding", "duration_s": 60.0}
PLACE: dict[str, Any] = {"is_on": True, "scope": ("shed",), "duration_s": 60.0}


def answer(world: World, name: str, **wish: Any) -> tuple[bool, str, str]:
    outcome = world.command(name, **wish)
    return outcome.ok, outcome.code, outcome.message


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({"target": ""}, "bad_argument", "an inhibit needs a rule or a point"),
        ({"target": "x"}, "unknown_rule", "x is no rule, and no rule watches it"),
        ({"reason": " "}, "no_reason", "an inhibit needs a reason"),
        ({"duration_s": None}, "no_end", "an inhibit needs an end: say for how long"),
        ({"duration_s": 0.0}, "bad_argument", "a time is a number of seconds above 0"),
        ({"duration_s": 3601.0}, "too_long", "an inhibit lasts 3600 s at most"),
        ({"target": "fire-b"}, "already_inhibited", "fire-b is inhibited; end that first"),
    ],
)
def test_how_an_inhibit_is_refused(more: dict[str, Any], code: str, message: str) -> None:
    world = World(replace(SITE, inhibit_max_s=3600.0))
    inhibit(world, "fire-b", 60.0)
    assert answer(world, "inhibit", **(TARGET | more)) == (False, code, message)


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("", "bad_argument", "say which rule or point"),
        ("x", "unknown_rule", "x is no rule, and no rule watches it"),
        ("b", "not_inhibited", "b is not inhibited"),
    ],
)
def test_how_the_end_of_an_inhibit_is_refused(target: str, code: str, message: str) -> None:
    world = World(SITE)
    assert answer(world, "uninhibit", target=target) == (False, code, message)


def test_how_an_inhibit_and_its_end_are_confirmed() -> None:
    world = World(SITE)
    inhibit(world, "fire-ab", 60.0)
    assert answer(world, "inhibit", **(TARGET | {"target": "a", "duration_s": 0.5})) == (
        True, "done", "fire-a, valve inhibited for 0.5 s",
    )  # fmt: skip
    assert answer(world, "uninhibit", target="valve") == (
        True, "done", "valve no longer inhibited",
    )  # fmt: skip
    assert answer(world, "uninhibit", target="a") == (
        True, "done", "fire-a, fire-ab no longer inhibited",
    )  # fmt: skip
    assert not view(world, "fire-a").is_inhibited


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({"is_on": None}, "bad_argument", "say whether the drill starts or stops"),
        ({"is_on": False}, "no_drill", "no drill is running"),
        ({"scope": ()}, "bad_argument", "a drill needs the points or zones it is about"),
        ({"scope": ("a", "x", "y")}, "unknown_point", "x is neither a point nor a zone"),
        ({"scope": ("",)}, "unknown_point", " is neither a point nor a zone"),
        ({"duration_s": None}, "no_end", "a drill needs an end: say for how long"),
        ({"duration_s": 0.0}, "bad_argument", "a time is a number of seconds above 0"),
        ({"duration_s": 14_401.0}, "too_long", "a drill lasts 14400 s at most"),
    ],
)
def test_how_a_drill_is_refused(more: dict[str, Any], code: str, message: str) -> None:
    assert answer(World(SITE), "drill", **(PLACE | more)) == (False, code, message)


def test_how_a_drill_and_its_end_are_confirmed() -> None:
    world = World(SITE)
    named = PLACE | {"scope": ("shed", "b", "shed"), "duration_s": 14_400.0}
    assert answer(world, "drill", **named) == (True, "done", "drill in shed, b for 14400 s")
    assert answer(world, "drill", **PLACE) == (
        False, "drill_runs", "a drill is running; end it first",
    )  # fmt: skip
    assert answer(world, "drill", is_on=False) == (True, "done", "drill ended")
    assert answer(world, "drill", is_on=False) == (False, "no_drill", "no drill is running")


@pytest.mark.parametrize("code", ["real", "false"])
def test_a_code_that_came_with_an_order_is_not_taken_for_the_cause_of_what_it_does(
    code: str,
) -> None:
    """A key or a cloud may fill every field: only a reset has a closing code."""
    world = World(SITE)
    world.command("inhibit", **TARGET, code=code)
    world.command("uninhibit", "fire-a", code=code)
    world.command("drill", **PLACE, code=code)
    world.command("drill", is_on=False, code=code)
    told = [event for event in world.events if event.kind.value in ("inhibit", "drill")]
    assert [(event.to_state, event.code) for event in told] == [
        ("inhibited", ""), ("uninhibited", ""), ("started", ""), ("ended", ""),
    ]  # fmt: skip


def test_a_drill_ordered_plainly_moves_no_output() -> None:
    world = World(SITE)
    drill(world, "shed")
    world.read({"a": True})
    assert world.active_outputs() == []
