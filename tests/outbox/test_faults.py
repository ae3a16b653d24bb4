from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.effects import EventKind
from agent.core.spec import AlarmClass
from agent.outbox import bounds, keeper, track
from agent.outbox import outbox as outbox_module
from agent.outbox.records import EventRecord
from tests.outbox.room import (
    FailingDisk,
    Health,
    event,
    make,
    of_kind,
    reading,
    running,
    subjects,
    take_batches,
    take_events,
    until,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's patience, shortened: the order of things is what is tested."""
    monkeypatch.setattr(keeper, "RETRY_S", 0.3)
    monkeypatch.setattr(keeper, "HUNG_S", 0.3)
    monkeypatch.setattr(keeper, "TICK_S", 0.05)


FAILURES = [
    (errno.ENOSPC, "pwrite"),
    (errno.EIO, "sync_data"),
    (errno.EROFS, "pwrite"),
    (errno.EIO, "pwrite"),
]


@pytest.mark.parametrize(("number", "operation"), FAILURES)
async def test_with_a_bad_disk_events_go_out_marked_and_nothing_is_lost_when_it_heals(
    tmp_path: Path, number: int, operation: str
) -> None:
    files, health = FailingDisk(), Health()
    async with running(make(tmp_path, files=files, health=health), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        outbox.append(event("before"))
        await take_events(cursor, 3)
        files.fail(number, operation)
        outbox.append(event("during"))
        outbox.add(reading(1))
        found = await take_events(cursor, 1)
        assert subjects(found) == ["during"]
        assert not found[0].is_durable
        assert [each[0] for each in health.said] == [True, False]
        assert not outbox.stats().is_writable
        assert outbox.stats().fault
        outbox.append(event("still going"))
        assert not (await take_events(cursor, 1))[0].is_durable
        files.heal()
        await until(lambda: outbox.stats().is_writable)
        assert [each[0] for each in health.said] == [True, False, True]
        outbox.append(event("after"))
        assert (await take_events(cursor, 1))[0].is_durable
        await until(lambda: outbox.stats().unsent_by_uplink["cloud"] <= 1)
    async with running(make(tmp_path)) as again:
        await again.recovered()
        journal = subjects(await again.events(100))
    assert journal == ["after", "still going", "during", "before"]
    assert again.stats().lanes[0].dropped == {}


async def test_after_an_io_error_what_the_old_file_held_stands_in_a_new_one(
    tmp_path: Path,
) -> None:
    files = FailingDisk()
    async with running(make(tmp_path, files=files), close_s=None) as outbox:
        outbox.append(event("synced before"))
        await take_events(outbox.cursor("cloud"), 3, done=False)
        old = tmp_path / "box" / "event" / "seg-00000001.log"
        files.fail(errno.EIO, "sync_data")
        outbox.append(event("hit"))
        await until(lambda: outbox.stats().write_failures > 0)
        files.heal()
        await until(lambda: outbox.stats().is_writable and not old.exists())
        fresh = (tmp_path / "box" / "event" / "seg-00000002.log").read_bytes()
        assert b"synced before" in fresh
        assert b"hit" in fresh
    async with running(make(tmp_path)) as again:
        assert subjects(await take_events(again.cursor("cloud"), 4)) == ["synced before", "hit"]


async def test_a_hung_sync_delays_events_by_its_limit_and_then_none(tmp_path: Path) -> None:
    files, health = FailingDisk(), Health()
    outbox = make(tmp_path, files=files, health=health)
    async with running(outbox, close_s=None):
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        files.gate.clear()
        outbox.append(event("stuck"))
        await asyncio.sleep(0.1)
        assert await cursor.take_events(5) == []
        first = (await take_events(cursor, 1))[0]
        assert not first.is_durable
        assert [each[0] for each in health.said] == [True, False]
        assert "hanging" in health.said[1][1]
        outbox.append(event("next"))
        async with asyncio.timeout(0.2):
            assert not (await take_events(cursor, 1))[0].is_durable
        files.gate.set()
        await until(lambda: outbox.stats().is_writable)
        outbox.append(event("well again"))
        assert (await take_events(cursor, 1))[0].is_durable
    await outbox.close(3)


async def test_closing_is_bounded_when_the_disk_never_answers(tmp_path: Path) -> None:
    files = FailingDisk()
    outbox = make(tmp_path, files=files)
    async with running(outbox, close_s=None):
        await take_events(outbox.cursor("cloud"), 2)
        files.gate.clear()
        outbox.append(event())
        await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    await outbox.close(0.3)
    assert asyncio.get_running_loop().time() - began < 1.5
    files.gate.set()


async def test_a_stalled_disk_slows_neither_append_nor_add(tmp_path: Path) -> None:
    files = FailingDisk()
    outbox = make(tmp_path, files=files)
    async with running(outbox, close_s=None):
        await take_events(outbox.cursor("cloud"), 2)
        files.gate.clear()
        outbox.append(event())
        await asyncio.sleep(0.05)
        began = asyncio.get_running_loop().time()
        for number in range(1000):
            outbox.append(event(f"e{number}"))
            outbox.add(reading(number))
        assert asyncio.get_running_loop().time() - began < 1.0
        files.gate.set()
    await outbox.close(3)


async def test_a_hung_recovery_holds_back_no_event_and_openings_follow(tmp_path: Path) -> None:
    files = FailingDisk()
    async with running(make(tmp_path), close_s=None) as before:
        before.append(event("old"))
        before.append(event("older"))
        await take_events(before.cursor("cloud"), 2, done=True)
        await asyncio.sleep(0.1)
    files.read_gate.clear()
    outbox = make(tmp_path, files=files)
    async with running(outbox, close_s=None):
        cursor = outbox.cursor("cloud")
        outbox.append(event("alarm"))
        found = await take_events(cursor, 1)
        assert subjects(found) == ["alarm"]
        assert found[0].seq == 3
        files.read_gate.set()
        rest = await take_events(cursor, 4 + 2)
        assert subjects(rest) == ["old", "older"]
        assert [each.seq for each in rest if each.stream == found[0].stream] == [1, 2]
    await outbox.close(3)


async def test_memory_is_bounded_while_the_disk_is_bad_and_the_gap_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MEMORY_BYTES", 200_000)
    files = FailingDisk()
    outbox = make(tmp_path, files=files, batch_readings=10)
    async with running(outbox, close_s=None):
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        files.fail(errno.ENOSPC, "pwrite")
        outbox.append(event("fire 1"))
        await until(lambda: not outbox.stats().is_writable)
        for number in range(1000):
            outbox.add(reading(number))
        for number in range(200):
            outbox.append(
                event(f"t{number}", alarm_class=AlarmClass.TECHNICAL, kind=EventKind.SYSTEM)
            )
        outbox.append(event("fire 2"))
        held = outbox._events.queue.bytes + outbox._telemetry.queue.bytes
        assert held <= 200_000
        files.heal()
        await until(lambda: outbox.stats().is_writable)
        events = await _all_events(cursor)
        outbox.add(reading(1))
        batches = await take_batches(cursor, 1)
    gaps = of_kind(events, EventKind.GAP)
    by_lane: dict[Any, int] = {}
    for each in gaps:
        lane = each.event.detail["lane"]
        by_lane[lane] = by_lane.get(lane, 0) + int(each.event.detail["count"] or 0)
    assert subjects(events) == ["fire 1", "fire 2"]
    missing = set(range(3, outbox.stats().lanes[0].last_seq + 1)) - {each.seq for each in events}
    assert by_lane["event"] == len(missing) > 0
    assert by_lane["telemetry"] == batches[0].seq - 1 > 0
    assert len(gaps) <= 4
    await outbox.close(3)


async def _all_events(cursor: Any) -> list[EventRecord]:
    found: list[EventRecord] = []
    while taken := await take_or_none(cursor):
        found.extend(taken)
    return found


async def take_or_none(cursor: Any) -> list[EventRecord]:
    await asyncio.sleep(0.3)
    taken = list(await cursor.take_events(1000))
    for each in taken:
        cursor.done(each)
    return taken


@pytest.mark.parametrize("what", ["a file in its place", "no rights to make it"])
async def test_a_directory_that_cannot_be_used_is_a_fault_and_heals(
    tmp_path: Path, what: str
) -> None:
    place, health = tmp_path / "outbox", Health()
    files = FailingDisk()
    if what == "a file in its place":
        place.write_text("")
    else:
        files.fail(errno.EACCES, "read", "rename", "sync_file")
    outbox = make(place, files=files, health=health)
    async with running(outbox):
        outbox.append(event())
        assert subjects(await take_events(outbox.cursor("cloud"), 1)) == ["smoke"]
        assert health.said[0][0] is False
        if what == "a file in its place":
            place.unlink()
        files.heal()
        await until(lambda: outbox.stats().is_writable)
        await outbox.recovered()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 512 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def test_a_really_full_disk_is_gone_through_and_heals_when_there_is_room(
    tiny_disk: Path,
) -> None:
    (tiny_disk / "others").write_bytes(b"x" * 400 * 1024)
    health = Health()
    async with running(make(tiny_disk, health=health), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        outbox.append(event("alarm"))
        found = await take_events(cursor, 1)
        assert not found[0].is_durable or subjects(found) == []
        await until(lambda: any(not is_ok for is_ok, _ in health.said))
        (tiny_disk / "others").unlink()
        await until(lambda: outbox.stats().is_writable)
        outbox.append(event("after"))
        await until(lambda: outbox.stats().commits > 0)
        await asyncio.sleep(0.2)
    async with running(make(tiny_disk)) as again:
        await again.recovered()
        assert subjects(await again.events(10)) == ["after", "alarm"]


async def test_a_file_system_remounted_read_only_is_gone_through_and_heals(tiny_disk: Path) -> None:
    health = Health()
    async with running(make(tiny_disk, health=health, segment_bytes=8192), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        outbox.append(event("before"))
        await take_events(cursor, 3)
        # a file open for writing keeps a mount from going read-only: the card's own failure would not ask
        outbox._disk.close()
        await until(lambda: remount(tiny_disk, "ro"))
        outbox.append(event("during"))
        found = await take_events(cursor, 1)
        assert subjects(found) == ["during"]
        assert not found[0].is_durable
        assert health.said[-1][0] is False
        assert "Read-only" in health.said[-1][1]
        assert remount(tiny_disk, "rw")
        await until(lambda: outbox.stats().is_writable)
        outbox.append(event("after"))
        assert (await take_events(cursor, 1))[0].is_durable
    async with running(make(tiny_disk)) as again:
        await again.recovered()
        assert subjects(await again.events(10)) == ["after", "during", "before"]


def remount(place: Path, how: str) -> bool:
    done = subprocess.run(
        ["mount", "-o", f"remount,{how}", place], check=False, capture_output=True
    )
    return done.returncode == 0


async def test_a_directory_of_another_owner_is_a_fault_and_heals(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving up rights needs root")
    place, health = tmp_path / "outbox", Health()
    place.mkdir(mode=0o700)
    outbox = make(place, health=health)
    os.seteuid(65534)
    try:
        async with running(outbox):
            outbox.append(event())
            assert subjects(await take_events(outbox.cursor("cloud"), 1)) == ["smoke"]
            assert health.said[0][0] is False
            assert "Permission denied" in health.said[0][1]
            os.seteuid(0)
            await until(lambda: outbox.stats().is_writable)
            await outbox.recovered()
    finally:
        os.seteuid(0)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that another user reaches too."""
    with tempfile.TemporaryDirectory(prefix="plantroom-owner-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    "name",
    [
        "event/seg-00000001.log",
        "event/manifest.json",
        "telemetry/manifest.json",
        "cursors.bin",
        "lock",
    ],
)
async def test_a_file_left_by_root_is_told_and_nothing_counts_as_lost_once_it_is_given_back(
    open_to_all: Path, name: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving up rights needs root")
    place, nobody, health = open_to_all / "outbox", 65534, Health()
    place.mkdir()
    os.chown(place, nobody, nobody)
    os.seteuid(nobody)
    try:
        async with running(make(place)) as before:
            before.append(event("before"))
            await take_events(before.cursor("cloud"), 3, done=False)
        file = place / "box" / name
        os.seteuid(0)
        os.chown(file, 0, 0)
        file.chmod(0o600)
        os.seteuid(nobody)
        async with running(make(place, health=health)) as outbox:
            cursor = outbox.cursor("cloud")
            outbox.append(event("during"))
            # from memory, as with any bad disk
            assert subjects(await take_events(cursor, 1)) == ["during"]
            assert health.said[0][0] is False
            assert "Permission denied" in health.said[0][1]
            assert name in health.said[0][1]
            os.seteuid(0)
            os.chown(file, nobody, nobody)
            os.seteuid(nobody)
            await until(lambda: outbox.stats().is_writable)
            await outbox.recovered()
            found = await take_events(cursor, 5)
            assert "before" in subjects(found)
            assert not of_kind(found, EventKind.DAMAGE)
    finally:
        os.seteuid(0)


async def test_a_directory_removed_under_the_agent_is_noticed_and_made_anew(tmp_path: Path) -> None:
    health = Health()
    async with running(make(tmp_path, health=health)) as outbox:
        cursor = outbox.cursor("cloud")
        outbox.append(event("before"))
        await take_events(cursor, 3)
        await until(lambda: outbox.stats().commits > 0)
        shutil.rmtree(tmp_path / "box")
        outbox.append(event("during"))
        found = await take_events(cursor, 1)
        assert subjects(found) == ["during"]
        assert not found[0].is_durable
        assert health.said[-1][0] is False
        assert "removed" in health.said[-1][1]
        await until(lambda: outbox.stats().is_writable)
        outbox.append(event("after"))
        assert (await take_events(cursor, 1))[0].is_durable
        await until(lambda: (tmp_path / "box" / "cursors.bin").exists())
    async with running(make(tmp_path)) as again:
        await again.recovered()
        # what the file in use held was still in memory, and stands in a new one
        assert subjects(await again.events(10)) == ["after", "during", "before"]


async def test_reads_a_disk_never_answers_do_not_gather(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track, "READ_LIMIT_S", 0.002)
    monkeypatch.setattr(track, "READ_RETRY_S", 0.005)
    monkeypatch.setattr(outbox_module, "MOST_READS", 8)
    async with running(make(tmp_path), close_s=None) as outbox:
        for _ in range(3):
            outbox.append(event())
        await until(lambda: not outbox._events.queue.has_unwritten)
    files = FailingDisk()
    async with running(make(tmp_path, files=files), close_s=None) as outbox:
        await outbox.recovered()
        cursor = outbox.cursor("cloud")
        files.read_gate.clear()
        try:
            for _ in range(50):
                await cursor.take_events(20)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.002):
                        await outbox.events(100)
            assert outbox._reading.waiting == 8
        finally:
            files.read_gate.set()
        cursor.rewind()
        assert subjects(await take_events(cursor, 7)) == ["smoke"] * 3
