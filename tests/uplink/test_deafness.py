"""How long an uplink does not listen after messages larger than any command."""

from __future__ import annotations

import pytest

from agent.uplink.deafness import LONGEST_S, Deafness


def test_it_listens_until_such_a_message_comes_and_again_after_a_time() -> None:
    deafness = Deafness(10.0)
    assert deafness.left_s(0.0) == 0.0
    assert deafness.begin(100.0) == 10.0
    assert deafness.left_s(104.0) == pytest.approx(6.0)
    assert deafness.left_s(110.0) == 0.0


def test_each_such_message_costs_twice_as_long_but_never_more_than_an_hour() -> None:
    deafness, now_s, lasted = Deafness(10.0), 0.0, []
    for _ in range(12):
        lasted.append(deafness.begin(now_s))
        now_s += lasted[-1]
    assert lasted[:4] == [10.0, 20.0, 40.0, 80.0]
    assert lasted[-1] == lasted[-2] == LONGEST_S


def test_after_a_long_time_of_hearing_it_is_short_again() -> None:
    deafness = Deafness(10.0)
    deafness.begin(0.0)
    deafness.begin(10.0)
    assert deafness.begin(30.0 + LONGEST_S + 1.0) == 10.0
