"""Settings of the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LOOK_S = 0.25
"""Ages are looked at this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSpec:
    """Where and how records are kept."""

    directory: Path
    max_bytes: int = 256 * 1024 * 1024
    event_share: float = 0.25
    """The part of `max_bytes` reserved for events."""
    segment_bytes: int = 256 * 1024
    commit_interval_s: float = 5.0
    """At most this much telemetry may be lost by a power cut; 0 writes every batch before it is sent."""
    replay_readings_s: float = 0.0
    """A backlog goes out at most this fast, besides what is measured meanwhile; 0: as the link takes it."""
    events_per_class: int = 10_000
    """So many newest events of each class stay in the journal, as far as the share of events has room."""
    linger_s: float = 0.0
    """How long an idle uplink lets an open batch gather before it takes it. 0: until the loop has nothing
    more urgent; waiting longer adds to each reading's way and saves a few messages a second."""
    batch_readings: int = 200
    """A batch is sealed at this many readings."""
    batch_age_s: float = 4.0
    """... or when its first reading is this old while uplinks are busy or away. A window of messages is all that a
    slow link takes at a time, so a backlog in fewer records is through sooner."""

    @property
    def gathering_s(self) -> float:
        """How long an open batch gathers while no uplink asks for it: it has to be on disk in time as well."""
        interval_s = self.commit_interval_s
        if not interval_s:
            # written through, what waits for its batch to fill is all that a cut takes
            return min(self.batch_age_s, LOOK_S)
        return min(self.batch_age_s, max(interval_s / 2, interval_s - 4 * LOOK_S))
