"""What alarms remember over a restart: a snapshot, and the events after it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.core.effects import AlarmState, Event, EventKind

SILENCED = "silenced"
UNSILENCED = "unsilenced"
"""What a silence event says in `to`."""


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


def apply_event(memories: dict[str, AlarmMemory], event: Event) -> None:
    """Bring `memories` (by rule id) up to `event`; events that move no alarm change nothing.

    Replaying the events after a snapshot's position over its memories gives the memories of now. A
    state this version does not know, written by a newer one, is taken for an active alarm that
    nobody has acknowledged: the cautious reading.
    """
    if event.kind is EventKind.ALARM:
        state = _state_of(event.to_state)
        before = memories.pop(event.rule, None)
        if state is AlarmState.NORMAL:
            return
        if state is AlarmState.ACTIVE_UNACKED:
            before = None  # a new occurrence: nobody has seen or silenced it
        memories[event.rule] = AlarmMemory(
            rule=event.rule,
            state=state,
            since_wall_ms=event.at.wall_ms,
            actor=event.actor or (before.actor if before else ""),
            is_silenced=before.is_silenced if before else False,
        )
    elif event.kind is EventKind.SILENCE and event.rule in memories:
        memories[event.rule] = replace(memories[event.rule], is_silenced=event.to_state == SILENCED)


def _state_of(name: str) -> AlarmState:
    try:
        return AlarmState(name)
    except ValueError:
        return AlarmState.ACTIVE_UNACKED
