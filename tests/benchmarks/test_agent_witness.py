"""The judge of the whole-agent benchmarks must find what is lost, doubled or wrong, and time the rest."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest

from agent.simulate.proxy import Direction
from agent.simulate.subscriber import Heard, PacketKind, packet, text
from benchmarks.agent_latency import delays_ms
from benchmarks.agent_plant import Ear, Plant, PlantSize, Tally
from benchmarks.agent_tap import Tap
from benchmarks.figures import quantile, spread

SIZE = PlantSize(units=2, registers=3)


async def ask(plant: Plant, unit: int) -> tuple[int, ...]:
    """Read all registers of a unit once, by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plant.ports[unit - 1])
    try:
        writer.write(struct.pack(">HHHBBHH", 7, 0, 6, unit, 3, 0, SIZE.registers))
        async with asyncio.timeout(5):
            answer = await reader.readexactly(9 + 2 * SIZE.registers)
    finally:
        writer.close()
        await writer.wait_closed()
    return struct.unpack(f">{SIZE.registers}H", answer[9:])


def batch(words: dict[str, int], *, quality: str = "good") -> Heard:
    readings = [
        {"point": point, "value": word, "quality": quality} for point, word in words.items()
    ]
    body = json.dumps({"replay": False, "readings": readings})
    return Heard("plantroom/v1/bench/box-1/tele/batch", body.encode(), False, False)


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_arrives_once_and_whole_is_clean_and_timed(is_shared: bool) -> None:
    async with Plant(PlantSize(units=2, registers=3, shares_connection=is_shared)) as plant:
        tally = Tally(plant)
        tally.is_timing = True
        ear = Ear(tally)
        for _ in range(3):
            words = {
                f"u{unit:02}.r{place:02}": word
                for unit in (1, 2)
                for place, word in enumerate(await ask(plant, unit))
            }
            ear.take(batch(words))
        verdict = tally.verdict(0, asyncio.get_running_loop().time())
    assert (verdict.taken, verdict.lost, verdict.doubled, verdict.wrong) == (18, 0, 0, 0)
    assert len(tally.latencies_s) == 18
    assert all(0 <= each < 1 for each in tally.latencies_s)


async def test_what_is_missing_doubled_or_under_another_name_is_found() -> None:
    async with Plant(SIZE) as plant:
        tally = Tally(plant)
        ear = Ear(tally)
        first, _, third = await ask(plant, 1)
        await ask(plant, 2)
        ear.take(batch({"u01.r00": first}))
        ear.take(batch({"u01.r00": first}))
        ear.take(batch({"u01.r01": third}))
        ear.take(batch({"u01.r02": third}, quality="stale"))
        verdict = tally.verdict(0, asyncio.get_running_loop().time())
    assert (verdict.taken, verdict.lost, verdict.doubled, verdict.wrong) == (6, 5, 1, 1)


def publish(number: int, body: bytes) -> bytes:
    properties = b"\x02\x01\x01"
    return packet(
        PacketKind.PUBLISH, 2, text("a/event/b") + struct.pack(">H", number) + properties + body
    )


def puback(number: int) -> bytes:
    return packet(PacketKind.PUBACK, 0, struct.pack(">H", number))


def test_the_tap_tells_what_was_acknowledged_and_nothing_of_a_connection_that_broke() -> None:
    acked: list[bytes] = []
    tap = Tap(lambda heard: acked.append(heard.payload))
    connect = packet(PacketKind.CONNECT, 0, text("MQTT") + b"\x05\x02\x00\x14\x00" + text("box"))
    tap.record(Direction.UP, connect)
    tap.record(Direction.UP, publish(1, b'{"n": 1}') + publish(2, b'{"n": 2}'))
    tap.record(Direction.DOWN, puback(2))
    tap.record(Direction.UP, publish(3, b'{"n": 3}')[:7])
    tap.record(Direction.UP, connect)
    tap.record(Direction.UP, publish(1, b'{"n": 4}'))
    tap.record(Direction.DOWN, puback(3) + puback(1))
    assert acked == [b'{"n": 2}', b'{"n": 4}']


def test_an_effect_counts_for_the_last_cause_before_it_only() -> None:
    assert delays_ms([1.0, 2.0, 3.0], [1.004, 1.5, 3.25]) == pytest.approx([4.0, 250.0])


def test_figures_are_nearest_rank_and_medians() -> None:
    assert quantile([float(each) for each in range(100)], 0.99) == 99.0
    assert quantile([5.0], 0.5) == 5.0
    assert spread([3.0, 1.0, 2.0]) == "2.0 [1.0 .. 3.0]"
