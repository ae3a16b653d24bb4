from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tinydb import TinyDB

from agent.core.effects import EventKind
from agent.outbox import keeper
from agent.outbox.lines import scan
from agent.outbox.outbox import Outbox
from agent.outbox.records import EventRecord, Lane
from agent.uplink.completeness import Ledger, StreamProof
from agent.uplink.decode import EventSeen
from tests.outbox.room import event, make, of_kind, running, take_events, until

EVENTS = 120
SIZE = 4096


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed segments are looked at without the pauses that spare a busy box."""
    monkeypatch.setattr(keeper, "TICK_S", 0.01)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some ten segments that ended cleanly, nothing of it acknowledged."""
    import asyncio

    directory = tmp_path_factory.mktemp("whole")

    async def fill() -> None:
        async with running(make(directory, segment_bytes=SIZE)) as outbox:
            for number in range(EVENTS):
                outbox.append(event(f"e{number}"))
            await until(lambda: outbox.stats().lanes[0].records >= EVENTS + 2)

    asyncio.run(fill())
    return directory


def numbers_in(path: Path) -> set[int]:
    return {line.number for line in scan(path.read_bytes()).lines}


def files_of(directory: Path) -> list[Path]:
    return sorted((directory / "box" / "event").glob("seg-*.log"))


Harm = Callable[[list[Path], random.Random], None]


def flip(files: list[Path], dice: random.Random) -> None:
    path = dice.choice(files)
    data = bytearray(path.read_bytes())
    used = len(bytes(data).rstrip(b"\n"))
    data[dice.randrange(used)] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def zero(files: list[Path], dice: random.Random) -> None:
    path = dice.choice(files)
    data = bytearray(path.read_bytes())
    start = dice.randrange(0, len(data), 512)
    data[start : start + 512] = bytes(len(data[start : start + 512]))
    path.write_bytes(data)


def garbage(files: list[Path], dice: random.Random) -> None:
    path = dice.choice(files)
    data = bytearray(path.read_bytes())
    start = dice.randrange(0, len(data), 512)
    data[start : start + 512] = dice.randbytes(len(data[start : start + 512]))
    path.write_bytes(data)


def truncate(files: list[Path], dice: random.Random) -> None:
    path = dice.choice(files)
    path.write_bytes(path.read_bytes()[: dice.randrange(SIZE)])


def empty(files: list[Path], dice: random.Random) -> None:
    dice.choice(files).write_bytes(b"")


def missing(files: list[Path], dice: random.Random) -> None:
    dice.choice(files).unlink()


def swapped(files: list[Path], dice: random.Random) -> None:
    one, other = dice.sample(files, 2)
    one.rename(one.with_suffix(".x"))
    other.rename(one)
    one.with_suffix(".x").rename(other)


def copied_over(files: list[Path], dice: random.Random) -> None:
    one, other = dice.sample(files, 2)
    shutil.copy(one, other)


def extra(files: list[Path], dice: random.Random) -> None:
    directory = files[0].parent
    shutil.copy(dice.choice(files), directory / "seg-00000999.log")
    (directory / "seg-00000500.log").write_bytes(dice.randbytes(3000))
    (directory / "seg-00000003.log.tmp").write_bytes(b"half")
    (directory / "notes.txt").write_text("hello")
    (directory / "seg-00000777.log").write_bytes(b"")


def no_manifest(files: list[Path], dice: random.Random) -> None:
    (files[0].parent / "manifest.json").unlink()


def bad_manifest(files: list[Path], dice: random.Random) -> None:
    (files[0].parent / "manifest.json").write_bytes(dice.randbytes(200))


def bad_cursors(files: list[Path], dice: random.Random) -> None:
    (files[0].parent.parent / "cursors.bin").write_bytes(dice.randbytes(8192))


HARMS: list[Harm] = [
    flip, zero, garbage, truncate, empty, missing, swapped, copied_over, extra,
    no_manifest, bad_manifest, bad_cursors,
]  # fmt: skip

HARMLESS = {swapped, no_manifest, bad_manifest, bad_cursors, extra}
"""Every record is still there somewhere."""


def named(records: list[EventRecord]) -> set[int]:
    """Return the seqs that damage events name; an open end reaches to the last."""
    seqs: set[int] = set()
    for each in of_kind(records, EventKind.DAMAGE):
        first, last = each.event.detail["first_seq"], each.event.detail["last_seq"]
        if isinstance(first, int):
            seqs.update(range(first, (last if isinstance(last, int) else EVENTS + 2) + 1))
    return seqs


def proofs_of(records: list[EventRecord], streams: set[str]) -> list[StreamProof]:
    """Return what the consumer can prove of streams."""
    ledger = Ledger()
    for each in records:
        ledger.hear(EventSeen(record=each, is_replay=True))
    return [each for each in ledger.proofs() if each.lane == Lane.EVENT and each.stream in streams]


def has_looked(outbox: Outbox) -> bool:
    """Whether all is looked at and what was found is told."""
    keeper = outbox._keeper
    is_done = not outbox._disk.has_unverified() and not keeper.losses._suspects
    return is_done and (keeper._job is None or keeper._job.name != "verify")


@pytest.mark.parametrize("seed", range(int(os.environ.get("PLANTROOM_DAMAGE_SEEDS", "4"))))
@pytest.mark.parametrize("harm", HARMS, ids=lambda each: each.__name__)
async def test_damage_costs_only_the_records_hit_and_each_range_is_named_once(
    whole: Path, tmp_path: Path, harm: Harm, seed: int
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before = set().union(*(numbers_in(path) for path in files_of(tmp_path)))
    harm(files_of(tmp_path), random.Random(seed))
    left = set().union(*(numbers_in(path) for path in files_of(tmp_path)))
    async with running(make(tmp_path, segment_bytes=SIZE), close_s=None) as outbox:
        await outbox.recovered()
        # each sealed segment is looked at in the background
        await until(lambda: has_looked(outbox))
        stream = outbox.stats().lanes[0].stream
        last_seq = outbox.stats().lanes[0].last_seq
        found = await take_events(outbox.cursor("cloud"), len(left) + last_seq)
        old = [each.seq for each in found if each.stream != stream]
        lost = before - left
        assert set(old) == left
        assert old == sorted(old), "out of order"
        assert len(old) == len(set(old)), "handed out twice"
        assert lost <= named(found), "lost without being named"
        assert not named(found) & left, "named lost and yet there"
        assert bool(lost) == bool(named(found))
        if harm in HARMLESS:
            assert not lost
        # a consumer that knows nothing but streams, numbers and openings comes to the same
        (proof,) = proofs_of(found, {each.stream for each in found if each.seq in left} - {stream})
        assert proof.heard == len(left)
        assert proof.doubles == 0
        assert proof.is_closed, "its end was not named"
        assert not proof.missing, "missing, and nobody told"
        assert {seq for span in proof.declared for seq in range(span.first, span.last + 1)} == lost
        outbox.append(event("life goes on"))
        await take_events(outbox.cursor("cloud"), 1)
        await until(lambda: outbox._keeper.losses.is_told)
    async with running(make(tmp_path, segment_bytes=SIZE)) as again:
        await again.recovered()
        await until(lambda: not again._disk.has_unverified())
        told = of_kind(await again.events(1000), EventKind.DAMAGE)
        assert len(told) == len(of_kind(found, EventKind.DAMAGE)), "told again"


def test_stock_tinydb_is_caught_by_the_same_damage(tmp_path: Path) -> None:
    with TinyDB(tmp_path / "whole.json") as db:
        db.insert_multiple({"n": number, "text": "x" * 300} for number in range(EVENTS))
    gone: dict[str, int] = {}
    for harm in (flip, zero, garbage, truncate, empty):
        for seed in range(10):
            path = tmp_path / f"{harm.__name__}-{seed}.json"
            shutil.copy(tmp_path / "whole.json", path)
            harm([path], random.Random(seed))
            try:
                with TinyDB(path) as db:
                    left = [each["text"] for each in db.all() if each["text"] == "x" * 300]
            except ValueError:
                left = []
            # all of it for the one record hit
            gone[harm.__name__] = gone.get(harm.__name__, 0) + (len(left) < EVENTS - 2)
    assert all(gone[harm.__name__] for harm in (zero, garbage, truncate, empty)), gone


async def test_a_cursor_that_meets_damage_first_goes_on_and_has_it_named(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    path = files_of(tmp_path)[4]
    data = bytearray(path.read_bytes())
    hit = scan(bytes(data)).lines[3]
    data[hit.offset + 20] ^= 0xFF
    path.write_bytes(data)
    async with running(make(tmp_path, segment_bytes=SIZE)) as outbox:
        found = await take_events(outbox.cursor("cloud"), EVENTS + 2 - 1 + 2 + 1)
    assert named(found) == {hit.number}
    assert list((tmp_path / "box" / "quarantine").glob("*.bin"))
