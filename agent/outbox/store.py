"""One lane on disk: a directory of segments, appended to, recovered and dropped. Worker thread only.

`segments` is replaced, never changed, so that the reading thread may look at it at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent.outbox.files import Files
from agent.outbox.inspection import Stored, extended, inspect, is_as_listed, summary
from agent.outbox.lines import Line, scan
from agent.outbox.manifest import (
    Damage,
    Manifest,
    ManifestFile,
    Run,
    Segment,
    segment_name,
    segment_number,
)
from agent.outbox.quarantine import Quarantine
from agent.outbox.records import Lane
from agent.outbox.segment import SegmentDB

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found when a lane was opened."""

    last_number: int
    """The highest number on disk or known to have been given; 0 when none."""
    last_stored: Stored | None
    """The last record on disk."""
    previous: Run | None
    """The run before, if the manifest knows it."""
    damages: tuple[Damage, ...]
    offsets_ms: dict[str, int]


class SegmentLog:
    """A lane's segments. Numbers given to `append` rise; a number seen before is taken as a repeat."""

    def __init__(self, lane: Lane, directory: Path, segment_bytes: int, files: Files) -> None:
        self.lane = lane
        self.directory = directory / lane.value
        self.segments: tuple[Segment, ...] = ()
        """Sealed ones and the head, in the order of their records."""
        self.last_number = 0
        self._files = files
        self._segment_bytes = segment_bytes
        self._manifest_file = ManifestFile(self.directory, files)
        self._quarantine = Quarantine(directory / "quarantine", files)
        self._manifest = Manifest()
        self._is_unsaved = False
        self._head: SegmentDB | None = None
        self._head_number = 0
        self._head_records: list[Stored] = []
        self._orphans: list[Stored] = []
        self._abandoned: list[int] = []
        self._dropping: list[int] = []
        self._next_segment = 1
        self._unverified: list[int] = []
        self._untold: dict[int, tuple[int, ...]] = {}
        """Segments with damage whose event is not on disk yet, and what was told before."""
        self._lost: list[Segment] = []
        """Entries of files that are gone, until the event of it is on disk."""

    @property
    def bytes(self) -> int:
        """Bytes of all segments."""
        return sum(each.bytes for each in self.segments)

    # -- opening -----------------------------------------------------------------------------------

    def check_owner(self) -> None:
        """Make sure that this user may read and write what is there.

        Raises:
            OSError: another user owns some of it, or the directory cannot be used at all.
        """
        self._files.make_directory(self.directory)
        for name in self._files.names(self.directory):
            if segment_number(name) is not None or name.startswith("manifest.json"):
                self._files.check_owner(self.directory / name)

    def recover(self) -> Recovery:
        """Open the lane, whatever lies in its directory. May be called again after a failure.

        Raises:
            OSError: the directory cannot be used at all.
        """
        self._reset()
        self._files.make_directory(self.directory)
        manifest, is_damaged = self._manifest_file.load()
        damages: list[Damage] = []
        if is_damaged:
            damages.append(Damage(lane=self.lane, file="manifest.json", reason="manifest"))
        self._manifest = manifest or Manifest()
        listed = {each.number: each for each in self._manifest.segments}
        present = self._present()
        segments: list[Segment] = []
        tails: dict[int, list[Stored]] = {}
        unreadable: set[int] = set()
        for number in present:
            segment = listed.get(number)
            if segment is not None and is_as_listed(self.directory, segment, self._files):
                self._unverified.append(number)
                segments.append(segment)
                continue
            looked, records = self._look(number, segment, damages)
            if looked is not None:
                segments.append(looked)
                tails[number] = records
            elif segment is not None:
                unreadable.add(number)
        for number, entry in sorted(listed.items()):
            held = next((each for each in segments if each.number == number), None)
            if number not in unreadable and _is_missing(entry, held, segments):
                damages.extend(self._lost_whole(entry, "missing"))
                self._lost.append(entry)
        self._next_segment = max((*present, *listed, 0)) + 1
        self.segments = tuple(sorted(segments, key=lambda each: (each.first, each.last)))
        self._reopen_head(tails)
        last = self._last_stored()
        run = self._manifest.run
        self.last_number = max(
            last.number if last else 0,
            max((each.last for each in self.segments), default=0),
            max((each.last for each in listed.values()), default=0),
            0 if run is None else run.base + (run.last_seq or 0),
        )
        return Recovery(
            last_number=self.last_number,
            last_stored=last,
            previous=run,
            damages=tuple(damages),
            offsets_ms=self._manifest.offsets_ms,
        )

    def start_run(self, run: Run) -> None:
        """Note the stream that begins, durably, before its first record.

        Raises:
            OSError: the disk failed; call again.
        """
        self.last_number = max(self.last_number, run.base)
        self._manifest = replace(self._manifest, run=run)
        self._save()

    def finish(self, last_seq: int, wall_ms: int) -> None:
        """Note a clean end, durably.

        Raises:
            OSError: the disk failed; the run will count as cut off.
        """
        run = self._manifest.run
        if run is not None:
            self._manifest = replace(
                self._manifest, run=replace(run, last_seq=last_seq, ended_wall_ms=wall_ms)
            )
        self._save()

    def close(self) -> None:
        """Close the file in use."""
        if self._head is not None:
            with suppress(OSError):
                self._head.close()

    def note_offset(self, boot: str, offset_ms: int) -> None:
        """Keep this boot's clock offset.

        Raises:
            OSError: the disk failed.
        """
        self._manifest = replace(self._manifest, offsets_ms={boot: offset_ms})
        self._save()

    # -- writing -----------------------------------------------------------------------------------

    def append(self, records: Sequence[Stored]) -> None:
        """Write records and wait until they are on the disk. Repeating a failed call doubles nothing.

        Raises:
            OSError: the disk failed. The file in use is abandoned; what it held is written to a new
                one by the next call that succeeds.
        """
        fresh = [each for each in records if each.number > self.last_number]
        pending = self._orphans + fresh
        while pending:
            head = self._head_for(len(pending[0].line))
            room = head.segment.room
            count = 0
            while count < len(pending) and room >= len(pending[count].line):
                room -= len(pending[count].line)
                count += 1
            chunk, pending = pending[:count], pending[count:]
            try:
                head.log.append(
                    [Line(number=each.number, payload=each.payload, offset=0) for each in chunk],
                    b"".join(each.line for each in chunk),
                )
            except OSError:
                self._abandon()
                raise
            self._head_records.extend(chunk)
            self.last_number = max(self.last_number, chunk[-1].number)
            self._orphans = [each for each in self._orphans if each.number > chunk[-1].number]
            self._show_head(chunk)
        self._bury()

    def mark_damage(self) -> None:
        """Save which damage has been reported (its event is on disk), so that it is not again.

        Raises:
            OSError: the disk failed.
        """
        if self._untold or self._lost:
            self._untold.clear()
            self._lost.clear()
            self._save()

    def verify_next(self) -> tuple[Damage, ...]:
        """Look at one sealed segment not yet looked at since the start; return what is lost."""
        if not self._unverified:
            return ()
        return self.verify(self._unverified[0])

    @property
    def has_unverified(self) -> bool:
        """Whether `verify_next` has something left to look at."""
        return bool(self._unverified)

    def verify(self, number: int) -> tuple[Damage, ...]:
        """Look at one sealed segment; return what is lost and was not reported before."""
        if number in self._unverified:
            self._unverified.remove(number)
        listed = next((each for each in self.segments if each.number == number), None)
        if listed is None or not listed.is_sealed:
            return ()
        damages: list[Damage] = []
        looked, _ = self._look(number, listed, damages)
        others = tuple(each for each in self.segments if each.number != number)
        if looked is None:
            self.segments = others
        elif looked != listed:
            self.segments = tuple(
                sorted((*others, looked), key=lambda each: (each.first, each.last))
            )
        return tuple(damages)

    # -- dropping ----------------------------------------------------------------------------------

    def seal(self) -> None:
        """Write no more to the file in use, so that it may be dropped."""
        if self._head is not None:
            with suppress(OSError):
                self._head.close()
            self._head, self._head_records = None, []
            self.segments = tuple(replace(each, is_sealed=True) for each in self.segments)

    def drop(self, numbers: Iterable[int]) -> None:
        """Remove sealed segments: the decision first, durably, then the files.

        Raises:
            OSError: the disk failed; the rest is removed at the next start.
        """
        gone = {each.number for each in self.segments if each.is_sealed} & set(numbers)
        if not gone:
            return
        self.segments = tuple(each for each in self.segments if each.number not in gone)
        self._dropping.extend(gone)
        self._save()
        for number in tuple(self._dropping):
            self._files.unlink(self.directory / segment_name(number))
            self._dropping.remove(number)

    def retire(self, numbers: Sequence[int], lacking: Mapping[str, int]) -> None:
        """Remove sealed segments but for so many newest records of each class as `lacking` says.

        What stays of neighbours, and of small files before them, stands in one new file.

        Raises:
            OSError: the disk failed; the old files still count.
        """
        left = dict(lacking)
        for going in reversed(self._neighbours(set(numbers))):
            self._rewrite([each.number for each in going], self._newest(going, left))

    def _neighbours(self, numbers: set[int]) -> list[list[Segment]]:
        """Return sealed segments in groups that follow on each other, small ones in front taken in."""
        groups: list[list[Segment]] = []
        small: list[Segment] = []
        is_going = False
        for each in self.segments:
            if each.is_sealed and each.number in numbers:
                if is_going:
                    groups[-1].append(each)
                else:
                    groups.append([*small, each])
                small, is_going = [], True
                continue
            is_going = False
            is_small = each.is_sealed and each.bytes * 4 <= self._segment_bytes
            small = [*small, each] if is_small else []
        return groups

    def _newest(self, going: Sequence[Segment], left: dict[str, int]) -> list[Stored]:
        """Return the newest records of each class, so many as `left` says, and count them off."""
        kept: list[Stored] = []
        for segment in reversed(going):
            if not any(left.get(name, 0) > 0 for name, _ in segment.classes):
                continue
            for line in reversed(scan(self._files.read(self.directory / segment.name)).lines):
                with suppress(ValueError):
                    record = Stored.of(line)
                    if left.get(record.kept_as, 0) > 0:
                        left[record.kept_as] -= 1
                        kept.append(record)
        return kept[::-1]

    def compact(self, number: int, is_kept: Callable[[dict[str, object]], bool]) -> None:
        """Rewrite a sealed segment with only the records that are kept, in a new file.

        Raises:
            OSError: the disk failed; the old file still counts.
        """
        segment = next((each for each in self.segments if each.number == number), None)
        if segment is None or not segment.is_sealed:
            return
        lines = scan(self._files.read(self.directory / segment.name)).lines
        self._rewrite((number,), [Stored.of(line) for line in lines if is_kept(line.document())])

    def _rewrite(self, numbers: Sequence[int], kept: Sequence[Stored]) -> None:
        """Put what is kept of segments into a new file, then remove them."""
        if kept:
            fresh = self._next_segment
            self._next_segment += 1
            data = b"".join(each.line for each in kept)
            self._files.replace(self.directory / segment_name(fresh), data)
            rewritten = summary(fresh, kept, len(data), is_sealed=True)
            self.segments = tuple(
                sorted((*self.segments, rewritten), key=lambda each: (each.first, each.last))
            )
        self.drop(numbers)

    # -- inside ------------------------------------------------------------------------------------

    def _reset(self) -> None:
        if self._head is not None:
            with suppress(OSError):
                self._head.close()
        self._head = None
        self._head_records, self._orphans = [], []
        self._abandoned, self._dropping, self._unverified = [], [], []
        self._untold, self._lost = {}, []

    def _present(self) -> list[int]:
        present = []
        for name in self._files.names(self.directory):
            number = segment_number(name)
            if number in self._manifest.dropping or name.endswith(".tmp"):
                with suppress(OSError):
                    self._files.unlink(self.directory / name)
            elif number is not None:
                present.append(number)
            elif not name.startswith("manifest.json"):
                _log.warning("%s: not a file of the outbox, left alone", name)
        return present

    def _look(
        self, number: int, listed: Segment | None, damages: list[Damage]
    ) -> tuple[Segment | None, list[Stored]]:
        """Read a file line by line; set damage aside. None: there is nothing in it to keep."""
        path = self.directory / segment_name(number)
        try:
            data = self._files.read(path)
        except OSError as error:
            _log.error("%s cannot be read: %s", path.name, error)
            if listed is not None:
                damages.extend(self._lost_whole(listed, "unreadable"))
            else:
                damages.append(Damage(lane=self.lane, file=path.name, reason="unreadable"))
            return None, []
        run = self._manifest.run
        has_ended = run is not None and run.last_seq is not None
        found = inspect(self.lane, number, data, listed, is_complete=has_ended)
        if found.damages:
            self._untold[number] = listed.damaged if listed is not None else ()
        for offset, length in found.set_aside:
            self._quarantine.keep(
                f"{self.lane.value}-{number:08d}-{offset}", data[offset : offset + length]
            )
        damages.extend(self._begun(each, listed) for each in found.damages)
        if not found.records and listed is None and not found.segment.damaged:
            with suppress(OSError):
                self._files.unlink(path)
            return None, []
        return found.segment, list(found.records)

    def _begun(self, damage: Damage, listed: Segment | None) -> Damage:
        """Name where damage at the very beginning of a file begins, which no neighbour in it tells."""
        run = self._manifest.run
        if damage.first_seq is not None or listed is None or run is None:
            return damage
        first_seq = listed.first - run.base
        if first_seq < 1 or damage.stream not in ("", run.stream):
            return damage
        last_seq = damage.last_seq
        return replace(
            damage,
            stream=run.stream,
            first_seq=first_seq,
            count=None if last_seq is None else last_seq - first_seq + 1,
        )

    def _lost_whole(self, segment: Segment, reason: str) -> list[Damage]:
        """Name what a file held by its entry; that of a head may be older than its last records."""
        run = self._manifest.run
        is_complete = segment.is_sealed or (run is not None and run.last_seq is not None)
        damages = [
            Damage(
                lane=self.lane,
                file=segment.name,
                reason=reason,
                stream=span.stream,
                first_seq=span.first_seq,
                last_seq=span.last_seq,
                count=span.records,
            )
            for span in segment.spans
        ]
        if is_complete:
            return damages
        if damages and run is not None and damages[-1].stream == run.stream:
            damages[-1] = replace(damages[-1], last_seq=None, count=None)
            return damages
        begins_in_run = run is not None and segment.first > run.base
        return [
            *damages,
            Damage(
                lane=self.lane,
                file=segment.name,
                reason=reason,
                stream="" if run is None else run.stream,
                first_seq=segment.first - run.base if run is not None and begins_in_run else 1,
            ),
        ]

    def _reopen_head(self, looked: dict[int, list[Stored]]) -> None:
        """Go on in the last file if it was a head and is whole; so a crash loop fills no disk."""
        segments = list(self.segments)
        for index, each in enumerate(segments):
            is_last = index == len(segments) - 1
            if each.is_sealed:
                continue
            if is_last and not each.damaged:
                with suppress(OSError):
                    self._head = SegmentDB(self.directory / each.name, self._files)
                    self._head_number = each.number
                    self._head_records = looked[each.number]
                    continue
            segments[index] = replace(each, is_sealed=True)
        self.segments = tuple(segments)

    def _last_stored(self) -> Stored | None:
        for segment in reversed(self.segments):
            with suppress(OSError, ValueError):
                lines = scan(self._files.read(self.directory / segment.name)).lines
                if lines:
                    return Stored.of(lines[-1])
        return None

    def _head_for(self, length: int) -> SegmentDB:
        if self._head is not None and self._head.segment.room < length:
            self._head.close()
            self._head = None
            self.segments = tuple(replace(each, is_sealed=True) for each in self.segments)
        if self._head is None:
            number = self._next_segment
            self._next_segment += 1
            size = max(self._segment_bytes, length)
            self._files.make_directory(self.directory)
            self._head = SegmentDB(self.directory / segment_name(number), self._files, size=size)
            self._head_number = number
            self._head_records = []
            self.segments = (
                *self.segments,
                summary(number, (), size, is_sealed=False, first=self.last_number + 1),
            )
            self._is_unsaved = True
        if self._is_unsaved:
            self._save()
        return self._head

    def _show_head(self, chunk: Sequence[Stored]) -> None:
        self.segments = (*self.segments[:-1], extended(self.segments[-1], chunk))

    def _abandon(self) -> None:
        """Trust nothing of the head: what it held is in memory and goes to a new file."""
        if self._head is not None:
            with suppress(OSError):
                self._head.close()
        self._orphans = self._head_records + self._orphans
        self._head = None
        self._head_records = []
        self._abandoned.append(self._head_number)

    def _bury(self) -> None:
        """Remove abandoned files once all they held stands elsewhere."""
        if self._abandoned:
            gone = set(self._abandoned)
            self._abandoned = []
            self.segments = tuple(each for each in self.segments if each.number not in gone)
            self._dropping.extend(gone)
            self._save()
            for number in tuple(self._dropping):
                self._files.unlink(self.directory / segment_name(number))
                self._dropping.remove(number)

    def _save(self) -> None:
        self._is_unsaved = True
        numbers = {each.number for each in self.segments}
        shown = [
            replace(each, damaged=self._untold.get(each.number, each.damaged))
            for each in self.segments
        ]
        shown.extend(each for each in self._lost if each.number not in numbers)
        self._manifest = replace(
            self._manifest, segments=tuple(shown), dropping=tuple(self._dropping)
        )
        self._manifest_file.save(self._manifest)
        self._is_unsaved = False


def _is_missing(entry: Segment, held: Segment | None, segments: Sequence[Segment]) -> bool:
    """Whether what an entry lists is nowhere; a file that is there and damaged speaks for itself."""
    if held is not None and (not held.records or not entry.records):
        return False
    return not any(
        each.records and each.first <= entry.last and each.last >= entry.first for each in segments
    )
