"""How much is held in memory, and what goes when the disk takes nothing: told as a gap like any other."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.effects import EventKind
from agent.outbox.events import EventLog
from agent.outbox.gaps import Gaps
from agent.outbox.queue import LaneQueue
from agent.outbox.records import Batch, Lane

MEMORY_BYTES = 16 * 1024 * 1024
"""What may wait in memory while the disk is bad."""
RECENT_EVENT_BYTES = 1024 * 1024
RECENT_BATCH_BYTES = 4 * 1024 * 1024
"""What stays in memory for cursors after it was written."""
EARLY_BYTES = RECENT_BATCH_BYTES + MEMORY_BYTES // 4
"""Telemetry is written before its time when so much is held: some 8,000 readings a second (at 400 bytes) would fill it
within a commit interval of 5 s, and a full memory drops the oldest."""


class MemoryBounds:
    """Keeps both lanes within what memory may hold. Loop thread only."""

    def __init__(
        self, events: EventLog, telemetry: LaneQueue[Batch], gaps: Gaps, done: Callable[[Lane], int]
    ) -> None:
        """`done`: the key up to which all have acknowledged."""
        self._events = events
        self._telemetry = telemetry
        self._gaps = gaps
        self._done = done

    @property
    def is_filling(self) -> bool:
        """Whether telemetry has to go to disk before its time."""
        return self._telemetry.bytes > EARLY_BYTES

    def trim(self) -> None:
        """Let go of what is on disk but for the newest."""
        self._events.queue.shrink(RECENT_EVENT_BYTES)
        self._telemetry.shrink(RECENT_BATCH_BYTES)

    def hold(self) -> None:
        """Keep what waits for the disk within bounds: telemetry goes first, then technical events."""
        events, batches = self._events.queue, self._telemetry
        if events.bytes + batches.bytes <= MEMORY_BYTES:
            return
        self.trim()
        over = events.bytes + batches.bytes - MEMORY_BYTES
        if over <= 0:
            return
        # so much more goes at once, that it is not done again for each record
        slack = MEMORY_BYTES // 16
        done = self._done(Lane.TELEMETRY)
        for key, batch in batches.evict(max(0, batches.bytes - over - slack), lambda _: True):
            if key > done:
                self._gaps.note(Lane.TELEMETRY, batch.stream, batch.seq, batch.seq, 1)
        over = events.bytes + batches.bytes - MEMORY_BYTES
        if over > 0:
            done = self._done(Lane.EVENT)
            for key, record in self._events.evict(max(0, events.bytes - over - slack)):
                if record.event.kind is EventKind.GAP:
                    self._gaps.retell(record.event)
                if key > done:
                    self._gaps.note(Lane.EVENT, record.stream, record.seq, record.seq, 1)
