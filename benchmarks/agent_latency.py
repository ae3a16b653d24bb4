"""How long a contact takes to the relay and to the broker, with 200 points polling; and a start.

`python -m benchmarks.agent_latency [--moves 400] [--starts 5]`. Mock pins, debounce 0, a rule
without delay. The broker's PUBACK is seen by a proxy on its way back, so the proxy's own time is in
the figure. `durable` is what the event itself says: it was on disk before it was published. Runs take turns with
the same on a card that takes two writes a second: the relay may not notice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agent.simulate.broker import Broker, run_broker
from agent.simulate.proxy import TcpProxy
from agent.simulate.subscriber import Heard, Subscriber
from benchmarks.agent_plant import RELAY_PIN, SMOKE_PIN, Ear, Plant, PlantSize, Tally, site_text
from benchmarks.agent_process import agent_words, cores, started
from benchmarks.agent_tap import Tap
from benchmarks.figures import print_table, quantile, spread

SETTLE_S = 3.0
PAUSE_S = (0.06, 0.16)
"""Between two moves, at random, so that they meet the polls at every phase."""
_ANSWER_S = 5.0
_START_S = 30.0
"""Longer than a start takes on a busy machine or a stalled disk."""


class Door:
    """The agent's pin door."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Door:
        async with asyncio.timeout(_START_S):
            while True:
                try:
                    self._streams = await asyncio.open_unix_connection(self._path)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    return self

    async def __aexit__(self, *_: object) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def drive(self, pin: int, high: bool) -> None:
        """Move an input."""
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(f"drive {pin} {int(high)}\n".encode())
        async with asyncio.timeout(_ANSWER_S):
            answer = await reader.readline()
        assert answer == b"ok\n", answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One run, milliseconds."""

    to_relay_ms: list[float]
    to_puback_ms: list[float]
    moves: int
    not_durable: int


async def measure_moves(
    size: PlantSize, moves: int, folder: Path, *, is_stalled: bool = False
) -> Latency:
    """Move the contact and match what follows."""
    harness_core, measured_core = cores()
    os.sched_setaffinity(0, {harness_core})
    acked: list[tuple[float, dict[str, object]]] = []

    def hear(heard: Heard) -> None:
        if "/event/" in heard.topic:
            acked.append((asyncio.get_running_loop().time(), json.loads(heard.payload)))

    notes_path = folder / "notes"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker())
        proxy = await stack.enter_async_context(
            TcpProxy(broker.host, broker.port, record=Tap(hear).record)
        )
        plant = await stack.enter_async_context(Plant(size))
        text = site_text(size, modbus_ports=plant.ports, broker_port=proxy.port)
        (folder / "site.yaml").write_text(text, "utf-8")
        stalled = ("--stalled",) if is_stalled else ()
        entry = ("-m", "benchmarks.agent_timed", *stalled, str(notes_path))
        words = agent_words(folder, entry=entry)
        await stack.enter_async_context(started(words, folder / "log", core=measured_core))
        door = await stack.enter_async_context(Door(folder / "pins"))
        await door.drive(SMOKE_PIN, True)
        await asyncio.sleep(SETTLE_S)
        for number in range(moves):
            await door.drive(SMOKE_PIN, number % 2 == 1)  # pulled up, normally open: low is active
            await asyncio.sleep(random.uniform(*PAUSE_S))
        await asyncio.sleep(0.5)
    inputs: list[float] = []
    outputs: list[float] = []
    for line in notes_path.read_text("utf-8").splitlines():
        word, pin, _, at = line.split()
        if word == "in":
            inputs.append(float(at))
        elif int(pin) == RELAY_PIN:
            outputs.append(float(at))
    inputs = inputs[-moves:]
    of_rule = [
        (at_s, event)
        for at_s, event in acked
        if event["kind"] == "alarm" and event["rule"] == "door"
    ]
    return Latency(
        to_relay_ms=delays_ms(inputs, outputs),
        to_puback_ms=delays_ms(inputs, [at_s for at_s, _ in of_rule]),
        moves=moves,
        not_durable=sum(not event["durable"] for _, event in of_rule),
    )


def delays_ms(causes_s: list[float], effects_s: list[float]) -> list[float]:
    """Return the time from each cause to the first effect behind it and before the next cause."""
    delays: list[float] = []
    ends_s = [*causes_s[1:], float("inf")]
    for cause_s, end_s in zip(causes_s, ends_s, strict=True):
        found = [each for each in effects_s if cause_s <= each < end_s]
        if found:
            delays.append(1000 * (min(found) - cause_s))
    return delays


async def measure_start(size: PlantSize, folder: Path) -> float:
    """Return the seconds from starting the process to the first reading at a subscriber."""
    harness_core, measured_core = cores()
    os.sched_setaffinity(0, {harness_core})
    async with AsyncExitStack() as stack:
        broker: Broker = await stack.enter_async_context(run_broker())
        plant = await stack.enter_async_context(Plant(size))
        tally = Tally(plant)
        ear = Ear(tally)
        await stack.enter_async_context(
            Subscriber(broker.host, broker.port, ["plantroom/v1/#"], ear.take, "ear")
        )
        text = site_text(size, modbus_ports=plant.ports, broker_port=broker.port)
        (folder / "site.yaml").write_text(text, "utf-8")
        process = await stack.enter_async_context(
            started(agent_words(folder), folder / "log", core=measured_core)
        )
        await process.until(ear.first_heard)
        assert tally.first_s is not None
        return tally.first_s - process.started_s


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--moves", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    size = PlantSize()
    runs: list[Latency] = []
    stalled: list[Latency] = []
    for _ in range(options.runs):
        for is_stalled, found in ((False, runs), (True, stalled)):
            with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
                found.append(
                    await measure_moves(size, options.moves, Path(folder), is_stalled=is_stalled)
                )
    starts: list[float] = []
    for _ in range(options.starts):
        with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
            starts.append(await measure_start(size, Path(folder)))
    head = ("", "n", "p50 ms", "p99 ms", "most ms")
    rows = []
    for name, of_runs in (
        ("contact to relay", [each.to_relay_ms for each in runs]),
        ("the same, disk at 2 writes a second", [each.to_relay_ms for each in stalled]),
        ("contact to PUBACK", [each.to_puback_ms for each in runs]),
    ):
        rows.append(
            [
                name,
                f"{sum(map(len, of_runs))} of {sum(each.moves for each in runs)}",
                spread([quantile(each, 0.5) for each in of_runs], 2),
                spread([quantile(each, 0.99) for each in of_runs], 1),
                spread([max(each, default=float("nan")) for each in of_runs], 1),
            ]
        )
    print_table(head, rows)
    print(f"\nEvents published before they were on disk: {sum(each.not_durable for each in runs)}")
    if starts:
        print(f"\nStart to first delivered reading: {spread(starts, 2)} s")


if __name__ == "__main__":
    asyncio.run(main())
