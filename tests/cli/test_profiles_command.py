"""`plantroom profiles`: maps listed, shown and held against their samples; the page says the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.profiles import sample_faults
from agent.cli.register_maps import register_map_page
from drivers.modbus.profiles import list_profiles, load_profile
from tests.cli.plant import ROOT, invoke, plantroom

OWN = """\
title: A sensor of our own
sources: [its manual]
unverified: true
quantities:
  - {name: pressure, area: holding, address: 4, type: u16, unit: kPa, kind: pressure, scale: 0.1}
  - {name: far, area: holding, address: 90, type: u16}
samples:
  - request: 03 00 04 00 01
    response: 03 02 11 94
    values:
      pressure: 450.0
    synthetic: true
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(OWN, "utf-8")
    return path


def test_the_page_of_register_maps_is_what_the_profiles_say() -> None:
    page = (ROOT / "docs" / "register-maps.md").read_text("utf-8")
    made = register_map_page([load_profile(name) for name in list_profiles()])
    assert page == made, "plantroom profiles list --markdown > docs/register-maps.md"


def test_the_page_names_every_address_and_every_doubt() -> None:
    made = register_map_page([load_profile("pzem-004t"), load_profile("wp3082adam")])
    assert "| current | current | input | 0x0001 | u32, low word first | x 0.001 | A |" in made
    assert "0 = false, 65535 = true" in made
    assert "Map: **unverified**" in made.partition("## wp3082adam")[2]
    assert "Map: **verified**" in made.partition("## pzem-004t")[2].partition("## wp")[0]


async def test_all_maps_that_come_along_hold() -> None:
    said = await plantroom("profiles", "verify", "--json")
    body = json.loads(said.out)
    assert (said.code, body["ok"], body["faults"]) == (0, True, [])
    assert {each["name"] for each in body["profiles"]} == set(list_profiles())


def test_the_list_marks_what_nobody_verified() -> None:
    said = invoke("profiles", "list", "--json")
    brief = {each["name"]: each for each in json.loads(said.out)["profiles"]}
    assert said.code == 0
    assert set(brief) == set(list_profiles())
    for name, each in brief.items():
        assert each["unverified"] is load_profile(name).unverified
        assert each["sources"]
    table = invoke("profiles", "list").out
    rows = {line.split()[0]: line for line in table.splitlines()[1:] if not line.startswith("  ")}
    assert "unverified" in rows["wp3082adam"]
    assert "unverified" not in rows["xy-md02"]


def test_a_map_is_shown_with_its_source() -> None:
    said = invoke("profiles", "show", "pzem-004t")
    assert said.code == 0
    row = next(line.split() for line in said.out.splitlines() if line.startswith(" current"))
    assert row == ["current", "input", "0x0001", "u32,", "low", "word", "first", "x", "0.001", "A"]
    assert "source: github.com/esphome/esphome components/pzemac/pzemac.cpp" in said.out


def test_a_file_of_ones_own_that_holds(own: Path) -> None:
    said = invoke("profiles", "verify", str(own))
    assert (said.code, said.err) == (0, "")
    assert said.out == "good  own: 1 samples of 1 of 2 quantities, unverified map\n"


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("450.0", "449.0", 11, "decodes to 450.0, the file says 449.0"),
        ("450.0", "null", 11, "decodes to 450.0, the file says no value"),
        ("450.0", "true", 11, "decodes to 450.0, the file says true"),
        ("      pressure: 450.0", "      far: 1", 11, "is not inside the request"),
        ("scale: 0.1", "scale: 0.1, valid: {max: 10}", 11, "no value (range)"),
    ],
)
def test_a_sample_that_does_not_hold_is_told_with_its_line(
    own: Path, old: str, new: str, line: int, what: str
) -> None:
    own.write_text(OWN.replace(old, new), "utf-8")
    said = invoke("profiles", "verify", str(own))
    assert said.code == 1
    assert said.err.startswith(f"{own}:{line}:")
    assert what in said.err


def test_a_file_of_another_yaml_version_is_told_and_does_not_end_in_a_traceback(own: Path) -> None:
    own.write_text("%YAML 1.1\n---\n" + OWN, "utf-8")
    said = invoke("profiles", "verify", str(own))
    assert said.code == 1
    assert said.err.startswith(f"{own}")


def test_a_file_with_faults_is_told_and_the_others_are_still_looked_at(own: Path) -> None:
    own.write_text(OWN.replace("type: u16, unit", "type: u17, unit"), "utf-8")
    said = invoke("profiles", "verify", str(own), "xy-md02")
    assert said.code == 1
    assert f"{own}:5:" in said.err
    assert "good  xy-md02" in said.out


def test_an_unknown_name_exits_1() -> None:
    said = invoke("profiles", "show", "xy-md20")
    assert said.code == 1
    assert "there is none of this name" in said.err


def test_a_map_without_samples_proves_nothing(own: Path) -> None:
    own.write_text(OWN.partition("samples:")[0], "utf-8")
    (fault,) = sample_faults(load_profile(own), own)
    assert "has no samples" in fault
