"""How often a pump started, what is usual, and what is not known; and parts of the week."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from zoneinfo import ZoneInfo

import pytest

from agent.config.calendar import WallCalendar
from agent.core.conditions import watch
from agent.core.schedule import is_within
from agent.core.spec import Scheduled, Starting
from agent.core.starts import MOST_STARTS, StartingWatch
from drivers.clock import ClockState, Stamp
from tests.core.test_trends import Room
from tests.core.test_voting import Utc

HOUR = 3600.0


def run(room: Room, at_s: float) -> object:
    room.read("jockey", True, at_s)
    return room.read("jockey", False, at_s + 10)


def test_more_starts_than_allowed_are_told_at_once_and_fewer_only_after_a_whole_window() -> None:
    room = Room(watch(Starting(point="jockey", limit=2)))
    assert room.watch.due_s() == inf
    assert room.look(0) is None
    assert room.watch.due_s() == inf
    assert room.read("jockey", False, 0) is None
    assert room.watch.due_s() == 1000.0 + HOUR
    assert [run(room, at_s) for at_s in (100, 200)] == [None, None]
    assert run(room, 300) is True
    assert room.watch.due_s() == 1000.0 + HOUR
    assert room.look(HOUR) is True
    assert room.watch.due_s() == 1000.0 + 100 + HOUR
    assert room.look(100 + HOUR) is False
    assert room.watch.due_s() == 1000.0 + 200 + HOUR
    assert run(room, 400 + HOUR) is False


def test_a_pump_that_runs_at_the_start_was_not_seen_to_start() -> None:
    room = Room(watch(Starting(point="jockey", limit=0)))
    assert room.read("jockey", True, 0) is None
    assert room.look(HOUR) is False
    assert run(room, HOUR + 1) is False
    assert room.read("jockey", True, HOUR + 20) is True


def test_what_was_not_seen_may_have_been_starts() -> None:
    room = Room(watch(Starting(point="jockey", limit=2)))
    room.read("jockey", False, 0)
    assert room.look(HOUR) is False
    assert room.read("jockey", None, HOUR + 1) is None
    assert room.read("jockey", True, HOUR + 2) is None
    assert room.watch.due_s() == pytest.approx(1000.0 + HOUR + 2 + HOUR)
    assert room.look(2 * HOUR + 2) is False


def test_too_many_starts_stay_told_though_the_contact_is_lost() -> None:
    room = Room(watch(Starting(point="jockey", limit=1)))
    room.read("jockey", False, 0)
    run(room, 100)
    assert run(room, 200) is True
    assert room.read("jockey", None, 300) is True
    assert room.look(100 + HOUR) is None


def test_what_is_usual_is_learned_for_a_day_before_anything_is_told() -> None:
    room = Room(watch(Starting(point="jockey", limit=3, factor=2.0, usual_days=2)))
    room.read("jockey", False, 0)
    for hour in range(24):
        for minute in (5, 25, 45):
            assert run(room, hour * HOUR + minute * 60) is None
    assert room.look(24 * HOUR) is False
    for minute in (1, 2, 3):
        assert run(room, 24 * HOUR + minute * 60) is False  # 6 within the hour is twice the usual 3
    assert run(room, 24 * HOUR + 4 * 60) is True
    assert room.look(25 * HOUR + 5 * 60) is False


def test_what_is_usual_is_never_less_than_the_least() -> None:
    room = Room(watch(Starting(point="jockey", limit=3, factor=2.0, usual_days=1)))
    room.read("jockey", False, 0)
    assert room.look(24 * HOUR) is False
    told = [run(room, 24 * HOUR + 60 * minute) for minute in (1, 2, 3, 4)]
    assert told == [False, False, False, True]
    room.watch.hold()
    assert room.look(26 * HOUR) is False


def test_what_is_usual_forgets_the_days_before() -> None:
    room = Room(watch(Starting(point="jockey", limit=1, factor=2.0, usual_days=1)))
    room.read("jockey", False, 0)
    for hour in range(48):
        for minute in range(6 if hour < 24 else 1):
            run(room, hour * HOUR + (minute + 1) * 60)
    told = [run(room, 48 * HOUR + minute * 60) for minute in (2, 3, 4)]
    assert told == [False, False, True]  # twice the one an hour of the second day


def test_a_window_of_a_day_is_learned_in_one_and_a_start_unseen_is_none() -> None:
    room = Room(watch(Starting(point="jockey", limit=0, per_s=24 * HOUR, factor=2.0, usual_days=1)))
    room.read("jockey", False, 0)
    run(room, HOUR)
    assert room.read("jockey", None, 2 * HOUR) is None  # the day begins anew
    room.read("jockey", True, 3 * HOUR)
    room.read("jockey", False, 4 * HOUR)
    run(room, 5 * HOUR)
    assert room.look(27 * HOUR) is False
    told = [run(room, hour * HOUR) for hour in (28, 29, 30)]
    assert told == [False, False, True]  # of two, which is twice the one of the day before


def test_a_pump_that_flutters_for_ever_fills_no_memory() -> None:
    room = Room(seen := StartingWatch(Starting(point="jockey", limit=2)))
    for step in range(2 * MOST_STARTS + 10):
        room.read("jockey", step % 2 == 1, step / 4)
    assert len(seen._starts) == MOST_STARTS


def test_so_many_starts_that_no_more_are_remembered_are_too_many_whatever_is_usual() -> None:
    seen = StartingWatch(Starting(point="jockey", limit=3, factor=100.0, usual_days=1))
    room = Room(seen)
    room.read("jockey", False, 0)
    for hour in range(24):
        for minute in range(30):
            run(room, hour * HOUR + 60 * minute + 10)
    told = [run(room, 24 * HOUR + step) for step in range(MOST_STARTS)]
    assert told == [False] * (MOST_STARTS - 1) + [True]


# -- parts of the week -----------------------------------------------------------------------------

NIGHT = Scheduled(calendar=Utc(), days=frozenset({4}), from_min=22 * 60, to_min=6 * 60)
DAY_MS = 86_400_000
FRIDAY_MS = DAY_MS  # 1970-01-02


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0, False), (5.9, False), (21.98, False), (22, True), (24, True), (29.98, True), (30, False), (46, False)],
)  # fmt: skip
def test_a_night_belongs_to_the_day_it_begins_on(hours: float, expected: bool) -> None:
    assert is_within(NIGHT, FRIDAY_MS + round(hours * 3_600_000)) is expected


def test_the_night_of_sunday_reaches_into_monday_and_not_into_another_day() -> None:
    sunday = replace(NIGHT, days=frozenset({6}))
    early_ms = 4 * 3_600_000  # of Thursday 1970-01-01
    nights = [day for day in range(7) if is_within(sunday, early_ms + day * DAY_MS)]
    assert nights == [4]  # Monday 1970-01-05


def test_a_part_that_ends_when_it_begins_lasts_a_day() -> None:
    day = Scheduled(calendar=Utc(), days=frozenset({4}), from_min=480, to_min=480)
    minutes = (479, 480, 1440, 1440 + 479, 1440 + 480)
    told = [is_within(day, FRIDAY_MS + 60_000 * minute) for minute in minutes]
    assert told == [False, True, True, True, False]


def test_a_part_of_the_day_ends_before_its_last_minute_begins() -> None:
    office = Scheduled(calendar=Utc(), days=frozenset({4}), from_min=480, to_min=1440)
    minutes = (479, 480, 1439, 1440)
    told = [is_within(office, FRIDAY_MS + 60_000 * minute) for minute in minutes]
    assert told == [False, True, True, False]


def test_a_schedule_is_unknown_until_the_clock_is_set_and_looked_at_every_minute() -> None:
    seen = watch(NIGHT)
    assert seen.due_s() == inf
    at_ms = FRIDAY_MS + 23 * 3_600_000 + 15_000
    assert seen.look({}, Stamp(50.0, at_ms, ClockState.UNSYNCED), 50.0) is None
    assert seen.due_s() == 95.0
    assert seen.look({}, Stamp(95.0, at_ms + 45_000, ClockState.SYNCED), 95.0) is True
    assert seen.due_s() == 155.0
    seen.hold()
    assert seen.look({}, Stamp(155.0, at_ms - DAY_MS, ClockState.SYNCED), 155.0) is False


def test_summer_time_is_the_wall_clocks_affair() -> None:
    berlin = WallCalendar(ZoneInfo("Europe/Berlin"))
    # 2026-03-29: at 01:00 UTC the clock goes from 02:00 to 03:00
    assert berlin.minute_of_week(1774745999000) == (6, 1 * 60 + 59)
    assert berlin.minute_of_week(1774746000000) == (6, 3 * 60)


def test_an_hour_that_autumn_repeats_belongs_to_its_part_twice() -> None:
    berlin = WallCalendar(ZoneInfo("Europe/Berlin"))
    # 2026-10-25: at 01:00 UTC the clock goes from 03:00 back to 02:00
    change_ms = 1792890000000
    assert berlin.minute_of_week(change_ms - 1000) == (6, 2 * 60 + 59)
    assert berlin.minute_of_week(change_ms) == (6, 2 * 60)
    part = Scheduled(calendar=berlin, days=frozenset({6}), from_min=120, to_min=180)
    hour_ms = 3_600_000
    told = [is_within(part, change_ms + each * hour_ms // 2) for each in range(-3, 4)]
    assert told == [False, True, True, True, True, False, False]
    night = Scheduled(calendar=berlin, days=frozenset({5}), from_min=22 * 60, to_min=6 * 60)
    told = [is_within(night, change_ms + each * hour_ms) for each in range(-6, 6)]
    assert told == [False, *[True] * 9, False, False], "from 22:00 to 06:00 an hour more"
