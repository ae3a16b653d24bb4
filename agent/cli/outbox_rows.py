"""Stored records as lines and rows, and the figures of an outbox at rest."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from agent.cli.outbox import Format
from agent.core.effects import EventKind
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.shelf import Shelf
from agent.uplink import codec
from drivers.reading import Value

EVENT_COLUMNS = (
    "time", "kind", "class", "subject", "rule", "point", "from", "to", "value", "unit", "quality",
    "actor", "reason", "code", "zone", "clock", "boot", "stream", "seq", "id", "detail",
)  # fmt: skip
READING_COLUMNS = (
    "time", "point", "value", "unit", "quality", "reason", "clock", "boot", "stream", "seq",
)  # fmt: skip


def write_records(
    shelf: Shelf,
    files: Sequence[tuple[Lane, int]],
    form: Format,
    target: TextIO,
    step: Callable[[], None],
) -> tuple[int, int]:
    """Write every record of the files once, by number; return how many, and how many are unreadable.

    Raises:
        OSError: a file cannot be read, or the target not written.
    """
    table = csv.writer(target)
    if form is Format.CSV and files:
        table.writerow(EVENT_COLUMNS if files[0][0] is Lane.EVENT else READING_COLUMNS)
    seen: set[int] = set()
    count = unreadable = 0
    for lane, segment in sorted(files, key=lambda each: _first(shelf, each)):
        for number, record, _ in shelf.records(lane, segment):
            if number in seen:
                continue  # a copy of a file, or one rewritten while this was read
            seen.add(number)
            if record is None:
                unreadable += 1
                continue
            count += 1
            if form is Format.CSV:
                table.writerows(_rows(record))
            else:
                target.write(_line(record))
        step()
    return count, unreadable


def _first(shelf: Shelf, file: tuple[Lane, int]) -> int:
    return next((number for number, _, _ in shelf.records(*file)), 0)


def _line(record: EventRecord | Batch) -> str:
    """Return a record as it stands on MQTT (docs/schemas)."""
    if isinstance(record, Batch):
        return codec.tele(record, is_replay=True).decode() + "\n"
    return codec.event(record, is_replay=True).decode() + "\n"


def _rows(record: EventRecord | Batch) -> list[tuple[str | int, ...]]:
    if isinstance(record, Batch):
        return [
            (
                iso(each.at.wall_ms),
                each.point,
                _text(each.value),
                each.unit,
                each.quality.value,
                each.reason,
                record.clock.value,
                record.boot,
                record.stream,
                record.seq,
            )
            for each in record.readings
        ]
    event = record.event
    return [
        (
            iso(event.at.wall_ms),
            event.kind.value,
            "test" if event.is_test else event.alarm_class.value,
            event.subject,
            event.rule,
            event.point,
            event.from_state,
            event.to_state,
            _text(event.value),
            event.unit,
            "" if event.quality is None else event.quality.value,
            event.actor,
            event.reason,
            event.code,
            event.zone,
            event.at.clock.value,
            record.boot,
            record.stream,
            record.seq,
            record.id,
            json.dumps(event.detail, ensure_ascii=False) if event.detail else "",
        )
    ]


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def iso(wall_ms: int) -> str:
    """Return UTC as people and tables read it; the number itself where no calendar has it."""
    try:
        at = datetime.fromtimestamp(wall_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return str(wall_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stored_stats(shelf: Shelf) -> dict[str, Any]:
    """Return the figures of an outbox nobody runs, in the shape of the agent's own.

    `dropped` is what the event log tells of all lives it reaches back to.
    """
    positions = shelf.positions()
    lanes: dict[Lane, dict[str, Any]] = {
        lane: {
            "lane": lane.value,
            "records": 0,
            "bytes": 0,
            "oldest": None,
            "dropped": {},
            "stream": "",
            "last_seq": 0,
        }
        for lane in Lane
    }
    done = {
        lane: min(
            (each[lane].position for each in (positions or {}).values() if lane in each), default=0
        )
        for lane in Lane
    }
    unsent = dict.fromkeys(positions or {}, 0)
    seen: set[int] = set()
    for lane, number in shelf.files():
        looked = shelf.look(lane, number, is_live=True)
        segment, told = looked.segment, lanes[lane]
        if segment is None:
            continue
        if lane is Lane.EVENT:
            for lost, why, count in _told_lost(shelf, number, seen):
                dropped = lanes[lost]["dropped"]
                dropped[why] = dropped.get(why, 0) + count
        told["bytes"] += segment.bytes
        told["records"] += _after(segment.first, segment.last, segment.records, done[lane])
        if segment.last > done[lane] and told["oldest"] is None:
            told["oldest"] = segment.oldest_wall_ms
        if segment.spans:
            told["stream"], told["last_seq"] = segment.spans[-1].stream, segment.spans[-1].last_seq
        for uplink, at in (positions or {}).items():
            position = at[lane].position if lane in at else 0
            left = _after(segment.first, segment.last, segment.records, position)
            unsent[uplink] += left
    return {
        "live": False,
        "writable": None,
        "fault": "",
        "lanes": list(lanes.values()),
        "unsent": unsent,
        "quarantine": shelf.set_aside(),
    }


def _told_lost(shelf: Shelf, file: int, seen: set[int]) -> Iterator[tuple[Lane, str, int]]:
    """Yield lane, reason and count of each loss that a file of events tells and no file told before."""
    for number, record, _ in shelf.records(Lane.EVENT, file):
        event = record.event if isinstance(record, EventRecord) else None
        if event is None or event.kind not in (EventKind.GAP, EventKind.DAMAGE) or number in seen:
            continue
        seen.add(number)
        lane, count = event.detail.get("lane"), event.detail.get("count")
        if isinstance(lane, str) and lane in set(Lane):
            why = str(event.detail.get("reason")) if event.kind is EventKind.GAP else "damage"
            yield Lane(lane), why, count if isinstance(count, int) else 1


def _after(first: int, last: int, records: int, done: int) -> int:
    return records if first > done else max(0, min(records, last - done))
