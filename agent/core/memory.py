"""What alarms remember over a restart: a snapshot, and the events after it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.effects import AlarmState


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmMemory:
    """One rule's state as it must be again after a restart. Rules in `normal` need none."""

    rule: str
    state: AlarmState
    since_wall_ms: int
    actor: str = ""
    """Who acknowledged."""
    is_silenced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """A place in the event log."""

    stream: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSnapshot:
    """The memory of all alarms that are not normal, true up to and including `position`."""

    memories: tuple[AlarmMemory, ...]
    position: LogPosition | None
    """None: before the first event."""
