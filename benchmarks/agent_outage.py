"""The four failures of which no measured peer survives all: broker away, link mute, kill -9, kill -9 again.

`python -m benchmarks.agent_outage [--away 40] [--write-through]`. 200 readings a second all the while;
the cases run side by side. Readings are counted where loss is defined: at the PUBACK of the real
broker where the broker itself is stopped (it forgets its subscribers), at a subscriber otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from agent.simulate.broker import Broker, run_broker
from agent.simulate.proxy import LinkState, TcpProxy
from agent.simulate.subscriber import Heard, Subscriber
from agent.uplink.completeness import Ledger
from agent.uplink.decode import BatchSeen, EventSeen, decode
from agent.uplink.topics import take_apart
from benchmarks.agent_plant import ROOT, Ear, Plant, PlantSize, Tally, site_text
from benchmarks.agent_process import Measured, agent_words, started
from benchmarks.agent_tap import Tap
from benchmarks.figures import print_table

STEADY_S = 8.0
"""Before the outage."""
AFTER_S = 20.0
"""Waited after the return for what is late, before anything counts as lost."""
KILL_AFTER_S, PAUSE_S, KILL_AGAIN_AFTER_S = 15.0, 1.0, 15.0
"""As the peers were killed: 15 s into the outage, started again 1 s later."""


@dataclass(slots=True)
class Stage:
    """One agent with its own broker, link and plant."""

    stack: AsyncExitStack
    broker: Broker
    link: TcpProxy
    plant: Plant
    folder: Path
    heard: asyncio.Event
    processes: list[Measured] = field(default_factory=list)

    async def start_agent(self) -> None:
        """Start it, on what an earlier one left."""
        words = agent_words(self.folder)
        process = await self.stack.enter_async_context(started(words, self.folder / "log"))
        self.processes.append(process)


Case = Callable[[Stage, float], Awaitable[list[float]]]
"""Plays a failure of some seconds; returns the loop times at which phases of the outage begin, the
last being the return of the link."""


async def broker_stopped(stage: Stage, away_s: float) -> list[float]:
    """Stop the broker, start it again."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    await stage.broker.stop()
    await asyncio.sleep(away_s)
    back_s = loop.time()
    await stage.broker.start()
    return [begin_s, back_s]


async def link_mute(stage: Stage, away_s: float) -> list[float]:
    """Nothing comes through and nobody is told; then what is open is reset."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    await stage.link.set_state(LinkState.MUTE)
    await asyncio.sleep(away_s)
    stage.link.reset_connections()
    back_s = loop.time()
    await stage.link.set_state(LinkState.PASS)
    return [begin_s, back_s]


async def killed(stage: Stage, away_s: float) -> list[float]:
    """Kill the agent while the broker is away, start it again."""
    return await _killed(stage, away_s, [KILL_AFTER_S])


async def killed_twice(stage: Stage, away_s: float) -> list[float]:
    """... and once more before the broker is back."""
    return await _killed(stage, away_s, [KILL_AFTER_S, KILL_AGAIN_AFTER_S])


async def _killed(stage: Stage, away_s: float, lives_s: list[float]) -> list[float]:
    loop = asyncio.get_running_loop()
    phases_s = [loop.time()]
    await stage.link.set_state(LinkState.CUT)
    for life_s in lives_s:
        await asyncio.sleep(life_s)
        phases_s.append(loop.time())
        await stage.processes[-1].kill()
        await asyncio.sleep(PAUSE_S)
        await stage.start_agent()
    await asyncio.sleep(max(2.0, away_s - (loop.time() - phases_s[0])))
    phases_s.append(loop.time())
    await stage.link.set_state(LinkState.PASS)
    return phases_s


CASES: dict[str, Case] = {
    "broker stopped": broker_stopped,
    "link mute, then reset": link_mute,
    "kill -9 in the outage": killed,
    "kill -9 twice in the outage": killed_twice,
}

HEAD = (
    "", "taken in the outage", "lost", "lost by phase", "batches missing / declared lost",
    "readings doubled", "wrong", "first live state s", "backlog in s", "replayed", "replayed /s",
)  # fmt: skip


async def measure(name: str, away_s: float, commit_interval_s: float, folder: Path) -> list[str]:
    """Return the table row of one case."""
    loop = asyncio.get_running_loop()
    size = PlantSize()
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker())
        plant = await stack.enter_async_context(Plant(size))
        tally = Tally(plant)
        ear = Ear(tally)

        def take(heard: Heard) -> None:
            ear.take(heard)
            seen = decode(take_apart(ROOT, heard.topic), heard.payload) if heard.payload else None
            if isinstance(seen, BatchSeen | EventSeen):
                ledger.hear(seen)

        is_tapped = name == "broker stopped"
        tap = Tap(take)
        link = await stack.enter_async_context(
            TcpProxy(broker.host, broker.port, record=tap.record if is_tapped else None)
        )
        if not is_tapped:
            await stack.enter_async_context(
                Subscriber(broker.host, broker.port, [f"{ROOT}/#"], take, "ear")
            )
        text = site_text(
            size,
            modbus_ports=plant.ports,
            broker_port=link.port,
            commit_interval_s=commit_interval_s,
        )
        (folder / "site.yaml").write_text(text, "utf-8")
        stage = Stage(stack, broker, link, plant, folder, ear.first_heard)
        await stage.start_agent()
        await stage.processes[-1].until(stage.heard)
        await asyncio.sleep(STEADY_S)
        phases_s = await CASES[name](stage, away_s)
        await asyncio.sleep(AFTER_S)
        end_s = loop.time() - 2.0
        back_s = phases_s[-1]
        whole = tally.verdict(phases_s[0], back_s)
        bounds_s = [back_s - away_s - STEADY_S, *phases_s, end_s]
        parts = [tally.verdict(begin_s, stop_s).lost for begin_s, stop_s in pairwise(bounds_s)]
        state_s = min((each for each in ear.live_state_s if each >= back_s), default=float("nan"))
        replayed = [(at_s, count) for at_s, count in ear.replayed if at_s >= back_s]
        count = sum(each for _, each in replayed)
        times_s = [at_s for at_s, _ in replayed] or [float("nan")]
        took_s = max(times_s) - min(times_s)
        proofs = ledger.proofs()
        missing = sum(len(span) for each in proofs for span in each.missing)
        declared = sum(len(span) for each in proofs for span in each.declared)
        return [
            name,
            f"{whole.taken}",
            f"{whole.lost}",
            " + ".join(map(str, parts)),
            f"{missing} / {declared}",
            f"{whole.doubled}",
            f"{whole.wrong}",
            f"{state_s - back_s:.2f}",
            f"{max(times_s) - back_s:.2f}",
            f"{count}",
            f"{count / took_s:.0f}" if took_s > 0 else "-",
        ]


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--away", type=float, default=40.0)
    parser.add_argument("--write-through", action="store_true", help="commit_interval_s: 0")
    parser.add_argument("--only", choices=tuple(CASES))
    options = parser.parse_args()
    interval_s = 0.0 if options.write_through else 5.0
    rows: dict[str, list[str]] = {}

    async def run(name: str) -> None:
        with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
            rows[name] = await measure(name, options.away, interval_s, Path(folder))

    names = [options.only] if options.only else list(CASES)
    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(run(name), name=name)
    print_table(HEAD, (rows[name] for name in names))


if __name__ == "__main__":
    asyncio.run(main())
