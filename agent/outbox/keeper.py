"""What decides, on the loop, what the writer thread does next: one durable step after another.

`tick` never waits. Whether a step hangs, fails or ends is seen at the next tick, so that being
cancelled at any moment loses nothing, and a disk that never answers again holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.core.effects import Event, EventKind
from agent.core.memory import AlarmSnapshot
from agent.outbox.cursor import UplinkCursor
from agent.outbox.disk import Disk, Opened
from agent.outbox.events import OPENINGS, EventLog
from agent.outbox.gaps import Gaps
from agent.outbox.making_room import RoomMaker
from agent.outbox.manifest import Damage
from agent.outbox.positions import Positions
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.spec import OutboxSpec
from agent.outbox.telemetry import TelemetryStore
from agent.outbox.worker import Worker
from drivers.clock import Clock

TICK_S = 0.25
"""Ages are looked at this often; events wake the loop at once."""
HUNG_S = 2.0
"""A write that takes longer counts as hung: events go out before they are on disk (docs/design.md 7)."""
RETRY_S = 5.0
"""So long after a failed write until the next is tried."""
SAVE_POSITIONS_S = 2.0
"""A moved position is on disk after this time ..."""
SAVE_POSITIONS_RECORDS = 10
"""... or this many records, half of contract.WINDOW: what an uplink holds back for is never long in coming."""
SNAPSHOT_S = 1.0
"""Least time between two alarm snapshots; the log fills in what lies between."""
MEMORY_BYTES = 16 * 1024 * 1024
"""What may wait in memory while the disk is bad."""
RECENT_EVENT_BYTES = 1024 * 1024
RECENT_BATCH_BYTES = 4 * 1024 * 1024
"""What stays in memory for cursors after it was written."""
EARLY_BYTES = RECENT_BATCH_BYTES + MEMORY_BYTES // 4
"""Telemetry is written before its time when so much is held: some 8,000 readings a second (at 400 bytes) would fill it
within a commit interval of 5 s, and a full memory drops the oldest."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Job:
    name: str
    future: asyncio.Future[Any]
    since_s: float
    finish: Callable[[Any], None]


class Keeper:
    """Brings both lanes, the positions and the snapshot to disk."""

    def __init__(
        self,
        spec: OutboxSpec,
        box: str,
        boot: str,
        clock: Clock,
        disk: Disk,
        events: EventLog,
        telemetry: TelemetryStore,
        cursors: Sequence[UplinkCursor],
        gaps: Gaps,
        on_health: Callable[[bool, str], None],
        append: Callable[[Event], EventRecord],
    ) -> None:
        self._spec = spec
        self._box = box
        self._boot = boot
        self._clock = clock
        self._disk = disk
        self._events = events
        self._telemetry = telemetry
        self._cursors = cursors
        self._gaps = gaps
        self._on_health = on_health
        self._append = append
        self._worker = Worker("outbox writer")
        self._wake = asyncio.Event()
        self._job: _Job | None = None
        self._last_job = ""
        self._retry_s = 0.0
        self._moved_s: float | None = None
        self._snapshot: AlarmSnapshot | None = None
        self._snapshot_s = -SNAPSHOT_S
        self._offset_unsaved: int | None = None
        self.room = RoomMaker(
            spec,
            disk,
            events.queue,
            telemetry.queue,
            gaps,
            is_owed=bool(cursors),
            done=self.done,
            tell_gaps=self.tell_gaps,
            append=append,
        )
        self._damage_key: int | None = None
        self._verified_s = 0.0
        self._suspects: set[tuple[Lane, int]] = set()
        self._aside: list[EventRecord | Batch] = []
        self._passed_over: set[tuple[Lane, int]] = set()
        self._is_closing = False
        self._is_told = False
        self._is_finished = False
        self.recovered = asyncio.Event()
        self.replay: tuple[EventRecord, ...] = ()
        self.fault = ""
        """Why the disk cannot be written, for people; empty while it can."""
        self.commits = 0
        self.write_failures = 0

    # -- what others tell ----------------------------------------------------------------------------

    def wake(self) -> None:
        """Look at once what there is to do."""
        self._wake.set()

    def suspect(self, lane: Lane, numbers: Sequence[int]) -> None:
        """Have segments looked at in which a reader met damage."""
        self._suspects.update((lane, number) for number in numbers)

    def keep_snapshot(self, snapshot: AlarmSnapshot) -> None:
        """Write this snapshot once the events it covers are on disk; a newer one takes its place."""
        self._snapshot = snapshot
        self._wake.set()

    def note_offset(self, offset_ms: int) -> None:
        """Keep the clock offset of this boot."""
        self._offset_unsaved = offset_ms

    def passed_over(self, lane: Lane, number: int, stream: str, seq: int) -> None:
        """Tell of a stored record that no uplink can be handed, once however many meet it."""
        if (lane, number) in self._passed_over:
            return
        self._passed_over.add((lane, number))
        self._tell_damage(
            (
                Damage(
                    lane=lane,
                    file="",
                    reason="undecodable",
                    stream=stream,
                    first_seq=seq,
                    last_seq=seq,
                    count=1,
                ),
            )
        )

    def set_aside(self, record: EventRecord | Batch, reason: str) -> None:
        """Quarantine a record no broker takes, and tell of it."""
        self._aside.append(record)
        is_event = isinstance(record, EventRecord)
        if isinstance(record, EventRecord) and record.event.kind is EventKind.DAMAGE:
            return
        self._tell_damage(
            (
                Damage(
                    lane=Lane.EVENT if is_event else Lane.TELEMETRY,
                    file="",
                    reason=f"refused: {reason}"[:200],
                    stream=record.stream,
                    first_seq=record.seq,
                    last_seq=record.seq,
                    count=1,
                ),
            )
        )

    def acknowledged(self) -> None:
        """Note that a cursor moved."""
        done = self.done(Lane.TELEMETRY)
        self._telemetry.queue.forget_done(done, unwritten_too=True)
        self._events.queue.forget_done(self.done(Lane.EVENT), unwritten_too=False)
        unsaved = self._unsaved_positions()
        if unsaved and self._moved_s is None:
            self._moved_s = self._clock.mono_s()
        if unsaved >= SAVE_POSITIONS_RECORDS:
            self._wake.set()

    def done(self, lane: Lane) -> int:
        """Return the key up to which every uplink has acknowledged; 0 without uplinks."""
        if lane is Lane.EVENT:
            return min((each.events.position for each in self._cursors), default=0)
        return min((each.batches.position for each in self._cursors), default=0)

    def limit_memory(self) -> None:
        """Keep what waits for the disk within bounds: telemetry goes first, then technical events."""
        events, batches = self._events.queue, self._telemetry.queue
        if events.bytes + batches.bytes <= MEMORY_BYTES:
            return
        self._trim()
        over = events.bytes + batches.bytes - MEMORY_BYTES
        if over <= 0:
            return
        slack = MEMORY_BYTES // 16
        done = self.done(Lane.TELEMETRY)
        for key, batch in batches.evict(max(0, batches.bytes - over - slack), lambda _: True):
            if key > done:
                self._gaps.note(Lane.TELEMETRY, batch.stream, batch.seq, batch.seq, 1)
        over = events.bytes + batches.bytes - MEMORY_BYTES
        if over > 0:
            done = self.done(Lane.EVENT)
            for key, record in self._events.evict(max(0, events.bytes - over - slack)):
                if record.event.kind is EventKind.GAP:
                    self._gaps.retell(record.event)
                if key > done:
                    self._gaps.note(Lane.EVENT, record.stream, record.seq, record.seq, 1)

    async def purge(self, lane: Lane, *, unsent_too: bool) -> int:
        """Remove what a lane holds on disk, told as a gap first; return how many records went.

        Raises:
            OSError: the disk failed, or is bad.
        """
        await self._worker.submit(partial(self._disk.seal, lane))
        count = self.room.purge(lane, unsent_too=unsent_too)
        self._wake.set()
        while self.room.is_busy or self._events.queue.has_unwritten:
            if self.fault:
                raise OSError(self.fault)
            await asyncio.sleep(TICK_S / 10)
        return count

    def tell_gaps(self) -> None:
        """Make events of what was dropped since the last call."""
        if self._gaps:
            for event in self._gaps.tell(self._clock.stamp()):
                self._append(event)

    # -- the task --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled; may be started again. A bug in a step is raised."""
        # whoever restarts this has told that it failed: that it is well is for this part to say
        self._is_told = False
        if self.recovered.is_set() and not self.fault:
            self._tell_well()
        while True:
            self._wake.clear()
            self.tick()
            try:
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self, deadline_s: float) -> None:
        """Bring everything to disk and note the clean end, within `deadline_s` or not at all."""
        self._is_closing = True
        self._retry_s = 0.0
        failures = self.write_failures
        closed: asyncio.Future[None] | None = None
        try:
            async with asyncio.timeout(deadline_s):
                while not self._is_finished and self.write_failures <= failures + 1:
                    self._wake.clear()
                    self.tick()
                    if self._job is not None:
                        await self._wake.wait()
                    elif self.write_failures > failures:
                        self._retry_s = 0.0
                closed = self._worker.submit(self._disk.close)
                await closed
        except TimeoutError:
            _log.error("the outbox could not be closed in %.1f s", deadline_s)
        finally:
            if closed is None and self._job is None:
                self._worker.submit(self._disk.close)
            self._worker.stop()

    def tick(self) -> None:
        """Look at the step under way, see to ages and bounds, and start the next step."""
        now_s = self._clock.mono_s()
        job = self._job
        if job is not None and job.future.done():
            self._end(job, now_s)
            job = self._job
        self._see_to_ages(now_s)
        if job is not None:
            if now_s - job.since_s >= HUNG_S:
                self._set_fault(f"a disk write has been hanging for over {HUNG_S:.0f} s")
        elif now_s >= self._retry_s:
            self._start_next(now_s)

    # -- inside ----------------------------------------------------------------------------------------

    def _see_to_ages(self, now_s: float) -> None:
        telemetry, spec = self._telemetry, self._spec
        # written through, what waits for its batch to fill is all that a cut takes
        age_s = min(spec.batch_age_s, spec.commit_interval_s / 2 or TICK_S)
        if telemetry.is_open and (self._is_closing or now_s - telemetry.opened_s >= age_s):
            telemetry.seal()
        if spec.commit_interval_s or self.fault:
            self._release(Lane.TELEMETRY)
        self.limit_memory()
        if not self.fault or self._is_closing:
            self.tell_gaps()

    def _release(self, lane: Lane, key: int | None = None) -> None:
        queue = self._events.queue if lane is Lane.EVENT else self._telemetry.queue
        if queue.release(queue.last_key if key is None else key):
            for each in self._cursors:
                each.notice()

    def sealed(self) -> None:
        """Note that a batch was sealed: hand it out, or write it first."""
        if self._spec.commit_interval_s or self.fault:
            self._release(Lane.TELEMETRY)
        else:
            self._wake.set()

    def appended(self) -> None:
        """Note that an event waits: for the disk, or while that is bad for the uplinks alone."""
        if self.fault:
            self._release(Lane.EVENT)
        self.limit_memory()
        self._wake.set()

    def _end(self, job: _Job, now_s: float) -> None:
        self._job = None
        self._last_job = job.name
        try:
            outcome = job.future.result()
        except OSError as error:
            self.write_failures += 1
            self._retry_s = now_s + RETRY_S
            self._set_fault(f"the disk cannot be written: {_cause(error)}")
            return
        except Exception as error:
            # a bug: whoever restarts this is told, and meanwhile nothing waits for the disk
            self.write_failures += 1
            self._retry_s = now_s + RETRY_S
            self._set_fault(f"the outbox failed at {job.name!r}: {type(error).__name__}: {error}")
            raise
        if self.fault:
            _log.warning("outbox: the disk can be written again (was: %s)", self.fault)
            self.fault = ""
            self._is_told = False
        if not self._is_told:
            self._tell_well()
        job.finish(outcome)
        self._trim()

    def _set_fault(self, why: str) -> None:
        if not self.fault:
            self.fault = why
            _log.error("outbox: %s; going on from memory", why)
            self._on_health(False, why)
            # events that go out before they are on disk say so
            self._events.mark_not_durable()
        self._release(Lane.EVENT)
        self._release(Lane.TELEMETRY)

    def _tell_well(self) -> None:
        self._is_told = True
        self._on_health(True, "")

    def _start_next(self, now_s: float) -> None:
        due = self._due(now_s)
        if not due:
            return
        names = [name for name, _, _ in due]
        # the step after the last one in turn, so that none is starved by a stream of events
        index = (names.index(self._last_job) + 1) % len(due) if self._last_job in names else 0
        name, work, finish = due[index]
        if name == "events":
            self._events.queue.touched = self._events.queue.last_key
        elif name == "telemetry":
            self._telemetry.queue.touched = self._telemetry.queue.last_key
        future = self._worker.submit(work)
        future.add_done_callback(lambda _: self._wake.set())
        self._job = _Job(name, future, now_s, finish)

    def _due(self, now_s: float) -> list[tuple[str, Callable[[], Any], Callable[[Any], None]]]:
        if not self.recovered.is_set():
            streams = {
                Lane.EVENT: self._events.queue.stream,
                Lane.TELEMETRY: self._telemetry.queue.stream,
            }
            names = [each.uplink for each in self._cursors]
            return [("open", partial(self._disk.open, streams, names, self._boot), self._opened)]
        due: list[tuple[str, Callable[[], Any], Callable[[Any], None]]] = []
        events = self._events.queue
        # first of all, since making room appends what it tells: a clean end may not be noted before that is on disk
        rare = self._rarely_due(now_s)
        if events.has_unwritten:
            found = [(key, held.record) for key, held in events.unwritten()]
            finish = partial(self._wrote_events, found[-1][0])
            due.append(("events", partial(self._disk.append_events, found), finish))
        if self._is_telemetry_due(now_s):
            due.append(("telemetry", *self._telemetry_step()))
        if self._are_positions_due(now_s):
            at = self._positions()
            due.append(
                ("positions", partial(self._disk.save_positions, at), partial(self._saved, at))
            )
        due.extend(rare)
        if not due:
            due.extend(self._due_when_idle(now_s))
        return due

    def _rarely_due(
        self, now_s: float
    ) -> list[tuple[str, Callable[[], Any], Callable[[Any], None]]]:
        due: list[tuple[str, Callable[[], Any], Callable[[Any], None]]] = []
        snapshot = self._snapshot
        if snapshot is not None and self._is_snapshot_due(snapshot, now_s):
            due.append(
                (
                    "snapshot",
                    partial(self._disk.save_snapshot, snapshot),
                    partial(self._wrote_snapshot, snapshot, now_s),
                )
            )
        if self._aside:
            aside = tuple(self._aside)
            kept = partial(self._kept_aside, len(aside))
            due.append(("aside", partial(self._disk.keep_aside, aside), kept))
        if self._offset_unsaved is not None:
            offset_ms = self._offset_unsaved
            note = partial(self._disk.note_offset, self._boot, offset_ms)
            due.append(("offset", note, partial(self._noted_offset, offset_ms)))
        if self._damage_key is not None and self._events.queue.written >= self._damage_key:
            due.append(("damage", self._disk.mark_damage, self._marked_damage))
        step = self.room.next_step()
        if step is not None:
            due.append(("room", *step))
        return due

    def _due_when_idle(
        self, now_s: float
    ) -> list[tuple[str, Callable[[], Any], Callable[[Any], None]]]:
        if self._is_closing:
            seqs = self._last_seqs()
            wall_ms = self._clock.stamp().wall_ms
            finish = partial(self._disk.finish, seqs, wall_ms)
            return [("finish", finish, partial(self._finished, seqs))]
        is_turn = now_s - self._verified_s >= TICK_S and self._disk.has_unverified()
        if self._suspects or is_turn:
            self._verified_s = now_s
            suspects, self._suspects = frozenset(self._suspects), set()
            return [("verify", partial(self._disk.verify, suspects), self._tell_damage)]
        return []

    # -- recovery ----------------------------------------------------------------------------------------

    def _opened(self, found: Opened) -> None:
        at = self._clock.stamp()
        openings = tuple(
            Event(kind=EventKind.STREAM, subject=self._box, at=at, detail=each.detail())
            for each in (found.events, found.telemetry)
        )
        self._events.open(found.events.base, openings)
        self._telemetry.queue.open_with(found.telemetry.base, [])
        for each in self._cursors:
            position = found.positions[each.uplink]
            each.events.place(position[Lane.EVENT], found.events.base, OPENINGS)
            each.batches.place(position[Lane.TELEMETRY], found.telemetry.base, 0)
            if found.offset_ms is not None and each.offset_ms is None:
                each.offset_ms = found.offset_ms
            each.notice()
        self.replay = found.replay
        self.recovered.set()
        self._tell_damage(found.damages)

    def _tell_damage(self, damages: Sequence[Damage]) -> None:
        for event in self._gaps.damage_events(damages, self._clock.stamp()):
            _log.error("outbox: records lost: %s", event.detail)
            record = self._append(event)
            self._damage_key = self._events.queue.base + record.seq

    def _marked_damage(self, _: object) -> None:
        self._damage_key = None

    # -- writing -----------------------------------------------------------------------------------------

    def _wrote_events(self, key: int, refused: list[EventRecord]) -> None:
        self.commits += 1
        self._events.queue.wrote(key)
        self._release(Lane.EVENT, key)
        for each in refused:
            self.set_aside(each, "JSON cannot hold it")

    def _is_telemetry_due(self, now_s: float) -> bool:
        queue, interval_s = self._telemetry.queue, self._spec.commit_interval_s
        if not queue.has_unwritten:
            return False
        oldest = queue.oldest_unwritten()
        if oldest is None:
            return False
        if self._is_closing or queue.bytes > EARLY_BYTES:
            return True
        age_s = now_s - oldest.since_s
        return age_s >= max(interval_s / 2, interval_s - 2 * TICK_S)

    def _telemetry_step(self) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        batches = [(key, held.record) for key, held in self._telemetry.queue.unwritten()]
        # what one uplink has and another lacks would come twice once it is on disk: the position goes first
        is_ahead = any(each.batches.position >= batches[0][0] for each in self._cursors)
        at = self._positions() if is_ahead else None
        done = partial(self._wrote_batches, batches[-1][0], at)
        return partial(self._disk.append_batches, batches, at), done

    def _wrote_batches(self, key: int, saved: Positions | None, refused: list[Batch]) -> None:
        if saved is not None:
            self._saved(saved, None)
        self.commits += 1
        self._telemetry.queue.wrote(key)
        self._release(Lane.TELEMETRY, key)
        for each in refused:
            self.set_aside(each, "JSON cannot hold it")

    def _trim(self) -> None:
        self._events.queue.shrink(RECENT_EVENT_BYTES)
        self._telemetry.queue.shrink(RECENT_BATCH_BYTES)

    # -- positions ---------------------------------------------------------------------------------------

    def _positions(self) -> Positions:
        return {
            each.uplink: {
                Lane.EVENT: each.events.position,
                Lane.TELEMETRY: each.batches.position,
            }
            for each in self._cursors
        }

    def _unsaved_positions(self) -> int:
        """Return by how many records on disk the saved positions lag behind, at most."""
        written = self._telemetry.queue.written
        most = 0
        for each in self._cursors:
            most = max(
                most,
                each.events.position - each.events.saved,
                min(each.batches.position, written) - each.batches.saved,
                each.events.savable + each.batches.savable,
            )
        return most

    def _are_positions_due(self, now_s: float) -> bool:
        unsaved = self._unsaved_positions()
        if unsaved <= 0:
            return False
        if self._moved_s is None:
            self._moved_s = now_s
        is_late = now_s - self._moved_s >= SAVE_POSITIONS_S
        return self._is_closing or unsaved >= SAVE_POSITIONS_RECORDS or is_late

    def _saved(self, positions: Positions, _: object) -> None:
        self._moved_s = None
        for each in self._cursors:
            each.events.note_saved(positions[each.uplink][Lane.EVENT])
            each.batches.note_saved(positions[each.uplink][Lane.TELEMETRY])

    # -- snapshot and offset -----------------------------------------------------------------------------

    def _kept_aside(self, count: int, _: object) -> None:
        del self._aside[:count]

    def _is_snapshot_due(self, snapshot: AlarmSnapshot, now_s: float) -> bool:
        position, queue = snapshot.position, self._events.queue
        if (
            position is not None
            and position.stream == queue.stream
            and queue.base + position.seq > queue.written
        ):
            return False
        return self._is_closing or now_s - self._snapshot_s >= SNAPSHOT_S

    def _wrote_snapshot(self, snapshot: AlarmSnapshot, now_s: float, _: object) -> None:
        self._snapshot_s = now_s
        if self._snapshot is snapshot:
            self._snapshot = None

    def _noted_offset(self, offset_ms: int, _: object) -> None:
        if self._offset_unsaved == offset_ms:
            self._offset_unsaved = None

    def _last_seqs(self) -> dict[Lane, int]:
        return {
            Lane.EVENT: self._events.queue.last_seq,
            Lane.TELEMETRY: self._telemetry.queue.last_seq,
        }

    def _finished(self, seqs: dict[Lane, int], _: object) -> None:
        # what came meanwhile goes to disk too, and the end is noted anew
        self._is_finished = seqs == self._last_seqs()


def _cause(error: OSError) -> str:
    """Return why, for people, with the file where it is known."""
    why = error.strerror or str(error) or type(error).__name__
    return f"{why}: {error.filename}" if error.filename else why
