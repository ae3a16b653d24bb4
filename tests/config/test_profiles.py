"""Register maps of the site's own, beside the site file."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.last_good import keep, load_or_last_good
from agent.config.load import load_site
from drivers.modbus.spec import DeviceSpec

PROFILE = """\
title: A sensor of our own
sources: [its manual]
unverified: true
max_registers: 16
max_gap: 2
timeout_ms: 700
gap_ms: 20
quantities:
  - {name: pressure, area: holding, address: 4, type: u16, unit: kPa, kind: pressure, poll: slow}
  - {name: extra, area: holding, address: 5, type: u16}
"""
SITE = """\
version: 1
site: a
box: b
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: main, bus: tcp, unit: 1, profile: maps/own.yaml, points: {extra: off}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "etc" / "site.yaml"
    (path.parent / "maps").mkdir(parents=True)
    (path.parent / "maps" / "own.yaml").write_text(PROFILE, "utf-8")
    path.write_text(SITE, "utf-8")
    return path


def device_of(path: Path, **sets: str) -> DeviceSpec:
    named = {f"devices.main.{key}": value for key, value in sets.items()}
    (device,) = load_site(path, sets=named).modbus_buses[0].devices
    return device


def test_a_profile_is_found_beside_the_site_file(path: Path) -> None:
    device = device_of(path)
    assert [(each.name, each.address) for each in device.quantities] == [("pressure", 4)]
    assert (device.max_registers, device.max_gap) == (16, 2)
    assert (device.timeout_s, device.gap_s) == (0.7, 0.02)


def test_the_site_overrides_what_a_profile_says(path: Path) -> None:
    device = device_of(path, max_registers="8", max_gap="0", timeout_ms="900", gap_ms="0")
    assert (device.max_registers, device.max_gap) == (8, 0)
    assert (device.timeout_s, device.gap_s) == (0.9, 0)


def test_an_unverified_profile_is_a_warning(path: Path) -> None:
    (warning,) = load_site(path).warnings
    assert (warning.line, warning.path) == (7, "devices[0].profile")
    assert "nobody has confirmed" in warning.message


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (PROFILE.replace("kind: pressure", "kind: presure"),
         "gives pressure the unknown kind 'presure'; did you mean 'pressure'?"),
        ("title: [", "own.yaml:1: not YAML"),
        (PROFILE.replace("u16", "u17"), "own.yaml:9: quantities"),
    ],
)  # fmt: skip
def test_a_profile_that_is_wrong_is_a_fault_of_the_device(
    path: Path, profile: str, said: str
) -> None:
    (path.parent / "maps" / "own.yaml").write_text(profile, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    assert {fault.path for fault in caught.value.faults} == {"devices[0].profile"}
    assert said in str(caught.value)


def test_the_hash_changes_with_a_profile(path: Path) -> None:
    before = load_site(path).config_hash
    (path.parent / "maps" / "own.yaml").write_text(PROFILE + "# a remark\n", "utf-8")
    assert load_site(path).config_hash != before


def test_the_last_good_file_is_kept_with_its_profiles(path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keep(load_site(path, data_dir=data))
    (path.parent / "maps" / "own.yaml").unlink()
    site, fault = load_or_last_good(path, data_dir=data)
    assert fault is not None
    assert "own.yaml" in fault
    assert [each.id for each in site.modbus_buses[0].devices] == ["main"]
