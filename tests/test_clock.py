"""When what recurs comes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.clock import next_beat_s


@given(
    now_s=st.floats(0.0, 1e8),
    period_s=st.sampled_from([0.05, 0.25, 0.5, 1.0, 5.0]),
)
@example(now_s=1.0, period_s=0.05)
def test_the_next_beat_comes_later_and_within_a_period(now_s: float, period_s: float) -> None:
    beat_s = next_beat_s(now_s, period_s)
    assert beat_s > now_s
    assert beat_s - now_s <= period_s * 1.0001
    assert beat_s / period_s == pytest.approx(round(beat_s / period_s))


def test_periods_that_divide_one_another_meet() -> None:
    assert {next_beat_s(99.3, period_s) for period_s in (0.25, 0.5, 1.0)} == {99.5, 100.0}
    assert {next_beat_s(99.8, period_s) for period_s in (0.25, 0.5, 1.0)} == {100.0}
