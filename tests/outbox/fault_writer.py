"""A small process that keeps records while a system call of its fails, tells which are on disk, and kills itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from agent.core.memory import AlarmSnapshot
from agent.outbox import keeper, remembering, saving
from agent.outbox.records import EventRecord
from tests.outbox.room import event, make, reading, until

ROUNDS = 12


async def main(directory: Path) -> None:
    keeper.RETRY_S = 0.05
    remembering.SNAPSHOT_S = 0.05
    saving.SAVE_POSITIONS_S = 0.05
    outbox = make(
        directory,
        uplinks=("cloud", "own"),
        segment_bytes=4096,
        # room for all events and for two of the five segments of telemetry: the others are told as a gap and removed
        max_bytes=32 * 1024,
        event_share=0.75,
        commit_interval_s=0,
        batch_readings=5,
    )
    seen_fault = False
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.run(), name="outbox")
        cursor = outbox.cursor("own")
        for number in range(ROUNDS):
            for _ in range(4):
                outbox.append(event("e" * 40))
            for _ in range(15):
                outbox.add(reading(number))
            outbox.save_snapshot(AlarmSnapshot(memories=(), position=None))
            await until(lambda: outbox.is_open or bool(outbox.stats().fault), 30)
            seen_fault |= bool(outbox.stats().fault)
            await asyncio.sleep(0.03)
            taken: list[EventRecord] = []
            taken += await cursor.take_events(50)
            sealed = await cursor.take_batches(50)
            for each in taken:
                cursor.done(each)
            for batch in sealed:
                cursor.done(batch)
        # by itself it is well again, and then everything is on disk
        await until(lambda: outbox.is_open and not outbox.stats().fault, 30)
        await until(lambda: not outbox._events.queue.has_unwritten, 30)
        await until(lambda: not outbox._telemetry.queue.has_unwritten, 30)
        told = "".join(
            f"a {queue.lane} {queue.stream} {seq}\n"
            for queue in (outbox._events.queue, outbox._telemetry.queue)
            for seq in range(1, queue.written - queue.base + 1)
        )
        told += "fault\n" if seen_fault or outbox.stats().write_failures else ""
        os.write(1, (told + "end\n").encode())
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
