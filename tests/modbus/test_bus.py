"""A bus on real sockets and ptys."""

from __future__ import annotations

import asyncio
from statistics import median

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType as SimType
from pymodbus.simulator import SimData, SimDevice

from drivers.clock import SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import PollClass, TcpPort
from drivers.reading import Quality
from tests.modbus.harness import (
    Asked,
    Heard,
    Memory,
    Send,
    Slave,
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


async def test_a_missing_port_is_told_and_found_when_it_comes() -> None:
    heard = Heard()
    one = device(1, registers(2))
    async with tcp_slave() as slave:
        spec = bus_spec(slave, one)
    async with running(spec, heard):
        await heard.until(lambda: heard.value("bus.online") is False)
        assert heard.value("d1.online") is False
        assert heard.reason("d1.r1") == "port"
        port = spec.port
        assert isinstance(port, TcpPort)
        async with tcp_slave(port=port.port):
            await heard.until(lambda: heard.value("d1.r1") == value_at(1, 1))
            assert heard.value("bus.online") is True
            assert heard.value("d1.online") is True


async def test_a_serial_port_that_is_not_there_or_pulled_out_is_told() -> None:
    heard = Heard()
    async with pty_slave() as slave, running(bus_spec(slave, device(1, registers(1))), heard):
        await heard.until(lambda: heard.value("d1.online") is True)
        slave.drop()
        await heard.until(lambda: heard.value("bus.online") is False)
        assert heard.reason("d1.r0") == "port"


async def test_a_serial_port_is_opened_for_one_alone() -> None:
    first, second = Heard(), Heard()
    async with pty_slave() as slave:
        spec = bus_spec(slave, device(1, registers(1)))
        async with running(spec, first):
            await first.until(lambda: first.value("d1.online") is True)
            async with running(spec, second):
                await second.until(lambda: second.value("bus.online") is False)


async def test_a_register_the_device_lacks_is_dropped_alone_and_told() -> None:
    heard = Heard()
    one = device(1, registers(16))
    async with (
        tcp_slave(Memory(illegal=frozenset({5}))) as slave,
        running(bus_spec(slave, one), heard),
    ):
        await heard.until(
            lambda: all(
                heard.value(f"d1.r{each}") == value_at(1, each) for each in range(16) if each != 5
            )
        )
        await heard.until(lambda: heard.reason("d1.r5") == "exception 2")
        asked = len(slave.memory.asked)
        await heard.until(lambda: len(slave.memory.asked) > asked + 20)
        recent = slave.memory.asked[asked + 5 :]
        assert not any(each.address <= 5 < each.address + each.count for each in recent)
        assert heard.value("d1.online") is True


async def test_silent_units_on_a_shared_line_cost_the_others_little() -> None:
    heard = Heard()
    devices = [device(unit, registers(2)) for unit in range(1, 11)]
    async with tcp_slave() as slave:
        slave.memory.silent_units |= {3, 7}
        spec = bus_spec(slave, *devices, timeout_s=0.05, settle_s=0.05, probe_share=0.03)
        async with running(spec, heard):
            await heard.until(
                lambda: heard.value("d3.online") is False and heard.value("d7.online") is False
            )
            heard.readings.clear()
            await asyncio.sleep(2.0)
            got = {each.id: len(heard.of(f"{each.id}.r0")) for each in devices}
    live = [count for name, count in got.items() if name not in ("d3", "d7")]
    assert min(live) > 2.0 / 0.03 * 0.7
    assert heard.value("bus.online") is not False


async def test_one_lost_answer_makes_nothing_bad_and_is_asked_for_again() -> None:
    heard = Heard()
    lost: list[Asked] = []

    async def lose_one(asked: Asked, _transaction: int, _send: Send) -> bool:
        if heard.of("d1.r0") and not lost:
            lost.append(asked)
            return True
        return False

    async with tcp_slave() as slave:
        slave.misbehave = lose_one
        async with running(
            bus_spec(slave, device(1, registers(2)), device(2, registers(2))), heard
        ):
            await heard.until(lambda: bool(lost))
            seen = len(heard.of(f"d{lost[0].unit}.r0"))
            await heard.until(lambda: len(heard.of(f"d{lost[0].unit}.r0")) > seen + 2)
    assert not [each for each in heard.readings if each.quality is not Quality.GOOD]
    assert heard.value(f"d{lost[0].unit}.online") is True


async def test_after_one_silence_a_device_is_asked_one_thing_until_it_answers() -> None:
    heard = Heard()
    reads = registers(4, step=100)
    one = device(1, reads, max_gap=0)
    async with tcp_slave() as slave:
        spec = bus_spec(slave, one, device(2, registers(1)), offline_after_s=60.0)
        async with running(spec, heard):
            await heard.until(lambda: all(heard.of(f"d1.r{each.address}") for each in reads))
            slave.memory.silent_units.add(1)
            await heard.until(lambda: any(each.reason for each in heard.readings))
            unanswered = [each.address for each in slave.memory.asked if each.unit == 1][-2:]
            assert unanswered[0] == unanswered[1]  # the second try, nothing else in between
            heard.readings.clear()
            slave.memory.silent_units.clear()
            await heard.until(lambda: all(heard.of(f"d1.r{each.address}") for each in reads))


async def test_what_a_device_in_doubt_was_not_asked_is_asked_once_it_answers() -> None:
    heard = Heard()
    reads = registers(4, step=100)
    lost: list[Asked] = []

    async def lose_one(asked: Asked, _transaction: int, _send: Send) -> bool:
        if len(heard.of("d1.r300")) > 2 and not lost:
            lost.append(asked)
            return True
        return False

    async with tcp_slave() as slave:
        slave.misbehave = lose_one
        async with running(bus_spec(slave, device(1, reads, max_gap=0)), heard):
            await heard.until(lambda: bool(lost))
            heard.readings.clear()
            await heard.until(lambda: all(heard.of(f"d1.r{each.address}") for each in reads))
    assert not [each for each in heard.readings if each.quality is not Quality.GOOD]


async def test_a_bus_whose_devices_all_fall_silent_is_one_fault() -> None:
    heard = Heard()
    async with tcp_slave() as slave:
        spec = bus_spec(slave, device(1, registers(1)), device(2, registers(1)))
        async with running(spec, heard):
            await heard.until(lambda: heard.value("bus.online") is True)
            slave.memory.silent_units |= {1, 2}
            await heard.until(lambda: heard.value("bus.online") is False)
            slave.memory.silent_units.clear()
            await heard.until(lambda: heard.value("bus.online") is True)


async def test_one_reply_is_one_call_with_one_stamp_and_the_beat_is_kept() -> None:
    heard = Heard()
    async with tcp_slave() as slave, running(bus_spec(slave, device(1, registers(5))), heard):
        await heard.until(lambda: len(heard.of("d1.r4")) >= 20)
    assert heard.calls < 20 + 5
    by_point = [[each.at for each in heard.of(f"d1.r{at}")] for at in range(5)]
    assert all(each == by_point[0] for each in by_point)
    times = [each.mono_s for each in by_point[0]]
    assert 19 * 0.03 - 0.06 < times[19] - times[0] < 19 * 0.03 + 0.3


async def test_it_reads_what_another_implementation_serves() -> None:
    heard = Heard()
    server = ModbusTcpServer(
        SimDevice(id=1, simdata=[SimData(0, values=[7, 8, 9], datatype=SimType.UINT16)]),
        address=("127.0.0.1", 0),
    )
    await server.serve_forever(background=True)
    try:
        assert server.transport is not None
        number = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        slave = Slave(TcpPort(host="127.0.0.1", port=number), Memory())
        async with running(bus_spec(slave, device(1, registers(3))), heard):
            await heard.until(lambda: heard.value("d1.r2") == 9)
            assert [heard.value(f"d1.r{at}") for at in range(3)] == [7, 8, 9]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


async def test_a_bus_with_a_phase_polls_and_tells_on_the_beat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    period_s = 0.1
    monkeypatch.setattr("drivers.modbus.telling.TELL_S", period_s)
    heard = Heard()
    async with tcp_slave() as slave:
        periods_s = dict.fromkeys(PollClass, period_s)
        spec = bus_spec(slave, device(1, registers(1)), periods_s=periods_s)
        # half a period beside the beat of one that keeps that of its start
        phase_s = (asyncio.get_running_loop().time() + period_s / 2) % period_s
        bus = ModbusBus(spec, SystemClock(), heard.emit, phase_s=phase_s)
        async with asyncio.TaskGroup() as tasks:
            running_bus = tasks.create_task(bus.run(), name="bus")
            await heard.until(lambda: len(heard.of("d1.r0")) > 10, 20.0)
            running_bus.cancel()
    for point in ("d1.r0", "bus.online"):
        late_s = [(each.at.mono_s - phase_s) % period_s for each in heard.of(point)][2:]
        assert median(late_s) < period_s / 3
