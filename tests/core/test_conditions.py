"""Conditions in three-valued logic."""

from __future__ import annotations

from itertools import product
from math import inf, nan

import pytest

from agent.core.conditions import is_timed, points_of, streamed_points, watch
from agent.core.spec import (
    AllOf,
    AnyOf,
    Condition,
    Contact,
    Faster,
    Flat,
    Leaking,
    Outside,
    Side,
    Starting,
    Threshold,
    Unheard,
)
from agent.core.watching import Truth
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value

NOW = Stamp(1.0, 1000)
LIMIT_57 = Threshold(point="t", side=Side.ABOVE, limit=57.0, deadband=3.0)
LIMIT_100 = Threshold(point="t", side=Side.BELOW, limit=100.0, deadband=5.0)
ROOM = Outside(point="t", low=10.0, high=30.0, deadband=2.0)
HANGS = Flat(point="f", for_s=60.0)
STARTS = Starting(point="pump", limit=2)
RISES = Faster(point="t", side=Side.ABOVE, limit=8.0, per_s=60.0, window_s=60.0)


def of(value: Value | None, quality: Quality | None = None, point: str = "t") -> dict[str, Reading]:
    quality = quality or (Quality.BAD if value is None else Quality.GOOD)
    return {point: Reading(point=point, value=value, quality=quality, unit="", at=Stamp(1.0, 1000))}


@pytest.mark.parametrize(
    ("condition", "values", "truths"),
    [
        (LIMIT_57, [56.9, 57.0, 57.1, 54.1, 54.0, 57.0], [False, False, True, True, False, False]),
        (LIMIT_100, [100, 99.9, 104.9, 105, 100], [False, True, True, False, False]),
        (Threshold(point="t", side=Side.ABOVE, limit=5), [5, 6, 5], [False, True, False]),
    ],
)
def test_a_threshold_is_held_by_its_deadband(
    condition: Threshold, values: list[float], truths: list[Truth]
) -> None:
    seen = watch(condition)
    assert [seen.look(of(value), NOW, NOW.mono_s) for value in values] == truths


@pytest.mark.parametrize(
    ("condition", "values", "truths"),
    [
        (
            ROOM,
            [11, 10.0, 9.9, 11.9, 12.0, 30.0, 30.1, 28.1, 28.0, 9.9],
            [False, False, True, True, False, False, True, True, False, True],
        ),
        (
            Outside(point="t", low=10.0, high=30.0),
            [9.9, 10.0, 30.0, 30.1, 30.0],
            [True, False, False, True, False],
        ),
    ],
)
def test_outside_a_range_is_held_by_its_deadband_at_both_ends(
    condition: Outside, values: list[float], truths: list[Truth]
) -> None:
    seen = watch(condition)
    assert [seen.look(of(value), NOW, NOW.mono_s) for value in values] == truths


@pytest.mark.parametrize("nothing", [None, nan, inf, -inf, True, False, "57"])
@pytest.mark.parametrize("condition", [LIMIT_57, LIMIT_100, ROOM])
def test_a_limit_cannot_tell_without_a_number(condition: Condition, nothing: Value | None) -> None:
    assert watch(condition).look(of(nothing), NOW, NOW.mono_s) is None


@pytest.mark.parametrize(("condition", "beyond", "near"), [(LIMIT_57, 60, 56), (ROOM, 31, 29)])
def test_a_limit_remembers_its_side_while_nothing_is_known(
    condition: Condition, beyond: float, near: float
) -> None:
    seen = watch(condition)
    assert seen.look(of(beyond), NOW, NOW.mono_s) is True
    assert seen.look(of(None), NOW, NOW.mono_s) is None
    assert seen.look(of(near), NOW, NOW.mono_s) is True


@pytest.mark.parametrize(
    ("condition", "near", "inside"), [(LIMIT_57, 56, 53), (LIMIT_100, 101, 106), (ROOM, 29, 20)]
)
def test_a_limit_that_held_before_a_restart_holds_until_past_its_deadband(
    condition: Condition, near: float, inside: float
) -> None:
    seen = watch(condition)
    seen.hold()
    assert seen.look(of(near), NOW, NOW.mono_s) is True
    assert seen.look(of(inside), NOW, NOW.mono_s) is False


def test_an_uncertain_value_counts() -> None:
    assert watch(LIMIT_57).look(of(60.0, Quality.UNCERTAIN), NOW, NOW.mono_s) is True


@pytest.mark.parametrize(
    ("is_active", "value", "truth"),
    [
        (True, True, True),
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (True, None, None),
        (True, 1, None),
        (False, "off", None),
    ],
)
def test_a_contact(is_active: bool, value: Value | None, truth: Truth) -> None:
    assert watch(Contact(point="t", is_active=is_active)).look(of(value), NOW, NOW.mono_s) is truth


@pytest.mark.parametrize(
    ("latest", "truth"),
    [
        ({}, True),
        (of(None), True),
        (of(None, Quality.STALE), True),
        (of(0.0), False),
        (of(False), False),
        (of(1.0, Quality.UNCERTAIN), False),
    ],
)
def test_unheard_always_knows(latest: dict[str, Reading], truth: bool) -> None:
    assert watch(Unheard(point="t")).look(latest, NOW, NOW.mono_s) is truth


@pytest.mark.parametrize("condition", [LIMIT_57, Contact(point="t")])
def test_what_was_never_read_is_unknown(condition: Threshold | Contact) -> None:
    assert watch(condition).look({}, NOW, NOW.mono_s) is None


KLEENE_AND = {
    (True, True): True,
    (True, None): None,
    (True, False): False,
    (None, None): None,
    (None, False): False,
    (False, False): False,
}
KLEENE_OR = {
    (True, True): True,
    (True, None): True,
    (True, False): True,
    (None, None): None,
    (None, False): None,
    (False, False): False,
}


@pytest.mark.parametrize(("a", "b"), list(product((True, False, None), repeat=2)))
def test_and_or_follow_kleene(a: Truth, b: Truth) -> None:
    parts = (Contact(point="a"), Contact(point="b"))
    latest = of(a, point="a") | of(b, point="b")
    key = (a, b) if (a, b) in KLEENE_AND else (b, a)
    assert watch(AllOf(parts=parts)).look(latest, NOW, NOW.mono_s) is KLEENE_AND[key]
    assert watch(AnyOf(parts=parts)).look(latest, NOW, NOW.mono_s) is KLEENE_OR[key]


@pytest.mark.parametrize("nothing", [AllOf(parts=()), AnyOf(parts=())])
def test_a_condition_of_nothing_is_never_normal(nothing: AllOf | AnyOf) -> None:
    assert watch(nothing).look({}, NOW, NOW.mono_s) is None


def test_every_part_keeps_its_own_deadband_when_another_decides() -> None:
    seen = watch(AnyOf(parts=(Contact(point="c"), LIMIT_57)))
    assert seen.look(of(True, point="c") | of(60), NOW, NOW.mono_s) is True
    assert seen.look(of(False, point="c") | of(56), NOW, NOW.mono_s) is True
    assert seen.look(of(False, point="c") | of(54), NOW, NOW.mono_s) is False


def test_points_are_named_once_in_the_order_written() -> None:
    condition = AllOf(
        parts=(Contact(point="b"), AnyOf(parts=(LIMIT_57, Unheard(point="b"))), Unheard(point="a"))
    )
    assert points_of(condition) == ("b", "t", "a")


# -- what passes with time -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        LIMIT_57,
        ROOM,
        RISES,
        Contact(point="c"),
        Unheard(point="t"),
        AllOf(parts=(LIMIT_57, Contact(point="c"))),
        AnyOf(parts=(LIMIT_57, Contact(point="c"))),
        AllOf(parts=()),
        AnyOf(parts=()),
    ],
)
def test_what_changes_with_readings_only_is_never_due(condition: Condition) -> None:
    seen = watch(condition)
    seen.look(of(60.0), NOW, NOW.mono_s)
    seen.hold()
    assert not is_timed(condition)
    assert seen.due_s() == inf


@pytest.mark.parametrize("kind", [AllOf, AnyOf])
def test_several_conditions_are_due_with_the_first_of_them(kind: type[AllOf | AnyOf]) -> None:
    condition = kind(parts=(LIMIT_57, HANGS, STARTS))
    seen = watch(condition)
    seen.look(of(20.0) | of(False, point="pump") | of(5.0, point="f"), NOW, NOW.mono_s)
    assert is_timed(condition)
    assert seen.due_s() == 61.0


def test_only_what_depends_on_every_reading_wants_every_reading() -> None:
    leak = Leaking(point="p", limit=20.0, window_s=3600.0, quiet=Contact(point="pump"))
    level = Threshold(point="x", side=Side.ABOVE, limit=1)
    either = AnyOf(parts=(RISES, AllOf(parts=(HANGS, leak)), level, ROOM))
    assert streamed_points(either) == {"t", "f", "p"}
    assert points_of(either) == ("t", "f", "p", "pump", "x")
