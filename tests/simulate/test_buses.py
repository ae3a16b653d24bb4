"""The simulated buses over real sockets and ptys, asked by libmodbus (mbpoll), pymodbus and raw bytes."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from agent.simulate.faults import Fault, FaultKind, FaultPlan
from agent.simulate.frames import rtu_frame, tcp_frame
from agent.simulate.ledger import Ledger, Place, ReadAnswered, WriteTaken, encode_counter
from agent.simulate.line import RtuLine
from agent.simulate.slave import SimUnit
from agent.simulate.tcp import TcpSlave
from drivers.modbus.spec import Area

READ_TWO = bytes.fromhex("0300020002")
UNIT_1 = bytes.fromhex("030403ea03eb")


@pytest_asyncio.fixture
async def tcp(units: tuple[SimUnit, ...], ledger: Ledger) -> AsyncIterator[TcpSlave]:
    async with TcpSlave(units, ledger) as slave:
        yield slave


@pytest_asyncio.fixture
async def line(units: tuple[SimUnit, ...], ledger: Ledger) -> AsyncIterator[RtuLine]:
    async with RtuLine(units, ledger) as line:
        yield line


async def mbpoll(program: str, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(10):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode()


def poll(*options: str) -> tuple[str, ...]:
    """0-based addresses, once, quietly."""
    return ("-0", "-1", "-q", *options)


WITNESSED = [
    (("-a", "7", "-t", "4", "-r", "0", "-c", "3"), ["[0]: \t7000", "[1]: \t7001", "[2]: \t7002"]),
    (("-a", "7", "-t", "3", "-r", "1", "-c", "1"), ["[1]: \t14001"]),
    (("-a", "1", "-t", "0", "-r", "0", "-c", "3"), ["[0]: \t1", "[1]: \t0", "[2]: \t1"]),
    (("-a", "1", "-t", "1", "-r", "0", "-c", "2"), ["[0]: \t0", "[1]: \t1"]),
    (
        ("-a", "1", "-t", "4:int", "-B", "-r", "100", "-c", "1"),
        [f"[100]: \t{encode_counter(1, 100, 0)}"],
    ),
    (("-a", "1", "-t", "4", "-r", "49", "-c", "2"), ["Illegal data address"]),
]


@pytest.mark.parametrize(("options", "answers"), WITNESSED)
async def test_libmodbus_reads_every_table_over_tcp(
    tcp: TcpSlave, need: Callable[[str], str], options: tuple[str, ...], answers: list[str]
) -> None:
    said = await mbpoll(need("mbpoll"), *poll("-m", "tcp", "-p", str(tcp.port), *options, tcp.host))
    assert all(answer in said for answer in answers), said


@pytest.mark.parametrize(("options", "answers"), WITNESSED)
async def test_libmodbus_reads_every_table_over_a_serial_line(
    line: RtuLine, need: Callable[[str], str], options: tuple[str, ...], answers: list[str]
) -> None:
    said = await mbpoll(
        need("mbpoll"), *poll("-m", "rtu", "-b", "9600", "-P", "none", *options, line.path)
    )
    assert all(answer in said for answer in answers), said


async def test_libmodbus_writes_and_the_ledger_knows(
    tcp: TcpSlave, need: Callable[[str], str], units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    where = ("-0", "-q", "-m", "tcp", "-p", str(tcp.port), "-a", "1")
    program = need("mbpoll")
    await mbpoll(program, *where, "-t", "4", "-r", "3", tcp.host, "11", "12")
    await mbpoll(program, *where, "-t", "0", "-r", "1", tcp.host, "1")
    assert [units[0].value(Area.HOLDING, each) for each in (3, 4)] == [11, 12]
    writes = [each for each in ledger.entries if isinstance(each, WriteTaken)]
    assert [(each.place, each.area, each.value) for each in writes] == [
        (Place("tcp", 1, 3), Area.HOLDING, 11),
        (Place("tcp", 1, 4), Area.HOLDING, 12),
        (Place("tcp", 1, 1), Area.COIL, 1),
    ]


async def test_pymodbus_reads_tcp_rtu_over_tcp_and_serial(
    units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    async with (
        TcpSlave(units, ledger) as tcp,
        TcpSlave(units, ledger, bus="tunnel", rtu=True) as tunnel,
        RtuLine(units, ledger) as line,
    ):
        for client in (
            AsyncModbusTcpClient(tcp.host, port=tcp.port, timeout=1, retries=0),
            AsyncModbusTcpClient(
                tunnel.host, port=tunnel.port, framer=FramerType.RTU, timeout=1, retries=0
            ),
            AsyncModbusSerialClient(line.path, baudrate=9600, timeout=1, retries=0),
        ):
            assert await client.connect()
            try:
                for number in (1, 7):
                    answer = await client.read_input_registers(0, count=125, device_id=number)
                    assert answer.registers == [2000 * number + each for each in range(125)]
                await client.write_coils(0, [True] * 10, device_id=7)
                assert (await client.read_coils(0, count=10, device_id=7)).bits[:10] == [True] * 10
                refused = await client.read_holding_registers(5000, count=1, device_id=1)
                assert refused.exception_code == 2
            finally:
                client.close()


async def talk(slave: TcpSlave, *frames: bytes, wait_s: float = 0.2) -> bytes:
    """Send frames, and return all bytes that come until `wait_s` of silence or the end."""
    reader, writer = await asyncio.open_connection(slave.host, slave.port)
    heard = b""
    try:
        for frame in frames:
            writer.write(frame)
            await writer.drain()
            await asyncio.sleep(0.01)
        while True:
            async with asyncio.timeout(wait_s):
                data = await reader.read(1000)
            if not data:
                break
            heard += data
    except TimeoutError:
        pass
    finally:
        writer.close()
    return heard


async def test_requests_in_pieces_and_in_one_go_over_tcp(tcp: TcpSlave) -> None:
    whole = tcp_frame(1, 1, READ_TWO)
    assert await talk(tcp, whole[:3], whole[3:9], whole[9:] + tcp_frame(2, 1, READ_TWO)) == (
        tcp_frame(1, 1, UNIT_1) + tcp_frame(2, 1, UNIT_1)
    )


async def test_a_tunnelled_request_behind_noise_is_answered_after_the_gap(
    units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    # Unit 16 function 16 announces more bytes than will come.
    noise = bytes.fromhex("101000000001ff")
    async with TcpSlave(units, ledger, rtu=True) as tunnel:
        assert await talk(tunnel, noise + rtu_frame(1, READ_TWO)) == rtu_frame(1, UNIT_1)


async def test_silent_and_late_units_do_not_hold_up_their_neighbour(tcp: TcpSlave) -> None:
    tcp.station.faults.script(1, [Fault(kind=FaultKind.LATE, delay_s=0.1)])
    heard = await talk(tcp, tcp_frame(1, 1, READ_TWO), tcp_frame(2, 7, READ_TWO))
    assert [struct.unpack_from(">H", heard)[0], struct.unpack_from(">H", heard, 13)[0]] == [2, 1]
    tcp.set_silent(1, True)
    heard = await talk(tcp, tcp_frame(3, 1, READ_TWO), tcp_frame(4, 7, READ_TWO))
    assert heard[:2] == b"\x00\x04"
    assert len(heard) == 13
    tcp.set_silent(1, False)
    assert await talk(tcp, tcp_frame(5, 1, READ_TWO)) == tcp_frame(5, 1, UNIT_1)


async def test_a_reset_is_a_reset_and_the_next_connection_works(tcp: TcpSlave) -> None:
    tcp.station.faults.script(1, [Fault(kind=FaultKind.RESET)])
    with pytest.raises(ConnectionResetError):
        await talk(tcp, tcp_frame(1, 1, READ_TWO))
    assert await talk(tcp, tcp_frame(2, 1, READ_TWO)) == tcp_frame(2, 1, UNIT_1)


async def test_a_stopped_slave_refuses_and_takes_its_port_again(
    units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    async with TcpSlave(units, ledger) as slave:
        port = slave.port
        await slave.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(slave.host, port)
        await slave.start()
        assert slave.port == port
        assert await talk(slave, tcp_frame(2, 1, READ_TWO)) == tcp_frame(2, 1, UNIT_1)


async def test_a_late_answer_dies_with_its_connection_and_is_not_in_the_ledger(
    tcp: TcpSlave, ledger: Ledger
) -> None:
    tcp.station.faults.script(1, [Fault(kind=FaultKind.LATE, delay_s=0.1)])
    await talk(tcp, tcp_frame(1, 1, bytes.fromhex("0300640002")), wait_s=0.01)
    await asyncio.sleep(0.15)
    assert ledger.entries == ()


class Port:
    """A client's end of the line, byte by byte."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.heard = bytearray()
        self.times_s: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.fd, self._read)

    def _read(self) -> None:
        self.heard += os.read(self.fd, 4096)
        self.times_s.append(self._loop.time())

    def close(self) -> None:
        self._loop.remove_reader(self.fd)
        os.close(self.fd)

    async def ask(self, *parts: bytes, wait_s: float = 0.15) -> bytes:
        self.heard.clear()
        for part in parts:
            os.write(self.fd, part)
            await asyncio.sleep(0)
        await asyncio.sleep(wait_s)
        return bytes(self.heard)


async def test_the_line_answers_raw_bytes_noise_and_faults(line: RtuLine, ledger: Ledger) -> None:
    port = Port(line.path)
    try:
        whole = rtu_frame(1, READ_TWO)
        good = rtu_frame(1, UNIT_1)
        assert await port.ask(whole) == good
        assert await port.ask(whole[:4], whole[4:]) == good
        assert await port.ask(b"\xff\x00" + whole) == good
        assert await port.ask(bytes.fromhex("101000000001ff") + whole) == good
        assert await port.ask(whole[:-1] + b"\x00") == b""
        assert await port.ask(rtu_frame(9, READ_TWO)) == b""
        line.station.faults.script(1, [Fault(kind=FaultKind.HALF_FRAME)])
        assert await port.ask(whole) == good[: len(good) // 2]
        line.set_silent(1, True)
        assert await port.ask(whole + rtu_frame(7, READ_TWO)) == rtu_frame(
            7, bytes.fromhex("03041b5a1b5b")
        )
    finally:
        port.close()


async def test_a_paced_line_takes_the_time_of_the_wire(
    units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    async with RtuLine(units, ledger, baud=9600, pace=True, turnaround_s=0.005) as line:
        port = Port(line.path)
        try:
            begin_s = asyncio.get_running_loop().time()
            await port.ask(rtu_frame(1, bytes.fromhex("030064000a")), wait_s=0)
            await port.ask(rtu_frame(1, bytes.fromhex("0300640002")), wait_s=0.2)
        finally:
            port.close()
        # An exception of 5 bytes, then a counter of 9: two requests of 8 bytes, two gaps of 3.5
        # characters and two turnarounds, at 10 bits a byte.
        least_s = (8 + 5 + 8 + 9 + 7) * 10 / 9600 + 0.010
        took_s = port.times_s[-1] - begin_s
        assert least_s <= took_s + 0.001
        assert took_s < least_s + 0.1
        (entry,) = [each for each in ledger.entries if isinstance(each, ReadAnswered)]
        assert abs(entry.at.mono_s - port.times_s[-1]) < 0.05


async def test_an_adapter_is_pulled_and_put_back_under_the_same_name(
    units: tuple[SimUnit, ...], ledger: Ledger, tmp_path: Path
) -> None:
    link = tmp_path / "ttyPLANT"
    async with RtuLine(units, ledger, link=link) as line:
        assert line.path == str(link)
        port = Port(line.path)
        line.unplug()
        assert not link.is_symlink()
        with pytest.raises(OSError, match=r"Input/output error|EIO"):
            os.write(port.fd, b"x")
        port.close()
        line.plug()
        port = Port(line.path)
        try:
            assert await port.ask(rtu_frame(1, READ_TWO)) == rtu_frame(1, UNIT_1)
        finally:
            port.close()
    assert not link.is_symlink()


async def test_a_faulty_bus_spoils_at_its_rate_and_never_raises(
    units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    kinds = set(FaultKind) - {FaultKind.TRANSACTION_ZERO, FaultKind.RESET, FaultKind.LATE}
    plan = FaultPlan(kinds, rate=0.5, seed=3)
    async with RtuLine(units, ledger, faults=plan) as line:
        port = Port(line.path)
        try:
            good = 0
            for _ in range(300):
                good += await port.ask(rtu_frame(1, READ_TWO), wait_s=0.001) == rtu_frame(1, UNIT_1)
        finally:
            port.close()
    assert set(plan.played) == kinds
    assert 100 < good < 200
