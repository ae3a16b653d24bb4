"""Coils, registers and pulses as outputs: confirmed, first in line, never waited for in vain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from agent.simulate.ledger import Ledger
from agent.simulate.slave import Block, SimUnit
from agent.simulate.tcp import TcpSlave
from drivers.clock import SystemClock
from drivers.errors import BadReply, NoReply, PortUnavailable, Refused, Unavailable
from drivers.modbus.bus import ModbusBus, longest_order_s
from drivers.modbus.spec import (
    Area,
    CoilOutputSpec,
    DeviceSpec,
    ModbusBusSpec,
    OutputSpec,
    PollClass,
    PulseOutputSpec,
    RegisterOutputSpec,
    TcpPort,
)
from tests.modbus.harness import (
    Asked,
    Heard,
    Send,
    Slave,
    bus_spec,
    device,
    mbap,
    pty_slave,
    registers,
    running,
    tcp_slave,
)

Wire = Callable[[], AbstractAsyncContextManager[Slave]]

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
        spec = bus_spec(slave, device(1, outputs=SIREN), timeout_s=2.0)
        async with running(spec, heard) as bus:
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
        spec = bus_spec(
            slave,
            device(1, outputs=SIREN),
            device(2, registers(1)),
            probe_share=0.5,
            offline_failures=1,
            offline_after_s=0.1,
        )
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


# -- registers and pulses --------------------------------------------------------------------------

FAN = RegisterOutputSpec(output="fan", address=40, on=3, off=1)
PUMP = RegisterOutputSpec(output="pump", address=41, on=0xFF00, off=0, read_back=50)
BELL = PulseOutputSpec(output="bell", address=2, pulse_address=0x0202, pulse_s=0.3)


@pytest.mark.parametrize("wire", [tcp_slave, pty_slave])
async def test_a_register_is_switched_between_its_two_values_and_read_back(wire: Wire) -> None:
    heard = Heard()
    async with wire() as slave, running(bus_spec(slave, device(1, outputs=(FAN,))), heard) as bus:
        line = bus.line("fan")
        for energised, value in ((True, 3), (False, 1), (True, 3)):
            await line.write(energised)
            assert slave.memory.written == {(1, 40): value}
            assert await line.read_back() is energised


async def test_a_register_may_be_read_back_from_another_and_neither_value_is_no_state() -> None:
    heard = Heard()
    async with (
        tcp_slave() as slave,
        running(bus_spec(slave, device(1, outputs=(PUMP,))), heard) as bus,
    ):
        line = bus.line("pump")
        await line.write(True)
        assert slave.memory.written == {(1, 41): 0xFF00}
        for word, state in ((0xFF00, True), (0, False)):
            slave.memory.written[1, 50] = word
            assert await line.read_back() is state
        slave.memory.written[1, 50] = 7
        with pytest.raises(BadReply, match="neither"):
            await line.read_back()
        assert heard.value("d1.online") is True


@pytest.mark.parametrize("wire", [tcp_slave, pty_slave])
async def test_a_pulse_is_timed_by_the_module_and_can_be_ended_early(wire: Wire) -> None:
    heard = Heard()
    async with wire() as slave, running(bus_spec(slave, device(1, outputs=(BELL,))), heard) as bus:
        slave.memory.flash_at = 0x0200
        line = bus.line("bell")
        await line.write(True)
        assert await line.read_back() is True
        await asyncio.sleep(0.4)
        assert await line.read_back() is False
        await line.write(True)
        await line.write(False)
        assert await line.read_back() is False
        writes = [(a.address, a.count) for a in slave.memory.asked if a.function == 5]
        assert writes == [(0x0202, 3), (0x0202, 3), (2, 0)]


@pytest.mark.parametrize(
    "spec",
    [
        RegisterOutputSpec(output="o", address=1, on=1, off=1),
        RegisterOutputSpec(output="o", address=1, on=70_000),
        RegisterOutputSpec(output="o", address=1, read_back=65_536),
        CoilOutputSpec(output="o", address=-1),
        PulseOutputSpec(output="o", address=0, pulse_address=0x0200, pulse_s=0.04),
        PulseOutputSpec(output="o", address=0, pulse_address=0x0200, pulse_s=3276.8),
        PulseOutputSpec(output="o", address=5, pulse_address=5, pulse_s=1.0),
    ],
)
def test_an_output_that_makes_no_sense_is_refused(spec: OutputSpec) -> None:
    with pytest.raises(ValueError, match=r"^o: "):
        ModbusBus(_plain(DeviceSpec(id="d", unit=1, outputs=(spec,))), SystemClock(), print)


def test_broadcast_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        ModbusBus(_plain(DeviceSpec(id="d", unit=0, outputs=SIREN)), SystemClock(), print)


def _plain(device: DeviceSpec) -> ModbusBusSpec:
    return ModbusBusSpec(id="bus", port=TcpPort(host="127.0.0.1"), devices=(device,))


# -- how long a write can take ---------------------------------------------------------------------


def test_by_default_a_write_is_given_two_and_a_half_seconds() -> None:
    spec = _plain(DeviceSpec(id="d", unit=1, outputs=SIREN))
    assert longest_order_s(spec, spec.devices[0]) == 2.5
    assert ModbusBus(spec, SystemClock(), print).line("siren").longest_s == 2.5


@pytest.mark.parametrize("wire", [tcp_slave, pty_slave, lambda: tcp_slave(is_rtu=True)])
async def test_a_write_waits_for_the_time_out_under_way_but_not_for_the_settling(
    wire: Wire,
) -> None:
    heard, loop = Heard(), asyncio.get_running_loop()
    async with wire() as slave:
        spec = bus_spec(
            slave,
            device(1, registers(1)),
            device(2, outputs=SIREN),
            timeout_s=0.2,
            settle_s=0.6,
            retries=0,
            offline_after_s=60.0,
        )
        async with running(spec, heard) as bus:
            line = bus.line("siren")
            await heard.until(lambda: heard.value("d2.online") is True)
            slave.memory.silent_units.add(1)
            await heard.until(lambda: heard.reason("d1.r0") == "timeout")
            # the line settles now: the write goes out at once
            started_s = loop.time()
            await line.write(True)
            assert loop.time() - started_s < 0.25
            # what is read does wait
            assert await line.read_back() is True
            assert loop.time() - started_s > 0.4


async def test_the_worst_case_stays_within_what_the_line_says() -> None:
    """A read that keeps silent is under way, and the first try of the write is lost."""
    heard, loop = Heard(), asyncio.get_running_loop()
    async with tcp_slave() as slave:
        lost: list[Asked] = []

        async def lose_one_write(asked: Asked, transaction: int, send: Send) -> bool:
            if asked.function != 5 or lost:
                return False
            lost.append(asked)
            return True

        slave.misbehave = lose_one_write
        spec = bus_spec(
            slave,
            device(1, registers(1)),
            device(2, outputs=SIREN),
            timeout_s=0.2,
            settle_s=0.2,
            offline_after_s=60.0,
        )
        async with running(spec, heard) as bus:
            line = bus.line("siren")
            await heard.until(lambda: heard.value("d2.online") is True)
            slave.memory.silent_units.add(1)
            before = len(slave.memory.asked)
            await heard.until(lambda: any(a.unit == 1 for a in slave.memory.asked[before:]))
            started_s = loop.time()
            await line.write(True)
            took_s = loop.time() - started_s
            assert lost
            # one time-out under way, one of its own, and the answer: no settling in between
            assert took_s < 0.2 + 0.2 + 0.15
            assert took_s < line.longest_s


async def test_a_dead_module_full_of_relays_does_not_hold_up_the_siren() -> None:
    heard, loop = Heard(), asyncio.get_running_loop()
    relays = tuple(CoilOutputSpec(output=f"relay{each}", address=each) for each in range(8))
    async with tcp_slave() as slave:
        spec = bus_spec(
            slave,
            device(1, outputs=relays),
            device(2, outputs=SIREN),
            timeout_s=0.2,
            settle_s=0.2,
            offline_after_s=60.0,
        )
        async with running(spec, heard) as bus:
            await heard.until(lambda: heard.value("d1.online") is True)
            await heard.until(lambda: heard.value("d2.online") is True)
            slave.memory.silent_units.add(1)
            async with asyncio.TaskGroup() as tasks:
                for each in relays:
                    tasks.create_task(_outcome(bus.line(each.output).write(True)), name=each.output)
                await asyncio.sleep(0.05)
                started_s = loop.time()
                await bus.line("siren").write(True)
                assert loop.time() - started_s < 2 * 0.2 + 0.15


async def test_the_library_repeats_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()
    async with tcp_slave() as slave:

        async def twice(asked: Asked, transaction: int, send: Send) -> bool:
            send(mbap(transaction, asked.unit, slave.memory.reply(asked)))
            send(mbap(transaction, asked.unit, slave.memory.reply(asked)))
            return True

        slave.misbehave = twice
        with caplog.at_level(logging.DEBUG):
            async with running(bus_spec(slave, device(1, registers(3))), heard):
                await heard.until(lambda: len(heard.of("d1.r0")) > 10)
    assert [each.name for each in caplog.records if each.name.startswith("pymodbus")] == []


async def test_a_register_is_switched_on_the_simulated_device_too() -> None:
    """Another slave than this room's own, which refuses what it does not have."""
    ledger = Ledger(SystemClock())
    unit = SimUnit(1, [Block(Area.HOLDING, 40, [1], is_writable=True)])
    heard = Heard()
    async with TcpSlave([unit], ledger, bus="bus") as slave:
        spec = ModbusBusSpec(
            id="bus",
            port=TcpPort(host="127.0.0.1", port=slave.port),
            devices=(
                DeviceSpec(
                    id="d",
                    unit=1,
                    outputs=(FAN, RegisterOutputSpec(output="none", address=41)),
                ),
            ),
        )
        async with running(spec, heard) as bus:
            assert await bus.line("fan").read_back() is False
            await bus.line("fan").write(True)
            assert unit.value(Area.HOLDING, 40) == 3
            assert await bus.line("fan").read_back() is True
            with pytest.raises(Refused):
                await bus.line("none").write(True)
