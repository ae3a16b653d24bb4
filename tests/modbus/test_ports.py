"""How a port is held: off the loop, for one alone, as nobody's terminal, with the silences it needs."""

from __future__ import annotations

import asyncio
import logging
import os
import pty
import subprocess
import sys
import threading
import tty
from dataclasses import replace
from pathlib import Path

import pytest
from pymodbus.transport.serialtransport import SerialTransport

from drivers.modbus.dialling import Dialler
from drivers.modbus.quiet import frame_gap_s
from drivers.modbus.spec import SerialPort
from tests.modbus.harness import (
    Asked,
    Heard,
    Send,
    bus_spec,
    device,
    pty_slave,
    registers,
    running,
    tcp_slave,
    value_at,
)

AS_SESSION_LEADER = """
import asyncio, os, sys
from drivers.clock import SystemClock
from drivers.modbus.spec import SerialPort
from drivers.modbus.transport import Link

async def main():
    port = SerialPort(path=sys.argv[1])
    link = Link("line", port, SystemClock(), settle_s=0, on_lost=lambda: None)
    await link.open()
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        print("no terminal, port", "open" if link.is_open else "closed")
    link.abandon()

asyncio.run(main())
"""


def test_a_serial_port_does_not_become_the_terminal_of_a_service() -> None:
    near, far = pty.openpty()
    tty.setraw(far)
    try:
        # a service is the leader of a session without a terminal: any it opens would become its own
        done = subprocess.run(
            [sys.executable, "-c", AS_SESSION_LEADER, os.ttyname(far)],
            start_new_session=True,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(near)
        os.close(far)
    assert done.stdout.strip() == "no terminal, port open", done.stderr


async def test_the_loop_goes_on_while_a_port_takes_long_to_open() -> None:
    went_on = threading.Event()

    class Slow(Dialler):
        def _open_serial(self) -> SerialTransport:
            assert went_on.wait(2.5), "the loop stood still"
            return super()._open_serial()

    async with pty_slave() as slave:
        dialler = Slow(
            "line", slave.port, on_packet=lambda _, data: data, on_connection=lambda _: None
        )
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(dialler.open(), name="opening")
            for _ in range(5):
                await asyncio.sleep(0.001)
            went_on.set()
        assert opening.result().connected
        opening.result().close()
        dialler.abandon()


async def test_an_adaptor_that_is_pulled_and_put_back_heals_by_itself(tmp_path: Path) -> None:
    heard = Heard()
    name = tmp_path / "usb-adaptor"
    async with pty_slave() as first:
        assert isinstance(first.port, SerialPort)
        name.symlink_to(first.port.path)
        spec = bus_spec(first, device(1, registers(1)))
        port = SerialPort(path=str(name), baud=115200)
        spec = replace(spec, port=port)
        async with running(spec, heard):
            await heard.until(lambda: heard.value("d1.r0") == value_at(1, 0))
            first.drop()
            name.unlink()
            await heard.until(lambda: heard.value("bus.online") is False)
            assert heard.reason("d1.r0") == "port"
            async with pty_slave() as second:
                assert isinstance(second.port, SerialPort)
                name.symlink_to(second.port.path)
                await heard.until(lambda: heard.value("d1.r0") == value_at(1, 0))
                await heard.until(lambda: heard.value("bus.online") is True)


@pytest.mark.parametrize(("baud", "gap_s"), [(9600, 0.0), (1200, 0.0), (115200, 0.04)])
async def test_between_an_answer_and_the_next_request_the_line_is_silent(
    baud: int, gap_s: float
) -> None:
    loop = asyncio.get_running_loop()
    heard = Heard()
    answered_s, silences_s = 0.0, []

    async def note(asked: Asked, _transaction: int, _send: Send) -> bool:
        nonlocal answered_s
        if answered_s:
            silences_s.append(loop.time() - answered_s)
        answered_s = loop.time()  # it answers at once
        return False

    async with pty_slave() as slave:
        slave.misbehave = note
        slave.port = SerialPort(path=slave.port.path, baud=baud)  # type: ignore[union-attr]
        one = device(1, registers(4, step=50), max_gap=0, gap_s=gap_s)
        async with running(bus_spec(slave, one), heard):
            await heard.until(lambda: len(silences_s) > 20, within_s=20)
        assert min(silences_s) >= frame_gap_s(slave.port) + gap_s


async def test_each_change_of_a_device_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="drivers")
    heard = Heard()
    async with tcp_slave() as slave:
        devices = [device(unit, registers(3, step=50), max_gap=0) for unit in (1, 2)]
        async with running(bus_spec(slave, *devices), heard):
            await heard.until(lambda: heard.value("d2.online") is True)
            slave.memory.silent_units.add(2)
            await heard.until(lambda: heard.value("d2.online") is False)
            asked = len(slave.memory.asked)
            await heard.until(
                lambda: any(each.unit == 2 for each in slave.memory.asked[asked:]), within_s=20
            )
            slave.memory.silent_units.clear()
            await heard.until(lambda: heard.value("d2.online") is True, within_s=20)
    told = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert told == [
        ("ERROR", "device d2 is offline: no reply"),
        ("WARNING", "device d2 is online again"),
    ]
