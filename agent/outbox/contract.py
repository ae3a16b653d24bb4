"""What the outbox promises the pipeline and the uplinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.core.effects import Event
from agent.outbox.records import Batch, EventRecord, OutboxStats
from drivers.clock import Stamp
from drivers.reading import Reading

WINDOW = 20
"""So many records at most come twice after a cut: those in flight and those acknowledged of which the disk does not
know yet (`Cursor.unsaved`), both lanes together. An uplink sends nothing further while there are so many, but for
what it takes `regardless` from a disk that is stuck."""


class Writer(Protocol):
    """The pipeline's side. Neither call waits for the disk."""

    def append(self, event: Event) -> EventRecord:
        """Give the event its id and seq, queue it for the next commit, and return it."""

    def add(self, reading: Reading) -> None:
        """Put a reading into the open batch."""

    def stats(self) -> OutboxStats:
        """Return counts as they are now."""


class Cursor(Protocol):
    """An uplink's side: where it stands in both lanes. One uplink's pace never touches another's.

    Records are handed out oldest first and once per connection; `rewind` starts a new connection.
    What is on disk moves only by `done`, so what was in flight is sent again.

    `regardless` is for a window that is full while the disk is stuck, and gives only what must not wait:
    what is not known to be on disk, where waiting could lose it, and events that happened since the
    connection began. What is safe on disk waits: telemetry and the backlog of events.
    """

    async def wait(self) -> None:
        """Return as soon as there is a record to hand out in either lane."""

    async def take_events(self, most: int, *, regardless: bool = False) -> Sequence[EventRecord]:
        """Return up to `most` next events that are on disk (or released as not durable); may be none."""

    async def take_batches(self, most: int, *, regardless: bool = False) -> Sequence[Batch]:
        """Return up to `most` next batches; may be none. Sealed by age or size; needs not be on disk."""

    def goes_regardless(self, record: EventRecord | Batch) -> bool:
        """Return whether a record handed out before, which the broker refused, may be sent again `regardless`.

        One for which this is true counts as taken so.
        """

    def done(self, record: EventRecord | Batch) -> None:
        """Note that the broker has acknowledged this record (PUBACK)."""

    def set_aside(self, record: EventRecord | Batch, reason: str) -> None:
        """Quarantine a record that the broker will never take; recorded as damage, then passed."""

    def rewind(self) -> None:
        """Hand out again, from the oldest, what was handed out and is not `done`."""

    def unsent(self) -> int:
        """Return how many records are not `done`."""

    def unsaved(self) -> int:
        """Return how many records are `done` and would be sent again after a cut."""

    def is_stuck(self) -> bool:
        """Whether the disk takes no positions now: it fails, or a write hangs for over 2 s."""


class EventTap(Protocol):
    """Hears of every event as it is appended, for the local stream; must not block."""

    def __call__(self, record: EventRecord) -> None: ...


def age_s(record: Batch, now: Stamp) -> float:
    """Return how old the first reading of a batch is."""
    return now.mono_s - record.readings[0].at.mono_s
