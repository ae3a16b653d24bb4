"""What a cloud team needs to read boxes and prove that nothing is missing: one file, no dependency.

Copy it. Feed `Consumer.hear` every message of `<root>/#` (topic, payload, retained or not); it says what
each is and whether it is new. `Consumer.ledgers` then holds, for each box and each of its streams, what
was heard, what came twice, what is missing, and what the box itself said it lost. Python 3.11, standard
library only; not thread-safe. The contract in words: docs/uplinks.md, "Proof of completeness".

Every lane of every run of the agent is a stream, numbered from 1 without holes. Its successor's opening
event names it and its last number; gap and damage events name what was dropped on the box. So each
number is heard, declared lost, missing, or not yet due.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

REORDER = 20
"""Messages in flight: so many may still arrive behind a higher number."""

EVENT, TELEMETRY = "event", "telemetry"
RETAINED = frozenset({"status", "meta", "state", "alarm"})
"""Channels whose last message stands at the broker."""


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers from `first` to `last`, both in it."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProof:
    """What is known of one stream."""

    lane: str
    """`event` or `telemetry`."""
    stream: str
    heard: int
    """Different numbers heard."""
    doubles: int
    missing: tuple[Span, ...]
    """Neither heard nor declared: lost without a record, or still to come after a reconnect."""
    declared: tuple[Span, ...]
    """Lost, and the box said so."""
    pending: tuple[Span, ...]
    """Not heard, but within the reordering window of a stream that goes on."""
    is_closed: bool
    """The next stream has opened and named this one's end."""
    is_clean: bool | None
    """Whether the run ended in order; None while that is not known."""
    unknown_from_ms: int | None
    """After an unclean end: readings from here to the next stream may never have been recorded."""

    @property
    def is_complete(self) -> bool:
        """Whether everything the box numbered has arrived."""
        return not self.missing and not self.declared and not self.pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message of a box."""

    site: str
    box: str
    channel: str
    """status, meta, state, alarm, tele, event, cmd or res."""
    name: str
    content: Mapping[str, Any]
    """Empty: the box has taken a retained message away, it has no such point or rule any more."""
    is_new: bool
    """False: heard before, to be dropped. States, alarms and the like are always new."""
    is_retained: bool
    """It stood at the broker before the subscription: true then, no news now."""


class NotTheContract(ValueError):
    """A message that is none of the contract's; the text says why."""


class Consumer:
    """Reads messages and keeps a ledger a box."""

    def __init__(self, root: str = "plantroom/v1", *, is_from_start: bool = False) -> None:
        """`is_from_start`: every box is heard from its first message, so number 1 must come too."""
        self._root = root
        self._is_from_start = is_from_start
        self.ledgers: dict[tuple[str, str], Ledger] = {}
        """By site and box."""

    def hear(self, topic: str, payload: bytes, *, is_retained: bool = False) -> Heard:
        """Return what a message is.

        Raises:
            NotTheContract: another topic, not JSON, or without what every such message has.
        """
        parts = topic.removeprefix(f"{self._root}/").split("/")
        if not topic.startswith(f"{self._root}/") or len(parts) != 4:
            raise NotTheContract(f"{topic} is not {self._root}/<site>/<box>/<channel>/<name>")
        site, box, channel, name = parts
        content = {} if not payload and channel in RETAINED else _object_in(payload, topic)
        is_new = True
        if channel in ("tele", "event"):
            is_new = self._enter((site, box), channel, content, topic)
        return Heard(
            site=site,
            box=box,
            channel=channel,
            name=name,
            content=content,
            is_new=is_new,
            is_retained=is_retained,
        )

    def _enter(
        self, home: tuple[str, str], channel: str, content: Mapping[str, Any], topic: str
    ) -> bool:
        stream, seq = content.get("stream"), content.get("seq")
        if not isinstance(stream, str) or not isinstance(seq, int) or isinstance(seq, bool):
            raise NotTheContract(f"{topic}: without stream and seq")
        ledger = self.ledgers.get(home)
        if ledger is None:
            ledger = self.ledgers[home] = Ledger(is_from_start=self._is_from_start)
        if channel == "tele":
            return ledger.enter(TELEMETRY, stream, seq)
        is_new = ledger.enter(EVENT, stream, seq)
        facts = content.get("detail")
        if is_new and isinstance(facts, dict):
            ledger.learn(str(content.get("kind")), facts)
        return is_new


def _object_in(payload: bytes, topic: str) -> dict[str, Any]:
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError) as fault:
        raise NotTheContract(f"{topic}: not JSON") from fault
    if not isinstance(content, dict) or not isinstance(content.get("schema"), str):
        raise NotTheContract(f"{topic}: not an object with a schema")
    return content


class Ledger:
    """Keeps book of all streams of one box. Memory grows with holes, not with messages."""

    def __init__(self, *, is_from_start: bool = True) -> None:
        """`is_from_start` False: streams already running are judged from the first number heard."""
        self._is_from_start = is_from_start
        self._books: dict[tuple[str, str], _Book] = {}

    def enter(self, lane: str, stream: str, seq: int) -> bool:
        """Enter a number and return whether it is new; False is a double, to be dropped."""
        return self._book(lane, stream).enter(seq)

    def learn(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Take in what an event of kind `stream`, `gap` or `damage` says in its detail."""
        lane = facts.get("lane")
        if lane not in (EVENT, TELEMETRY):
            return
        if kind == "stream":
            self._open(lane, facts)
        elif kind in ("gap", "damage"):
            stream, first, last = facts.get("stream"), facts.get("first_seq"), facts.get("last_seq")
            if isinstance(stream, str) and isinstance(first, int) and isinstance(last, int):
                self._book(lane, stream).declared.add(first, last)

    def proofs(self) -> tuple[StreamProof, ...]:
        """Return what is known of every stream, in the order first heard of."""
        return tuple(
            book.proof(lane, stream, is_from_start=self._is_from_start)
            for (lane, stream), book in self._books.items()
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, declared lost or pending in any stream."""
        return all(proof.is_complete for proof in self.proofs())

    def _open(self, lane: str, facts: Mapping[str, Any]) -> None:
        opened, before = facts.get("stream"), facts.get("previous")
        if isinstance(opened, str):
            self._book(lane, opened).is_opened = True
        if isinstance(before, str) and before:
            last, unknown = facts.get("previous_last_seq"), facts.get("unknown_from_wall_ms")
            book = self._book(lane, before)
            book.is_closed = True
            book.is_clean = facts.get("previous_clean") is True
            book.last = max(book.last, last if isinstance(last, int) else 0)
            book.unknown_from_ms = unknown if isinstance(unknown, int) else None

    def _book(self, lane: str, stream: str) -> _Book:
        return self._books.setdefault((lane, stream), _Book())


@dataclass(slots=True)
class _Book:
    heard: _Numbers = field(default_factory=lambda: _Numbers())
    declared: _Numbers = field(default_factory=lambda: _Numbers())
    doubles: int = 0
    last: int = 0
    is_opened: bool = False
    """Its opening was heard, so it is known from its first number."""
    is_closed: bool = False
    is_clean: bool | None = None
    unknown_from_ms: int | None = None

    def enter(self, seq: int) -> bool:
        is_new = self.heard.add(seq, seq)
        self.doubles += not is_new
        self.last = max(self.last, seq)
        return is_new

    def proof(self, lane: str, stream: str, *, is_from_start: bool) -> StreamProof:
        known = _Numbers()
        for span in (*self.heard, *self.declared):
            known.add(span.first, span.last)
        first = 1
        if not is_from_start and not self.is_opened:
            first = min((span.first for span in known), default=self.last + 1)
        due = self.last if self.is_closed else self.last - REORDER
        return StreamProof(
            lane=lane,
            stream=stream,
            heard=sum(len(span) for span in self.heard),
            doubles=self.doubles,
            missing=tuple(known.holes(first, due)),
            declared=tuple(
                hole for span in self.declared for hole in self.heard.holes(span.first, span.last)
            ),
            pending=tuple(known.holes(max(first, due + 1), self.last)),
            is_closed=self.is_closed,
            is_clean=self.is_clean,
            unknown_from_ms=self.unknown_from_ms,
        )


class _Numbers:
    """A set of whole numbers kept as spans that neither touch nor overlap, in order."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __iter__(self) -> Iterator[Span]:
        return map(Span, self._firsts, self._lasts)

    def add(self, first: int, last: int) -> bool:
        """Put all numbers from `first` to `last` in; return whether any was new."""
        at = bisect_right(self._firsts, first) - 1
        if at >= 0 and self._lasts[at] >= last:
            return False
        # Everything that touches [first - 1, last + 1] melts into one span.
        low = at if at >= 0 and self._lasts[at] >= first - 1 else at + 1
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]
        return True

    def holes(self, first: int, last: int) -> Iterator[Span]:
        """Yield what is missing from `first` to `last`."""
        for span in self:
            if span.last < first:
                continue
            if span.first > last:
                break
            if span.first > first:
                yield Span(first, span.first - 1)
            first = span.last + 1
        if first <= last:
            yield Span(first, last)
