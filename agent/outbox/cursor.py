"""Where one uplink stands in both lanes: what it is handed, what it has acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.outbox.contract import WINDOW
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.replay import ReplayLimit
from agent.outbox.track import Track
from drivers.clock import ClockState, Stamp

GATHERING_TURNS = 2
"""An idle uplink takes the open batch so many turns of the loop after its first reading: answers that came together
pass the loop in turns (received, decoded, judged), and a message each would cost more than all of them. An idle loop
takes some 30 us for a turn."""

BEYOND = "uplink %s: the disk takes no positions; after a cut more than %d records may come twice"
"""Said before the first of them goes out."""


_log = logging.getLogger(__name__)


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
        self._beyond_before = 0
        self._is_told = False
        """That more may come twice, since the disk last took positions."""

    def track(self, lane: Lane) -> Track[EventRecord] | Track[Batch]:
        """Return one lane."""
        return self.events if lane is Lane.EVENT else self.batches

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
                if not self._linger_s:
                    for _ in range(GATHERING_TURNS):
                        await asyncio.sleep(0)
                    self._seal()
                    continue
                waits.append(self._linger_s)
            timer = loop.call_later(min(waits), self._there.set) if waits else None
            try:
                await self._there.wait()
            finally:
                if timer is not None:
                    timer.cancel()
            if timer is not None and not is_there and timer.when() <= loop.time():
                self._seal()

    async def take_events(self, most: int, *, regardless: bool = False) -> Sequence[EventRecord]:
        """Return up to `most` next events that are on disk or released as not durable."""
        self._before_take()
        if regardless:
            taken = self.events.take_regardless(most, live_too=True)
            self._tell_beyond()
        else:
            taken = await self.events.take(most)
        return [self._dated_event(each) for each in taken]

    async def take_batches(self, most: int, *, regardless: bool = False) -> Sequence[Batch]:
        """Return up to `most` next sealed batches; none while a backlog has to wait."""
        if self._replay.pause_s():
            return ()
        taken = await self._next_batches(most, regardless=regardless)
        if not taken and self._is_open() and not self._is_saving():
            # Nobody may wait here while the disk is stuck, and so nobody seals.
            self._seal()
            taken = await self._next_batches(most, regardless=regardless)
        self._replay.note(taken)
        return [self._dated_batch(each) for each in taken]

    async def _next_batches(self, most: int, *, regardless: bool) -> Sequence[Batch]:
        if not regardless:
            return await self.batches.take(most)
        taken = self.batches.take_regardless(most, live_too=False)
        self._tell_beyond()
        return taken

    def goes_regardless(self, record: EventRecord | Batch) -> bool:
        """Return whether a record the broker refused need not wait for a stuck disk either."""
        if isinstance(record, Batch):
            goes = self.batches.goes_regardless(record, live_too=False)
        else:
            goes = self.events.goes_regardless(record, live_too=True)
        self._tell_beyond()
        return goes

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
        """Return how many acknowledged records a cut at this moment would send again."""
        return self.events.unsaved + self.batches.unsaved

    def is_stuck(self) -> bool:
        """Whether the disk takes no positions now."""
        if not self._is_saving():
            return True
        self._is_told = False
        return False

    @property
    def beyond(self) -> int:
        """How many records were handed out beyond the window since the start, and may be on disk."""
        return self.events.regardless + self.batches.regardless

    @property
    def is_over(self) -> bool:
        """Whether more than the window would come twice, were all that is in flight on disk."""
        flying = self.events.in_flight + self.batches.in_flight
        return self.unsaved() + flying > WINDOW

    def _tell_beyond(self) -> None:
        if self.beyond > self._beyond_before and not self._is_told:
            self._is_told = True
            _log.warning(BEYOND, self.uplink, WINDOW)
        self._beyond_before = self.beyond

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
