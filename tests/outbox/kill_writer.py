"""A small process that appends events for ever and tells on stdout which are on disk; to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.outbox.room import event, make, reading


async def main(directory: Path, own: str) -> None:
    # an uplink that is new begins with this run; the one of the test holds everything back
    outbox = make(
        directory,
        uplinks=("cloud", own),
        segment_bytes=16_384,
        commit_interval_s=0,
        batch_readings=5,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.run(), name="outbox")
        cursor = outbox.cursor(own)
        await outbox.recovered()
        while True:
            for _ in range(7):
                outbox.append(event("e" * 40))
                outbox.add(reading(1))
            await cursor.wait()
            # handed out, and not for want of a disk, means on disk
            events = [each for each in await cursor.take_events(50) if each.is_durable]
            batches = await cursor.take_batches(50) if outbox.stats().is_writable else ()
            told = [f"e {each.stream} {each.seq}\n" for each in events]
            told += [f"t {each.stream} {each.seq}\n" for each in batches]
            os.write(1, "".join(told).encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
