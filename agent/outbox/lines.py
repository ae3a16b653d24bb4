r"""One record as one line: `crc32 number json\n`, and how to find the good lines of a damaged file.

The CRC-32 (as 8 hex digits) covers everything after its blank. The JSON is ASCII, so a newline
always ends a record and a reader can start again at the next line after any damage.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_START = re.compile(rb"[0-9a-f]{8} [1-9][0-9]{0,18} \{")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A good line: its number in the lane, and its JSON."""

    number: int
    payload: bytes
    offset: int

    def document(self) -> dict[str, Any]:
        """Return the line's document, parsed anew each time."""
        document = json.loads(self.payload)
        if not isinstance(document, dict):
            raise ValueError(f"line {self.number} holds no document")
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRange:
    """Bytes of a file that are no good line."""

    offset: int
    length: int
    after: int | None
    """Number of the last good line before, None at the start of the file."""
    before: int | None
    """Number of the first good line behind, None at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a file holds."""

    lines: tuple[Line, ...]
    """Rising by number; of doubles the first."""
    damaged: tuple[DamagedRange, ...]
    end: int
    """Where the next line may be written: behind everything that is not filler."""


def encode_line(number: int, document: Mapping[str, object]) -> bytes:
    """Return a document as a line.

    Raises:
        TypeError, ValueError: the document is nothing JSON can hold.
    """
    return seal_line(number, json.dumps(document, separators=(",", ":")).encode("ascii"))


def seal_line(number: int, payload: bytes) -> bytes:
    """Return JSON already made as a line."""
    body = b"%d %s" % (number, payload)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def scan(data: bytes) -> Scan:
    """Return the good lines and the damaged ranges of a file's content; newlines at its end are filler."""
    lines: list[Line] = []
    bad: list[tuple[int, int]] = []
    end = len(data.rstrip(b"\n"))
    offset = 0
    for part in data[:end].split(b"\n") if end else ():
        if part:
            line = _parse(part, offset)
            if line is not None:
                lines.append(line)
            else:
                _salvage(part, offset, lines, bad)
        else:
            # filler in front of a record: of one write the later sectors came to the disk alone
            bad.append((offset, 1))
        offset += len(part) + 1
    return Scan(
        lines=_rising(lines),
        damaged=tuple(_neighbours(_merge(bad), lines)),
        end=min(end + 1, len(data)) if end else 0,
    )


def _parse(part: bytes, offset: int) -> Line | None:
    crc, blank, body = part[:8], part[8:9], part[9:]
    if len(crc) != 8 or blank != b" " or b"%08x" % zlib.crc32(body) != crc:
        return None
    number, _, payload = body.partition(b" ")
    if not number.isdigit() or not payload.startswith(b"{"):
        return None
    return Line(number=int(number), payload=payload, offset=offset)


def _salvage(part: bytes, offset: int, lines: list[Line], bad: list[tuple[int, int]]) -> None:
    """Look for good lines inside a bad one: a hit on a newline must not cost the record behind it."""
    start = 0
    for match in _START.finditer(part):
        at = match.start()
        if at <= start:
            continue
        # the byte before a start stood for the newline, so the record before may be whole
        head = _parse(part[start : at - 1], offset + start)
        if head is not None:
            lines.append(head)
            bad.append((offset + at - 1, 1))
            start = at
        else:
            tail = _parse(part[at:], offset + at)
            if tail is not None:
                bad.append((offset + start, at - start))
                lines.append(tail)
                return
    last = _parse(part[start:], offset + start) if start else None
    if last is not None:
        lines.append(last)
    else:
        bad.append((offset + start, len(part) - start))


def _rising(lines: list[Line]) -> tuple[Line, ...]:
    by_number: dict[int, Line] = {}
    for line in lines:
        by_number.setdefault(line.number, line)
    return tuple(by_number[number] for number in sorted(by_number))


def _merge(bad: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for offset, length in bad:
        if merged and offset <= sum(merged[-1]) + 1:
            merged[-1] = (merged[-1][0], offset + length - merged[-1][0])
        else:
            merged.append((offset, length))
    return merged


def _neighbours(bad: list[tuple[int, int]], lines: list[Line]) -> list[DamagedRange]:
    ranges = []
    for offset, length in bad:
        before = [line.number for line in lines if line.offset < offset]
        behind = [line.number for line in lines if line.offset > offset]
        ranges.append(
            DamagedRange(
                offset=offset,
                length=length,
                after=before[-1] if before else None,
                before=behind[0] if behind else None,
            )
        )
    return ranges
