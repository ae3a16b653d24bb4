"""Pulse counters in a site file: their specs, and what polling cannot see is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from drivers.gpio.spec import ContactForm, CounterSpec

HEAD = """\
version: 1
site: riverside
box: plantroom-1
buses: [{id: pins, type: gpio}]
inputs: [{id: door, bus: pins, pin: 4, kind: door, contact: normally-closed}]
"""


def load(tmp_path: Path, text: str) -> LoadedSite:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    return load_site(path, env={})


def test_a_counter_becomes_its_spec_its_point_and_a_source_of_rates(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        """\
counters: [{id: water, bus: pins, pin: 5, max_hz: 8, per_pulse: 2.5, unit: L}]
derived: [{id: flow, kind: flow, unit: L/min, how: rate, from: water, window_s: 60}]
rules: [{id: burst, class: technical, when: {point: flow, above: 30}}]
""",
    )
    assert site.gpio_buses[0].counters == (
        CounterSpec(
            point="water",
            pin=5,
            contact=ContactForm.NORMALLY_OPEN,
            max_hz=8,
            unit="L",
            per_pulse=2.5,
            debounce_s=0.01,
        ),
    )
    assert [each.point for each in site.gpio_buses[0].inputs] == ["door"]
    (point,) = (each for each in site.spec.points if each.id == "water")
    assert (point.unit, point.is_contact, point.device) == ("L", False, "pins")
    assert site.spec.derived[0].is_counter
    rules = {each.id: each for each in site.spec.rules}
    assert rules["fault.water"].suppressed_by == ("fault.pins",)
    assert rules["fault.flow"].suppressed_by == ("fault.water", "fault.pins")


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        (
            "pin: 5, max_hz: 9",
            "max_hz: 'pins' sees 8.33 pulses a second for sure (poll_ms 50, debounce_ms 10): shorten "
            "poll_ms, or use a counting module",
        ),
        ("pin: 4, max_hz: 1", "pin: pin 4 of 'pins' is 'door' already"),
        ("pin: 5", "max_hz: is missing and must be given"),
        ("pin: 5, max_hz: 1, kind: smoke", "kind: must be 'count' or 'energy'"),
        ("pin: 5, max_hz: 1, zone: x", "zone: no zone 'x'"),
    ],
)
def test_each_fault_is_told_with_its_place_and_its_cure(
    item: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"counters: [{{id: water, bus: pins, {item}}}]\n")
    assert [f"{each.path}: {each.message}" for each in caught.value.faults] == [
        f"counters[0].{fault}"
    ]
