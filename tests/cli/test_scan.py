"""`plantroom scan`: everybody who is there is found, nobody who is not, and the block can be pasted."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import sys
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.cli.device_block import device_block
from agent.cli.probing import Fit, Found, scan_port
from agent.cli.scan import read_ids, read_settings
from agent.config.load import load_site
from agent.simulate.faults import Fault, FaultKind
from agent.simulate.frames import Adu, TcpParser, exception_pdu, tcp_frame
from agent.simulate.ledger import Ledger
from agent.simulate.line import RtuLine
from agent.simulate.slave import Block, SimUnit
from agent.simulate.tcp import TcpSlave
from drivers.clock import SystemClock
from drivers.modbus.plan import Request
from drivers.modbus.profiles import list_profiles, load_profile, parse_profile
from drivers.modbus.spec import Area, SerialPort, TcpPort
from tests.cli.plant import ROOT, SITE, air, aside, invoke, plantroom, relays, tank

PROFILES = [load_profile(name) for name in list_profiles()]


def ledger() -> Ledger:
    return Ledger(SystemClock())


class Answering(asyncio.Protocol):
    """A Modbus TCP peer with one answer to everything."""

    def __init__(self, answer: Callable[[Adu], bytes]) -> None:
        self._answer = answer
        self._parser = TcpParser()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for adu in self._parser.feed(data):
            if (frame := self._answer(adu)) and self._transport is not None:
                self._transport.write(frame)


@asynccontextmanager
async def answering(
    answer: Callable[[Adu], bytes], kind: type[Answering] = Answering
) -> AsyncIterator[TcpPort]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(answer), "127.0.0.1", 0)
    async with server:
        yield TcpPort(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        await asyncio.sleep(0)


async def scan(
    port: TcpPort | SerialPort, last: int, *, timeout_s: float = 0.03, areas: tuple[Area, ...] = ()
) -> tuple[list[int], list[int], bool, list[list[str]]]:
    done = await scan_port(
        port,
        range(1, last + 1),
        clock=SystemClock(),
        timeout_s=timeout_s,
        profiles=PROFILES,
        areas=areas or (Area.HOLDING,),
    )
    fits = [[fit.profile.name for fit in each.fits] for each in done.found]
    return [each.unit for each in done.found], list(done.garbled), done.is_echo, fits


async def test_a_line_is_scanned_and_the_block_passes_check(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    async with RtuLine([air(1), tank(), relays(3), air(9)], ledger()) as line:
        path.write_text(
            "version: 1\nsite: a\nbox: b\n"
            f"buses: [{{id: rs485, type: modbus-rtu, port: {line.path}}}]\n",
            "utf-8",
        )
        options = ("--ids", "1-10", "--timeout-ms", "40")
        said = await plantroom("scan", "rs485", "--config", str(path), *options)
    assert said.code == 0, said.err
    assert "4 answer: 1, 2, 3, 9" in said.err
    assert "\x1b" not in said.err  # no progress bar outside of a terminal
    path.write_text(path.read_text("utf-8") + said.out, "utf-8")
    check = await aside("check", str(path))
    assert check.code == 0, check.err
    (bus,) = load_site(path).modbus_buses
    shown = [(each.id, each.unit, [q.name for q in each.quantities]) for each in bus.devices]
    assert shown == [
        ("xy-md02-1", 1, ["temperature", "humidity"]),
        ("unit-2", 2, ["register-0"]),
        ("xy-md02-9", 9, ["temperature", "humidity"]),
    ]
    assert "# unit 3 answers (exception 2" in said.out


async def test_a_host_is_scanned_without_a_site_file(tmp_path: Path) -> None:
    async with TcpSlave([air(4)], ledger()) as tcp:
        options = ("--ids", "3-5", "--timeout-ms", "40", "--json")
        said = await plantroom("scan", "--host", tcp.host, "--port", str(tcp.port), *options)
    assert said.code == 0, said.err
    body = json.loads(said.out)
    (found,) = body["passes"][0]["found"]
    assert (found["unit"], found["exception"]) == (4, 2)
    (fit,) = found["profiles"]
    assert fit == {
        "name": "xy-md02",
        "unverified": False,
        "values": {"temperature": 23.5, "humidity": 45.6},
    }
    path = tmp_path / "site.yaml"
    path.write_text(f"version: 1\nsite: a\nbox: b\n{body['yaml']}", "utf-8")
    assert (await aside("check", str(path))).code == 0


async def test_devices_of_the_site_file_are_not_offered_again(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, "utf-8")
    async with TcpSlave([air(1), air(5)], ledger()) as tcp:
        options = ("--set", f"buses.meters.port={tcp.port}", "--ids", "1-6", "--timeout-ms", "30")
        said = await aside("scan", "meters", "--config", str(path), *options)
    assert said.code == 0
    assert "# unit 1 is 'air' already" in said.out
    assert said.out.count("- id:") == 1
    assert "unit: 5" in said.out


async def test_every_speed_asked_for_is_tried() -> None:
    async with RtuLine([air(1)], ledger()) as line:
        options = ("--ids", "1,2", "--bauds", "4800,9600", "--timeout-ms", "20", "--json")
        said = await aside("scan", "--port", line.path, *options)
    ports = [each["port"] for each in json.loads(said.out)["passes"]]
    assert ports == [f"{line.path} 4800 8N1", f"{line.path} 9600 8N1"]


async def test_a_progress_bar_is_drawn_on_a_terminal() -> None:
    async with TcpSlave([air(1)], ledger()) as tcp:
        master, slave = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "scan", "--host", tcp.host, "--port", str(tcp.port),
            "--ids", "1-12", "--timeout-ms", "40",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=slave, cwd=ROOT,
            env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(slave)
        seen = b""
        try:
            async with asyncio.timeout(20):
                while True:
                    try:
                        seen += await asyncio.to_thread(os.read, master, 4096)
                    except OSError:  # the other end is closed
                        break
                await process.wait()
        finally:
            os.close(master)
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert b"unit " in seen


async def test_a_line_the_agent_owns_is_not_scanned() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    fcntl.flock(slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        said = await aside("scan", "--port", os.ttyname(slave), "--ids", "1")
    finally:
        os.close(slave)
        os.close(master)
    assert said.code == 4
    assert "another program holds the port" in said.err
    assert not said.out


async def test_an_agent_on_the_box_is_told_when_an_address_is_scanned(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(hang_up, tmp_path / "plantroom.sock")
    async with server, TcpSlave([air(1)], ledger()) as tcp:
        options = ("--host", tcp.host, "--port", str(tcp.port), "--ids", "1")
        said = await aside("scan", *options, env={"PLANTROOM_RUN": str(tmp_path)})
        alone = await aside("scan", *options)
    assert (said.code, alone.code) == (0, 0)
    assert "an agent runs on this box" in said.err
    assert "an agent runs on this box" not in alone.err


async def test_nobody_there_exits_4() -> None:
    async with RtuLine([], ledger()) as line:
        said = await aside("scan", "--port", line.path, "--ids", "1-3", "--timeout-ms", "10")
    assert said.code == 4
    assert "nobody answers" in said.err


async def test_exactly_the_ids_asked_for_go_onto_the_wire_and_never_0() -> None:
    asked: list[int] = []

    def note(adu: Adu) -> bytes:
        asked.append(adu.unit)
        return b""

    async with answering(note) as port:
        found = await scan(port, 25, timeout_s=0.01)
    assert found == ([], [], False, [])
    assert asked == list(range(1, 26))


@pytest.mark.parametrize("unit", [0, 248, 255])
async def test_ids_of_no_device_are_refused(unit: int) -> None:
    with pytest.raises(ValueError, match="1 to 247"):
        await scan_port(TcpPort(host="127.0.0.1"), [unit], clock=SystemClock(), timeout_s=0.01)


async def test_whoever_refuses_the_question_is_there_too() -> None:
    async with TcpSlave([relays(3)], ledger()) as tcp:
        found = await scan(TcpPort(host=tcp.host, port=tcp.port), 4)
    assert found[:3] == ([3], [], False)


@pytest.mark.parametrize(("code", "found"), [(2, [1, 2]), (10, []), (11, [])])
async def test_a_gateway_that_answers_for_nobody_is_no_device(code: int, found: list[int]) -> None:
    def refuse(adu: Adu) -> bytes:
        return tcp_frame(adu.transaction, adu.unit, exception_pdu(adu.pdu[0], code))

    async with answering(refuse) as port:
        assert (await scan(port, 2))[0] == found


async def test_a_server_that_hangs_up_on_unknown_units_is_scanned_to_the_end() -> None:
    class HangsUp(Answering):
        def data_received(self, data: bytes) -> None:
            for adu in self._parser.feed(data):
                assert self._transport is not None
                if adu.unit == 5:
                    pdu = exception_pdu(adu.pdu[0], 2)
                    self._transport.write(tcp_frame(adu.transaction, adu.unit, pdu))
                else:
                    self._transport.abort()

    async with answering(lambda _: b"", HangsUp) as port:
        units, garbled, *_ = await scan(port, 7, timeout_s=0.2)
    assert (units, garbled) == ([5], [])


async def test_a_device_that_looks_at_no_id_is_told_as_one() -> None:
    async with TcpSlave([air(unit) for unit in range(1, 10)], ledger()) as tcp:
        units, _, is_echo, _ = await scan(TcpPort(host=tcp.host, port=tcp.port), 9)
    assert (units, is_echo) == ([1], True)


@pytest.mark.parametrize("kind", [FaultKind.BAD_CRC, FaultKind.WRONG_UNIT, FaultKind.HALF_FRAME])
async def test_what_is_no_answer_is_told_and_not_taken_for_a_device(kind: FaultKind) -> None:
    async with RtuLine([air(2)], ledger()) as line:
        line.station.faults.script(2, [Fault(kind=kind)] * 4)
        units, garbled, _, _ = await scan(SerialPort(path=line.path), 3, timeout_s=0.2)
    assert (units, garbled) == ([], [2])


async def test_a_device_that_answers_late_is_found_by_the_second_and_longer_look() -> None:
    async with RtuLine([air(2)], ledger(), turnaround_s=0.07) as line:
        units, garbled, _, _ = await scan(SerialPort(path=line.path), 3, timeout_s=0.04)
    assert (units, garbled) == ([2], [])


async def test_a_device_silent_on_one_table_is_found_by_the_next() -> None:
    async with TcpSlave([air(2)], ledger()) as tcp:
        tcp.station.faults.script(2, [Fault(kind=FaultKind.SILENT)])
        port = TcpPort(host=tcp.host, port=tcp.port)
        units, *_ = await scan(port, 2, areas=(Area.HOLDING, Area.INPUT))
    assert units == [2]


@pytest.mark.parametrize(
    ("registers", "fits"),
    [
        ([0, 0, 0, 0, 0], []),  # zeros are everywhere: decimals 0 alone proves nothing
        ([0, 0, 99, 0, 5], []),  # a unit code nobody listed
        ([0, 0, 17, 0, 5], [["qdy30a"]]),
        ([0, 0, 17, 1, 5], []),  # tenths: this map would be wrong by ten
    ],
)
async def test_a_map_must_be_proven_by_more_than_zeros(
    registers: list[int], fits: list[list[str]]
) -> None:
    level = SimUnit(1, [Block(Area.HOLDING, 0, registers)])
    async with TcpSlave([level], ledger()) as tcp:
        units, _, _, found = await scan(TcpPort(host=tcp.host, port=tcp.port), 1)
    assert units == [1]
    assert [each for each in found if each] == fits


@pytest.mark.parametrize(("register", "fits"), [(0, []), (1, ["weak"])])
async def test_a_verify_block_that_zeros_pass_proves_nothing(
    register: int, fits: list[str]
) -> None:
    weak = parse_profile(
        "title: Weak\nsources: [none]\nverify: [{quantity: a, min: 0, max: 1}]\n"
        "quantities: [{name: a, area: holding, address: 0, type: u16}]\n",
        "weak.yaml",
        "weak",
    )
    async with TcpSlave([SimUnit(1, [Block(Area.HOLDING, 0, [register])])], ledger()) as tcp:
        done = await scan_port(
            TcpPort(host=tcp.host, port=tcp.port),
            [1],
            clock=SystemClock(),
            timeout_s=0.05,
            profiles=[weak],
        )
    assert [fit.profile.name for fit in done.found[0].fits] == fits


async def test_a_meter_is_known_by_its_verify_block_and_its_like_are_named() -> None:
    humid = SimUnit(1, [Block(Area.HOLDING, 0, [456, 235])])
    async with TcpSlave([humid], ledger()) as tcp:
        *_, fits = await scan(TcpPort(host=tcp.host, port=tcp.port), 1)
    assert fits == [["renke-rs-ws-n01", "zts-3008-ws-n01"]]


def test_a_profile_that_fits_by_chance_is_not_hidden() -> None:
    first, second = load_profile("renke-rs-ws-n01"), load_profile("zts-3008-ws-n01")
    found = Found(
        unit=7,
        port=TcpPort(host="h"),
        ms=1.0,
        probe=Request(area=Area.HOLDING, address=0, count=1),
        word=1,
        refusal=None,
        fits=tuple(Fit(profile=each, values={"humidity": 45.6}) for each in (first, second)),
    )
    block = device_block("b", [found], taken=["renke-rs-ws-n01-7"], known={})
    assert "- id: renke-rs-ws-n01-7-2" in block
    assert "# zts-3008-ws-n01 would fit as well" in block
    assert "reads humidity 45.6 %RH" in block


@pytest.mark.parametrize(
    ("words", "units"),
    [("1", [1]), ("1-3", [1, 2, 3]), ("247,5-6,5", [5, 6, 247]), (" 2 , 1", [1, 2])],
)
def test_ids_are_ranges_and_lists(words: str, units: list[int]) -> None:
    assert read_ids(words) == units


@pytest.mark.parametrize("words", ["0", "0-5", "248", "1-248", "5-1", "", "a", "1-", "-3", "1,,2"])
def test_ids_that_are_none_are_refused(words: str) -> None:
    with pytest.raises(ValueError, match="--ids"):
        read_ids(words)


def test_settings_are_all_pairs_of_speed_and_parity() -> None:
    base = SerialPort(path="/dev/x", baud=9600, parity="E")
    tried = [
        (each.baud, each.parity)
        for each in read_settings(base, "9600,4800", "n,E")
        if isinstance(each, SerialPort)
    ]
    assert tried == [(9600, "N"), (9600, "E"), (4800, "N"), (4800, "E")]
    assert read_settings(base, "", "") == [base]
    for bauds, parities in (("fast", ""), ("299", ""), ("", "M")):
        with pytest.raises(ValueError, match="--"):
            read_settings(base, bauds, parities)
    with pytest.raises(ValueError, match="serial"):
        read_settings(TcpPort(host="h"), "9600", "")


@pytest.mark.parametrize(
    "words",
    [
        ("scan",),
        ("scan", "rs485", "--port", "/dev/x"),
        ("scan", "--port", "502"),
        ("scan", "--host", "h", "--port", "x"),
        ("scan", "--port", "/dev/x", "--ids", "0"),
        ("scan", "--port", "/dev/x", "--areas", "moon"),
    ],
)
def test_what_makes_no_sense_exits_2(words: tuple[str, ...]) -> None:
    assert invoke(*words).code == 2
