"""How the agent's own parts say that they are well: as readings, like every other wire.

Each part has a contact point (`box.outbox`, `box.uplink-cloud`, ...) that is true while it is well;
the rules built in by agent.config turn a false into a fault alarm.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.base import Emit
from drivers.clock import Clock
from drivers.reading import Quality, Reading


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

    def only_bad(self, point: str) -> Callable[[bool, str], None]:
        """Return the callback of a supervisor: it tells failures; that it is well the part says itself."""

        def tell(ok: bool, why: str) -> None:
            if not ok:
                self.tell(point, ok, why)

        return tell
