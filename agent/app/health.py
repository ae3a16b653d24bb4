"""How the agent's own parts say that they are well: as readings, like every other wire.

Each part has a contact point (`box.outbox`, `box.uplink-cloud`, ...) that is true while it is well;
the rules built in by agent.config turn a false into a fault alarm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.core.engine import Engine
from agent.core.spec import PointKind, SiteSpec
from drivers.base import Emit
from drivers.clock import Clock
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

ROLL_CALL_S = 10.0
"""A part of the agent that has not said how it is by then is taken for ill: `fault_after_s` of
design section 5."""


class Health:
    """Turns `(ok, why)` of a part into a reading of its health point."""

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock

    def tell(self, point: str, ok: bool, why: str) -> None:
        """Emit a part's health; `why` is for people and empty when all is well."""
        self._emit(
            (
                Reading(
                    point=point,
                    value=ok,
                    quality=Quality.GOOD,
                    unit="",
                    at=self._clock.stamp(),
                    reason="" if ok else why,
                ),
            )
        )

    def of(self, point: str) -> Callable[[bool, str], None]:
        """Return the callback a part is given to tell its health."""

        def tell(ok: bool, why: str) -> None:
            self.tell(point, ok, why)

        return tell

    def supervised(self, point: str, fault: Callable[[], str]) -> Callable[[bool, str], None]:
        """Return the callback of a supervisor whose part tells its own health on changes only.

        The supervisor tells failures. After one, that the part runs again is told with what it knows
        of itself: `fault`, empty when it is well.
        """
        has_failed = False

        def tell(ok: bool, why: str) -> None:
            nonlocal has_failed
            if ok and not has_failed:
                return
            has_failed = not ok
            why = why or fault()
            self.tell(point, not why, why)

        return tell

    def only_bad(self, point: str) -> Callable[[bool, str], None]:
        """Return the callback of a supervisor: it tells failures; that it is well the part says itself."""

        def tell(ok: bool, why: str) -> None:
            if not ok:
                self.tell(point, ok, why)

        return tell


async def roll_call(site: SiteSpec, engine: Engine, health: Health) -> None:
    """Say of each part of the agent that has said nothing in `ROLL_CALL_S` that it is not well."""
    await asyncio.sleep(ROLL_CALL_S)
    for point in site.points:
        if point.kind is PointKind.HEALTH and not point.device and engine.reading(point.id) is None:
            _log.error("%s has not said that it is well", point.id)
            health.tell(point.id, False, "has not said that it is well")


def is_well(engine: Engine, point: str) -> bool:
    """Return whether a part has last said that it is well."""
    reading = engine.reading(point)
    return reading is not None and reading.value is True
