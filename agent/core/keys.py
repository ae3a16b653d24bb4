"""Keys on the box: a contact that becomes active is a person's command, through the same entry as all."""

from __future__ import annotations

from agent.core.effects import Command, CommandName
from agent.core.memory import AUTO, MANUAL
from agent.core.spec import KeySpec
from drivers.reading import Reading

ORIGIN = "key"
AS_IT_STANDS = "position of the switch at the start"
"""The reason of a mode that nobody just switched to."""


class Key:
    """A key or switch, and where it was seen last."""

    __slots__ = ("_position", "_was_known", "spec")

    def __init__(self, spec: KeySpec) -> None:
        self.spec = spec
        self._position: bool | None = None
        """Last known position; None before the first."""
        self._was_known = False
        """The reading before told its position."""

    def read(self, reading: Reading) -> Command | None:
        """Return what a new reading of the contact asks for, None for nothing.

        Only a contact that was seen at rest can be pressed: a key that is stuck at the start, or comes back
        from unknown, asks for nothing. A `mode` switch stands where a person put it: its position counts at
        the start, and whenever it is another one than before.
        """
        before, was_known = self._position, self._was_known
        after = reading.value
        self._was_known = isinstance(after, bool)
        if not isinstance(after, bool):
            return None
        self._position = after
        is_switch = self.spec.command == CommandName.MODE
        if before is after or not (is_switch or (after and was_known)):
            return None
        return Command(
            id=f"{self.spec.point}-{reading.at.wall_ms}",
            name=CommandName(self.spec.command),
            actor=self.spec.actor,
            origin=ORIGIN,
            target=self.spec.target,
            mode=(MANUAL if after else AUTO) if is_switch else "",
            reason=AS_IT_STANDS if is_switch and before is None else "",
        )


def is_news(command: Command, *, is_manual: bool, is_mode_known: bool) -> bool:
    """Return whether a key's command asks for anything: a switch that stands as the mode is does not."""
    is_same = command.mode == (MANUAL if is_manual else AUTO)
    return command.reason != AS_IT_STANDS or not is_same or not is_mode_known
