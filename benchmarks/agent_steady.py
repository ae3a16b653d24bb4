"""Steady work: 200 points in 20 Modbus TCP units once a second, beside the obvious design.

`python -m benchmarks.agent_steady [--seconds 60] [--runs 3] [--shared]`. Simulator, broker and
subscriber run on one core, what is measured on the other.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agent.simulate.broker import run_broker
from agent.simulate.subscriber import Subscriber
from benchmarks.agent_plant import Ear, Plant, PlantSize, Tally, site_text
from benchmarks.agent_process import agent_words, cores, folder_bytes, obvious_words, started, use
from benchmarks.figures import print_table, quantile, spread

SETTLE_S = 5.0
"""Left out at the start: imports, first connection, first full minute of states."""
TAIL_S = 2.0
"""Waited after the window for what is on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """One run."""

    delivered_per_s: float
    lost: int
    doubled: int
    wrong: int
    cpu_percent: float
    others_percent: float
    wakeups_per_s: float
    rss_mb: float
    written_bytes: int
    data_bytes: int
    p50_ms: float
    p99_ms: float
    messages_per_s: float
    wire_bytes_per_reading: float
    first_s: float


async def measure(who: str, size: PlantSize, seconds: float, folder: Path) -> Steady:
    """Run one of `agent` and `obvious` for `seconds` after settling."""
    loop = asyncio.get_running_loop()
    harness_core, measured_core = cores()
    os.sched_setaffinity(0, {harness_core})
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker())
        plant = await stack.enter_async_context(Plant(size))
        tally = Tally(plant)
        ear = Ear(tally)
        await stack.enter_async_context(
            Subscriber(broker.host, broker.port, ["plantroom/v1/#", "obvious/#"], ear.take, "ear")
        )
        data = folder / "data"
        if who == "agent":
            text = site_text(size, modbus_ports=plant.ports, broker_port=broker.port)
            (folder / "site.yaml").write_text(text, "utf-8")
            words = agent_words(folder)
        else:
            data.mkdir()
            words = obvious_words(plant, broker.port, data / "db.json")
        process = await stack.enter_async_context(
            started(words, folder / "log", core=measured_core)
        )
        await process.until(ear.first_heard)
        await asyncio.sleep(SETTLE_S)
        before, data_before = process.sample(), folder_bytes(data)
        messages, wire_bytes, readings = ear.messages, ear.telemetry_bytes, tally.readings
        begin_s = loop.time()
        tally.is_timing = True
        await asyncio.sleep(seconds)
        tally.is_timing = False
        end_s = loop.time()
        after, data_after = process.sample(), folder_bytes(data)
        heard = tally.readings - readings
        messages, wire_bytes = ear.messages - messages, ear.telemetry_bytes - wire_bytes
        _, rss_mb = process.rss_mb()
        await asyncio.sleep(TAIL_S)
        used = use(before, after)
        verdict = tally.verdict(begin_s, end_s)
        assert tally.first_s is not None
        return Steady(
            delivered_per_s=heard / used.seconds,
            lost=verdict.lost,
            doubled=verdict.doubled,
            wrong=verdict.wrong,
            cpu_percent=used.cpu_percent,
            others_percent=used.others_percent,
            wakeups_per_s=used.wakeups_per_s,
            rss_mb=rss_mb,
            written_bytes=used.written_bytes,
            data_bytes=data_after - data_before,
            p50_ms=1000 * quantile(tally.latencies_s, 0.50),
            p99_ms=1000 * quantile(tally.latencies_s, 0.99),
            messages_per_s=messages / used.seconds,
            wire_bytes_per_reading=wire_bytes / max(1, heard),
            first_s=tally.first_s - process.started_s,
        )


def row(name: str, runs: Sequence[Steady]) -> list[str]:
    """Return a table row."""
    return [
        name,
        spread([each.delivered_per_s for each in runs], 0),
        f"{sum(each.lost for each in runs)} / {sum(each.doubled for each in runs)}"
        f" / {sum(each.wrong for each in runs)}",
        spread([each.cpu_percent for each in runs], 2),
        spread([each.others_percent for each in runs], 0),
        spread([each.wakeups_per_s for each in runs], 0),
        spread([each.rss_mb for each in runs], 0),
        spread([each.written_bytes for each in runs], 0),
        spread([each.data_bytes for each in runs], 0),
        spread([each.p50_ms for each in runs], 1),
        spread([each.p99_ms for each in runs], 1),
        spread([each.messages_per_s for each in runs], 0),
        spread([each.wire_bytes_per_reading for each in runs], 0),
        spread([each.first_s for each in runs], 2),
    ]


HEAD = (
    "", "delivered /s", "lost / doubled / wrong", "CPU % of a core", "others on it %", "wake-ups /s", "peak RSS MB",
    "bytes written", "data folder grew", "p50 ms", "p99 ms", "messages /s", "B/reading on the wire",
    "start to first s",
)  # fmt: skip


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shared", action="store_true", help="one TCP connection for all units")
    parser.add_argument("--only", choices=("agent", "obvious"))
    options = parser.parse_args()
    size = PlantSize(shares_connection=options.shared)
    runs: dict[str, list[Steady]] = {}
    for _ in range(options.runs):
        for who in (options.only,) if options.only else ("agent", "obvious"):
            with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
                run = await measure(who, size, options.seconds, Path(folder))
            runs.setdefault(who, []).append(run)
            print(f"<!-- {who} {run} -->", flush=True)
    print_table(HEAD, (row(who, each) for who, each in runs.items()))


if __name__ == "__main__":
    asyncio.run(main())
