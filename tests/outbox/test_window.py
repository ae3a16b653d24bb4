"""How much comes twice after a crash: what was in flight and what the disk did not know of yet, one window together."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.outbox.contract import WINDOW, Cursor
from agent.outbox.records import Batch, EventRecord
from drivers.tasks import TaskGroup
from tests.outbox.room import FailingDisk, event, make, reading, running, take_events, until

Key = tuple[str, int]


@asynccontextmanager
async def sending(cursor: Cursor, seen: list[Key]) -> AsyncIterator[None]:
    """Send and have acknowledged meanwhile, at once, whatever may be sent."""
    async with TaskGroup() as tasks:
        task = tasks.create_task(_send(cursor, seen), name="sending")
        yield
        task.cancel()


async def _send(cursor: Cursor, seen: list[Key]) -> None:
    while True:
        for lane in (cursor.take_events, cursor.take_batches):
            taken: list[EventRecord | Batch] = [*await lane(WINDOW - cursor.unsaved())]
            for each in taken:
                seen.append((each.stream, each.seq))
                cursor.done(each)
        await asyncio.sleep(0)


async def everything_after(directory: Path, uplink: str, *uplinks: str) -> list[Key]:
    """Return what a start after a crash hands out of what is on disk."""
    found: list[Key] = []
    async with running(make(directory, uplinks=uplinks or (uplink,))) as outbox:
        await outbox.recovered()
        cursor = outbox.cursor(uplink)
        while outbox.stats().unsent_by_uplink[uplink]:
            for lane in (cursor.take_events, cursor.take_batches):
                for each in await lane(500):
                    found.append((each.stream, each.seq))
                    cursor.done(each)
            await asyncio.sleep(0.002)
    return found


@pytest.mark.parametrize("after_s", [0.02, 0.05, 0.1, 0.2])
async def test_a_broker_faster_than_the_disk_gets_no_more_than_a_window_twice(
    tmp_path: Path, after_s: float
) -> None:
    seen: list[Key] = []
    async with running(make(tmp_path, commit_interval_s=0, batch_readings=2), close_s=None) as box:
        await box.recovered()
        for number in range(400):
            box.append(event())
            box.add(reading(number))
        await until(lambda: not box._events.queue.has_unwritten)
        await until(lambda: not box._telemetry.queue.has_unwritten)
        async with sending(box.cursor("cloud"), seen):
            await asyncio.sleep(after_s)
    again = await everything_after(tmp_path, "cloud")
    assert sum(each in seen for each in again) <= WINDOW
    assert len(set(seen) | set(again)) >= 602


async def test_all_leaves_although_each_window_waits_for_the_disk(tmp_path: Path) -> None:
    seen: list[Key] = []
    async with running(make(tmp_path, commit_interval_s=0, batch_readings=2)) as outbox:
        await outbox.recovered()
        for number in range(400):
            outbox.append(event())
            outbox.add(reading(number))
        async with sending(outbox.cursor("cloud"), seen):
            await until(lambda: not outbox.stats().unsent_by_uplink["cloud"], 20)
    assert len(seen) == len(set(seen)) == 602


async def test_what_one_uplink_has_and_another_lacks_comes_no_more_than_a_window_twice(
    tmp_path: Path,
) -> None:
    seen: list[Key] = []
    box = make(
        tmp_path, uplinks=("own", "away"), commit_interval_s=0.4, batch_readings=1, batch_age_s=0.1
    )
    async with running(box, close_s=None):
        await box.recovered()
        async with sending(box.cursor("own"), seen):
            for number in range(300):
                box.add(reading(number))
                await asyncio.sleep(0.003)
            await until(lambda: box.stats().commits > 2)
    again = await everything_after(tmp_path, "own", "own", "away")
    assert sum(each in seen for each in again) <= WINDOW
    owed = await everything_after(tmp_path, "away", "own", "away")
    assert len(set(owed) & set(seen)) > 5 * WINDOW


async def test_telemetry_that_never_was_on_disk_neither_writes_nor_holds_anything_back(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path, batch_readings=1)) as outbox:
        await take_events(outbox.cursor("cloud"), 2)
        await until(lambda: outbox.cursor("cloud").unsaved() == 0)
        before = outbox.stats().bytes_written
        for number in range(200):
            outbox.add(reading(number))
            for batch in await outbox.cursor("cloud").take_batches(5):
                outbox.cursor("cloud").done(batch)
            assert outbox.cursor("cloud").unsaved() == 0
        assert outbox.stats().bytes_written == before


async def test_a_disk_that_takes_no_positions_holds_nothing_back(tmp_path: Path) -> None:
    disk = FailingDisk()
    seen: list[Key] = []
    async with running(make(tmp_path, files=disk), close_s=None) as outbox:
        await take_events(outbox.cursor("cloud"), 2)
        disk.fail(errno.EIO, "pwrite", "sync_data", "sync_file")
        for _ in range(200):
            outbox.append(event())
        async with sending(outbox.cursor("cloud"), seen):
            await until(lambda: len(seen) == 200)
        assert outbox.cursor("cloud").unsaved() == 0


async def test_what_lies_behind_one_that_is_not_acknowledged_counts_too(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        await until(lambda: cursor.unsaved() == 0)
        for _ in range(9):
            outbox.append(event())
        held, *others = await take_events(cursor, 9, done=False)
        for each in others:
            cursor.done(each)
        await asyncio.sleep(0.3)
        assert cursor.unsaved() == 8
        cursor.done(held)
        await until(lambda: cursor.unsaved() == 0)
