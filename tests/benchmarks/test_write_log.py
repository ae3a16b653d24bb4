"""The power cuts of `make vm-test` are built from a log of writes: what was flushed stays, the rest may go."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.core.effects import Event, EventKind
from agent.outbox.records import Batch, EventRecord
from benchmarks.outbox_writes import Accepted, Model
from benchmarks.vm import promises
from benchmarks.vm.write_log import Disk, Entry, read_log
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading

SECTOR = 512
FLUSH = Entry(0, b"", is_flush=True)


def sectors(mark: bytes, count: int = 1) -> bytes:
    return mark * (SECTOR * count)


def write(sector: int, mark: bytes, count: int = 1) -> Entry:
    return Entry(sector * SECTOR, sectors(mark, count), is_flush=False)


def raw_log(entries: Sequence[tuple[int, bytes, int]]) -> bytes:
    """Return a log as QEMU 7.2 writes it: sector, data and flags of each entry."""
    log = struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), SECTOR).ljust(SECTOR, b"\0")
    for sector, data, flags in entries:
        log += (
            struct.pack("<QQQQ", sector, len(data) // SECTOR, flags, 0).ljust(SECTOR, b"\0") + data
        )
    return log


def test_a_log_is_read_in_order_with_its_flushes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(raw_log([(4, sectors(b"a", 2), 0), (0, b"", 1), (1, sectors(b"b"), 0)]))
    assert read_log(path) == [write(4, b"a", 2), FLUSH, write(1, b"b")]


@pytest.mark.parametrize("missing", [1, SECTOR, SECTOR + 1])
def test_a_last_write_that_the_end_of_the_machine_cut_short_is_left_out(
    tmp_path: Path, missing: int
) -> None:
    path = tmp_path / "log"
    path.write_bytes(raw_log([(4, sectors(b"a"), 0), (1, sectors(b"b", 2), 0)])[:-missing])
    assert read_log(path) == [write(4, b"a")]


def test_a_log_that_has_not_begun_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert read_log(path) == []


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (b"\1" * SECTOR, "no log of writes"),
        (raw_log([(4, sectors(b"a"), 2)]), "entry 0 has flags 2"),
        (raw_log([(4, b"", 4)]), "entry 0 has flags 4"),
    ],
    ids=["another file", "forced unit access", "discard"],
)
def test_what_the_model_does_not_know_is_refused(tmp_path: Path, log: bytes, says: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(log)
    with pytest.raises(ValueError, match=says):
        read_log(path)


@pytest.mark.parametrize("model", Model)
def test_what_was_flushed_is_in_every_state(model: Model) -> None:
    disk = Disk(bytes(8 * SECTOR))
    disk.take([write(0, b"a"), write(0, b"b"), FLUSH, write(3, b"c", 2)])
    for seed in range(50):
        assert disk.cut(model, random.Random(seed))[:SECTOR] == sectors(b"b")


def test_a_cache_loses_keeps_reorders_and_tears_what_was_not_flushed() -> None:
    disk = Disk(bytes(8 * SECTOR))
    disk.take([write(0, b"a"), write(0, b"b"), write(3, b"c", 2)])
    states = [disk.cut(Model.CACHE, random.Random(seed)) for seed in range(300)]
    assert {each[:1] for each in states} == {b"\0", b"a", b"b"}
    pairs = {
        (each[3 * SECTOR : 3 * SECTOR + 1], each[4 * SECTOR : 4 * SECTOR + 1]) for each in states
    }
    assert pairs == {(b"\0", b"\0"), (b"c", b"c"), (b"c", b"\0"), (b"\0", b"c")}


def test_a_prefix_loses_at_most_the_end_of_the_last_write() -> None:
    disk = Disk(bytes(8 * SECTOR))
    disk.take([write(0, b"a"), write(3, b"c", 2)])
    states = {disk.cut(Model.PREFIX, random.Random(seed)) for seed in range(50)}
    head = sectors(b"a") + bytes(2 * SECTOR)
    tail = bytes(3 * SECTOR)
    assert states == {
        head + bytes(2 * SECTOR) + tail,
        head + sectors(b"c") + bytes(SECTOR) + tail,
        head + sectors(b"c", 2) + tail,
    }
    untorn = {disk.cut(Model.PREFIX, random.Random(seed), may_tear=False) for seed in range(20)}
    assert untorn == {head + sectors(b"c", 2) + tail}


def test_cutting_changes_nothing_for_later_cuts_and_promises_are_no_part_of_the_disk() -> None:
    disk = Disk(bytes(2 * SECTOR))
    disk.take([write(0, b"a"), Entry(promises.BEGIN, sectors(b"p", 8), is_flush=False)])
    for seed in range(10):
        disk.cut(Model.CACHE, random.Random(seed))
    disk.take([FLUSH])
    assert disk.cut(Model.CACHE, random.Random(0)) == sectors(b"a") + bytes(SECTOR)


def test_promises_come_back_as_they_were_made() -> None:
    at = Stamp(1.5, 1_700_000_000_000, ClockState.SYNCED)
    event = EventRecord(
        id="x",
        stream="s",
        seq=3,
        boot="b",
        event=Event(kind=EventKind.ALARM, subject="smoke", at=at),
    )
    reading = Reading(point="p", value=1.5, quality=Quality.GOOD, unit="°C", at=at)
    batch = Batch(stream="t", seq=9, boot="b", clock=ClockState.SYNCED, readings=(reading,) * 99)
    key = Accepted("event", "s", 3)
    for promise, meant in (
        (promises.accepted(key), key),
        (promises.taken(event), event),
        (promises.taken(batch), batch),
        (promises.said("begin"), None),
    ):
        blocks = promises.in_blocks(promise)
        assert len(blocks) % 4096 == 0
        assert promises.read(blocks) == promise
        assert promises.meant(promises.read(blocks)) == meant
