"""How sirens sound: the rhythm of a pattern, and that it never holds up what comes next."""

from __future__ import annotations

import pytest

from agent.core.effects import SetOutput
from agent.core.spec import OutputKind, OutputSpec, Pattern
from agent.outputs import PATTERNS, phase_of
from drivers.clock import ManualClock
from tests.shell.test_outputs import Site

SIREN = OutputSpec(id="siren", kind=OutputKind.SIREN)


@pytest.mark.parametrize(
    ("pattern", "on"),
    [
        (Pattern.STEADY, "########"),
        (Pattern.PULSED, "##__##__"),
        (Pattern.TEMPORAL_3, "#_#_#___"),
    ],
)
def test_the_rhythm_of_a_pattern_in_half_seconds(pattern: Pattern, on: str) -> None:
    for rounds in (0, 1, 1000):
        begun_s = rounds * sum(PATTERNS.get(pattern, (4.0,)))
        seen = [phase_of(pattern, begun_s + step / 2 + 0.01)[0] for step in range(len(on))]
        assert "".join("#" if each else "_" for each in seen) == on


def test_a_phase_tells_how_long_it_still_lasts() -> None:
    assert phase_of(Pattern.PULSED, 0.25) == (True, 0.75)
    assert phase_of(Pattern.TEMPORAL_3, 2.5) == (False, 1.5)
    assert phase_of(Pattern.STEADY, 5.0) == (True, float("inf"))


async def test_a_siren_sounds_in_its_rhythm_and_is_active_all_along(clock: ManualClock) -> None:
    site = Site(clock, SIREN)
    line = site.lines["siren"]
    wish = SetOutput(output="siren", is_active=True, cause="smoke", pattern=Pattern.PULSED)
    async with site.running():
        site.outputs.set(wish)
        await site.until(lambda: line.writes == [True])
        clock.advance(1.0)
        await site.until(lambda: line.writes == [True, False])
        assert site.view("siren").is_active
        clock.advance(1.0)
        await site.until(lambda: line.writes == [True, False, True])
        site.outputs.set(SetOutput(output="siren", is_active=False, cause="silence"))
        await site.until(lambda: not line.is_energised)
        clock.advance(7.0)
        count = len(site.readings)
        await site.until(lambda: len(site.readings) > count + 2)
        assert line.writes == [True, False, True, False]
    assert site.told("siren") == [("", "active", "smoke"), ("active", "inactive", "silence")]


async def test_a_more_urgent_alarm_changes_the_rhythm_at_once(clock: ManualClock) -> None:
    site = Site(clock, SIREN)
    line = site.lines["siren"]
    async with site.running():
        site.outputs.set(
            SetOutput(output="siren", is_active=True, cause="leak", pattern=Pattern.PULSED)
        )
        await site.until(lambda: line.writes == [True])
        clock.advance(1.5)
        await site.until(lambda: line.writes == [True, False])
        site.outputs.set(SetOutput(output="siren", is_active=True, cause="smoke"))
        await site.until(lambda: line.writes == [True, False, True])
        clock.advance(10.0)
        count = len(site.readings)
        await site.until(lambda: len(site.readings) > count + 2)
        assert line.writes == [True, False, True]


async def test_an_output_with_a_feedback_point_tells_what_it_was_made_to_be(
    clock: ManualClock,
) -> None:
    site = Site(clock, OutputSpec(id="fan", kind=OutputKind.RELAY, has_feedback=True))
    async with site.running():
        site.set("fan", True)
        await site.until(lambda: any(each.point == "fan.active" for each in site.readings))
        site.set("fan", False)
        await site.until(
            lambda: [e.value for e in site.readings if e.point == "fan.active"][-1] is False
        )
