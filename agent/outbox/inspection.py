"""Looking at a segment's content: which records it holds, what is lost, and how to name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent.outbox.files import Files
from agent.outbox.lines import DamagedRange, Line, scan, seal_line
from agent.outbox.manifest import Damage, Segment, Span, segment_name
from agent.outbox.records import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record as it is written, with what the lane must know of it."""

    number: int
    stream: str
    seq: int
    wall_ms: int
    payload: bytes
    line: bytes
    kept_as: str = ""
    """Class of an event, by which the journal keeps its newest; empty for telemetry."""

    @classmethod
    def of(cls, line: Line) -> Stored:
        """Return a record read back.

        Raises:
            ValueError: the line is good but no record of ours.
        """
        document = line.document()
        stream, seq, wall_ms = document.get("stream"), document.get("seq"), document.get("ts")
        if not isinstance(stream, str) or not isinstance(seq, int) or not isinstance(wall_ms, int):
            raise ValueError(f"line {line.number} is no record")
        return cls(
            number=line.number,
            stream=stream,
            seq=seq,
            wall_ms=wall_ms,
            payload=line.payload,
            line=seal_line(line.number, line.payload),
            kept_as=_text(document.get("class")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at a file brought."""

    segment: Segment
    records: tuple[Stored, ...]
    damages: tuple[Damage, ...]
    """Not reported before."""
    set_aside: tuple[tuple[int, int], ...]
    """Offset and length of what goes into quarantine."""


def is_as_listed(directory: Path, segment: Segment, files: Files) -> bool:
    """Whether a sealed file looks like its entry: size and the number of its first line."""
    if not segment.is_sealed or segment.damaged:
        return False
    try:
        start, size = files.peek(directory / segment.name, 32)
    except OSError:
        return False
    number = start[9:].partition(b" ")[0]
    return size == segment.bytes and number == b"%d" % segment.first


def summary(
    number: int,
    records: Sequence[Stored],
    size: int,
    *,
    is_sealed: bool,
    first: int = 0,
    damaged: tuple[int, ...] = (),
) -> Segment:
    """Return a segment's entry; `first` stands in while it is empty."""
    empty = Segment(
        number=number,
        first=first,
        last=max(0, first - 1),
        records=0,
        bytes=size,
        oldest_wall_ms=None,
        spans=(),
        damaged=damaged,
        is_sealed=is_sealed,
    )
    return extended(empty, records)


def extended(segment: Segment, records: Sequence[Stored]) -> Segment:
    """Return a segment's entry after records were appended to it."""
    if not records:
        return segment
    spans = list(segment.spans)
    classes = dict(segment.classes)
    for each in records:
        if each.kept_as:
            classes[each.kept_as] = classes.get(each.kept_as, 0) + 1
        count, first_seq = 1, each.seq
        if spans and spans[-1].stream == each.stream:
            last = spans.pop()
            count, first_seq = last.records + 1, last.first_seq
        spans.append(
            Span(stream=each.stream, first_seq=first_seq, last_seq=each.seq, records=count)
        )
    return replace(
        segment,
        first=segment.first if segment.records else records[0].number,
        last=records[-1].number,
        records=segment.records + len(records),
        oldest_wall_ms=segment.oldest_wall_ms if segment.records else records[0].wall_ms,
        spans=tuple(spans),
        classes=tuple(sorted(classes.items())),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def inspect(
    lane: Lane, number: int, data: bytes, listed: Segment | None, *, is_complete: bool
) -> Found:
    """Look at a file's content line by line, against its manifest entry where there is one.

    `is_complete`: the entry of a head counts all its records, as after a clean end.
    """
    found = scan(data)
    records: list[Stored] = []
    ranges = list(found.damaged)
    for line in found.lines:
        try:
            records.append(Stored.of(line))
        except ValueError:
            ranges.append(
                DamagedRange(
                    offset=line.offset,
                    length=len(line.payload),
                    after=records[-1].number if records else None,
                    before=None,
                )
            )
    known = set(listed.damaged) if listed is not None else set()
    sealed = listed is not None and listed.is_sealed
    is_counted = sealed or is_complete
    expected = listed if is_counted and _belongs(records, listed) else None
    by_number = {each.number: each for each in records}
    name = segment_name(number)
    damages = []
    for each in ranges:
        if each.offset not in known:
            damage = _name(lane, name, each, by_number, expected)
            if damage is not None:
                damages.append(damage)
    end = len(data)
    # an entry of a head has the size it was made with; without one a part of a line tells
    if listed is None:
        cut = bool(data) and not data.endswith(b"\n")
    else:
        cut = end < listed.bytes and (expected is not None or not sealed)
    lost = expected is not None and len(records) < expected.records and not ranges
    if (cut or lost) and end not in known:
        behind = DamagedRange(
            offset=end, length=0, after=records[-1].number if records else None, before=None
        )
        if not ranges or ranges[-1].before is not None:
            damage = _name(lane, name, behind, by_number, expected, "truncated")
            if damage is not None:
                damages.append(damage)
        ranges.append(behind)
    return Found(
        segment=summary(
            number,
            records,
            len(data),
            is_sealed=sealed or bool(ranges) or listed is None,
            first=listed.first if listed is not None else 0,
            damaged=tuple(sorted(each.offset for each in ranges)),
        ),
        records=tuple(records),
        damages=tuple(damages),
        set_aside=tuple((e.offset, e.length) for e in ranges if e.length and e.offset not in known),
    )


def _belongs(records: Sequence[Stored], listed: Segment | None) -> bool:
    """Whether a file's content is what its entry speaks of (files may have been swapped)."""
    return listed is not None and (not records or listed.first <= records[0].number <= listed.last)


def _name(
    lane: Lane,
    file: str,
    lost: DamagedRange,
    by_number: dict[int, Stored],
    listed: Segment | None,
    reason: str = "unreadable",
) -> Damage | None:
    """Name lost records by their neighbours. None: nothing was lost there."""
    after = by_number.get(lost.after) if lost.after is not None else None
    before = by_number.get(lost.before) if lost.before is not None else None
    start = (after.stream, after.seq + 1) if after is not None else None
    end = (before.stream, before.seq - 1) if before is not None else None
    if listed is not None and listed.spans:
        start = start or (listed.spans[0].stream, listed.spans[0].first_seq)
        end = end or (listed.spans[-1].stream, listed.spans[-1].last_seq)
    stream = start[0] if start is not None else end[0] if end is not None else ""
    first_seq = start[1] if start is not None else None
    last_seq = end[1] if end is not None and end[0] == stream else None
    count = None
    if first_seq is not None and last_seq is not None:
        count = last_seq - first_seq + 1
        if count <= 0:
            return None
    return Damage(
        lane=lane,
        file=file,
        reason=reason,
        stream=stream,
        first_seq=first_seq,
        last_seq=last_seq,
        count=count,
    )
