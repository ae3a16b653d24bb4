"""Pumps, counted: each start is told, and of one that starts without end only the sum.

A jockey pump's starts tell of a leak before the pressure does (docs/thresholds.md), and the monthly
report counts them (docs/report.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.effects import Event, EventKind
from agent.core.gathering import Gathering
from agent.core.spec import PointKind, PointSpec
from agent.core.watching import contact_in
from drivers.reading import Reading

APART_S = 900.0
"""Events of one pump are at least this far apart: 96 a day at most, however its contact flutters."""


class PumpContact:
    """One pump: tells a start at once, and those of the next while together."""

    def __init__(self, spec: PointSpec, appointments: Appointments) -> None:
        self._spec = spec
        self._appointments = appointments
        self._sum = Appointment(self._tell)
        self._untold = 0
        self._quiet_until_s = -inf

    def look(self, before: Reading | None, now: Reading, cause: Cause, out: Gathering) -> None:
        """Count a start: it stood still and runs. What was not seen standing is not known to have started."""
        if contact_in(before) is not False or contact_in(now) is not True:
            return
        self._untold += 1
        if cause.at_s >= self._quiet_until_s:
            self._tell(cause, out)
        elif self._untold == 1:
            self._appointments.make(self._sum, self._quiet_until_s)

    def _tell(self, cause: Cause, out: Gathering) -> None:
        out.record(
            Event(
                kind=EventKind.PUMP,
                subject=self._spec.id,
                at=cause.at,
                point=self._spec.id,
                to_state="started",
                zone=self._spec.zone,
                detail={"starts": self._untold},
            )
        )
        self._untold = 0
        self._quiet_until_s = cause.at_s + APART_S


def pump_contacts(
    points: Iterable[PointSpec], appointments: Appointments
) -> dict[str, PumpContact]:
    """Return the pump contacts of a site by their points."""
    pumps = (point for point in points if point.kind is PointKind.PUMP)
    return {point.id: PumpContact(point, appointments) for point in pumps}
