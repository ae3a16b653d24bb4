"""What goes when there is no room (pure): acknowledged events, oldest telemetry, oldest technical events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outbox.manifest import Segment

_STEP = 64
"""Room is made for 1/64 of the budget at once, so that gap records stay few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much there is."""

    max_bytes: int
    event_bytes: int
    """The part reserved for events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which segments go. Owed ones are told as gaps before they go."""

    events: tuple[Segment, ...] = ()
    telemetry: tuple[Segment, ...] = ()
    survey: Segment | None = None
    """The oldest event segment not looked at yet for technical events to take out."""

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.events or self.telemetry or self.survey)


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
    while old_telemetry and telemetry_bytes > telemetry_room - slack:
        going_telemetry.append(old_telemetry.pop(0))
        telemetry_bytes -= going_telemetry[-1].bytes
    while event_bytes + telemetry_bytes > room.max_bytes - slack:
        is_spare = bool(old_events) and old_events[0].last <= events_done
        if is_spare and event_bytes > room.event_bytes:
            going_events.append(old_events.pop(0))
            event_bytes -= going_events[-1].bytes
        elif old_telemetry:
            going_telemetry.append(old_telemetry.pop(0))
            telemetry_bytes -= going_telemetry[-1].bytes
        elif is_spare:
            going_events.append(old_events.pop(0))
            event_bytes -= going_events[-1].bytes
        else:
            break
    if event_bytes + telemetry_bytes > room.max_bytes and old_events:
        survey = next((each for each in old_events if each.number not in surveyed), None)
        if survey is not None:
            return Plan(events=tuple(going_events), telemetry=tuple(going_telemetry), survey=survey)
        going_events.append(old_events[0])
    return Plan(events=tuple(going_events), telemetry=tuple(going_telemetry))
