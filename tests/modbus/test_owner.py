"""The task that owns a line ends although nobody ended it: the bus fails aloud."""

from __future__ import annotations

import asyncio

import pytest

from drivers.clock import SystemClock
from drivers.errors import PortUnavailable
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import CoilOutputSpec
from drivers.reading import Quality
from drivers.tasks import EndedByItselfError
from tests.modbus.harness import Heard, bus_spec, device, pty_slave, registers, value_at


async def test_a_line_whose_owner_ends_as_cancelled_is_bad_and_its_bus_fails() -> None:
    heard = Heard()
    one = device(1, registers(2), outputs=(CoilOutputSpec(output="siren", address=0),))
    async with pty_slave() as slave:
        bus = ModbusBus(bus_spec(slave, one, timeout_s=5.0), SystemClock(), heard.emit)

        async def cancel_what_it_waits_for() -> None:
            await heard.until(lambda: heard.value("d1.r0") is not None)
            slave.memory.silent_units.add(1)
            asked = len(slave.memory.asked)
            await heard.until(lambda: len(slave.memory.asked) > asked)
            client = bus._link._client
            assert client is not None
            client.ctx.response_future.cancel()

        with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - the bus runs in the block
            async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
                tasks.create_task(cancel_what_it_waits_for(), name="cancels")
                await bus.run()
        assert failed.value.split(EndedByItselfError)[0] is not None
        assert heard.value("bus.online") is False
        assert heard.value("d1.online") is False
        for each in ("d1.r0", "d1.r1"):
            last = heard.last(each)
            assert last is not None
            assert last.quality is Quality.BAD
        assert bus.stats().online is False
        with pytest.raises(PortUnavailable):
            await bus.line("siren").write(True)

        # whoever runs it starts it again
        slave.memory.silent_units.clear()
        async with asyncio.TaskGroup() as tasks:
            again = tasks.create_task(bus.run(), name="bus again")
            await heard.until(lambda: heard.value("d1.r1") == value_at(1, 1))
            await heard.until(lambda: heard.value("d1.online") is True)
            await heard.until(lambda: heard.value("bus.online") is True)
            again.cancel()
