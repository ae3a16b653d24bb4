"""Every timeline in tests/scenarios, as a fire engineer would walk through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.timeline import load, play

FOLDER = Path(__file__).parent.parent / "scenarios"
SCENARIOS = [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem != "map"]


def test_there_are_timelines_to_play() -> None:
    assert len(SCENARIOS) >= 60


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_timeline(path: Path) -> None:
    play(load(path))
