"""What agent/outbox/contract.py promises an uplink, held against the real cursor and the tests' own fake.

The fake stands for the outbox in tests/uplink; what it does differently here would prove nothing there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from agent.outbox.contract import Cursor
from agent.outbox.events import OPENINGS
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord
from tests.outbox.room import event, make, reading, running, take_events
from tests.uplink import samples
from tests.uplink.fake_cursor import FakeCursor


class Store(Protocol):
    """Something with a cursor that records can be put into."""

    cursor: Cursor

    async def events(self, count: int) -> None:
        """Put events in and return when they can be handed out."""

    async def batches(self, count: int) -> None:
        """Put batches in and return when they can be handed out."""


class Fake:
    def __init__(self) -> None:
        self._fake = FakeCursor()
        self.cursor: Cursor = self._fake
        self._last = 0

    async def events(self, count: int) -> None:
        for _ in range(count):
            self._last += 1
            self._fake.put(samples.event(self._last))

    async def batches(self, count: int) -> None:
        for _ in range(count):
            self._last += 1
            self._fake.put(samples.batch(self._last))


class Real:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.cursor = outbox.cursor("cloud")

    async def events(self, count: int) -> None:
        for _ in range(count):
            self._outbox.append(event())
        await asyncio.sleep(0.1)

    async def batches(self, count: int) -> None:
        for _ in range(2 * count):  # two readings fill a batch
            self._outbox.add(reading())


@asynccontextmanager
async def open_store(kind: str, directory: Path) -> AsyncIterator[Store]:
    if kind == "fake":
        yield Fake()
        return
    async with running(make(directory, batch_readings=2)) as outbox:
        await take_events(outbox.cursor("cloud"), OPENINGS)
        yield Real(outbox)


STORES = pytest.mark.parametrize("kind", ["fake", "real"])


def keys(records: list[EventRecord] | list[Batch]) -> list[int]:
    """Return seqs from that of the first."""
    return [each.seq - records[0].seq for each in records]


async def events_of(cursor: Cursor, most: int = 100) -> list[EventRecord]:
    """Take until there are no more, as an uplink does: one answer may hold fewer than there are."""
    found: list[EventRecord] = []
    while taken := await cursor.take_events(most - len(found)):
        assert len(taken) <= most - len(found)
        found.extend(taken)
    return found


async def batches_of(cursor: Cursor, most: int = 100) -> list[Batch]:
    found: list[Batch] = []
    while taken := await cursor.take_batches(most - len(found)):
        assert len(taken) <= most - len(found)
        found.extend(taken)
    return found


@STORES
async def test_records_come_oldest_first_once_and_never_more_than_asked(
    tmp_path: Path, kind: str
) -> None:
    async with open_store(kind, tmp_path) as store:
        await store.events(5)
        await store.batches(5)
        first = await events_of(store.cursor, 3)
        rest = await events_of(store.cursor)
        assert (len(first), len(rest)) == (3, 2)
        assert keys(first + rest) == [0, 1, 2, 3, 4]
        assert await events_of(store.cursor) == []
        one, others = await batches_of(store.cursor, 1), await batches_of(store.cursor)
        assert (len(one), keys(one + others)) == (1, [0, 1, 2, 3, 4])
        assert await batches_of(store.cursor) == []
        assert store.cursor.unsent() == 10


@STORES
async def test_asked_for_nothing_it_gives_nothing(tmp_path: Path, kind: str) -> None:
    async with open_store(kind, tmp_path) as store:
        await store.events(1)
        await store.batches(1)
        assert await events_of(store.cursor, 0) == []
        assert await batches_of(store.cursor, 0) == []
        assert await events_of(store.cursor, -1) == []
        assert len(await events_of(store.cursor)) == len(await batches_of(store.cursor)) == 1


@STORES
async def test_what_was_done_behind_one_that_was_not_is_not_handed_out_again(
    tmp_path: Path, kind: str
) -> None:
    async with open_store(kind, tmp_path) as store:
        await store.events(4)
        await store.batches(1)
        found = await events_of(store.cursor)
        for index in (2, 0):
            store.cursor.done(found[index])
        (batch,) = await batches_of(store.cursor)
        store.cursor.done(batch)
        assert store.cursor.unsent() == 3
        store.cursor.rewind()
        again = await events_of(store.cursor)
        assert [each.seq - found[0].seq for each in again] == [1, 3]
        assert await batches_of(store.cursor) == []
        for each in again:
            store.cursor.done(each)
        assert store.cursor.unsent() == 0


@STORES
async def test_a_new_connection_gets_all_that_is_not_done_again_in_order(
    tmp_path: Path, kind: str
) -> None:
    async with open_store(kind, tmp_path) as store:
        await store.events(6)
        found = await events_of(store.cursor, 4)
        store.cursor.done(found[0])
        store.cursor.done(found[1])
        store.cursor.rewind()
        again = await events_of(store.cursor)
        assert [each.seq for each in again] == [found[0].seq + n for n in range(2, 6)]
        assert [each.id for each in again[:2]] == [each.id for each in found[2:]]
        assert await events_of(store.cursor) == []


async def test_a_late_or_second_done_changes_nothing(tmp_path: Path) -> None:
    # the fake is stricter and fails the test: no uplink may do this
    async with open_store("real", tmp_path) as store:
        await store.events(3)
        found = await events_of(store.cursor)
        store.cursor.done(found[0])
        store.cursor.done(found[0])
        assert store.cursor.unsent() == 2
        store.cursor.rewind()
        store.cursor.done(found[1])
        assert len(await events_of(store.cursor)) == 2


@STORES
async def test_what_is_set_aside_is_not_handed_out_again(tmp_path: Path, kind: str) -> None:
    async with open_store(kind, tmp_path) as store:
        await store.batches(3)
        found = await batches_of(store.cursor)
        store.cursor.set_aside(found[1], "too large")
        store.cursor.rewind()
        again = await batches_of(store.cursor)
        assert {found[0].seq, found[2].seq} <= {each.seq for each in again}
        for each in again:
            store.cursor.done(each)
        store.cursor.rewind()
        assert await batches_of(store.cursor) == []


@STORES
async def test_wait_returns_at_once_for_what_is_there_and_for_what_comes(
    tmp_path: Path, kind: str
) -> None:
    async with open_store(kind, tmp_path) as store:
        await store.events(1)
        async with asyncio.timeout(1):
            await store.cursor.wait()
            await store.cursor.wait()
        await events_of(store.cursor)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await store.cursor.wait()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(store.cursor.wait())
            await asyncio.sleep(0.01)
            await store.batches(1)
            async with asyncio.timeout(1):
                await waiting
        store.cursor.rewind()
        async with asyncio.timeout(1):
            await store.cursor.wait()
