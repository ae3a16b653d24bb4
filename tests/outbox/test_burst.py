"""Readings that come faster than they go out, on a disk that is well: the disk takes them in time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.outbox import bounds
from tests.outbox.room import make, reading, running, take_batches


async def test_memory_is_written_before_it_is_full_however_young_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MEMORY_BYTES", 512 * 1024)
    monkeypatch.setattr(bounds, "RECENT_BATCH_BYTES", 32 * 1024)
    monkeypatch.setattr(bounds, "EARLY_BYTES", 64 * 1024)
    rounds, each_round = 60, 100
    async with running(make(tmp_path, commit_interval_s=5.0, max_bytes=16 * 1024 * 1024)) as outbox:
        for number in range(rounds):
            for place in range(each_round):
                outbox.add(reading(number * each_round + place, "pump-room.pressure." + "x" * 40))
            await asyncio.sleep(0.03)
        held = outbox.stats()
        assert held.lanes[1].dropped == {}
        assert held.bytes_written > 512 * 1024, "too little to fill the memory: this proves nothing"
        batches = await take_batches(outbox.cursor("cloud"), rounds * each_round)
    values = sorted(each.value for batch in batches for each in batch.readings if each.value)
    assert len(values) == rounds * each_round - 1  # the first value is 0
