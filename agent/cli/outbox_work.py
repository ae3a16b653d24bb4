"""What writes to an outbox whose agent is stopped: a short run of its own, told as a stream like any other.

So that what happened stands in the event log, is sent, and is proven by the consumer as always.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, Lane
from agent.outbox.shelf import RefusedRecord, Shelf
from agent.outbox.spec import OutboxSpec
from drivers.clock import SystemClock, read_boot_id
from drivers.tasks import TaskGroup

START_S = 60.0
"""Opening a large outbox on a slow card."""
CLOSE_S = 30.0
_READINGS = 20
"""Readings in a batch that is put back: what was too large goes in pieces."""
_MOST_BYTES = 1 << 50
"""This short run makes no room: how much may be kept is for the agent's own settings."""


@asynccontextmanager
async def _running(shelf: Shelf, boot: str) -> AsyncIterator[Outbox]:
    positions = shelf.positions()
    if positions is None:
        raise OSError("where the uplinks stand cannot be read")
    spec = OutboxSpec(
        directory=shelf.root.parent,
        max_bytes=_MOST_BYTES,
        commit_interval_s=0,
        batch_readings=_READINGS,
    )
    outbox = Outbox(
        spec,
        box=shelf.root.name,
        boot=boot,
        clock=SystemClock(),
        uplinks=tuple(positions),
        on_health=lambda _is_ok, _why: None,
    )
    failed: OSError | None = None
    async with TaskGroup() as tasks:
        running = tasks.create_task(outbox.run(), name="outbox")
        try:
            async with asyncio.timeout(START_S):
                while not outbox.is_open:
                    if fault := outbox.stats().fault:
                        raise OSError(fault)
                    await asyncio.sleep(0.02)
            yield outbox
        except OSError as error:
            failed = error
        finally:
            running.cancel()
            await outbox.close(CLOSE_S)
    if failed is not None:
        raise failed
    if fault := outbox.stats().fault:
        raise OSError(fault)


async def remove(shelf: Shelf, lane: Lane, *, unsent_too: bool) -> int:
    """Remove what a lane holds; what was unsent is told as a gap. Return how many records went.

    Raises:
        OSError: the disk failed, or an agent keeps its records here.
    """
    async with _running(shelf, read_boot_id()) as outbox:
        return await outbox.purge(lane, unsent_too=unsent_too)


async def put_back(shelf: Shelf, refused: Sequence[RefusedRecord]) -> None:
    """Append refused records anew, with their own times; then remove them from quarantine.

    Raises:
        OSError: the disk failed, or an agent keeps its records here; the records are still in quarantine.
    """
    # times of one boot belong together: its monotonic clock orders them
    for boot in dict.fromkeys(each.record.boot for each in refused):
        of_boot = [each for each in refused if each.record.boot == boot]
        async with _running(shelf, boot) as outbox:
            for each in of_boot:
                if isinstance(each.record, Batch):
                    for reading in each.record.readings:
                        outbox.add(reading)
                else:
                    outbox.append(each.record.event)
        for each in of_boot:
            each.path.unlink(missing_ok=True)
