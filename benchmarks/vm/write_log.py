"""The log that QEMU's `blklogwrites` keeps of a disk, and what a power cut leaves of the disk.

The format is that of Linux's dm-log-writes: a super block, then for each write or flush a head of four
little-endian words (sector, sectors, flags, bytes of its own data) in a sector, followed by what was written.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.outbox_writes import SECTOR, Model

_MAGIC, _VERSION = 0x6A736677736872, 1
_SUPER, _HEAD = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8
_MOST_SECTORS = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A write, or a flush: all writes before it are on the medium."""

    offset: int
    """Bytes from the beginning of the disk."""
    data: bytes
    is_flush: bool


def read_log(path: Path) -> list[Entry]:
    """Return what was written, in the order QEMU carried it out; a last entry cut short is left out.

    Raises:
        ValueError: the log is none, or holds what a disk without discard and forced unit access never does.
    """
    log = path.read_bytes()
    if len(log) < SECTOR:
        return []
    magic, version, _, sector = _SUPER.unpack_from(log)
    if magic != _MAGIC or version != _VERSION or sector != SECTOR:
        raise ValueError(f"{path}: no log of writes by sectors of {SECTOR} bytes")
    entries: list[Entry] = []
    at = SECTOR
    while at + SECTOR <= len(log):
        start, sectors, flags, own = _HEAD.unpack_from(log, at)
        size = sectors * SECTOR
        end = at + SECTOR + size
        is_plain = flags in (0, _FLUSH) and not own and sectors < _MOST_SECTORS
        if not is_plain:
            raise ValueError(f"{path}: entry {len(entries)} has flags {flags}, {sectors} sectors")
        if end > len(log) or (not sectors and not flags):
            break  # the machine ended in this write
        if sectors:
            entries.append(Entry(start * SECTOR, log[at + SECTOR : end], is_flush=False))
        if flags & _FLUSH:
            entries.append(Entry(0, b"", is_flush=True))
        at = end
    return entries


class Disk:
    """A disk with a cache: what is on the medium, and what was written since the last flush."""

    def __init__(self, blank: bytes) -> None:
        self._medium = bytearray(blank)
        self._cached: list[Entry] = []

    def take(self, entries: Sequence[Entry]) -> None:
        """Go on by so many entries. Writes behind the end (promises) are not of this disk."""
        for entry in entries:
            if entry.is_flush:
                for each in self._cached:
                    _put(self._medium, each.offset, each.data)
                self._cached.clear()
            elif entry.offset + len(entry.data) <= len(self._medium):
                self._cached.append(entry)

    def cut(self, model: Model, dice: random.Random, *, may_tear: bool = True) -> bytes:
        """Return the medium as a cut now may leave it; the disk itself goes on.

        prefix: the cache loses nothing, but the last write may be torn (`may_tear`). cache: of what was not
        flushed each write is there or not, in any order, here and there torn at a sector.
        """
        image = bytearray(self._medium)
        writes = list(self._cached)
        if model is Model.PREFIX:
            for each in writes[:-1]:
                _put(image, each.offset, each.data)
            for each in writes[-1:]:
                keep = len(each.data)
                if may_tear and dice.getrandbits(1):
                    keep = dice.randrange(0, keep + 1, SECTOR)
                _put(image, each.offset, each.data[:keep])
            return bytes(image)
        share = dice.choice((0.1, 0.5, 0.5, 0.9))
        dice.shuffle(writes)
        for each in writes:
            if dice.random() >= share:
                continue
            is_torn = dice.random() < 0.2
            for at in range(0, len(each.data), SECTOR):
                if not is_torn or dice.getrandbits(1):
                    _put(image, each.offset + at, each.data[at : at + SECTOR])
        return bytes(image)


def _put(image: bytearray, offset: int, data: bytes) -> None:
    image[offset : offset + len(data)] = data
