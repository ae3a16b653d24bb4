"""Outputs that test themselves at a time of the week, by the clock on the wall."""

from __future__ import annotations

from dataclasses import replace

from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.effects import Event, EventKind
from agent.core.gathering import Gathering
from agent.core.linkages import TEST, Linkages
from agent.core.memory import TESTED
from agent.core.output import Output
from agent.core.spec import SelfTest
from drivers.clock import ClockState

ACTOR = "self-test"
_MINUTE_MS = 60_000


class SelfTests:
    """Looks at the clock each full minute, if an output wants it."""

    def __init__(self, linkages: Linkages, appointments: Appointments) -> None:
        self._linkages = linkages
        self._appointments = appointments
        self._tested: list[tuple[Output, SelfTest]] = [
            (output, output.spec.self_test)
            for output in linkages.outputs.values()
            if output.spec.self_test is not None
        ]
        self._look = Appointment(self.look)
        self._last_minute = -1

    def look(self, cause: Cause, out: Gathering) -> None:
        """Start the tests of this minute, once, and come back in the next; nothing while the clock is not set."""
        if not self._tested:
            return
        wall_ms = cause.at.wall_ms
        next_s = cause.at_s + (_MINUTE_MS - wall_ms % _MINUTE_MS) / 1000
        self._appointments.make(self._look, next_s)
        minute = wall_ms // _MINUTE_MS
        if cause.at.clock is not ClockState.SYNCED or minute == self._last_minute:
            return
        self._last_minute = minute
        for output, test in self._tested:
            if test.calendar.minute_of_week(wall_ms) in {(day, test.minute) for day in test.days}:
                self._begin(output, test, cause, out)

    def _begin(self, output: Output, test: SelfTest, cause: Cause, out: Gathering) -> None:
        may = output.forbids() is False and not output.is_demanded()
        out.record(
            Event(
                kind=EventKind.OUTPUT,
                subject=output.spec.id,
                at=cause.at,
                to_state="tested" if may else "not_tested",
                actor=ACTOR,
                code=TEST,
                reason="" if may else "demanded, or its interlock forbids it",
                zone=output.spec.zone,
                is_test=True,
            )
        )
        if may:
            self._linkages.test(output, test.for_s, replace(cause, command=TESTED), out)
