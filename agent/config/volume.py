"""How much telemetry a site makes: readings, bytes on each uplink, bytes on disk, days of patience. Pure.

Sizes are those of the real payloads (agent.uplink.codec, agent.outbox) for a sample reading of each
point. How often a reading passes follows from its policy, except for `change`: how often a value
changes nobody knows before, so that part is a guess by the kind of the point. Beside it stand the least
(nothing changes) and the most (every number differs each time; contacts as guessed).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.config.bus_load import BusLoad
from agent.config.load import LoadedSite
from agent.config.occasions import DAY_S, Occasion, occasions
from agent.config.sizes import (
    heartbeat_bytes,
    line_bytes,
    samples_of,
    state_bytes,
    tele_bytes,
)
from agent.core.spec import PointKind, PointSpec, TelemetryMode
from agent.core.telemetry import STATE_INTERVAL_S
from agent.outbox.spec import OutboxSpec
from agent.uplink.spec import Protocol, UplinkSpec
from agent.uplink.topics import TopicFault, Topics
from drivers.reading import Reading

CONTACT_CHANGES = 20.0
"""Guess: changes a day of a contact or a word."""
HEALTH_CHANGES = 2.0
"""Guess: changes a day of a point that tells whether something is well."""
DEADBAND_CHANGES = 288.0
"""Guess: a number leaves its deadband every five minutes."""
CALM_CHANGES: Mapping[PointKind, float] = {
    PointKind.TEMPERATURE: 0.1,
    PointKind.HUMIDITY: 0.2,
    PointKind.LEVEL: 0.3,
    PointKind.DURATION: 0.5,
}
"""Guess: the part of the readings of a slow quantity, in whole steps and without deadband, that differ
from the one before. Everything else without deadband is taken to differ every time."""

HEARTBEATS = DAY_S / 60.0
"""Status messages a day (design section 8)."""

TCP_BYTES = 3 * 52
"""Headers of a PUBLISH, its PUBACK and the acknowledgement of that: IPv4 20, TCP 20, timestamps 12."""
TLS_BYTES = 2 * 22
"""TLS 1.3 on a PUBLISH and its PUBACK: record header 5, type 1, tag 16 (RFC 8446 section 5.2)."""
MQTT_BYTES = 1 + 2 + 2 + 2 + 4
"""Fixed header, length of remaining and of topic, packet id, and the PUBACK (MQTT 5.0 sections 3.3, 3.4)."""
MQTT5_BYTES = 1 + 2 + 19 + 11
"""Length of properties, payload format, content type `application/json`, name of the user property
(MQTT 5.0 section 3.3.2.3); its value comes on top."""

FREE_SHARE = 1 / 64
"""Part of the outbox that is made free at once when it is full (agent.outbox.retention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A number per day: the least, a guess, the most; equal where the policy leaves no choice."""

    least: float
    guess: float
    most: float

    def __add__(self, other: Count) -> Count:
        return Count(
            least=self.least + other.least,
            guess=self.guess + other.guess,
            most=self.most + other.most,
        )

    def times(self, factor: float) -> Count:
        """Return it with every number multiplied."""
        return Count(least=self.least * factor, guess=self.guess * factor, most=self.most * factor)

    def most_of(self, most: float) -> Count:
        """Return it with no number over `most`."""
        return Count(
            least=min(self.least, most), guess=min(self.guess, most), most=min(self.most, most)
        )


Samples = Mapping[str, Reading]
"""A reading of usual length of every point."""

NOTHING = Count(least=0, guess=0, most=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointVolume:
    """One point."""

    point: str
    mode: TelemetryMode
    offered: float
    """Readings a day its driver makes."""
    readings: Count
    """Readings a day its policy lets through."""
    states: Count
    """Refreshes a day of its retained state."""
    wire_bytes: int
    """Of one reading within a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkVolume:
    """What one uplink sends in a day while its broker takes it at once."""

    uplink: str
    telemetry: Count
    """Bytes of payload of `tele/batch`."""
    states: Count
    """Bytes of payload of retained states and heartbeats."""
    link: Count
    """Bytes of both on the link: with topics and the headers of MQTT, TLS, TCP and IP, both ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What a site makes in a day."""

    points: tuple[PointVolume, ...]
    readings: Count
    uplinks: tuple[UplinkVolume, ...]
    disk: Count
    """Bytes a day on disk while no uplink takes anything."""
    room_bytes: int
    """What the outbox has for telemetry."""

    @property
    def days(self) -> Count:
        """How many days of telemetry the outbox holds; `least` belongs to the most telemetry."""
        return Count(
            least=self._days(self.disk.most),
            guess=self._days(self.disk.guess),
            most=self._days(self.disk.least),
        )

    def _days(self, bytes_a_day: float) -> float:
        return self.room_bytes / bytes_a_day if bytes_a_day else float("inf")


@dataclass(slots=True)
class _Group:
    """Points that are told together, and so leave in one batch."""

    points: list[PointVolume]

    def batches(self) -> Count:
        """Return how many batches a day leave: longest silences end together, changes come alone."""
        least = max((each.readings.least for each in self.points), default=0.0)
        guess = least + sum(each.readings.guess - each.readings.least for each in self.points)
        most = max((each.readings.most for each in self.points), default=0.0)
        return Count(least=least, guess=min(guess, most), most=most)


def site_volume(site: LoadedSite, buses: Sequence[BusLoad]) -> Volume:
    """Return the telemetry of a site whose buses carry these reads."""
    samples = samples_of(site)
    groups = tuple(_groups(occasions(site, buses), site, samples))
    points = tuple(point for group in groups for point in group.points)
    readings = sum((each.readings for each in points), NOTHING)
    batches = sum((each.batches() for each in groups), NOTHING)
    spec = site.outbox
    return Volume(
        points=points,
        readings=readings,
        uplinks=tuple(_uplink(each, site, points, batches, samples) for each in site.uplinks),
        disk=_disk(spec, points, readings, batches, samples),
        room_bytes=int(spec.max_bytes * (1 - spec.event_share - FREE_SHARE)),
    )


# -- readings ---------------------------------------------------------------------------------------


def _groups(told: Sequence[Occasion], site: LoadedSite, samples: Samples) -> Iterator[_Group]:
    """Yield what leaves together; a point told on several occasions belongs to the first."""
    specs = {each.id: each for each in site.spec.points}
    times: dict[str, float] = {}
    for occasion in told:
        for point in occasion.points:
            times[point] = times.get(point, 0.0) + occasion.times
    left = dict.fromkeys(specs)
    for occasion in told:
        new = [name for name in occasion.points if name in left]
        for name in new:
            del left[name]
        yield _Group([_point(specs[name], times[name], samples[name]) for name in new])


def _point(spec: PointSpec, offered: float, sample: Reading) -> PointVolume:
    policy = spec.telemetry
    beats = DAY_S / policy.interval_s
    is_number = not spec.is_contact and not isinstance(sample.value, str)
    # what tells nothing by itself still tells its changes
    is_health = spec.kind in (PointKind.ONLINE, PointKind.HEALTH)
    if not is_number:
        offered = max(offered, HEALTH_CHANGES if is_health else CONTACT_CHANGES)
    match policy.mode:
        case TelemetryMode.NONE:
            readings = NOTHING
        case TelemetryMode.EVERY:
            readings = Count(least=offered, guess=offered, most=offered)
        case TelemetryMode.INTERVAL:
            number = min(offered, beats)
            readings = Count(least=number, guess=number, most=number)
        case TelemetryMode.CHANGE:
            # a silence ends with the first reading that is due, so with a whole number of polls
            polls = -(-policy.interval_s * offered // DAY_S) if offered else 1.0
            least = min(offered, offered / max(1.0, polls))
            changes = _changes(spec, policy.deadband, offered, sample)
            guess = min(offered, least + changes)
            readings = Count(least=least, guess=guess, most=offered if is_number else guess)
    changes = _changes(spec, spec.state_deadband, offered, sample)
    most = min(offered, DAY_S / STATE_INTERVAL_S) if is_number else changes
    states = Count(least=0, guess=min(changes, most), most=most)
    return PointVolume(
        point=spec.id,
        mode=policy.mode,
        offered=offered,
        readings=readings,
        states=states,
        wire_bytes=tele_bytes(sample, 2) - tele_bytes(sample, 1),
    )


def _changes(spec: PointSpec, deadband: float, offered: float, sample: Reading) -> float:
    """Return the guess of how many of a point's readings a day differ enough from the last told."""
    if spec.kind in (PointKind.ONLINE, PointKind.HEALTH):
        return min(offered, HEALTH_CHANGES)
    if spec.is_contact or isinstance(sample.value, str):
        return min(offered, CONTACT_CHANGES)
    if deadband > 0:
        return min(offered, DEADBAND_CHANGES)
    is_stepped = sample.value == round(float(sample.value or 0), 3)
    return offered * (CALM_CHANGES.get(spec.kind, 1.0) if is_stepped else 1.0)


# -- bytes -----------------------------------------------------------------------------------------


def _uplink(
    spec: UplinkSpec,
    site: LoadedSite,
    points: Sequence[PointVolume],
    batches: Count,
    samples: Samples,
) -> UplinkVolume:
    topics = Topics(spec.root, site.spec.site, site.spec.box)
    around = MQTT_BYTES + TCP_BYTES
    around += TLS_BYTES if spec.tls is not None else 0
    around += MQTT5_BYTES if spec.protocol is Protocol.V5 else 0
    telemetry, states, link = NOTHING, NOTHING, NOTHING
    heading = 0
    for each in points:
        sample = samples[each.point]
        heading = tele_bytes(sample, 1) - each.wire_bytes
        telemetry += each.readings.times(each.wire_bytes)
        states += each.states.times(state_bytes(sample))
        link += each.states.times(around + len(_state_topic(topics, each.point)) + len("state/1"))
    telemetry += batches.times(heading)
    beats = Count(least=HEARTBEATS, guess=HEARTBEATS, most=HEARTBEATS)
    states += beats.times(heartbeat_bytes())
    link += beats.times(around + len(topics.status) + len("status/1"))
    link += batches.times(around + len(topics.tele) + len("tele/1"))
    return UplinkVolume(
        uplink=spec.id, telemetry=telemetry, states=states, link=link + telemetry + states
    )


def _state_topic(topics: Topics, point: str) -> str:
    try:
        return topics.state(point)
    except TopicFault:
        return ""


def _disk(
    spec: OutboxSpec,
    points: Sequence[PointVolume],
    readings: Count,
    batches: Count,
    samples: Samples,
) -> Count:
    """Return bytes a day on disk: while nothing is taken, batches gather for `gathering_s`."""
    disk, heading = NOTHING, 0
    for each in points:
        sample = samples[each.point]
        one, two = line_bytes(sample, 1), line_bytes(sample, 2)
        heading = one - (two - one)
        disk += each.readings.times(two - one)
    return disk + Count(
        least=_gathered(spec, readings.least, batches.least),
        guess=_gathered(spec, readings.guess, batches.guess),
        most=_gathered(spec, readings.most, batches.most),
    ).times(heading)


def _gathered(spec: OutboxSpec, readings: float, batches: float) -> float:
    """Return batches a day when each waits `gathering_s` for others that come at any time."""
    return max(readings / spec.batch_readings, batches / (1 + batches * spec.gathering_s / DAY_S))
