"""One event per commit, side by side: the outbox, stock TinyDB, SQLite (WAL, FULL and NORMAL), append + fsync.

`python -m benchmarks.outbox_commit [--commits 1500] [--most 100000]`. As root on a loop-mounted ext4 image
with 4 KiB blocks, where the bytes are counted at the block device; without root in a directory, and says
so. Stores that hold 0, 1,000, 10,000, 100,000 records commit one at a time, in turn. Also: how long
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
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
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
BLOCK = 50
"""Commits of one store before the next has its turn."""
COMMIT_MS, FLAT, OPEN_S, GROWTH_MB = 0.5, 0.2, 2.0, 10.0
"""To reach (docs/design.md section 10)."""
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

    def __init__(self, name: str, mount: Path) -> None:
        self._name = name
        self._mount = mount

    @property
    def is_there(self) -> bool:
        """Whether there is one to count at."""
        return bool(self._name)

    def written(self) -> int | None:
        """Return the bytes written to it so far, everything flushed."""
        if not self._name:
            return None
        subprocess.run(["sync", "--file-system", str(self._mount)], check=True)
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
            yield mount, Device("", mount)
            return
        with image.open("wb") as file:
            file.truncate(IMAGE_MB * 1024 * 1024)
        subprocess.run([mkfs, "-q", "-F", "-b", "4096", str(image)], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=False)
        if mounted.returncode:
            yield mount, Device("", mount)
            return
        try:
            source = subprocess.run(
                ["findmnt", "-n", "-o", "SOURCE", str(mount)],
                check=True,
                capture_output=True,
                text=True,
            )
            yield mount, Device(Path(source.stdout.strip()).name, mount)
        finally:
            subprocess.run(["umount", "--lazy", str(mount)], check=True)


@dataclass(frozen=True, slots=True)
class Cost:
    """What commits cost on top of some records."""

    p50_ms: float
    p99_ms: float
    kib: float | None


class Measured:
    """One store on top of some records."""

    def __init__(
        self, make: Callable[[Path], Store], root: Path, device: Device, held: int
    ) -> None:
        root.mkdir()
        self._store = make(root)
        self._device = device
        self._number = 1 + held
        self._times_ms: list[float] = []
        self._bytes = 0
        self.blocks_ms: list[float] = []
        """Median of each block of commits."""
        self._store.fill(1, 1 + held)

    def commit(self, count: int) -> None:
        """Commit so many, one at a time."""
        before, times_ms = self._device.written(), []
        for _ in range(count):
            began_s = time.perf_counter()
            self._store.commit(self._number)
            times_ms.append((time.perf_counter() - began_s) * 1000)
            self._number += 1
        after = self._device.written()
        self._bytes += (after or 0) - (before or 0)
        self._times_ms += times_ms
        self.blocks_ms.append(statistics.median(times_ms))

    def cost(self) -> Cost:
        """Return what it came to."""
        kib = self._bytes / 1024 / len(self._times_ms) if self._device.is_there else None
        return Cost(statistics.median(self._times_ms), quantile(self._times_ms, 0.99), kib)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def measure(
    home: Path, device: Device, held: list[int], commits: int
) -> tuple[dict[str, list[Cost]], list[float]]:
    """Return costs by store and records held, and by how much ours differs from the empty one.

    All stores commit in turn, block by block, so that what else this machine does meets them all alike; the
    difference is the median over blocks beside each other.
    """
    costs: dict[str, list[Cost]] = {}
    with ExitStack() as stack:
        stores = {
            (name, count): Measured(make, home / f"store-{index}-{count}", device, count)
            for index, (name, make) in enumerate(STORES.items())
            if make is not stock
            for count in held
        }
        for each in stores.values():
            stack.callback(each.close)
        for _ in range(max(1, commits // BLOCK)):
            for each in stores.values():
                each.commit(BLOCK)
        for (name, _), each in stores.items():
            costs.setdefault(name, []).append(each.cost())
        ours_ms = [stores["outbox", count].blocks_ms for count in held]
        for index, count in enumerate(held):
            root = home / f"stock-{index}"
            with closing(Measured(stock, root, device, count)) as each:
                each.commit(TINY_COMMITS if count < SLOW_RECORDS else 3)
                costs.setdefault("stock TinyDB", []).append(each.cost())
            shutil.rmtree(root)
    apart = [
        statistics.median(here / empty for here, empty in zip(blocks_ms, ours_ms[0], strict=True))
        for blocks_ms in ours_ms
    ]
    return costs, apart


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
    """Return what so many unsent events on disk add to a process with a whole, empty outbox."""
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
        await _append(outbox, 10)
        before = resident_mb()
        await _append(outbox, records)
        after = resident_mb()
        running.cancel()
    await outbox.close(10)
    return after - before


def grown_mb(root: Path, records: int) -> float:
    """Return the same, measured in a process of its own: memory let go of before hides nothing there."""
    words = [sys.executable, "-m", "benchmarks.outbox_commit", "--grow", str(root)]
    told = subprocess.run(
        [*words, "--most", str(records)], check=True, capture_output=True, text=True
    )
    return float(told.stdout)


async def _append(outbox: Outbox, count: int) -> None:
    for number in range(count):
        outbox.append(sample(number).event)
        if number % 100 == 99:
            commits = outbox.stats().commits
            # no more waits for the disk than in a flood of alarms: what piles up there is bounded by other means
            while outbox.stats().commits == commits:  # noqa: ASYNC110 - it calls nobody
                await asyncio.sleep(0.001)
    commits = -1
    while commits != outbox.stats().commits:
        commits = outbox.stats().commits
        await asyncio.sleep(0.2)


def main() -> None:
    """Measure and print; exit 1 when the outbox misses its mark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--commits", type=int, default=1000)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--grow", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.grow is not None:
        print(asyncio.run(growth_mb(options.grow, options.most)))
        return
    held = [each for each in (0, 1000, 10_000, 100_000) if each <= options.most]
    payload = len(json.dumps(event_document(sample(1)), separators=(",", ":")))
    with ground() as (mount, device):
        where = "loop-mounted ext4" if device.is_there else "a directory, no device to count at"
        print(f"{payload} bytes an event, on {where}\n")
        costs, apart = measure(mount, device, held, options.commits)
        rows = []
        for name, each in costs.items():
            row = [name]
            for cost in each:
                kib = "" if cost.kib is None else f", {cost.kib:.1f} KiB"
                row.append(f"{cost.p50_ms:.2f} ms (p99 {cost.p99_ms:.2f}){kib}")
            rows.append(row)
        print_table(["one event a commit, holding", *(f"{each:,}" for each in held)], rows)
        listed_s, bare_s = open_after_crash(mount / "crash", options.most)
        more_mb = grown_mb(mount / "grown", options.most)
    print(
        "\nthe outbox's median beside the empty one's: "
        + ", ".join(f"{each:.2f}" for each in apart)
    )
    print(
        f"open after a crash with {options.most:,} events: {listed_s:.2f} s, without a manifest "
        f"{bare_s:.2f} s; memory grown by {more_mb:.1f} MB"
    )
    own = costs["outbox"]
    limit_kib = (1.1 * payload) / 1024 + 6
    is_good = max(listed_s, bare_s) <= OPEN_S and more_mb <= GROWTH_MB
    is_good &= all(each.kib is None or each.kib <= limit_kib for each in own)
    is_good &= own[0].p50_ms <= COMMIT_MS and all(abs(each - 1) <= FLAT for each in apart)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
