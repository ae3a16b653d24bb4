"""Starts and restarts: whatever lies in the directory, whoever else uses it, whatever fails halfway."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.core.effects import EventKind
from agent.outbox import keeper
from agent.outbox.lines import encode_line, scan
from agent.outbox.outbox import Outbox
from agent.outbox.records import EventRecord, Lane
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

_HOLDER = """
import sys
from pathlib import Path
from agent.outbox.files import Files
Files().lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "RETRY_S", 0.05)


def openings(records: list[EventRecord]) -> list[tuple[object, ...]]:
    """Return what the opening records say of the run before."""
    return [
        tuple(each.event.detail[name] for name in ("lane", "previous", "previous_last_seq"))
        for each in of_kind(records, EventKind.STREAM)
    ]


async def test_a_second_process_on_one_directory_is_told_and_writes_nothing_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "box").mkdir()
    health = Health()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "box" / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        try:
            assert holder.stdout is not None
            assert await asyncio.to_thread(holder.stdout.readline) == b"held\n"
            async with running(make(tmp_path, health=health)) as outbox:
                outbox.append(event())
                found = await take_events(outbox.cursor("cloud"), 1)
                assert subjects(found) == ["smoke"]
                assert not found[0].is_durable
                assert f"another process ({holder.pid})" in outbox.stats().fault
                assert health.said[-1][0] is False
                assert [each.name for each in (tmp_path / "box").iterdir()] == ["lock"]
                holder.kill()
                await until(lambda: outbox.stats().is_writable)
                assert health.said[-1] == (True, "")
        finally:
            holder.kill()


async def test_the_directory_is_free_again_after_a_clean_end(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as outbox:
        await outbox.recovered()
    probe = subprocess.run(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "box" / "lock")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert probe.stdout == b"held\n"


class BuggyDisk(FailingDisk):
    """A disk whose answers our code cannot handle."""

    is_buggy = True

    def names(self, directory: Path) -> tuple[str, ...]:
        if self.is_buggy:
            raise RuntimeError("planted")
        return super().names(directory)


async def test_a_bug_in_a_step_is_raised_and_events_go_out_meanwhile(tmp_path: Path) -> None:
    files, health = BuggyDisk(), Health()
    outbox = make(tmp_path, files=files, health=health)
    raised = 0

    async def supervise() -> None:
        nonlocal raised
        while True:
            try:
                await outbox.run()
            except RuntimeError:
                raised += 1
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(supervise())
        outbox.append(event("during"))
        outbox.add(reading())
        assert subjects(await take_events(outbox.cursor("cloud"), 1)) == ["during"]
        await take_batches(outbox.cursor("cloud"), 1)
        await until(lambda: raised >= 2)
        assert "planted" in outbox.stats().fault
        files.is_buggy = False
        await until(lambda: outbox.stats().is_writable)
        assert health.said[-1] == (True, "")
        outbox.append(event("after"))
        found = await take_events(outbox.cursor("cloud"), 3)
        assert subjects(found) == ["after"]
        task.cancel()
    await outbox.close(3)


class NthFails(FailingDisk):
    """Lets the n-th change to the disk fail, once."""

    nth = 0
    seen = 0

    def _meet(self, operation: str) -> None:
        super()._meet(operation)
        if operation in ("pwrite", "sync_data", "sync_file", "rename", "unlink"):
            self.seen += 1
            if self.seen == self.nth:
                raise OSError(errno.ENOSPC, "planted")


async def test_whatever_fails_while_opening_the_chain_of_streams_stays_whole(
    tmp_path: Path,
) -> None:
    nth, fails = 0, 0
    while True:
        nth += 1
        place = tmp_path / str(nth)
        async with running(make(place), close_s=None) as first:
            first.append(event())
            first.add(reading())
            await take_events(first.cursor("cloud"), 3)
            streams = {each.lane: each.stream for each in first.stats().lanes}
        files = NthFails()
        files.nth = nth
        async with running(make(place, files=files)) as second:
            await second.recovered()
            is_past = second.stats().write_failures == 0
            found: list[EventRecord] = []
            mine: list[EventRecord] = []
            async with asyncio.timeout(5):
                while len(of_kind(mine, EventKind.STREAM)) < 2:
                    found += await take_events(second.cursor("cloud"), 1)
                    mine = [each for each in found if each.stream != streams[Lane.EVENT]]
            assert not of_kind(found, EventKind.DAMAGE)
            assert openings(mine) == [
                ("event", streams[Lane.EVENT], 3),
                ("telemetry", streams[Lane.TELEMETRY], 0),
            ], f"change {nth} failed"
        fails += not is_past
        if is_past:
            break
    assert fails >= 6


async def test_a_stored_record_nobody_can_read_is_named_once_for_all_uplinks(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path, uplinks=("a", "b")), close_s=None) as first:
        for name in ("one", "two", "three"):
            first.append(event(name))
        two = (await take_events(first.cursor("a"), 5, done=False))[3]
    (segment,) = (tmp_path / "box" / "event").glob("seg-*.log")
    data = segment.read_bytes()
    old = next(each for each in scan(data).lines if each.document()["seq"] == two.seq)
    document = old.document() | {"kind": "later"}  # of a newer version; as long, so nothing moves
    before = encode_line(old.number, old.document())
    assert before in data
    segment.write_bytes(data.replace(before, encode_line(old.number, document)))
    async with running(make(tmp_path, uplinks=("a", "b"))) as second:
        for uplink in ("a", "b"):
            cursor = second.cursor(uplink)
            found = await take_events(cursor, 7, done=False)
            cursor.rewind()
            found = await take_events(cursor, 7)
            assert subjects(found) == ["one", "three"]
            (damage,) = of_kind(found, EventKind.DAMAGE)
            assert damage.event.detail["stream"] == two.stream
            assert damage.event.detail["first_seq"] == damage.event.detail["last_seq"] == two.seq
        assert second.stats().lanes[0].dropped == {"damage": 1}
        journal = [each for each in await second.events(20) if each.event.rule]
        assert subjects(journal) == ["three", "one"]


class CompactsUnderTheReader(FailingDisk):
    """Rewrites a segment after a reader was given its name and before it opens it."""

    outbox: Outbox | None = None
    has_compacted = False

    def read(self, path: Path) -> bytes:
        outbox = self.outbox
        if outbox is not None and threading.current_thread().name == "outbox reader":
            self.outbox, self.has_compacted = None, True
            log = outbox._disk._lanes[Lane.EVENT]
            log.compact(int(path.stem.removeprefix("seg-")), lambda each: each["seq"] != 5)
        return super().read(path)


async def test_a_segment_rewritten_under_a_reader_costs_no_record(tmp_path: Path) -> None:
    async with running(make(tmp_path, segment_bytes=4096)) as first:
        for number in range(60):
            first.append(event(f"e{number}"))
    files = CompactsUnderTheReader()
    async with running(make(tmp_path, files=files)) as second:
        await second.recovered()
        files.outbox = second
        found = await take_events(second.cursor("cloud"), 63)
    assert files.has_compacted
    assert subjects(found) == [f"e{number}" for number in range(60) if number + 3 != 5]


class NoRoom(FailingDisk):
    """A disk on which not even a directory can be made."""

    is_full = True

    def make_directory(self, path: Path) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        super().make_directory(path)


async def test_a_disk_full_at_the_very_first_start_is_gone_through(tmp_path: Path) -> None:
    files, health = NoRoom(), Health()
    async with running(make(tmp_path / "new", files=files, health=health)) as outbox:
        assert await outbox.load_snapshot() is None
        outbox.append(event("alarm"))
        outbox.add(reading())
        assert subjects(await take_events(outbox.cursor("cloud"), 1, done=False)) == ["alarm"]
        await take_batches(outbox.cursor("cloud"), 1)
        why = "the disk cannot be written: No space left on device: "
        assert health.said == [(False, f"{why}{tmp_path / 'new' / 'box'}")]
        files.is_full = False
        await until(lambda: outbox.stats().is_writable)
    async with running(make(tmp_path / "new")) as again:
        assert subjects(await take_events(again.cursor("cloud"), 5)) == ["alarm"]


_FOREIGN = {
    "a directory for the event manifest": "event/manifest.json/",
    "a directory for the positions": "cursors.bin/",
    "a directory for a segment": "event/seg-00000001.log/",
    "a directory for the next segment": "event/seg-00000002.log/",
    "a directory for a file written aside": "event/manifest.json.tmp/",
    "a directory for the snapshot": "snapshot.json/",
    "a file for the quarantine": "quarantine",
    "a file of no number": "telemetry/seg-x.log",
    "a segment of a huge number": "telemetry/seg-99999999.log",
    "junk for the positions": "cursors.bin",
    "junk for the telemetry manifest": "telemetry/manifest.json",
}


@pytest.mark.parametrize("name", _FOREIGN.values(), ids=_FOREIGN)
@pytest.mark.parametrize("is_first", [True, False], ids=["first start", "later start"])
async def test_no_foreign_thing_in_the_directory_refuses_a_start(
    tmp_path: Path, name: str, is_first: bool
) -> None:
    box = tmp_path / "box"
    if not is_first:
        async with running(make(tmp_path), close_s=None) as first:
            first.append(event("before"))
            await take_events(first.cursor("cloud"), 3, done=False)
    path = box / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        path.unlink()
    if name.endswith("/"):
        path.mkdir()
        (path / "something").write_text("else", "utf-8")
    else:
        path.write_bytes(b"\x00junk\n" * 100)
    async with running(make(tmp_path)) as outbox:
        outbox.append(event("alarm"))
        found = await take_events(outbox.cursor("cloud"), 3)
        if "alarm" not in subjects(found):
            found += await take_events(outbox.cursor("cloud"), 1)
        await until(lambda: outbox.stats().is_writable, 5)
        await outbox.recovered()
