"""An outbox in memory with the promises of agent/outbox/contract.py.

tests/outbox/test_cursor_contract.py holds it to what the real one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from agent.outbox.queue import R
from agent.outbox.records import Batch, EventRecord

Key = tuple[str, int]


class FakeCursor:
    """Holds records until `done`, hands them out once per connection, oldest first."""

    def __init__(self) -> None:
        self.events: dict[Key, EventRecord] = {}
        self.batches: dict[Key, Batch] = {}
        self.aside: dict[Key, str] = {}
        self.acked: list[Key] = []
        self.rewinds = 0
        self.unsaved_now = 0
        """What a disk would have to take first; this one has none."""
        self.is_stuck_now = False
        self.safe: set[Key] = set()
        """What is on disk, and may wait for a stuck one."""
        self._given: set[Key] = set()
        self._done: set[Key] = set()
        """Done, but younger than something that is not."""
        self._there = asyncio.Event()

    def put(self, *records: Batch | EventRecord) -> None:
        for record in records:
            key = (record.stream, record.seq)
            if isinstance(record, Batch):
                self.batches[key] = record
            else:
                self.events[key] = record
        self._there.set()

    def _next(self) -> bool:
        return any(key not in self._given for key in (*self.events, *self.batches))

    async def wait(self) -> None:
        while not self._next():
            self._there.clear()
            await self._there.wait()

    async def take_events(self, most: int, *, regardless: bool = False) -> Sequence[EventRecord]:
        return self._take(self.events, most, regardless=regardless)

    async def take_batches(self, most: int, *, regardless: bool = False) -> Sequence[Batch]:
        return self._take(self.batches, most, regardless=regardless)

    def _take(self, held: Mapping[Key, R], most: int, *, regardless: bool) -> list[R]:
        waiting = self._given | (self.safe if regardless else set())
        found = [key for key in held if key not in waiting][: max(0, most)]
        self._given.update(found)
        return [held[key] for key in found]

    def goes_regardless(self, record: Batch | EventRecord) -> bool:
        return (record.stream, record.seq) not in self.safe

    def done(self, record: Batch | EventRecord) -> None:
        key = (record.stream, record.seq)
        assert key in self._given, f"{key} is done and was never handed out"
        held: dict[Key, Batch] | dict[Key, EventRecord]
        held = self.batches if isinstance(record, Batch) else self.events
        assert key in held, f"{key} is done twice"
        assert key not in self._done, f"{key} is done twice"
        self._done.add(key)
        while (oldest := next(iter(held), None)) in self._done:
            assert oldest is not None
            del held[oldest]
            self._done.discard(oldest)
            self._given.discard(oldest)
        self.acked.append(key)

    def set_aside(self, record: Batch | EventRecord, reason: str) -> None:
        self.done(record)
        self.acked.pop()
        self.aside[(record.stream, record.seq)] = reason

    def rewind(self) -> None:
        self.rewinds += 1
        self._given = {*self._done}
        self._there.set()

    def unsent(self) -> int:
        return len(self.events) + len(self.batches)

    def unsaved(self) -> int:
        return self.unsaved_now

    def is_stuck(self) -> bool:
        return self.is_stuck_now
