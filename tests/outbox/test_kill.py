from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from tinydb import TinyDB

from agent.core.effects import EventKind
from agent.outbox.cursor import UplinkCursor
from agent.outbox.records import EventRecord, Lane
from tests.outbox.room import make, of_kind, running

ROUNDS = 20
MOST_STOCK_KILLS = 300
"""One in some 23 is enough (13 of 300, docs/outbox.md); tried until the first."""


def write_and_kill(directory: Path, number: int, lives_s: float) -> set[tuple[str, str, int]]:
    """Let a writer live for a while after its first record, kill it, return what it said is on disk."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.outbox.kill_writer", str(directory), str(number)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        try:
            process.wait(lives_s)
        except subprocess.TimeoutExpired:
            process.kill()
        rest = process.stdout.read()
    accepted = set()
    for line in (first + rest).decode().splitlines(keepends=True):
        if line.endswith("\n"):
            lane, stream, seq = line.split()
            accepted.add((lane, stream, int(seq)))
    return accepted


def test_kill_9_loses_nothing_that_was_accepted_and_the_streams_prove_it(tmp_path: Path) -> None:
    dice = random.Random(20)
    accepted: set[tuple[str, str, int]] = set()
    for number in range(ROUNDS):
        before = len(accepted)
        accepted |= write_and_kill(tmp_path, number, dice.uniform(0.0, 0.25))
        assert len(accepted) > before

    async def read_all() -> tuple[set[tuple[str, str, int]], list[EventRecord], int]:
        outbox = make(tmp_path)
        there: set[tuple[str, str, int]] = set()
        events: list[EventRecord] = []
        async with running(outbox):
            await outbox.recovered()
            cursor = outbox.cursor("cloud")
            assert isinstance(cursor, UplinkCursor)
            while taken := await cursor.take_events(500):
                events.extend(taken)
                there.update(("e", each.stream, each.seq) for each in taken)
                for each in taken:
                    cursor.done(each)
                await asyncio.sleep(0)
            while batches := await cursor.take_batches(500):
                there.update(("t", each.stream, each.seq) for each in batches)
                for batch in batches:
                    cursor.done(batch)
            lost = sum(sum(each.dropped.values()) for each in outbox.stats().lanes)
        return there, events, lost

    there, events, lost = asyncio.run(read_all())
    assert accepted <= there
    assert lost == 0
    assert not of_kind(events, EventKind.DAMAGE)
    chain_is_complete(events)


STOCK = """
import sys
from tinydb import TinyDB
with TinyDB(sys.argv[1]) as db:
    number = 0
    while True:
        number += 1
        db.insert({"n": number, "text": "x" * 300})
        if number > 200:
            db.remove(doc_ids=[db.all()[0].doc_id])
        if number == 210:
            print("at work", flush=True)
"""
"""Stock TinyDB as a queue: put at the end, take from the front."""


def test_stock_tinydb_as_a_queue_does_not_survive_the_same_kills(tmp_path: Path) -> None:
    dice = random.Random(21)
    broken = 0
    for number in range(MOST_STOCK_KILLS):
        path = tmp_path / f"{number}.json"
        with subprocess.Popen(
            [sys.executable, "-c", STOCK, path], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(dice.uniform(0.0, 0.05))
            process.kill()
        try:
            with TinyDB(path) as db:
                db.all()
        except ValueError:
            broken += 1
            break
    assert broken, "the kills are too gentle to prove anything"


def chain_is_complete(events: list[EventRecord]) -> None:
    """Prove from streams and seqs alone that every durable event came, in order."""
    seqs: dict[str, list[int]] = {}
    for each in events:
        seqs.setdefault(each.stream, []).append(each.seq)
    openings = [
        each.event.detail
        for each in of_kind(events, EventKind.STREAM)
        if each.event.detail["lane"] == Lane.EVENT
    ]
    assert openings[0]["previous"] is None
    for one, following in pairwise(openings):
        assert following["previous"] == one["stream"]
        stream = str(one["stream"])
        assert seqs[stream] == list(range(1, len(seqs[stream]) + 1))
        assert following["previous_last_seq"] == seqs[stream][-1]
