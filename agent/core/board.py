"""All alarms of a site: moves them, records each move, and keeps demands and suppression in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from agent.core.agenda import Agenda
from agent.core.alarm import Alarm, truth_given
from agent.core.appointments import Appointments
from agent.core.cause import Cause
from agent.core.conditions import points_of
from agent.core.drills import Drills
from agent.core.effects import AlarmState, Event, EventKind
from agent.core.families import tie
from agent.core.gathering import Gathering
from agent.core.inhibits import Inhibits
from agent.core.linkages import Linkages
from agent.core.memory import (
    FIRST_OUT,
    RULE_REMOVED,
    SILENCED,
    UNSILENCED,
    AlarmMemory,
    DelayMemory,
    Orders,
)
from agent.core.occurrences import Occurrences
from agent.core.reset_lines import ResetLines
from agent.core.self_tests import SelfTests
from agent.core.spec import AlarmClass, LampSign, SiteSpec
from agent.core.transitions import Given, Situation
from agent.core.watching import Truth
from drivers.clock import Stamp
from drivers.reading import Reading

RULE_FAILED = "rule_failed"
NEW_ALARM = "new_alarm"
DRILL_ENDED = "drill_ended"
DELAY_RESTARTED = "delay_restarted"


class Board:
    """The alarms of a site and what hangs on them."""

    def __init__(
        self,
        site: SiteSpec,
        latest: Mapping[str, Reading],
        agenda: Agenda[Alarm],
        *,
        is_memory_whole: bool,
    ) -> None:
        self._latest = latest
        self._agenda = agenda
        zones = {point.id: point.zone for point in site.points}
        self.alarms: dict[str, Alarm] = {}
        for rule in site.rules:
            first = next(iter(points_of(rule.condition)), "")
            self.alarms[rule.id] = Alarm(rule, rule.zone or zones.get(first, ""))
        tie(self.alarms)
        self.appointments = Appointments()
        self.inhibits = Inhibits(self, self.appointments, site.inhibit_max_s)
        self.drills = Drills(self, site, self.appointments)
        self.occurrences = Occurrences(self, site.box, self.appointments)
        self.linkages = Linkages(
            site, self.alarms, self.appointments, holds_cuts=not is_memory_whole
        )
        self.reset_lines = ResetLines(self, self.linkages, self.appointments)
        self.self_tests = SelfTests(self.linkages, self.appointments)
        self.box = site.box
        self._signs = {output.shows for output in site.outputs if output.shows is not None}
        self._silenced: dict[str, Alarm] = {}
        self.transitions: Counter[tuple[AlarmClass, str]] = Counter()
        self.removed: dict[str, AlarmMemory] = {}
        """Remembered alarms of rules this site no longer has, until `start` tells of them."""

    def start(
        self, orders: Orders, delays: Iterable[DelayMemory], cause: Cause, out: Gathering
    ) -> None:
        """Show every alarm, tell of rules that are gone, take up orders and what alarms hide."""
        self.linkages.take_up(orders, cause, out)
        for alarm in self.alarms.values():
            if alarm.state is AlarmState.NORMAL:
                alarm.since = cause.at
            out.show(alarm)
            self.set_outputs(alarm, cause, out)
            self._stands_on(alarm, cause)
        self._end_removed(cause, out)
        self.take_up(orders, cause, out)
        for delay in delays:
            if delay.rule in self.alarms:
                out.record(_restarted(self.alarms[delay.rule], delay, cause))
        for alarm in self.alarms.values():
            self._spread(alarm, False, cause, out)

    def take_up(self, orders: Orders, cause: Cause, out: Gathering) -> None:
        """Go on with what people ordered in an earlier run."""
        self.linkages.take_up(orders, cause, out)
        if orders.drill is not None:
            self.drills.resume(orders.drill, cause, out)
        self.drills.end_tests(cause, out)
        self.inhibits.resume(orders.inhibits.values(), cause, out)

    def take_back(self, orders: Orders, cause: Cause, out: Gathering) -> None:
        """End what was taken up and no longer stands in `orders`, the whole memory."""
        if orders.drill is None:
            self.drills.take_back(cause, out)
        self.inhibits.take_back(orders.inhibits, cause, out)

    def show_signs(self, cause: Cause, out: Gathering) -> None:
        """Bring the lamps that show a state of the box in step with it."""
        for sign in self._signs:
            self.linkages.show_sign(sign, self._is_there(sign, cause.at_s), cause, out)

    def _is_there(self, sign: LampSign, at_s: float) -> bool:
        match sign:
            case LampSign.INHIBIT:
                return self.inhibits.is_any
            case LampSign.TEST:
                return self.drills.is_running or self.linkages.is_testing(at_s)
        return self.linkages.is_manual

    def clock_was_set(self, now: Stamp) -> None:
        """Count the time that passed before this run: now it can be known."""
        self.inhibits.clock_was_set(now)
        self.drills.clock_was_set(now)

    def set_every_output(self, cause: Cause, out: Gathering) -> None:
        """Set every output once to what is demanded now, whatever was set before.

        What cuts or shuts is not told to restore while alarms may still be remembered.
        """
        out.outputs.clear()
        self.linkages.every(cause, out)

    def memory_is_whole(self, cause: Cause, out: Gathering) -> None:
        """Let go what was held because an alarm might still have been remembered."""
        self.linkages.let_go(cause, out)

    def recall(self, memory: AlarmMemory) -> Alarm | None:
        """Take up a remembered state; return its alarm, or None if it has none or moved since."""
        alarm = self.alarms.get(memory.rule)
        if alarm is None:
            if memory.state is not AlarmState.NORMAL:
                self.removed[memory.rule] = memory
            return None
        # What happened since the start is newer than any memory, and was latched if it must be.
        if alarm.has_moved or alarm.state is memory.state is AlarmState.NORMAL:
            return None
        alarm.recall(memory)
        alarm.is_dry = alarm.is_test and self.drills.is_dry
        self._silenced.pop(memory.rule, None)
        if alarm.is_silenced:
            self._silenced[memory.rule] = alarm
        return alarm

    def merge(self, memory: AlarmMemory, cause: Cause, out: Gathering) -> None:
        """Take up a memory that came after the start, with its outputs and children."""
        alarm = self.alarms.get(memory.rule)
        hid = alarm is not None and alarm.hides
        alarm = self.recall(memory)
        self._end_removed(cause, out)
        if alarm is None:
            return
        self.drills.remembered(alarm)
        self.set_outputs(alarm, cause, out)
        out.show(alarm)
        self._spread(alarm, hid, cause, out)
        self._stands_on(alarm, cause)
        if alarm.state.is_active:
            alarm.truth = self._looked_at_again(alarm, cause)
        if alarm.is_test and not self.drills.takes_in(alarm):
            self.end_test(alarm, cause, out)
        self.move(alarm, truth_given(alarm.truth), cause, out)

    def learn(self, alarm: Alarm, truth: Truth, cause: Cause, out: Gathering) -> None:
        """Tell an alarm the truth of its condition; a delay over before then has been run out."""
        if alarm.truth is not truth:
            if (alarm.truth is None) is not (truth is None):
                out.show(alarm)
            alarm.truth = truth
            self.linkages.unlock(alarm, cause, out)
        self.move(alarm, truth_given(truth), cause, out)

    def run_out(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """End the running delay of an alarm if it is over."""
        if alarm.is_over(cause.at_s):
            self.move(alarm, _over(alarm), cause, out)
        else:
            self._agenda.call(alarm, alarm.deadline_s)

    def fail(self, alarm: Alarm, reason: str, cause: Cause, out: Gathering) -> None:
        """Make an alarm unknown because looking at its condition raised an error; said once."""
        self._mark(alarm, True, reason, cause, out)
        self.learn(alarm, None, cause, out)

    def recover(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Say that a failed rule can be looked at again."""
        self._mark(alarm, False, "", cause, out)

    def obey(self, alarm: Alarm, given: Given, cause: Cause, out: Gathering) -> str:
        """Carry out a person's wish on one alarm; return the code of a refusal, or nothing."""
        refusal = alarm.answer(given)
        if refusal:
            return refusal
        if given is Given.SILENCE:
            self._silence(alarm, True, cause, out)
        self.move(alarm, given, cause, out)
        return ""

    def move(self, alarm: Alarm, given: Given, cause: Cause, out: Gathering) -> None:
        """Take an alarm a step of the table, and tell whatever comes of it."""
        state, was_pending, hid = alarm.state, alarm.is_pending, alarm.hides
        alarm.take(given, cause.at_s)
        while alarm.is_over(cause.at_s):
            alarm.take(_over(alarm), cause.at_s)  # a delay of none is over at once
        self._agenda.call(alarm, alarm.deadline_s)
        if alarm.is_pending is not was_pending:
            out.show(alarm)
        if alarm.state is not state:
            self._tell(alarm, state, cause, out)
        self.drills.moved(alarm)
        self._spread(alarm, hid, cause, out)

    def end_test(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """End an alarm raised in a drill; where its condition holds a real one follows at once."""
        before = alarm.state
        alarm.take(Given.DRILL_ENDS, cause.at_s)
        self._tell(alarm, before, replace(cause, code=DRILL_ENDED), out)
        self.run_out(alarm, cause, out)

    def _tell(self, alarm: Alarm, before: AlarmState, cause: Cause, out: Gathering) -> None:
        """Record a change of state and bring everything that hangs on it up to date."""
        alarm.has_moved = True
        if cause.actor and alarm.state is not AlarmState.NORMAL:
            alarm.actor = cause.actor
        alarm.since = cause.at
        alarm.decided_by = self._latest.get(alarm.point)
        if alarm.state.is_active and not before.is_active:
            alarm.is_test = self.drills.covers(alarm)
            alarm.is_dry = alarm.is_test and self.drills.is_dry
            self.occurrences.raised(alarm, cause, out)
        self.transitions[alarm.spec.alarm_class, alarm.state.value] += 1
        self.set_outputs(alarm, cause, out)
        out.record(self.event(alarm, EventKind.ALARM, before.value, alarm.state.value, cause))
        out.show(alarm)
        if not alarm.is_silenced:
            self._silenced.pop(alarm.spec.id, None)
        if alarm.situation is Situation.B and not alarm.is_dry:
            self._end_silence(alarm, cause, out)
        if before.is_active and not alarm.state.is_active:
            self.occurrences.went_off(alarm, cause, out)
        self._stands_on(alarm, cause)
        if alarm.state is AlarmState.NORMAL:
            self.occurrences.ended(alarm, out)
            alarm.is_test = alarm.is_dry = False
        self.reset_lines.moved(alarm, cause, out)

    def _stands_on(self, alarm: Alarm, cause: Cause) -> None:
        if alarm.state is AlarmState.ACTIVE_ACKED:
            self.occurrences.acknowledged(alarm, cause.at_s)

    def _end_silence(self, new: Alarm, cause: Cause, out: Gathering) -> None:
        """A new alarm sounds again what was silenced on its sounders in its class or below."""
        for other in tuple(self._silenced.values()):
            is_below = new.spec.alarm_class.rank <= other.spec.alarm_class.rank
            if is_below and self.linkages.share_sounder(new, other):
                why = Cause(at=cause.at, at_s=cause.at_s, code=NEW_ALARM, reason=new.spec.id)
                self._silence(other, False, why, out)

    def _silence(self, alarm: Alarm, is_silenced: bool, cause: Cause, out: Gathering) -> None:
        if alarm.is_silenced is is_silenced:
            return
        alarm.is_silenced, alarm.has_moved = is_silenced, True
        if is_silenced:
            self._silenced[alarm.spec.id] = alarm
        else:
            self._silenced.pop(alarm.spec.id, None)
        self.set_outputs(alarm, cause, out)
        names = (UNSILENCED, SILENCED) if is_silenced else (SILENCED, UNSILENCED)
        out.record(self.event(alarm, EventKind.SILENCE, *names, cause))
        out.show(alarm)

    def _spread(self, alarm: Alarm, hid: bool, cause: Cause, out: Gathering) -> None:
        """Suppress or release the rules under an alarm that began or ceased to hide them."""
        if alarm.hides is hid:
            return
        for child in alarm.children:
            is_suppressed = any(parent.hides for parent in child.parents)
            if is_suppressed is child.is_suppressed:
                continue
            child.is_suppressed = is_suppressed
            self.set_outputs(child, cause, out)
            names = ("unsuppressed", "suppressed")
            why = Cause(at=cause.at, at_s=cause.at_s, reason=alarm.spec.id)
            event = self.event(
                child, EventKind.SUPPRESSION, names[not is_suppressed], names[is_suppressed], why
            )
            out.record(event)
            out.show(child)
            if not is_suppressed:
                is_unknown = child.truth is None
                given = Given.RELEASED_UNKNOWN if is_unknown else Given.RELEASED
                self.move(child, given, why, out)

    def set_outputs(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Bring the outputs in step with what an alarm demands now."""
        # A call point overrides the delays of what it calls: their demands may be different now.
        for each in (alarm, *alarm.calls):
            self.linkages.update(each, cause, out)

    def _mark(
        self, alarm: Alarm, is_failed: bool, reason: str, cause: Cause, out: Gathering
    ) -> None:
        if alarm.is_failed is is_failed:
            return
        alarm.is_failed = is_failed
        rule = alarm.spec.id
        out.record(
            Event(
                kind=EventKind.SYSTEM,
                subject=rule,
                at=cause.at,
                alarm_class=AlarmClass.FAULT,
                rule=rule,
                to_state="failed" if is_failed else "recovered",
                code=RULE_FAILED,
                reason=reason,
                zone=alarm.zone,
            )
        )

    def _end_removed(self, cause: Cause, out: Gathering) -> None:
        for memory in self.removed.values():
            out.record(
                Event(
                    kind=EventKind.ALARM,
                    subject=memory.rule,
                    at=cause.at,
                    rule=memory.rule,
                    from_state=memory.state.value,
                    to_state=AlarmState.NORMAL.value,
                    code=RULE_REMOVED,
                )
            )
        self.removed.clear()

    def event(self, alarm: Alarm, kind: EventKind, before: str, after: str, cause: Cause) -> Event:
        reading = self._latest.get(alarm.point)
        return Event(
            kind=kind,
            subject=alarm.spec.id,
            at=cause.at,
            alarm_class=alarm.spec.alarm_class,
            rule=alarm.spec.id,
            point=alarm.point,
            from_state=before,
            to_state=after,
            is_acked=alarm.state.is_acked,
            value=None if reading is None else reading.value,
            unit="" if reading is None else reading.unit,
            quality=None if reading is None else reading.quality,
            actor=cause.actor,
            code=cause.code,
            reason=cause.reason,
            zone=alarm.zone,
            is_test=alarm.is_test,
            detail={FIRST_OUT: True} if alarm.is_first_out and kind is EventKind.ALARM else {},
        )

    def _looked_at_again(self, alarm: Alarm, cause: Cause) -> Truth:
        """Return the truth of a condition that is now known to have held before."""
        try:
            return alarm.watch.look(self._latest, cause.at, cause.at_s)
        except Exception:  # noqa: BLE001 - unknown; the next reading tells that the rule is broken
            return None


def _over(alarm: Alarm) -> Given:
    return Given.DELAY_OVER_HIDDEN if alarm.is_hidden else Given.DELAY_OVER


def _restarted(alarm: Alarm, delay: DelayMemory, cause: Cause) -> Event:
    return Event(
        kind=EventKind.SYSTEM,
        subject=delay.rule,
        at=cause.at,
        alarm_class=alarm.spec.alarm_class,
        rule=delay.rule,
        to_state=DELAY_RESTARTED,
        zone=alarm.zone,
        detail={"seconds": delay.left_s},
    )
