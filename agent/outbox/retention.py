"""What goes when there is no room (pure): acknowledged events, oldest telemetry, oldest technical events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outbox.manifest import Segment
from agent.outbox.spec import OutboxSpec

_CLASSES = 6
_EVENT_BYTES = 400
"""An event on disk, about; with it the journal of a small outbox keeps fewer of each class."""

_STEP = 64
"""Room is made for 1/64 of the budget at once, so that gap records stay few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much there is."""

    max_bytes: int
    event_bytes: int
    """The part reserved for events."""
    events_per_class: int = 0
    """So many newest events of each class stay in the journal as long as there is room for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which segments go. Owed ones are told as gaps before they go."""

    events: tuple[Segment, ...] = ()
    telemetry: tuple[Segment, ...] = ()
    last_resort: tuple[Segment, ...] = ()
    """Events that go whole, whatever is in them: nothing else is left to go."""
    survey: Segment | None = None
    """The oldest event segment not looked at yet for technical events to take out."""

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.events or self.telemetry or self.last_resort or self.survey)


def plan(
    room: Room,
    events: Sequence[Segment],
    telemetry: Sequence[Segment],
    *,
    events_done: int,
    surveyed: frozenset[int],
) -> Plan:
    """Return what must go so that both lanes fit; empty when they do.

    `events_done` is the key every uplink has acknowledged; `surveyed` names event segments known
    to hold nothing that may go before the rest.
    """
    event_bytes = sum(each.bytes for each in events)
    telemetry_bytes = sum(each.bytes for each in telemetry)
    telemetry_room = room.max_bytes - room.event_bytes
    if event_bytes + telemetry_bytes <= room.max_bytes and telemetry_bytes <= telemetry_room:
        return Plan()
    slack = room.max_bytes // _STEP
    going_events: list[Segment] = []
    going_telemetry: list[Segment] = []
    old_events = [each for each in events if each.is_sealed]
    old_telemetry = [each for each in telemetry if each.is_sealed]
    kept = _kept(events, room.events_per_class)
    while old_telemetry and telemetry_bytes > telemetry_room - slack:
        going_telemetry.append(old_telemetry.pop(0))
        telemetry_bytes -= going_telemetry[-1].bytes
    while event_bytes + telemetry_bytes > room.max_bytes - slack:
        index = _next_spare(old_events, kept, events_done)
        if index is not None and event_bytes > room.event_bytes:
            going_events.append(old_events.pop(index))
            event_bytes -= _gained(going_events[-1], kept)
        elif old_telemetry:
            going_telemetry.append(old_telemetry.pop(0))
            telemetry_bytes -= going_telemetry[-1].bytes
        elif index is not None:
            going_events.append(old_events.pop(index))
            event_bytes -= _gained(going_events[-1], kept)
        else:
            break
    if event_bytes + telemetry_bytes > room.max_bytes and old_events:
        survey = next((each for each in old_events if each.number not in surveyed), None)
        if survey is not None:
            return Plan(events=tuple(going_events), telemetry=tuple(going_telemetry), survey=survey)
        return Plan(
            events=tuple(going_events),
            telemetry=tuple(going_telemetry),
            last_resort=(old_events[0],),
        )
    return Plan(events=tuple(going_events), telemetry=tuple(going_telemetry))


def events_per_class(spec: OutboxSpec) -> int:
    """Return how many events of each class the journal keeps: as set, or what its share has room for."""
    room = int(spec.max_bytes * spec.event_share) // (_CLASSES * _EVENT_BYTES)
    return min(spec.events_per_class, room)


def _kept(events: Sequence[Segment], least: int) -> dict[int, int]:
    """Return by segment how many of its events are among the newest `least` of their class."""
    kept: dict[int, int] = {}
    newer: dict[str, int] = {}
    for each in sorted(events, key=lambda each: each.last, reverse=True):
        count = 0
        for name, records in each.classes:
            count += min(records, max(0, least - newer.get(name, 0)))
            newer[name] = newer.get(name, 0) + records
        kept[each.number] = count
    return kept


def _next_spare(events: Sequence[Segment], kept: dict[int, int], done: int) -> int | None:
    """Return the oldest acknowledged segment that is worth rewriting without what may go."""
    for index, each in enumerate(events):
        if each.last > done:
            return None
        if kept[each.number] * 4 <= each.records * 3:
            return index
    return None


def _gained(segment: Segment, kept: dict[int, int]) -> int:
    return segment.bytes * (segment.records - kept[segment.number]) // max(1, segment.records)
