"""The outbox as the composition root sees it: event log, telemetry store, cursors, alarm snapshot.

`append` and `add` take a few microseconds, never wait and never fail. `run` brings records to disk
with a thread of its own. Everything but that thread's work happens on the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from tinydb import where

from agent.core.effects import Event, EventKind
from agent.core.memory import AlarmSnapshot
from agent.outbox.contract import Cursor, EventTap
from agent.outbox.cursor import UplinkCursor
from agent.outbox.disk import Disk
from agent.outbox.documents import batch_record, event_record
from agent.outbox.events import EventLog
from agent.outbox.files import Files
from agent.outbox.gaps import Gaps
from agent.outbox.keeper import Keeper
from agent.outbox.manifest import Segment
from agent.outbox.pace import DayCount, outage_days
from agent.outbox.queue import LaneQueue
from agent.outbox.reader import Page, SegmentReader
from agent.outbox.records import Batch, EventRecord, Lane, LaneStats, OutboxStats
from agent.outbox.replay import ReplayLimit
from agent.outbox.snapshot import load_snapshot
from agent.outbox.spec import OutboxSpec
from agent.outbox.telemetry import TelemetryStore
from agent.outbox.track import READ_LIMIT_S, Track
from agent.outbox.worker import T, Worker
from drivers.clock import Clock
from drivers.reading import Reading

MOST_READS = 64
"""Reads that may wait for a disk that does not answer; whoever comes next is told at once that it does not."""


class Outbox:
    """Keeps what happened until every uplink has sent it (agent.outbox.contract.Writer)."""

    def __init__(
        self,
        spec: OutboxSpec,
        *,
        box: str,
        boot: str,
        clock: Clock,
        uplinks: Sequence[str],
        on_health: Callable[[bool, str], None],
        tap: EventTap | None = None,
        files: Files | None = None,
    ) -> None:
        """Touch no disk yet.

        `on_health` hears on the loop's thread whether the disk can be written, at each change, and
        why not. `files` is the disk; tests give one that fails.
        """
        self._spec = spec
        self._tap = tap
        self._today = DayCount()
        self._clock = clock
        self._files = files if files is not None else Files()
        self._disk = Disk(spec, box, self._files)
        self._reading = Worker("outbox reader")
        self._readers = {
            lane: SegmentReader(self._disk.root / lane.value, self._files) for lane in Lane
        }
        self._events = EventLog(boot, clock)
        self._telemetry = TelemetryStore(spec, boot, clock)
        self._gaps = Gaps(box)
        self._cursors = {
            uplink: UplinkCursor(
                uplink,
                Track(self._events.queue, self._read, event_record, self._passed_over),
                Track(self._telemetry.queue, self._read, batch_record, self._passed_over),
                boot=boot,
                linger_s=spec.linger_s,
                replay=ReplayLimit(spec.replay_readings_s, boot, clock, self._telemetry.pace),
                is_open=lambda: self._telemetry.is_open,
                seal=self._seal,
                before_take=self._before_take,
                on_done=lambda: self._keeper.acknowledged(),
                on_set_aside=lambda record, why: self._keeper.losses.set_aside(record, why),
                count=self._count_after,
                is_saving=lambda: not self._keeper.fault,
            )
            for uplink in uplinks
        }
        self._keeper = Keeper(
            spec,
            box,
            boot,
            clock,
            self._disk,
            self._events,
            self._telemetry,
            tuple(self._cursors.values()),
            self._gaps,
            on_health,
            self.append,
        )

    # -- the pipeline's side -----------------------------------------------------------------------

    def append(self, event: Event) -> EventRecord:
        """Give the event its id and seq, queue it for the next commit, and return it."""
        record = self._events.append(event, is_durable=not self._keeper.fault)
        self._keeper.appended()
        if self._tap is not None:
            self._tap(record)
        return record

    def add(self, reading: Reading) -> None:
        """Put a reading into the open batch."""
        if self._telemetry.add(reading):
            self._keeper.sealed()
            for each in self._cursors.values():
                each.notice()

    def stats(self) -> OutboxStats:
        """Return counts as they are now."""
        return OutboxStats(
            bytes_today=self._today.today(self._files.bytes_written, self._clock.stamp().wall_ms),
            outage_days=outage_days(
                int(self._spec.max_bytes * (1 - self._spec.event_share)),
                sum(each.bytes for each in self._disk.segments(Lane.TELEMETRY)),
                self._telemetry.pace.bytes_per_s(self._clock.mono_s()),
            ),
            is_writable=not self._keeper.fault,
            fault=self._keeper.fault,
            lanes=(
                self._lane_stats(Lane.EVENT, self._events.queue),
                self._lane_stats(Lane.TELEMETRY, self._telemetry.queue),
            ),
            commits=self._keeper.commits,
            bytes_written=self._files.bytes_written,
            write_failures=self._keeper.write_failures,
            unsent_by_uplink={name: each.unsent() for name, each in self._cursors.items()},
            beyond_window=sum(each.beyond for each in self._cursors.values()),
        )

    def save_snapshot(self, snapshot: AlarmSnapshot) -> None:
        """Have the alarm snapshot written after the events it covers; the newest wins. Never waits."""
        self._keeper.keep_snapshot(snapshot)

    def set_clock_offset(self, offset_ms: int) -> None:
        """Date this boot's unsynced records when they are handed out: `wall_ms = offset_ms + mono_ms`.

        `offset_ms` is UTC at monotonic zero of this boot (docs/design.md section 6). It holds however
        often the clock stepped before it counted as synced; what was already handed out stays as it is.
        """
        for each in self._cursors.values():
            each.offset_ms = offset_ms
        self._keeper.note_offset(offset_ms)

    # -- others --------------------------------------------------------------------------------------

    def cursor(self, uplink: str) -> Cursor:
        """Return the cursor of an uplink.

        Raises:
            KeyError: no such uplink was named at the start.
        """
        return self._cursors[uplink]

    async def load_snapshot(self) -> AlarmSnapshot | None:
        """Return the alarm snapshot of the run before, None when there is none. Waits for the disk."""
        return await self._reading.submit(partial(load_snapshot, self._disk.root, self._files))

    async def recovered(self) -> tuple[EventRecord, ...]:
        """Wait for the recovery; return what alarms went through behind the snapshot's position.

        Alarm and silence events and those of what people ordered, oldest first.
        """
        await self._keeper.recovered.wait()
        return self._keeper.replay

    async def events(
        self, limit: int = 100, kind: EventKind | None = None
    ) -> Sequence[EventRecord]:
        """Return up to `limit` newest events of the journal, newest first.

        Raises:
            OSError: the disk cannot be read, or does not answer.
        """
        found = [
            record
            for _, record in self._events.queue.records()
            if kind is None or record.event.kind is kind
        ][:limit]
        if len(found) < limit and self._keeper.recovered.is_set():
            stop = self._events.queue.first_key
            segments = tuple(each for each in self._disk.segments(Lane.EVENT) if each.first < stop)
            condition = None if kind is None else where("kind") == kind.value
            search = partial(self._readers[Lane.EVENT].search, segments, condition, limit, stop)
            async with asyncio.timeout(READ_LIMIT_S):
                found += (await self._reading_of(search))[: limit - len(found)]
        return found

    @property
    def is_open(self) -> bool:
        """Whether the recovery is done."""
        return self._keeper.recovered.is_set()

    async def purge(self, lane: Lane, *, unsent_too: bool = False) -> int:
        """Remove what a lane holds on disk; what was unsent is told as a gap. Return how many records.

        Of events only what every uplink has acknowledged goes, unless `unsent_too`.

        Raises:
            OSError: the disk cannot be written.
        """
        return await self._keeper.purge(lane, unsent_too=unsent_too)

    async def run(self) -> None:
        """Recover, then bring records to disk until cancelled. May be started again."""
        await self._keeper.run()

    async def close(self, deadline_s: float) -> None:
        """Seal, write everything and note a clean end, within `deadline_s` even when the disk hangs."""
        await self._keeper.close(deadline_s)
        self._reading.stop()

    # -- inside --------------------------------------------------------------------------------------

    def _seal(self) -> None:
        if self._telemetry.is_open:
            self._telemetry.seal()
            self._keeper.sealed()

    def _before_take(self) -> None:
        """Gaps are told before the records behind them go out."""
        self._keeper.tell_gaps()

    def _passed_over(self, lane: Lane, number: int, stream: str, seq: int) -> None:
        self._keeper.losses.passed_over(lane, number, stream, seq)

    async def _reading_of(self, look: Callable[[], T]) -> T:
        # a read of a dying card may never return, and those behind it would gather for as long as the agent lives
        if self._reading.waiting >= MOST_READS:
            raise TimeoutError("the disk has not answered earlier reads")
        return await self._reading.submit(look)

    async def _read(self, lane: Lane, start: int, stop: int, most: int) -> Page:
        while True:
            segments = self._disk.segments(lane)
            page = await self._reading_of(
                partial(self._readers[lane].read, segments, start, stop, most)
            )
            listed = {each.number for each in self._disk.segments(lane)}
            if page.gone <= listed:
                break
            # its records were written elsewhere meanwhile, or told as dropped: look anew
        if page.suspects:
            self._keeper.losses.suspect(lane, page.suspects)
        return page

    def _count_after(self, lane: Lane, key: int) -> int:
        queue: LaneQueue[EventRecord] | LaneQueue[Batch]
        queue = self._events.queue if lane is Lane.EVENT else self._telemetry.queue
        on_disk = sum(_records_after(each, key) for each in self._disk.segments(lane))
        return on_disk + queue.count_after(key)

    def _lane_stats(
        self, lane: Lane, queue: LaneQueue[EventRecord] | LaneQueue[Batch]
    ) -> LaneStats:
        done = self._keeper.done(lane)
        segments = self._disk.segments(lane)
        oldest = next((each for each in segments if each.records and each.last > done), None)
        oldest_wall_ms = None if oldest is None else oldest.oldest_wall_ms
        if oldest is None and queue.last_key > done:
            held = queue.get(max(done + 1, queue.first_key))
            if isinstance(held, EventRecord):
                oldest_wall_ms = held.event.at.wall_ms
            elif isinstance(held, Batch):
                oldest_wall_ms = held.readings[0].at.wall_ms
        return LaneStats(
            lane=lane,
            records=self._count_after(lane, done),
            bytes_on_disk=sum(each.bytes for each in segments),
            oldest_wall_ms=oldest_wall_ms,
            dropped=dict(self._gaps.dropped[lane]),
            last_seq=queue.last_seq,
            stream=queue.stream,
        )


def _records_after(segment: Segment, key: int) -> int:
    if segment.first > key:
        return segment.records
    return max(0, min(segment.records, segment.last - key))
