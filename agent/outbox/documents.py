"""Records as documents: what stands in a segment. Field names are those of the wire where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.effects import AlarmState, Event, EventKind
from agent.core.memory import AlarmMemory, AlarmSnapshot, LogPosition
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


def snapshot_tables(snapshot: AlarmSnapshot) -> dict[str, dict[str, Any]]:
    """Return an alarm snapshot as TinyDB tables: `position` and `alarms`, a document per rule."""
    position = snapshot.position
    return {
        "position": {}
        if position is None
        else {"1": {"stream": position.stream, "seq": position.seq}},
        "alarms": {
            str(number): {
                "rule": each.rule,
                "state": each.state.value,
                "since_wall_ms": each.since_wall_ms,
                "actor": each.actor,
                "is_silenced": each.is_silenced,
            }
            for number, each in enumerate(snapshot.memories, start=1)
        },
    }


def _remembered_state(word: object) -> AlarmState:
    """Return the state; one this version does not know (after a downgrade) is an alarm to look at."""
    try:
        return AlarmState(str(word))
    except ValueError:
        return AlarmState.ACTIVE_UNACKED


def snapshot_record(
    position: Mapping[str, Any] | None, alarms: list[Mapping[str, Any]]
) -> AlarmSnapshot:
    """Return the snapshot that documents hold.

    Raises:
        ValueError: they hold none.
    """
    try:
        return AlarmSnapshot(
            memories=tuple(
                AlarmMemory(
                    rule=each["rule"],
                    state=_remembered_state(each["state"]),
                    since_wall_ms=each["since_wall_ms"],
                    actor=each["actor"],
                    is_silenced=each["is_silenced"],
                )
                for each in alarms
            ),
            position=None
            if position is None
            else LogPosition(stream=position["stream"], seq=position["seq"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no snapshot: {error!r}") from error
