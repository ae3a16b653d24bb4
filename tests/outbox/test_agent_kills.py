from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.outbox_kills import kill_often

KILLS = 30


@pytest.mark.timeout(300)
async def test_thirty_kills_of_the_agent_under_load_lose_nothing_that_was_on_disk(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    result = await kill_often(KILLS, 7, tmp_path)
    assert result.accepted > 10 * KILLS
    assert result.streams >= 2 * KILLS
    assert result.is_good, result
