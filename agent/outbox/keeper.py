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
from agent.outbox.bounds import MemoryBounds
from agent.outbox.cursor import UplinkCursor
from agent.outbox.disk import Appended, Disk, Opened
from agent.outbox.events import OPENINGS, EventLog
from agent.outbox.gaps import Gaps
from agent.outbox.losses import Losses
from agent.outbox.making_room import RoomMaker, Step
from agent.outbox.positions import Positions
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.remembering import Remembering
from agent.outbox.saving import PositionSaver
from agent.outbox.spec import LOOK_S, OutboxSpec
from agent.outbox.telemetry import TelemetryStore
from agent.outbox.turns import EVENTS, POSITIONS, Turns
from agent.outbox.worker import Worker
from drivers.clock import Clock, next_beat_s

TICK_S = LOOK_S
"""Events wake the loop at once."""
IDLE_S = 1.0
"""The same while nothing waits for the disk, neither an age nor a write."""
HUNG_S = 2.0
"""A write that takes longer counts as hung: events go out before they are on disk (docs/design.md 7)."""
RETRY_S = 5.0
"""So long after a failed write until the next is tried."""
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
        self._turns = Turns()
        self._retry_s = 0.0
        self._saver = PositionSaver(disk, cursors, telemetry.queue)
        self._remembering = Remembering(disk, boot, events.queue)
        self._bounds = MemoryBounds(events, telemetry.queue, gaps, self.done)
        self.losses = Losses(disk, events.queue, gaps, clock, append)
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

    def keep_snapshot(self, snapshot: AlarmSnapshot) -> None:
        """Write this snapshot once the events it covers are on disk; a newer one takes its place."""
        self._remembering.keep_snapshot(snapshot)
        self._wake.set()

    def note_offset(self, offset_ms: int) -> None:
        """Keep the clock offset of this boot."""
        self._remembering.note_offset(offset_ms)
        self._wake.set()

    def acknowledged(self) -> None:
        """Note that a cursor moved."""
        done = self.done(Lane.TELEMETRY)
        self._telemetry.queue.forget_done(done, unwritten_too=True)
        self._events.queue.forget_done(self.done(Lane.EVENT), unwritten_too=False)
        if self._saver.acknowledged(self._clock.mono_s()):
            self._wake.set()

    def done(self, lane: Lane) -> int:
        """Return the key up to which every uplink has acknowledged; 0 without uplinks."""
        if lane is Lane.EVENT:
            return min((each.events.position for each in self._cursors), default=0)
        return min((each.batches.position for each in self._cursors), default=0)

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
        loop = asyncio.get_running_loop()
        if self.recovered.is_set() and not self.fault:
            self._tell_well()
        while True:
            self._wake.clear()
            self.tick()
            timer = loop.call_at(next_beat_s(loop.time(), self._rest_s), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()

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

    @property
    def _rest_s(self) -> float:
        """How long until the next look: longer while nothing is held, but never past the age of what comes then."""
        events, telemetry = self._events.queue, self._telemetry
        is_held = telemetry.is_open or telemetry.queue.has_unwritten or events.has_unwritten
        is_behind = self._saver.is_behind or self._remembering.is_behind or bool(self._gaps)
        is_busy = self._job is not None or self.room.is_busy or self._disk.has_unverified()
        if is_held or is_behind or is_busy or self.fault or not self.recovered.is_set():
            return TICK_S
        return max(TICK_S, min(IDLE_S, self._spec.gathering_s))

    def _see_to_ages(self, now_s: float) -> None:
        telemetry, spec = self._telemetry, self._spec
        age_s = now_s - telemetry.opened_s
        if telemetry.is_open and (self._is_closing or age_s >= spec.gathering_s):
            telemetry.seal()
        if spec.commit_interval_s or self.fault:
            self._release(Lane.TELEMETRY)
        self._bounds.hold()
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
        if self._bounds.is_filling and self._job is None and not self.fault:
            self._wake.set()  # a burst fills memory sooner than the next look comes

    def appended(self) -> None:
        """Note that an event waits: for the disk, or while that is bad for the uplinks alone."""
        if self.fault:
            self._release(Lane.EVENT)
        self._bounds.hold()
        self._wake.set()

    def _end(self, job: _Job, now_s: float) -> None:
        self._job = None
        try:
            outcome = job.future.result()
        except OSError as error:
            self.write_failures += 1
            self._retry_s = now_s + RETRY_S
            self._saver.unsure()
            self._set_fault(f"the disk cannot be written: {_cause(error)}")
            return
        except Exception as error:
            # a bug: whoever restarts this is told, and meanwhile nothing waits for the disk
            self.write_failures += 1
            self._retry_s = now_s + RETRY_S
            self._saver.unsure()
            self._set_fault(f"the outbox failed at {job.name!r}: {type(error).__name__}: {error}")
            raise
        if self.fault:
            _log.warning("outbox: the disk can be written again (was: %s)", self.fault)
            self.fault = ""
            self._is_told = False
        if not self._is_told:
            self._tell_well()
        job.finish(outcome)
        self._bounds.trim()

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
        names = [name for name, _ in due]
        name = self._turns.next(names, is_pressing=self._saver.is_pressing)
        work, finish = dict(due)[name]
        if name == EVENTS:
            self._saver.giving(Lane.EVENT, self._events.queue)
        elif name == "telemetry":
            self._saver.giving(Lane.TELEMETRY, self._telemetry.queue)
        future = self._worker.submit(work)
        future.add_done_callback(lambda _: self._wake.set())
        self._job = _Job(name, future, now_s, finish)

    def _due(self, now_s: float) -> list[tuple[str, Step]]:
        if not self.recovered.is_set():
            streams = {
                Lane.EVENT: self._events.queue.stream,
                Lane.TELEMETRY: self._telemetry.queue.stream,
            }
            names = [each.uplink for each in self._cursors]
            work = partial(self._disk.open, streams, names, self._boot)
            return [("open", (work, self._opened))]
        due: list[tuple[str, Step]] = []
        events = self._events.queue
        # first of all, since making room appends what it tells: a clean end may not be noted before that is on disk
        room = self.room.next_step()
        if events.has_unwritten:
            due.append((EVENTS, self._events_step()))
        if self._is_telemetry_due(now_s):
            due.append(("telemetry", self._telemetry_step()))
        positions = self._saver.step(now_s, is_closing=self._is_closing)
        if positions is not None:
            due.append((POSITIONS, positions))
        due.extend(self._remembering.steps(now_s, is_closing=self._is_closing))
        due.extend(self.losses.steps())
        if room is not None:
            due.append(("room", room))
        if not due:
            due.extend(self._due_when_idle(now_s))
        return due

    def _due_when_idle(self, now_s: float) -> list[tuple[str, Step]]:
        if self._is_closing:
            seqs = self._last_seqs()
            finish = partial(self._disk.finish, seqs, self._clock.stamp().wall_ms)
            return [("finish", (finish, partial(self._finished, seqs)))]
        look = self.losses.look(now_s, TICK_S)
        return [] if look is None else [("verify", look)]

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
            each.events.settle(position[Lane.EVENT], found.events.base, OPENINGS)
            each.batches.settle(position[Lane.TELEMETRY], found.telemetry.base, 0)
            if found.offset_ms is not None and each.offset_ms is None:
                each.offset_ms = found.offset_ms
            each.notice()
        self.replay = found.replay
        self.recovered.set()
        self.losses.tell(found.damages)

    # -- writing -----------------------------------------------------------------------------------------

    def _events_step(self) -> Step:
        found = [(key, held.record) for key, held in self._events.queue.unwritten()]
        at = self._saver.ahead_of(Lane.EVENT, [key for key, _ in found])
        done = partial(self._wrote_events, found[-1][0], at)
        return partial(self._disk.append_events, found, at), done

    def _wrote_events(self, key: int, at: Positions | None, found: Appended[EventRecord]) -> None:
        self._saver.wrote(at, is_saved=found.is_saved)
        self.commits += 1
        self._events.queue.wrote(key)
        self._release(Lane.EVENT, key)
        for each in found.refused:
            self.losses.set_aside(each, "JSON cannot hold it")

    def _is_telemetry_due(self, now_s: float) -> bool:
        queue, interval_s = self._telemetry.queue, self._spec.commit_interval_s
        if not queue.has_unwritten:
            return False
        oldest = queue.oldest_unwritten()
        if oldest is None:
            return False
        if self._is_closing or self._bounds.is_filling:
            return True
        age_s = now_s - oldest.since_s
        return age_s >= max(interval_s / 2, interval_s - 2 * TICK_S)

    def _telemetry_step(self) -> Step:
        batches = [(key, held.record) for key, held in self._telemetry.queue.unwritten()]
        at = self._saver.ahead_of(Lane.TELEMETRY, [key for key, _ in batches])
        done = partial(self._wrote_batches, batches[-1][0], at)
        return partial(self._disk.append_batches, batches, at), done

    def _wrote_batches(self, key: int, at: Positions | None, found: Appended[Batch]) -> None:
        self._saver.wrote(at, is_saved=found.is_saved)
        self.commits += 1
        self._telemetry.queue.wrote(key)
        self._release(Lane.TELEMETRY, key)
        for each in found.refused:
            self.losses.set_aside(each, "JSON cannot hold it")

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
