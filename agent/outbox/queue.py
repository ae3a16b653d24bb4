"""One lane of this process run in memory: what is not yet on disk, and what was written lately."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent.outbox.records import Batch, EventRecord, Lane

R = TypeVar("R", EventRecord, Batch)


@dataclass(frozen=True, slots=True)
class Held(Generic[R]):
    """A record in memory."""

    record: R
    bytes: int
    """About what it takes in memory."""
    since_s: float
    """Monotonic; when its first part came."""


class LaneQueue(Generic[R]):
    """Records by key, rising. The key of a record is `base + seq`, its number on disk.

    `base` is 0 until the recovery has told where the numbers go on. Keys from `first_key` on live
    here or are owed to nobody; those below are on disk.
    """

    def __init__(self, lane: Lane, stream: str, *, reserved: int = 0) -> None:
        """`reserved` seqs at the start are given by `open_with`, after the recovery."""
        self.lane = lane
        self.stream = stream
        self.base = 0
        self.last_seq = reserved
        self.written = 0
        """Everything up to this key is on disk, or was acknowledged by all before it had to be."""
        self.touched = 0
        """Everything up to this key is on disk or may be: it was given to the writer thread."""
        self.released = 0
        """Everything up to this key may be handed out."""
        self.bytes = 0
        self._held: dict[int, Held[R]] = {}

    @property
    def last_key(self) -> int:
        """The highest key given."""
        return self.base + self.last_seq

    @property
    def first_key(self) -> int:
        """The lowest key in memory; one behind the last when there is none."""
        return next(iter(self._held), self.last_key + 1)

    def next_seq(self) -> int:
        """Give out a seq."""
        self.last_seq += 1
        return self.last_seq

    def put(self, record: R, size: int, since_s: float) -> None:
        """Hold the record with the highest seq."""
        self._held[self.base + record.seq] = Held(record, size, since_s)
        self.bytes += size

    def open_with(self, base: int, openings: list[Held[R]]) -> None:
        """Learn where numbers go on, and fill the reserved first seqs."""
        held = {base + each.record.seq: each for each in openings}
        held.update((base + key, each) for key, each in self._held.items())
        self._held = held
        self.base = base
        self.written += base
        self.touched += base
        self.released += base
        self.bytes += sum(each.bytes for each in openings)

    def release(self, key: int) -> bool:
        """Let everything up to `key` be handed out; return whether that is news."""
        is_news = key > self.released
        self.released = max(self.released, key)
        return is_news

    def wrote(self, key: int) -> None:
        """Note that everything up to `key` is on disk."""
        self.written = max(self.written, key)

    def unwritten(self) -> list[tuple[int, Held[R]]]:
        """Return what is not on disk, oldest first."""
        found: list[tuple[int, Held[R]]] = []
        for key, held in self._newest_first():
            if key <= self.written:
                break
            found.append((key, held))
        return found[::-1]

    @property
    def has_unwritten(self) -> bool:
        """Whether something is not on disk."""
        last = next(reversed(self._held), None)
        return last is not None and last > self.written

    def oldest_unwritten(self) -> Held[R] | None:
        """Return the oldest record that is not on disk."""
        if not self.has_unwritten:
            return None
        if self.first_key > self.written:
            return self._held[self.first_key]
        for key in range(self.written + 1, self.last_key + 1):
            if key in self._held:
                return self._held[key]
        return None

    def replace_from(self, start: int, change: Callable[[R], R]) -> None:
        """Put changed records in place of those from a key on."""
        for key, held in self._held.items():
            if key >= start:
                self._held[key] = Held(change(held.record), held.bytes, held.since_s)

    def between(self, start: int, stop: int, most: int) -> tuple[list[tuple[int, R]], int]:
        """Return up to `most` records with keys from `start` up to, without, `stop`; and where to go on."""
        found: list[tuple[int, R]] = []
        for key in range(max(start, self.first_key), stop):
            held = self._held.get(key)
            if held is not None:
                found.append((key, held.record))
                if len(found) >= most:
                    return found, key + 1
        return found, max(start, stop)

    def get(self, key: int) -> R | None:
        """Return a record in memory."""
        held = self._held.get(key)
        return None if held is None else held.record

    def records(self) -> Iterator[tuple[int, R]]:
        """Yield keys and records, newest first."""
        return ((key, held.record) for key, held in self._newest_first())

    def count_after(self, key: int) -> int:
        """Return how many records not on disk come after a key."""
        return sum(1 for each in self._held if each > key and each > self.written)

    def forget_done(self, done: int, *, unwritten_too: bool) -> None:
        """Let go of what every uplink has acknowledged (and that is on disk, unless told)."""
        while self._held:
            key = next(iter(self._held))
            if key > done or (key > self.written and not unwritten_too):
                return
            self._pop(key)

    def shrink(self, most_bytes: int) -> None:
        """Let go of the oldest that are on disk until about `most_bytes` are held."""
        while self._held and self.bytes > most_bytes:
            key = next(iter(self._held))
            if key > self.written:
                return
            self._pop(key)

    def discard(self, first: int, last: int, may_go: Callable[[R], bool]) -> None:
        """Let go of records in a range of keys that were dropped on disk."""
        for key in [each for each in self._held if first <= each <= last]:
            if may_go(self._held[key].record):
                self._pop(key)

    def evict(self, most_bytes: int, may_go: Callable[[R], bool]) -> list[tuple[int, R]]:
        """Take out the oldest records not on disk until `most_bytes` are held; return them."""
        gone: list[tuple[int, R]] = []
        for key, held in list(self._held.items()):
            if self.bytes <= most_bytes:
                break
            if may_go(held.record):
                self._pop(key)
                if key > self.written:
                    gone.append((key, held.record))
        return gone

    def _pop(self, key: int) -> None:
        self.bytes -= self._held.pop(key).bytes

    def _newest_first(self) -> Iterator[tuple[int, Held[R]]]:
        return ((key, self._held[key]) for key in reversed(self._held))
