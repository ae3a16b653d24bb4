"""Outputs on registers and module-timed pulses in a site file: their specs, and each fault's cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from drivers.modbus.spec import PulseOutputSpec, RegisterOutputSpec

HEAD = """\
version: 1
site: riverside
box: plantroom-1
buses: [{id: line, type: modbus-rtu, port: /dev/ttyUSB0}]
devices:
  - {id: m, bus: line, unit: 1, quantities: [
      {name: speed, area: holding, address: 40, type: u16},
      {name: temp, area: input, address: 0, type: s16, unit: C}]}
"""
LINES = HEAD.count("\n")


def load(tmp_path: Path, text: str) -> LoadedSite:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    return load_site(path, env={})


def test_registers_and_pulses_become_their_specs(tmp_path: Path) -> None:
    site = load(
        tmp_path,
        """\
outputs:
  - {id: fan, kind: relay, device: m, register: 41}
  - {id: pump, kind: relay, device: m, register: 42, on: 3, off: 1, read_back: 50}
  - {id: gong, kind: siren, device: m, coil: 2, pulse_ms: 700}
  - {id: trip, kind: cut-off, active: energised, device: m, coil: 3, pulse_ms: 500, pulse_coil: 900}
""",
    )
    assert site.modbus_buses[0].devices[0].outputs == (
        RegisterOutputSpec(output="fan", address=41, on=1, off=0),
        RegisterOutputSpec(output="pump", address=42, on=3, off=1, read_back=50),
        PulseOutputSpec(output="gong", address=2, pulse_address=0x0202, pulse_s=0.7),
        PulseOutputSpec(output="trip", address=3, pulse_address=900, pulse_s=0.5),
    )
    assert {each.id: each.pulse_s for each in site.spec.outputs} == {
        "fan": 0.0,
        "pump": 0.0,
        "gong": 0.7,
        "trip": 0.5,
    }
    assert set(site.line_of.values()) == {"line"}


NEEDS = "id: needs bus and pin, or device and coil, or device and register"


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("kind: relay, device: m", NEEDS),
        ("kind: relay, device: m, coil: 1, register: 2", NEEDS),
        ("kind: relay, device: m, pin: 4", NEEDS),
        ("kind: relay, device: n, register: 2", "device: no device 'n'; known: m"),
        ("kind: relay, device: m, coil: 1, on: 2", "on: goes with `register` only"),
        ("kind: relay, device: m, register: 1, pulse_ms: 500", "pulse_ms: goes with `coil` only"),
        ("kind: relay, device: m, coil: 1, pulse_coil: 9", "pulse_coil: goes with `pulse_ms` only"),
        ("kind: relay, device: m, register: 1, on: 0", "off: must differ from the value of `on`"),
        ("kind: relay, device: m, register: 65536", "register: must be 65535 or less"),
        ("kind: relay, device: m, coil: 1, pulse_ms: 250", "pulse_ms: must be a multiple of 100"),
        (
            "kind: relay, device: m, coil: 1, pulse_ms: 500, pulse_coil: 1",
            "pulse_coil: must be another address than `coil`, to 65535",
        ),
        (
            "kind: cut-off, device: m, coil: 1, pulse_ms: 500",
            "active: a pulse energises; say `active: energised`, or leave pulse_ms out",
        ),
        (
            "kind: health, device: m, coil: 1, pulse_ms: 500",
            "pulse_ms: a health output stays on while the agent is well",
        ),
    ],
)
def test_each_fault_is_told_with_its_place_and_its_cure(
    item: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"outputs:\n  - {{id: o, {item}}}\n")
    assert [f"{each.path}: {each.message}" for each in caught.value.faults] == [
        f"outputs[0].{fault}"
    ]
    assert [each.line for each in caught.value.faults] == [LINES + 2]


def test_a_register_has_one_output_and_a_rule_may_not_switch_what_it_watches(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            """\
outputs:
  - {id: one, kind: relay, device: m, register: 40}
  - {id: two, kind: relay, device: m, register: 40}
rules: [{id: fast, class: supervisory, when: {point: m.speed, above: 5}}]
linkage: [{id: l, rules: [fast], outputs: [one]}]
""",
        )
    assert [f"{each.path}: {each.message}" for each in caught.value.faults] == [
        "outputs[1].register: register 40 of 'm' is 'one' already",
        "rules[0].when.point: the rule would switch what it watches: linkage 'l' moves 'one'",
    ]
