"""Bringing to disk what the next start remembers: the newest alarm snapshot and this boot's clock offset."""

from __future__ import annotations

from functools import partial

from agent.core.memory import AlarmSnapshot
from agent.outbox.disk import Disk
from agent.outbox.making_room import Step
from agent.outbox.queue import LaneQueue
from agent.outbox.records import EventRecord

SNAPSHOT_S = 1.0
"""Least time between two alarm snapshots; the log fills in what lies between."""


class Remembering:
    """What waits to be remembered. Loop thread only."""

    def __init__(self, disk: Disk, boot: str, events: LaneQueue[EventRecord]) -> None:
        self._disk = disk
        self._boot = boot
        self._events = events
        self._snapshot: AlarmSnapshot | None = None
        self._snapshot_s = -SNAPSHOT_S
        self._offset_ms: int | None = None

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        return self._snapshot is not None or self._offset_ms is not None

    def keep_snapshot(self, snapshot: AlarmSnapshot) -> None:
        """Write this snapshot once the events it covers are on disk; a newer one takes its place."""
        self._snapshot = snapshot

    def note_offset(self, offset_ms: int) -> None:
        """Keep the clock offset of this boot."""
        self._offset_ms = offset_ms

    def steps(self, now_s: float, *, is_closing: bool) -> list[tuple[str, Step]]:
        """Return what is to be written of it now."""
        due: list[tuple[str, Step]] = []
        snapshot, offset_ms = self._snapshot, self._offset_ms
        is_due = is_closing or now_s - self._snapshot_s >= SNAPSHOT_S
        if snapshot is not None and is_due and self._is_covered(snapshot):
            save = partial(self._disk.save_snapshot, snapshot)
            due.append(("snapshot", (save, partial(self._wrote_snapshot, snapshot, now_s))))
        if offset_ms is not None:
            note = partial(self._disk.note_offset, self._boot, offset_ms)
            due.append(("offset", (note, partial(self._noted_offset, offset_ms))))
        return due

    def _is_covered(self, snapshot: AlarmSnapshot) -> bool:
        """Whether the events a snapshot covers are on disk."""
        position, queue = snapshot.position, self._events
        is_ours = position is not None and position.stream == queue.stream
        return position is None or not is_ours or queue.base + position.seq <= queue.written

    def _wrote_snapshot(self, snapshot: AlarmSnapshot, now_s: float, _: object) -> None:
        self._snapshot_s = now_s
        if self._snapshot is snapshot:
            self._snapshot = None

    def _noted_offset(self, offset_ms: int, _: object) -> None:
        if self._offset_ms == offset_ms:
            self._offset_ms = None
