"""What a lane's directory should hold: its sealed segments, its head, and the streams of its runs.

A file that is listed and gone was lost; a file that is there and not listed is looked at line by line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.outbox.atomic import AtomicStorage
from agent.outbox.files import Files
from agent.outbox.records import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What one segment holds of one stream."""

    stream: str
    first_seq: int
    last_seq: int
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of a lane."""

    number: int
    first: int
    """Number of its first record in the lane; 0 when empty."""
    last: int
    records: int
    bytes: int
    """Size of the file."""
    oldest_wall_ms: int | None
    spans: tuple[Span, ...]
    damaged: tuple[int, ...] = ()
    """Offsets of damage that was reported and set aside already."""
    is_sealed: bool = True
    classes: tuple[tuple[str, int], ...] = ()
    """How many events of each class are in it; empty for telemetry."""

    @property
    def name(self) -> str:
        """The file's name."""
        return segment_name(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process run in one lane: record `seq` of `stream` has the number `base + seq`."""

    stream: str
    base: int
    last_seq: int | None = None
    """Set at a clean end: the last seq given, on disk or acknowledged."""
    ended_wall_ms: int | None = None
    """Set at a clean end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A lane's table of contents."""

    segments: tuple[Segment, ...] = ()
    """Sealed ones, and the head as it was when it was made."""
    dropping: tuple[int, ...] = ()
    """Segments whose removal was decided and may be under way."""
    run: Run | None = None
    offsets_ms: dict[str, int] = field(default_factory=dict)
    """UTC ms at monotonic zero, by boot id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Records that are lost, as far as they can be named."""

    lane: Lane
    file: str
    reason: str
    """`unreadable`, `truncated`, `missing`, `undecodable`, `refused`, `manifest` or `cursors`."""
    stream: str = ""
    first_seq: int | None = None
    last_seq: int | None = None
    count: int | None = None
    """At most this many; None when it cannot be told."""


def segment_name(number: int) -> str:
    """Return the file name of a segment."""
    return f"seg-{number:08d}.log"


def segment_number(name: str) -> int | None:
    """Return the number in a segment's file name, or None for any other name."""
    digits = name.removeprefix("seg-").removesuffix(".log")
    return int(digits) if digits.isdigit() and name == segment_name(int(digits)) else None


class ManifestFile:
    """`manifest.json` of a lane: a TinyDB file written whole (tables `segments`, `lane`)."""

    def __init__(self, directory: Path, files: Files) -> None:
        self._path = directory / "manifest.json"
        self._files = files

    def load(self) -> tuple[Manifest | None, bool]:
        """Return the manifest (None: there is none to read), and whether it was damaged."""
        storage = AtomicStorage(self._path, self._files, keeps_before=False)
        try:
            tables = storage.read()
            return None if tables is None else _manifest(tables), storage.is_damaged
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None, True

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest, durably.

        Raises:
            OSError: the disk failed.
        """
        storage = AtomicStorage(self._path, self._files, keeps_before=False)
        storage.write(_tables(manifest))


def _tables(manifest: Manifest) -> dict[str, dict[str, Any]]:
    run = manifest.run
    return {
        "segments": {
            str(each.number): {
                "first": each.first,
                "last": each.last,
                "records": each.records,
                "bytes": each.bytes,
                "oldest_wall_ms": each.oldest_wall_ms,
                "spans": [[s.stream, s.first_seq, s.last_seq, s.records] for s in each.spans],
                "damaged": list(each.damaged),
                "classes": dict(each.classes),
                "is_sealed": each.is_sealed,
            }
            for each in manifest.segments
        },
        "lane": {
            "1": {
                "dropping": list(manifest.dropping),
                "run": None
                if run is None
                else [run.stream, run.base, run.last_seq, run.ended_wall_ms],
                "offsets_ms": manifest.offsets_ms,
            }
        },
    }


def _manifest(tables: Mapping[str, Mapping[str, Any]]) -> Manifest:
    lane = tables["lane"]["1"]
    run = lane["run"]
    return Manifest(
        segments=tuple(
            Segment(
                number=int(number),
                first=each["first"],
                last=each["last"],
                records=each["records"],
                bytes=each["bytes"],
                oldest_wall_ms=each["oldest_wall_ms"],
                spans=tuple(
                    Span(stream=stream, first_seq=first, last_seq=last, records=records)
                    for stream, first, last, records in each["spans"]
                ),
                damaged=tuple(each["damaged"]),
                is_sealed=each["is_sealed"],
                classes=tuple(sorted(dict(each["classes"]).items())),
            )
            for number, each in tables["segments"].items()
        ),
        dropping=tuple(lane["dropping"]),
        run=None
        if run is None
        else Run(stream=run[0], base=run[1], last_seq=run[2], ended_wall_ms=run[3]),
        offsets_ms=dict(lane["offsets_ms"]),
    )
