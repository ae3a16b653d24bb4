"""What has to be done at a later moment that is not an alarm's own delay."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from agent.core.agenda import Agenda
from agent.core.cause import Cause
from agent.core.gathering import Gathering

Act = Callable[[Cause, Gathering], None]


class Appointment:
    """One thing to do; making it again moves it."""

    __slots__ = ("act", "due_s", "scheduled_s")

    def __init__(self, act: Act) -> None:
        self.act = act
        self.due_s = inf
        self.scheduled_s = inf
        """Kept by agent.core.agenda."""


class Appointments:
    """All of them, by time."""

    def __init__(self) -> None:
        self._agenda: Agenda[Appointment] = Agenda()

    def make(self, appointment: Appointment, due_s: float) -> None:
        """Have it kept at monotonic `due_s`, whatever was set before; infinite: not at all."""
        appointment.due_s = due_s
        self._agenda.call(appointment, due_s)

    def next_s(self) -> float | None:
        """Return when to look again; None: never."""
        return self._agenda.next_s()

    def keep(self, cause: Cause, out: Gathering) -> None:
        """Do everything that is due by the moment of `cause`, what was due first before the rest."""
        while ready := self._ready(cause.at_s):
            for each in ready:
                if each.due_s <= cause.at_s:  # what was done just now may have moved it
                    each.due_s = inf
                    each.act(cause, out)

    def _ready(self, now_s: float) -> list[Appointment]:
        ready = []
        for each in self._agenda.due(now_s):
            if each.due_s > now_s:
                self._agenda.call(each, each.due_s)
            else:
                ready.append(each)
        return sorted(ready, key=lambda each: each.due_s)
