"""Pulse counters: every pulse once, never backwards, and what may be missing is said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.clock import ManualClock, Stamp
from drivers.gpio.counting import MISSING, RESTARTED, WatchedCounter, fastest_hz
from drivers.gpio.pins import MockPins
from drivers.gpio.spec import ContactForm, CounterSpec
from drivers.reading import Quality, Reading
from tests.gpio.harness import running, spec

POLL_S, DEBOUNCE_S = 0.05, 0.01
PIN = 17


def counter(**more: object) -> CounterSpec:
    return CounterSpec(
        **{  # type: ignore[arg-type]
            "point": "water",
            "pin": PIN,
            "contact": ContactForm.NORMALLY_OPEN,
            "max_hz": 8.0,
            "debounce_s": DEBOUNCE_S,
            **more,
        }
    )


class Meter:
    """A counter on a mock pin, looked at when the test says so."""

    def __init__(self, pins: MockPins, spec: CounterSpec) -> None:
        self.pins = pins
        self.watched = WatchedCounter(spec, 5.0)
        self.now_s = 100.0
        self.told: list[Reading] = []
        self.watched.claim(pins.open(), lambda: None, self.now_s)

    def close(self, is_closed: bool) -> None:
        self.pins.drive(PIN, not is_closed)

    def look(self, after_s: float = POLL_S) -> None:
        self.now_s += after_s
        has_news = self.watched.look(self.now_s)
        if has_news or self.watched.is_refresh_due(self.now_s):
            self.told.append(self.watched.reading(Stamp(self.now_s, 0)))

    def polls(self, seconds: float) -> None:
        """Look as a bus does: each poll, and when the counter asks for it."""
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-9:
            self.look(min(POLL_S, max(0.001, self.watched.due_s() - self.now_s)))

    def last(self) -> tuple[object, str, str]:
        reading = self.told[-1]
        return reading.value, str(reading.quality), reading.reason


@pytest.fixture
def pins() -> MockPins:
    return MockPins()


def test_a_start_is_told_and_counting_begins_at_nothing(pins: MockPins) -> None:
    meter = Meter(pins, counter())
    meter.close(True)
    meter.look()
    assert meter.last() == (None, "bad", RESTARTED)
    meter.look()
    assert meter.last() == (0, "good", "")
    for expected in (1, 2, 3):
        meter.close(False)
        meter.polls(0.1)
        meter.close(True)
        meter.polls(0.1)
        assert meter.last() == (expected, "good", "")
    assert len(meter.told) == 5


def test_a_pulse_has_its_worth_and_a_normally_closed_contact_counts_its_opening(
    pins: MockPins,
) -> None:
    meter = Meter(pins, counter(per_pulse=2.5, unit="L", contact=ContactForm.NORMALLY_CLOSED))
    meter.close(True)
    meter.polls(0.2)
    for _ in range(3):
        meter.close(False)
        meter.polls(0.1)
        meter.close(True)
        meter.polls(0.1)
    assert meter.last() == (7.5, "good", "")
    assert meter.told[-1].unit == "L"


def test_a_bounce_is_no_pulse(pins: MockPins) -> None:
    meter = Meter(pins, counter())
    meter.polls(0.2)
    for _ in range(4):
        meter.close(True)
        meter.look(0.002)
        meter.close(False)
        meter.look(0.002)
    meter.polls(0.2)
    assert meter.last() == (0, "good", "")


def test_a_look_that_came_too_late_makes_the_count_uncertain_for_good(
    pins: MockPins, caplog: pytest.LogCaptureFixture
) -> None:
    meter = Meter(pins, counter())
    meter.polls(0.2)
    meter.look(0.5)
    meter.look(0.5)
    meter.close(True)
    meter.polls(0.2)
    value, quality, reason = meter.last()
    assert (quality, reason) == ("uncertain", MISSING)
    assert value in (0, 1)
    assert [each.message for each in caplog.records] == [
        f"point water: {MISSING}, the reader came late"
    ]


def test_a_contact_that_does_not_rest_has_no_count_and_leaves_it_uncertain(pins: MockPins) -> None:
    meter = Meter(pins, counter())
    meter.polls(0.2)
    for number in range(400):
        meter.close(number % 2 == 0)
        meter.look(0.004)
    assert meter.last() == (None, "bad", "unsteady")
    meter.close(False)
    meter.polls(0.2)
    assert meter.last()[1:] == ("uncertain", MISSING)


@settings(max_examples=60)
@given(
    halves=st.lists(st.floats(1.0, 8.0), min_size=2, max_size=40),
    poll_s=st.sampled_from([0.01, 0.05]),
)
def test_no_pulse_is_missed_up_to_the_fastest_and_none_is_counted_twice(
    halves: list[float], poll_s: float
) -> None:
    fastest = fastest_hz(poll_s, DEBOUNCE_S)
    shortest_s = 1 / (2 * fastest)
    pins = MockPins()
    meter = Meter(pins, counter(max_hz=fastest))
    meter.close(False)
    changes_s, at_s = list[float](), meter.now_s + 0.5
    for half in halves:
        changes_s.append(at_s)
        at_s += half * shortest_s * 1.001
    end_s, is_closed, done = at_s + 0.5, False, 0
    while meter.now_s < end_s:
        wait_s = min(poll_s, max(1e-4, meter.watched.due_s() - meter.now_s))
        while done < len(changes_s) and changes_s[done] <= meter.now_s + wait_s:
            is_closed = not is_closed
            meter.close(is_closed)
            done += 1
        meter.look(wait_s)
    pulses = (len(halves) + 1) // 2
    assert meter.last() == (pulses, "good", "")
    counts = [each.value for each in meter.told if isinstance(each.value, int)]
    assert counts == sorted(counts)


async def test_a_chip_that_went_away_leaves_the_count_where_it_was_but_uncertain(
    clock: ManualClock, pins: MockPins
) -> None:
    bus_spec = spec(counters=(counter(max_hz=1.0, debounce_s=0.0),))
    async with running(bus_spec, clock, pins) as (_, heard):
        await heard.until(lambda: heard.last("water") == (0, ""))
        assert heard.of("water")[0] == (None, RESTARTED)
        pins.drive(PIN, False)
        await heard.until(lambda: heard.last("water") == (1, ""))
        pins.unplug()
        await heard.until(lambda: heard.last("water") == (None, "port"))
        pins.plug()
        await heard.until(lambda: heard.last("water") == (1, MISSING))
    assert [e.quality for e in heard.readings if e.point == "water"][-1] is Quality.UNCERTAIN
