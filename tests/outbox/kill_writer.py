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
        while True:
            for _ in range(7):
                outbox.append(event("e" * 40))
                outbox.add(reading(1))
            await asyncio.sleep(0)
            # handed out means on disk
            for each in await cursor.take_events(50):
                os.write(1, f"e {each.stream} {each.seq}\n".encode())
            for batch in await cursor.take_batches(50):
                os.write(1, f"t {batch.stream} {batch.seq}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
