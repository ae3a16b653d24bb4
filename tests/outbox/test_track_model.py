"""A lane against a naive model of it: whatever broker, disk and memory do, in whatever order.

Held at every step: nothing counts as acknowledged that was not, nothing goes out twice on a connection or after it
was acknowledged, and a cut at this moment makes no more than a window come twice, but for what was counted. At the end
all is well again, and all that was accepted and not told as dropped has left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any, cast

import pytest

from agent.outbox.contract import WINDOW
from agent.outbox.cursor import UplinkCursor
from agent.outbox.disk import Disk
from agent.outbox.positions import Place, Positions
from agent.outbox.queue import Held, LaneQueue
from agent.outbox.reader import Page
from agent.outbox.records import Lane
from agent.outbox.saving import PositionSaver
from agent.outbox.track import Track

Key = tuple[str, int]

PATIENCE_S = 0.001
"""So long until a disk that could not be read is asked again."""
BAD_ENDS = ("nothing written", "positions alone", "all written", "torn", "records alone")
"""How a write may have gone; after the last one the writer thread knows that positions failed, no more."""


@dataclass(frozen=True)
class Record:
    stream: str
    seq: int

    @property
    def key(self) -> Key:
        return self.stream, self.seq


@dataclass(frozen=True)
class Job:
    """What the writer thread was given: records with positions ahead of them, or positions."""

    records: tuple[tuple[int, Record], ...]
    positions: Positions | None


class Run:
    """One process run: a lane of one uplink, its broker, and a disk that does as it is told."""

    def __init__(self, number: int, disk: dict[int, Record], place: Place) -> None:
        self.number = number
        self.disk = disk
        self.place = place
        """Of the uplink, on disk."""
        self.numbers = {each.key: number for number, each in disk.items()}
        """Of all that was accepted and is not lost, those of earlier runs first."""
        self.acked = {key for key, at in self.numbers.items() if place.has(at)}
        self.dropped: set[Key] = set()
        self.sent: set[Key] = set()
        """On this connection."""
        self.flying: list[Record] = []
        self.refused: list[Record] = []
        self.job: Job | None = None
        self.is_stuck = self.is_open = self.is_unreadable = False
        self.is_lagging = False
        """Records went to disk and the positions that had to go ahead of them did not."""
        self.stream = f"run-{number}"
        self.queue: LaneQueue[Any] = LaneQueue(Lane.EVENT, self.stream, reserved=2)
        other: LaneQueue[Any] = LaneQueue(Lane.TELEMETRY, self.stream)
        self.uplink = "cloud"
        self.events: Track[Any] = Track(self.queue, self._read, self._record, self._lost)
        self.batches: Track[Any] = Track(other, self._read, self._record, self._lost)
        self.saver = PositionSaver(cast("Disk", None), [cast("UplinkCursor", self)], other)

    # -- what the track and the saver ask for ---------------------------------------------------------

    async def _read(self, lane: Lane, start: int, stop: int, most: int) -> Page:
        if self.is_unreadable:
            raise OSError
        found = sorted(each for each in self.disk if start <= each < stop)[:most]
        return Page(
            documents=tuple((each, {"record": self.disk[each]}) for each in found),
            next_number=found[-1] + 1 if len(found) == most else stop,
            suspects=(),
            gone=frozenset(),
        )

    def _record(self, document: dict[str, Any]) -> Record:
        return cast("Record", document["record"])

    def _lost(self, *what: object) -> None:
        raise AssertionError(what)

    def unsaved(self) -> int:
        return self.events.unsaved

    @property
    def is_over(self) -> bool:
        return self.unsaved() + self.events.in_flight > WINDOW

    def track(self, lane: Lane) -> Track[Any]:
        return self.events if lane is Lane.EVENT else self.batches

    # -- what happens ---------------------------------------------------------------------------------

    def happen(self, count: int) -> None:
        for _ in range(count):
            record = Record(self.stream, self.queue.next_seq())
            self.queue.put(record, 1, 0.0)
            self.numbers[record.key] = self.queue.last_key
        if self.is_stuck:
            self.queue.release(self.queue.last_key)

    def open(self) -> None:
        base = max([self.place.top, *self.disk])
        openings = [Record(self.stream, seq) for seq in (1, 2)]
        self.queue.open_with(base, [Held(each, 1, 0.0) for each in openings])
        ours = {key: base + key[1] for key in self.numbers if key[0] == self.stream}
        self.numbers |= ours | {each.key: base + each.seq for each in openings}
        self.events.settle(self.place, base, len(openings))
        self.batches.settle(Place(), 0, 0)
        self.is_open, self.is_stuck = True, False

    async def take(self, most: int) -> None:
        room = WINDOW - len(self.flying) - self.unsaved()
        if room > 0:
            found = await self.events.take(min(most, room))
        elif self.is_stuck:
            most = min(most, WINDOW - len(self.flying))
            found = self.events.take_regardless(most, live_too=True)
        else:
            return
        for each in found:
            assert each.key not in self.sent, f"{each} twice on a connection"
            assert each.key not in self.acked, f"{each} again though acknowledged"
            self.sent.add(each.key)
            self.flying.append(each)

    def acknowledge(self, index: int) -> None:
        if self.flying:
            record = self.flying.pop(index % len(self.flying))
            assert self.events.done(record)
            self.acked.add(record.key)
            self.queue.forget_done(self.events.position, unwritten_too=False)

    def refuse(self, index: int) -> None:
        if self.flying:
            self.refused.append(self.flying.pop(index % len(self.flying)))

    def retry(self) -> None:
        room = WINDOW - len(self.flying) - self.unsaved()
        if self.refused and (
            room > 0
            or (self.is_stuck and self.events.goes_regardless(self.refused[0], live_too=True))
        ):
            self.flying.append(self.refused.pop(0))

    def reconnect(self) -> None:
        self.events.rewind()
        self.flying.clear()
        self.refused.clear()
        self.sent.clear()

    def drop(self, dice: Random) -> None:
        """Let memory run full, as agent.outbox.bounds has it."""
        self.queue.shrink(0)
        kind = dice.randrange(1, 4)
        gone = self.queue.evict(dice.randrange(20), lambda each: each.seq % kind == 0)
        self.dropped.update(each.key for _, each in gone)

    def write(self, dice: Random) -> None:
        if self.job is not None or not self.is_open:
            return
        if self.queue.has_unwritten and dice.random() < 0.6:
            records = tuple((key, held.record) for key, held in self.queue.unwritten())
            ahead = self.saver.ahead_of(Lane.EVENT, [key for key, _ in records])
            self.saver.giving(Lane.EVENT, self.queue)
            self.job = Job(records, ahead)
        elif self.saver.acknowledged(0.0) or dice.random() < 0.5:
            self.job = Job((), self.saver.positions())

    def hang(self) -> None:
        """Let what the writer thread does, if only opening, take too long."""
        if self.job is not None or not self.is_open:
            self.is_stuck = True
            self.queue.release(self.queue.last_key)

    def end(self, how: str = "") -> None:
        """Let a write end: well, or badly with this on disk."""
        job, self.job = self.job, None
        if job is None:
            return
        if job.positions is not None:
            if how in ("", "positions alone", "all written"):
                self.place = job.positions["cloud"][Lane.EVENT]
                self.is_lagging = False
            elif how in ("torn", "records alone"):
                self.is_lagging = True
        if how in ("", "all written", "torn", "records alone"):
            self.disk.update(job.records)
        if how == "records alone" and job.records:
            self.saver.wrote(job.positions, is_saved=False)
        elif how:
            self.saver.unsure()
            self.is_stuck = True
            self.queue.release(self.queue.last_key)
            return
        elif job.records:
            self.saver.wrote(job.positions, is_saved=job.positions is not None)
        elif job.positions is not None:
            self.saver.saved(job.positions)
        self.is_stuck = False
        if job.records:
            self.queue.wrote(job.records[-1][0])
            self.queue.release(job.records[-1][0])

    def crash(self) -> Run:
        return Run(self.number + 1, self.disk, self.place)

    # -- what has to hold -----------------------------------------------------------------------------

    def check(self) -> None:
        if not self.is_open:
            return
        known = self.events.place
        for key, number in self.numbers.items():
            if known.has(number) or self.place.has(number):
                assert key in self.acked | self.dropped, f"{key} counts as acknowledged"
        if self.job is None:
            assert self._twice(self.disk, self.place, self.acked) <= self.unsaved()
        if self.is_lagging:
            return  # told by the step that saves positions
        taken = self.acked | {each.key for each in self.flying}
        worst = self._twice(self.disk, self.place, taken)
        if self.job is not None and self.job.records:
            ahead = self.job.positions
            place = self.place if ahead is None else ahead["cloud"][Lane.EVENT]
            worst = max(worst, self._twice(self.disk | dict(self.job.records), place, taken))
        assert worst <= WINDOW + self.events.regardless

    @staticmethod
    def _twice(disk: dict[int, Record], place: Place, taken: set[Key]) -> int:
        return sum(each.key in taken and not place.has(at) for at, each in disk.items())

    async def heal(self) -> None:
        """Let all be well, and all leave."""
        self.is_unreadable = False
        await asyncio.sleep(PATIENCE_S)
        self.end()
        if not self.is_open:
            self.open()
        dice = Random(0)
        for _ in range(3000):
            self.write(dice)
            self.end()
            await self.take(WINDOW)
            self.check()
            while self.flying:
                self.acknowledge(0)
            self.retry()
            self.check()
            if (
                not self.flying
                and not self.unsaved()
                and self.numbers.keys() <= self.acked | self.dropped
            ):
                return
        left = self.numbers.keys() - self.acked - self.dropped
        raise AssertionError(f"never handed out: {sorted(left)}")


async def live(dice: Random) -> None:
    run = Run(1, {}, Place())
    for _ in range(dice.randrange(2, 9)):
        mood = dice.choice(("well", "slow", "bad disk", "full memory", "refusing", "outage"))
        for _ in range(dice.randrange(5, 60)):
            what = dice.random()
            if what < 0.2:
                run.happen(dice.choice((1, 1, 2, 5, 25)))
            elif what < 0.45:
                if mood != "outage":
                    await run.take(dice.randrange(1, 21))
            elif what < 0.65:
                for _ in range(dice.choice((1, 3, 20))):
                    run.acknowledge(dice.randrange(20))
            elif what < 0.9:
                run.write(dice)
                if dice.random() < 0.3:
                    run.hang()
                elif mood == "bad disk" and dice.random() < 0.6:
                    run.end(dice.choice(BAD_ENDS))
                elif mood not in ("bad disk", "slow") or dice.random() < 0.3:
                    run.end()
            elif what < 0.93:
                run.queue.shrink(dice.choice((0, 0, 5, 20)))
            elif what < 0.96:
                if mood == "full memory":
                    run.drop(dice)
                elif mood == "refusing":
                    for _ in range(dice.randrange(4)):
                        run.refuse(dice.randrange(20))
                    run.retry()
            elif what < 0.97:
                run.is_unreadable = dice.random() < 0.3
            elif what < 0.985:
                run.reconnect()
            elif not run.is_open:
                run.open()
            elif what < 0.99:
                run.end(dice.choice(BAD_ENDS))
                run = run.crash()
            run.check()
    await run.heal()


@pytest.mark.parametrize("seed", range(10))
async def test_nothing_is_lost_or_skipped_and_no_more_than_a_window_comes_twice(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.track.READ_RETRY_S", PATIENCE_S)
    for each in range(15):
        try:
            await live(Random(f"{seed} {each}"))
        except Exception as error:
            error.add_note(f"seed {seed} {each}")
            raise
