"""What alarms remember over a restart: a snapshot, and the events after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agent.core.effects import AlarmState, Event, EventKind
from agent.core.standing import Left

SILENCED = "silenced"
UNSILENCED = "unsilenced"
"""What a silence event says in `to`."""

RULE_REMOVED = "rule_removed"
"""The code of what ended because the configuration no longer has the rule."""

RESTART = "restart"
"""The code of what a restart took up again, or found to have ended."""

CUT, RESTORED = "cut", "restored"
"""What an output event says in `to` when an output begins or ceases to wait for a person to restore it."""

ACTIVE, INACTIVE = "active", "inactive"
"""What an output event says in `to` when an output was switched (agent.outputs)."""

TESTED = "output"
"""What an output event names as the reason when a person tested it: that command."""

AUTO, MANUAL = "auto", "manual"
"""What a mode event says in `to`."""

INHIBITED = "inhibited"
STARTED = "started"
FIRST_OUT = "first_out"
"""The fact in the detail of an alarm event: the first of its group; absent where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmMemory:
    """One rule's state as it must be again after a restart. Rules in `normal` need none."""

    rule: str
    state: AlarmState
    since_wall_ms: int
    actor: str = ""
    """Who acknowledged."""
    is_silenced: bool = False
    is_test: bool = False
    is_first_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InhibitMemory:
    """A rule that a person took out."""

    rule: str
    left: Left
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillMemory:
    """A drill that runs."""

    scope: tuple[str, ...]
    left: Left
    with_linkage: bool
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayMemory:
    """A delay that ran: it begins anew after a restart, and that is said."""

    rule: str
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What people ordered for a time, and stands."""

    inhibits: dict[str, InhibitMemory] = field(default_factory=dict)
    """By rule."""
    drill: DrillMemory | None = None
    cut: frozenset[str] = frozenset()
    """Outputs that stay active until a person restores them."""
    is_manual: bool = False
    """Linkage to equipment waits for a person."""
    running: frozenset[str] = frozenset()
    """Outputs that were active for an alarm: what runs goes on over a restart, without waiting anew."""


NO_ORDERS = Orders()


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
    orders: Orders = NO_ORDERS
    delays: tuple[DelayMemory, ...] = ()
    """Those in progress when it was taken."""


_UNACKED = {
    AlarmState.ACTIVE_ACKED: AlarmState.ACTIVE_UNACKED,
    AlarmState.LATCHED_ACKED: AlarmState.LATCHED_UNACKED,
}
"""What is left of a state when nobody has acknowledged it, where that makes a difference."""


def apply_event(memories: dict[str, AlarmMemory], event: Event) -> None:
    """Bring `memories` (by rule id) up to `event`; events that move no alarm change nothing.

    Replaying the events after a snapshot's position over its memories gives the memories of now. A
    state this version does not know, written by a newer one, is taken for an active alarm that
    nobody has acknowledged: the cautious reading. So is an alarm that nobody had acknowledged when a run
    that had not read of it yet moved it from one acknowledged state to another.
    """
    if event.kind is EventKind.ALARM:
        state = _state_of(event.to_state)
        before = memories.pop(event.rule, None)
        if state is AlarmState.NORMAL:
            return
        if state is AlarmState.ACTIVE_UNACKED:
            before = None  # a new occurrence, or one told anew: nobody has seen or silenced it
        elif before and not before.state.is_acked and _state_of(event.from_state).is_acked:
            # Told by a run that knew an older occurrence only, which had been acknowledged.
            state = _UNACKED.get(state, state)
        memories[event.rule] = AlarmMemory(
            rule=event.rule,
            state=state,
            since_wall_ms=event.at.wall_ms,
            actor=event.actor or (before.actor if before else ""),
            is_silenced=before.is_silenced if before else False,
            is_test=event.is_test,
            is_first_out=event.detail.get(FIRST_OUT) is True,
        )
    elif event.kind is EventKind.SILENCE and event.rule in memories:
        memories[event.rule] = replace(memories[event.rule], is_silenced=event.to_state == SILENCED)


def orders_after(orders: Orders, event: Event) -> Orders:
    """Return the orders that stand after `event`."""
    if event.kind is EventKind.INHIBIT:
        inhibits = dict(orders.inhibits)
        inhibits.pop(event.rule, None)
        if event.to_state == INHIBITED:
            inhibits[event.rule] = InhibitMemory(
                rule=event.rule, left=_left(event), actor=event.actor, reason=event.reason
            )
        return replace(orders, inhibits=inhibits)
    if event.kind is EventKind.DRILL:
        drill = None
        if event.to_state == STARTED:
            drill = DrillMemory(
                scope=tuple(str(event.detail.get("scope", "")).split()),
                left=_left(event),
                with_linkage=event.detail.get("with_linkage") is True,
                actor=event.actor,
                reason=event.reason,
            )
        return replace(orders, drill=drill)
    if event.kind is EventKind.OUTPUT and event.to_state == CUT:
        return replace(orders, cut=orders.cut | {event.subject})
    if event.kind is EventKind.OUTPUT and event.to_state == RESTORED:
        return replace(orders, cut=orders.cut - {event.subject})
    if event.kind is EventKind.OUTPUT and event.to_state == ACTIVE and event.rule != TESTED:
        return replace(orders, running=orders.running | {event.subject})
    if event.kind is EventKind.OUTPUT and event.to_state == INACTIVE:
        return replace(orders, running=orders.running - {event.subject})
    if event.kind is EventKind.MODE:
        return replace(orders, is_manual=event.to_state == MANUAL)
    return orders


def _left(event: Event) -> Left:
    seconds = event.detail.get("seconds")
    return Left(seconds=seconds if isinstance(seconds, float | int) else 0.0, at=event.at)


def _state_of(name: str) -> AlarmState:
    try:
        return AlarmState(name)
    except ValueError:
        return AlarmState.ACTIVE_UNACKED
