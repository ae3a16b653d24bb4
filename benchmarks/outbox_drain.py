"""How fast a backlog leaves, and how long an event waits meanwhile.

`python -m benchmarks.outbox_drain [--readings 500000]`. A real outbox with a stored backlog, the real uplink and a
real mosquitto on loopback, once direct, once through a proxy that takes half of 300 ms each way, and once in as
many as 100,000 small records. Twenty events a second are appended during the drain; each is timed from there to
its PUBACK.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass, SiteSpec
from agent.outbox.contract import Cursor
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord
from agent.outbox.spec import OutboxSpec
from agent.simulate.broker import run_broker
from agent.simulate.proxy import TcpProxy
from agent.uplink.board import StateBoard
from agent.uplink.session import Uplink
from agent.uplink.spec import UplinkSpec
from benchmarks.figures import print_table, quantile
from drivers.clock import ClockState, SystemClock
from drivers.reading import Quality, Reading
from drivers.tasks import TaskGroup

EVENT_S = 0.05
LIMIT_S = 600.0
RUNS = ((0.0, 200, 5000.0), (0.3, 200, 2000.0), (0.0, 5, 0.0))
"""Round trip, readings in a batch, readings a second to reach (docs/design.md section 10; none in the last)."""
EVENT_LIMIT_S = 1.0


class Timed:
    """A cursor that notes when records were acknowledged."""

    def __init__(self, cursor: Cursor, clock: SystemClock) -> None:
        self._cursor = cursor
        self._clock = clock
        self.readings = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self.acked_s: dict[str, float] = {}

    async def wait(self) -> None:
        await self._cursor.wait()

    async def take_events(self, most: int) -> Sequence[EventRecord]:
        return await self._cursor.take_events(most)

    async def take_batches(self, most: int) -> Sequence[Batch]:
        taken = await self._cursor.take_batches(most)
        if taken and not self.first_s:
            self.first_s = self._clock.mono_s()
        return taken

    def done(self, record: EventRecord | Batch) -> None:
        now_s = self._clock.mono_s()
        if isinstance(record, Batch):
            self.readings += len(record.readings)
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


async def fill(root: Path, readings: int, clock: SystemClock, batch: int) -> None:
    """Leave a backlog on disk, as an outage does."""
    outbox = _outbox(root, clock, batch)
    async with TaskGroup() as tasks:
        running = tasks.create_task(outbox.run(), name="outbox")
        await outbox.recovered()
        for number in range(readings):
            outbox.add(
                Reading(
                    point=f"meter-{number % 200}.active_power",
                    value=123.4,
                    quality=Quality.GOOD,
                    unit="kW",
                    at=clock.stamp(),
                )
            )
            if number % 2000 == 1999:
                await asyncio.sleep(0.02)
        running.cancel()
    await outbox.close(30.0)


def _outbox(root: Path, clock: SystemClock, batch: int) -> Outbox:
    return Outbox(
        OutboxSpec(directory=root, batch_readings=batch),
        box="box",
        boot="boot",
        clock=clock,
        uplinks=["cloud"],
        on_health=lambda _ok, _why: None,
    )


async def drain(
    root: Path, rtt_s: float, readings: int, batch: int
) -> tuple[float, list[float], int]:
    """Return readings a second, and how long each event took to its PUBACK."""
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    await fill(root, readings, clock, batch)
    outbox = _outbox(root, clock, batch)
    cursor = Timed(outbox.cursor("cloud"), clock)
    appended_s: dict[str, float] = {}
    async with (
        run_broker() as broker,
        TcpProxy(broker.host, broker.port) as link,
        TaskGroup() as tasks,
    ):
        link.delay_s = rtt_s / 2
        uplink = Uplink(
            UplinkSpec(id="cloud", host=link.host, port=link.port),
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
        async with asyncio.timeout(LIMIT_S):
            await outbox.recovered()
            while cursor.readings < readings:
                await asyncio.sleep(EVENT_S)
                if not cursor.first_s:
                    continue
                record = outbox.append(
                    Event(
                        kind=EventKind.ALARM,
                        subject="smoke",
                        rule="smoke",
                        alarm_class=AlarmClass.FIRE,
                        at=clock.stamp(),
                    )
                )
                appended_s[record.id] = clock.mono_s()
            # the last event's answer needs its round trip
            await asyncio.sleep(2 * rtt_s + 0.5)
        await uplink.close(5.0)
        for each in running:
            each.cancel()
    await outbox.close(10.0)
    waits_s = [
        cursor.acked_s[each] - at_s for each, at_s in appended_s.items() if each in cursor.acked_s
    ]
    return (
        readings / (cursor.last_s - cursor.first_s),
        waits_s,
        len(appended_s) - len(waits_s),
    )


async def measure(readings: int) -> bool:
    """Print the table; return whether all marks were reached."""
    rows, is_good = [], True
    for rtt_s, batch, mark in RUNS:
        with tempfile.TemporaryDirectory(prefix="plantroom-drain-") as folder:
            rate, waits_s, unanswered = await drain(Path(folder), rtt_s, readings, batch)
        p99_s = quantile(waits_s, 0.99)
        rows.append(
            [
                f"{rtt_s * 1000:.0f} ms",
                f"{readings:,}",
                f"{-(-readings // batch):,}",
                f"{rate:,.0f}",
                f"{len(waits_s)}",
                f"{quantile(waits_s, 0.5) * 1000:.0f} ms",
                f"{p99_s * 1000:.0f} ms",
                f"{unanswered}",
            ]
        )
        is_good &= rate >= mark and p99_s <= EVENT_LIMIT_S and not unanswered
    head = (
        "round trip",
        "backlog, readings",
        "in records",
        "readings/s",
        "events meanwhile",
        "p50",
        "p99",
        "unanswered",
    )
    print_table(head, rows)
    return is_good


def main() -> None:
    """Measure and print; exit 1 when a mark is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--readings", type=int, default=500_000)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    sys.exit(0 if asyncio.run(measure(options.readings)) else 1)


if __name__ == "__main__":
    main()
