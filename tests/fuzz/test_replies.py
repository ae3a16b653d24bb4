"""Random and mutilated replies: no crash, no wrong value called good, and all works afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from drivers.clock import SystemClock
from drivers.errors import BadReply, DriverError, PortUnavailable
from drivers.modbus.plan import Request
from drivers.modbus.spec import Area, DataType, DeviceSpec, QuantitySpec, SerialPort
from drivers.modbus.transport import Link
from drivers.reading import Quality
from tests.fuzz.replies import KINDS, Fuzz
from tests.modbus.harness import (
    Heard,
    Slave,
    bit_at,
    bus_spec,
    device,
    pty_slave,
    registers,
    running,
    tcp_slave,
    value_at,
    wrong_values,
)

WIRES = ["tcp", "rtu over tcp", "serial"]
LINKS = 6
"""Side by side: a broken reply costs its time-out."""
REPLIES = 900
"""Broken ones per wire, in all."""
TIMEOUT_S = 0.008
SETTLE_S = 0.004

ASKED = (
    (1, Request(area=Area.HOLDING, address=0, count=1)),
    (1, Request(area=Area.HOLDING, address=40, count=1)),
    (2, Request(area=Area.HOLDING, address=5, count=125)),
    (3, Request(area=Area.COIL, address=3, count=21)),
    (17, Request(area=Area.INPUT, address=500, count=2)),
    (247, Request(area=Area.DISCRETE, address=0, count=2000)),
)


@asynccontextmanager
async def slave_on(wire: str) -> AsyncIterator[Slave]:
    if wire == "serial":
        async with pty_slave() as slave:
            yield slave
    else:
        async with tcp_slave(is_rtu=wire != "tcp") as slave:
            yield slave


def truth(unit: int, request: Request) -> list[int]:
    span = range(request.address, request.address + request.count)
    if request.area in (Area.COIL, Area.DISCRETE):
        return [int(bit_at(unit, each)) for each in span]
    return [value_at(unit, each) & 0xFFFF for each in span]


async def reopen(link: Link) -> None:
    """Open a port just closed, as the bus does: closing is a thread's affair and may take a moment."""
    async with asyncio.timeout(5):
        while not link.is_open:
            try:
                await link.open()
            except PortUnavailable:
                link.close()
                await asyncio.sleep(0.02)


class Stalls:
    """When the loop, and with it every slave, last stood still for as long as a device is waited for.

    On a busy machine an answer then leaves after time-out and settling, which without transaction ids nobody can
    tell from the next one (docs/benchmarks.md counts such answers apart).
    """

    def __init__(self) -> None:
        self.ended_s = 0.0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before_s = loop.time()
            await asyncio.sleep(0.001)
            if loop.time() - before_s > SETTLE_S:
                self.ended_s = loop.time()


async def ask_until(
    link: Link, fuzz: Fuzz, is_enough: Callable[[], bool], stalls: Stalls
) -> tuple[int, int]:
    """Ask as the bus does; return how many answers were right and how many were refused as broken."""
    loop = asyncio.get_running_loop()
    right = broken = turn = 0
    asked_s = before_s = loop.time()
    while not is_enough():
        before_s, asked_s = asked_s, loop.time()
        unit, request = ASKED[turn % len(ASKED)]
        turn += 1
        try:
            if not link.is_open:
                await link.open()
            if (sounding := link.sounding(unit, request)) is not None:
                await link.read(unit, sounding, source="d", timeout_s=TIMEOUT_S)
            reply = await link.read(unit, request, source="d", timeout_s=TIMEOUT_S)
        except PortUnavailable:
            link.close()
        except DriverError as error:
            broken += isinstance(error, BadReply)
            if fuzz.is_rtu_over_tcp:  # the bus does so too: drivers.modbus.bus
                link.close()
        else:
            said, true = [int(each) for each in reply.words], truth(unit, request)
            right += said == true
            if said != true and isinstance(fuzz.slave.port, SerialPort):
                # the true answer to the question before, of the same shape, that a stall made late: nothing else
                assert said == truth(*ASKED[(turn - 2) % len(ASKED)]), (said, true)
                await asyncio.sleep(SETTLE_S)  # a stall of this moment is noted meanwhile
                assert stalls.ended_s > before_s, (said, true)
            else:
                assert said == true
    return right, broken


@pytest.mark.parametrize("wire", WIRES)
async def test_of_thousands_of_broken_replies_none_is_believed(wire: str) -> None:
    async with AsyncExitStack() as stack:
        pairs: list[tuple[Link, Fuzz]] = []
        for seed in range(LINKS):
            slave = await stack.enter_async_context(slave_on(wire))
            fuzz = Fuzz(slave, seed=seed, share=0.8)
            slave.misbehave = fuzz.misbehave
            link = Link("bus", slave.port, SystemClock(), settle_s=SETTLE_S, on_lost=lambda: None)
            stack.callback(link.abandon)
            pairs.append((link, fuzz))
        stalls = Stalls()
        async with asyncio.timeout(30), asyncio.TaskGroup() as watching:
            watch = watching.create_task(stalls.watch(), name="stalls")
            async with asyncio.TaskGroup() as tasks:
                asking = [
                    tasks.create_task(
                        ask_until(
                            link,
                            fuzz,
                            lambda fuzz=fuzz: fuzz.sent >= REPLIES // LINKS,  # type: ignore[misc]
                            stalls,
                        ),
                        name=f"link {index}",
                    )
                    for index, (link, fuzz) in enumerate(pairs)
                ]
            watch.cancel()
        assert all(right > 10 and broken > 50 for right, broken in (t.result() for t in asking))
        assert {kind for _, fuzz in pairs for kind in fuzz.made} == set(KINDS)
        for link, fuzz in pairs:  # what was left over in any buffer does no harm
            fuzz.share = 0.0
            link.close()
            await reopen(link)
            for unit, request in ASKED:
                reply = await link.read(unit, request, source="d", timeout_s=2)
                assert [int(each) for each in reply.words] == truth(unit, request)


def devices() -> tuple[DeviceSpec, ...]:
    """Return devices of all functions and several lengths, that ask much."""
    coils = tuple(
        QuantitySpec(name=f"c{each}", area=Area.COIL, address=each, type=DataType.BOOL)
        for each in range(3, 23)
    )
    return (
        device(1, registers(3, step=40), max_gap=0),
        device(2, (*registers(30, start=5), *registers(1, start=300))),
        device(3, coils),
        device(17, registers(2, start=500, area=Area.INPUT)),
    )


@pytest.mark.parametrize("wire", WIRES)
async def test_a_bus_fed_with_broken_replies_tells_no_wrong_value_and_recovers(wire: str) -> None:
    heard = Heard()
    async with slave_on(wire) as slave:
        fuzz = Fuzz(slave, seed=99, share=0.3)
        slave.misbehave = fuzz.misbehave
        spec = bus_spec(slave, *devices(), timeout_s=0.02, settle_s=0.01, retries=3)
        async with running(spec, heard):
            await heard.until(lambda: fuzz.sent >= 40, within_s=10)
            fuzz.share = 0.0
            start = len(heard.readings)
            await heard.until(lambda: all_good_since(heard, start), within_s=10)
    assert not wrong_values(heard, *devices())


def all_good_since(heard: Heard, start: int) -> bool:
    good = {each.point for each in heard.readings[start:] if each.quality is Quality.GOOD}
    return all(one.point(q.name) in good for one in devices() for q in one.quantities)
