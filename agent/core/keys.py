"""Keys on the box: a contact that becomes active is a person's command, through the same entry as all."""

from __future__ import annotations

from agent.core.effects import Command, CommandName
from agent.core.memory import AUTO, MANUAL
from agent.core.spec import KeySpec
from drivers.reading import Reading

ORIGIN = "key"


def pressed(key: KeySpec, before: Reading | None, after: Reading) -> Command | None:
    """Return what the change of a key's contact asks for, None for nothing.

    Only a contact that was seen at rest can be pressed: a key that is stuck at the start, or comes back
    from unknown, asks for nothing. A `mode` switch counts both ways.
    """
    if before is None or not isinstance(before.value, bool) or not isinstance(after.value, bool):
        return None
    if before.value is after.value or not (after.value or key.command == CommandName.MODE):
        return None
    return Command(
        id=f"{key.point}-{after.at.wall_ms}",
        name=CommandName(key.command),
        actor=key.actor,
        origin=ORIGIN,
        target=key.target,
        mode=(MANUAL if after.value else AUTO) if key.command == CommandName.MODE else "",
    )
