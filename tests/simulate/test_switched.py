"""Outputs and counters of a simulated site, as the real drivers switch, read back and count them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.simulate.ledger import Ledger
from agent.simulate.pin_door import serve_pins
from agent.simulate.pin_hand import hold_pins
from agent.simulate.site import build_slave, build_units
from agent.simulate.tcp import TcpSlave
from drivers.clock import ManualClock, Stamp, SystemClock
from drivers.gpio.counting import WatchedCounter
from drivers.gpio.pins import MockPins
from drivers.gpio.spec import ContactForm, CounterSpec, Pull
from drivers.modbus.spec import (
    Area,
    CoilOutputSpec,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    PulseOutputSpec,
    QuantitySpec,
    RegisterOutputSpec,
    SerialPort,
    TcpPort,
)
from tests.modbus.harness import Heard, running

DEVICE = DeviceSpec(
    id="drive",
    unit=3,
    quantities=(
        QuantitySpec(name="speed", area=Area.HOLDING, address=38, type=DataType.U16, unit="Hz"),
    ),
    outputs=(
        CoilOutputSpec(output="siren", address=1),
        RegisterOutputSpec(output="fan", address=40, on=18, off=1),
        RegisterOutputSpec(output="pump", address=41, on=0xFF00, off=0, read_back=300),
        PulseOutputSpec(output="gong", address=2, pulse_address=0x0202, pulse_s=0.7),
    ),
)


@pytest.mark.parametrize(
    "port", [TcpPort(host="h"), TcpPort(host="h", rtu=True), SerialPort(path="/dev/x")]
)
async def test_the_driver_switches_every_kind_of_output_and_reads_it_back(
    port: TcpPort | SerialPort,
) -> None:
    spec = ModbusBusSpec(id="line", port=port, devices=(DEVICE,))
    async with build_slave(spec, Ledger(SystemClock())) as slave:
        if isinstance(slave, TcpSlave):
            assert isinstance(port, TcpPort)
            here: TcpPort | SerialPort = replace(port, host=slave.host, port=slave.port)
        else:
            here = SerialPort(path=slave.path)
        async with running(replace(spec, port=here), Heard()) as bus:
            for output in ("siren", "fan", "pump"):
                line = bus.line(output)
                assert await line.read_back() is False
                for energised in (True, False, True):
                    await line.write(energised)
                    assert await line.read_back() is energised
            gong = bus.line("gong")
            await gong.write(True)
            async with asyncio.timeout(20):
                while await gong.read_back():  # noqa: ASYNC110 - the module tells nobody
                    await asyncio.sleep(0.05)
            assert await bus.line("siren").read_back() is True


def test_a_pulse_lasts_its_units_of_100_ms_and_off_ends_it_early() -> None:
    clock = ManualClock()
    (unit,) = build_units(
        ModbusBusSpec(id="line", port=TcpPort(host="h"), devices=(DEVICE,)), clock
    )
    start, off, ask = (bytes.fromhex(each) for each in ("0502020007", "0500020000", "0100020001"))
    assert unit.answer(start).pdu == start
    clock.advance(0.69)
    assert unit.answer(ask).pdu[2] == 1
    clock.advance(0.02)
    assert unit.answer(ask).pdu[2] == 0
    unit.answer(start)
    assert unit.answer(off).pdu == off
    assert unit.answer(ask).pdu[2] == 0


@pytest.mark.parametrize("write", ["06002600ff", "06012c0001", "0503010007", "0502010007"])
def test_what_is_no_output_cannot_be_written(write: str) -> None:
    (unit,) = build_units(
        ModbusBusSpec(id="line", port=TcpPort(host="h"), devices=(DEVICE,)), ManualClock()
    )
    assert unit.answer(bytes.fromhex(write)).pdu[0] & 0x80


@pytest.mark.parametrize("form", list(ContactForm))
@pytest.mark.parametrize("pull", list(Pull))
async def test_a_counter_of_the_site_is_counted(
    tmp_path: Path, form: ContactForm, pull: Pull
) -> None:
    spec = CounterSpec(point="water", pin=6, contact=form, max_hz=8, pull=pull, debounce_s=0.01)
    pins, clock = MockPins(), SystemClock()
    counter = WatchedCounter(spec, refresh_s=5.0)
    chip = pins.open()
    counter.claim(chip, lambda: None, clock.mono_s())
    held = asyncio.Event()

    def count() -> int:
        counter.look(clock.mono_s())
        value = counter.reading(Stamp(mono_s=clock.mono_s(), wall_ms=0)).value
        return value if isinstance(value, int) else 0

    async with asyncio.TaskGroup() as tasks:
        door = tasks.create_task(serve_pins(pins, tmp_path / "pins"), name="door")
        hand = tasks.create_task(
            hold_pins(tmp_path / "pins", {}, lambda _: held.set(), [spec]), name="hand"
        )
        async with asyncio.timeout(30):
            await held.wait()
            while count() < 2:  # noqa: ASYNC110 - as the agent polls it
                await asyncio.sleep(0.02)
        hand.cancel()
        door.cancel()
    counter.release()
