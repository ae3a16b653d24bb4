"""Looking at an outbox from outside, on a live box or a dead one: files are read, nothing is ever written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.outbox.documents import batch_record, event_record
from agent.outbox.files import Files
from agent.outbox.inspection import inspect
from agent.outbox.lines import scan
from agent.outbox.manifest import Damage, Manifest, ManifestFile, Segment, segment_name
from agent.outbox.manifest import segment_number as number_of
from agent.outbox.positions import PositionFile, Positions
from agent.outbox.records import Batch, EventRecord, Lane

_TRIES = 3
"""A file of a living agent may be replaced while it is read; so often it is looked for anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one file holds."""

    lane: Lane
    file: str
    segment: Segment | None
    """None: nothing of use."""
    damages: tuple[Damage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRecord:
    """A record that no broker took, as it lies in quarantine."""

    path: Path
    record: EventRecord | Batch


class Shelf:
    """The outbox of one box, by its directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = Files()

    def owner(self) -> str:
        """Return who keeps records here now, as that process says; empty when nobody does.

        Raises:
            OSError: it cannot be told.
        """
        path = self.root / "lock"
        if not path.exists():
            return ""
        return self._files.lock_holder(path)

    def positions(self) -> Positions | None:
        """Return where each uplink stands; None when that cannot be read."""
        return PositionFile(self.root, self._files).load()

    def files(self) -> list[tuple[Lane, int]]:
        """Return the segments there are, by lane and number."""
        found = []
        for lane in Lane:
            directory = self.root / lane.value
            names = self._files.names(directory) if directory.is_dir() else ()
            numbers = [number for name in names if (number := number_of(name)) is not None]
            found += [(lane, number) for number in numbers]
        return found

    def look(self, lane: Lane, number: int, *, is_live: bool) -> Looked:
        """Read one file line by line and compare it with the manifest.

        `is_live`: an agent writes here, so the last line of its open file may be half there.

        Raises:
            OSError: it cannot be read.
        """
        listed = self._listed(lane, number)
        data = self._files.read(self.root / lane.value / segment_name(number))
        run = self._manifest(lane).run
        is_complete = run is not None and run.last_seq is not None
        found = inspect(lane, number, data, listed, is_complete=is_complete and not is_live)
        is_open = is_live and (listed is None or not listed.is_sealed)
        return Looked(
            lane=lane,
            file=f"{lane.value}/{segment_name(number)}",
            segment=found.segment if found.records else None,
            damages=() if is_open else found.damages,
        )

    def missing(self) -> list[Damage]:
        """Return what the manifests list and is not there."""
        there = set(self.files())
        return [
            Damage(lane=lane, file=each.name, reason="missing", count=each.records or None)
            for lane in Lane
            for each in self._manifest(lane).segments
            if (lane, each.number) not in there
        ]

    def records(
        self, lane: Lane, number: int
    ) -> Iterator[tuple[int, EventRecord | Batch | None, str]]:
        """Yield number, record and why it is none, of one file; a file that has gone holds none.

        Raises:
            OSError: it cannot be read.
        """
        try:
            data = self._files.read(self.root / lane.value / segment_name(number))
        except FileNotFoundError:
            return
        for line in scan(data).lines:
            try:
                document = line.document()
                record = event_record(document) if lane is Lane.EVENT else batch_record(document)
            except ValueError as error:
                yield line.number, None, str(error)
            else:
                yield line.number, record, ""

    def refused(self) -> list[RefusedRecord]:
        """Return the records in quarantine that can be read, oldest first."""
        directory = self.root / "quarantine"
        found: list[RefusedRecord] = []
        for name in self._files.names(directory) if directory.is_dir() else ():
            if "-refused-" not in name:
                continue
            path = directory / name
            try:
                document = _document(self._files.read(path))
                record = event_record(document) if "kind" in document else batch_record(document)
            except ValueError:
                continue
            found.append(RefusedRecord(path=path, record=record))
        return found

    def set_aside(self) -> int:
        """Return how many pieces lie in quarantine."""
        directory = self.root / "quarantine"
        return len(self._files.names(directory)) if directory.is_dir() else 0

    def _manifest(self, lane: Lane) -> Manifest:
        for _ in range(_TRIES):
            manifest, _is_damaged = ManifestFile(self.root / lane.value, self._files).load()
            if manifest is not None:
                return manifest
        return Manifest()

    def _listed(self, lane: Lane, number: int) -> Segment | None:
        return next((each for each in self._manifest(lane).segments if each.number == number), None)


def _document(data: bytes) -> dict[str, object]:
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError("no record")
    return document


def boxes(directory: Path) -> list[str]:
    """Return the boxes that have an outbox in a data folder.

    Raises:
        OSError: it cannot be read.
    """
    if not directory.is_dir():
        return []
    return sorted(each.name for each in directory.iterdir() if (each / Lane.EVENT.value).is_dir())
