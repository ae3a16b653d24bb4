"""What the core asks of the shell, and what it tells the world.

The shell carries effects out in the order given: for one cause, outputs stand before events and
events before telemetry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.spec import AlarmClass, Pattern
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
    INHIBIT = "inhibit"
    """A rule was taken out by a person, or is in again (`to`: inhibited, uninhibited; `code`: expired when
    its time ended it); `detail` carries `seconds`, the time that is left."""
    DRILL = "drill"
    """A drill began or ended (`to`: started, ended; `code`: expired when its time ended it); `detail` carries
    `scope`, `seconds` and `with_linkage`."""
    MODE = "mode"
    """Linkage acts by itself or only when a person asks (`to`: auto, manual)."""
    CHATTERING = "chattering"
    """A rule began or ceased to come and go again and again (`to`: chattering, steady)."""
    FLOOD = "flood"
    """More alarms came than a person can take in, or that is over (`to`: flood, steady)."""
    PUMP = "pump"
    """A pump started (`to`: started); `detail` carries `starts`: more than one where they came in quick
    succession and are told together (agent.core.pump_starts)."""
    OUTPUT = "output"
    """An output was commanded, confirmed, or failed (`from`, `to`: active, inactive, failed); `code`: test,
    interlock, max_on_time, feedback_missing."""
    COMMAND = "command"
    """A person or platform asked for something (`to`: the command's name); `code` says how it ended."""
    SYSTEM = "system"
    """The agent started, stopped, reloaded (`to`: started, stopped, reloaded), or one rule broke down
    (`to`: failed, recovered; `code`: rule_failed), or a delay that ran before a restart began anew (`to`:
    delay_restarted; `detail` carries `seconds`, what had been left of it)."""
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
    """Named facts; for stream, gap, damage, clock, inhibit, drill and pump events documented in the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOutput:
    """Make an output active or not."""

    output: str
    is_active: bool
    cause: str
    """The rule or command that decided it."""
    pattern: Pattern = Pattern.STEADY
    """How it moves while it is active."""


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
    is_inhibited: bool = False
    """Taken out by a person: evaluated, and raising nothing."""
    inhibited_left_s: float | None = None
    """Until the inhibit ends by itself; as of when it was last shown."""
    inhibited_by: str = ""
    is_test: bool = False
    """Raised in a drill."""
    is_first_out: bool = False
    """The first of its group to become active."""
    is_chattering: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersView:
    """What people ordered and stands, beside inhibits."""

    is_manual: bool = False
    """Linkage to relays and valves waits for a person."""
    cut: frozenset[str] = frozenset()
    """Outputs that wait for a person to restore them."""
    drill_left_s: float | None = None
    """None: no drill runs."""
    drill_scope: tuple[str, ...] = ()
    is_testing: bool = False
    """An output is tested."""


Effect = SetOutput | Record | Telemeter | ShowState | ShowAlarm


ON_THE_SPOT = frozenset({"cli", "page", "key"})
"""Origins of a person who stands at the box, or is let in by it."""


class CommandName(StrEnum):
    """What a person can ask; each is its own act (design section 5)."""

    ACK = "ack"
    SILENCE = "silence"
    RESET = "reset"
    INHIBIT = "inhibit"
    UNINHIBIT = "uninhibit"
    RESTORE = "restore"
    DRILL = "drill"
    OUTPUT = "output"
    MODE = "mode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A person's wish, whatever door it came through (CLI, page, GPIO key, MQTT)."""

    id: str
    name: CommandName
    actor: str
    origin: str
    """`cli`, `page`, `key` or `mqtt`."""
    target: str = ""
    """A rule id, or empty for all it can apply to. Inhibit: a point id too, for every rule that watches it.
    Restore and output: an output id."""
    code: str = ""
    """Reset: the closing code real, false, test or maintenance."""
    reason: str = ""
    duration_s: float | None = None
    """Inhibit, the start of a drill and an output test end by themselves after this long."""
    is_on: bool | None = None
    """Drill: start or stop. Output: active or not."""
    scope: tuple[str, ...] = ()
    """Drill: the points and zones it takes in."""
    with_linkage: bool = False
    """Drill: outputs act as if it were real."""
    mode: str = ""
    """Mode: `auto` or `manual`."""
    identity: str = ""
    """`mqtt`: who the broker says it is, kept beside the claimed actor."""

    @property
    def is_on_the_spot(self) -> bool:
        """Whether it was asked for at the box itself."""
        return self.origin in ON_THE_SPOT


REFUSALS = (
    "unknown_rule",
    "unknown_point",
    "unknown_output",
    "not_active",
    "condition_holds",
    "condition_unknown",
    "unacknowledged",
    "bad_argument",
    "rule_failed",
    "no_end",
    "no_reason",
    "too_long",
    "not_inhibited",
    "already_inhibited",
    "drill_runs",
    "no_drill",
    "not_on_spot",
    "latched",
    "interlocked",
    "not_allowed",
    "expired",
    "repeated",
    "too_fast",
)
"""Why a command was not carried out: `latched` an output whose alarm is not reset, `interlocked` one that
a condition bars; `not_allowed`, `expired`, `repeated` and `too_fast` are said by the uplink's door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    ok: bool
    code: str
    """`done`, or one of `REFUSALS`."""
    message: str
