"""Reading records back from segments, in a thread of its own: a sync that hangs holds up no reader."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydb.queries import QueryLike

from agent.core.effects import EventKind
from agent.core.memory import LogPosition
from agent.outbox.documents import event_record
from agent.outbox.files import Files
from agent.outbox.lines import Line, scan
from agent.outbox.manifest import Segment
from agent.outbox.records import EventRecord
from agent.outbox.segment import SegmentDB

_CACHED = 3
"""Sealed segments kept in memory while cursors read through them (256 KiB each)."""

_REPLAYED_PER_RULE = 4
"""Without a snapshot, so many last events of each rule and kind are given: state, and how it came."""

_REPLAYED = (
    EventKind.ALARM,
    EventKind.SILENCE,
    EventKind.INHIBIT,
    EventKind.DRILL,
    EventKind.MODE,
    EventKind.OUTPUT,
)
"""What moves the memory of alarms and of what people ordered (agent.core.memory)."""

_MARKS = tuple(f'"kind":"{kind}"'.encode("ascii") for kind in _REPLAYED)
"""One stands in the line of every such event; lines without need no parsing."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some records read from disk."""

    documents: tuple[tuple[int, dict[str, Any]], ...]
    """By rising number."""
    next_number: int
    """Where to go on."""
    suspects: tuple[int, ...]
    """Sealed segments in which damage was met."""
    gone: frozenset[int]
    """Segments whose file was not there."""


class SegmentReader:
    """Reads one lane. `segments` is what `SegmentLog.segments` was when asked."""

    def __init__(self, directory: Path, files: Files) -> None:
        self._directory = directory
        self._files = files
        self._cache: OrderedDict[int, tuple[Line, ...]] = OrderedDict()

    def read(self, segments: Sequence[Segment], start: int, stop: int, most: int) -> Page:
        """Return up to `most` records with numbers from `start` up to, without, `stop`.

        Raises:
            OSError: the disk failed.
        """
        documents: list[tuple[int, dict[str, Any]]] = []
        suspects: list[int] = []
        gone: set[int] = set()
        for segment in segments:
            if segment.last < start or not segment.records:
                continue
            if segment.first >= stop:
                break
            for line in self._lines(segment, suspects, gone):
                if start <= line.number < stop and line.number <= segment.last:
                    documents.append((line.number, _document(line)))
                    start = line.number + 1
                    if len(documents) >= most:
                        return Page(
                            documents=tuple(documents),
                            next_number=start,
                            suspects=tuple(suspects),
                            gone=frozenset(gone),
                        )
        return Page(
            documents=tuple(documents),
            next_number=stop,
            suspects=tuple(suspects),
            gone=frozenset(gone),
        )

    def search(
        self, segments: Sequence[Segment], condition: QueryLike | None, limit: int, stop: int
    ) -> list[EventRecord]:
        """Return up to `limit` newest events below number `stop` under a TinyDB condition, newest first."""
        found: list[EventRecord] = []
        for segment in reversed(segments):
            if len(found) >= limit:
                break
            try:
                with SegmentDB(self._directory / segment.name, self._files) as db:
                    documents = db.all() if condition is None else db.search(condition)
            except FileNotFoundError:
                continue
            for document in sorted(documents, key=lambda each: -each.doc_id):
                is_wanted = document.doc_id <= segment.last and document.doc_id < stop
                if is_wanted and len(found) < limit:
                    found.extend(_events([dict(document)]))
        return found

    def replay(
        self, segments: Sequence[Segment], position: LogPosition | None
    ) -> tuple[EventRecord, ...]:
        """Return the events that move the memory of alarms and orders behind a position, oldest first.

        Where the position is not in the log any more, the last ones of each rule.
        """
        known = position is not None and any(
            span.stream == position.stream for each in segments for span in each.spans
        )
        found: list[dict[str, Any]] = []
        kept: dict[tuple[object, object], int] = {}
        for segment in reversed(segments):
            try:
                lines = scan(self._files.read(self._directory / segment.name)).lines
            except FileNotFoundError:
                continue
            for line in reversed(lines):
                if position is not None and known:
                    document = line.document()
                    if document.get("stream") == position.stream and (
                        int(document.get("seq", 0)) <= position.seq
                    ):
                        return _events(found)
                elif not any(mark in line.payload for mark in _MARKS):
                    continue
                else:
                    document = line.document()
                if document.get("kind") not in _REPLAYED or line.number > segment.last:
                    continue
                # each kind counts for itself: many silences may not hide the state they belong to
                key = (document.get("rule"), document.get("kind"))
                kept[key] = kept.get(key, 0) + 1
                if known or kept[key] <= _REPLAYED_PER_RULE:
                    found.append(document)
        return _events(found)

    def _lines(self, segment: Segment, suspects: list[int], gone: set[int]) -> tuple[Line, ...]:
        cached = self._cache.get(segment.number)
        if cached is not None:
            self._cache.move_to_end(segment.number)
            return cached
        try:
            found = scan(self._files.read(self._directory / segment.name))
        except FileNotFoundError:
            gone.add(segment.number)
            if segment.is_sealed:
                suspects.append(segment.number)
            return ()
        if segment.is_sealed:
            if len(found.lines) != segment.records:
                suspects.append(segment.number)
            self._cache[segment.number] = found.lines
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return found.lines


def _document(line: Line) -> dict[str, Any]:
    try:
        return line.document()
    except ValueError:
        return {}  # no record can be made of it, and that is told


def _events(newest_first: Sequence[dict[str, Any]]) -> tuple[EventRecord, ...]:
    records = []
    for document in reversed(newest_first):
        try:
            records.append(event_record(document))
        except ValueError as error:
            _log.error("a stored event is passed over: %s", error)
    return tuple(records)
