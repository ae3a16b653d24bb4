"""Derived points: what they tell, what they do not know, what they forget, what alarms make of them."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.derived import NOT_FULL, SLICES, Derivation, Extreme, Rate
from agent.core.effects import AlarmState, Effect, Event, Record, Telemeter
from agent.core.engine import Engine
from agent.core.spec import (
    AlarmClass,
    DerivedHow,
    DerivedSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    Side,
    SiteSpec,
    TelemetryMode,
    TelemetryPolicy,
    Threshold,
    Unheard,
)
from drivers.clock import ManualClock, Stamp
from drivers.reading import Quality, Reading, Value

T0 = 1000.0


def spec(how: str, *sources: str, **more: object) -> DerivedSpec:
    plain = DerivedSpec(point="d", how=DerivedHow(how), sources=sources, unit="kPa")
    return replace(plain, **more)  # type: ignore[arg-type]


def reading(
    point: str, value: Value | None, at_s: float, *, quality: Quality | None = None
) -> Reading:
    good = Quality.GOOD if value is not None else Quality.BAD
    return Reading(
        point=point,
        value=value,
        quality=quality or good,
        unit="kPa",
        at=Stamp(T0 + at_s, int(at_s * 1000)),
        reason="" if value is not None else "timeout",
    )


def told(derivation: Derivation, *readings: Reading, now_s: float = 1e9) -> list[Reading]:
    """What is derived from readings that come in one batch."""
    return [each for each in derivation.with_derived(readings, now_s) if each.point == "d"]


def values(readings: list[Reading]) -> list[tuple[Value | None, str, str]]:
    return [(each.value, str(each.quality), each.reason) for each in readings]


@pytest.mark.parametrize(
    ("how", "expected"),
    [("sum", 9.0), ("minimum", 1.0), ("maximum", 5.0), ("median", 3.0)],
)
def test_of_several_sources_as_they_are(how: str, expected: float) -> None:
    derivation = Derivation([spec(how, "a", "b", "c")])
    assert told(derivation, reading("a", 5, 0), reading("b", 1.0, 1)) == []
    (only,) = told(derivation, reading("c", 3.0, 2))
    assert (only.value, only.quality, only.unit) == (expected, Quality.GOOD, "kPa")
    assert only.at == reading("c", 3.0, 2).at


def test_a_difference_is_the_first_less_the_second() -> None:
    derivation = Derivation([spec("difference", "a", "b")])
    assert values(told(derivation, reading("a", 7, 0), reading("b", 10, 0))) == [(-3.0, "good", "")]


def test_the_worst_source_decides_how_good_it_is() -> None:
    derivation = Derivation([spec("sum", "a", "b")])
    told(derivation, reading("a", 1, 0), reading("b", 2, 0))
    unsure = reading("a", 1, 1, quality=Quality.UNCERTAIN)
    assert values(told(derivation, unsure)) == [(3.0, "uncertain", "a: uncertain")]
    assert values(told(derivation, reading("b", None, 2))) == [(None, "bad", "b: timeout")]
    assert values(told(derivation, reading("b", 4, 3))) == [(5.0, "uncertain", "a: uncertain")]


@pytest.mark.parametrize("value", [True, "open", float("nan"), float("inf")])
def test_what_is_no_number_gives_none(value: Value) -> None:
    derivation = Derivation([spec("sum", "a", "b")])
    (last,) = told(derivation, reading("a", value, 0), reading("b", 2, 0))
    assert (last.value, last.quality) == (None, Quality.BAD)
    assert last.reason.startswith("a: ")


def test_a_sum_beyond_all_numbers_is_bad() -> None:
    derivation = Derivation([spec("difference", "a", "b")])
    (last,) = told(derivation, reading("a", 1.7e308, 0), reading("b", -1.7e308, 0))
    assert (last.value, last.quality) == (None, Quality.BAD)
    derivation = Derivation([spec("sum", "a", "b")])
    (last,) = told(derivation, reading("a", 1.7e308, 0), reading("b", 1.7e308, 0))
    assert (last.value, last.quality) == (None, Quality.BAD)


def test_readings_of_one_reply_count_together() -> None:
    derivation = Derivation([spec("difference", "a", "b")])
    told(derivation, reading("a", 10, 0), reading("b", 10, 0))
    assert values(told(derivation, reading("a", 90, 1), reading("b", 90, 1))) == [(0.0, "good", "")]


def test_what_is_derived_from_derived_points_is_told_once_and_whole() -> None:
    twice = DerivedSpec(point="twice", how=DerivedHow.SUM, sources=("a", "a2"))
    back = DerivedSpec(point="d", how=DerivedHow.DIFFERENCE, sources=("twice", "a2"))
    derivation = Derivation([back, twice])
    for second, number in enumerate((1.0, 5.0, -3.0)):
        got = told(derivation, reading("a", number, second), reading("a2", 2.0, second))
        assert values(got) == [(number, "good", "")]


def test_a_circle_is_refused() -> None:
    one = DerivedSpec(point="one", how=DerivedHow.SUM, sources=("two",))
    two = DerivedSpec(point="two", how=DerivedHow.SUM, sources=("one",))
    with pytest.raises(ValueError, match="one, two"):
        Derivation([one, two])


def test_a_reading_that_came_late_changes_nothing() -> None:
    derivation = Derivation([spec("sum", "a", "b")])
    told(derivation, reading("a", 1, 5), reading("b", 2, 5))
    assert told(derivation, reading("a", 50, 4)) == []


def test_a_stamp_from_the_future_does_not_stop_the_time() -> None:
    derivation = Derivation([spec("rate", "a", window_s=10.0)])
    told(derivation, reading("a", 0, 0), now_s=T0)
    told(derivation, reading("a", 10, 500), now_s=T0 + 10)
    (last,) = told(derivation, reading("a", 20, 20), now_s=T0 + 20)
    assert (last.value, last.quality, last.at.mono_s) == (1.0, Quality.GOOD, T0 + 20)


# -- windows ---------------------------------------------------------------------------------------


def test_a_rate_is_told_from_half_a_window_on_and_good_when_it_is_whole() -> None:
    derivation = Derivation([spec("rate", "a", window_s=10.0, per_s=60.0)])
    got = [told(derivation, reading("a", 0.5 * second, second))[0] for second in range(0, 16, 2)]
    assert values(got) == [
        (None, "bad", NOT_FULL),
        (None, "bad", NOT_FULL),
        (None, "bad", NOT_FULL),
        (30.0, "uncertain", NOT_FULL),
        (30.0, "uncertain", NOT_FULL),
        *[(30.0, "good", "")] * 3,
    ]


def test_a_rate_lives_through_a_gap_but_not_through_a_long_one() -> None:
    derivation = Derivation([spec("rate", "a", window_s=10.0)])
    for second in range(11):
        told(derivation, reading("a", second, second))
    assert values(told(derivation, reading("a", None, 11))) == [(None, "bad", "a: timeout")]
    assert values(told(derivation, reading("a", 15, 15))) == [(1.0, "good", "")]
    assert values(told(derivation, reading("a", 900, 90))) == [(None, "bad", NOT_FULL)]


def test_a_counter_that_was_set_back_shows_no_fall() -> None:
    derivation = Derivation([spec("rate", "a", window_s=10.0, is_counter=True)])
    for second in range(0, 21, 2):
        told(derivation, reading("a", 100 + second, second))
    (last,) = told(derivation, reading("a", 1, 22))
    assert (last.value, last.reason) == (None, "counter set back")
    for second in range(24, 40, 2):
        (last,) = told(derivation, reading("a", second - 21, second))
        assert last.value in (None, 1.0)
    assert last.quality is Quality.GOOD


def test_an_extreme_leaves_with_its_window_and_is_doubted_over_a_gap() -> None:
    derivation = Derivation([spec("maximum", "a", window_s=10.0)])
    told(derivation, reading("a", 9, 0))
    (first,) = told(derivation, reading("a", 1, 9))
    assert (first.value, first.quality, first.reason) == (9.0, Quality.UNCERTAIN, NOT_FULL)
    (full,) = told(derivation, reading("a", 2, 11))
    assert (full.value, full.quality) == (2.0, Quality.GOOD)
    told(derivation, reading("a", None, 12))
    (doubted,) = told(derivation, reading("a", 1, 13))
    assert (doubted.value, doubted.quality) == (2.0, Quality.UNCERTAIN)
    (whole,) = told(derivation, reading("a", 1, 23))
    assert whole.quality is Quality.GOOD


def test_a_median_of_the_last_readings_passes_over_a_spike() -> None:
    derivation = Derivation([spec("median", "a", count=3)])
    got = [
        told(derivation, reading("a", value, second))[0]
        for second, value in enumerate((5, 5, 5, 900, 5, 6, 6))
    ]
    assert [each.value for each in got] == [5, 5, 5, 5, 5, 6, 6]
    assert [each.quality for each in got[:3]] == [
        Quality.UNCERTAIN,
        Quality.UNCERTAIN,
        Quality.GOOD,
    ]


steps = st.lists(
    st.tuples(
        st.floats(0.01, 4.0),
        st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False)),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@given(steps=steps, is_greatest=st.booleans())
def test_an_extreme_is_never_less_extreme_than_its_window_and_never_older_than_a_slice_more(
    steps: list[tuple[float, float | None, bool]], is_greatest: bool
) -> None:
    window_s, pick = 10.0, max if is_greatest else min
    window = Extreme(window_s, is_greatest=is_greatest)
    at_s, seen = 0.0, list[tuple[float, float | None, bool]]()
    for pause_s, number, is_certain in steps:
        at_s += pause_s
        seen.append((at_s, number, is_certain))
        window.take(number, at_s, is_certain=is_certain)
        if number is None:
            continue
        answer = window.answer(at_s)
        asked = [each for t, each, _ in seen if each is not None and t >= at_s - window_s]
        longest_s = window_s * (1 + 1.001 / SLICES)
        kept = [each for t, each, _ in seen if each is not None and t >= at_s - longest_s]
        assert answer.number is not None
        assert pick(answer.number, pick(asked)) == answer.number
        assert pick(answer.number, pick(kept)) == pick(kept)
        in_window = [each for each in seen if each[0] > at_s - window_s]
        is_whole = seen[0][0] <= at_s - window_s
        is_sound = is_whole and all(n is not None and sure for _, n, sure in in_window)
        if answer.reason == "":
            assert is_sound


@given(steps=steps, window_s=st.sampled_from([3.0, 10.0]))
def test_a_rate_is_the_slope_between_two_readings_it_was_given(
    steps: list[tuple[float, float | None, bool]], window_s: float
) -> None:
    window = Rate(window_s, 1.0, is_counter=False)
    at_s, seen = 0.0, list[tuple[float, float]]()
    for pause_s, number, is_certain in steps:
        at_s += pause_s
        window.take(number, at_s, is_certain=is_certain)
        if number is None:
            continue
        seen.append((at_s, number))
        answer = window.answer(at_s)
        if answer.number is None:
            continue
        slopes = [(number - n) / (at_s - t) for t, n in seen if window_s / 2 <= at_s - t]
        assert any(answer.number == pytest.approx(slope, abs=1e-6) for slope in slopes)
        if not answer.reason:
            assert any(window_s <= at_s - t <= 2 * window_s for t, _ in seen)


@given(st.lists(st.floats(-1e9, 1e9), min_size=5, max_size=40))
def test_a_running_median_is_that_of_the_last_ones(numbers: list[float]) -> None:
    derivation = Derivation([spec("median", "a", count=5)])
    got = [told(derivation, reading("a", each, at))[0] for at, each in enumerate(numbers)]
    assert [each.value for each in got[4:]] == [
        median(numbers[end - 5 : end]) for end in range(5, len(numbers) + 1)
    ]
    assert all(each.quality is Quality.GOOD for each in got[4:])


def test_memory_does_not_grow_with_the_poll_rate() -> None:
    extreme, rate = Extreme(3600.0, is_greatest=True), Rate(3600.0, 1.0, is_counter=False)
    for tick in range(100_000):
        extreme.take(-float(tick), tick * 0.1, is_certain=True)
        rate.take(float(tick), tick * 0.1, is_certain=True)
    assert len(extreme._kept) <= SLICES + 2
    assert len(rate._kept) <= 2 * SLICES + 2


# -- in the engine ---------------------------------------------------------------------------------


def engine() -> Engine:
    every = TelemetryPolicy(mode=TelemetryMode.EVERY)
    points = tuple(
        PointSpec(id=each, kind=PointKind.PRESSURE, stale_after_s=5.0) for each in ("a", "b")
    )
    derived = PointSpec(id="d", kind=PointKind.PRESSURE, stale_after_s=1e9, telemetry=every)
    rules = (
        RuleSpec(
            id="wide",
            alarm_class=AlarmClass.SUPERVISORY,
            condition=Threshold(point="d", side=Side.ABOVE, limit=50),
        ),
        RuleSpec(
            id="fault.a",
            alarm_class=AlarmClass.FAULT,
            condition=Unheard(point="a"),
            on_delay_s=10.0,
        ),
        RuleSpec(
            id="fault.d",
            alarm_class=AlarmClass.FAULT,
            condition=Unheard(point="d"),
            on_delay_s=11.0,
            suppressed_by=("fault.a",),
        ),
    )
    return Engine(
        SiteSpec(
            site="s",
            box="box",
            points=(*points, derived),
            rules=rules,
            derived=(spec("difference", "a", "b"),),
        )
    )


def events(effects: list[Effect]) -> list[Event]:
    return [each.event for each in effects if isinstance(each, Record)]


def states(engine: Engine) -> dict[str, AlarmState]:
    return {each.rule: each.state for each in engine.alarms()}


def test_a_rule_watches_a_derived_point_like_any_other() -> None:
    alarms, clock = engine(), ManualClock(T0)
    alarms.start(clock.stamp())
    calm = alarms.on_readings([reading("a", 100, 0), reading("b", 80, 0)], clock.stamp())
    assert events(calm) == []
    assert [e.reading.value for e in calm if isinstance(e, Telemeter) and e.reading.point == "d"]
    clock.advance(1)
    (raised,) = events(alarms.on_readings([reading("b", 20, 1)], clock.stamp()))
    assert (raised.rule, raised.point, raised.value) == ("wide", "d", 80.0)


def test_a_silent_source_makes_it_unknown_at_once_and_is_the_one_fault() -> None:
    alarms, clock = engine(), ManualClock(T0)
    alarms.start(clock.stamp())
    alarms.on_readings([reading("a", 100, 0), reading("b", 80, 0)], clock.stamp())
    for second in range(1, 30):
        clock.advance(1)
        alarms.on_readings([reading("b", 20, second)] if second > 7 else [], clock.stamp())
        alarms.on_tick(clock.stamp())
    derived = alarms.reading("d")
    assert derived is not None
    assert (derived.value, derived.quality) == (None, Quality.BAD)
    assert derived.reason.startswith("a: ")
    assert states(alarms)["wide"] is AlarmState.NORMAL
    assert states(alarms)["fault.a"] is AlarmState.ACTIVE_UNACKED
    assert [each.is_suppressed for each in alarms.alarms() if each.rule == "fault.d"] == [True]


def test_a_source_never_heard_of_is_no_peace() -> None:
    alarms, clock = engine(), ManualClock(T0)
    alarms.start(clock.stamp())
    for second in range(1, 20):
        clock.advance(1)
        alarms.on_readings([reading("b", 20, second)], clock.stamp())
        alarms.on_tick(clock.stamp())
    derived = alarms.reading("d")
    assert derived is not None
    assert derived.quality is Quality.BAD
