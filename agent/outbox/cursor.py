"""Where one uplink stands in both lanes: what it is handed, what it has acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Generic

from agent.outbox.queue import LaneQueue, R
from agent.outbox.reader import Page
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.replay import ReplayLimit
from drivers.clock import ClockState, Stamp

READ_LIMIT_S = 2.0
"""A disk that does not answer in this time is passed over: what is in memory goes out first."""
READ_RETRY_S = 5.0
"""So long until it is asked again."""

ReadPage = Callable[[Lane, int, int, int], Awaitable[Page]]
"""Reads records of a lane from disk: first number, the number behind the last, most."""

_log = logging.getLogger(__name__)


class Track(Generic[R]):
    """One lane of a cursor.

    Handed out are keys from `_high` on (memory) and, oldest first, the range `_low` to `_limit`
    that lies before (on disk for the most part). All other keys below `_high` are done or in
    flight, so the position follows from these three.
    """

    def __init__(
        self,
        queue: LaneQueue[R],
        read: ReadPage,
        decode: Callable[[dict[str, Any]], R],
        on_undecodable: Callable[[Lane, int, str, int], None],
    ) -> None:
        """`on_undecodable` hears lane, number, stream and seq of a record that is passed over."""
        self._on_undecodable = on_undecodable
        self._queue: LaneQueue[R] = queue
        self._read = read
        self._decode: Callable[[dict[str, Any]], R] = decode
        self._low = 0
        self._limit = 0
        self._high = 1
        self._in_flight: dict[tuple[str, int], int] = {}
        self._generation = 0
        self._is_placed = False
        self._asked_again_s = 0.0
        self.saved = 0
        """The position on disk."""
        self._unsaved: set[int] = set()
        """Acknowledged, and sent again after a cut: on disk, or still to come there, and not behind `saved`."""

    @property
    def unsaved(self) -> int:
        """How many acknowledged records a cut at this moment would send again."""
        return len(self._unsaved)

    @property
    def savable(self) -> int:
        """How many fewer they are once the position is on disk."""
        position = self.position
        if position <= self.saved:
            return 0
        return sum(1 for each in self._unsaved if each <= position)

    @property
    def position(self) -> int:
        """Everything up to this key is acknowledged."""
        lowest = min(self._high, min(self._in_flight.values(), default=self._high))
        if self._low < self._limit:
            lowest = min(lowest, self._low)
        return lowest - 1

    @property
    def waits_for_disk_s(self) -> float | None:
        """When (loop time) to ask a silent disk again, None when there is nothing to ask for."""
        return self._asked_again_s if self._low < self._limit else None

    def place(self, position: int, base: int, reserved: int) -> None:
        """Learn from the recovery where this uplink stood and where this run's keys begin."""
        # opening records come in front of what may have been handed out before the recovery
        limit = 1 + (reserved if self._high > 1 else 0)
        if self._low < self._limit:
            limit = max(limit, self._limit)
        self._high += base
        self._in_flight = {each: key + base for each, key in self._in_flight.items()}
        self._low = position + 1
        self._limit = base + limit
        self._is_placed = True
        self.saved = position
        self._unsaved = {key + base for key in self._unsaved}

    def rewind(self) -> None:
        """Hand out again from the oldest not done."""
        start = self.position + 1
        self._low, self._limit = start, self._high
        self._in_flight.clear()
        self._unsaved = {key for key in self._unsaved if key < start}
        self._generation += 1
        self._asked_again_s = 0.0

    def is_available(self, now_s: float) -> bool:
        """Whether there may be something to hand out."""
        if self._low < self._limit:
            in_memory = self._low >= self._queue.first_key
            if self._low <= self._queue.released if in_memory else now_s >= self._asked_again_s:
                return True
        return bool(self._high <= self._queue.released)

    async def take(self, most: int) -> list[R]:
        """Hand out up to `most` next records; may be none."""
        if most <= 0:
            return []
        while True:
            generation = self._generation
            first = self._catch_up()
            if self._low >= self._limit or (self._low < first and self._is_disk_silent()):
                return self._take_newest(most)
            if self._low >= first:
                stop = min(self._limit, self._queue.released + 1)
                found, self._low = self._queue.between(self._low, stop, most)
                if not found and self._low < self._limit:
                    return []
            else:
                page = await self._page(min(self._limit, first), most)
                if generation != self._generation:
                    return []
                if page is None:
                    continue
                self._low = page.next_number
                found = self._decoded(page)
            if found:
                return self._hand_out(found)

    def _catch_up(self) -> int:
        """Turn what memory no longer holds into a range to read from disk; return the first key held."""
        first: int = self._queue.first_key
        if self._is_placed and self._high < first:
            if self._low >= self._limit:
                self._low = self._high
            self._high = self._limit = first
        elif not self._is_placed:
            self._low = max(self._low, min(first, self._limit))
        return first

    def _is_disk_silent(self) -> bool:
        return asyncio.get_running_loop().time() < self._asked_again_s

    def _take_newest(self, most: int) -> list[R]:
        held, self._high = self._queue.between(self._high, self._queue.released + 1, most)
        if self._low >= self._limit:
            self._low = self._limit = self._high
        return self._hand_out(held)

    def done(self, record: R) -> bool:
        """Note an acknowledgement; return whether the record was in flight."""
        before = self.position
        key = self._in_flight.pop((record.stream, record.seq), None)
        if key is None:
            return False
        self._unsaved.add(key)
        position = self.position
        if position > before:
            # what never was on disk cannot be sent again
            touched = self._queue.touched
            self._unsaved = {each for each in self._unsaved if each <= touched or each > position}
        return True

    def note_saved(self, position: int) -> None:
        """Note the position on disk."""
        self.saved = position
        self._unsaved = {each for each in self._unsaved if each > position}

    async def _page(self, stop: int, most: int) -> Page | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                return await self._read(self._queue.lane, self._low, stop, most)
        except OSError as error:  # a time-out is one
            _log.warning("stored records cannot be read now: %s", error or "no answer")
            self._asked_again_s = loop.time() + READ_RETRY_S
            return None

    def _decoded(self, page: Page) -> list[tuple[int, R]]:
        found = []
        flying = set(self._in_flight.values())
        for number, document in page.documents:
            try:
                if number not in flying:
                    found.append((number, self._decode(document)))
            except ValueError as error:
                _log.error("record %d is passed over: %s", number, error)
                stream, seq = document.get("stream"), document.get("seq")
                self._on_undecodable(
                    self._queue.lane,
                    number,
                    stream if isinstance(stream, str) else "",
                    seq if isinstance(seq, int) else 0,
                )
        return found

    def _hand_out(self, found: list[tuple[int, R]]) -> list[R]:
        self._in_flight.update(((each.stream, each.seq), key) for key, each in found)
        return [each for _, each in found]


class UplinkCursor:
    """The cursor of one uplink (agent.outbox.contract.Cursor). Loop thread only."""

    def __init__(
        self,
        uplink: str,
        events: Track[EventRecord],
        batches: Track[Batch],
        *,
        boot: str,
        linger_s: float,
        replay: ReplayLimit,
        is_open: Callable[[], bool],
        seal: Callable[[], None],
        before_take: Callable[[], None],
        on_done: Callable[[], None],
        on_set_aside: Callable[[EventRecord | Batch, str], None],
        count: Callable[[Lane, int], int],
        is_saving: Callable[[], bool],
    ) -> None:
        """`is_saving`: the disk takes positions."""
        self.uplink = uplink
        self.events = events
        self.batches = batches
        self.offset_ms: int | None = None
        """UTC ms at monotonic zero of this boot, once known; dates its unsynced records."""
        self._boot = boot
        self._linger_s = linger_s
        self._replay = replay
        self._is_open = is_open
        self._seal = seal
        self._before_take = before_take
        self._on_done = on_done
        self._on_set_aside = on_set_aside
        self._count = count
        self._is_saving = is_saving
        self._there = asyncio.Event()

    def notice(self) -> None:
        """Look again whether there is something to hand out."""
        self._there.set()

    async def wait(self) -> None:
        """Return as soon as there is a record to hand out in either lane."""
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            pause_s = self._replay.pause_s()
            is_there = self.batches.is_available(now_s)
            if self.events.is_available(now_s) or (is_there and not pause_s):
                return
            self._there.clear()
            waits = [
                at_s - now_s
                for at_s in (self.events.waits_for_disk_s, self.batches.waits_for_disk_s)
                if at_s is not None and at_s > now_s
            ]
            if is_there:
                waits.append(pause_s)
            elif self._is_open():
                waits.append(self._linger_s)
            try:
                async with asyncio.timeout(min(waits, default=None)):
                    await self._there.wait()
            except TimeoutError:
                if not is_there:
                    self._seal()

    async def take_events(self, most: int) -> Sequence[EventRecord]:
        """Return up to `most` next events that are on disk or released as not durable."""
        self._before_take()
        return [self._dated_event(each) for each in await self.events.take(most)]

    async def take_batches(self, most: int) -> Sequence[Batch]:
        """Return up to `most` next sealed batches; none while a backlog has to wait."""
        if self._replay.pause_s():
            return ()
        taken = await self.batches.take(most)
        self._replay.note(taken)
        return [self._dated_batch(each) for each in taken]

    def done(self, record: EventRecord | Batch) -> None:
        """Note that the broker has acknowledged this record; a second time changes nothing."""
        if isinstance(record, Batch):
            if self.batches.done(record):
                self._on_done()
        elif self.events.done(record):
            self._on_done()

    def set_aside(self, record: EventRecord | Batch, reason: str) -> None:
        """Quarantine a record that the broker will never take, and pass it."""
        self._on_set_aside(record, reason)
        self.done(record)

    def rewind(self) -> None:
        """Hand out again, from the oldest not `done`."""
        self.events.rewind()
        self.batches.rewind()
        self._there.set()

    def unsent(self) -> int:
        """Return how many records are not `done`."""
        return self._count(Lane.EVENT, self.events.position) + self._count(
            Lane.TELEMETRY, self.batches.position
        )

    def unsaved(self) -> int:
        """Return how many acknowledged records a cut at this moment would send again.

        0 while the disk takes no positions: sending goes on then, whatever comes twice.
        """
        return self.events.unsaved + self.batches.unsaved if self._is_saving() else 0

    def _dated_event(self, record: EventRecord) -> EventRecord:
        at = record.event.at
        if self.offset_ms is None or at.clock is ClockState.SYNCED or record.boot != self._boot:
            return record
        return replace(record, event=replace(record.event, at=_moved(at, self.offset_ms)))

    def _dated_batch(self, batch: Batch) -> Batch:
        offset_ms = self.offset_ms
        if offset_ms is None or batch.clock is ClockState.SYNCED or batch.boot != self._boot:
            return batch
        return replace(
            batch,
            clock=ClockState.SYNCED,
            readings=tuple(replace(each, at=_moved(each.at, offset_ms)) for each in batch.readings),
        )


def _moved(at: Stamp, offset_ms: int) -> Stamp:
    return Stamp(at.mono_s, offset_ms + at.mono_ms, ClockState.SYNCED)
