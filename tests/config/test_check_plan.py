"""`plantroom check --plan` as an installer or a program sees it: a process, its words and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOM = """\
version: 1
site: s
box: b
buses:
  - {id: pins, type: gpio}
  - {id: meters, type: modbus-tcp, host: 127.0.0.1, poll: {normal_s: 1}}
  - {id: rs485, type: modbus-rtu, port: /dev/ttyS0, timeout_ms: 300, settle_ms: 100}
devices:
  - {id: meter, bus: meters, unit: 1, profile: eastron-sdm120}
  - {id: air, bus: rs485, unit: 1, profile: xy-md02, telemetry: {mode: change, deadband: 0.5}}
  - {id: other, bus: rs485, unit: 2, profile: xy-md02}
  - {id: third, bus: rs485, unit: 3, profile: xy-md02}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: fire, class: fire, when: {point: smoke, is: active}}
  - {id: hot, class: fire, when: {point: air.temperature, above: 57}, on_delay_s: 2}
uplinks:
  - {id: cloud, host: 127.0.0.1}
"""

SLOW = """\
version: 1
site: s
box: b
buses:
  - {id: rs485, type: modbus-rtu, port: /dev/ttyS0, baud: 1200, timeout_ms: 4000, settle_ms: 2000}
devices:
  - {id: heat, bus: rs485, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16, unit: "°C"}]}
  - {id: air, bus: rs485, unit: 2, profile: xy-md02}
  - {id: meter, bus: rs485, unit: 3, profile: eastron-sdm120}
rules:
  - {id: hot, class: fire, when: {point: heat.t, above: 57}}
"""


def check(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "check", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def plan_of(*words: str) -> dict[str, Any]:
    done = check(*words, "--plan", "--json")
    assert done.returncode == 0, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


@pytest.fixture
def slow(tmp_path: Path) -> str:
    path = tmp_path / "slow.yaml"
    path.write_text(SLOW, "utf-8")
    return str(path)


@pytest.fixture
def room(tmp_path: Path) -> str:
    path = tmp_path / "room.yaml"
    path.write_text(ROOM, "utf-8")
    return str(path)


def test_the_plan_names_reads_load_fire_points_and_the_guess(room: str) -> None:
    done = check(room, "--plan")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    # one read of one register a second, three of one or two every 2 s, each 50 ms and its wire time
    assert "bus rs485 (modbus-rtu, 9600 baud 8N1): 18% of its time" in lines
    fire = "air 1 04 input 1 fire 1 s 72.9 ms 7.3% temperature"
    assert fire in [" ".join(line.split()) for line in lines]
    assert "air.temperature rs485 1 s 1.22 s 3.22 s any 2 s" in [
        " ".join(line.split()) for line in lines
    ]
    assert "`change` is a guess" in done.stdout
    assert "with a deadband every 5 minutes" in done.stdout
    assert "Assumed: a device answers after 50 ms." in done.stdout
    assert lines[-1].startswith(f"{room}: good.")


def test_the_plan_for_programs_holds_the_same(room: str) -> None:
    plan = plan_of(room)
    assert plan["ok"] is True
    buses = {bus["id"]: bus for bus in plan["buses"]}
    assert buses["rs485"]["baud"] == 9600
    assert buses["rs485"]["load"] == pytest.approx(sum(r["share"] for r in buses["rs485"]["reads"]))
    assert buses["meters"]["baud"] is None
    assert {each["point"] for each in plan["fire_points"]} == {"smoke", "air.temperature"}
    (uplink,) = plan["telemetry"]["uplinks"]
    telemetry = uplink["telemetry_bytes"]
    assert telemetry["least"] < telemetry["guess"] < telemetry["most"]
    assert telemetry["guess"] < uplink["link_bytes"]["guess"]
    assert plan["telemetry"]["days"]["least"] < plan["telemetry"]["days"]["guess"]


def test_a_plain_check_warns_of_what_is_too_much_and_strict_refuses_it(slow: str) -> None:
    done = check(slow)
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if ": buses[0]: " in line]
    assert any("of its time" in line for line in told)
    assert any("'heat.t' may be read up to" in line for line in told)
    assert all(f"{slow}:5:" in line for line in told)
    assert "bus rs485" not in done.stdout
    assert f"{len(done.stderr.splitlines())} warnings" in done.stdout
    assert check(slow, "--strict").returncode == 1


def test_warnings_for_programs_include_what_is_too_much(slow: str) -> None:
    answer = json.loads(check(slow, "--json").stdout)
    assert "buses" not in answer
    assert [each["line"] for each in answer["warnings"] if each["path"] == "buses[0]"] == [5, 5]


@pytest.mark.parametrize(
    ("options", "is_lighter"),
    [(("--turnaround-ms", "5"), True), (("--turnaround-ms", "200"), False)],
)
def test_the_answer_time_can_be_told(options: tuple[str, ...], is_lighter: bool, room: str) -> None:
    load = plan_of(room)["buses"][1]["load"]
    told = plan_of(room, *options)["buses"][1]["load"]
    assert (told < load) is is_lighter


def test_the_line_behind_a_gateway_and_the_silent_devices_can_be_told(room: str) -> None:
    plain, told = plan_of(room), plan_of(room, "--gateway-baud", "19200", "--silent", "2")
    assert told["buses"][0]["baud"] == 19200
    assert told["buses"][0]["is_line_assumed"] is True
    assert told["buses"][0]["load"] > plain["buses"][0]["load"]
    assert told["buses"][1]["load"] == plain["buses"][1]["load"]
    worst = [p["fire_points"][-1]["worst_s"] for p in (plain, told)]
    assert worst[1] > worst[0] + 1.5


def test_a_site_with_faults_has_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SLOW.replace("unit: 2", "unit: 1"), "utf-8")
    done = check(str(path), "--plan")
    assert done.returncode == 1
    assert "1 fault" in done.stderr
    assert done.stdout == ""


def test_an_answer_time_below_nothing_is_refused(room: str) -> None:
    assert check(room, "--plan", "--turnaround-ms", "-1").returncode == 2
