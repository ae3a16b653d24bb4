"""A pump's starts are told: each one, unless its contact flutters; never one that nobody saw."""

from __future__ import annotations

from agent.core.effects import Effect, Event, EventKind, Record
from agent.core.engine import Engine
from agent.core.pump_starts import APART_S
from agent.core.spec import PointKind, PointSpec, SiteSpec
from drivers.clock import ManualClock
from drivers.reading import Quality, Reading, Value

SITE = SiteSpec(
    site="s",
    box="b",
    points=(
        PointSpec(
            id="jockey", kind=PointKind.PUMP, device="pins", zone="cellar", stale_after_s=1e6
        ),
        PointSpec(id="leak", kind=PointKind.LEAK, device="pins", stale_after_s=1e6),
    ),
)


class Room:
    """An engine with a pump, and what it told of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = Engine(SITE)
        self.told: list[Event] = []
        self.take(self.engine.start(self.clock.stamp()))

    def take(self, effects: list[Effect]) -> None:
        records = (each.event for each in effects if isinstance(each, Record))
        self.told += [each for each in records if each.kind is EventKind.PUMP]

    def read(self, *values: Value | None, point: str = "jockey") -> None:
        for value in values:
            quality = Quality.GOOD if value is not None else Quality.BAD
            reading = Reading(
                point=point, value=value, quality=quality, unit="", at=self.clock.stamp()
            )
            self.take(self.engine.on_readings([reading], self.clock.stamp()))

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.take(self.engine.on_tick(self.clock.stamp()))

    def starts(self) -> list[object]:
        return [each.detail["starts"] for each in self.told]


def test_a_start_is_told_at_once_with_pump_and_zone() -> None:
    room = Room()
    room.read(False, True)
    assert [(e.point, e.subject, e.to_state, e.zone) for e in room.told] == [
        ("jockey", "jockey", "started", "cellar")
    ]
    assert room.starts() == [1]
    assert room.told[0].at == room.clock.stamp()


def test_each_start_of_a_calm_pump_is_an_event_of_its_own() -> None:
    room = Room()
    for _ in range(3):
        room.read(False, True)
        room.wait(APART_S)
    assert room.starts() == [1, 1, 1]


def test_starts_in_quick_succession_are_told_together_and_none_is_lost() -> None:
    room = Room()
    room.read(False, True, False, True, False, True)
    assert room.starts() == [1]
    assert room.engine.next_deadline_s() == room.clock.mono_s() + APART_S
    room.wait(APART_S - 1)
    room.read(False, True)
    room.wait(1)
    assert room.starts() == [1, 3]
    room.wait(APART_S)
    assert room.starts() == [1, 3]
    room.read(False, True)
    assert room.starts() == [1, 3, 1]


def test_a_single_second_start_is_told_when_its_while_is_over() -> None:
    room = Room()
    room.read(False, True, False, True)
    room.wait(APART_S - 1)
    assert room.starts() == [1]
    room.wait(1)
    assert room.starts() == [1, 1]


def test_a_pump_that_ran_when_it_was_first_seen_or_seen_again_did_not_start() -> None:
    room = Room()
    room.read(True, None, True)
    assert room.told == []
    room.read(False, None, True)
    assert room.told == []


def test_another_contact_is_no_pump() -> None:
    room = Room()
    room.read(False, True, point="leak")
    assert room.told == []
