"""What the outbox keeps and the uplinks send."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.core.effects import Event
from drivers.clock import ClockState
from drivers.reading import Reading


class Lane(StrEnum):
    """The two kinds of record, kept and sent apart."""

    EVENT = "event"
    TELEMETRY = "telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event with its place in the log."""

    id: str
    """UUIDv7 (RFC 9562), also the key for dropping doubles."""
    stream: str
    seq: int
    """From 1 within the stream, no holes."""
    boot: str
    event: Event
    is_durable: bool = True
    """False: the commit hung for over 2 s and the event was released before it was on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A sealed, immutable batch of readings: the unit of telemetry that is counted, kept and sent."""

    stream: str
    seq: int
    boot: str
    clock: ClockState
    """Of every reading in it: a change of clock state seals the batch before."""
    readings: tuple[Reading, ...]


OutboxRecord = EventRecord | Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStats:
    """One lane as it is now."""

    lane: Lane
    records: int
    """Not yet acknowledged by every uplink."""
    bytes_on_disk: int
    oldest_wall_ms: int | None
    dropped: dict[str, int]
    """By reason: `overflow`, `damage`."""
    last_seq: int
    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxStats:
    """The outbox as it is now."""

    is_writable: bool
    fault: str
    """Why not, for people; empty when writable."""
    lanes: tuple[LaneStats, ...]
    commits: int
    bytes_written: int
    """Since start."""
    write_failures: int
    unsent_by_uplink: dict[str, int]
    beyond_window: int = 0
    """Records sent though more than a window of them would come twice after a cut, as the disk was stuck."""
    bytes_today: int = 0
    """Of `bytes_written`, since midnight UTC (or the start, when later)."""
    outage_days: float | None = None
    """For how many days of outage telemetry has room left at the rate of the last ten minutes; None
    while nothing is measured."""
