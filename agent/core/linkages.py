"""All outputs of a site with the linkages on them: who demands what, and what that makes of each output.

After a restart a cut-off with a latch stays cut: until all alarm memory has come, no cut-off and no
valve is told to restore; it stays as it was claimed or left, and an alarm still cuts it. Nor is a relay
told to rest before that, unless it was told to be active since: what runs would stop and begin again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import inf

from agent.core.alarm import Alarm
from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.effects import Event
from agent.core.gathering import Gathering
from agent.core.linkage import SHOWING, SOUNDERS, Link, is_linked, pattern_of
from agent.core.memory import CUT, RESTORED, Orders
from agent.core.output import Output, StartQueue
from agent.core.output_events import BLOCKED, WAITING, output_event
from agent.core.spec import LampSign, OutputKind, OutputSpec, Pattern, SiteSpec
from agent.core.watching import Truth

HELD = frozenset({OutputKind.CUT_OFF, OutputKind.VALVE})
"""What is not told to restore before all alarm memory has come."""


AT_START = "start"
"""The cause of an output's first setting when no alarm demands it."""

TEST = "test"


class Linkages:
    """The outputs of a site and the links on them."""

    def __init__(
        self,
        site: SiteSpec,
        alarms: Mapping[str, Alarm],
        appointments: Appointments,
        *,
        holds_cuts: bool,
    ) -> None:
        """`holds_cuts`: no output of `HELD` is made inactive until `let_go`."""
        self.is_manual = False
        self._is_mode_new = False
        """A person ordered the mode in this run."""
        self._newly_cut: set[str] = set()
        """Outputs that began or ceased in this run to wait for a person."""
        self._awaits_memory = holds_cuts
        self._alarms = alarms
        self._appointments = appointments
        queue = StartQueue()
        self.outputs = {
            spec.id: Output(
                spec,
                queue,
                is_held=holds_cuts and (spec.kind in HELD or spec.is_restored_by_hand),
                may_run_on=holds_cuts and _is_running_equipment(spec),
            )
            for spec in site.outputs
        }
        self._links = tuple(
            Link(spec, self.outputs[name])
            for spec in site.linkages
            for name in dict.fromkeys(spec.outputs)
            if name in self.outputs
        )
        self._of_alarm = {
            alarm.spec.id: tuple(link for link in self._links if is_linked(link.spec, alarm))
            for alarm in alarms.values()
        }
        self._on_output: dict[str, list[Link]] = {name: [] for name in self.outputs}
        for link in self._links:
            self._on_output[link.output.spec.id].append(link)
        self._again = {
            name: Appointment(partial(self._decide, output))
            for name, output in self.outputs.items()
        }
        self._link_again = {
            link: Appointment(partial(self._decide_link, link))
            for link in self._links
            if link.spec.delay_s
        }
        self._locked: dict[str, list[Output]] = {}
        for name, output in self.outputs.items():
            links = self._on_output[name]
            output.is_demanded = partial(_is_any_effective, links)
            if output.spec.interlock in alarms:
                lock = alarms[output.spec.interlock]
                output.forbids = partial(_forbids, lock)
                self._locked.setdefault(lock.spec.id, []).append(output)

    # -- what alarms do ---------------------------------------------------------------------------

    def update(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Take up what `alarm` asks now, and set the outputs that change."""
        for link in self._of_alarm[alarm.spec.id]:
            if link.update(alarm) and link.output.spec.kind in SHOWING:
                link.output.asked_anew(cause.at_s)
            self._decide_link(link, cause, out, rule=alarm.spec.id)
        self.unlock(alarm, cause, out)

    def unlock(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Decide anew what an interlock forbids or may forbid."""
        for output in self._locked.get(alarm.spec.id, ()):
            self._decide(output, cause, out)

    def every(self, cause: Cause, out: Gathering) -> None:
        """Set each output once to what is demanded now, whatever was set before; not what is held."""
        for output in self.outputs.values():
            is_active = output.decide(cause.at_s)
            output.is_active = is_active
            output.may_run_on = output.may_run_on and not is_active
            output.is_told = is_active or not (output.is_held or output.may_run_on)
            self._appointments.make(self._again[output.spec.id], output.due_s)
            output.pattern = self.pattern(output) if is_active else Pattern.STEADY
            if output.is_told:
                why = self._why(output, AT_START)
                out.set_output(output.spec.id, is_active, why, output.pattern)
        if not self._awaits_memory:
            self._forget_running()

    def let_go(self, cause: Cause, out: Gathering) -> None:
        """Hold nothing any more; set what was held and need not be active."""
        self._awaits_memory = False
        for output in self.outputs.values():
            if output.may_run_on:
                output.may_run_on, output.is_told = False, True
                if output.was_running:
                    output.begins_to_rest(cause.at_s)
                out.set_output(output.spec.id, False, self._why(output, AT_START))
            if output.is_held:
                output.is_held = False
                if output.is_active:
                    continue
                if output.is_demanded() or output.is_cut:
                    # It may not act yet, and was told nothing so far: it rests until it may.
                    self._decide(output, cause, out)
                    if not output.is_active:
                        out.set_output(output.spec.id, False, self._why(output, AT_START))
                else:
                    output.is_active = True  # it was never told to restore
                    self._decide(output, cause, out)
                output.is_told = True
        self._forget_running()

    def _forget_running(self) -> None:
        for output in self.outputs.values():
            output.was_running = False

    def share_sounder(self, one: Alarm, other: Alarm) -> bool:
        """Return whether the two alarms are linked to a common siren or buzzer."""
        mine = {link.output.spec.id for link in self._of_alarm[one.spec.id]}
        return any(
            link.output.spec.kind in SOUNDERS and link.output.spec.id in mine
            for link in self._of_alarm[other.spec.id]
        )

    def pattern(self, output: Output) -> Pattern:
        """Return how an output moves while active: as the most urgent class asks that demands it."""
        return pattern_of(output.spec.patterns, self._on_output[output.spec.id])

    # -- what people do ---------------------------------------------------------------------------

    @property
    def is_mode_known(self) -> bool:
        """Whether no memory that comes late can say otherwise."""
        return self._is_mode_new or not self._awaits_memory

    def set_mode(self, is_manual: bool, cause: Cause, out: Gathering) -> None:
        """Switch the site to manual or auto; what waited acts at once."""
        self.is_manual, self._is_mode_new = is_manual, True
        for link in self._links:
            self._decide_link(link, cause, out)

    def restore(self, output: Output, cause: Cause, out: Gathering) -> None:
        """End a cut that no alarm asks for any more."""
        output.is_cut = False
        self._newly_cut.add(output.spec.id)
        out.record(self._event(output, CUT, RESTORED, cause, code=RESTORED))
        self._decide(output, cause, out)

    def take_up(self, orders: Orders, cause: Cause, out: Gathering) -> None:
        """Go on with the mode and with the outputs that wait for a person, as before this run.

        What changed in this run is newer than any memory.
        """
        for name, output in self.outputs.items():
            is_awaited = self._awaits_memory or not output.is_told
            output.was_running = is_awaited and name in orders.running
        if not self._is_mode_new and self.is_manual is not orders.is_manual:
            self.is_manual = orders.is_manual
            for link in self._links:
                self._decide_link(link, cause, out)
        for name, output in self.outputs.items():
            is_older = name not in self._newly_cut and not output.is_demanded()
            if output.spec.is_restored_by_hand and is_older:
                output.is_cut = name in orders.cut
                self._decide(output, cause, out)

    def cut(self) -> frozenset[str]:
        """Return the outputs that stay active until a person restores them."""
        return frozenset(name for name, output in self.outputs.items() if output.is_cut)

    def running(self) -> frozenset[str]:
        """Return what is active because alarms ask for it, or asked: not what is tested or shows a state."""
        return frozenset(
            name
            for name, output in self.outputs.items()
            if output.is_active
            and (output.is_demanded() or output.is_cut)
            and output.spec.kind is not OutputKind.HEALTH
        )

    def test(self, output: Output, seconds: float, cause: Cause, out: Gathering) -> None:
        """Make an output active for so long, or end its test (0)."""
        output.test_until_s = cause.at_s + seconds
        self._decide(output, cause, out)

    def pulse(self, output: Output, seconds: float, cause: Cause, out: Gathering) -> None:
        """Make a reset line active for so long."""
        output.pulse_until_s = cause.at_s + seconds
        self._decide(output, cause, out)

    def show_sign(self, sign: LampSign, is_there: bool, cause: Cause, out: Gathering) -> None:
        """Bring the lamps of a state of the box in step with it."""
        for output in self.outputs.values():
            if output.spec.shows is sign and output.is_sign is not is_there:
                output.is_sign = is_there
                self._decide(output, cause, out)

    def is_testing(self, at_s: float) -> bool:
        """Return whether an output is tested."""
        return any(at_s < output.test_until_s for output in self.outputs.values())

    # -- deciding ---------------------------------------------------------------------------------

    def _decide_link(self, link: Link, cause: Cause, out: Gathering, *, rule: str = "") -> None:
        waited_for = link.waits_for
        link.decide(cause.at_s, is_manual=self.is_manual, was_running=link.output.was_running)
        if link.waits_for and link.waits_for != waited_for:
            first, code = link.first_rule(), link.waits_for
            out.record(self._event(link.output, "", WAITING, cause, code=code, rule=first))
        if link in self._link_again:
            due_s = link.due_s()
            self._appointments.make(self._link_again[link], due_s if cause.at_s < due_s else inf)
        self._decide(link.output, cause, out, rule=rule)

    def _decide(self, output: Output, cause: Cause, out: Gathering, *, rule: str = "") -> None:
        refused, was_cut = output.refusal, output.is_cut
        is_active = output.decide(cause.at_s)
        if output.is_cut and not was_cut:
            self._newly_cut.add(output.spec.id)
            out.record(self._event(output, "", CUT, cause, code=CUT, rule=self._why(output, "")))
        if output.refusal and output.refusal != refused:
            why = self._why(output, "")
            out.record(self._event(output, "", BLOCKED, cause, code=output.refusal, rule=why))
        self._appointments.make(self._again[output.spec.id], output.due_s)
        pattern = self.pattern(output) if is_active else Pattern.STEADY
        if is_active is not output.is_active or pattern is not output.pattern:
            output.is_active, output.pattern = is_active, pattern
            if is_active and output.may_run_on:
                output.may_run_on, output.is_told = False, True
            if is_active or not (output.is_held or output.may_run_on):
                why = cause.command or rule or self._why(output, AT_START)
                out.set_output(output.spec.id, is_active, why, pattern)

    def _why(self, output: Output, otherwise: str) -> str:
        """Return the rule that demands an output."""
        links = self._on_output[output.spec.id]
        rules = (link.first_rule() for link in links if link.asking)
        return next(rules, otherwise)

    def _event(
        self, output: Output, before: str, after: str, cause: Cause, *, code: str, rule: str = ""
    ) -> Event:
        alarm = self._alarms.get(rule)
        return output_event(output, before, after, cause, code=code, rule=rule, alarm=alarm)


def _is_running_equipment(spec: OutputSpec) -> bool:
    """Return whether an output may run from before this run and go on; a pulse must end in any case."""
    return spec.kind is OutputKind.RELAY and not spec.resets and not spec.is_start_pulse


def _is_any_effective(links: list[Link]) -> bool:
    return any(each.is_effective for each in links)


def _forbids(lock: Alarm) -> Truth:
    return True if lock.state.is_active else lock.truth
