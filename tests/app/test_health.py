"""How the agent's own parts say that they are well, and what is said of those that say nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.app import health as health_room
from agent.app.health import Health, is_well, roll_call
from agent.core.engine import Engine
from agent.core.spec import PointKind, PointSpec, SiteSpec
from drivers.clock import ManualClock
from drivers.reading import Reading


class Heard:
    def __init__(self, clock: ManualClock) -> None:
        self.told: list[tuple[str, object, str]] = []
        self.health = Health(self._take, clock)

    def _take(self, readings: Sequence[Reading]) -> None:
        self.told += [(each.point, each.value, each.reason) for each in readings]


def health_into(engine: Engine, clock: ManualClock) -> Health:
    def take(readings: Sequence[Reading]) -> None:
        engine.on_readings(readings, clock.stamp())

    return Health(take, clock)


def test_after_a_failure_a_part_that_runs_again_is_well_only_if_it_knows_of_no_fault(
    clock: ManualClock,
) -> None:
    heard, fault = Heard(clock), [""]
    tell = heard.health.supervised("box.outbox", lambda: fault[0])
    tell(True, "")
    assert heard.told == [], "that it was started says nothing of it"
    tell(False, "OSError: gone")
    fault[0] = "disk full"
    tell(True, "")
    tell(False, "OSError: gone")
    fault[0] = ""
    tell(True, "")
    assert heard.told == [
        ("box.outbox", False, "OSError: gone"),
        ("box.outbox", False, "disk full"),
        ("box.outbox", False, "OSError: gone"),
        ("box.outbox", True, ""),
    ]


async def test_a_part_that_never_told_its_health_is_said_to_be_ill(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_room, "ROLL_CALL_S", 0.001)
    ids = ("box.page", "box.clock", "siren.health")
    site = SiteSpec(
        site="s",
        box="b",
        points=tuple(
            PointSpec(
                id=each,
                kind=PointKind.HEALTH,
                device="pins" if each == "siren.health" else "",
                is_contact=True,
            )
            for each in ids
        ),
    )
    engine, heard = Engine(site), Heard(clock)
    engine.start(clock.stamp())
    well = health_into(engine, clock)
    well.tell("box.clock", True, "")
    await roll_call(site, engine, heard.health)
    assert heard.told == [("box.page", False, "has not said that it is well")]


def test_a_part_is_well_only_if_it_said_so(clock: ManualClock) -> None:
    site = SiteSpec(site="s", box="b", points=(PointSpec(id="box.config", kind=PointKind.HEALTH),))
    engine = Engine(site)
    engine.start(clock.stamp())
    health = health_into(engine, clock)
    assert not is_well(engine, "box.config")
    health.tell("box.config", True, "")
    assert is_well(engine, "box.config")
    health.tell("box.config", False, "bad")
    assert not is_well(engine, "box.config")
