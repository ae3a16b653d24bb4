"""When a reading becomes telemetry and when it refreshes the retained state."""

from __future__ import annotations

from math import nan

import pytest

from agent.core.spec import PointKind, PointSpec, TelemetryMode, TelemetryPolicy
from agent.core.telemetry import StateGate, TelemetryGate, has_changed
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value


def reading(value: Value | None, quality: Quality | None = None) -> Reading:
    quality = quality or (Quality.BAD if value is None else Quality.GOOD)
    return Reading(point="p", value=value, quality=quality, unit="", at=Stamp(0.0, 0))


def passed(
    gate: TelemetryGate | StateGate, timeline: list[tuple[float, Value | None]]
) -> list[float]:
    return [at_s for at_s, value in timeline if gate.passes(reading(value), at_s)]


@pytest.mark.parametrize(
    ("before", "after", "deadband", "is_change"),
    [
        (1.0, 1.0, 0.0, False),
        (1.0, 1.1, 0.0, True),
        (1.0, 1.4, 0.5, False),
        (1.0, 1.5, 0.5, True),
        (1.5, 1.0, 0.5, True),
        (False, True, 5.0, True),
        (True, 1, 0.0, True),
        ("on", "off", 5.0, True),
        ("on", "on", 0.0, False),
        (None, 1.0, 5.0, True),
        (None, None, 0.0, False),
        (1.0, nan, 5.0, True),
    ],
)
def test_change(
    before: Value | None, after: Value | None, deadband: float, is_change: bool
) -> None:
    assert has_changed(before, after, deadband) is is_change


@pytest.mark.parametrize(
    ("policy", "times"),
    [
        (TelemetryPolicy(mode=TelemetryMode.EVERY), [0, 10, 20, 30, 55, 60, 65, 90, 120, 185]),
        (TelemetryPolicy(mode=TelemetryMode.NONE), []),
        # 20: beyond the deadband; 30: bad; 55: good again; 120: 60 s without a word, nearly
        (TelemetryPolicy(deadband=0.5), [0, 20, 30, 55, 120, 185]),
        # 30 and 55 for their quality, 120 on the beat begun at 55
        (TelemetryPolicy(mode=TelemetryMode.INTERVAL), [0, 30, 55, 120, 185]),
    ],
)
def test_policy(policy: TelemetryPolicy, times: list[float]) -> None:
    timeline: list[tuple[float, Value | None]] = [
        (0, 20.0),
        (10, 20.4),
        (20, 20.5),
        (30, None),
        (55, 20.5),
        (60, 20.6),
        (65, 20.6),
        (90, 20.2),
        (120, 20.3),
        (185, 20.3),
    ]
    assert passed(TelemetryGate(policy), timeline) == times


def test_an_interval_keeps_its_beat_over_jitter_and_starts_anew_after_a_pause() -> None:
    gate = TelemetryGate(TelemetryPolicy(mode=TelemetryMode.INTERVAL, interval_s=10.0))
    times = [0.0, 4.0, 10.2, 19.9, 20.1, 30.0, 75.0, 80.0, 85.1]
    assert passed(gate, [(at_s, at_s) for at_s in times]) == [0.0, 10.2, 20.1, 30.0, 75.0, 85.1]


def state_gate(deadband: float = 0.0) -> StateGate:
    return StateGate(PointSpec(id="p", kind=PointKind.GENERIC, state_deadband=deadband))


def test_the_state_of_a_contact_is_shown_at_once_and_only_when_it_changes() -> None:
    timeline = [(0.0, False), (1.0, False), (2.0, True), (2.1, False), (40.0, False)]
    assert passed(state_gate(), list(timeline)) == [0.0, 2.0, 2.1]


def test_a_word_is_shown_at_once() -> None:
    assert passed(state_gate(), [(0, "up"), (1, "down"), (2, "down")]) == [0, 1]


def test_a_measurement_is_shown_beyond_its_deadband_and_at_most_every_30_s() -> None:
    timeline: list[tuple[float, Value | None]] = [
        (0, 20.0),
        (10, 30.0),
        (29.9, 30.0),
        (30, 30.0),
        (70, 30.4),
        (80, 31.0),
    ]
    assert passed(state_gate(deadband=0.5), timeline) == [0, 30, 80]


def test_a_change_of_quality_is_shown_at_once() -> None:
    gate = state_gate()
    assert gate.passes(reading(20.0), 0)
    assert gate.passes(reading(20.0, Quality.UNCERTAIN), 1)
    assert gate.passes(reading(None), 2)
    assert gate.passes(reading(None, Quality.STALE), 3)
    assert not gate.passes(reading(None, Quality.STALE), 4)
    assert gate.passes(reading(20.0), 5)


def test_the_first_reading_passes_whatever_the_clock_says() -> None:
    for at_s in (-1e9, 0.0, 1e9):
        gate = TelemetryGate(TelemetryPolicy(mode=TelemetryMode.INTERVAL, interval_s=60.0))
        assert gate.passes(reading(1.0), at_s)
        assert not gate.passes(reading(2.0), at_s + 59.9)
        assert StateGate(PointSpec(id="p", kind=PointKind.GENERIC)).passes(reading(1.0), at_s)


def test_an_interval_keeps_its_beat_and_starts_anew_after_a_pause() -> None:
    gate = TelemetryGate(TelemetryPolicy(mode=TelemetryMode.INTERVAL, interval_s=60.0))
    times = [0.0, 60.0, 119.0, 125.0, 180.0, 239.0, 240.0, 300.0, 420.0, 479.0, 480.0]
    # 125 is late by 5 s and the beat goes on at 180; at 420 a whole beat was missed
    assert passed(gate, [(at_s, 1.0) for at_s in times]) == [
        0.0, 60.0, 125.0, 180.0, 240.0, 300.0, 420.0, 480.0,
    ]  # fmt: skip
