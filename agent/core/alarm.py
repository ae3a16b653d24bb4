"""One alarm: the axes of a rule, kept apart, and the steps of the table in agent.core.transitions."""

from __future__ import annotations

from math import inf

from agent.core.conditions import points_of, watch
from agent.core.effects import AlarmState, AlarmView
from agent.core.memory import AlarmMemory
from agent.core.spec import AlarmClass, RuleSpec
from agent.core.standing import Standing
from agent.core.transitions import AFTER_BOOT, Ending, Given, Phase, Row, Situation, Timer, row_for
from agent.core.watching import Truth
from drivers.clock import ClockState, Stamp
from drivers.reading import Reading

ALWAYS_LATCHED = (AlarmClass.FIRE, AlarmClass.GAS)
"""Stay until a person resets them, whatever the rule says, and are never suppressed (design section 5)."""

_LONG_AGO = Stamp(0.0, 0, ClockState.UNSYNCED)


def ending_of(rule: RuleSpec) -> Ending:
    """Return what it takes to end alarms of `rule`."""
    if rule.is_latched or rule.alarm_class in ALWAYS_LATCHED:
        return Ending.LATCHED
    return Ending.ACKED if rule.needs_ack else Ending.ALONE


def truth_given(truth: Truth) -> Given:
    """Return what the truth of a condition means to the table."""
    if truth is None:
        return Given.UNKNOWN
    return Given.MET if truth else Given.NOT_MET


class Alarm:
    """The state of one rule. Changed by its owner, agent.core.board, only."""

    __slots__ = (
        "_left_s",
        "_told_s",
        "actor",
        "called_by",
        "calls",
        "children",
        "deadline_s",
        "decided_by",
        "ending",
        "has_moved",
        "inhibit",
        "is_chattering",
        "is_dry",
        "is_failed",
        "is_first_out",
        "is_silenced",
        "is_suppressed",
        "is_test",
        "mates",
        "order",
        "parents",
        "point",
        "scheduled_s",
        "since",
        "situation",
        "spec",
        "truth",
        "watch",
        "zone",
    )

    def __init__(self, spec: RuleSpec, zone: str) -> None:
        self.spec = spec
        self.zone = zone
        """Where it is: the rule's zone, else that of the first point it watches."""
        self.ending = ending_of(spec)
        self.watch = watch(spec.condition)
        self.situation = Situation.A
        self.truth: Truth = None
        """Of the condition, at the last look; unknown before the first."""
        self.is_failed = False
        """The last look raised an error."""
        self.is_suppressed = False
        self.is_silenced = False
        self.inhibit: Standing | None = None
        """Taken out by a person: what is up stays up, nothing new is raised."""
        self.is_test = False
        """Raised in a drill, until it is normal again."""
        self.is_dry = False
        """Raised in a drill without linkage: it demands nothing."""
        self.is_first_out = False
        self.is_chattering = False
        self.actor = ""
        self.has_moved = False
        """Whether its state changed, or it was silenced or sounds again, since this engine was made."""
        self.since = _LONG_AGO
        self.point = next(iter(points_of(spec.condition)), "")
        """The point whose reading last changed the truth; the first one watched before that."""
        self.decided_by: Reading | None = None
        self.deadline_s = inf
        """Monotonic time at which the running delay is over; infinite when none runs."""
        self._left_s = 0.0
        self._told_s = -inf
        self.scheduled_s = inf
        """Kept by agent.core.agenda."""
        self.parents: tuple[Alarm, ...] = ()
        """Every rule above it in the fault hierarchy, near and far."""
        self.children: tuple[Alarm, ...] = ()
        """Every rule below it, upper ones first."""
        self.mates: tuple[Alarm, ...] = ()
        """Every alarm of its group, itself too; none without a group."""
        self.called_by: tuple[Alarm, ...] = ()
        """Manual call points of its zone or group."""
        self.calls: tuple[Alarm, ...] = ()
        """A manual call point: whose delays it overrides."""
        self.order = (0, spec.alarm_class.rank)
        """Looked at in this order when several fall due at once: parents first, then by class."""

    @property
    def state(self) -> AlarmState:
        """What people see of it."""
        return self.situation.state

    @property
    def is_pending(self) -> bool:
        """Whether the on-delay runs, is frozen, or is over and waits for a parent fault to go."""
        return self.situation.phase is Phase.PENDING

    @property
    def is_standing(self) -> bool:
        """Whether it is active or latched."""
        return self.state not in (AlarmState.NORMAL, AlarmState.RETURNED_UNACKED)

    @property
    def is_hidden(self) -> bool:
        """Whether nothing new may be raised of it now."""
        return self.is_suppressed or self.inhibit is not None

    @property
    def hides(self) -> bool:
        """Whether it suppresses the rules under it; a drill hides nothing that is real."""
        return self.state.is_active and not self.is_test

    @property
    def is_called(self) -> bool:
        """Whether a manual call point of its zone or group stands: delays of linkages no longer count."""
        return any(each.is_standing and each.is_test is self.is_test for each in self.called_by)

    def is_over(self, at_s: float) -> bool:
        """Return whether the running delay is over at monotonic `at_s`."""
        return self.deadline_s <= max(at_s, self._told_s)

    def take(self, given: Given, at_s: float) -> Row:
        """Go one row of the table at monotonic `at_s` and return the row."""
        # Points are read at slightly different times; an alarm's own time does not run backwards.
        self._told_s = at_s = max(at_s, self._told_s)
        row = row_for(self.situation, given, self.ending)
        before, self.situation = self.situation, row.to
        self._turn(row.timer, at_s)
        is_new = row.to is Situation.B and (before.phase is Phase.PENDING or given is Given.REALARM)
        if is_new or row.to.state is AlarmState.NORMAL:
            self.actor = ""
            self.is_silenced = False
        return row

    def answer(self, given: Given) -> str:
        """Return the code with which a command would be refused now, or nothing."""
        return row_for(self.situation, given, self.ending).refusal

    def remember(self) -> AlarmMemory:
        """Return what has to be known again after a restart."""
        return AlarmMemory(
            rule=self.spec.id,
            state=self.state,
            since_wall_ms=self.since.wall_ms,
            actor=self.actor,
            is_silenced=self.is_silenced,
            is_test=self.is_test,
            is_first_out=self.is_first_out,
        )

    def recall(self, memory: AlarmMemory) -> None:
        """Take up a remembered state; delays begin anew, as the boot rows of the table say.

        What was active is gone only past its deadband, as if there had been no restart.
        """
        self.situation = AFTER_BOOT[memory.state]
        if self.state.is_active:
            self.watch.hold()
        self.deadline_s = inf
        self.actor = memory.actor
        self.is_silenced = memory.is_silenced
        self.is_test = memory.is_test
        self.is_first_out = memory.is_first_out
        # The monotonic time of an earlier run means nothing now.
        self.since = Stamp(0.0, memory.since_wall_ms, ClockState.UNSYNCED)

    def left_s(self, now_s: float) -> float:
        """Return what is left of its delay; 0 when none is in progress."""
        return self._left_s if self.deadline_s == inf else max(0.0, self.deadline_s - now_s)

    def view(self, now_s: float) -> AlarmView:
        """Return it as people and the cloud see it at monotonic `now_s`."""
        reading, inhibit = self.decided_by, self.inhibit
        return AlarmView(
            rule=self.spec.id,
            alarm_class=self.spec.alarm_class,
            state=self.state,
            since=self.since,
            point=self.point if reading is None else reading.point,
            value=None if reading is None else reading.value,
            unit="" if reading is None else reading.unit,
            quality=None if reading is None else reading.quality,
            zone=self.zone,
            is_suppressed=self.is_suppressed,
            is_silenced=self.is_silenced,
            is_latched=self.ending is Ending.LATCHED and self.state is not AlarmState.NORMAL,
            is_pending=self.is_pending,
            is_unknown=self.truth is None,
            actor=self.actor,
            is_inhibited=inhibit is not None,
            inhibited_left_s=None if inhibit is None else inhibit.left_s(now_s),
            inhibited_by="" if inhibit is None else inhibit.actor,
            is_test=self.is_test,
            is_first_out=self.is_first_out,
            is_chattering=self.is_chattering,
            group=self.spec.group,
        )

    def _turn(self, timer: Timer, at_s: float) -> None:
        match timer:
            case Timer.START:
                is_on = self.is_pending
                self.deadline_s = at_s + (self.spec.on_delay_s if is_on else self.spec.off_delay_s)
            case Timer.RUN if self.deadline_s == inf:
                self.deadline_s = at_s + self._left_s
            case Timer.FREEZE if self.deadline_s != inf:
                self._left_s = max(0.0, self.deadline_s - at_s)
                self.deadline_s = inf
            case Timer.WHOLE:
                self._left_s = self.spec.on_delay_s
                self.deadline_s = inf
            case Timer.STOP:
                self.deadline_s = inf
            case Timer.SPENT:
                self.deadline_s = at_s
            case _:
                pass
