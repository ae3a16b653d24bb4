"""What the core asks of the shell, and what it tells the world.

The shell carries effects out in the order given: for one cause, outputs stand before events and
events before telemetry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.spec import AlarmClass
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value


class AlarmState(StrEnum):
    """What people see of an alarm; rows A to F of docs/alarm-states.md."""

    NORMAL = "normal"
    ACTIVE_UNACKED = "active_unacked"
    ACTIVE_ACKED = "active_acked"
    RETURNED_UNACKED = "returned_unacked"
    LATCHED_UNACKED = "latched_unacked"
    LATCHED_ACKED = "latched_acked"

    @property
    def is_active(self) -> bool:
        """Whether the condition holds (unknown counts as holding once it held)."""
        return self in (AlarmState.ACTIVE_UNACKED, AlarmState.ACTIVE_ACKED)

    @property
    def is_acked(self) -> bool:
        """Whether nobody needs to acknowledge."""
        return self in (AlarmState.NORMAL, AlarmState.ACTIVE_ACKED, AlarmState.LATCHED_ACKED)


class EventKind(StrEnum):
    """What happened."""

    ALARM = "alarm"
    """A rule changed its alarm state."""
    SUPPRESSION = "suppression"
    """A rule began or ceased to be hidden by a parent fault (`to`: suppressed, unsuppressed)."""
    SILENCE = "silence"
    """The sounders of an alarm were silenced or may sound again (`to`: silenced, unsilenced)."""
    OUTPUT = "output"
    """An output was commanded, confirmed, or failed (`from`, `to`: active, inactive, failed)."""
    COMMAND = "command"
    """A person or platform asked for something (`to`: ack, silence, reset); `code` says how it ended."""
    SYSTEM = "system"
    """The agent started, stopped, reloaded (`to`: started, stopped, reloaded), or one rule broke down
    (`to`: failed, recovered; `code`: rule_failed)."""
    STREAM = "stream"
    """The opening record of a stream; `detail` names the one before."""
    GAP = "gap"
    """Records were dropped; `detail` names the range and why."""
    DAMAGE = "damage"
    """Records on disk were unreadable and set aside; `detail` names the range."""
    CLOCK = "clock"
    """The clock was set; `detail` carries the offset of this boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A transition somebody must know; without id and seq, which the event log gives."""

    kind: EventKind
    subject: str
    """Rule, point, output or box it is about; the last part of its topic."""
    at: Stamp
    alarm_class: AlarmClass = AlarmClass.TECHNICAL
    is_test: bool = False
    """A drill: on the wire `class` is `test` and `rule_class` keeps `alarm_class`."""
    rule: str = ""
    point: str = ""
    from_state: str = ""
    to_state: str = ""
    is_acked: bool | None = None
    value: Value | None = None
    unit: str = ""
    quality: Quality | None = None
    actor: str = ""
    reason: str = ""
    code: str = ""
    zone: str = ""
    plan: str = ""
    detail: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    """Only for stream, gap, damage and clock events: named facts, documented per kind in the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOutput:
    """Make an output active or not."""

    output: str
    is_active: bool
    cause: str
    """The rule or command that decided it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Put an event on the event log."""

    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemeter:
    """Put a reading in the telemetry store."""

    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowState:
    """Refresh the retained state of a point."""

    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowAlarm:
    """Refresh the retained state of an alarm."""

    alarm: AlarmView


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmView:
    """One alarm as people and the cloud see it."""

    rule: str
    alarm_class: AlarmClass
    state: AlarmState
    since: Stamp
    """When it came into this state."""
    point: str
    """The point that decided it, or the first one its condition watches."""
    value: Value | None
    unit: str
    quality: Quality | None
    zone: str
    is_suppressed: bool = False
    is_silenced: bool = False
    is_latched: bool = False
    is_pending: bool = False
    """The condition holds and the on-delay is running."""
    is_unknown: bool = False
    """The condition cannot be told from what is known now."""
    actor: str = ""
    """Who acknowledged, if anybody."""


Effect = SetOutput | Record | Telemeter | ShowState | ShowAlarm


class CommandName(StrEnum):
    """What a person can ask; each is its own act (design section 5)."""

    ACK = "ack"
    SILENCE = "silence"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A person's wish, whatever door it came through (CLI, page, GPIO key, MQTT)."""

    id: str
    name: CommandName
    actor: str
    origin: str
    """`cli`, `page`, `key` or `mqtt`."""
    target: str = ""
    """A rule id, or empty for all it can apply to."""
    code: str = ""
    """Reset: the closing code real, false, test or maintenance."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    ok: bool
    code: str
    """`done`, or why not: `unknown_rule`, `not_active`, `condition_holds`, `condition_unknown`,
    `unacknowledged`, `bad_argument`, `rule_failed`."""
    message: str
