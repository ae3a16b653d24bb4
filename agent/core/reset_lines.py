"""Detectors that latch themselves: a reset pulses their supply, and follows once they are quiet.

Such a detector stays in alarm until its supply is taken away for some seconds. So the reset of an
acknowledged alarm whose points all hang on a reset line pulses that line. What is read of these points
during the pulse, and for a time after it in which they warm up, counts for nothing: the alarm stands as
it did. Then they are read anew: the alarm of a quiet detector is reset, that of one which is in alarm
again stands, and its reset is told as refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from agent.core.alarm import Alarm
from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.conditions import points_of
from agent.core.effects import AlarmState, Event, EventKind
from agent.core.gathering import Gathering
from agent.core.linkages import Linkages
from agent.core.transitions import Given

ANSWER_S = 15.0
"""How long after the blanking a quiet detector may take to be read, and its off-delay besides."""

Blank = Callable[[tuple[str, ...], float], None]
"""Lets nothing that is read of these points count until that monotonic time."""


class Obeys(Protocol):
    """What of the board is needed."""

    def obey(self, alarm: Alarm, given: Given, cause: Cause, out: Gathering) -> str:
        """Carry out a person's wish on one alarm; return the code of a refusal, or nothing."""


class ResetLines:
    """The reset lines of a site, and the resets that wait for a detector."""

    def __init__(self, board: Obeys, linkages: Linkages, appointments: Appointments) -> None:
        self._board = board
        self._linkages = linkages
        self._appointments = appointments
        self._lines = [each for each in linkages.outputs.values() if each.spec.resets]
        self.blank: Blank = lambda points, until_s: None
        """Set by the engine, which knows the readings."""
        self._waiting: dict[str, tuple[Cause, Appointment]] = {}

    def begin(self, alarm: Alarm, cause: Cause, out: Gathering) -> bool:
        """Pulse the supply of an alarm's detectors if that can reset it; return whether it does."""
        points = points_of(alarm.spec.condition)
        lines = [line for line in self._lines if set(line.spec.resets) & set(points)]
        behind = {point for line in lines for point in line.spec.resets}
        if (
            alarm.state is not AlarmState.ACTIVE_ACKED
            or not points
            or not behind.issuperset(points)
        ):
            return False
        if alarm.spec.id in self._waiting:
            return True
        quiet_s = max(line.spec.reset_pulse_s + line.spec.blank_s for line in lines)
        # Everything behind the line loses its supply, not the points of this alarm only.
        self.blank(tuple(behind), cause.at_s + quiet_s)
        for line in lines:
            self._linkages.pulse(line, line.spec.reset_pulse_s, cause, out)
        give_up = Appointment(partial(self._give_up, alarm))
        self._waiting[alarm.spec.id] = (cause, give_up)
        self._appointments.make(give_up, cause.at_s + quiet_s + ANSWER_S + alarm.spec.off_delay_s)
        return True

    def moved(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Finish the reset of an alarm whose detector is quiet again."""
        if alarm.state is AlarmState.LATCHED_ACKED and alarm.spec.id in self._waiting:
            asked, give_up = self._waiting.pop(alarm.spec.id)
            self._appointments.make(give_up, float("inf"))
            why = Cause(
                at=cause.at,
                at_s=cause.at_s,
                actor=asked.actor,
                code=asked.code,
                reason=asked.reason,
                command=asked.command,
            )
            self._board.obey(alarm, Given.RESET, why, out)

    def _give_up(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        asked, _ = self._waiting.pop(alarm.spec.id)
        is_unknown = alarm.truth is None
        out.record(
            Event(
                kind=EventKind.COMMAND,
                subject=alarm.spec.id,
                at=cause.at,
                alarm_class=alarm.spec.alarm_class,
                rule=alarm.spec.id,
                to_state=asked.command,
                actor=asked.actor,
                code="condition_unknown" if is_unknown else "condition_holds",
                reason="nothing is known of the detector since its supply was pulsed"
                if is_unknown
                else "the detector is in alarm again after its supply was pulsed",
                zone=alarm.zone,
            )
        )
