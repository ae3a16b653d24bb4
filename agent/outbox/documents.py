"""Records as documents: what stands in a segment. Field names are those of the wire where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass
from agent.outbox.records import Batch, EventRecord
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading

_TEXTS = (
    "rule",
    "point",
    "from_state",
    "to_state",
    "unit",
    "actor",
    "reason",
    "code",
    "zone",
    "plan",
)


def event_document(record: EventRecord) -> dict[str, Any]:
    """Return an event as a document; fields at their defaults are left out."""
    event = record.event
    document: dict[str, Any] = {
        "stream": record.stream,
        "seq": record.seq,
        "id": record.id,
        "boot": record.boot,
        "kind": event.kind.value,
        "subject": event.subject,
        "class": event.alarm_class.value,
        "mono_s": event.at.mono_s,
        "ts": event.at.wall_ms,
        "clock": event.at.clock.value,
    }
    for name in _TEXTS:
        text = getattr(event, name)
        if text:
            document[name] = text
    if event.is_test:
        document["is_test"] = True
    if event.is_acked is not None:
        document["is_acked"] = event.is_acked
    if event.value is not None:
        document["value"] = event.value
    if event.quality is not None:
        document["quality"] = event.quality.value
    if event.detail:
        document["detail"] = event.detail
    return document


def event_record(document: Mapping[str, Any]) -> EventRecord:
    """Return the event a document holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        quality = document.get("quality")
        event = Event(
            kind=EventKind(document["kind"]),
            subject=document["subject"],
            at=Stamp(document["mono_s"], document["ts"], ClockState(document["clock"])),
            alarm_class=AlarmClass(document["class"]),
            is_test=document.get("is_test", False),
            is_acked=document.get("is_acked"),
            value=document.get("value"),
            quality=None if quality is None else Quality(quality),
            detail=document.get("detail", {}),
            **{name: document.get(name, "") for name in _TEXTS},
        )
        return EventRecord(
            id=document["id"],
            stream=document["stream"],
            seq=document["seq"],
            boot=document["boot"],
            event=event,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no event: {error!r}") from error


def batch_document(batch: Batch) -> dict[str, Any]:
    """Return a batch as a document; its readings are rows in the order of `_ROW`."""
    return {
        "stream": batch.stream,
        "seq": batch.seq,
        "boot": batch.boot,
        "clock": batch.clock.value,
        "ts": batch.readings[0].at.wall_ms,
        "readings": [
            [
                each.point,
                each.at.wall_ms,
                each.at.mono_s,
                each.value,
                each.unit,
                each.quality.value,
                each.reason,
            ]
            for each in batch.readings
        ],
    }


def batch_record(document: Mapping[str, Any]) -> Batch:
    """Return the batch a document holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        clock = ClockState(document["clock"])
        return Batch(
            stream=document["stream"],
            seq=document["seq"],
            boot=document["boot"],
            clock=clock,
            readings=tuple(
                Reading(
                    point=point,
                    value=value,
                    quality=Quality(quality),
                    unit=unit,
                    at=Stamp(mono_s, wall_ms, clock),
                    reason=reason,
                )
                for point, wall_ms, mono_s, value, unit, quality, reason in document["readings"]
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no batch: {error!r}") from error
