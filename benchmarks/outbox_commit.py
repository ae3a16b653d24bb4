"""One event per commit, side by side: the outbox, stock TinyDB, SQLite (WAL, FULL and NORMAL), append + fsync.

`python -m benchmarks.outbox_commit [--commits 1500] [--most 100000]`. As root on a loop-mounted ext4 image
with 4 KiB blocks, where the bytes are counted at the block device; without root in a directory, and says
so. Every store first holds 0, 1,000, 10,000, 100,000 records, then commits one at a time. Also: how long
the outbox takes to open 100,000 events after a crash, and what 100,000 add to the memory of a whole one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinydb import TinyDB

from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass
from agent.outbox.disk import Disk
from agent.outbox.documents import event_document
from agent.outbox.files import Files
from agent.outbox.outbox import Outbox
from agent.outbox.records import EventRecord, Lane
from agent.outbox.spec import OutboxSpec
from benchmarks.figures import print_table, quantile
from drivers.clock import ClockState, Stamp, SystemClock

SECTOR = 512
"""Unit of /sys/block/*/stat (Documentation/block/stat.rst)."""
IMAGE_MB = 1024
TINY_COMMITS = 20
"""Stock TinyDB rewrites everything each time."""
BULK = 1000
SLOW_RECORDS = 10_000
"""Beyond it stock TinyDB is measured with few commits."""


def sample(number: int) -> EventRecord:
    """Return an event as a fire alarm makes one: some 300 bytes."""
    return EventRecord(
        id=f"01a214f3-6705-7635-a6bd-{number:012x}",
        stream="568e92d34539",
        seq=number,
        boot="01234567-89ab-cdef-0123-456789abcdef",
        event=Event(
            kind=EventKind.ALARM,
            subject="hall.smoke",
            rule="hall-smoke",
            point="hall.smoke",
            alarm_class=AlarmClass.FIRE,
            from_state="normal",
            to_state="active_unacked",
            at=Stamp(1234.567, 1_750_000_000_000 + number, ClockState.SYNCED),
            value=True,
            zone="hall",
        ),
    )


@dataclass(frozen=True, slots=True)
class Store:
    """A way to keep records: fill many at once, then commit one."""

    fill: Callable[[int, int], None]
    """Numbers from, up to without."""
    commit: Callable[[int], None]
    close: Callable[[], None]


def ours(root: Path) -> Store:
    disk = Disk(OutboxSpec(directory=root), "box", Files())
    disk.open({lane: f"{lane:0>12}"[:12] for lane in Lane}, ["cloud"], "boot")

    def fill(start: int, stop: int) -> None:
        for first in range(start, stop, BULK):
            numbers = range(first, min(stop, first + BULK))
            disk.append_events([(number, sample(number)) for number in numbers])

    def commit(number: int) -> None:
        disk.append_events([(number, sample(number))])

    return Store(fill, commit, disk.close)


def stock(root: Path) -> Store:
    db = TinyDB(root / "db.json")
    return Store(
        lambda start, stop: (
            db.insert_multiple(event_document(sample(each)) for each in range(start, stop)),
            None,
        )[1],
        lambda number: (db.insert(event_document(sample(number))), None)[1],
        db.close,
    )


def sqlite(root: Path, mode: str) -> Store:
    db = sqlite3.connect(root / "db.sqlite")
    db.execute("pragma journal_mode=wal")
    db.execute(f"pragma synchronous={mode}")
    db.execute("create table if not exists events (number integer primary key, body text)")

    def row(number: int) -> tuple[int, str]:
        return number, json.dumps(event_document(sample(number)), separators=(",", ":"))

    def fill(start: int, stop: int) -> None:
        with db:
            db.executemany("insert into events values (?, ?)", map(row, range(start, stop)))

    def commit(number: int) -> None:
        with db:
            db.execute("insert into events values (?, ?)", row(number))

    return Store(fill, commit, db.close)


def appended(root: Path) -> Store:
    fd = os.open(root / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def line(number: int) -> bytes:
        return json.dumps(event_document(sample(number)), separators=(",", ":")).encode() + b"\n"

    def fill(start: int, stop: int) -> None:
        for each in range(start, stop):
            os.write(fd, line(each))
        os.fsync(fd)

    def commit(number: int) -> None:
        os.write(fd, line(number))
        os.fsync(fd)

    return Store(fill, commit, lambda: os.close(fd))


STORES: dict[str, Callable[[Path], Store]] = {
    "outbox": ours,
    "SQLite WAL FULL": lambda root: sqlite(root, "full"),
    "SQLite WAL NORMAL (a cut loses commits)": lambda root: sqlite(root, "normal"),
    "append + fsync": appended,
    "stock TinyDB": stock,
}


class Device:
    """The loop device under the directory, or none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def written(self) -> int | None:
        """Return the bytes written to it so far, everything flushed."""
        if not self._name:
            return None
        os.sync()
        fields = Path("/sys/block", self._name, "stat").read_text().split()
        return int(fields[6]) * SECTOR


@contextmanager
def ground() -> Iterator[tuple[Path, Device]]:
    """Give a directory on a fresh loop-mounted ext4; without root just a directory."""
    with tempfile.TemporaryDirectory(prefix="plantroom-commit-") as folder:
        home = Path(folder)
        image, mount = home / "image", home / "mount"
        mount.mkdir()
        mkfs = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
        if os.geteuid() != 0 or mkfs is None:
            yield mount, Device("")
            return
        with image.open("wb") as file:
            file.truncate(IMAGE_MB * 1024 * 1024)
        subprocess.run([mkfs, "-q", "-F", "-b", "4096", str(image)], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=False)
        if mounted.returncode:
            yield mount, Device("")
            return
        try:
            source = subprocess.run(
                ["findmnt", "-n", "-o", "SOURCE", str(mount)],
                check=True,
                capture_output=True,
                text=True,
            )
            yield mount, Device(Path(source.stdout.strip()).name)
        finally:
            subprocess.run(["umount", "--lazy", str(mount)], check=True)


@dataclass(frozen=True, slots=True)
class Cost:
    """What commits cost on top of some records."""

    p50_ms: float
    p99_ms: float
    kib: float | None


def measure(
    make: Callable[[Path], Store], root: Path, device: Device, held: list[int], commits: int
) -> list[Cost]:
    """Return the cost of a commit on top of each number of records."""
    clock = SystemClock()
    costs: list[Cost] = []
    root.mkdir()
    store = make(root)
    number = 1
    try:
        for least in held:
            store.fill(number, least + 1)
            number = max(number, least + 1)
            count = commits
            if make is stock:
                count = TINY_COMMITS if least < SLOW_RECORDS else 3
            before, times_ms = device.written(), []
            for _ in range(count):
                began_s = clock.mono_s()
                store.commit(number)
                times_ms.append((clock.mono_s() - began_s) * 1000)
                number += 1
            after = device.written()
            kib = None if before is None or after is None else (after - before) / 1024 / count
            costs.append(Cost(statistics.median(times_ms), quantile(times_ms, 0.99), kib))
    finally:
        store.close()
    shutil.rmtree(root)
    return costs


def open_after_crash(root: Path, records: int) -> tuple[float, float]:
    """Return the seconds to open so many events left by a crash: with the manifest, and without it."""
    clock = SystemClock()
    root.mkdir()
    with closing(ours(root)) as store:
        store.fill(1, records + 1)
    took = []
    for is_bare in (False, True):
        if is_bare:
            (root / "box" / "event" / "manifest.json").unlink()
        disk = Disk(OutboxSpec(directory=root), "box", Files())
        began_s = clock.mono_s()
        try:
            disk.open({lane: f"run-{is_bare:d}-{lane}" for lane in Lane}, ["cloud"], "boot")
            took.append(clock.mono_s() - began_s)
        finally:
            disk.close()
    shutil.rmtree(root)
    return took[0], took[1]


def resident_mb() -> float:
    """Return this process's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


async def growth_mb(root: Path, records: int) -> float:
    """Return what so many unsent events on disk add to a process with a whole outbox."""
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    outbox = Outbox(
        OutboxSpec(directory=root),
        box="box",
        boot="boot",
        clock=clock,
        uplinks=["cloud"],
        on_health=lambda _ok, _why: None,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(outbox.run(), name="outbox")
        await outbox.recovered()
        # what memory holds for cursors is filled first: it is bounded, whatever the backlog
        await _append(outbox, 5000)
        before = resident_mb()
        await _append(outbox, records)
        after = resident_mb()
        running.cancel()
    await outbox.close(10)
    return after - before


async def _append(outbox: Outbox, count: int) -> None:
    for number in range(count):
        outbox.append(sample(number).event)
        if number % 100 == 99:
            await asyncio.sleep(0.001)
    commits = -1
    while commits != outbox.stats().commits:
        commits = outbox.stats().commits
        await asyncio.sleep(0.2)


def main() -> None:
    """Measure and print; exit 1 when the outbox misses its mark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--commits", type=int, default=1500)
    parser.add_argument("--most", type=int, default=100_000)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    held = [each for each in (0, 1000, 10_000, 100_000) if each <= options.most]
    payload = len(json.dumps(event_document(sample(1)), separators=(",", ":")))
    with ground() as (mount, device):
        is_device = device.written() is not None
        where = "loop-mounted ext4" if is_device else "a directory, no device to count at"
        print(f"{payload} bytes an event, on {where}\n")
        costs = {
            name: measure(make, mount / "store", device, held, options.commits)
            for name, make in STORES.items()
        }
        rows = []
        for name, each in costs.items():
            row = [name]
            for cost in each:
                kib = "" if cost.kib is None else f", {cost.kib:.1f} KiB"
                row.append(f"{cost.p50_ms:.2f} ms (p99 {cost.p99_ms:.2f}){kib}")
            rows.append(row)
        print_table(["one event a commit, holding", *(f"{each:,}" for each in held)], rows)
        listed_s, bare_s = open_after_crash(mount / "crash", options.most)
        grown_mb = asyncio.run(growth_mb(mount / "grown", options.most))
    print(
        f"\nopen after a crash with {options.most:,} events: {listed_s:.2f} s, without a manifest "
        f"{bare_s:.2f} s; memory grown by {grown_mb:.1f} MB"
    )
    own = costs["outbox"]
    limit_kib = (1.1 * payload) / 1024 + 6
    is_good = listed_s <= 2 and grown_mb <= 10
    is_good &= all(each.kib is None or each.kib <= limit_kib for each in own)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
