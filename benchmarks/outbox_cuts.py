"""Power cuts by the thousand, without a machine to cut: what the store wrote is replayed up to any point.

`python -m benchmarks.outbox_cuts [--states 2000] [--seeds 4]`. A run of the real outbox (events and
write-through telemetry, an uplink that is away two thirds of the time, acknowledgements, alarm snapshots, small
segments, overflow) is recorded at its disk seam. From the log the directory is built as a cut at a random
point may leave it, under two models (benchmarks.outbox_writes); the outbox is opened on it and judged
against what had been promised by then (benchmarks.outbox_judge). The same run with each sync taken out
in turn, and stock TinyDB, must fail: else the run proves nothing. Returns 1 when either is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinydb import TinyDB
from tinydb.storages import JSONStorage

from agent.core.effects import Event, EventKind
from agent.core.memory import AlarmSnapshot
from agent.core.spec import AlarmClass
from agent.outbox.contract import WINDOW
from agent.outbox.cursor import UplinkCursor
from agent.outbox.files import Files
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord
from agent.outbox.spec import OutboxSpec
from benchmarks.figures import print_table
from benchmarks.outbox_judge import Verdict, judge
from benchmarks.outbox_writes import (
    Accepted,
    Act,
    Model,
    Op,
    RecordingFiles,
    Sync,
    WriteLog,
    lay_out,
    left_after,
)
from drivers.clock import ClockState, SystemClock
from drivers.reading import Quality, Reading

SPEC = OutboxSpec(
    directory=Path(),
    segment_bytes=4096,
    max_bytes=40 * 1024,
    commit_interval_s=0,
    batch_readings=5,
    events_per_class=20,
)
ROUNDS = 220


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A record the broker took."""

    record: EventRecord | Batch


async def record_run(seed: int, left_out: Sync | None = None) -> list[Op]:
    """Return what one run of the outbox did to its files and promised meanwhile."""
    log = WriteLog()
    with tempfile.TemporaryDirectory(prefix="plantroom-cuts-") as folder:
        root = Path(folder)
        await run_outbox(root, RecordingFiles(root, log, left_out), log, seed)
    return log.ops


async def run_outbox(
    root: Path, files: Files, log: WriteLog, seed: int, round_s: float = 0.004
) -> None:
    """Let an outbox work through one run; `log` hears what the broker took before the outbox does."""
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    outbox = Outbox(
        replace(SPEC, directory=root),
        box="box",
        boot="before",
        clock=clock,
        uplinks=["cloud"],
        on_health=lambda _ok, _why: None,
        files=files,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(outbox.run(), name="outbox")
        async with asyncio.timeout(120):
            await outbox.recovered()
            await _work(outbox, clock, log, random.Random(seed), round_s)
        running.cancel()
    await outbox.close(5.0)


async def _work(
    outbox: Outbox, clock: SystemClock, log: WriteLog, dice: random.Random, round_s: float
) -> None:
    cursor = outbox.cursor("cloud")
    assert isinstance(cursor, UplinkCursor)
    in_flight: deque[EventRecord | Batch] = deque()
    for number in range(ROUNDS):
        for _ in range(dice.randint(0, 4)):
            outbox.append(
                Event(
                    kind=EventKind.ALARM,
                    subject=f"smoke-{dice.randint(1, 9)}",
                    rule="smoke",
                    alarm_class=dice.choice((AlarmClass.FIRE, AlarmClass.TECHNICAL)),
                    at=clock.stamp(),
                    reason="x" * dice.randint(0, 120),
                )
            )
        for each in range(dice.randint(0, 12)):
            outbox.add(
                Reading(
                    point="room.temperature",
                    value=float(each),
                    quality=Quality.GOOD,
                    unit="°C",
                    at=clock.stamp(),
                )
            )
        if dice.random() < 0.1:
            outbox.save_snapshot(AlarmSnapshot(position=None, memories=()))
        await asyncio.sleep(round_s)
        if (number // 30) % 3:
            continue  # the broker is away
        # as an uplink does (agent.uplink.sender): what may come twice is never more than the window, also while a
        # write of this machine's disk hangs
        in_flight.extend(await cursor.take_events(WINDOW - len(in_flight) - cursor.unsaved()))
        in_flight.extend(await cursor.take_batches(WINDOW - len(in_flight) - cursor.unsaved()))
        for _ in range(dice.randint(0, len(in_flight))):
            record = in_flight.popleft()
            log.mark(Acknowledged(record))
            cursor.done(record)


@dataclass(slots=True)
class Score:
    """Verdicts of one kind of store under one model."""

    states: int = 0
    bad: int = 0
    worst: list[str] = field(default_factory=list)
    lost: int = 0
    refused: int = 0
    gaps: int = 0
    doubled: int = 0
    damage: int = 0

    def enter(self, verdict: Verdict, where: str) -> None:
        """Count one."""
        self.states += 1
        self.lost += verdict.lost > 0
        self.refused += not verdict.is_started
        self.gaps += verdict.unseen_gaps > 0
        self.doubled += verdict.doubled > 0
        self.damage += verdict.false_damage > 0
        if not verdict.is_good:
            self.bad += 1
            self.worst.append(f"{where}: {verdict}")

    def add(self, other: Score) -> None:
        """Add what was counted apart."""
        self.states += other.states
        self.bad += other.bad
        self.worst += other.worst
        self.lost += other.lost
        self.refused += other.refused
        self.gaps += other.gaps
        self.doubled += other.doubled
        self.damage += other.damage

    def cells(self) -> list[str]:
        """Return its figures in the order of `HEAD`, without store and model."""
        figures = (
            self.states, self.bad, self.refused, self.lost, self.gaps, self.doubled, self.damage,
        )  # fmt: skip
        return [str(each) for each in figures]


async def try_cuts(ops: list[Op], model: Model, states: int, seed: int, score: Score) -> None:
    """Judge so many cuts of one run, from its opening on."""
    dice = random.Random(seed)
    for _ in range(states):
        count = dice.randint(1, len(ops))
        marks = [each.mark for each in ops[:count] if each.act is Act.MARK]
        with tempfile.TemporaryDirectory(prefix="plantroom-cut-") as folder:
            root = Path(folder)
            lay_out(root, left_after(ops, count, model, dice))
            verdict = await judge(
                root,
                replace(SPEC, directory=root, max_bytes=64 * 1024 * 1024),
                [each for each in marks if isinstance(each, Accepted)],
                [each.record for each in marks if isinstance(each, Acknowledged)],
            )
        score.enter(verdict, f"seed {seed}, {model} cut at {count} of {len(ops)}")


# -- stock TinyDB ---------------------------------------------------------------------------------------


class RecordingJson(JSONStorage):
    """Stock TinyDB's storage; notes the write in place, fsync and truncate it does, in its order."""

    log: WriteLog

    def write(self, data: dict[str, dict[str, object]]) -> None:
        """Write, and note how."""
        super().write(data)
        text = json.dumps(data).encode()
        self.log.note(Op(Act.WRITE, file=1, data=text))
        self.log.note(Op(Act.SYNC, file=1))
        self.log.note(Op(Act.TRUNCATE, file=1, offset=len(text)))


def record_stock(seed: int) -> list[Op]:
    """Return what stock TinyDB does as a queue: put at the end, take from the front."""
    log = WriteLog()
    log.note(Op(Act.CREATE, file=1, path="db.json"))
    log.note(Op(Act.SYNC_DIRECTORY))
    storage = type("Storage", (RecordingJson,), {"log": log})
    with tempfile.TemporaryDirectory(prefix="plantroom-cuts-") as folder:
        play_stock(Path(folder) / "db.json", log, seed, storage)
    return log.ops


def play_stock(
    path: Path, log: WriteLog, seed: int, storage: type[JSONStorage] = JSONStorage
) -> None:
    """Put 200 documents at the end and take them from the front; `log` hears of each that is done."""
    dice = random.Random(seed)
    with TinyDB(path, storage=storage) as db:
        for number in range(200):
            db.insert({"n": number, "text": "x" * dice.randint(0, 300)})
            log.mark(number)
            if number >= 20:
                db.remove(doc_ids=[number - 19])
                log.mark(-(number - 20))


def judge_stock(path: Path, marks: Iterable[object]) -> Verdict:
    """Judge stock TinyDB: does it open, is every insert that returned and was not removed there?"""
    numbers = [each for each in marks if isinstance(each, int)]
    there = {each for each in numbers if each > 0} - {-each for each in numbers}
    removing = min(there, default=0)
    try:
        with TinyDB(path) as db:
            found = {each["n"] for each in db.all()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return Verdict(is_started=False)
    return Verdict(is_started=True, lost=len(there - found - {removing}))


def try_stock_cuts(ops: list[Op], model: Model, states: int, seed: int, score: Score) -> None:
    """Judge so many cuts of stock TinyDB."""
    dice = random.Random(seed)
    for _ in range(states):
        count = dice.randint(1, len(ops))
        with tempfile.TemporaryDirectory(prefix="plantroom-cut-") as folder:
            lay_out(Path(folder), left_after(ops, count, model, dice))
            verdict = judge_stock(Path(folder) / "db.json", [each.mark for each in ops[:count]])
        score.enter(verdict, f"stock TinyDB, seed {seed}, {model} cut at {count}")


# -- all of it ------------------------------------------------------------------------------------------

HEAD = (
    "store", "model", "states", "bad", "no start", "accepted lost", "gap unseen",
    "doubled beyond the window", "damage told without any",
)  # fmt: skip


async def measure(states: int, seeds: int, controls: int) -> dict[tuple[str, Model], Score]:
    """Return scores by store and model; `controls` states for each that must fail."""
    scores: dict[tuple[str, Model], Score] = {}
    for seed in range(seeds):
        ops = await record_run(seed)
        for model in Model:
            score = scores.setdefault(("ours", model), Score())
            await try_cuts(ops, model, states // (2 * seeds), seed, score)
    for left_out in Sync:
        ops = await record_run(seeds, left_out)
        score = scores.setdefault((f"ours without the sync {left_out}", Model.CACHE), Score())
        await try_cuts(ops, Model.CACHE, controls, seeds, score)
    stock = record_stock(0)
    for model in Model:
        score = scores.setdefault(("stock TinyDB", model), Score())
        try_stock_cuts(stock, model, controls, 0, score)
    return scores


def is_proven(scores: dict[tuple[str, Model], Score]) -> bool:
    """Whether ours failed nowhere and every control did."""
    return all((score.bad == 0) == (store == "ours") for (store, _), score in scores.items())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--controls", type=int, default=100)
    options = parser.parse_args()
    logging.disable()  # what each start found is in the verdict
    scores = asyncio.run(measure(options.states, options.seeds, options.controls))
    print_table(
        HEAD, ([store, model.value, *score.cells()] for (store, model), score in scores.items())
    )
    for (store, _), score in scores.items():
        for each in score.worst[: 5 if store == "ours" else 0]:
            print(each)
    sys.exit(0 if is_proven(scores) else 1)


if __name__ == "__main__":
    main()
