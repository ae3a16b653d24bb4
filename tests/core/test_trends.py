"""Rates, flatlines and slow leaks: what they tell, and what they do not know."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from math import sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.conditions import is_timed, streamed_points, watch
from agent.core.spec import AllOf, Contact, Faster, Flat, Leaking, Side, Threshold
from agent.core.trends import LeakWatch, slope_of
from agent.core.watching import Truth, Watch
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value


class Room:
    """Feeds a watch with readings; time goes on as told."""

    def __init__(self, seen: Watch) -> None:
        self.watch = seen
        self.latest: dict[str, Reading] = {}
        self.now_s = 1000.0

    def read(self, point: str, value: Value | None, at_s: float) -> Truth:
        self.now_s = 1000.0 + at_s
        quality = Quality.GOOD if value is not None else Quality.BAD
        at = Stamp(self.now_s, round(self.now_s * 1000))
        self.latest[point] = Reading(point=point, value=value, quality=quality, unit="", at=at)
        return self.look(at_s)

    def look(self, at_s: float) -> Truth:
        self.now_s = 1000.0 + at_s
        return self.watch.look(self.latest, Stamp(self.now_s, 0), self.now_s)


RISES_8 = Faster(point="t", side=Side.ABOVE, limit=8.0, per_s=60.0, window_s=60.0)


def climb(spec: Faster, per_min: float, seconds: int, period_s: float = 1.0) -> list[Truth]:
    room = Room(watch(spec))
    steps = int(seconds / period_s)
    times = [step * period_s for step in range(steps + 1)]
    return [room.read("t", 20 + per_min * at_s / 60, at_s) for at_s in times]


def test_a_rate_is_unknown_for_half_its_window_and_then_tells() -> None:
    told = climb(RISES_8, 9.0, 90)
    assert told[:30] == [None] * 30
    assert told[30:] == [True] * 61


@pytest.mark.parametrize(
    ("per_min", "expected"), [(2.0, False), (7.9, False), (8.1, True), (-20.0, False)]
)
def test_a_rate_of_rise_never_alarms_at_two_degrees_a_minute(
    per_min: float, expected: bool
) -> None:
    assert climb(RISES_8, per_min, 600)[60:] == [expected] * 541


def test_a_fall_is_told_by_falls() -> None:
    falls = Faster(point="t", side=Side.BELOW, limit=8.0, per_s=60.0, window_s=60.0)
    assert climb(falls, -9.0, 60)[-1] is True
    assert climb(falls, -7.0, 60)[-1] is False
    assert climb(falls, 9.0, 60)[-1] is False


def test_a_rate_of_exactly_the_limit_is_not_beyond_it() -> None:
    exact = Faster(point="t", side=Side.ABOVE, limit=8.0, per_s=64.0, window_s=64.0)
    room = Room(watch(exact))
    assert room.look(0) is None
    assert [room.read("t", at_s / 8, at_s) for at_s in range(65)][-1] is False
    assert room.read("t", 8.5, 65) is True


def test_a_rate_is_as_it_was_when_last_read_however_far_ahead_that_reading_is_stamped() -> None:
    room = Room(watch(RISES_8))
    for step in range(61):
        room.read("t", 20 + 9 * step / 60, step)
    room.latest["t"] = replace(room.latest["t"], value=29.2, at=Stamp(9e9, 0))
    assert room.look(61) is True
    assert room.look(120) is True
    assert room.read("t", 29.2, 121) is False


def test_the_tenth_of_a_degree_of_a_sensor_makes_no_rate() -> None:
    room = Room(watch(RISES_8))
    told = [room.read("t", 20 + 0.1 * (step % 2), step) for step in range(200)]
    assert True not in told


def test_a_sensor_that_is_lost_makes_a_rate_unknown_until_half_a_window_is_known_again() -> None:
    room = Room(watch(RISES_8))
    for step in range(61):
        room.read("t", 20 + step, step)
    assert room.read("t", None, 61) is None
    assert room.read("t", 21.0, 300) is None
    assert room.read("t", 21.0, 329) is None
    assert room.read("t", 21.0, 330) is False


def test_another_points_reading_is_not_taken_for_this_ones() -> None:
    both = AllOf(parts=(RISES_8, Contact(point="smoke")))
    room = Room(watch(both))
    for step in range(61):
        room.read("t", 20 + step, step)
    assert room.read("smoke", True, 200) is True  # the rate is as it was when last read
    assert streamed_points(both) == {"t"}
    assert not is_timed(both)


def test_flat_is_unknown_until_it_moved_or_hung_for_long_enough() -> None:
    room = Room(watch(Flat(point="t", for_s=100.0, within=0.5)))
    assert room.look(0) is None
    assert room.watch.due_s() == float("inf")
    assert room.read("t", 20.0, 0) is None
    assert room.watch.due_s() == 1100.0
    assert room.read("t", 20.5, 50) is None
    assert room.read("t", 20.0, 99) is None
    assert room.look(100) is True
    assert room.watch.due_s() == float("inf")
    assert room.read("t", 20.6, 101) is False
    assert room.watch.due_s() == 1201.0
    assert room.look(200.9) is False
    assert room.look(201) is True


def test_flat_is_unknown_from_its_very_first_reading() -> None:
    room = Room(watch(Flat(point="t", for_s=100.0)))
    assert room.watch.due_s() == float("inf")
    assert room.read("t", 20.0, 0) is None
    assert room.look(99) is None


def test_flat_begins_anew_with_what_was_not_known() -> None:
    room = Room(watch(Flat(point="t", for_s=100.0)))
    room.read("t", 1.0, 0)
    room.read("t", 2.0, 10)
    assert room.look(50) is False
    assert room.read("t", None, 60) is None
    assert room.read("t", 2.0, 70) is None
    assert room.look(169) is None
    assert room.look(170) is True


LEAK = Leaking(
    point="p",
    limit=20.0,
    window_s=3600.0,
    quiet=Contact(point="pump", is_active=False),
    deadband=5.0,
)


def leaking(room: Room, per_h: float, from_s: int, to_s: int, start: float = 500.0) -> list[Truth]:
    return [
        room.read("p", start - per_h * (at_s - from_s) / 3600 + 0.5 * sin(at_s), at_s)
        for at_s in range(from_s, to_s, 10)
    ]


def test_a_leak_is_told_after_a_whole_window_with_the_pump_off() -> None:
    room = Room(watch(LEAK))
    assert room.read("p", 500.0, -10) is None  # the pump is not known
    room.read("pump", False, 0)
    told = leaking(room, 25.0, 0, 7200)
    assert told[:360] == [None] * 360
    assert told[360:] == [True] * 360
    assert Room(watch(LEAK)).watch.due_s() == float("inf")


@pytest.mark.parametrize("per_h", [19.0, 0.0, -30.0])
def test_a_pressure_that_falls_more_slowly_or_rises_is_no_leak(per_h: float) -> None:
    room = Room(watch(LEAK))
    room.read("pump", False, 0)
    assert set(leaking(room, per_h, 0, 7200)[361:]) == {False}


def test_a_leak_is_over_only_past_its_deadband_and_over_a_restart_too() -> None:
    room = Room(watch(LEAK))
    room.watch.hold()
    room.read("pump", False, 0)
    assert leaking(room, 16.0, 0, 3700)[-1] is True
    room = Room(watch(LEAK))
    room.watch.hold()
    room.read("pump", False, 0)
    assert leaking(room, 14.0, 0, 3700)[-1] is False


def test_while_the_pump_runs_or_is_not_known_a_leak_is_unknown_and_the_window_begins_anew() -> None:
    for pump in (True, None):
        room = Room(watch(LEAK))
        room.read("pump", False, 0)
        assert leaking(room, 25.0, 0, 3700)[-1] is True
        assert room.read("pump", pump, 3700) is None
        assert room.read("pump", False, 3701) is None
        assert leaking(room, 25.0, 3710, 7300)[-1] is None


def test_a_gap_of_more_than_a_quarter_of_the_window_begins_it_anew() -> None:
    room = Room(watch(LEAK))
    room.read("pump", False, 0)
    leaking(room, 25.0, 0, 3700)
    assert room.read("p", None, 3700) is None
    assert room.read("p", 474.0, 4560) is True
    assert room.read("p", 400.0, 4560 + 916) is None


def test_a_gap_of_a_quarter_of_the_window_is_bridged() -> None:
    room = Room(watch(LEAK))
    room.read("pump", False, 0)
    told = [room.read("p", 500.0 - 25.0 * at_s / 3600, at_s) for at_s in range(0, 4501, 900)]
    assert told == [None, None, None, None, True, True]


def test_a_fall_of_exactly_the_limit_is_a_leak() -> None:
    exact = replace(LEAK, limit=3600 / 1024, window_s=3840.0)  # numbers a computer holds exactly
    room = Room(watch(exact))
    room.read("pump", False, 0)
    assert [room.read("p", 500 - at_s / 1024, at_s) for at_s in range(0, 3841, 16)][-1] is True


def test_the_memory_of_a_leak_does_not_grow_with_the_poll_rate() -> None:
    room = Room(seen := LeakWatch(LEAK, watch(LEAK.quiet)))
    room.read("pump", False, 0)
    for step in range(20_000):
        room.read("p", 500.0, step / 2)
    # one a slice, which is 15 s here, and the far end is the newest that is a whole window old
    assert [at_s for at_s, _ in seen._kept] == [1000.0 + 15 * (step + 426) for step in range(241)]


def test_a_reading_from_the_future_is_taken_once_and_makes_no_window_whole_by_itself() -> None:
    room = Room(watch(LEAK))
    room.read("pump", False, 0)
    for at_s in range(0, 3001, 30):
        room.read("p", 500.0, at_s)
    ahead = replace(room.latest["p"], at=Stamp(9e9, 0))
    room.latest["p"] = ahead
    assert room.look(3030) is None
    assert room.look(3700) is None
    assert room.read("p", 500.0, 3710) is False


@given(st.floats(-50, 50), st.floats(-1000, 1000), st.integers(2, 60))
def test_the_slope_of_a_line_is_its_slope(per_s: float, start: float, count: int) -> None:
    line = deque((1e6 + 7.0 * step, start + per_s * 7.0 * step) for step in range(count))
    assert slope_of(line) == pytest.approx(per_s, abs=1e-6)


def test_only_what_depends_on_every_reading_asks_for_every_reading() -> None:
    assert streamed_points(LEAK) == {"p"}
    assert streamed_points(Flat(point="t", for_s=1.0)) == {"t"}
    assert streamed_points(Threshold(point="t", side=Side.ABOVE, limit=1.0)) == frozenset()
    assert is_timed(Flat(point="t", for_s=1.0))
