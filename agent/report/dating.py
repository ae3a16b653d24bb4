"""When events happened: a Raspberry Pi boots without knowing the date, and the journal keeps what it thought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.effects import Event, EventKind
from drivers.clock import ClockState


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """An event of the journal with the best date it can be given."""

    event: Event
    is_dated: bool = True
    """False: its boot never learned the time and its stamp cannot be; it stands where its neighbours put it."""


def dated(journal: Sequence[tuple[str, Event]], now_ms: int) -> list[Dated]:
    """Return events with dates, in the order of the journal: (boot, event), oldest first.

    What was stamped before its boot had the clock set is dated by the offset that boot learned later.
    A boot that never learned it (a site without a network) is believed as long as it fits between
    what came before and after; the report is made at `now_ms`, UTC milliseconds.
    """
    offsets_ms = {
        boot: offset_ms
        for boot, event in journal
        if event.kind is EventKind.CLOCK
        and event.at.clock is ClockState.SYNCED
        and isinstance(offset_ms := event.detail.get("boot_offset_ms"), int)
    }
    latest_ms = now_ms
    ceilings_ms: list[int] = []
    for _, event in reversed(journal):
        ceilings_ms.append(latest_ms)
        if event.at.clock is ClockState.SYNCED:
            latest_ms = min(latest_ms, event.at.wall_ms)
    floor_ms = 0
    found: list[Dated] = []
    for (boot, event), ceiling_ms in zip(journal, reversed(ceilings_ms), strict=True):
        at_ms, is_dated = event.at.wall_ms, True
        if event.at.clock is ClockState.UNSYNCED:
            if boot in offsets_ms:
                at_ms = event.at.mono_ms + offsets_ms[boot]
            elif not floor_ms <= at_ms <= ceiling_ms:
                at_ms, is_dated = min(floor_ms, ceiling_ms), False
        floor_ms = max(floor_ms, min(at_ms, ceiling_ms))
        found.append(Dated(event=_at(event, at_ms), is_dated=is_dated))
    return found


def _at(event: Event, wall_ms: int) -> Event:
    return (
        event
        if wall_ms == event.at.wall_ms
        else replace(event, at=replace(event.at, wall_ms=wall_ms))
    )
