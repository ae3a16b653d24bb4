"""Where each uplink stands, on disk: two blocks of one file, written in turn.

A block is overwritten in place and synced (one 4 KiB write); a cut in the middle leaves the other.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

from agent.outbox.files import Files
from agent.outbox.records import Lane

_BLOCK = 4096
"""Bytes: the sector and page size of SD cards and ext4."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an uplink stands in one lane."""

    position: int = 0
    """The number up to which everything is acknowledged."""
    beyond: tuple[tuple[int, int], ...] = ()
    """What is acknowledged behind one that is not: first and last numbers, rising."""

    @property
    def top(self) -> int:
        """The highest number acknowledged."""
        return self.beyond[-1][1] if self.beyond else self.position

    def has(self, number: int) -> bool:
        """Whether a number is acknowledged."""
        if number <= self.position:
            return True
        index = bisect_right(self.beyond, (number, inf))
        return index > 0 and number <= self.beyond[index - 1][1]


Positions = dict[str, dict[Lane, Place]]
"""By uplink and lane."""


class PositionFile:
    """`cursors.bin`. Worker thread only."""

    def __init__(self, directory: Path, files: Files) -> None:
        self._path = directory / "cursors.bin"
        self._files = files
        self._generation = 0
        self._size = 0
        self._fd: int | None = None

    def load(self) -> Positions | None:
        """Return the newest positions that can be read, or None. May be called again."""
        try:
            data = self._files.read(self._path)
        except OSError:
            return None
        half = max(_BLOCK, len(data) // 2)
        found: Positions | None = None
        newest = 0
        for part in (data[:half], data[half:]):
            decoded = _decode(part)
            if decoded is not None and decoded[0] > newest:
                newest, found = decoded
        self._generation = max(self._generation, newest)
        return found

    def save(self, positions: Mapping[str, Mapping[Lane, Place]]) -> None:
        """Write positions, durably.

        Raises:
            OSError: the disk failed; the positions before are still there.
        """
        stored = {
            uplink: {lane: _stored(place) for lane, place in lanes.items()}
            for uplink, lanes in positions.items()
        }
        body = json.dumps([self._generation + 1, stored], separators=(",", ":")).encode("ascii")
        block = b"%08x %s\n" % (zlib.crc32(body), body)
        block += b"\n" * (-len(block) % _BLOCK)
        try:
            if self._fd is None or len(block) != self._size:
                self.close()
                self._files.make_directory(self._path.parent)
                self._files.replace(self._path, block + block)
                self._size = len(block)
                self._fd = self._files.open(self._path)
            else:
                offset = len(block) * ((self._generation + 1) % 2)
                self._files.pwrite(self._fd, block, offset)
                self._files.sync_data(self._fd)
                self._files.check_name(self._fd, self._path)
        except OSError:
            self.close()
            raise
        self._generation += 1

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                self._files.close(fd)


def _decode(part: bytes) -> tuple[int, Positions] | None:
    crc, _, body = part.rstrip(b"\n").partition(b" ")
    if len(crc) != 8 or b"%08x" % zlib.crc32(body) != crc:
        return None
    try:
        generation, positions = json.loads(body)
        return int(generation), {
            str(uplink): {Lane(lane): _place(found) for lane, found in lanes.items()}
            for uplink, lanes in positions.items()
        }
    except (AttributeError, TypeError, ValueError):
        return None


def _stored(place: Place) -> int | list[int]:
    """A number, or the number and then first and last of each span beyond it."""
    if not place.beyond:
        return place.position
    return [place.position, *(each for span in place.beyond for each in span)]


def _place(found: object) -> Place:
    if not isinstance(found, list):
        return Place(int(str(found)))
    position, *ends = (int(each) for each in found)
    return Place(position, tuple(zip(ends[::2], ends[1::2], strict=True)))
