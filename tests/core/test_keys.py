"""Keys on the box: which change of a contact is which command."""

from __future__ import annotations

import pytest

from agent.core.effects import Command, CommandName
from agent.core.keys import Key, is_news
from agent.core.spec import KeySpec
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value

STANDS = "position of the switch at the start"


def reading(value: Value | None, wall_ms: int = 1_234) -> Reading:
    quality = Quality.BAD if value is None else Quality.GOOD
    return Reading(point="key-1", value=value, quality=quality, unit="", at=Stamp(7.0, wall_ms))


def last(key: KeySpec, *values: Value | None) -> Command | None:
    """What the last of some readings of a key's contact asks for."""
    made = Key(key)
    return [made.read(reading(value)) for value in values][-1]


def test_a_press_is_a_command_of_the_keys_actor_and_names_the_moment() -> None:
    key = KeySpec(point="key-1", command="restore", target="supply", actor="lobby")
    assert last(key, False, True) == Command(
        id="key-1-1234", name=CommandName.RESTORE, actor="lobby", origin="key", target="supply"
    )


@pytest.mark.parametrize(
    ("values", "is_pressed"),
    [
        ((False, True), True),
        ((True, False), False),
        ((False, False), False),
        ((True, True), False),
        ((True,), False),
        ((None, True), False),
        ((False, None), False),
        ((False, None, True), False),
        ((False, None, False, True), True),
        ((True, False, True), True),
        ((0.0, True), False),
        ((False, 1.0), False),
    ],
)
def test_only_a_contact_seen_at_rest_is_pressed(
    values: tuple[Value | None, ...], is_pressed: bool
) -> None:
    assert (last(KeySpec(point="key-1", command="ack"), *values) is not None) is is_pressed


@pytest.mark.parametrize(
    ("values", "mode", "is_start"),
    [
        ((True,), "manual", True),
        ((False,), "auto", True),
        ((None, True), "manual", True),
        ((False, True), "manual", False),
        ((True, False), "auto", False),
        ((True, True), None, False),
        ((False, False), None, False),
        ((False, None, True), "manual", False),
        ((False, None, False), None, False),
        ((True, None), None, False),
    ],
)
def test_a_switch_counts_both_ways_and_as_it_stands(
    values: tuple[Value | None, ...], mode: str | None, is_start: bool
) -> None:
    command = last(KeySpec(point="key-1", command="mode", actor="lobby"), *values)
    assert command == (
        None
        if mode is None
        else Command(
            id="key-1-1234", name=CommandName.MODE, actor="lobby", origin="key", mode=mode,
            reason=STANDS if is_start else "",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "is_manual", "is_mode_known", "asks"),
    [
        ((True,), True, True, False),
        ((True,), True, False, True),
        ((True,), False, True, True),
        ((False,), False, True, False),
        ((False,), True, True, True),
        ((False, True), True, True, True),
    ],
)
def test_a_switch_that_stands_as_the_mode_is_asks_for_nothing(
    values: tuple[Value, ...], is_manual: bool, is_mode_known: bool, asks: bool
) -> None:
    command = last(KeySpec(point="key-1", command="mode"), *values)
    assert command is not None
    assert is_news(command, is_manual=is_manual, is_mode_known=is_mode_known) is asks
