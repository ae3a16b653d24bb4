"""Coils as outputs: confirmed, first in line, never waited for in vain."""

from __future__ import annotations

import asyncio

import pytest

from drivers.errors import NoReply, PortUnavailable, Refused, Unavailable
from drivers.modbus.spec import CoilOutputSpec, PollClass
from tests.modbus.harness import (
    Asked,
    Heard,
    Send,
    bus_spec,
    device,
    mbap,
    pty_slave,
    registers,
    running,
    tcp_slave,
)

SIREN = (CoilOutputSpec(output="siren", address=5),)


async def test_a_coil_is_switched_and_read_back() -> None:
    heard = Heard()
    async with (
        pty_slave() as slave,
        running(bus_spec(slave, device(1, outputs=SIREN)), heard) as bus,
    ):
        line = bus.line("siren")
        for energised in (True, False, True):
            await line.write(energised)
            assert slave.memory.coils[1, 5] is energised
            assert await line.read_back() is energised


async def test_a_device_with_outputs_alone_is_asked_for_its_coil() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        async with running(bus_spec(slave, device(1, outputs=SIREN)), heard):
            await heard.until(lambda: heard.value("d1.online") is True)
            slave.memory.silent_units.add(1)
            await heard.until(lambda: heard.value("d1.online") is False)
            slave.memory.silent_units.clear()
            await heard.until(lambda: heard.value("d1.online") is True)
        assert all((each.function, each.address) == (1, 5) for each in slave.memory.asked)


async def test_a_write_goes_before_waiting_polls() -> None:
    heard = Heard()
    many = registers(20, step=20, poll_class=PollClass.FIRE)
    async with tcp_slave() as slave:
        slave.memory.delay_s = 0.01
        spec = bus_spec(slave, device(1, many, outputs=SIREN, max_gap=0))
        async with running(spec, heard) as bus:
            await heard.until(lambda: heard.value("d1.online") is True)
            for energised in (True, False, True):
                asked_before = len(slave.memory.asked)
                await bus.line("siren").write(energised)
                functions = [each.function for each in slave.memory.asked[asked_before:]]
                assert 5 in functions[:2]


async def test_an_echo_that_differs_is_no_success() -> None:
    heard = Heard()
    async with tcp_slave() as slave:

        async def wrong_echo(asked: Asked, transaction: int, send: Send) -> bool:
            if asked.function != 5:
                return False
            send(mbap(transaction, asked.unit, b"\x05\0\x06\xff\0"))
            return True

        slave.misbehave = wrong_echo
        async with running(bus_spec(slave, device(1, outputs=SIREN)), heard) as bus:
            await heard.until(lambda: heard.value("d1.online") is True)
            with pytest.raises(Unavailable, match="echo"):
                await bus.line("siren").write(True)


async def test_a_refused_write_says_so() -> None:
    heard = Heard()
    async with tcp_slave() as slave:

        async def refuse(asked: Asked, transaction: int, send: Send) -> bool:
            send(mbap(transaction, asked.unit, bytes([asked.function | 0x80, 1])))
            return True

        slave.misbehave = refuse
        async with running(bus_spec(slave, device(1, outputs=SIREN)), heard) as bus:
            with pytest.raises(Refused) as caught:
                await bus.line("siren").write(True)
    assert caught.value.code == 1


async def test_the_latest_write_wins_and_a_given_up_one_is_not_sent() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        async with running(bus_spec(slave, device(1, outputs=SIREN)), heard) as bus:
            await heard.until(lambda: heard.value("d1.online") is True)
            slave.memory.delay_s = 0.08
            line = bus.line("siren")
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(line.read_back(), name="occupies the line")
                await asyncio.sleep(0.02)
                older = tasks.create_task(_outcome(line.write(True)), name="older")
                await asyncio.sleep(0)
                newer = tasks.create_task(_outcome(line.write(False)), name="newer")
            assert isinstance(reading.result(), bool)
            assert isinstance(older.result(), Unavailable)
            assert newer.result() is None
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(line.read_back(), name="occupies the line")
                await asyncio.sleep(0.02)
                given_up = tasks.create_task(line.write(True), name="given up")
                await asyncio.sleep(0.01)
                given_up.cancel()
            await asyncio.sleep(0.1)
        writes = [each.count for each in slave.memory.asked if each.function == 5]
        assert writes == [0]


async def _outcome(write: object) -> Exception | None:
    try:
        await write  # type: ignore[misc]
    except Unavailable as error:
        return error
    return None


async def test_an_offline_device_is_not_written_to_again_and_again() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        slave.memory.silent_units.add(1)
        spec = bus_spec(slave, device(1, outputs=SIREN), device(2, registers(1)))
        async with running(spec, heard) as bus:
            await heard.until(lambda: heard.value("d1.online") is False)
            for _ in range(20):
                with pytest.raises(NoReply):
                    await bus.line("siren").write(True)
            with pytest.raises(NoReply):
                await bus.line("siren").read_back()
            assert len([each for each in slave.memory.asked if each.function == 5]) == 1
            slave.memory.silent_units.clear()
            await heard.until(lambda: heard.value("d1.online") is True)
            await bus.line("siren").write(True)
        assert slave.memory.coils[1, 5] is True


async def test_without_a_port_a_write_fails_at_once() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        spec = bus_spec(slave, device(1, outputs=SIREN))
    async with running(spec, heard) as bus:
        await heard.until(lambda: heard.value("bus.online") is False)
        async with asyncio.timeout(0.5):
            with pytest.raises(PortUnavailable):
                await bus.line("siren").write(True)
