"""Impossible sites: one clear fault each, from the loader where a file shows it, else from the bus."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from drivers.clock import SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import ModbusBusSpec, PollClass, SerialPort, TcpPort
from tests.fuzz.test_profiles import mutated
from tests.modbus.harness import Asked, Heard, Memory, Send, mbap, running, tcp_slave, value_at

SITE = """\
version: 1
site: riverside
box: plantroom-1
buses:
  - {id: line, type: modbus-rtu, port: /dev/ttyUSB0}
devices:
  - id: meter
    bus: line
    unit: 1
    max_registers: 60
    quantities:
      - {name: power, area: holding, address: 0, type: u32}
      - {name: state, area: input, address: 9, type: u16}
"""

# fmt: off
FAULTS = (
    ("the broadcast address", "unit: 1", "unit: 0",
     "9:11: devices[0].unit: must be 1 to 247 (0 is broadcast, 248 to 255 are reserved)"),
    ("a reserved address", "unit: 1", "unit: 248",
     "9:11: devices[0].unit: must be 1 to 247 (0 is broadcast, 248 to 255 are reserved)"),
    ("a number in a coil", "area: input", "area: coil",
     "13:53: devices[0].quantities[1].type: type u16 in area coil"),
    ("a type nobody knows", "type: u16", "type: u99",
     "13:54: devices[0].quantities[1].type: must be 'bool', 'u16'"),
    ("a text of no length", "type: u16", "type: string, length: 0",
     "13:70: devices[0].quantities[1].length: must be 1 or more"),
    ("reads of no register", "max_registers: 60", "max_registers: 0",
     "10:20: devices[0].max_registers: must be 1 or more"),
    ("a field of no bits", "type: u16", "type: bits, bit_count: 0",
     "13:71: devices[0].quantities[1].bit_count: must be 1 or more"),
    ("an address behind the last", "address: 0", "address: 65536",
     "12:47: devices[0].quantities[0].address: must be 65535 or less"),
    ("half of it behind the last", "address: 0", "address: 65535",
     "12:47: devices[0].quantities[0].address: address 65535"),
    ("a line with no name", "port: /dev/ttyUSB0", "port: ''",
     "5:40: buses[0].port"),
)
# fmt: on


def load(folder: Path, text: str) -> LoadedSite:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return load_site(path, data_dir=folder / "data", run_dir=folder / "run")


def faults_of(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [str(each).removeprefix(f"{folder / 'site.yaml'}:") for each in caught.value.faults]


def test_the_site_that_is_broken_here_is_a_good_one(tmp_path: Path) -> None:
    assert load(tmp_path, SITE).modbus_buses


@pytest.mark.parametrize(("name", "old", "new", "fault"), FAULTS)
def test_each_impossible_thing_is_one_fault_at_its_place(
    tmp_path: Path, name: str, old: str, new: str, fault: str
) -> None:
    assert old in SITE, name
    (only,) = faults_of(tmp_path, SITE.replace(old, new, 1))
    assert only.startswith(fault), only


PROFILE = """\
title: A meter whose map was misread
sources: ["https://example.org/manual.pdf"]
quantities:
  - {name: voltage, area: holding, address: 0, type: u16}
  - {name: power, area: holding, address: 1, type: u32}
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("address: 1", "address: 0", None),
        ("address: 0, type: u16", "address: 0, type: u32",
         "power at holding 1 begins inside voltage, which takes 0 to 1"),
        ("type: u16", "type: bool", "type bool in area holding"),
        ("type: u16", "type: string, length: 0", "length 0: 1 to 125 registers"),
        ("sources:", "sorces:", "sorces: no such key here"),
    ],
)  # fmt: skip
def test_a_fault_in_a_profile_is_told_at_the_device_that_names_it(
    tmp_path: Path, old: str, new: str, fault: str | None
) -> None:
    (tmp_path / "meter.yaml").write_text(PROFILE.replace(old, new, 1), encoding="utf-8")
    head, _, _ = SITE.partition("    quantities:")
    text = f"{head}    profile: meter.yaml\n"
    if fault is None:
        assert load(tmp_path, text).modbus_buses
        return
    told = faults_of(tmp_path, text)
    assert all(each.startswith("11:14: devices[0].profile: ") for each in told), told
    assert sum(fault in each for each in told) == 1, told


def test_a_site_file_with_bytes_changed_is_taken_and_can_be_run_or_told_what_is_wrong(
    tmp_path: Path,
) -> None:
    rng = random.Random(3)
    text = SITE.replace("    max_registers: 60\n", "").encode()
    path = tmp_path / "site.yaml"
    taken = 0
    for _ in range(300):
        path.write_bytes(mutated(rng, text))
        try:
            site = load_site(path, data_dir=tmp_path / "data", run_dir=tmp_path / "run")
        except ConfigError as error:
            assert error.faults  # noqa: PT017 - one of two good outcomes
            continue
        for spec in site.modbus_buses:
            ModbusBus(spec, SystemClock(), lambda _: None)
        taken += 1
    assert 5 < taken < 200


# -- what only the wire shows --------------------------------------------------------------------------


def loaded(folder: Path, port: SerialPort | TcpPort) -> ModbusBusSpec:
    """Return the site's bus on another port and with short times."""
    (spec,) = load(folder, SITE).modbus_buses
    return replace(
        spec,
        port=port,
        timeout_s=0.1,
        settle_s=0.02,
        periods_s=dict.fromkeys(PollClass, 0.05),
        offline_after_s=0.2,
    )


def _folder(folder: Path) -> SerialPort:
    return SerialPort(path=str(folder))


def _file(folder: Path) -> SerialPort:
    path = folder / "port"
    path.write_bytes(b"")
    return SerialPort(path=str(path))


def _nothing(folder: Path) -> SerialPort:
    return SerialPort(path=str(folder / "gone"))


def _no_terminal(_: Path) -> SerialPort:
    return SerialPort(path="/dev/null")


def _nobody(_: Path) -> TcpPort:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return TcpPort(host="127.0.0.1", port=probe.getsockname()[1])


def _no_name(_: Path) -> TcpPort:
    return TcpPort(host="a..b")


@pytest.mark.parametrize("port", [_folder, _file, _nothing, _no_terminal, _nobody, _no_name])
async def test_a_port_that_cannot_be_one_is_one_fault_of_its_bus(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    port: Callable[[Path], SerialPort | TcpPort],
) -> None:
    caplog.set_level(logging.INFO)
    heard = Heard()
    async with running(loaded(tmp_path, port(tmp_path)), heard):
        await heard.until(lambda: heard.value("line.online") is False)
        await heard.until(lambda: heard.reason("meter.power") == "port")
        assert heard.value("meter.online") is False
        assert heard.reason("meter.state") == "port"
        start = len(heard.readings)
        await asyncio.sleep(0.3)  # several more attempts to open it
    said = [each for each in caplog.records if each.name.startswith("drivers")]
    assert [each.levelname for each in said] == ["ERROR"]
    assert "bus line is offline: " in said[0].getMessage()
    assert not any(each.is_known for each in heard.readings[start:] if "online" not in each.point)


LIES = (
    ("a register it does not have", "address: 9", "address: 4000", "state", "exception 2"),
    ("numbers where it says text", "type: u16", "type: string, length: 2", "state", "not text"),
    ("a range it does not keep", "type: u16", "type: u16, valid: {min: 0, max: 5}", "state", "range"),
    ("digits that are none", "type: u16", "type: bcd16", "state", "not decimal"),
    ("codes it does not use", "type: u16", "type: u16, enum: {1: on}", "state", "unknown code"),
    ("a value that means none", "type: u16", "type: u16, sentinels: [{there}]", "state", "sentinel"),
    ("a current it does not measure", "type: u16", "type: u16, loop: {low: 0, high: 5}", "state",
     "line fault"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "liar", "reason"), LIES)
async def test_a_map_that_lies_about_a_register_makes_that_point_bad_and_no_other(
    tmp_path: Path, name: str, old: str, new: str, liar: str, reason: str
) -> None:
    heard = Heard()
    there = value_at(1, 9) | 0xA00A  # no text, no decimal digits
    assert old in SITE, name
    text = SITE.replace(old, new.replace("{there}", str(there)), 1)
    path = tmp_path / "site.yaml"
    async with tcp_slave(Memory(illegal=frozenset(range(4000, 4100)))) as slave:

        async def hold(asked: Asked, transaction: int, send: Send) -> bool:
            if (asked.function, asked.address) != (4, 9):
                return False
            data = there.to_bytes(2, "big") * asked.count
            send(mbap(transaction, asked.unit, bytes([4, len(data)]) + data))
            return True

        slave.misbehave = hold
        spec = loaded(tmp_path, slave.port)
        path.write_text(text, encoding="utf-8")
        (lying,) = load_site(path, data_dir=tmp_path, run_dir=tmp_path).modbus_buses
        async with running(replace(spec, devices=lying.devices), heard):
            await heard.until(lambda: heard.reason(f"meter.{liar}") == reason)
            power = value_at(1, 0) << 16 | value_at(1, 1)
            await heard.until(lambda: heard.value("meter.power") == power)
            assert heard.value("meter.online") is True
    assert not any(each.is_known for each in heard.of(f"meter.{liar}"))


async def test_a_device_that_takes_shorter_reads_than_its_map_says_is_still_read(
    tmp_path: Path,
) -> None:
    many = "".join(
        f"      - {{name: r{at}, area: holding, address: {at}, type: u16}}\n" for at in range(2, 50)
    )
    path = tmp_path / "site.yaml"
    path.write_text(SITE + many, encoding="utf-8")
    heard = Heard()
    async with tcp_slave() as slave:

        async def only_ten(asked: Asked, transaction: int, send: Send) -> bool:
            if asked.count <= 10:
                return False
            send(mbap(transaction, asked.unit, bytes([asked.function | 0x80, 3])))
            return True

        slave.misbehave = only_ten
        (greedy,) = load_site(path, data_dir=tmp_path, run_dir=tmp_path).modbus_buses
        spec = replace(loaded(tmp_path, slave.port), devices=greedy.devices)
        async with running(spec, heard):
            await heard.until(
                lambda: all(heard.value(f"meter.r{at}") == value_at(1, at) for at in range(2, 50))
            )
    assert max(each.count for each in slave.memory.asked) > 10
