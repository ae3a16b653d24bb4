"""New alarms counted: first-out in a group, chattering, flood, and acknowledged alarms told anew.

None of it hides anything. Figures: three cycles in a minute chatter (ISA-18.2 practice); a flood begins
with ten new alarms in ten minutes and is over below five (EEMUA 191, ISA-18.2). Test alarms are no
flood. After a restart the counting begins anew.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from agent.core.alarm import Alarm
from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.effects import AlarmState, Event, EventKind
from agent.core.gathering import Gathering
from agent.core.inhibits import Moves
from agent.core.transitions import Given

CHATTER_CYCLES = 3
CHATTER_WINDOW_S = 60.0

FLOOD_BEGINS = 10
FLOOD_ENDS_BELOW = 5
FLOOD_WINDOW_S = 600.0

STEADY = "steady"
CHATTERING = "chattering"
FLOOD = "flood"


class _Cycles:
    """When one alarm went off again, the last times."""

    __slots__ = ("ended_s", "steady")

    def __init__(self, steady: Appointment) -> None:
        self.ended_s: deque[float] = deque(maxlen=CHATTER_CYCLES)
        self.steady = steady


class Occurrences:
    """What is known of how often alarms come."""

    def __init__(self, board: Moves, box: str, appointments: Appointments) -> None:
        self._board = board
        self._box = box
        self._appointments = appointments
        self._cycles: dict[str, _Cycles] = {}
        self._anew: dict[str, Appointment] = {}
        self._raised_s: deque[float] = deque(maxlen=FLOOD_BEGINS)
        self._calm = Appointment(self._flood_may_be_over)
        self.is_flood = False

    # -- what the board tells ----------------------------------------------------------------------

    def raised(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """A new alarm: the first of its group, and perhaps one too many."""
        others = (each for each in alarm.mates if each is not alarm)
        alarm.is_first_out = bool(alarm.mates) and not any(
            each.state is not AlarmState.NORMAL and each.is_test is alarm.is_test for each in others
        )
        if alarm.is_test:
            return
        self._raised_s.append(cause.at_s)
        is_full = len(self._raised_s) == FLOOD_BEGINS
        if not self.is_flood and is_full and cause.at_s - self._raised_s[0] < FLOOD_WINDOW_S:
            self.is_flood = True
            out.record(self._flood_event(STEADY, FLOOD, cause))
        if self.is_flood:
            self._appointments.make(self._calm, self._calm_s())

    def went_off(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """An alarm is no longer active: one cycle more."""
        cycles = self._cycles.get(alarm.spec.id)
        if cycles is None:
            steady = Appointment(partial(self._steady, alarm))
            cycles = self._cycles[alarm.spec.id] = _Cycles(steady)
        ended_s = cycles.ended_s
        ended_s.append(cause.at_s)
        is_full = len(ended_s) == CHATTER_CYCLES
        if not alarm.is_chattering and is_full and cause.at_s - ended_s[0] < CHATTER_WINDOW_S:
            self._chatter(alarm, True, cause, out)
        if alarm.is_chattering:
            self._appointments.make(cycles.steady, cause.at_s + CHATTER_WINDOW_S)

    def ended(self, alarm: Alarm, out: Gathering) -> None:
        """An alarm is normal again; with the last of its group it is forgotten who came first."""
        mates = [each for each in alarm.mates if each is alarm or each.is_test is alarm.is_test]
        if all(each.state is AlarmState.NORMAL for each in mates):
            for each in mates:
                if each.is_first_out:
                    each.is_first_out = False
                    out.show(each)

    def acknowledged(self, alarm: Alarm, at_s: float) -> None:
        """It stands and was seen: after its time it has to be seen anew."""
        if alarm.spec.realarm_s > 0:
            name = alarm.spec.id
            if name not in self._anew:
                self._anew[name] = Appointment(partial(self._tell_anew, alarm))
            self._appointments.make(self._anew[name], at_s + alarm.spec.realarm_s)

    # -- what falls due ----------------------------------------------------------------------------

    def _tell_anew(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        if alarm.state is not AlarmState.ACTIVE_ACKED:
            return
        if not alarm.is_hidden:
            self._board.move(alarm, Given.REALARM, cause, out)
        if alarm.state is AlarmState.ACTIVE_ACKED:  # hidden, or its off-delay runs: later
            self.acknowledged(alarm, cause.at_s)

    def _steady(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        self._chatter(alarm, False, cause, out)

    def _chatter(self, alarm: Alarm, is_chattering: bool, cause: Cause, out: Gathering) -> None:
        alarm.is_chattering = is_chattering
        names = (STEADY, CHATTERING) if is_chattering else (CHATTERING, STEADY)
        out.record(self._board.event(alarm, EventKind.CHATTERING, *names, cause))
        out.show(alarm)

    def _calm_s(self) -> float:
        """Return when fewer than five are left in the window, if none comes."""
        return self._raised_s[-FLOOD_ENDS_BELOW] + FLOOD_WINDOW_S

    def _flood_may_be_over(self, cause: Cause, out: Gathering) -> None:
        self.is_flood = False
        out.record(self._flood_event(FLOOD, STEADY, cause))

    def _flood_event(self, before: str, after: str, cause: Cause) -> Event:
        return Event(
            kind=EventKind.FLOOD,
            subject=self._box,
            at=cause.at,
            from_state=before,
            to_state=after,
        )
