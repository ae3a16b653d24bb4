"""Derived points in a site file: what they become, and each fault with its place and its cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from agent.core.engine import Engine
from agent.core.spec import DerivedHow, DerivedSpec
from drivers.clock import ManualClock
from drivers.modbus.spec import PollClass
from drivers.reading import Quality, Reading

HEAD = """\
version: 1
site: riverside
box: plantroom-1
zones: [{id: pump-room}]
buses: [{id: line, type: modbus-rtu, port: /dev/ttyUSB0}, {id: pins, type: gpio}]
devices:
  - {id: m, bus: line, unit: 1, zone: pump-room, quantities: [
      {name: in, area: input, address: 0, type: u16, unit: kPa},
      {name: out, area: input, address: 1, type: u16, unit: kPa},
      {name: temp, area: input, address: 2, type: s16, unit: C},
      {name: energy, area: input, address: 3, type: u32, unit: kWh, kind: energy},
      {name: state, area: input, address: 5, type: u16, enum: {0: up, 1: down}}]}
inputs: [{id: leak, bus: pins, pin: 4, kind: leak, contact: normally-closed}]
"""
LINES = HEAD.count("\n")


def load(tmp_path: Path, text: str) -> LoadedSite:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    return load_site(path, env={})


def test_each_way_becomes_its_spec_with_point_and_fault(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        """\
derived:
  - {id: drop, kind: pressure, unit: kPa, how: difference, of: [m.in, m.out]}
  - {id: rise, kind: temperature, unit: C/min, how: rate, from: m.temp, window_s: 60}
  - {id: used, kind: power, unit: kW, how: rate, from: m.energy, window_s: 600, per: hour}
  - {id: low, kind: pressure, unit: kPa, how: minimum, from: drop, window_s: 300}
  - {id: calm, kind: temperature, unit: C, how: median, from: m.temp, n: 5}
rules:
  - {id: filter, class: supervisory, when: {point: drop, above: 60}}
  - {id: hot, class: fire, when: {point: rise, above: 8}}
""",
    ).spec
    assert site.derived[:3] == (
        DerivedSpec(
            point="drop", how=DerivedHow.DIFFERENCE, sources=("m.in", "m.out"), unit="kPa", per_s=60
        ),
        DerivedSpec(
            point="rise",
            how=DerivedHow.RATE,
            sources=("m.temp",),
            unit="C/min",
            window_s=60,
            per_s=60,
        ),
        DerivedSpec(
            point="used",
            how=DerivedHow.RATE,
            sources=("m.energy",),
            unit="kW",
            window_s=600,
            per_s=3600,
            is_counter=True,
        ),
    )
    assert (site.derived[3].sources, site.derived[4].count) == (("drop",), 5)
    points = {each.id: each for each in site.points}
    assert points["rise"].zone == points["low"].zone == "pump-room"
    rules = {each.id: each for each in site.rules}
    assert rules["fault.drop"].suppressed_by == (
        "fault.m.in",
        "fault.m.out",
        "fault.m",
        "fault.line",
    )
    assert rules["fault.low"].suppressed_by == ("fault.drop", "fault.m", "fault.line")
    assert rules["fault.m.in"].on_delay_s < rules["fault.drop"].on_delay_s == 11
    assert rules["fault.low"].on_delay_s == 12
    assert rules["fault.rise"].on_delay_s == 10 + 1 + 30
    assert all(name in rules for each in site.rules for name in each.suppressed_by)


def test_what_a_fire_rule_watches_by_a_derived_point_is_polled_as_fire(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        """\
derived: [{id: rise, kind: temperature, unit: C/min, how: rate, from: m.temp, window_s: 60}]
rules: [{id: hot, class: fire, when: {point: rise, above: 8}}]
""",
    )
    classes = {each.name: each.poll_class for each in site.modbus_buses[0].devices[0].quantities}
    assert classes["temp"] is PollClass.FIRE
    assert classes["in"] is PollClass.NORMAL


def test_a_loaded_site_calculates(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        "derived: [{id: drop, kind: pressure, unit: kPa, how: difference, of: [m.in, m.out]}]\n",
    )
    clock = ManualClock()
    engine = Engine(site.spec)
    engine.start(clock.stamp())
    at = clock.stamp()
    engine.on_readings(
        [
            Reading(point=point, value=value, quality=Quality.GOOD, unit="kPa", at=at)
            for point, value in (("m.in", 300), ("m.out", 120))
        ],
        at,
    )
    drop = engine.reading("drop")
    assert drop is not None
    assert (drop.value, drop.unit) == (180.0, "kPa")


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("how: sum, of: [m.in, m.otu]", "of[1]: no point 'm.otu'; did you mean 'm.out'?"),
        ("how: sum, of: [m.in]", "of: a sum of one point is that point; name two or more"),
        ("how: sum, of: [m.in, m.in]", "of: names a point twice"),
        ("how: sum", "how: needs `of: [points]`, or `from: point` with a window"),
        ("how: sum, from: m.in", "from: a sum is of several points; name them under `of`"),
        (
            "how: difference, of: [m.in, m.out, m.temp]",
            "of: a difference has two points: the first less the second",
        ),
        ("how: rate, of: [m.in, m.out]", "of: a rate is of one point over time; name it under `from`"),
        ("how: rate, from: m.in", "window_s: is missing: a rate of one point is over some time"),
        ("how: median, from: m.in", "n: is missing: a median of one point is over some time"),
        (
            "how: maximum, from: m.in, window_s: 60, n: 5",
            "n: means nothing for this maximum; leave it out",
        ),
        (
            "how: sum, of: [m.in, m.out], window_s: 60",
            "window_s: means nothing for this sum; leave it out",
        ),
        (
            "how: minimum, of: [m.in], from: m.in",
            "from: `of` names several points, `from` one over time: not both",
        ),
        (
            "how: rate, from: m.in, window_s: 3",
            "window_s: must be at least twice the poll period of 2 s, or there is nothing to compare",
        ),
        ("how: sum, of: [m.in, leak]", "of[1]: 'leak' is a contact; put contacts together in a rule"),
        ("how: sum, of: [m.in, line.online]", "of[1]: 'line.online' is a contact; put contacts together in a rule"),
        ("how: sum, of: [m.in, m.state]", "of[1]: 'm.state' is a word; it cannot be calculated with"),
        ("how: sum, of: [m.in, x]", "id: 'x' is calculated from itself"),
        ("how: median, from: m.in, n: 2", "n: must be 3 or more"),
        ("how: sun, of: [m.in, m.out]", "how: must be 'sum', 'difference', 'rate', 'minimum', "
         "'maximum' or 'median'; did you mean 'sum'?"),
        ("how: sum, of: [m.in, m.out], fro: m.in", "fro: unknown key; did you mean 'from'?"),
        ("how: sum, of: [m.in, m.out], zone: pump", "zone: no zone 'pump'; did you mean 'pump-room'?"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place_and_its_cure(
    item: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"derived:\n  - {{id: x, kind: pressure, unit: kPa, {item}}}\n")
    assert [f"{each.path}: {each.message}" for each in caught.value.faults] == [
        f"derived[0].{fault}"
    ]
    assert [each.line for each in caught.value.faults] == [LINES + 2]


def test_a_circle_of_two_is_told_at_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            """\
derived:
  - {id: x, kind: pressure, unit: kPa, how: sum, of: [m.in, y]}
  - {id: y, kind: pressure, unit: kPa, how: sum, of: [m.in, x]}
  - {id: z, kind: pressure, unit: kPa, how: sum, of: [m.in, x]}
""",
        )
    assert [each.path for each in caught.value.faults] == ["derived[0].id", "derived[1].id"]


def test_a_name_that_is_taken_and_a_fault_that_may_not_be_off(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            """\
derived:
  - {id: leak, kind: pressure, unit: kPa, how: sum, of: [m.in, m.out]}
  - {id: s, kind: pressure, unit: kPa, how: sum, of: [m.in, m.out], fault: off}
rules: [{id: r, class: fire, when: {point: s, above: 8}}]
""",
        )
    assert sorted(each.path for each in caught.value.faults) == [
        "derived[0].id",
        "derived[1].fault",
    ]


@pytest.mark.parametrize(
    ("item", "warning"),
    [
        ("unit: kPa, how: sum, of: [m.in, m.temp]", "the units differ: m.in in kPa, m.temp in C"),
        ("unit: bar, how: sum, of: [m.in, m.out]", "its sources are in kPa; nothing is converted"),
    ],
)
def test_units_that_do_not_fit_are_a_warning(item: str, warning: str, tmp_path: Path) -> None:
    site = load(tmp_path, f"derived:\n  - {{id: x, kind: pressure, {item}}}\n")
    assert warning in [each.message for each in site.warnings]
