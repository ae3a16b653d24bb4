"""Bringing the positions of uplinks to disk: soon enough that little comes twice, seldom enough to wear nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from agent.outbox.contract import WINDOW
from agent.outbox.cursor import UplinkCursor
from agent.outbox.disk import Disk
from agent.outbox.making_room import Step
from agent.outbox.positions import Positions
from agent.outbox.queue import LaneQueue
from agent.outbox.records import Batch, EventRecord, Lane

SAVE_POSITIONS_S = 2.0
"""A moved position is on disk after this time ..."""
SAVE_POSITIONS_RECORDS = 10
"""... or this many records, half of contract.WINDOW: what an uplink holds back for is never long in coming."""


class PositionSaver:
    """Where the uplinks stand, and what of it is on disk. Loop thread only."""

    def __init__(
        self, disk: Disk, cursors: Sequence[UplinkCursor], telemetry: LaneQueue[Batch]
    ) -> None:
        self._disk = disk
        self._cursors = cursors
        self._telemetry = telemetry
        self._moved_s: float | None = None
        self._given: tuple[Lane, list[int]] | None = None
        """What the writer thread was given last, until that is known to be on disk."""

    @property
    def is_pressing(self) -> bool:
        """Whether an uplink can send no more until positions are on disk."""
        return any(each.unsaved() >= WINDOW for each in self._cursors)

    def positions(self) -> Positions:
        """Return where each uplink stands."""
        return {
            each.uplink: {Lane.EVENT: each.events.place, Lane.TELEMETRY: each.batches.place}
            for each in self._cursors
        }

    @property
    def is_behind(self) -> bool:
        """Whether positions wait to be saved."""
        return self._moved_s is not None

    def acknowledged(self, now_s: float) -> bool:
        """Note that a cursor moved; return whether enough has to be saved at once."""
        unsaved = self._unsaved()
        if unsaved and self._moved_s is None:
            self._moved_s = now_s
        return unsaved >= SAVE_POSITIONS_RECORDS

    def step(self, now_s: float, *, is_closing: bool) -> Step | None:
        """Return what to write now, if anything."""
        unsaved = self._unsaved()
        if unsaved <= 0:
            return None
        if self._moved_s is None:
            self._moved_s = now_s
        is_late = now_s - self._moved_s >= SAVE_POSITIONS_S
        if not (is_closing or unsaved >= SAVE_POSITIONS_RECORDS or is_late):
            return None
        at = self.positions()
        return partial(self._disk.save_positions, at), lambda _: self.saved(at)

    def ahead_of(self, lane: Lane, keys: Sequence[int]) -> Positions | None:
        """Return the positions to be saved before records of these keys are written; None: they need not be.

        What an uplink has already would come twice once it is on disk: acknowledged from memory while the
        disk was bad or another uplink slower. And what is in flight counts from then on.
        """
        is_ahead = any(each.is_over or each.track(lane).done_among(keys) for each in self._cursors)
        return self.positions() if is_ahead else None

    def giving(self, lane: Lane, queue: LaneQueue[EventRecord] | LaneQueue[Batch]) -> None:
        """Note that all of a lane is given to the writer thread: from now on it may be on disk.

        What of it is acknowledged already counts as saved, since `ahead_of` goes first; `unsure` if that failed.
        """
        self._given = lane, [key for key, _ in queue.unwritten()]
        queue.touched = queue.last_key

    def unsure(self) -> None:
        """Note that what was given last may be on disk, and the positions that go ahead of it may not."""
        if self._given is not None:
            lane, keys = self._given
            for each in self._cursors:
                each.track(lane).note_given(keys)

    def wrote(self, ahead: Positions | None, *, is_saved: bool) -> None:
        """Note that what was given is on disk; `is_saved`: with the positions that went ahead of it."""
        if ahead is not None and is_saved:
            self.saved(ahead)
        elif ahead is not None:
            self.unsure()
        self._given = None

    def saved(self, positions: Positions) -> None:
        """Note what is on disk."""
        self._moved_s = None
        for each in self._cursors:
            each.events.note_saved(positions[each.uplink][Lane.EVENT])
            each.batches.note_saved(positions[each.uplink][Lane.TELEMETRY])

    def _unsaved(self) -> int:
        """Return by how many records on disk the saved positions lag behind, at most."""
        written = self._telemetry.written
        most = 0
        for each in self._cursors:
            most = max(
                most,
                each.events.position - each.events.saved,
                min(each.batches.position, written) - each.batches.saved,
                each.unsaved(),
            )
        return most
