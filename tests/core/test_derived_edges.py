"""The edges of derived points: what exactly is doubted, for how long, and what a restart of a counter does."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from agent.core.derived import NOT_FULL, SLICES, Derivation, Extreme, Rate, RunningMedian
from agent.core.spec import DerivedHow, DerivedSpec
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading
from tests.core.test_derived import T0, reading, spec, told, values

DOUBT = "uncertain in window"


# -- extremes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_greatest", [True, False])
def test_an_uncertain_number_is_doubted_for_one_window_and_no_longer(is_greatest: bool) -> None:
    extreme = Extreme(10.0, is_greatest=is_greatest)
    seen = []
    for at_s in range(100, 140):
        extreme.take(4.0, float(at_s), is_certain=at_s != 120)
        seen.append((at_s, extreme.answer(float(at_s)).reason))
    assert seen == [
        *[(at_s, NOT_FULL) for at_s in range(100, 110)],
        *[(at_s, "") for at_s in range(110, 120)],
        *[(at_s, DOUBT) for at_s in range(120, 130)],
        *[(at_s, "") for at_s in range(130, 140)],
    ]


def test_an_extreme_begun_with_the_clock_at_nothing_is_not_full_for_a_window() -> None:
    extreme = Extreme(0.5, is_greatest=True)
    extreme.take(1.0, 0.0, is_certain=True)
    assert extreme.answer(0.0).reason == NOT_FULL
    extreme.take(1.0, 0.75, is_certain=True)
    assert extreme.answer(0.75).reason == ""


def test_an_extreme_reaches_back_one_window_and_at_most_a_slice_more() -> None:
    extreme = Extreme(float(SLICES), is_greatest=True)
    extreme.take(9.0, 1000.0, is_certain=True)
    extreme.take(5.0, 1000.0 + SLICES, is_certain=True)
    assert extreme.answer(1000.0 + SLICES).number == 9.0
    extreme.take(5.0, 1000.0 + SLICES + 1, is_certain=True)
    assert extreme.answer(1000.0 + SLICES + 1).number == 5.0


def test_equal_extremes_are_kept_once() -> None:
    extreme = Extreme(float(SLICES), is_greatest=True)
    for at_s in range(1000, 1010):
        extreme.take(7.0, float(at_s), is_certain=True)
    assert len(extreme._kept) == 1


# -- rates -----------------------------------------------------------------------------------------


def test_a_rate_is_told_from_half_the_window_and_trusted_from_the_whole() -> None:
    rate = Rate(10.0, 1.0, is_counter=False)
    got = {}
    for at_s in range(11):
        rate.take(2.0 * at_s, float(at_s), is_certain=True)
        answer = rate.answer(float(at_s))
        got[at_s] = (answer.number, answer.reason)
    assert got[4] == (None, NOT_FULL)
    assert got[5] == got[9] == (2.0, NOT_FULL)
    assert got[10] == (2.0, "")


@pytest.mark.parametrize(("doubted_s", "reason"), [(0, DOUBT), (5, ""), (10, DOUBT), (None, "")])
def test_a_rate_is_doubted_when_an_end_of_its_window_is(doubted_s: int | None, reason: str) -> None:
    rate = Rate(10.0, 1.0, is_counter=False)
    for at_s in range(11):
        rate.take(float(at_s), float(at_s), is_certain=at_s != doubted_s)
    assert rate.answer(10.0).reason == reason


def test_a_counter_that_stands_still_was_not_set_back() -> None:
    rate = Rate(10.0, 1.0, is_counter=True)
    for at_s in range(11):
        rate.take(5.0, float(at_s), is_certain=True)
    assert (rate.answer(10.0).number, rate.answer(10.0).reason) == (0.0, "")


def test_a_counter_set_back_says_so_until_half_a_window_is_known_again() -> None:
    rate = Rate(10.0, 1.0, is_counter=True)
    for at_s in range(11):
        rate.take(100.0 + at_s, float(at_s), is_certain=True)
    for at_s in range(11, 16):
        rate.take(float(at_s - 11), float(at_s), is_certain=True)
        assert (rate.answer(float(at_s)).number, rate.answer(float(at_s)).reason) == (
            None,
            "counter set back",
        )
    rate.take(5.0, 16.0, is_certain=True)
    assert (rate.answer(16.0).number, rate.answer(16.0).reason) == (1.0, NOT_FULL)
    rate.take(None, 17.0, is_certain=False)
    rate.take(5.0, 60.0, is_certain=True)  # more than two windows later: nothing is known any more
    assert (rate.answer(60.0).number, rate.answer(60.0).reason) == (None, NOT_FULL)


def test_a_first_reading_below_nothing_is_no_counter_set_back() -> None:
    rate = Rate(10.0, 1.0, is_counter=True)
    rate.take(-5.0, 0.0, is_certain=True)
    assert rate.answer(0.0).reason == NOT_FULL


def test_the_far_end_of_a_rate_is_the_newest_that_is_a_whole_window_old() -> None:
    rate = Rate(10.0, 1.0, is_counter=False)
    for at_s, number in ((0.0, 0.0), (5.0, 100.0), (15.0, 100.0)):
        rate.take(number, at_s, is_certain=True)
    assert rate.answer(15.0).number == 0.0


def test_a_rate_bridges_a_gap_of_two_windows_and_no_more() -> None:
    rate = Rate(10.0, 1.0, is_counter=False)
    rate.take(0.0, 100.0, is_certain=True)
    rate.take(40.0, 120.0, is_certain=True)
    assert rate.answer(120.0).number == 2.0
    rate = Rate(10.0, 1.0, is_counter=False)
    rate.take(0.0, 100.0, is_certain=True)
    rate.take(40.0, 120.5, is_certain=True)
    assert rate.answer(120.5).number is None


def test_a_rate_keeps_one_number_a_slice_and_the_newest_beyond_the_window() -> None:
    rate = Rate(float(SLICES), 1.0, is_counter=False)
    for step in range(8 * SLICES):
        rate.take(3.0 * step, 500.0 + step / 4, is_certain=True)
    # one a second, and the far end is no further than a slice beyond the window
    assert len(rate._kept) == SLICES + 1
    assert rate._last[0] - rate._kept[0][0] == pytest.approx(SLICES, abs=1.0)
    assert rate.answer(0.0).number == 12.0


# -- medians ---------------------------------------------------------------------------------------


def test_a_median_is_doubted_while_one_of_its_numbers_is() -> None:
    median = RunningMedian(3)
    reasons = []
    for at_s, is_certain in enumerate((True, False, True, True, True)):
        median.take(float(at_s), float(at_s), is_certain=is_certain)
        reasons.append(median.answer(float(at_s)).reason)
    assert reasons == [NOT_FULL, NOT_FULL, DOUBT, DOUBT, ""]


def test_after_a_gap_a_median_begins_anew() -> None:
    derivation = Derivation([spec("median", "a", count=3)])
    for second in range(3):
        told(derivation, reading("a", 900.0, second))
    assert values(told(derivation, reading("a", None, 3))) == [(None, "bad", "a: timeout")]
    got = [told(derivation, reading("a", 5.0, second))[0] for second in range(4, 7)]
    assert values(got) == [
        (5.0, "uncertain", NOT_FULL),
        (5.0, "uncertain", NOT_FULL),
        (5.0, "good", ""),
    ]


# -- a site's derived points -----------------------------------------------------------------------


def test_a_source_that_is_no_number_is_named_with_its_reason_or_as_no_number() -> None:
    derivation = Derivation([spec("sum", "a", "b")])
    told(derivation, reading("b", 1.0, 0))
    assert values(told(derivation, reading("a", "open", 0))) == [(None, "bad", "a: no number")]
    assert values(told(derivation, reading("a", None, 1))) == [(None, "bad", "a: timeout")]


def test_an_uncertain_source_is_named_before_the_window() -> None:
    derivation = Derivation([spec("maximum", "a", window_s=10.0)])
    (first,) = told(derivation, reading("a", 1.0, 0, quality=Quality.UNCERTAIN))
    assert (first.quality, first.reason) == (Quality.UNCERTAIN, "a: uncertain")
    (second,) = told(derivation, reading("a", 1.0, 1))
    assert (second.quality, second.reason) == (Quality.UNCERTAIN, NOT_FULL)


def test_a_rate_that_can_not_be_told_yet_says_why_and_not_what_its_source_is() -> None:
    derivation = Derivation([spec("rate", "a", window_s=10.0)])
    (first,) = told(derivation, reading("a", 1.0, 0, quality=Quality.UNCERTAIN))
    assert values([first]) == [(None, "bad", NOT_FULL)]


def test_a_number_beyond_all_numbers_says_so() -> None:
    derivation = Derivation([spec("difference", "a", "b")])
    (last,) = told(derivation, reading("a", 1.7e308, 0), reading("b", -1.7e308, 0))
    assert values([last]) == [(None, "bad", "not a finite number")]


def test_a_broken_calculation_says_which_error() -> None:
    derivation = Derivation([spec("sum", "a")])

    class Broken(dict[str, Reading]):
        def get(self, *_: object) -> Reading:
            raise ZeroDivisionError

    derivation._derived[0].latest = Broken()
    (last,) = told(derivation, reading("a", 1.0, 0))
    assert values([last]) == [(None, "bad", "calculation failed: ZeroDivisionError")]


def test_a_moment_ends_with_the_next_stamp_though_readings_come_in_one_batch() -> None:
    derivation = Derivation([spec("difference", "a", "b")])
    batch = [
        reading("a", 1.0, 0), reading("b", 1.0, 0), reading("x", 1.0, 1), reading("a", 9.0, 2),
        reading("b", 9.0, 2), reading("b", 4.0, 3),
    ]  # fmt: skip
    everything = list(derivation.with_derived(batch, 1e9))
    assert [(each.point, each.value) for each in everything] == [
        ("a", 1.0), ("b", 1.0), ("d", 0.0), ("x", 1.0), ("a", 9.0), ("b", 9.0), ("d", 0.0),
        ("b", 4.0), ("d", 5.0),
    ]  # fmt: skip


def test_readings_nobody_uses_derive_nothing() -> None:
    derivation = Derivation([spec("sum", "a")])
    assert [each.point for each in derivation.with_derived([reading("x", 1.0, 0)], 1e9)] == ["x"]
    derivation.take(reading("x", 1.0, 0), 0.0)
    assert list(derivation.derive(Stamp(0.0, 0))) == []


def test_what_was_taken_between_blocks_waits_for_a_moment_of_its_own() -> None:
    derivation = Derivation([spec("sum", "a")])
    derivation.take(reading("a", 3.0, 0), T0)
    assert [each.point for each in derivation.with_derived([reading("x", 1.0, 1)], 1e9)] == ["x"]
    (derived,) = derivation.derive(Stamp(T0 + 2, 0))
    assert derived.value == 3.0
    assert list(derivation.derive(Stamp(T0 + 3, 0))) == []


def test_time_does_not_go_back_for_a_derived_point() -> None:
    derivation = Derivation([spec("sum", "a", "b")])
    told(derivation, reading("a", 1.0, 5), reading("b", 1.0, 5))
    assert told(derivation, reading("b", 2.0, 3.0), reading("a", 2.0, 3.0)) == []
    # a source stamped a little earlier by its own driver
    derivation = Derivation([spec("sum", "a", "b")])
    told(derivation, reading("b", 1.0, 4))
    told(derivation, reading("a", 1.0, 6))
    (mixed,) = told(derivation, reading("b", 3.0, 5))
    assert mixed.at == reading("a", 1.0, 6).at
    (later,) = told(derivation, reading("b", 3.0, 5.5))
    assert later.at == reading("a", 1.0, 6).at


def test_of_two_stamps_of_one_moment_between_which_the_clock_was_set_the_newer_is_told() -> None:
    derivation = Derivation([spec("sum", "a", "b")])
    unset = Stamp(400.0, 77, ClockState.UNSYNCED)
    told(derivation, *(replace(reading(name, 1.0, 0), at=unset) for name in "ab"))
    (after,) = told(derivation, replace(reading("b", 2.0, 0), at=Stamp(400.0, 1_750_000_000_000)))
    assert after.at == Stamp(400.0, 1_750_000_000_000)


@pytest.mark.parametrize("clock", list(ClockState))
def test_a_stamp_from_the_future_counts_as_now_with_its_own_wall_time(clock: ClockState) -> None:
    derivation = Derivation([spec("sum", "a")])
    ahead = Reading(
        point="a",
        value=1.0,
        quality=Quality.GOOD,
        unit="kPa",
        at=Stamp(500.0, 77, clock),
    )
    (last,) = told(derivation, ahead, now_s=400.0)
    assert last.at == Stamp(400.0, 77, clock)


def test_derived_twice_of_one_moment_is_told_once() -> None:
    one = DerivedSpec(point="d", how=DerivedHow.SUM, sources=("a", "e"))
    other = DerivedSpec(point="e", how=DerivedHow.SUM, sources=("a",))
    derivation = Derivation([one, other])
    assert [each.point for each in derivation.with_derived([reading("a", 1.0, 0)], 1e9)] == [
        "a",
        "e",
        "d",
    ]
    assert derivation._touched == set()


def test_not_a_number_is_no_measurement() -> None:
    derivation = Derivation([spec("sum", "a")])
    assert values(told(derivation, reading("a", nan, 0))) == [(None, "bad", "a: no number")]
