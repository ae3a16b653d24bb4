"""Keys on the box: which change of a contact is which command."""

from __future__ import annotations

import pytest

from agent.core.effects import Command, CommandName
from agent.core.keys import pressed
from agent.core.spec import KeySpec
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value

AT = Stamp(7.0, 1_234)
MISSING = "missing"


def reading(value: Value | None) -> Reading:
    quality = Quality.BAD if value is None else Quality.GOOD
    return Reading(point="key-1", value=value, quality=quality, unit="", at=AT)


def change(key: KeySpec, before: Value | str | None, after: Value | None) -> Command | None:
    return pressed(key, None if before == MISSING else reading(before), reading(after))


def test_a_press_is_a_command_of_the_keys_actor_and_names_the_moment() -> None:
    key = KeySpec(point="key-1", command="restore", target="supply", actor="lobby")
    assert change(key, False, True) == Command(
        id="key-1-1234", name=CommandName.RESTORE, actor="lobby", origin="key", target="supply"
    )


@pytest.mark.parametrize(
    ("before", "after", "is_pressed"),
    [
        (False, True, True),
        (True, False, False),
        (False, False, False),
        (True, True, False),
        (MISSING, True, False),
        (None, True, False),
        (False, None, False),
        (0.0, True, False),
        (False, 1.0, False),
    ],
)
def test_only_a_contact_seen_at_rest_is_pressed(
    before: Value | str | None, after: Value | None, is_pressed: bool
) -> None:
    key = KeySpec(point="key-1", command="ack")
    assert (change(key, before, after) is not None) is is_pressed


@pytest.mark.parametrize(
    ("before", "after", "mode"),
    [
        (False, True, "manual"),
        (True, False, "auto"),
        (True, True, None),
        (False, False, None),
        (MISSING, True, None),
        (None, False, None),
        (True, None, None),
    ],
)
def test_a_switch_counts_both_ways(
    before: Value | str | None, after: Value | None, mode: str | None
) -> None:
    command = change(KeySpec(point="key-1", command="mode"), before, after)
    assert (None if command is None else (command.name, command.mode)) == (
        None if mode is None else (CommandName.MODE, mode)
    )
