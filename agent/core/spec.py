"""What the core is told about a site: points, rules, outputs, linkage. Frozen, checked by agent.config."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class AlarmClass(StrEnum):
    """What an alarm is about, most urgent first (docs/alarm-states.md)."""

    FIRE = "fire"
    GAS = "gas"
    SUPERVISORY = "supervisory"
    FAULT = "fault"
    TECHNICAL = "technical"

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return _RANK[self]


_RANK = {each: rank for rank, each in enumerate(AlarmClass)}


class PointKind(StrEnum):
    """What a point measures or tells."""

    SMOKE = "smoke"
    HEAT = "heat"
    CALL_POINT = "call-point"
    GAS = "gas"
    LEAK = "leak"
    FLOW = "flow"
    VALVE = "valve"
    PRESSURE = "pressure"
    TEMPERATURE = "temperature"
    HUMIDITY = "humidity"
    LEVEL = "level"
    CURRENT = "current"
    RESIDUAL_CURRENT = "residual-current"
    VOLTAGE = "voltage"
    POWER = "power"
    ENERGY = "energy"
    FREQUENCY = "frequency"
    DURATION = "duration"
    COUNT = "count"
    PUMP = "pump"
    LIFT = "lift"
    MAINS = "mains"
    DOOR = "door"
    KEY = "key"
    FEEDBACK = "feedback"
    ONLINE = "online"
    HEALTH = "health"
    GENERIC = "generic"


class OutputKind(StrEnum):
    """What an output does to people or equipment."""

    SIREN = "siren"
    BUZZER = "buzzer"
    STROBE = "strobe"
    RELAY = "relay"
    VALVE = "valve"
    CUT_OFF = "cut-off"
    LAMP = "lamp"
    HEALTH = "health"


class TelemetryMode(StrEnum):
    """When a reading becomes telemetry."""

    CHANGE = "change"
    """Beyond the deadband, on any change of quality, and after the longest silence."""
    INTERVAL = "interval"
    EVERY = "every"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name for people."""

    en: str = ""
    zh: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryPolicy:
    """When readings of a point go to the telemetry store."""

    mode: TelemetryMode = TelemetryMode.CHANGE
    deadband: float = 0.0
    """Least difference that counts as change, in the point's unit."""
    interval_s: float = 60.0
    """`interval`: the period. `change`: the longest silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """A measured or switched quantity."""

    id: str
    kind: PointKind
    unit: str = ""
    zone: str = ""
    device: str = ""
    """The device or bus it belongs to; empty for the box's own points."""
    label: Label = Label()
    telemetry: TelemetryPolicy = TelemetryPolicy()
    state_deadband: float = 0.0
    """Least change that refreshes the retained state within its 30 s."""
    stale_after_s: float = 30.0
    """Without a reading for this long the point is stale."""
    is_contact: bool = False
    """True: values are booleans."""


# -- points calculated from others ------------------------------------------------------------------


class DerivedHow(StrEnum):
    """How a point follows from others."""

    SUM = "sum"
    DIFFERENCE = "difference"
    """The first source less the second."""
    RATE = "rate"
    """Change of one source over a window, per `per_s`."""
    MINIMUM = "minimum"
    """Of several sources now, or of one over a window."""
    MAXIMUM = "maximum"
    MEDIAN = "median"
    """Of several sources now, or of the last readings of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedSpec:
    """How a point that no driver reads is calculated (agent.core.derived); it is a PointSpec too."""

    point: str
    how: DerivedHow
    sources: tuple[str, ...]
    """Numbers all; one for `rate`, a window or a count, two for `difference`."""
    unit: str = ""
    window_s: float = 0.0
    """`rate`, `minimum`, `maximum` over time; 0: the sources as they are now."""
    per_s: float = 1.0
    """`rate`: 1 for per second, 60 per minute, 3600 per hour."""
    count: int = 0
    """`median` over time: of this many readings."""
    is_counter: bool = False
    """`rate`: the source only grows; when it goes back it was set back."""


# -- conditions: what a rule watches, three-valued (true, false, unknown) --------------------------


class Side(StrEnum):
    """Which side of a limit is abnormal."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """True beyond `limit`; once true, false only after returning past it by `deadband`."""

    point: str
    side: Side
    limit: float
    deadband: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """True while a contact has the value `is_active`."""

    point: str
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """True while a point is bad or stale or was never heard of, or its number is none (NaN, infinity).

    What fault rules watch. Never unknown.
    """

    point: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """Three-valued AND."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """Three-valued OR."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """True below `low` or above `high`; once true, false only when inside by `deadband`."""

    point: str
    low: float
    high: float
    deadband: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Faster:
    """True while a point changes faster than `limit` per `per_s`, between the ends of a window.

    Unknown until half the window is known. A heat detector must not alarm at 2 degC/min
    (GB 16280-2014 4.7).
    """

    point: str
    side: Side
    """`above`: it rises faster than the limit; `below`: it falls faster."""
    limit: float
    """Above 0, in the point's unit per `per_s`."""
    per_s: float
    window_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """True once a point has stayed within `within` for `for_s`: a sensor that hangs."""

    point: str
    for_s: float
    within: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaking:
    """True while a point falls by `limit` or more an hour, by least squares over a window.

    Only while `quiet` (the pump stands) held all along; else unknown, and the window begins anew.
    """

    point: str
    limit: float
    """Above 0, in the point's unit per hour."""
    window_s: float
    quiet: Condition
    deadband: float = 0.0
    """Once true, false only when it falls by less than `limit` less this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """True while a contact became active more often within `per_s` than `limit`, or than usual.

    With `factor` above 0 the limit is `factor` times the mean of the last `usual_days` days, and at
    least `limit`; unknown until a whole day is known.
    """

    point: str
    limit: float
    per_s: float = 3600.0
    factor: float = 0.0
    usual_days: int = 7


class Calendar(Protocol):
    """The clock on the wall of the site."""

    def minute_of_week(self, wall_ms: int) -> tuple[int, int]:
        """Return the day (0 for Monday) and the minute of the day at UTC milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """True in a part of the week, in the site's time zone; unknown while the clock is not set."""

    calendar: Calendar
    days: frozenset[int]
    """Days on which the part begins, 0 for Monday."""
    from_min: int
    """Minutes after midnight, 0 to 1439."""
    to_min: int
    """Minutes after midnight, up to 1440, that one not included; not above `from_min`: on the next day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLeast:
    """True while at least `count` of the parts are; agent.core.voting says what an unknown one does."""

    count: int
    parts: tuple[Condition, ...]
    timeout_s: float = 0.0
    """A single true part that stands this long is enough; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """True when `part` is signalled a second time, or still stands, after `blank_s` within the window."""

    part: Condition
    window_s: float
    blank_s: float


Condition = (
    Threshold
    | Contact
    | Unheard
    | Outside
    | Faster
    | Flat
    | Leaking
    | Starting
    | Scheduled
    | AllOf
    | AnyOf
    | AtLeast
    | Verified
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """A condition with its delays, class and what it takes to end it."""

    id: str
    alarm_class: AlarmClass
    condition: Condition
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    is_latched: bool = False
    """Stays until a person resets it. Always so for fire and gas."""
    needs_ack: bool = True
    """False: the alarm ends by itself when the condition does (technical alarms, self-restoring faults)."""
    zone: str = ""
    label: Label = Label()
    suppressed_by: tuple[str, ...] = ()
    """Rules above this one in the fault hierarchy: while one of them is active this one is not indicated."""
    group: str = ""
    """Rules of one group tell which of them came first."""
    realarm_s: float = 0.0
    """An acknowledged alarm that still stands is unacknowledged again after this long; 0: never."""
    is_call_point: bool = False
    """A person pressed it: delays of linkages in its zone or group no longer count."""


class LampSign(StrEnum):
    """A state of the box that a lamp can show."""

    INHIBIT = "inhibit"
    """Somebody took a rule out."""
    TEST = "test"
    """A drill or an output test runs."""
    MANUAL = "manual"
    """Linkage to equipment waits for a person."""


class Pattern(StrEnum):
    """How an output that is active moves."""

    STEADY = "steady"
    PULSED = "pulsed"
    """One second on, one second off."""
    TEMPORAL_3 = "temporal-3"
    """Three times half a second on and half a second off, then a second and a half of rest in place of
    the last half (ISO 8201: the evacuation signal)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """When an output tests itself."""

    calendar: Calendar
    days: frozenset[int]
    """0 for Monday."""
    minute: int
    """After midnight."""
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """A key on the box: pressing it (the contact becomes active) is a person's command."""

    point: str
    command: str
    """`ack`, `silence`, `reset`, `restore`, or `mode`: a switch, active for manual."""
    target: str = ""
    """`restore`: the output."""
    actor: str = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """An output in the words of the site: active means it does its protective work."""

    id: str
    kind: OutputKind
    zone: str = ""
    label: Label = Label()
    is_energised_when_active: bool = True
    """False for a cut-off that cuts by dropping out."""
    pulse_s: float = 0.0
    """Above 0: the hardware itself ends what was made active after this long; that it rests again while
    active is asked for is as it should be."""
    max_on_s: float = 0.0
    """Longest time active at a stretch; then it rests until it is asked for anew. 0: no limit."""
    is_start_pulse: bool = False
    """Its longest time active is a pulse that starts something: that it is over then is as it should be."""
    min_off_s: float = 0.0
    """Shortest rest before it is made active again."""
    stagger_s: float = 0.0
    """Loads that have it are switched in one after another, so long after the one before (GB 50116 4.1.5)."""
    interlock: str = ""
    """The rule that forbids it while active; while that is unknown nothing is started."""
    is_restored_by_hand: bool = False
    """Once made active it stays so until a person restores it on the spot."""
    test_max_s: float = 0.0
    """Longest test a person may order, or of its self-test; 0: it is never tested."""
    self_test: SelfTest | None = None
    resets: tuple[str, ...] = ()
    """A reset line: active takes the supply from the detectors of these points."""
    reset_pulse_s: float = 0.0
    blank_s: float = 0.0
    """How long after the pulse its points are not yet to be believed."""
    has_feedback: bool = False
    """A point proves that it worked: what it was made to be is told as `<id>.active`."""
    shows: LampSign | None = None
    """A lamp that shows a state of the box, beside what linkages ask of it."""
    patterns: tuple[tuple[AlarmClass, Pattern], ...] = ()
    """How a sounder or strobe sounds or flashes, by the class that demands it; steady where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """Which alarms make which outputs active. An alarm matches when every filled field names it."""

    id: str
    outputs: tuple[str, ...]
    rules: tuple[str, ...] = ()
    classes: tuple[AlarmClass, ...] = ()
    zones: tuple[str, ...] = ()
    needs: int = 1
    """So many alarms decided by different points (GB 50116-2013 4.1.6: two for equipment)."""
    delay_s: float = 0.0
    """How long it waits; a manual call point of the zone or group ends the wait."""
    acts_in_manual: bool = False
    """It moves relays and valves though the site is switched to manual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    """Everything the core knows of a site."""

    site: str
    box: str
    points: tuple[PointSpec, ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    linkages: tuple[Linkage, ...] = ()
    keys: tuple[KeySpec, ...] = ()
    derived: tuple[DerivedSpec, ...] = ()
    inhibit_max_s: float = 7 * 86400.0
    """No inhibit is longer: what is longer is a change of the configuration."""
    labels: dict[str, Label] = field(default_factory=dict)
    """Labels of zones and devices, by id."""
