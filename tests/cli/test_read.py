"""`plantroom read`: every point once, true or not at all, and never beside a running agent."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import socket
import tty
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cli.contacts import read_contacts
from agent.cli.once import read_once
from agent.cli.read import value_words
from agent.cli.taken import Round
from agent.config.load import load_site
from agent.simulate.faults import Fault, FaultKind, playable
from agent.simulate.frames import Framing
from agent.simulate.ledger import Ledger
from agent.simulate.line import RtuLine
from agent.simulate.slave import Block, SimUnit
from agent.simulate.tcp import TcpSlave
from drivers.clock import SystemClock
from drivers.gpio.pins import MockPins, Pins
from drivers.gpio.spec import ContactForm, GpioBusSpec, InputSpec, LineSpec
from drivers.modbus.spec import Area, DeviceSpec, ModbusBusSpec, RegisterOutputSpec, TcpPort
from drivers.reading import Quality
from tests.cli.plant import SITE, air, aside, plantroom, relays, tank
from tests.process.box import run_box

SETS = Iterable[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, "utf-8")
    return path


@asynccontextmanager
async def plant(
    on_tcp: Iterable[SimUnit] = (), on_line: Iterable[SimUnit] = ()
) -> AsyncIterator[tuple[TcpSlave, RtuLine, list[str]]]:
    ledger = Ledger(SystemClock())
    async with AsyncExitStack() as stack:
        tcp = await stack.enter_async_context(TcpSlave(on_tcp, ledger))
        line = await stack.enter_async_context(RtuLine(on_line, ledger))
        sets = [f"buses.meters.port={tcp.port}", f"buses.rs485.port={line.path}"]
        yield tcp, line, sets


def words(path: Path, sets: SETS, *more: str) -> tuple[str, ...]:
    chosen = [part for each in sets for part in ("--set", each)]
    return ("read", "--config", str(path), *chosen, *more)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


async def looked(path: Path, sets: SETS, *, device: str = "") -> Round:
    site = load_site(path, sets=dict(each.split("=", 1) for each in sets))

    def no_chip(_: GpioBusSpec) -> Callable[[], Pins]:
        raise AssertionError("there is no chip in this site")

    return await read_once(site, SystemClock(), no_chip, device=device)


async def test_every_point_is_read_raw_and_scaled(path: Path) -> None:
    async with plant([air(), tank()], [relays()]) as (_, _, sets):
        said = await plantroom(*words(path, sets, "--json"))
    assert said.code == 0, said.err
    points = {each["point"]: each for each in json.loads(said.out)["points"]}
    assert len(points) == 2 + 2 + 8
    shown = {name: (each["raw"], each["value"], each["unit"]) for name, each in points.items()}
    assert shown["air.temperature"] == ("00eb", 23.5, "°C")
    assert shown["air.humidity"] == ("01c8", 45.6, "%RH")
    assert shown["tank.level"] == ("5400", 2150.4, "mm")
    assert shown["tank.gone"] == ("004d", 77, "")
    assert [shown[f"relays.relay-{n}"][:2] for n in (1, 2)] == [("0", False), ("1", True)]
    assert all(each["quality"] == "good" and each["ms"] > 0 for each in points.values())


async def test_people_get_a_table_that_is_not_cut_off(path: Path) -> None:
    async with plant([air(), tank()], [relays()]) as (_, _, sets):
        said = await aside(*words(path, sets))
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["point", "raw", "value", "unit", "quality", "ms"]
    row = next(line for line in lines if line[0] == "air.temperature")
    assert row[1:5] == ["00eb", "23.5", "°C", "good"]
    assert "12 points: 12 usable, 0 bad, 0 without an answer" in said.err


async def test_one_device_alone(path: Path) -> None:
    async with plant([air(), tank()]) as (tcp, line, sets):
        said = await aside(*words(path, sets, "--device", "air", "--json"))
        assert (tcp.station.requests, line.station.requests) == (1, 0)
    assert said.code == 0
    names = [each["point"] for each in json.loads(said.out)["points"]]
    assert names == ["air.temperature", "air.humidity"]


async def test_a_device_that_is_not_in_the_file_is_named_with_the_nearest(path: Path) -> None:
    said = await aside(*words(path, [], "--device", "tnak"))
    assert said.code == 2
    assert "did you mean 'tank'" in said.err


async def test_silence_of_one_device_costs_only_its_points_and_exits_4(path: Path) -> None:
    async with plant([air(), tank()], [relays()]) as (tcp, _, sets):
        tcp.set_silent(1, True)
        said = await plantroom(*words(path, sets, "--json"))
    assert said.code == 4
    points = {each["point"]: each for each in json.loads(said.out)["points"]}
    silent = points["air.temperature"]
    assert (silent["value"], silent["quality"], silent["reason"]) == (None, "bad", "timeout")
    assert (silent["raw"], silent["ms"]) == (None, None)
    assert points["tank.level"]["quality"] == "good"
    assert points["relays.relay-1"]["quality"] == "good"


async def test_a_port_that_is_not_there_is_told_once_in_words(path: Path, tmp_path: Path) -> None:
    async with plant([air(), tank()]) as (_, _, sets):
        missing = [sets[0], f"buses.rs485.port={tmp_path / 'gone'}"]
        said = await aside(*words(path, missing))
    assert said.code == 4
    assert said.err.count("bus rs485:") == 1
    assert "12 points: 4 usable, 0 bad, 8 without an answer" in said.err


@pytest.mark.parametrize(("level", "reason"), [(0xFFFF, "sentinel"), (40_000, "range")])
async def test_a_device_that_answers_nonsense_exits_1(path: Path, level: int, reason: str) -> None:
    async with plant([air(), tank(level)], [relays()]) as (_, _, sets):
        said = await aside(*words(path, sets, "--device", "tank", "--json"))
    assert said.code == 1
    point = json.loads(said.out)["points"][0]
    assert (point["value"], point["reason"], point["raw"]) == (None, reason, f"{level:04x}")


async def test_a_register_that_is_not_there_costs_only_itself(path: Path) -> None:
    async with plant([tank(is_whole=False)]) as (_, _, sets):
        done = await looked(path, sets, device="tank")
    level, gone = done.taken
    assert (level.reading.value, level.reading.quality) == (2150.4, Quality.GOOD)
    assert (gone.reading.value, gone.reading.reason) == (None, "exception 2")
    assert not gone.is_silent


@pytest.mark.parametrize("framing", list(Framing))
async def test_no_fault_makes_a_wrong_value_good(path: Path, framing: Framing) -> None:
    kinds = sorted(playable(framing, is_stream=framing is Framing.TCP))
    true = {"air.temperature": 23.5, "air.humidity": 45.6, "relays.relay-2": True}
    async with plant([air()], [relays()]) as (tcp, line, sets):
        slave, unit, device = (tcp, 1, "air") if framing is Framing.TCP else (line, 3, "relays")
        for kind in kinds:
            slave.station.faults.script(unit, [Fault(kind=kind, delay_s=0.12)])
            done = await looked(path, sets, device=device)
            for each in done.taken:
                if each.reading.quality is Quality.GOOD and each.reading.point in true:
                    assert each.reading.value == true[each.reading.point], kind
            if kind not in (FaultKind.NOISE_BEFORE,):
                assert not any(each.reading.is_known for each in done.taken), kind
        assert set(slave.station.faults.played) == set(kinds)


async def test_a_line_another_program_owns_is_left_alone(path: Path) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    fcntl.flock(slave, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as every exclusive opener does
    try:
        sets = [f"buses.rs485.port={os.ttyname(slave)}"]
        said = await plantroom(*words(path, sets, "--device", "relays"))
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 1)
    finally:
        os.close(slave)
        os.close(master)
    assert said.code == 4
    assert "another program holds the port" in said.err
    assert "plantroom status" in said.err


@pytest.mark.process
async def test_while_the_agent_runs_nothing_is_opened(path: Path) -> None:
    folder = path.parent
    async with plant([air(), tank()], [relays()]) as (tcp, _, sets):
        text = path.read_text("utf-8").replace("port: 1,", f"port: {tcp.port},")
        path.write_text(text.replace("/dev/null", sets[1].partition("=")[2]), "utf-8")
        path.write_text(path.read_text("utf-8") + "local: {port: null}\n", "utf-8")
        async with run_box(folder, door=False) as box:
            await box.ready()
            await box.page()
            env = {"PLANTROOM_RUN": str(folder / "run")}
            read = await plantroom("read", "--config", str(path), env=env)
            scan = await plantroom("scan", "rs485", "--config", str(path), env=env)
            assert len(tcp._lines) <= 1  # the agent's own
    for said in (read, scan):
        assert said.code == 4
        assert "the agent runs for desk / box-1" in said.err
        assert "plantroom status" in said.err
        assert not said.out


async def test_an_agent_that_does_not_answer_is_no_reason_to_go_on(path: Path) -> None:
    folder = path.parent / "run"
    folder.mkdir()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(hang, folder / "plantroom.sock")
    async with server:
        env = {"PLANTROOM_RUN": str(folder)}
        said = await aside("read", "--config", str(path), env=env)
    assert said.code == 4
    assert "does not answer you" in said.err


async def test_a_socket_a_dead_agent_left_behind_holds_nobody_up(path: Path) -> None:
    folder = path.parent / "run"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "plantroom.sock"))
    async with plant([air()]) as (_, _, sets):
        env = {"PLANTROOM_RUN": str(folder)}
        said = await aside(*words(path, sets, "--device", "air"), env=env)
    assert said.code == 0, said.err


async def test_a_port_that_does_not_open_is_tried_once(path: Path) -> None:
    many = "".join(
        f"  - {{id: air-{n}, bus: meters, unit: {n}, profile: xy-md02}}\n" for n in range(5, 60)
    )
    path.write_text(SITE + many, "utf-8")
    site = load_site(path, sets={"buses.meters.port": str(closed_port())})
    opened = await read_once(site, SystemClock(), lambda _: MockPins().open, bus="meters")
    assert len(opened.troubles) == 1
    assert {each.reading.reason for each in opened.taken} == {"port"}


def test_small_values_are_not_shown_as_zero() -> None:
    shown = [value_words(each) for each in (0.0, 0.0004, -0.00042, 0.25, 12.0, 1234.5678, 7, None)]
    assert shown == ["0", "0.0004", "-0.00042", "0.25", "12", "1234.568", "7", "—"]


async def test_a_device_with_outputs_only_is_read_back(path: Path) -> None:
    path.write_text(
        SITE.replace("unit: 3, profile: waveshare-relay-8ch}", "unit: 3}")
        + "outputs: [{id: siren, kind: siren, device: relays, coil: 1}]\n",
        "utf-8",
    )
    async with plant([], [relays()]) as (_, line, sets):
        done = await looked(path, sets, device="relays")
        assert line.station.units[3].value(Area.COIL, 1) == 1  # read, not written
    (siren,) = done.taken
    assert (siren.reading.point, siren.raw, siren.reading.value) == ("siren", "1", True)


async def test_a_register_output_is_read_back_in_its_two_values(path: Path) -> None:
    outputs = (
        RegisterOutputSpec(output="fan", address=1, on=5, off=6),
        RegisterOutputSpec(output="pump", address=2, on=5, off=6, read_back=3),
        RegisterOutputSpec(output="odd", address=4, on=5, off=6),
    )
    device = DeviceSpec(id="drive", unit=1, outputs=outputs)
    unit = SimUnit(1, [Block(Area.HOLDING, 0, [0, 5, 5, 6, 9])])
    async with plant([unit]) as (tcp, _, _):
        port = TcpPort(host=tcp.host, port=tcp.port)
        bus = ModbusBusSpec(id="t", port=port, devices=(device,))
        site = replace(load_site(path), modbus_buses=(bus,))
        done = await read_once(site, SystemClock(), lambda _: MockPins().open)
    assert [each.reading.value for each in done.taken] == [True, False, None]
    assert done.taken[2].reading.reason == "unknown code"


async def test_a_faulty_site_file_exits_78_with_every_fault(path: Path) -> None:
    path.write_text(SITE.replace("unit: 2", "unit: 0").replace("xy-md02", "xy"), "utf-8")
    said = await aside("read", "--config", str(path))
    assert said.code == 78
    assert said.err.count(f"{path}:") == 2


async def test_passwords_of_uplinks_are_not_needed(path: Path) -> None:
    path.write_text(
        SITE + "uplinks: [{id: a, host: b, username: u, password: {env: NOT_SET}}]\n", "utf-8"
    )
    async with plant([air()]) as (_, _, sets):
        said = await aside(*words(path, sets, "--device", "air"))
    assert said.code == 0, said.err


# -- contacts ------------------------------------------------------------------------------------------


def contact(pin: int, form: ContactForm, *, pair: int | None = None) -> InputSpec:
    return InputSpec(point=f"pin-{pin}", pin=pin, contact=form, pair_pin=pair, debounce_s=0.03)


CLOSED = ContactForm.NORMALLY_CLOSED


@pytest.mark.parametrize(
    ("levels", "value", "reason", "raw"),
    [
        ({17: False}, False, "", "low"),
        ({17: True}, True, "", "high"),
        ({17: False, 18: True}, False, "", "low high"),
        ({17: True, 18: False}, True, "", "high low"),
        ({17: True, 18: True}, None, "line fault", "high high"),
        ({17: False, 18: False}, None, "line fault", "low low"),
    ],
)
async def test_a_contact_is_its_form_and_its_level(
    levels: dict[int, bool], value: bool | None, reason: str, raw: str
) -> None:
    pins = MockPins()
    for pin, high in levels.items():
        pins.drive(pin, high)
    chip = GpioBusSpec(id="pins", inputs=(contact(17, CLOSED, pair=18 if 18 in levels else None),))
    (taken,) = (await read_contacts(chip, SystemClock(), pins.open)).taken
    assert (taken.reading.value, taken.reading.reason, taken.raw) == (value, reason, raw)


async def test_a_contact_that_does_not_rest_has_no_value() -> None:
    pins = MockPins()
    pins.drive(17, False)

    async def chatter() -> None:
        for turn in range(1000):
            pins.drive(17, bool(turn % 2))
            await asyncio.sleep(0.004)

    chip = GpioBusSpec(id="pins", inputs=(contact(17, CLOSED),))
    async with asyncio.TaskGroup() as tasks:
        chattering = tasks.create_task(chatter(), name="chatter")
        (taken,) = (await read_contacts(chip, SystemClock(), pins.open)).taken
        chattering.cancel()
    assert (taken.reading.value, taken.reading.reason) == (None, "unsteady")


async def test_outputs_are_not_touched_and_pins_in_use_are_told() -> None:
    pins = MockPins()
    pins.take(17)
    chip = GpioBusSpec(
        id="pins",
        inputs=(contact(17, CLOSED), contact(27, CLOSED)),
        outputs=(LineSpec(output="siren", pin=23),),
    )
    before = pins.history(23)
    held, free = (await read_contacts(chip, SystemClock(), pins.open)).taken
    assert (held.reading.reason, free.reading.quality) == ("in use", Quality.GOOD)
    assert pins.history(23) == before


async def test_without_a_chip_every_contact_is_bad() -> None:
    pins = MockPins()
    pins.unplug()
    chip = GpioBusSpec(id="pins", inputs=(contact(17, CLOSED), contact(27, CLOSED)))
    done = await read_contacts(chip, SystemClock(), pins.open)
    assert [each.reading.reason for each in done.taken] == ["port", "port"]
    assert all(each.is_silent for each in done.taken)
    assert len(done.troubles) == 1
