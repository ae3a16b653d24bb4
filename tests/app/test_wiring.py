"""How the parts of a site are put together."""

from __future__ import annotations

import pytest

from agent.app.wiring import APART_S, PORTS_TOGETHER, phase_s


def test_ports_are_read_some_at_a_time_so_that_none_waits_for_the_answers_of_all() -> None:
    phases = [phase_s(number) for number in range(3 * PORTS_TOGETHER)]
    assert phases == sorted(phases)
    assert {phases.count(each) for each in phases} == {PORTS_TOGETHER}
    assert sorted(set(phases)) == pytest.approx([APART_S, 2 * APART_S, 3 * APART_S])
