"""Dates of a box that boots without knowing the date."""

from __future__ import annotations

from agent.core.effects import Event, EventKind
from agent.report.dating import dated
from drivers.clock import ClockState, Stamp

NOW_MS = 1_000_000_000


def event(wall_ms: int, clock: ClockState = ClockState.SYNCED, mono_s: float = 0.0) -> Event:
    return Event(kind=EventKind.ALARM, subject="x", at=Stamp(mono_s, wall_ms, clock))


def unset(wall_ms: int, mono_s: float = 0.0) -> Event:
    return event(wall_ms, ClockState.UNSYNCED, mono_s)


def clock_set(wall_ms: int, mono_s: float) -> Event:
    offset_ms = wall_ms - round(mono_s * 1000)
    return Event(
        kind=EventKind.CLOCK,
        subject="box",
        at=Stamp(mono_s, wall_ms, ClockState.SYNCED),
        to_state="synced",
        detail={"boot_offset_ms": offset_ms, "step_ms": 5},
    )


def dates(*journal: tuple[str, Event]) -> list[tuple[int, bool]]:
    return [(each.event.at.wall_ms, each.is_dated) for each in dated(journal, NOW_MS)]


def test_a_date_from_the_network_stays() -> None:
    assert dates(("a", event(5000)), ("a", event(4000))) == [(5000, True), (4000, True)]


def test_what_came_before_the_clock_was_set_is_dated_by_what_the_boot_learned() -> None:
    found = dates(
        ("a", event(5_000_000)),
        ("b", unset(77, 10.0)),
        ("b", unset(99_000_000_000, 20.0)),
        ("b", clock_set(6_030_000, 30.0)),
    )
    assert found[1:3] == [(6_010_000, True), (6_020_000, True)]


def test_a_boot_that_never_learned_it_is_believed_where_it_fits() -> None:
    found = dates(("a", event(5000)), ("b", unset(6000)), ("c", event(7000)))
    assert found[1] == (6000, True)


def test_a_stamp_that_cannot_be_stands_where_its_neighbours_put_it_and_is_marked() -> None:
    found = dates(
        ("a", event(5000)),
        ("b", unset(0)),
        ("b", unset(8000)),
        ("c", event(7000)),
        ("d", unset(NOW_MS + 1)),
    )
    assert found == [(5000, True), (5000, False), (5000, False), (7000, True), (7000, False)]


def test_a_box_without_a_network_keeps_its_dates() -> None:
    assert dates(("a", unset(10)), ("a", unset(20)), ("b", unset(30))) == [
        (10, True),
        (20, True),
        (30, True),
    ]
