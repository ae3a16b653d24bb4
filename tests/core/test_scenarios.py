"""Every timeline in tests/scenarios, as a fire engineer would walk through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.timeline import load, play

SCENARIOS = sorted((Path(__file__).parent.parent / "scenarios").glob("*.yaml"))


def test_there_are_timelines_to_play() -> None:
    assert len(SCENARIOS) >= 15


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_timeline(path: Path) -> None:
    play(load(path))
