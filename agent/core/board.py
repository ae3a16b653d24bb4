"""All alarms of a site: moves them, records each move, and keeps demands and suppression in step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.agenda import Agenda
from agent.core.alarm import ALWAYS_LATCHED, Alarm, truth_given
from agent.core.conditions import Truth, points_of
from agent.core.effects import AlarmState, Event, EventKind
from agent.core.gathering import Gathering
from agent.core.linkage import Demands
from agent.core.memory import SILENCED, UNSILENCED, AlarmMemory
from agent.core.spec import AlarmClass, SiteSpec
from agent.core.transitions import Given, Situation
from drivers.clock import Stamp
from drivers.reading import Reading

RULE_FAILED = "rule_failed"
RULE_REMOVED = "rule_removed"
NEW_ALARM = "new_alarm"
_MARK_OF_FAILURE = ("failed", "recovered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why an alarm is moved: a reading or the passing of time, or a person."""

    at: Stamp
    """The stamp its events carry."""
    at_s: float
    """Monotonic time the alarm is told: that of `at`, but never ahead of now."""
    actor: str = ""
    code: str = ""
    reason: str = ""
    command: str = ""
    """The command's name; empty when no person asked."""


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
        self._tie_families()
        self._demands = Demands(
            site.outputs, site.linkages, self.alarms.values(), holds_cuts=not is_memory_whole
        )
        self._silenced: dict[str, Alarm] = {}
        self.transitions: Counter[tuple[AlarmClass, str]] = Counter()
        self.removed: dict[str, AlarmMemory] = {}
        """Remembered alarms of rules this site no longer has, until `start` tells of them."""

    def start(self, cause: Cause, out: Gathering) -> None:
        """Show every alarm, tell of rules that are gone, suppress what remembered alarms hide."""
        for alarm in self.alarms.values():
            if alarm.state is AlarmState.NORMAL:
                alarm.since = cause.at
            out.show(alarm)
            self._set_outputs(alarm, cause, out)
        self._end_removed(cause, out)
        for alarm in self.alarms.values():
            self._spread(alarm, False, cause, out)

    def set_every_output(self, out: Gathering) -> None:
        """Set every output once to what is demanded now, whatever was set before.

        What cuts or shuts is not told to restore while alarms may still be remembered.
        """
        out.outputs.clear()
        for output, is_active, why in self._demands.every():
            out.set_output(output, is_active, why)

    def memory_is_whole(self, out: Gathering) -> None:
        """Let go what was held because an alarm might still have been remembered."""
        for output, why in self._demands.let_go():
            out.set_output(output, False, why)

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
        self._silenced.pop(memory.rule, None)
        if alarm.is_silenced:
            self._silenced[memory.rule] = alarm
        return alarm

    def merge(self, memory: AlarmMemory, cause: Cause, out: Gathering) -> None:
        """Take up a memory that came after the start, with its outputs and children."""
        alarm = self.alarms.get(memory.rule)
        was_active = alarm is not None and alarm.state.is_active
        alarm = self.recall(memory)
        self._end_removed(cause, out)
        if alarm is None:
            return
        self._set_outputs(alarm, cause, out)
        out.show(alarm)
        self._spread(alarm, was_active, cause, out)
        if alarm.state.is_active:
            alarm.truth = self._looked_at_again(alarm)
        self._move(alarm, truth_given(alarm.truth), cause, out)

    def learn(self, alarm: Alarm, truth: Truth, cause: Cause, out: Gathering) -> None:
        """Tell an alarm the truth of its condition; a delay over before then has been run out."""
        if alarm.truth is not truth:
            if (alarm.truth is None) is not (truth is None):
                out.show(alarm)
            alarm.truth = truth
        self._move(alarm, truth_given(truth), cause, out)

    def run_out(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """End the running delay of an alarm if it is over."""
        if alarm.is_over(cause.at_s):
            self._move(alarm, _over(alarm), cause, out)
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
        self._move(alarm, given, cause, out)
        return ""

    def _move(self, alarm: Alarm, given: Given, cause: Cause, out: Gathering) -> None:
        state, was_pending = alarm.state, alarm.is_pending
        alarm.take(given, cause.at_s)
        while alarm.is_over(cause.at_s):
            alarm.take(_over(alarm), cause.at_s)  # a delay of none is over at once
        self._agenda.call(alarm, alarm.deadline_s)
        if alarm.is_pending is not was_pending:
            out.show(alarm)
        if alarm.state is not state:
            self._tell(alarm, state, cause, out)
        self._spread(alarm, state.is_active, cause, out)

    def _tell(self, alarm: Alarm, before: AlarmState, cause: Cause, out: Gathering) -> None:
        """Record a change of state and bring everything that hangs on it up to date."""
        alarm.has_moved = True
        if cause.actor and alarm.state is not AlarmState.NORMAL:
            alarm.actor = cause.actor
        alarm.since = cause.at
        alarm.decided_by = self._latest.get(alarm.point)
        self.transitions[alarm.spec.alarm_class, alarm.state.value] += 1
        self._set_outputs(alarm, cause, out)
        out.record(self._event(alarm, EventKind.ALARM, before.value, alarm.state.value, cause))
        out.show(alarm)
        if not alarm.is_silenced:
            self._silenced.pop(alarm.spec.id, None)
        if alarm.situation is Situation.B:
            self._end_silence(alarm, cause, out)

    def _end_silence(self, new: Alarm, cause: Cause, out: Gathering) -> None:
        """A new alarm sounds again what was silenced on its sounders in its class or below."""
        for other in tuple(self._silenced.values()):
            is_below = new.spec.alarm_class.rank <= other.spec.alarm_class.rank
            if is_below and self._demands.share_sounder(new, other):
                why = Cause(at=cause.at, at_s=cause.at_s, code=NEW_ALARM, reason=new.spec.id)
                self._silence(other, False, why, out)

    def _silence(self, alarm: Alarm, is_silenced: bool, cause: Cause, out: Gathering) -> None:
        if alarm.is_silenced is is_silenced:
            return
        alarm.is_silenced = is_silenced
        if is_silenced:
            self._silenced[alarm.spec.id] = alarm
        else:
            self._silenced.pop(alarm.spec.id, None)
        self._set_outputs(alarm, cause, out)
        names = (UNSILENCED, SILENCED) if is_silenced else (SILENCED, UNSILENCED)
        out.record(self._event(alarm, EventKind.SILENCE, *names, cause))
        out.show(alarm)

    def _spread(self, alarm: Alarm, was_active: bool, cause: Cause, out: Gathering) -> None:
        """Suppress or release the rules under an alarm that began or ceased to hide them."""
        if alarm.state.is_active is was_active:
            return
        for child in alarm.children:
            is_suppressed = any(parent.state.is_active for parent in child.parents)
            if is_suppressed is child.is_suppressed:
                continue
            child.is_suppressed = is_suppressed
            self._set_outputs(child, cause, out)
            names = ("unsuppressed", "suppressed")
            why = Cause(at=cause.at, at_s=cause.at_s, reason=alarm.spec.id)
            event = self._event(
                child, EventKind.SUPPRESSION, names[not is_suppressed], names[is_suppressed], why
            )
            out.record(event)
            out.show(child)
            if not is_suppressed:
                self._move(child, Given.RELEASED, why, out)

    def _set_outputs(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        for output, is_active in self._demands.update(alarm):
            out.set_output(output, is_active, cause.command or alarm.spec.id)

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

    def _event(self, alarm: Alarm, kind: EventKind, before: str, after: str, cause: Cause) -> Event:
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
        )

    def _looked_at_again(self, alarm: Alarm) -> Truth:
        """Return the truth of a condition that is now known to have held before."""
        try:
            return alarm.watch.look(self._latest)
        except Exception:  # noqa: BLE001 - unknown; the next reading tells that the rule is broken
            return None

    def _tie_families(self) -> None:
        """Tie each alarm to those that may suppress it; fire and gas are tied to none."""
        below: dict[str, list[Alarm]] = {}
        for alarm in self.alarms.values():
            alarm.parents = tuple(self.alarms[name] for name in self._names_above(alarm))
            alarm.order = (len(alarm.parents), alarm.spec.alarm_class.rank)
            for parent in alarm.parents:
                below.setdefault(parent.spec.id, []).append(alarm)
        for name, children in below.items():
            self.alarms[name].children = tuple(sorted(children, key=lambda each: each.order))

    def _names_above(self, alarm: Alarm) -> dict[str, None]:
        """Return the rules above `alarm`, near and far; a circle does not put it above itself."""
        names: dict[str, None] = {}
        ahead = [alarm]
        while ahead:
            spec = ahead.pop().spec
            if spec.alarm_class in ALWAYS_LATCHED:
                continue
            for name in spec.suppressed_by:
                if name in self.alarms and name not in names and name != alarm.spec.id:
                    names[name] = None
                    ahead.append(self.alarms[name])
        return names


def _over(alarm: Alarm) -> Given:
    return Given.DELAY_OVER_HIDDEN if alarm.is_suppressed else Given.DELAY_OVER
