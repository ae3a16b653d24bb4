"""Inhibit: a person takes a rule out for a time, with a reason. It goes on being evaluated and is shown.

What is up already stays up with what it demands, and is acknowledged, silenced and reset as always;
nothing new is raised, and no output is demanded anew. When the inhibit ends and the condition holds, the
alarm is raised (from normal, returned or latched) or has to be acknowledged anew (when it stood all the
time). Fire and gas too are inhibited by a person only: nothing in the core does it by itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from functools import partial
from math import inf
from typing import Protocol

from agent.core.alarm import Alarm, truth_given
from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.conditions import points_of
from agent.core.effects import AlarmState, Event, EventKind
from agent.core.gathering import Gathering
from agent.core.memory import INHIBITED, RESTART, RULE_REMOVED, InhibitMemory
from agent.core.standing import Left, Standing
from agent.core.transitions import Given
from drivers.clock import Stamp

UNINHIBITED = "uninhibited"
EXPIRED = "expired"
"""The code of what time ended."""


class Moves(Protocol):
    """What of the board is needed."""

    alarms: dict[str, Alarm]

    def move(self, alarm: Alarm, given: Given, cause: Cause, out: Gathering) -> None:
        """Take an alarm a step of the table, and record it."""

    def event(self, alarm: Alarm, kind: EventKind, before: str, after: str, cause: Cause) -> Event:
        """Return an event of an alarm."""


class Inhibits:
    """The inhibits of a site."""

    def __init__(self, board: Moves, appointments: Appointments, longest_s: float) -> None:
        self.longest_s = longest_s
        """No inhibit is longer: what is longer is a change of the configuration."""
        self._board = board
        self._appointments = appointments
        self._standing: dict[str, Standing] = {}
        """By rule."""
        self._ends: dict[str, Appointment] = {}
        self._ended: set[str] = set()
        """Rules taken in again in this run, or told to be gone: no memory that comes late is newer."""

    @property
    def is_any(self) -> bool:
        """Whether anything is inhibited."""
        return bool(self._standing)

    def meant(self, target: str) -> list[Alarm]:
        """Return the alarm of a rule, or those of every rule that watches a point."""
        alarms = self._board.alarms
        if target in alarms:
            return [alarms[target]]
        return [each for each in alarms.values() if target in points_of(each.spec.condition)]

    def begin(self, alarm: Alarm, seconds: float, cause: Cause, out: Gathering) -> None:
        """Take `alarm` out."""
        self._set(alarm, Standing(cause.actor, cause.reason, cause.at_s + seconds), cause, out)

    def end(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Take `alarm` in again; what its condition asks for now is raised."""
        del self._standing[alarm.spec.id]
        self._ended.add(alarm.spec.id)
        self._appointments.make(self._ends.pop(alarm.spec.id), inf)
        alarm.inhibit = None
        event = self._board.event(alarm, EventKind.INHIBIT, INHIBITED, UNINHIBITED, cause)
        out.record(replace(event, detail={"seconds": 0.0}))
        out.show(alarm)
        why = Cause(at=cause.at, at_s=cause.at_s, reason=UNINHIBITED)
        self._board.move(alarm, truth_given(alarm.truth), why, out)
        if alarm.state is AlarmState.ACTIVE_ACKED:
            self._board.move(alarm, Given.REALARM, why, out)

    # -- over a restart ----------------------------------------------------------------------------

    def resume(self, memories: Iterable[InhibitMemory], cause: Cause, out: Gathering) -> None:
        """Take up what an earlier run remembered: each goes on, or is told to have ended."""
        for memory in memories:
            if memory.rule in self._ended:
                continue
            alarm = self._board.alarms.get(memory.rule)
            if alarm is None:
                self._ended.add(memory.rule)
                out.record(_gone(memory, cause))
            elif alarm.inhibit is None or alarm.inhibit.came_from not in (None, memory.left):
                # what was ordered since the start is newer than any memory
                standing = Standing(memory.actor, memory.reason, cause.at_s)
                standing.remembered(memory.left, cause.at, self.longest_s)
                why = replace(cause, actor=memory.actor, reason=memory.reason, code=RESTART)
                self._set(alarm, standing, why, out)

    def take_back(self, known: Container[str], cause: Cause, out: Gathering) -> None:
        """End what was taken up at the start and had ended already, as the log knows."""
        ended = [
            rule
            for rule, standing in self._standing.items()
            if standing.came_from is not None and rule not in known
        ]
        for rule in ended:
            self.end(self._board.alarms[rule], replace(cause, code=RESTART), out)

    def clock_was_set(self, now: Stamp) -> None:
        """Count the time between the runs."""
        for rule, standing in self._standing.items():
            standing.clock_was_set(now)
            self._appointments.make(self._ends[rule], standing.until_s)

    def memories(self, now: Stamp) -> dict[str, InhibitMemory]:
        """Return what a later run has to know."""
        return {
            rule: InhibitMemory(
                rule=rule,
                left=Left(seconds=standing.left_s(now.mono_s), at=now),
                actor=standing.actor,
                reason=standing.reason,
            )
            for rule, standing in self._standing.items()
        }

    def _set(self, alarm: Alarm, standing: Standing, cause: Cause, out: Gathering) -> None:
        if before := self._ends.get(alarm.spec.id):
            self._appointments.make(before, inf)
        alarm.inhibit = self._standing[alarm.spec.id] = standing
        end = self._ends[alarm.spec.id] = Appointment(partial(self._expire, alarm, standing))
        self._appointments.make(end, standing.until_s)
        was = INHIBITED if cause.code == RESTART else UNINHIBITED
        event = self._board.event(alarm, EventKind.INHIBIT, was, INHIBITED, cause)
        out.record(replace(event, detail={"seconds": standing.left_s(cause.at_s)}))
        out.show(alarm)

    def _expire(self, alarm: Alarm, standing: Standing, cause: Cause, out: Gathering) -> None:
        self.end(alarm, replace(cause, code=EXPIRED, reason=standing.reason), out)


def _gone(memory: InhibitMemory, cause: Cause) -> Event:
    return Event(
        kind=EventKind.INHIBIT,
        subject=memory.rule,
        at=cause.at,
        rule=memory.rule,
        from_state=INHIBITED,
        to_state=UNINHIBITED,
        code=RULE_REMOVED,
        detail={"seconds": 0.0},
    )
