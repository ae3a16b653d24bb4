"""A second opinion: mbpoll reads what the driver was told, from every slave the driver is held against.

The agent's own simulated slaves are asked in tests/simulate.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.modbus.spec import Area, SerialPort, TcpPort
from tests.modbus.harness import Slave, bit_at, pty_slave, tcp_slave, value_at
from tests.peers.lines import Wire
from tests.peers.memory import ABSENT_UNIT, BITS, FIRST, REGISTERS, UNIT, table

TYPE = {Area.COIL: "0", Area.DISCRETE: "1", Area.INPUT: "3", Area.HOLDING: "4"}
"""mbpoll(1), option -t."""
VALUE = re.compile(r"^\[(\d+)\]:\s+(\d+)", re.MULTILINE)


async def mbpoll(program: str, port: TcpPort | SerialPort, *options: str) -> str:
    """Return what mbpoll says of one poll with 0-based addresses."""
    if isinstance(port, TcpPort):
        where = ["-m", "tcp", "-p", str(port.port)]
        last = port.host
    else:
        where = ["-m", "rtu", "-b", "9600", "-P", "none"]
        last = port.path
    process = await asyncio.create_subprocess_exec(
        program, "-0", "-1", "-q", "-o", "0.5", *where, *options, last,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(10):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode()


def values(said: str) -> dict[int, int]:
    return {int(address): int(value) for address, value in VALUE.findall(said)}


def polled(unit: int, area: Area, address: int, count: int) -> list[str]:
    return ["-a", str(unit), "-t", TYPE[area], "-r", str(address), "-c", str(count)]


async def test_mbpoll_reads_from_each_peer_what_the_driver_was_to_read(
    direct_wire: Wire, need: Callable[[str], str]
) -> None:
    program = need("mbpoll")
    for area in Area:
        said = await mbpoll(program, direct_wire.port, *polled(UNIT, area, FIRST, 64))
        assert values(said) == dict(enumerate(table(area)[:64], start=FIRST)), said


async def test_mbpoll_is_refused_where_the_driver_is(
    direct_wire: Wire, need: Callable[[str], str]
) -> None:
    program = need("mbpoll")
    for area, size in ((Area.HOLDING, REGISTERS), (Area.COIL, BITS)):
        said = await mbpoll(program, direct_wire.port, *polled(UNIT, area, FIRST + size - 1, 2))
        assert "Illegal data address" in said, said
    said = await mbpoll(program, direct_wire.port, *polled(ABSENT_UNIT, Area.HOLDING, FIRST, 1))
    assert not values(said), said


@asynccontextmanager
async def harness_slave(wire: str) -> AsyncIterator[Slave]:
    async with tcp_slave() if wire == "tcp" else pty_slave() as slave:
        yield slave


@pytest.mark.parametrize("wire", ["tcp", "serial"])
async def test_mbpoll_reads_the_slave_of_the_drivers_own_tests_alike(
    wire: str, need: Callable[[str], str]
) -> None:
    program = need("mbpoll")
    async with harness_slave(wire) as slave:
        port = slave.port
        if isinstance(port, SerialPort):
            port = SerialPort(path=port.path)
        for area in Area:
            said = await mbpoll(program, port, *polled(3, area, 5, 20))
            is_bit = area in (Area.COIL, Area.DISCRETE)
            right = {
                each: int(bit_at(3, each)) if is_bit else value_at(3, each) & 0xFFFF
                for each in range(5, 25)
            }
            assert values(said) == right, said
