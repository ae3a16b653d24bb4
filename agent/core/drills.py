"""Drill: for some hours at most, alarms of some points and zones are tests.

An alarm is in the drill when every point it watches is (named itself, or by its zone): a condition that
a real point outside can meet stays real. What was already up when the drill began stays real until it is
normal. A test demands no output unless that was asked for, hides no real fault, and is ended with the
drill; where its condition holds then, a real alarm follows at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import Protocol

from agent.core.alarm import Alarm
from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.conditions import points_of
from agent.core.effects import Event, EventKind
from agent.core.gathering import Gathering
from agent.core.inhibits import EXPIRED
from agent.core.memory import RESTART, STARTED, DrillMemory
from agent.core.spec import SiteSpec
from agent.core.standing import Left, Standing
from agent.core.transitions import Situation
from drivers.clock import Stamp

LONGEST_S = 4 * 3600.0
"""A drill of a whole day is a building without alarms (design section 5)."""

ENDED = "ended"


class Tests(Protocol):
    """What of the board is needed."""

    alarms: dict[str, Alarm]

    def set_outputs(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Bring the outputs in step with what an alarm demands now."""

    def end_test(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """End an alarm that was raised in the drill."""


class Drills:
    """The drill of a site, if one runs: one at a time."""

    def __init__(self, board: Tests, site: SiteSpec, appointments: Appointments) -> None:
        self._board = board
        self._box = site.box
        self._zones = {point.id: point.zone for point in site.points}
        self._places = {*self._zones.values(), *(rule.zone for rule in site.rules)} - {""}
        self._appointments = appointments
        self._end = Appointment(self._expire)
        self._standing: Standing | None = None
        self._scope: tuple[str, ...] = ()
        self._with_linkage = False
        self._taken_up: DrillMemory | None = None
        """What an earlier run remembered of it; None: it was ordered in this one."""
        self._has_ended = False
        """One ended in this run: no memory that comes late is newer."""
        self._covered: set[str] = set()
        """Rules in the drill; none while none runs."""
        self._real: set[str] = set()
        """Those of them that were not at rest when it began, until they are."""

    @property
    def is_running(self) -> bool:
        """Whether a drill runs."""
        return self._standing is not None

    @property
    def scope(self) -> tuple[str, ...]:
        """The points and zones of the drill that runs; empty when none does."""
        return self._scope if self._standing is not None else ()

    def left_s(self, now_s: float) -> float | None:
        """Return how long the drill still runs; None: none does."""
        return None if self._standing is None else self._standing.left_s(now_s)

    @property
    def is_dry(self) -> bool:
        """Whether its alarms demand nothing."""
        return not self._with_linkage

    def unknown(self, scope: Iterable[str]) -> list[str]:
        """Return what in `scope` is neither a point nor a zone."""
        return [name for name in scope if name not in self._zones and name not in self._places]

    def covers(self, alarm: Alarm) -> bool:
        """Return whether an alarm raised now is a test."""
        return self.takes_in(alarm) and alarm.spec.id not in self._real

    def takes_in(self, alarm: Alarm) -> bool:
        """Return whether the drill that runs is about `alarm`; one from before it stays real all the same."""
        return alarm.spec.id in self._covered

    def moved(self, alarm: Alarm) -> None:
        """Note that what was up is at rest: from now on it is in the drill like the rest."""
        if self._real and alarm.situation is Situation.A:
            self._real.discard(alarm.spec.id)

    def remembered(self, alarm: Alarm) -> None:
        """Note that an alarm remembered late was up before the drill: it stays real until it is at rest."""
        is_up = alarm.situation is not Situation.A and not alarm.is_test
        if is_up and self.takes_in(alarm):
            self._real.add(alarm.spec.id)

    def begin(
        self,
        scope: tuple[str, ...],
        seconds: float,
        cause: Cause,
        out: Gathering,
        *,
        with_linkage: bool,
    ) -> None:
        """Start a drill."""
        standing = Standing(cause.actor, cause.reason, cause.at_s + seconds)
        self._set(standing, scope, cause, out, with_linkage=with_linkage)

    def end(self, cause: Cause, out: Gathering) -> None:
        """End the drill and every alarm raised in it."""
        self._standing, self._has_ended = None, True
        self._covered, self._real = set(), set()
        self._appointments.make(self._end, inf)
        out.record(self._event(ENDED, 0.0, cause))
        self.end_tests(cause, out)

    def end_tests(self, cause: Cause, out: Gathering) -> None:
        """End every test alarm that no drill takes in any more."""
        why = Cause(at=cause.at, at_s=cause.at_s)
        for alarm in self._board.alarms.values():
            if alarm.is_test and not self.takes_in(alarm):
                self._board.end_test(alarm, why, out)

    # -- over a restart ----------------------------------------------------------------------------

    def resume(self, memory: DrillMemory, cause: Cause, out: Gathering) -> None:
        """Take up what an earlier run remembered, without what the configuration no longer has."""
        if self._has_ended or (self._standing is not None and self._taken_up in (None, memory)):
            return  # what was ordered since the start is newer than any memory
        standing = Standing(memory.actor, memory.reason, cause.at_s)
        standing.remembered(memory.left, cause.at, LONGEST_S)
        # Inhibits that are over too end before it: its alarms that were taken out are raised as real.
        standing.until_s = max(cause.at_s, standing.until_s)
        why = replace(cause, actor=memory.actor, reason=memory.reason, code=RESTART)
        gone = self.unknown(memory.scope)
        scope = tuple(name for name in memory.scope if name not in gone)
        self._set(standing, scope, why, out, with_linkage=memory.with_linkage)
        self._taken_up = memory

    def take_back(self, cause: Cause, out: Gathering) -> None:
        """End what was taken up at the start and had ended already, as the log knows."""
        if self._standing is not None and self._taken_up is not None:
            self.end(replace(cause, code=RESTART), out)

    def clock_was_set(self, now: Stamp) -> None:
        """Count the time between the runs."""
        if self._standing is not None:
            self._standing.clock_was_set(now)
            self._appointments.make(self._end, self._standing.until_s)

    def memory(self, now: Stamp) -> DrillMemory | None:
        """Return what a later run has to know."""
        if self._standing is None:
            return None
        return DrillMemory(
            scope=self._scope,
            left=Left(seconds=self._standing.left_s(now.mono_s), at=now),
            with_linkage=self._with_linkage,
            actor=self._standing.actor,
            reason=self._standing.reason,
        )

    def _set(
        self,
        standing: Standing,
        scope: tuple[str, ...],
        cause: Cause,
        out: Gathering,
        *,
        with_linkage: bool,
    ) -> None:
        self._standing, self._scope, self._with_linkage = standing, scope, with_linkage
        # Taken up anew from a better memory: what came in this drill so far is in it.
        in_it = self._covered - self._real
        self._covered, self._real = set(), set()
        self._taken_up = None
        names = frozenset(scope)
        for alarm in self._board.alarms.values():
            if self._is_inside(alarm, names):
                self._covered.add(alarm.spec.id)
                if alarm.is_test:
                    alarm.is_dry = not with_linkage
                    self._board.set_outputs(alarm, cause, out)
                elif alarm.situation is not Situation.A and alarm.spec.id not in in_it:
                    self._real.add(alarm.spec.id)
        self._appointments.make(self._end, standing.until_s)
        out.record(self._event(STARTED, standing.left_s(cause.at_s), cause))

    def _is_inside(self, alarm: Alarm, names: frozenset[str]) -> bool:
        points = points_of(alarm.spec.condition)
        return bool(points) and all(
            point in names or (self._zones.get(point) or alarm.zone) in names for point in points
        )

    def _event(self, to_state: str, seconds: float, cause: Cause) -> Event:
        return Event(
            kind=EventKind.DRILL,
            subject=self._box,
            at=cause.at,
            from_state=ENDED if to_state == STARTED and cause.code != RESTART else STARTED,
            to_state=to_state,
            actor=cause.actor,
            reason=cause.reason,
            code=cause.code,
            detail={
                "scope": " ".join(self._scope),
                "seconds": seconds,
                "with_linkage": self._with_linkage,
            },
        )

    def _expire(self, cause: Cause, out: Gathering) -> None:
        self.end(replace(cause, code=EXPIRED), out)
