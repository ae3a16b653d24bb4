"""Everything the outbox keeps on disk, as the worker thread does it: one call, one durable step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from agent.core.effects import Event
from agent.core.memory import AlarmSnapshot, LogPosition
from agent.outbox.documents import batch_document, event_document, event_record
from agent.outbox.events import is_expendable, tells_of_loss
from agent.outbox.files import Files
from agent.outbox.inspection import Stored
from agent.outbox.lines import scan, seal_line
from agent.outbox.manifest import Damage, Run, Segment
from agent.outbox.positions import Place, PositionFile, Positions
from agent.outbox.quarantine import Quarantine
from agent.outbox.queue import R
from agent.outbox.reader import SegmentReader
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.retention import events_per_class
from agent.outbox.snapshot import load_snapshot, save_snapshot
from agent.outbox.spec import OutboxSpec
from agent.outbox.store import Recovery, SegmentLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a lane goes on from the run before."""

    lane: Lane
    stream: str
    base: int
    previous: str | None
    previous_last_seq: int | None
    previous_clean: bool | None
    unknown_from_wall_ms: int | None

    def detail(self) -> dict[str, str | int | float | bool | None]:
        """Return the named facts of the opening record."""
        return {
            "lane": self.lane.value,
            "stream": self.stream,
            "previous": self.previous,
            "previous_last_seq": self.previous_last_seq,
            "previous_clean": self.previous_clean,
            "unknown_from_wall_ms": self.unknown_from_wall_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the recovery found."""

    events: Opening
    telemetry: Opening
    damages: tuple[Damage, ...]
    positions: Positions
    """Of every configured uplink."""
    replay: tuple[EventRecord, ...]
    offset_ms: int | None
    """UTC ms at monotonic zero of this boot, where it is known already."""


@dataclass(frozen=True, slots=True)
class Appended(Generic[R]):
    """What came of writing records."""

    refused: tuple[R, ...]
    """Those that JSON cannot hold."""
    is_saved: bool
    """Whether the positions that came along are on disk as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What may be taken out of an event segment."""

    segment: Segment
    ranges: tuple[tuple[str, int, int, int], ...]
    """Stream, first seq, last seq, count."""
    is_worth_it: bool


class Disk:
    """The outbox's directory. Worker thread only, but for `segments`, which any thread may read."""

    def __init__(self, spec: OutboxSpec, box: str, files: Files) -> None:
        self._root = spec.directory / box
        self.files = files
        self._lanes = {
            lane: SegmentLog(lane, self._root, spec.segment_bytes, files) for lane in Lane
        }
        self._positions = PositionFile(self._root, files)
        self._quarantine = Quarantine(self._root / "quarantine", files)
        self._events_per_class = events_per_class(spec)
        self._lock: int | None = None
        self._openings: dict[Lane, Opening] = {}

    @property
    def root(self) -> Path:
        """The directory of this box."""
        return self._root

    def segments(self, lane: Lane) -> tuple[Segment, ...]:
        """Return a lane's segments as they are now."""
        return self._lanes[lane].segments

    def has_unverified(self) -> bool:
        """Whether sealed segments wait to be looked at."""
        return any(each.has_unverified for each in self._lanes.values())

    def open(self, streams: Mapping[Lane, str], uplinks: Sequence[str], boot: str) -> Opened:
        """Recover both lanes and the positions, and note the new streams.

        Raises:
            OSError: the directory cannot be used, or another process uses it; call again later.
        """
        self.files.make_directory(self._root)
        if self._lock is None:
            self._lock = self.files.lock(self._root / "lock")
        # what another user owns is whole: told as lost, it would be lost for good
        self.files.check_owner(self._root / "cursors.bin")
        for log in self._lanes.values():
            log.check_owner()
        found = {lane: log.recover() for lane, log in self._lanes.items()}
        stored = self._positions.load()
        damages = [each for recovery in found.values() for each in recovery.damages]
        is_first = not any(each.last_number for each in found.values())
        if stored is None and not is_first:
            damages.append(Damage(lane=Lane.EVENT, file="cursors.bin", reason="cursors"))
        bases = {
            lane: max(
                (
                    recovery.last_number,
                    *(each[lane].top for each in (stored or {}).values() if lane in each),
                )
            )
            for lane, recovery in found.items()
        }
        positions: Positions = {}
        for uplink in uplinks:
            if stored is None:
                positions[uplink] = dict.fromkeys(Lane, Place())
            else:
                # an uplink never seen before begins with this run
                places = {lane: Place(base) for lane, base in bases.items()}
                positions[uplink] = places | stored.get(uplink, {})
        for lane, recovery in found.items():
            if recovery.previous is None or recovery.previous.stream != streams[lane]:
                self._openings[lane] = _opening(lane, streams[lane], bases[lane], recovery, stored)
            # else this run is noted already, by an attempt before that failed later on
        openings = dict(self._openings)
        replay = SegmentReader(self._root / Lane.EVENT.value, self.files).replay(
            self.segments(Lane.EVENT), self._snapshot_position()
        )
        self._positions.save(positions)
        for lane, opening in openings.items():
            self._lanes[lane].start_run(Run(stream=opening.stream, base=opening.base))
        return Opened(
            events=openings[Lane.EVENT],
            telemetry=openings[Lane.TELEMETRY],
            damages=tuple(damages),
            positions=positions,
            replay=replay,
            offset_ms=found[Lane.EVENT].offsets_ms.get(boot),
        )

    def append_events(
        self, events: Sequence[tuple[int, EventRecord]], positions: Positions | None = None
    ) -> Appended[EventRecord]:
        """Write positions if given and if they can be written, then events, durably.

        Raises:
            OSError: the disk failed.
        """
        is_saved = self._has_saved(positions)
        records, refused = [], []
        for number, record in events:
            try:
                records.append(_stored(number, event_document(record)))
            except (TypeError, ValueError):
                refused.append(record)
        self._lanes[Lane.EVENT].append(records)
        return Appended(tuple(refused), is_saved)

    def append_batches(
        self, batches: Sequence[tuple[int, Batch]], positions: Positions | None
    ) -> Appended[Batch]:
        """Write positions if given and if they can be written, then batches, durably.

        Raises:
            OSError: the disk failed.
        """
        is_saved = self._has_saved(positions)
        records, refused = [], []
        for number, batch in batches:
            try:
                records.append(_stored(number, batch_document(batch)))
            except (TypeError, ValueError):
                refused.append(batch)
        self._lanes[Lane.TELEMETRY].append(records)
        return Appended(tuple(refused), is_saved)

    def _has_saved(self, positions: Positions | None) -> bool:
        if positions is None:
            return False
        try:
            self._positions.save(positions)
        except OSError:
            # records are worth more than what comes twice; the step that saves positions will tell
            return False
        return True

    def save_positions(self, positions: Positions) -> None:
        """Write where each uplink stands, then remove telemetry acknowledged by all.

        Raises:
            OSError: the disk failed.
        """
        self._positions.save(positions)
        if positions:
            done = min(each[Lane.TELEMETRY].position for each in positions.values())
            self._lanes[Lane.TELEMETRY].drop(
                each.number
                for each in self.segments(Lane.TELEMETRY)
                if each.is_sealed and each.last <= done
            )

    def drop(
        self,
        events: Iterable[Segment],
        telemetry: Iterable[Segment],
        last_resort: Iterable[Segment] = (),
    ) -> None:
        """Remove segments; of `events` the newest of each class may stay, in one file together.

        Raises:
            OSError: the disk failed.
        """
        self._lanes[Lane.TELEMETRY].drop(each.number for each in telemetry)
        log = self._lanes[Lane.EVENT]
        # of what goes, the newest of each class stay while the journal has too few behind them
        going = tuple(events)
        if going:
            log.retire([each.number for each in going], self._lacking(going))
        log.drop(each.number for each in last_resort)

    def _lacking(self, going: Sequence[Segment]) -> dict[str, int]:
        """Return of how many events of each class what stays holds too few."""
        gone = {each.number for each in going}
        last = max((each.last for each in going), default=0)
        held = self.segments(Lane.EVENT)
        lacking = {name: self._events_per_class for each in held for name, _ in each.classes}
        for each in held:
            if each.number not in gone and each.first > last:
                for name, count in each.classes:
                    lacking[name] -= count
        return lacking

    def told_in(self, segments: Sequence[Segment], done: int) -> list[Event]:
        """Return the unsent events in segments that tell of streams and of loss.

        Raises:
            OSError: the disk failed.
        """
        events = []
        for segment in segments:
            path = self._root / Lane.EVENT.value / segment.name
            for line in scan(self.files.read(path)).lines:
                with suppress(ValueError):
                    event = event_record(line.document()).event
                    if line.number > done and tells_of_loss(event):
                        events.append(event)
        return events

    def seal(self, lane: Lane) -> None:
        """Write no more to a lane's file in use."""
        self._lanes[lane].seal()

    def survey(self, segment: Segment, done: int) -> Survey:
        """Look which events of a segment may be taken out; those up to `done` are owed to nobody.

        Raises:
            OSError: the disk failed.
        """
        path = self._root / Lane.EVENT.value / segment.name
        ranges: dict[str, tuple[int, int, int]] = {}
        count = 0
        for line in scan(self.files.read(path)).lines:
            document = line.document()
            if not _is_expendable(document):
                continue
            count += 1
            if line.number > done:
                stream, seq = str(document["stream"]), int(str(document["seq"]))
                first, _, so_far = ranges.get(stream, (seq, seq, 0))
                ranges[stream] = (first, seq, so_far + 1)
        return Survey(
            segment=segment,
            ranges=tuple((stream, *each) for stream, each in ranges.items()),
            is_worth_it=count * 8 >= max(1, segment.records),
        )

    def compact(self, segment: Segment) -> None:
        """Take the expendable events out of a segment.

        Raises:
            OSError: the disk failed; nothing was taken out.
        """
        self._lanes[Lane.EVENT].compact(segment.number, lambda each: not _is_expendable(each))

    def save_snapshot(self, snapshot: AlarmSnapshot) -> None:
        """Replace the alarm snapshot.

        Raises:
            OSError: the disk failed; the one before is still there.
        """
        save_snapshot(self._root, self.files, snapshot)

    def keep_aside(self, records: Sequence[EventRecord | Batch]) -> None:
        """Put records into quarantine; a disk that fails is no matter here."""
        for each in records:
            document = batch_document(each) if isinstance(each, Batch) else event_document(each)
            data = json.dumps(document, default=repr).encode("ascii")
            self._quarantine.keep(f"refused-{each.stream}-{each.seq}", data)

    def note_offset(self, boot: str, offset_ms: int) -> None:
        """Keep this boot's clock offset over a restart.

        Raises:
            OSError: the disk failed.
        """
        self._lanes[Lane.EVENT].note_offset(boot, offset_ms)

    def mark_damage(self) -> None:
        """Note that all damage found so far has been told.

        Raises:
            OSError: the disk failed.
        """
        for each in self._lanes.values():
            each.mark_damage()

    def verify(self, suspects: Iterable[tuple[Lane, int]]) -> tuple[Damage, ...]:
        """Look at the named segments, or else at the next one not looked at yet."""
        damages: list[Damage] = []
        named = tuple(suspects)
        for lane, number in named:
            damages.extend(self._lanes[lane].verify(number))
        if not named:
            for each in self._lanes.values():
                if each.has_unverified:
                    return each.verify_next()
        return tuple(damages)

    def finish(self, last_seqs: Mapping[Lane, int], wall_ms: int) -> None:
        """Note a clean end; nothing is closed yet.

        Raises:
            OSError: the disk failed; the run will count as cut off.
        """
        for lane, last_seq in last_seqs.items():
            self._lanes[lane].finish(last_seq, wall_ms)

    def close(self) -> None:
        """Close what is open, without noting anything."""
        self._positions.close()
        for each in self._lanes.values():
            each.close()
        self._unlock()

    def _unlock(self) -> None:
        fd, self._lock = self._lock, None
        if fd is not None:
            with suppress(OSError):
                self.files.close(fd)

    def _snapshot_position(self) -> LogPosition | None:
        snapshot = load_snapshot(self._root, self.files)
        return None if snapshot is None else snapshot.position


def _stored(number: int, document: dict[str, Any]) -> Stored:
    payload = json.dumps(document, separators=(",", ":")).encode("ascii")
    return Stored(
        number=number,
        stream=document["stream"],
        seq=document["seq"],
        wall_ms=document["ts"],
        payload=payload,
        line=seal_line(number, payload),
        kept_as=document.get("class", ""),
    )


def _is_expendable(document: dict[str, Any]) -> bool:
    try:
        event: Event = event_record(document).event
    except ValueError:
        return False
    return is_expendable(event)


def _opening(
    lane: Lane, stream: str, base: int, found: Recovery, stored: Positions | None
) -> Opening:
    """Chain a new stream to the one before."""
    last = found.last_stored
    run = found.previous
    if run is None:
        return Opening(
            lane=lane,
            stream=stream,
            base=base,
            previous=None if last is None else last.stream,
            previous_last_seq=None if last is None else last.seq,
            previous_clean=None if last is None else False,
            unknown_from_wall_ms=None if last is None else last.wall_ms,
        )
    if run.last_seq is not None:
        return Opening(
            lane=lane,
            stream=stream,
            base=base,
            previous=run.stream,
            previous_last_seq=run.last_seq,
            previous_clean=True,
            unknown_from_wall_ms=run.ended_wall_ms,
        )
    known = [each[lane].top - run.base for each in (stored or {}).values() if lane in each]
    if last is not None and last.stream == run.stream:
        known.append(last.seq)
    return Opening(
        lane=lane,
        stream=stream,
        base=base,
        previous=run.stream,
        previous_last_seq=max(0, *known) if known else 0,
        previous_clean=False,
        unknown_from_wall_ms=None if last is None else last.wall_ms,
    )
