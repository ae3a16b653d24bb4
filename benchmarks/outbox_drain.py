"""How fast a backlog leaves, how long an event waits meanwhile, and whether all of it arrives once.

`python -m benchmarks.outbox_drain [--only NAME]`. A real outbox with a stored backlog, the real uplink and a real
mosquitto on loopback, direct and through a proxy that takes half of 300 ms each way; in records of 200 readings, the
most the agent puts into one, and in 100,000 records of five. The last of the four takes an hour, since so many
messages go over such a link in a second and no more, and is made by its name alone. Twenty events a second are
appended during the drain; each is timed from there to its PUBACK. Behind the broker a consumer in a process of its own
(benchmarks.drain_consumer) proves from stream, seq and opening records what arrived, came twice or is missing, and is
held against the event log on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass, SiteSpec
from agent.outbox.contract import Cursor
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord
from agent.outbox.spec import OutboxSpec
from agent.simulate.broker import Broker, run_broker
from agent.simulate.proxy import TcpProxy
from agent.uplink.board import StateBoard
from agent.uplink.session import Uplink
from agent.uplink.spec import UplinkSpec
from benchmarks.agent_process import ROOT as CODE
from benchmarks.agent_process import dies_with_us
from benchmarks.drain_consumer import LAST_S, Due, Proven
from benchmarks.figures import print_table, quantile
from drivers.clock import ClockState, SystemClock
from drivers.reading import Quality, Reading
from drivers.tasks import TaskGroup

EVENT_S = 0.05
AT_ONCE = 10_000
"""Readings of a backlog put in at once: 3.5 MB of the 16 that memory may hold."""
STILL_S = 60.0
"""A drain of which nothing is acknowledged for so long has failed."""
EVENT_LIMIT_S = 1.0
ROOT = "plantroom/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A backlog and what is to be reached (docs/design.md section 10)."""

    name: str
    rtt_s: float
    records: int
    record_readings: int
    mark: float
    """Readings a second."""
    is_long: bool = False

    @property
    def readings(self) -> int:
        """In the whole backlog."""
        return self.records * self.record_readings


RUNS = (
    Run(name="near", rtt_s=0.0, records=2_500, record_readings=200, mark=5000.0),
    Run(name="far", rtt_s=0.3, records=2_500, record_readings=200, mark=2000.0),
    Run(name="near-small", rtt_s=0.0, records=100_000, record_readings=5, mark=5000.0),
    Run(name="far-small", rtt_s=0.3, records=100_000, record_readings=5, mark=0.0, is_long=True),
)


class Timed:
    """A cursor that notes when records were acknowledged."""

    def __init__(self, cursor: Cursor, clock: SystemClock) -> None:
        self._cursor = cursor
        self._clock = clock
        self.batches = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self.acked_s: dict[str, float] = {}

    async def wait(self) -> None:
        await self._cursor.wait()

    async def take_events(self, most: int, *, regardless: bool = False) -> Sequence[EventRecord]:
        return await self._cursor.take_events(most, regardless=regardless)

    async def take_batches(self, most: int, *, regardless: bool = False) -> Sequence[Batch]:
        taken = await self._cursor.take_batches(most, regardless=regardless)
        if taken and not self.first_s:
            self.first_s = self._clock.mono_s()
        return taken

    def goes_regardless(self, record: EventRecord | Batch) -> bool:
        return self._cursor.goes_regardless(record)

    def done(self, record: EventRecord | Batch) -> None:
        now_s = self._clock.mono_s()
        if isinstance(record, Batch):
            self.batches += 1
            self.last_s = now_s
        else:
            self.acked_s[record.id] = now_s
        self._cursor.done(record)

    def set_aside(self, record: EventRecord | Batch, reason: str) -> None:
        self._cursor.set_aside(record, reason)

    def rewind(self) -> None:
        self._cursor.rewind()

    def unsent(self) -> int:
        return self._cursor.unsent()

    def unsaved(self) -> int:
        return self._cursor.unsaved()

    def is_stuck(self) -> bool:
        return self._cursor.is_stuck()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How one drain went."""

    run: Run
    readings_per_s: float
    waits_s: Sequence[float]
    """From each event to its PUBACK."""
    unanswered: int
    """Events without one."""
    due: Due
    proven: Proven

    @property
    def is_good(self) -> bool:
        """Whether all marks were reached."""
        return (
            self.readings_per_s >= self.run.mark
            and quantile(self.waits_s, 0.99) <= EVENT_LIMIT_S
            and not self.unanswered
            and self.proven.is_whole(self.due)
        )

    def row(self) -> list[str]:
        """Return it for people."""
        run, proven = self.run, self.proven
        return [
            f"{run.rtt_s * 1000:.0f} ms",
            f"{run.readings:,} in {run.records:,}",
            f"{self.readings_per_s:,.0f}",
            f"{run.records * self.readings_per_s / run.readings:,.0f}",
            f"{len(self.waits_s):,}",
            f"{quantile(self.waits_s, 0.5) * 1000:.0f} ms",
            f"{quantile(self.waits_s, 0.99) * 1000:.0f} ms",
            f"{max(self.waits_s) * 1000:.0f} ms",
            f"{self.unanswered}",
            f"{proven.readings:,} in {proven.batches:,} + {proven.events:,}",
            f"{proven.missing}, {proven.declared}",
            f"{proven.doubled}, {proven.readings_twice}",
            f"{proven.unlike_the_log}",
        ]


HEAD = (
    "round trip", "readings in records", "readings /s", "records /s", "events meanwhile", "event to PUBACK p50", "p99",
    "longest", "unanswered", "heard by the consumer: readings in records + events", "missing, given up",
    "records, readings twice", "unlike the event log",
)  # fmt: skip


async def fill(root: Path, run: Run, clock: SystemClock) -> int:
    """Leave a backlog on disk, as an outage does; return in how many batches.

    Raises:
        RuntimeError: some of it did not fit into memory while the disk was slow.
    """
    outbox = _outbox(root, clock, run, commit_interval_s=0.0)
    async with TaskGroup() as tasks:
        running = tasks.create_task(outbox.run(), name="outbox")
        await outbox.recovered()
        for number in range(run.readings):
            outbox.add(
                Reading(
                    point=f"meter-{number % 200}.active_power",
                    value=float(number),
                    quality=Quality.GOOD,
                    unit="kW",
                    at=clock.stamp(),
                )
            )
            if number % AT_ONCE == AT_ONCE - 1:
                # a busy machine writes slower than this fills memory
                commits = outbox.stats().commits
                while outbox.stats().commits == commits:  # noqa: ASYNC110 - the disk calls nobody
                    await asyncio.sleep(0.005)
        running.cancel()
    await outbox.close(60.0)
    lane = outbox.stats().lanes[1]
    if lane.dropped:
        raise RuntimeError(f"the backlog is not whole: {lane.dropped}")
    return lane.last_seq


def _outbox(root: Path, clock: SystemClock, run: Run, commit_interval_s: float = 5.0) -> Outbox:
    return Outbox(
        OutboxSpec(
            directory=root,
            batch_readings=run.record_readings,
            commit_interval_s=commit_interval_s,
        ),
        box="box",
        boot="boot",
        clock=clock,
        uplinks=["cloud"],
        on_health=lambda _ok, _why: None,
    )


@asynccontextmanager
async def consuming(broker: Broker) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the consumer; it is subscribed when this is entered and gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *dies_with_us(),
        *(sys.executable, "-m", "benchmarks.drain_consumer", broker.host, str(broker.port), ROOT),
        cwd=CODE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30.0):
            await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def drain(root: Path, run: Run) -> Drained:
    """Fill, let everything out, and have it judged."""
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    due = Due(
        journal=str(root / "box"), batches=await fill(root, run, clock), readings=run.readings
    )
    outbox = _outbox(root, clock, run)
    cursor = Timed(outbox.cursor("cloud"), clock)
    appended_s: dict[str, float] = {}
    async with (
        run_broker() as broker,
        consuming(broker) as consumer,
        TcpProxy(broker.host, broker.port, delay_s=run.rtt_s / 2) as link,
        TaskGroup() as tasks,
    ):
        uplink = Uplink(
            UplinkSpec(id="cloud", host=link.host, port=link.port, root=ROOT),
            site=SiteSpec(site="bench", box="box"),
            cursor=cursor,
            board=StateBoard(),
            clock=clock,
            boot="boot",
            config_hash="",
            on_link=lambda _ok, _why: None,
        )
        running = [
            tasks.create_task(outbox.run(), name="outbox"),
            tasks.create_task(uplink.run(), name="uplink"),
        ]
        await outbox.recovered()
        began_s = clock.mono_s()
        while cursor.batches < due.batches:
            await asyncio.sleep(EVENT_S)
            if clock.mono_s() - max(began_s, cursor.last_s) > STILL_S:
                raise TimeoutError(
                    f"{cursor.batches:,} of {due.batches:,} left, then none for {STILL_S:g} s"
                )
            if cursor.first_s:
                record = outbox.append(_event(clock))
                appended_s[record.id] = clock.mono_s()
        # the last event's answer needs its round trip
        await asyncio.sleep(2 * run.rtt_s + 0.5)
        await uplink.close(5.0)
        for each in running:
            each.cancel()
        await outbox.close(10.0)
        async with asyncio.timeout(LAST_S + 30.0):
            told, _ = await consumer.communicate(json.dumps(asdict(due)).encode() + b"\n")
    waits_s = [
        cursor.acked_s[each] - at_s for each, at_s in appended_s.items() if each in cursor.acked_s
    ]
    return Drained(
        run=run,
        readings_per_s=run.readings / (cursor.last_s - cursor.first_s),
        waits_s=waits_s,
        unanswered=len(appended_s) - len(waits_s),
        due=due,
        proven=Proven(**json.loads(told)),
    )


def _event(clock: SystemClock) -> Event:
    return Event(
        kind=EventKind.ALARM,
        subject="smoke",
        rule="smoke",
        alarm_class=AlarmClass.FIRE,
        at=clock.stamp(),
    )


def main() -> None:
    """Measure and print; exit 1 when a mark is missed or anything did not arrive just once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=[each.name for each in RUNS])
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    found = []
    for run in RUNS:
        if options.only == run.name or not (options.only or run.is_long):
            with tempfile.TemporaryDirectory(prefix="plantroom-drain-") as folder:
                found.append(asyncio.run(drain(Path(folder), run)))
            print(run.name, "good" if found[-1].is_good else "MISSED", file=sys.stderr, flush=True)
    print_table(HEAD, (each.row() for each in found))
    for each in found:
        for note in each.proven.notes:
            print(note)
    sys.exit(0 if all(each.is_good for each in found) else 1)


if __name__ == "__main__":
    main()
