"""A bus on real sockets and ptys."""

from __future__ import annotations

import asyncio

from drivers.reading import Quality
from tests.modbus.harness import (
    Heard,
    bus_spec,
    device,
    pty_slave,
    registers,
    running,
    tcp_slave,
    value_at,
    wrong_values,
)


async def test_registers_become_readings_on_tcp() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        one = device(1, registers(10))
        async with running(bus_spec(slave, one), heard):
            await heard.until(lambda: len(heard.of("d1.r9")) >= 3)
    assert heard.value("d1.r9") == value_at(1, 9)
    assert heard.value("d1.online") is True
    assert heard.value("bus.online") is True
    assert not wrong_values(heard, one)


async def test_registers_become_readings_on_a_serial_line() -> None:
    heard = Heard()
    async with pty_slave() as slave:
        one = device(1, registers(10))
        async with running(bus_spec(slave, one), heard):
            await heard.until(lambda: len(heard.of("d1.r9")) >= 3)
    assert heard.value("d1.r9") == value_at(1, 9)
    assert not wrong_values(heard, one)


async def test_a_device_that_falls_silent_turns_bad_and_offline_and_comes_back() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        one, two = device(1, registers(2)), device(2, registers(2))
        async with running(bus_spec(slave, one, two), heard):
            await heard.until(lambda: heard.value("d2.online") is True)
            slave.memory.silent_units.add(2)
            await heard.until(lambda: heard.value("d2.online") is False)
            last = heard.last("d2.r0")
            assert last is not None
            assert (last.quality, last.reason) == (Quality.BAD, "timeout")
            assert heard.value("d1.online") is True
            assert heard.value("bus.online") is True
            slave.memory.silent_units.clear()
            await heard.until(lambda: heard.value("d2.online") is True)
            await heard.until(lambda: heard.value("d2.r0") == value_at(2, 0))
            await asyncio.sleep(0)
