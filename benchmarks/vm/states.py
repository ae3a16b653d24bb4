"""Power cuts by the thousand, from the log of what a whole guest wrote to its disk: `make vm-test`.

`python -m benchmarks.vm.states [--states 2000] [--seeds 4]`. The run of benchmarks.outbox_cuts (events, write-through
telemetry, an uplink that comes and goes, overflow, snapshots) is done in a small arm64 machine with Debian's
kernel and ext4; QEMU logs every write and flush of its disk. From that the disk is built as a cut at a random
write may leave it, the file system recovers, and the outbox on it is judged. The same run with each sync
taken out, and stock TinyDB, must fail.
Returns 1 when either is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import print_table
from benchmarks.outbox_cuts import HEAD, Score
from benchmarks.outbox_writes import Model, Sync
from benchmarks.vm import promises
from benchmarks.vm.guest import Guest, build
from benchmarks.vm.judged import BrokenImageError, judge_outbox, judge_stock_image
from benchmarks.vm.machine import make_disk, run_to_its_end, words_of_qemu
from benchmarks.vm.write_log import Disk, Entry, read_log

FS_MIB = 16
WORKERS = 2
RUN_S = 300.0
"""Longer than a run takes on a busy machine; 25 s on an idle one."""
HARSH = "data=writeback,noauto_da_alloc"
"""ext4 without what it does for programs that forget a sync: data may follow its metadata, a renamed file be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of the guest, and how its states are to be judged."""

    store: str
    words: tuple[str, ...]
    mount_options: str
    states: int
    models: tuple[Model, ...] = tuple(Model)
    has_journal: bool = True
    """Without: the disk keeps the order of writes and tears none, and the file system is repaired after the cut."""
    must_hold: bool = True
    """Else it must fail."""

    @property
    def name(self) -> str:
        """A name for its files."""
        return "-".join((*self.words, *([] if self.has_journal else ["no-journal"])))


@dataclass(slots=True)
class Judged:
    """What came of one model of one run."""

    run: Run
    model: Model
    score: Score
    broken: int
    """Images whose file system was not whole: the model would be wrong, not the store."""


def runs(states: int, seeds: int, controls: int) -> list[Run]:
    """Return what is to be run; every second seed on the harsh mount."""
    each = max(1, states // (len(Model) * seeds))
    ours = [
        Run(
            store="ours",
            words=("outbox", str(seed)),
            mount_options=HARSH if seed % 2 else "defaults",
            states=each,
        )
        for seed in range(seeds)
    ]
    without = [
        Run(
            store=f"ours without the sync {left_out}",
            words=("outbox", str(seeds), left_out.name),
            mount_options=HARSH,
            states=controls,
            models=(Model.CACHE,),
            must_hold=False,
        )
        for left_out in (Sync.DATA, Sync.FILE)
    ]
    # with a journal a sync of any new file takes all names along, so that one of a directory is hardly missed
    bare = [
        Run(
            store=store,
            words=("outbox", str(seeds), *left_out),
            mount_options="defaults",
            states=controls,
            models=(Model.PREFIX,),
            has_journal=False,
            must_hold=not left_out,
        )
        for store, left_out in (
            ("ours, ext4 without a journal", ()),
            (f"the same without the sync {Sync.DIRECTORY}", (Sync.DIRECTORY.name,)),
        )
    ]
    stock = Run(
        store="stock TinyDB",
        words=("stock", "0"),
        mount_options="defaults",
        states=controls,
        must_hold=False,
    )
    return [*ours, *without, *bare, stock]


def record(guest: Guest, run: Run, folder: Path) -> tuple[Path, Path]:
    """Let the guest do a run, unless it was kept; return the blank disk and the log of its writes."""
    disk, blank, log = (folder / f"{run.name}.{each}" for each in ("disk", "blank", "log"))
    if log.exists() and not disk.exists():
        return blank, log
    folder.mkdir(parents=True, exist_ok=True)
    make_disk(disk, FS_MIB, has_journal=run.has_journal)
    with disk.open("rb") as file:
        blank.write_bytes(file.read(FS_MIB * 1024 * 1024))
    log.touch()
    words = words_of_qemu(guest, disk, log, run.words, mount_options=run.mount_options)
    asyncio.run(run_to_its_end(words, folder / f"{run.name}.console", RUN_S))
    disk.unlink()
    return blank, log


def judge_run(run: Run, model: Model, blank: Path, log: Path) -> Judged:
    """Judge so many cuts of one run under one model."""
    logging.disable()  # what each start found is in the verdict
    entries = read_log(log)
    told = [
        (index, promises.read(each.data))
        for index, each in enumerate(entries)
        if each.offset >= promises.BEGIN
    ]
    begin = next(index for index, each in told if each == promises.said("begin"))
    seed = int(run.words[1])
    dice = random.Random(f"{run.name} {model}")
    cuts = sorted(dice.randint(begin + 1, len(entries)) for _ in range(run.states))
    judged = Judged(run, model, Score(), broken=0)
    disk, done = Disk(blank.read_bytes()), 0
    quick = _quick_folder()
    for cut in cuts:
        disk.take(entries[done:cut])
        done = cut
        promised = [each for index, each in told if index < cut]
        where = f"{run.store}, seed {seed}, {model} cut at {cut} of {len(entries)}"
        with tempfile.TemporaryDirectory(prefix="plantroom-state-", dir=quick) as folder:
            image = Path(folder) / "image"
            image.write_bytes(disk.cut(model, dice, may_tear=run.has_journal))
            try:
                if run.words[0] == "stock":
                    numbers = [each["number"] for each in promised if "number" in each]
                    verdict = judge_stock_image(image, Path(folder), numbers)
                else:
                    meant = [promises.meant(each) for each in promised]
                    verdict = asyncio.run(
                        judge_outbox(image, Path(folder), meant, has_journal=run.has_journal)
                    )
            except BrokenImageError as broken:
                judged.broken += 1
                judged.score.worst.append(f"{where}: {broken}")
                continue
        judged.score.enter(verdict, where)
    return judged


def _quick_folder() -> str | None:
    """Return a folder in memory, if there is one with room for the images."""
    memory = Path("/dev/shm")  # noqa: S108 - folders of unforeseeable names are made in it
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > 16 * FS_MIB * 1024 * 1024
    return str(memory) if has_room else None


def measure(todo: Iterable[Run], folder: Path) -> list[Judged]:
    """Run the guest for each and judge, two at a time."""
    guest = build()
    with ProcessPoolExecutor(WORKERS) as pool:
        recorded = [(run, pool.submit(record, guest, run, folder)) for run in todo]
        jobs = []
        for run, future in recorded:
            blank, log = future.result()
            print(describe(run, read_log(log)), flush=True)
            jobs += [pool.submit(judge_run, run, model, blank, log) for model in run.models]
        return [job.result() for job in jobs]


def describe(run: Run, entries: list[Entry]) -> str:
    """Return a line on what was recorded."""
    writes = [each for each in entries if not each.is_flush and each.offset < promises.BEGIN]
    size = sum(len(each.data) for each in writes)
    told = sum(each.offset >= promises.BEGIN for each in entries)
    return (
        f"{run.store}, {run.name}, ext4 {run.mount_options}: {len(writes)} writes of {size // 1024} KiB, "
        f"{sum(each.is_flush for each in entries)} flushes, {told} promises"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--controls", type=int, default=100)
    parser.add_argument(
        "--keep", type=Path, help="folder for the logs; those found there are judged again"
    )
    options = parser.parse_args()
    began_s = time.perf_counter()
    todo = runs(options.states, options.seeds, options.controls)
    with tempfile.TemporaryDirectory(prefix="plantroom-vm-") as folder:
        judged = measure(todo, options.keep or Path(folder))
    scores: dict[tuple[str, Model], Score] = {}
    for each in judged:
        scores.setdefault((each.run.store, each.model), Score()).add(each.score)
    print_table(
        HEAD, ([store, model.value, *score.cells()] for (store, model), score in scores.items())
    )
    broken = sum(each.broken for each in judged)
    print(f"file systems not whole: {broken}; {time.perf_counter() - began_s:.0f} s")
    for each in judged:
        for line in each.score.worst[: 5 if each.run.must_hold else 0]:
            print(line)
    holds = {each.run.store: each.run.must_hold for each in judged}
    is_proven = all((score.bad == 0) == holds[store] for (store, _), score in scores.items())
    sys.exit(0 if is_proven and not broken else 1)


if __name__ == "__main__":
    main()
