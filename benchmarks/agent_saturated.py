"""How many readings a second one core carries: blocks of 100 registers, rules and outbox on.

`python -m benchmarks.agent_saturated [--rates 20000,40000,50000,60000] [--seconds 10]`. The offered
rate is set by the poll period of 20 units with 100 registers each, every reading published. The agent
is pinned to one core; simulator, broker and subscriber share the other. A rate is carried when the
units are polled in time (within 4 %), nothing is lost and latency does not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from agent.simulate.broker import run_broker
from agent.simulate.subscriber import Subscriber
from benchmarks.agent_plant import Ear, Plant, PlantSize, Tally, site_text
from benchmarks.agent_process import agent_words, cores, started, use
from benchmarks.figures import print_table, quantile

UNITS, REGISTERS = 20, 100
RULES_PER_UNIT = 10
"""One reading in ten is looked at by a rule of the site, besides the fault rule of every point."""
SETTLE_S = 2.0
QUIET_S, TAIL_S = 8.0, 60.0
"""Afterwards the units fall silent, and what is kept may come in until nothing has for 8 s."""

HEAD = (
    "offered /s", "taken from the units /s", "delivered /s", "caught up after s", "lost", "wrong", "CPU %",
    "harness CPU %", "RSS MB", "p50 ms first half", "p50 ms second half", "p99 ms",
    "bytes written",
)  # fmt: skip


async def measure(rate: float, seconds: float, folder: Path) -> list[str]:
    """Return a table row for one offered rate."""
    loop = asyncio.get_running_loop()
    harness_core, measured_core = cores()
    os.sched_setaffinity(0, {harness_core})
    size = PlantSize(units=UNITS, registers=REGISTERS, period_s=UNITS * REGISTERS / rate)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker())
        plant = await stack.enter_async_context(Plant(size))
        tally = Tally(plant)
        ear = Ear(tally)
        await stack.enter_async_context(
            Subscriber(broker.host, broker.port, ["plantroom/v1/+/+/tele/#"], ear.take, "ear")
        )
        text = site_text(
            size,
            modbus_ports=plant.ports,
            broker_port=broker.port,
            rules_per_unit=RULES_PER_UNIT,
        )
        (folder / "site.yaml").write_text(text, "utf-8")
        process = await stack.enter_async_context(
            started(agent_words(folder), folder / "log", core=measured_core)
        )
        await process.until(ear.first_heard)
        await asyncio.sleep(SETTLE_S)
        before, readings, begin_s = process.sample(), tally.readings, loop.time()
        harness_before_s = sum(os.times()[:2])
        tally.is_timing = True
        await asyncio.sleep(seconds / 2)
        half = len(tally.latencies_s)
        await asyncio.sleep(seconds / 2)
        tally.is_timing = False
        harness_s = sum(os.times()[:2]) - harness_before_s
        after, heard, end_s = process.sample(), tally.readings - readings, loop.time()
        used, (rss_mb, _) = use(before, after), process.rss_mb()
        await plant.fall_silent()
        caught_up_s = await until_quiet(tally) - end_s
        verdict = tally.verdict(begin_s, end_s)
        late = tally.latencies_s
        return [
            f"{rate:.0f}",
            f"{verdict.taken / used.seconds:.0f}",
            f"{heard / used.seconds:.0f}",
            f"{max(0.0, caught_up_s):.1f}",
            f"{verdict.lost}",
            f"{verdict.wrong}",
            f"{used.cpu_percent:.0f}",
            f"{100 * harness_s / used.seconds:.0f}",
            f"{rss_mb:.0f}",
            f"{1000 * quantile(late[:half], 0.5):.1f}",
            f"{1000 * quantile(late[half:], 0.5):.1f}",
            f"{1000 * quantile(late, 0.99):.1f}",
            f"{used.written_bytes}",
        ]


async def until_quiet(tally: Tally) -> float:
    """Wait until nothing more comes in; return the loop time of the last reading."""
    loop = asyncio.get_running_loop()
    heard, last_s, end_s = tally.readings, loop.time(), loop.time() + TAIL_S
    while loop.time() < min(last_s + QUIET_S, end_s):
        await asyncio.sleep(0.1)
        if tally.readings != heard:
            heard, last_s = tally.readings, loop.time()
    return last_s


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rates", default="20000,40000,50000,60000")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    rows = []
    for rate in options.rates.split(","):
        with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
            rows.append(await measure(float(rate), options.seconds, Path(folder)))
    print_table(HEAD, rows)


if __name__ == "__main__":
    asyncio.run(main())
