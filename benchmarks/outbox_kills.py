"""`kill -9` of the real agent under load, with a real mosquitto, again and again.

`python -m benchmarks.outbox_kills [--kills 500]`. A plant of 500 readings a second and a contact that never rests;
the agent writes through, is killed at a random moment of its life and started again; during every other
life the broker is out of reach. What counted as accepted is written down outside as each sync returns
(benchmarks.outbox_told), what the broker acknowledged is read off the wire by a proxy. At the end the broker
stays, and everything accepted must have been acknowledged; the consumer of agent.uplink.completeness has to
find nothing missing and to agree with the event log on disk. After no kill more than a window may be sent again (Z3),
but for lives in which the disk was stuck and the agent said so: these are counted apart. `--stalls 2.5` lets one in
twenty syncs take up to so many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent.outbox.contract import WINDOW
from agent.simulate.broker import run_broker
from agent.simulate.proxy import LinkState, TcpProxy
from agent.simulate.subscriber import Heard
from agent.uplink.completeness import Ledger
from agent.uplink.decode import BatchSeen, EventSeen, decode
from agent.uplink.topics import take_apart
from benchmarks.agent_plant import BOX, ROOT, SMOKE_PIN, Plant, PlantSize, site_text
from benchmarks.agent_process import agent_words, started
from benchmarks.agent_tap import Tap
from benchmarks.event_log import Known, Place, disagreements, journal_of
from benchmarks.figures import print_table
from benchmarks.outbox_writes import Accepted
from benchmarks.twice import Twice
from drivers.tasks import TaskGroup

SIZE = PlantSize(units=5, registers=10, period_s=0.1)
START_S = 30.0
"""Longer than any start takes on a busy machine."""
DRAIN_S = 60.0
TOGGLE_S = 0.03


@dataclass(slots=True)
class Result:
    """What was counted outside the agent."""

    kills: int
    accepted: int = 0
    acknowledged: int = 0
    lost: int = 0
    missing: int = 0
    """Numbers the consumer misses in streams whose end it was told."""
    declared: int = 0
    """Numbers the box itself gave up; nothing was to be given up."""
    unlike_the_log: int = 0
    """Events on which the consumer and the box's event log differ."""
    doubled: int = 0
    again_most: int = 0
    """Sent again after the end of any one connection, both lanes together, while the disk took positions."""
    again_stuck: int = 0
    """The same, of lives in which the disk was stuck and the agent said so in time."""
    stuck_lives: int = 0
    repeated: int = 0
    """Sent twice on one connection."""
    starts_failed: int = 0
    streams: int = 0
    slowest_start_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing accepted was lost, and the consumer could prove it."""
        return (
            self.lost + self.missing + self.declared + self.unlike_the_log + self.starts_failed == 0
            and self.repeated == 0
            and self.again_most <= WINDOW
        )

    def count(self, accepted: set[Accepted], heard: set[Accepted], witness: Witness) -> None:
        """Enter what was promised, what the broker has, and what the consumer makes of it."""
        proofs, twice = witness.ledger.proofs(), witness.twice
        self.doubled = sum(each.doubles for each in proofs)
        self.again_most, self.again_stuck = twice.most, twice.most_stuck
        self.stuck_lives, self.repeated = twice.stuck_lives, twice.repeated
        self.accepted, self.acknowledged = len(accepted), len(heard)
        self.lost = len(accepted - heard)
        self.missing = sum(len(span) for each in proofs for span in each.missing)
        self.declared = sum(len(span) for each in proofs for span in each.declared)
        self.streams = len(proofs)
        self.notes += [repr(each) for each in proofs if each.missing or each.declared]

    def compare(self, root: Path, witness: Witness) -> None:
        """Hold the consumer against the event log of a box, by the directory of its outbox."""
        proofs = witness.ledger.proofs()
        unlike = disagreements(journal_of(root), witness.events, proofs)
        self.unlike_the_log = len(unlike)
        self.notes += unlike

    def print(self) -> None:
        """Print a table, and what is wrong."""
        head = ("cuts", "streams", "accepted", "lost", "missing at the consumer", "given up by the box",
                "unlike the event log", "doubled", "at most after one cut", "the disk stuck: lives, at most",
                "starts failed",
                "slowest start to a record on disk")  # fmt: skip
        values = (self.kills, self.streams, self.accepted, self.lost, self.missing, self.declared,
                  self.unlike_the_log, self.doubled, self.again_most)  # fmt: skip
        rest = (f"{self.stuck_lives}, {self.again_stuck}", f"{self.starts_failed}",
                f"{self.slowest_start_s:.1f} s")  # fmt: skip
        print_table(head, [[*(f"{each:,}" for each in values), *rest]])
        if self.repeated:
            print(f"{self.repeated} sent twice on one connection")
        for each in self.notes[:5]:
            print(each)


@dataclass(slots=True)
class Witness:
    """What the broker acknowledged, as the wire tells it."""

    ledger: Ledger = field(default_factory=Ledger)
    acknowledged: set[Accepted] = field(default_factory=set)
    events: dict[Place, Known] = field(default_factory=dict)
    """Those among them, as the consumer knows them."""
    twice: Twice = field(default_factory=Twice)

    @property
    def tap(self) -> Tap:
        """What reads along for it."""
        return Tap(self.take, on_sent=self.twice.sent, on_connect=self.twice.connected)

    def take(self, message: Heard) -> None:
        """Note a message whose PUBACK came."""
        if not message.payload:
            return
        seen = decode(take_apart(ROOT, message.topic), message.payload)
        if isinstance(seen, BatchSeen):
            self.acknowledged.add(Accepted("telemetry", seen.batch.stream, seen.batch.seq))
            self.ledger.hear(seen)
        elif isinstance(seen, EventSeen):
            record = seen.record
            self.acknowledged.add(Accepted("event", record.stream, record.seq))
            self.events[record.stream, record.seq] = Known(record.id, record.is_durable)
            self.ledger.hear(seen)


async def kill_often(kills: int, seed: int, folder: Path, *, stalls_s: float = 0.0) -> Result:
    """Kill and start again so often, then let everything out and count."""
    dice = random.Random(seed)
    result = Result(kills=kills)
    witness = Witness()
    accepted: set[Accepted] = set()
    heard: set[Accepted] = set()
    loop = asyncio.get_running_loop()

    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(run_broker())
        plant = await stack.enter_async_context(Plant(SIZE))
        link = await stack.enter_async_context(
            TcpProxy(broker.host, broker.port, record=witness.tap.record)
        )
        text = site_text(SIZE, modbus_ports=plant.ports, broker_port=link.port, commit_interval_s=0)
        (folder / "site.yaml").write_text(text, "utf-8")
        notes = folder / "accepted"
        words = agent_words(
            folder, entry=("-m", "benchmarks.outbox_told", str(notes), f"stalls={stalls_s}")
        )
        for number in range(kills + 1):
            is_last = number == kills
            await link.set_state(LinkState.CUT if number % 2 and not is_last else LinkState.PASS)
            (folder / "pins").unlink(missing_ok=True)
            before, said, began_s = _size(notes), _size(folder / "log"), loop.time()
            async with started(words, folder / "log") as process, TaskGroup() as tasks:
                toggling = tasks.create_task(never_rest(folder / "pins", TOGGLE_S), name="contact")
                is_up = await until(partial(_has_grown, notes, before), START_S)
                result.slowest_start_s = max(result.slowest_start_s, loop.time() - began_s)
                result.starts_failed += not is_up
                if not is_last:
                    await asyncio.sleep(dice.uniform(0.0, 0.6))
                    await process.kill()
                else:
                    toggling.cancel()
                    await plant.fall_silent()
                    await until(lambda: noted(notes) <= witness.acknowledged, DRAIN_S)
                    # its farewell is on disk before it can be sent, and goes out at the next start
                    accepted, heard = noted(notes), set(witness.acknowledged)
                toggling.cancel()
            log = (folder / "log").read_bytes()[said:].decode("utf-8", "replace")
            witness.twice.life_ended(log)
            if not is_up:
                result.notes.append(f"life {number + 1}: {log[-4000:]}")
    result.count(accepted, heard, witness)
    result.compare(folder / "data/outbox" / BOX, witness)
    return result


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has_grown(path: Path, before: int) -> bool:
    return _size(path) > before


def noted(notes: Path) -> set[Accepted]:
    """Return what was written down outside as accepted (benchmarks.outbox_told)."""
    found = set()
    for line in notes.read_text().splitlines():
        lane, stream, seq = line.split()
        found.add(Accepted(lane, stream, int(seq)))
    return found


async def never_rest(door: Path, period_s: float) -> None:
    """Open and close the contact behind a pin door until its process ends."""
    while not door.exists():  # noqa: ASYNC110, ASYNC240 - one stat(2); a socket tells nobody of its birth
        await asyncio.sleep(0.02)
    try:
        reader, writer = await asyncio.open_unix_connection(door)
    except OSError:
        return
    try:
        high = False
        while True:
            high = not high
            writer.write(f"drive {SMOKE_PIN} {int(high)}\n".encode())
            await writer.drain()
            if not await reader.readline():
                return
            await asyncio.sleep(period_s)
    except OSError:
        return
    finally:
        writer.close()


async def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for what calls nobody, so long; return whether it came."""
    try:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110 - files and wires call nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True


def main() -> None:
    """Measure and print; exit 1 when anything accepted was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stalls", type=float, default=0.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="plantroom-kills-") as folder:
        result = asyncio.run(
            kill_often(options.kills, options.seed, Path(folder), stalls_s=options.stalls)
        )
    result.print()
    sys.exit(0 if result.is_good else 1)


if __name__ == "__main__":
    main()
