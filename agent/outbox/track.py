"""One lane as one uplink sees it: what it is handed, what it has acknowledged, what of that the disk knows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic

from agent.outbox.positions import Place
from agent.outbox.queue import LaneQueue, R
from agent.outbox.reader import Page
from agent.outbox.records import Lane
from agent.outbox.spans import Spans

READ_LIMIT_S = 2.0
"""A disk that does not answer in this time is passed over: what is in memory goes out first."""
READ_RETRY_S = 5.0
"""So long until it is asked again."""
MOST_COUNTED = 10_000
"""Acknowledged records that are counted while the disk does not know of them."""

ReadPage = Callable[[Lane, int, int, int], Awaitable[Page]]
"""Reads records of a lane from disk: first number, the number behind the last, most."""

_log = logging.getLogger(__name__)


class Track(Generic[R]):
    """One lane of a cursor.

    Handed out are keys from `_high` on (memory) and, oldest first, what is owed of those before (on
    disk for the most part). All other keys below `_high` are done or in flight.
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
        self._owed = Spans()
        self._high = 1
        self._in_flight: dict[tuple[str, int], int] = {}
        self._generation = 0
        self._is_placed = False
        self._asked_again_s = 0.0
        self._live_from = 0
        """The first key since the connection began."""
        self.saved = 0
        """The position on disk."""
        self._unsaved: set[int] = set()
        """Acknowledged, on disk or on the way there, and the disk does not know yet that it is acknowledged."""
        self.regardless = 0
        """How many were handed out regardless of that, and may be on disk."""

    @property
    def unsaved(self) -> int:
        """How many acknowledged records a cut at this moment would send again."""
        return len(self._unsaved)

    @property
    def in_flight(self) -> int:
        """How many were handed out and are not acknowledged."""
        return len(self._in_flight)

    @property
    def position(self) -> int:
        """Everything up to this key is acknowledged."""
        lowest = min(self._high, min(self._in_flight.values(), default=self._high))
        if self._owed:
            lowest = min(lowest, self._owed.first)
        return lowest - 1

    @property
    def place(self) -> Place:
        """What is acknowledged, for the disk to know."""
        left, position = Spans(self._owed), self.position
        for each in self._in_flight.values():
            left.add(each, each + 1)
        beyond = left.holes(position + 1, self._high)
        return Place(position, tuple((first, stop - 1) for first, stop in beyond))

    def done_among(self, keys: Sequence[int]) -> list[int]:
        """Return which of these keys, rising, are acknowledged."""
        if not keys or keys[0] >= self._high:
            return []
        place = self.place
        return [each for each in keys if place.has(each)]

    @property
    def waits_for_disk_s(self) -> float | None:
        """When (loop time) to ask a silent disk again, None when there is nothing to ask for."""
        return self._asked_again_s if self._owed else None

    def settle(self, stored: Place, base: int, reserved: int) -> None:
        """Learn from the recovery where this uplink stood and where this run's keys begin."""
        # opening records come in front of what may have been handed out before the recovery
        openings = reserved if self._high > 1 else 0
        owed = Spans((first + base, stop + base) for first, stop in self._owed)
        done = Spans((first, last + 1) for first, last in stored.beyond)
        for first, stop in done.holes(stored.position + 1, base + 1):
            owed.add(first, stop)
        owed.add(base + 1, base + 1 + openings)
        self._owed = owed
        self._high += base
        self._live_from += base
        self._in_flight = {each: key + base for each, key in self._in_flight.items()}
        self._is_placed = True
        self.saved = stored.position
        self._unsaved = {key + base for key in self._unsaved}

    def rewind(self) -> None:
        """Hand out again what was handed out and is not done."""
        for key in self._in_flight.values():
            self._owed.add(key, key + 1)
        self._in_flight.clear()
        self._generation += 1
        self._asked_again_s = 0.0
        self._live_from = self._queue.last_key + 1

    def is_available(self, now_s: float) -> bool:
        """Whether there may be something to hand out."""
        first, released = self._queue.first_key, self._queue.released
        if self._high <= released:
            return True
        if not self._owed:
            return False
        if self._owed.first < first and now_s >= self._asked_again_s:
            return True
        return any(True for _ in self._owed.within(first, released + 1))

    async def take(self, most: int) -> list[R]:
        """Hand out up to `most` next records; may be none."""
        if most <= 0 or (self._high > self._queue.released and not self._owed):
            return []
        while True:
            generation = self._generation
            first = self._catch_up()
            if not self._owed or self._owed.first >= first or self._is_disk_silent():
                return self._take_held(most, first)
            start, stop = next(self._owed.within(0, first))
            page = await self._page(start, stop, most)
            if generation != self._generation:
                return []
            if page is None:
                continue
            self._owed.remove(start, page.next_number)
            found = self._decoded(page)
            if found:
                return self._hand_out(found)

    def take_regardless(self, most: int, *, live_too: bool) -> list[R]:
        """Hand out of what is held in memory what is not known to be on disk.

        `live_too`: and what came since the connection began.
        """
        start = self._regardless_from(live_too=live_too)
        found = self._take_held(most, max(start, self._catch_up()))
        touched = self._queue.touched
        self.regardless += sum(self._in_flight[each.stream, each.seq] <= touched for each in found)
        return found

    def goes_regardless(self, record: R, *, live_too: bool) -> bool:
        """Return whether what was handed out before may go once more regardless; counted if so."""
        key = self._in_flight.get((record.stream, record.seq))
        if key is None or key < self._regardless_from(live_too=live_too):
            return False
        self.regardless += key <= self._queue.touched
        return True

    def _regardless_from(self, *, live_too: bool) -> int:
        unwritten = self._queue.written + 1
        return min(unwritten, self._live_from) if live_too else unwritten

    def _catch_up(self) -> int:
        """Turn what memory no longer holds into a span to read from disk; return the first key held."""
        first: int = self._queue.first_key
        if not self._is_placed:
            self._owed.remove(0, first)
        elif self._high < first:
            self._owed.add(self._high, first)
            self._high = first
        return first

    def _is_disk_silent(self) -> bool:
        return asyncio.get_running_loop().time() < self._asked_again_s

    def _take_held(self, most: int, start: int) -> list[R]:
        """Hand out from memory, from a key on that it holds or none."""
        end = self._queue.released + 1
        if most <= 0:
            return []
        found: list[tuple[int, R]] = []
        for first, stop in tuple(self._owed.within(start, min(end, self._high))):
            held, upto = self._queue.between(first, stop, most - len(found))
            self._owed.remove(first, upto)
            found += held
            if len(found) >= most:
                return self._hand_out(found)
        high = max(self._high, start)
        held, upto = self._queue.between(high, end, most - len(found))
        if held or high == self._high:
            # what was jumped over is still owed
            self._owed.add(self._high, high)
            self._high = max(self._high, upto)
        return self._hand_out(found + held)

    def done(self, record: R) -> bool:
        """Note an acknowledgement; return whether the record was in flight."""
        key = self._in_flight.pop((record.stream, record.seq), None)
        if key is None:
            return False
        # what the disk was not given is not sent again; should it be given all the same, `note_given` counts it
        if key <= self._queue.touched:
            self._count((key,))
        return True

    def note_given(self, keys: Sequence[int]) -> None:
        """Note that the disk is given the records of these keys, rising."""
        self._count(self.done_among(keys))

    def _count(self, keys: Sequence[int]) -> None:
        # a disk may be bad for months: what is far beyond the window need not be exact
        self._unsaved.update(keys[: max(0, MOST_COUNTED - len(self._unsaved))])

    def note_saved(self, place: Place) -> None:
        """Note what the disk knows to be acknowledged."""
        self.saved = place.position
        self._unsaved = {each for each in self._unsaved if not place.has(each)}

    async def _page(self, start: int, stop: int, most: int) -> Page | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                return await self._read(self._queue.lane, start, stop, most)
        except OSError as error:  # a time-out is one
            _log.warning("stored records cannot be read now: %s", error or "no answer")
            self._asked_again_s = loop.time() + READ_RETRY_S
            return None

    def _decoded(self, page: Page) -> list[tuple[int, R]]:
        found = []
        for number, document in page.documents:
            try:
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
