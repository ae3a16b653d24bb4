"""How much comes twice after a crash: what was in flight and what the disk did not know of yet, one window together."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.outbox import keeper
from agent.outbox.contract import WINDOW, Cursor
from agent.outbox.cursor import BEYOND
from agent.outbox.files import Files
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord
from drivers.tasks import TaskGroup
from tests.outbox.room import (
    FailingDisk,
    event,
    make,
    reading,
    running,
    take_batches,
    take_events,
    until,
)

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
            room = WINDOW - cursor.unsaved()
            regardless = room <= 0 and cursor.is_stuck()
            most = WINDOW if regardless else room
            taken: list[EventRecord | Batch] = [*await lane(most, regardless=regardless)]
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


async def test_no_event_waits_for_a_disk_that_fails_nor_comes_twice_once_it_is_well(
    tmp_path: Path,
) -> None:
    disk = FailingDisk()
    seen: list[Key] = []
    async with running(make(tmp_path, files=disk), close_s=None) as outbox:
        await take_events(outbox.cursor("cloud"), 2)
        disk.fail(errno.EIO, "pwrite", "sync_data", "sync_file")
        for _ in range(200):
            outbox.append(event())
        async with sending(outbox.cursor("cloud"), seen):
            await until(lambda: len(seen) == 200)
        disk.heal()
        await until(lambda: not outbox._events.queue.has_unwritten)
        assert outbox.cursor("cloud").unsaved() <= WINDOW
    again = await everything_after(tmp_path, "cloud")
    assert sum(each in seen for each in again) <= WINDOW


async def test_while_a_write_hangs_what_is_safe_on_disk_waits_and_what_is_new_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FailingDisk()
    seen: list[Key] = []
    box = make(tmp_path, files=disk, commit_interval_s=0, batch_readings=1)
    async with running(box, close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        for number in range(100):
            outbox.add(reading(number))
        await until(lambda: bool(outbox._telemetry.queue.written >= 100))
        disk.gate.clear()
        async with sending(cursor, seen):
            await until(lambda: bool(outbox.stats().fault))
            await asyncio.sleep(0.1)
            assert len(seen) == WINDOW
            fires = [outbox.append(event()) for _ in range(30)]
            outbox.add(reading(1000.0))
            await until(lambda: len(seen) == WINDOW + 31, 1)
            # not one of them can be on disk
            assert (cursor.unsaved(), outbox.stats().beyond_window) == (WINDOW, 0)
            assert not caplog.records[-1].message.startswith("uplink cloud")
            disk.gate.set()
            await until(lambda: len(seen) == 2 + 101 + 30)
    again = await everything_after(tmp_path, "cloud")
    twice = [each for each in again if each in seen]
    assert len(twice) <= WINDOW
    assert {(each.stream, each.seq) for each in fires} <= set(seen) | set(again)


async def test_an_event_whose_own_write_hangs_goes_beyond_the_window_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FailingDisk()
    seen: list[Key] = []
    async with running(make(tmp_path, files=disk), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        await until(lambda: cursor.unsaved() == 0)
        disk.gate.clear()
        for _ in range(25):
            outbox.append(event())
        async with sending(cursor, seen):
            await until(lambda: len(seen) == 25)
        assert (cursor.unsaved(), outbox.stats().beyond_window) == (25, 5)
        assert caplog.messages[-1] == BEYOND % ("cloud", WINDOW)
        disk.gate.set()
        await until(lambda: cursor.unsaved() == 0)


async def test_what_a_broker_refused_goes_again_regardless_where_it_would_have_gone_so_at_first(
    tmp_path: Path,
) -> None:
    disk = FailingDisk()
    async with running(make(tmp_path, files=disk, batch_readings=1), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        openings = await take_events(cursor, 2, done=False)
        cursor.rewind()
        before = await take_events(cursor, 2, done=False)
        outbox.append(event())
        (since,) = await take_events(cursor, 1, done=False)
        outbox.add(reading())
        (batch,) = await cursor.take_batches(1)
        assert before == openings
        assert not any(cursor.goes_regardless(each) for each in before)
        assert outbox.stats().beyond_window == 0
        # on disk, so that it may come twice: told
        assert cursor.goes_regardless(since)
        assert outbox.stats().beyond_window == 1
        # in memory alone
        assert cursor.goes_regardless(batch)
        assert outbox.stats().beyond_window == 1


@pytest.mark.parametrize("regardless", [False, True])
async def test_readings_wait_for_no_more_of_them_while_the_disk_is_stuck(
    tmp_path: Path, regardless: bool
) -> None:
    disk = FailingDisk()
    async with running(make(tmp_path, files=disk), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        disk.fail(errno.EIO, "pwrite", "sync_data", "sync_file")
        outbox.append(event())
        await until(lambda: bool(outbox.stats().fault))
        outbox.add(reading(7.0))
        (batch,) = await cursor.take_batches(1, regardless=regardless)
        assert [each.value for each in batch.readings] == [7.0]


async def test_the_disk_learns_what_was_acknowledged_behind_one_that_was_not(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        for _ in range(40):
            outbox.append(event())
        held, *others = await take_events(cursor, 40, done=False)
        for each in others[::2]:
            cursor.done(each)
        await until(lambda: cursor.unsaved() == 0)
        assert cursor.unsent() >= 20
    again = await everything_after(tmp_path, "cloud")
    owed = [held, *others[1::2]]
    assert [key for key in again if key[0] == held.stream] == [(x.stream, x.seq) for x in owed]


async def test_numbers_go_on_behind_what_was_acknowledged_beyond_the_position(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path, batch_readings=1), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        for number in range(30):
            outbox.add(reading(number))
        # never on disk, but known there as acknowledged: these numbers may not be given again
        _held, *others = await cursor.take_batches(30)
        for each in others:
            cursor.done(each)
        outbox.append(event())
        await take_events(cursor, 1)
        await until(lambda: cursor.unsaved() == 0, 4)
    async with running(make(tmp_path, batch_readings=1)) as again:
        await again.recovered()
        again.add(reading(7.0))
        (batch,) = await take_batches(again.cursor("cloud"), 1)
        assert batch.readings[0].value == 7.0


async def test_what_a_broker_refuses_for_long_makes_no_more_come_twice(tmp_path: Path) -> None:
    seen: list[Key] = []
    async with running(make(tmp_path), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        for _ in range(300):
            outbox.append(event())
            for each in await cursor.take_events(WINDOW - cursor.unsaved()):
                if each.seq % 50:
                    cursor.done(each)
                    seen.append((each.stream, each.seq))
            await asyncio.sleep(0.001)
        await until(lambda: cursor.unsaved() < WINDOW // 2)
    again = await everything_after(tmp_path, "cloud")
    assert sum(each in seen for each in again) <= WINDOW
    assert sum(each not in seen for each in again) >= 6


class StallingDisk(Files):
    """A card that takes its time now and then."""

    def __init__(self, dice: random.Random, longest_s: float) -> None:
        super().__init__()
        self._dice = dice
        self._longest_s = longest_s

    def sync_data(self, fd: int) -> None:
        super().sync_data(fd)
        if self._dice.random() < 0.3:
            time.sleep(self._dice.uniform(0.0, self._longest_s))


@pytest.mark.parametrize("seed", range(18))
async def test_a_cut_at_any_moment_makes_no_more_than_a_window_come_twice_whatever_the_disk_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # so that a write hangs often: 20 cuts of a slow machine had 22 twice, 30 kills of a busy one 25
    monkeypatch.setattr(keeper, "HUNG_S", 0.08)
    dice = random.Random(seed)
    disk = StallingDisk(dice, (0.02, 0.3, 1.0)[seed % 3])
    interval_s = (0.0, 0.3)[seed // 3 % 2]
    box = make(
        tmp_path / "live",
        files=disk,
        commit_interval_s=interval_s,
        batch_readings=2,
        batch_age_s=0.05,
    )
    sent: list[Key] = []
    async with running(box, close_s=None), TaskGroup() as tasks:
        working = [
            tasks.create_task(_load(box, dice), name="load"),
            tasks.create_task(_send_slowly(box.cursor("cloud"), dice, sent), name="send"),
        ]
        await asyncio.sleep(dice.uniform(0.1, 0.8))
        copy_as_cut(tmp_path / "live", tmp_path / "cut")
        taken, beyond = set(sent), box.stats().beyond_window
        for each in working:
            each.cancel()
    again = await everything_after(tmp_path / "cut", "cloud")
    assert sum(each in taken for each in again) <= WINDOW + beyond


async def _load(box: Outbox, dice: random.Random) -> None:
    while True:
        for _ in range(dice.randrange(4)):
            box.append(event())
        for _ in range(dice.randrange(4)):
            box.add(reading(dice.random()))
        await asyncio.sleep(dice.uniform(0.0, 0.01))


async def _send_slowly(cursor: Cursor, dice: random.Random, sent: list[Key]) -> None:
    """Send as an uplink does; whatever was sent counts as taken, whether that was heard or not."""
    flying: list[EventRecord | Batch] = []
    while True:
        for lane in (cursor.take_events, cursor.take_batches):
            room = WINDOW - len(flying) - cursor.unsaved()
            regardless = room <= 0 and cursor.is_stuck()
            most = WINDOW - len(flying) if regardless else room
            flying += await lane(most, regardless=regardless)
        sent += [key for each in flying if (key := (each.stream, each.seq)) not in sent]
        for each in flying.copy():
            if dice.random() < 0.5:
                flying.remove(each)
                cursor.done(each)
        await asyncio.sleep(0.001)


def copy_as_cut(live: Path, cut: Path) -> None:
    """Copy what is on disk at this moment; what the writer thread moves meanwhile is copied anew.

    Records first: they may be older than the positions, as after a cut, never the other way round.
    """
    while True:
        shutil.rmtree(cut, ignore_errors=True)
        (cut / "box").mkdir(parents=True)
        try:
            for each in sorted((live / "box").iterdir(), key=lambda each: each.is_file()):
                if each.is_dir():
                    shutil.copytree(each, cut / "box" / each.name)
                else:
                    shutil.copy(each, cut / "box")
        except (OSError, shutil.Error):
            continue
        return
