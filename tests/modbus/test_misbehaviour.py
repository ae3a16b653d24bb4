"""Slaves that break the protocol: no value of another register is ever called good."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from drivers.modbus.spec import PollClass
from drivers.reading import Quality
from tests.modbus.harness import (
    Asked,
    Heard,
    Misbehaviour,
    Send,
    Slave,
    bus_spec,
    device,
    mbap,
    pty_slave,
    registers,
    rtu,
    running,
    tcp_slave,
    wrong_values,
)

WIRES = ["tcp", "rtu over tcp", "serial"]


@asynccontextmanager
async def slave_on(wire: str) -> AsyncIterator[Slave]:
    if wire == "serial":
        async with pty_slave() as slave:
            yield slave
    else:
        async with tcp_slave(is_rtu=wire != "tcp") as slave:
            yield slave


def every_fourth(slave: Slave, wire: str, kind: str) -> Misbehaviour:
    """Return a way to break every fourth answer, by what is broken."""
    rng = random.Random(kind)
    last_pdu = b""
    turn = 0

    def framed(transaction: int, unit: int, pdu: bytes) -> bytes:
        return mbap(transaction, unit, pdu) if wire == "tcp" else rtu(unit, pdu)

    async def misbehave(asked: Asked, transaction: int, send: Send) -> bool:
        nonlocal last_pdu, turn
        pdu = slave.memory.reply(asked)
        before, last_pdu = last_pdu or pdu, pdu
        turn += 1
        if turn % 4:
            return False
        frame = framed(transaction, asked.unit, pdu)
        match kind:
            case "silent":
                pass
            case "late":
                await asyncio.sleep(0.08)
                send(frame)
            case "late, without transaction id":
                await asyncio.sleep(0.08)
                send(framed(0, asked.unit, pdu))
            case "answer to the question before":
                send(framed(max(0, transaction - 1), asked.unit, before))
            case "transaction 0":
                send(framed(0, asked.unit, before))
            case "other function":
                send(framed(transaction, asked.unit, bytes([asked.function ^ 7]) + before[1:]))
            case "other unit":
                send(framed(transaction, asked.unit + 1, before))
            case "fewer registers":
                send(framed(transaction, asked.unit, bytes([pdu[0], 2]) + pdu[2:4]))
            case "half a frame":
                send(frame[: len(frame) // 2])
            case "noise":
                send(rng.randbytes(9))
            case "noise, then the answer":
                send((b"" if wire == "tcp" else b"\xff\0\0") + frame)
            case "flipped bit":
                broken = bytearray(frame)
                at = rng.randrange(0, 8 * (7 if wire == "tcp" else len(frame)))
                broken[at // 8] ^= 1 << (at % 8)
                send(bytes(broken))
            case "in two parts":
                send(frame[:5])
                await asyncio.sleep(0.03)
                send(frame[5:])
            case _:
                raise AssertionError(kind)
        return True

    return misbehave


def goods(heard: Heard) -> int:
    return sum(each.quality is Quality.GOOD and ".r" in each.point for each in heard.readings)


KINDS = [
    "silent", "late", "late, without transaction id", "other function", "other unit",
    "fewer registers", "half a frame", "noise", "noise, then the answer", "flipped bit", "in two parts",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_no_wrong_value_is_called_good(kind: str) -> None:
    async with asyncio.TaskGroup() as tasks:  # most of it is waiting
        for wire in WIRES:
            tasks.create_task(_believe_nothing_wrong(wire, kind), name=wire)


async def _believe_nothing_wrong(wire: str, kind: str) -> None:
    heard = Heard()
    one = device(1, registers(4, step=20), max_gap=0)
    two = device(2, registers(3, start=7, step=30), max_gap=0)
    async with slave_on(wire) as slave:
        slave.misbehave = every_fourth(slave, wire, kind)
        spec = bus_spec(slave, one, two, timeout_s=0.04, settle_s=0.08)
        async with running(spec, heard):
            await heard.until(lambda: goods(heard) >= 12, within_s=10)
    assert len(slave.memory.asked) >= 12
    assert not wrong_values(heard, one, two)


@pytest.mark.parametrize("kind", ["answer to the question before", "transaction 0"])
async def test_a_gateway_that_mixes_up_answers_is_not_believed(kind: str) -> None:
    heard = Heard()
    one = device(1, registers(4, step=20), max_gap=0)
    async with tcp_slave() as slave:
        slave.misbehave = every_fourth(slave, "tcp", kind)
        async with running(bus_spec(slave, one, timeout_s=0.05, settle_s=0.02), heard) as bus:
            await heard.until(lambda: bus.stats().devices[0].failures.get("bad reply", 0) >= 5)
    assert goods(heard) > 5
    assert not wrong_values(heard, one)


async def test_what_is_wrong_with_an_answer_is_counted_and_the_point_is_bad() -> None:
    heard = Heard()
    one = device(1, registers(1))

    async with tcp_slave() as slave:

        async def other_unit(asked: Asked, transaction: int, send: Send) -> bool:
            send(mbap(transaction, 9, slave.memory.reply(asked)))
            return True

        slave.misbehave = other_unit
        async with running(bus_spec(slave, one, timeout_s=0.05, settle_s=0.02), heard) as bus:
            await heard.until(lambda: heard.value("d1.online") is False)
            stats = bus.stats().devices[0]
    assert stats.failures["bad reply"] >= 3
    assert heard.reason("d1.r0") == "bad reply"
    assert not any(each.quality is Quality.GOOD for each in heard.of("d1.r0"))


async def test_a_connection_that_breaks_fails_its_request_at_once() -> None:
    heard = Heard()
    one = device(1, registers(1))
    async with tcp_slave() as slave:

        async def hang_up(_asked: Asked, _transaction: int, _send: Send) -> bool:
            slave.drop()
            return True

        spec = bus_spec(slave, one, timeout_s=5.0)
        async with running(spec, heard):
            await heard.until(lambda: heard.value("d1.online") is True)
            slave.misbehave = hang_up
            await heard.until(lambda: heard.value("bus.online") is False, within_s=2)
            assert heard.reason("d1.r0") == "port"
            assert heard.value("d1.online") is False


async def test_a_slave_that_answers_every_other_poll_class_stays_right_under_load() -> None:
    heard = Heard()
    fast = registers(2, step=50, poll_class=PollClass.FIRE)
    slow = registers(3, start=10, step=50)
    one = device(1, (*fast, *slow), max_gap=0)
    async with pty_slave() as slave:
        slave.memory.delay_s = 0.02
        async with running(bus_spec(slave, one), heard) as bus:
            await heard.until(
                lambda: all(len(heard.of(f"d1.r{each.address}")) > 3 for each in (*fast, *slow)),
                within_s=20,
            )
            assert bus.stats().late_polls > 0
    assert len(heard.of("d1.r0")) > len(heard.of("d1.r10"))
    assert not wrong_values(heard, one)
