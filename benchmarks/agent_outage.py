"""The four failures of which no measured peer survives all: broker away, link mute, kill -9, kill -9 again.

`python -m benchmarks.agent_outage [--away 40] [--only NAME]`. 200 readings a second and a contact that never
rests, all the while; the cases run side by side, all of them with the default and then all with
`commit_interval_s: 0`. Readings are counted at a subscriber whose session the broker keeps; what counted as
accepted is written down outside as each sync returns (benchmarks.outbox_told). Returns 1 when a mark is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
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
from benchmarks.agent_plant import BOX, ROOT, Ear, Plant, PlantSize, Tally, site_text
from benchmarks.agent_process import Measured, agent_words, started
from benchmarks.event_log import Known, Place, disagreements, journal_of
from benchmarks.figures import print_table
from benchmarks.outbox_kills import never_rest, noted, until
from benchmarks.outbox_writes import Accepted
from drivers.tasks import TaskGroup

FIRST_STATE_S, DRAINED_S = 2.0, 2.0
"""To reach: after the return of the broker, and after that (docs/design.md section 10)."""
WRITE_THROUGH_S = 0.5
"""What a kill may take of readings on their way to the disk when nothing waits for a commit interval: the open
batch, looked at each quarter of a second (agent.outbox.keeper.TICK_S), and its write."""
LONG_S = 60.0
"""Longer than a return takes on a busy machine."""
LATE_S = 1.0
"""The same beside a commit interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long things take, seconds; the defaults are those the peers were measured with."""

    steady_s: float = 8.0
    """Before the outage."""
    away_s: float = 40.0
    kill_after_s: float = 15.0
    """Into the outage, and again into the life after."""
    pause_s: float = 1.0
    """From a kill to the next start."""
    after_s: float = 20.0
    """Waited, once all that was accepted has come, for what is late, before anything counts as lost."""


@dataclass(slots=True)
class Stage:
    """One agent with its own broker, link and plant."""

    stack: AsyncExitStack
    tasks: TaskGroup
    broker: Broker
    link: TcpProxy
    plant: Plant
    folder: Path
    heard: asyncio.Event
    processes: list[Measured] = field(default_factory=list)

    @property
    def notes(self) -> Path:
        """Where it stands what was accepted."""
        return self.folder / "accepted"

    async def start_agent(self) -> None:
        """Start it, on what an earlier one left, and move its contact."""
        entry = ("-m", "benchmarks.outbox_told", str(self.notes))
        words = agent_words(self.folder, entry=entry)
        process = await self.stack.enter_async_context(started(words, self.folder / "log"))
        self.processes.append(process)
        self.tasks.create_task(never_rest(self.folder / "pins", 0.2), name="contact")


Case = Callable[[Stage, Times], Awaitable[list[float]]]
"""Plays a failure; returns the loop times at which phases of the outage begin, the last being the return of the
link."""


async def broker_stopped(stage: Stage, times: Times) -> list[float]:
    """Stop the broker, start it again."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    await stage.broker.stop()
    await asyncio.sleep(times.away_s)
    back_s = loop.time()
    await stage.broker.start()
    return [begin_s, back_s]


async def link_mute(stage: Stage, times: Times) -> list[float]:
    """Nothing comes through and nobody is told; then what is open is reset."""
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    await stage.link.set_state(LinkState.MUTE)
    await asyncio.sleep(times.away_s)
    stage.link.reset_connections()
    back_s = loop.time()
    await stage.link.set_state(LinkState.PASS)
    return [begin_s, back_s]


async def killed(stage: Stage, times: Times) -> list[float]:
    """Kill the agent while the broker is away, start it again."""
    return await _killed(stage, times, 1)


async def killed_twice(stage: Stage, times: Times) -> list[float]:
    """... and once more before the broker is back."""
    return await _killed(stage, times, 2)


async def _killed(stage: Stage, times: Times, kills: int) -> list[float]:
    loop = asyncio.get_running_loop()
    phases_s = [loop.time()]
    await stage.link.set_state(LinkState.CUT)
    for _ in range(kills):
        await asyncio.sleep(times.kill_after_s)
        phases_s.append(loop.time())
        await stage.processes[-1].kill()
        await asyncio.sleep(times.pause_s)
        await stage.start_agent()
    await asyncio.sleep(max(2.0, times.away_s - (loop.time() - phases_s[0])))
    phases_s.append(loop.time())
    await stage.link.set_state(LinkState.PASS)
    return phases_s


CASES: dict[str, Case] = {
    "broker stopped": broker_stopped,
    "link mute, then reset": link_mute,
    "kill -9 in the outage": killed,
    "kill -9 twice in the outage": killed_twice,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one case came to, counted at the subscriber."""

    name: str
    commit_interval_s: float
    readings_per_s: float
    burst: int
    """Readings of one poll of everything: on their way together."""
    taken: int
    """Readings that left the units in the outage."""
    lost_by_phase: tuple[int, ...]
    """Readings, before the outage, in each of its phases, and after it."""
    accepted: int
    """Events and batches whose sync had returned before the broker was back."""
    accepted_lost: int
    events: int
    missing: int
    """Numbers that never came and that nobody told of."""
    declared: int
    unlike_the_log: int
    """Events on which the consumer and the box's event log differ."""
    doubled: int
    """Readings."""
    records_twice: int
    wrong: int
    first_state_s: float
    """From the return of the broker."""
    drained_s: float
    """From there to the last of the backlog."""
    replayed: int
    replayed_per_s: float
    forgotten: int
    """Sessions of the subscriber that the broker did not keep: counts are worth nothing then."""

    @property
    def lost(self) -> int:
        """Readings lost in the outage."""
        return sum(self.lost_by_phase)

    @property
    def kills(self) -> int:
        """How often the agent was killed."""
        return len(self.lost_by_phase) - 3

    @property
    def is_kept(self) -> bool:
        """Whether no more was lost than the configuration says, and nothing without a record."""
        window_s = self.commit_interval_s + LATE_S if self.commit_interval_s else WRITE_THROUGH_S
        return (
            self.accepted_lost + self.missing + self.declared + self.wrong + self.forgotten == 0
            and not self.unlike_the_log
            and self.lost <= self.kills * (window_s * self.readings_per_s + self.burst)
        )

    @property
    def is_quick(self) -> bool:
        """Whether live states and the backlog were there in time."""
        return self.first_state_s <= FIRST_STATE_S and self.drained_s <= FIRST_STATE_S + DRAINED_S

    def row(self) -> list[str]:
        """Return it for people."""
        return [
            self.name,
            f"{self.taken:,}",
            " + ".join(map(str, self.lost_by_phase[1:-1])),
            f"{self.accepted:,}",
            f"{self.accepted_lost}",
            f"{self.events:,}",
            f"{self.missing} / {self.declared}",
            f"{self.unlike_the_log}",
            f"{self.doubled} / {self.records_twice}",
            f"{self.wrong}",
            f"{self.first_state_s:.2f}",
            f"{self.drained_s:.2f}",
            f"{self.replayed:,}",
            f"{self.replayed_per_s:,.0f}",
        ]


HEAD = (
    "", "taken in the outage", "lost by phase", "accepted", "of them lost", "events",
    "missing / given up", "unlike the event log", "readings / records twice", "wrong", "first live state s",
    "backlog in s", "replayed", "replayed /s",
)  # fmt: skip


async def measure(
    name: str, times: Times, commit_interval_s: float, folder: Path, size: PlantSize
) -> Outcome:
    """Play one case and count."""
    loop = asyncio.get_running_loop()
    ledger = Ledger()
    heard: set[Accepted] = set()
    events: dict[Place, Known] = {}
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker(keeps_sessions=True))
        plant = await stack.enter_async_context(Plant(size))
        tally = Tally(plant)
        ear = Ear(tally)

        def take(message: Heard) -> None:
            ear.take(message)
            if not message.payload:
                return
            seen = decode(take_apart(ROOT, message.topic), message.payload)
            if isinstance(seen, BatchSeen):
                heard.add(Accepted("telemetry", seen.batch.stream, seen.batch.seq))
                ledger.hear(seen)
            elif isinstance(seen, EventSeen):
                record = seen.record
                heard.add(Accepted("event", record.stream, record.seq))
                events[record.stream, record.seq] = Known(record.id, record.is_durable)
                ledger.hear(seen)

        link = await stack.enter_async_context(TcpProxy(broker.host, broker.port))
        witness = await stack.enter_async_context(
            Subscriber(broker.host, broker.port, [f"{ROOT}/#"], take, "ear")
        )
        text = site_text(
            size,
            modbus_ports=plant.ports,
            broker_port=link.port,
            commit_interval_s=commit_interval_s,
        )
        (folder / "site.yaml").write_text(text, "utf-8")
        tasks = await stack.enter_async_context(TaskGroup())
        stage = Stage(stack, tasks, broker, link, plant, folder, ear.first_heard)
        await stage.start_agent()
        await stage.processes[-1].until(stage.heard)
        await asyncio.sleep(times.steady_s)
        phases_s = await CASES[name](stage, times)
        accepted = noted(stage.notes)
        back_s = phases_s[-1]
        await until(
            lambda: accepted <= heard and any(each >= back_s for each in ear.live_state_s[-1:]),
            LONG_S,
        )
        await asyncio.sleep(times.after_s)
        end_s = loop.time() - 2.0
        # what is late on a busy machine is late, not lost
        await until(lambda: not tally.verdict(back_s, end_s).lost, LONG_S)
        bounds_s = [phases_s[0] - times.steady_s, *phases_s, max(end_s, back_s)]
        parts = [tally.verdict(begin_s, stop_s) for begin_s, stop_s in pairwise(bounds_s)]
        whole = tally.verdict(phases_s[0], back_s)
        proofs = ledger.proofs()
        # what is heard was on disk before; nothing is heard while this is read
        journal = journal_of(folder / "data/outbox" / BOX)
        unlike = disagreements(journal, events, proofs)
        live_s = [each for each in ear.live_state_s if each >= back_s]
        replayed = [(at_s, count) for at_s, count in ear.replayed if at_s >= back_s]
        at_s = [each for each, _ in replayed] or [float("nan")]
        count = sum(each for _, each in replayed)
        took_s = max(at_s) - min(at_s)
        return Outcome(
            name=name,
            commit_interval_s=commit_interval_s,
            readings_per_s=size.readings_per_s,
            burst=size.units * size.registers,
            taken=whole.taken,
            lost_by_phase=tuple(each.lost for each in parts),
            accepted=len(accepted),
            accepted_lost=len(accepted - heard),
            events=sum(each.lane == "event" for each in heard),
            missing=sum(len(span) for each in proofs for span in each.missing),
            declared=sum(len(span) for each in proofs for span in each.declared),
            unlike_the_log=len(unlike),
            doubled=whole.doubled,
            records_twice=sum(each.doubles for each in proofs),
            wrong=whole.wrong,
            first_state_s=min(live_s, default=float("nan")) - back_s,
            drained_s=max(at_s) - back_s,
            replayed=count,
            replayed_per_s=count / took_s if took_s > 0 else 0.0,
            forgotten=witness.gaps,
        )


async def measure_all(
    names: Sequence[str], times: Times, commit_interval_s: float, size: PlantSize
) -> list[Outcome]:
    """Play cases side by side."""
    found: dict[str, Outcome] = {}

    async def run(name: str) -> None:
        with tempfile.TemporaryDirectory(prefix="plantroom-bench-") as folder:
            found[name] = await measure(name, times, commit_interval_s, Path(folder), size)

    async with asyncio.TaskGroup() as tasks:
        for name in names:
            tasks.create_task(run(name), name=name)
    return [found[name] for name in names]


def main() -> None:
    """Measure and print; exit 1 when a mark is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--away", type=float, default=40.0)
    parser.add_argument("--interval", type=float, nargs="+", default=[5.0, 0.0], metavar="S")
    parser.add_argument("--only", choices=tuple(CASES))
    options = parser.parse_args()
    names = [options.only] if options.only else list(CASES)
    is_good = True
    for interval_s in options.interval:
        times = Times(away_s=options.away)
        found = asyncio.run(measure_all(names, times, interval_s, PlantSize()))
        print(f"\ncommit_interval_s: {interval_s:g}\n")
        print_table(HEAD, [each.row() for each in found])
        is_good &= all(each.is_kept and each.is_quick for each in found)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
