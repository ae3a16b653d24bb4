"""Which alarms make which outputs active, through the linkages of the site.

What an alarm asks of an output, by what the output is:

| output | demanded while the alarm is active or latched, and |
|---|---|
| siren | not silenced, not suppressed |
| buzzer | not acknowledged, not silenced, not suppressed |
| strobe, lamp | not suppressed |
| relay, valve, cut-off | always: no key takes protection away, a reset does |
| any | not in a drill without linkage |
| health | the other way round: active unless an alarm is linked to it and active or latched |

Design section 5: ack stops buzzers and never evacuation sounders; sirens stop by silence or reset.
A linkage acts when enough alarms decided by different points ask for it, after its delay, and on relays
and valves only while the site is in `auto` mode, unless it says otherwise. What it made active stays so
while it is asked for: neither a change of mode nor a lost detector takes protection away.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from agent.core.alarm import Alarm
from agent.core.effects import AlarmState
from agent.core.output import Output
from agent.core.spec import AlarmClass, Linkage, OutputKind, Pattern

SOUNDERS = frozenset({OutputKind.SIREN, OutputKind.BUZZER})
SHOWING = SOUNDERS | {OutputKind.STROBE, OutputKind.LAMP}
"""What warns people."""
EQUIPMENT = frozenset({OutputKind.RELAY, OutputKind.VALVE})
"""What waits in manual mode. A cut-off does not: it only ever takes power away."""

DELAY = "delay"
MANUAL = "manual"
"""Codes of what a linkage waits for."""


def demands(alarm: Alarm, kind: OutputKind) -> bool:
    """Return whether `alarm`, as it is now, demands an output of `kind` (the table above)."""
    if alarm.state in (AlarmState.NORMAL, AlarmState.RETURNED_UNACKED):
        return False
    if alarm.is_dry:
        return False
    if alarm.is_suppressed and kind in SHOWING:
        return False
    if alarm.is_silenced and kind in SOUNDERS:
        return False
    return not (kind is OutputKind.BUZZER and alarm.state.is_acked)


def is_linked(linkage: Linkage, alarm: Alarm) -> bool:
    """Return whether every filled field of `linkage` names `alarm`."""
    return (
        (not linkage.rules or alarm.spec.id in linkage.rules)
        and (not linkage.classes or alarm.spec.alarm_class in linkage.classes)
        and (not linkage.zones or alarm.zone in linkage.zones)
    )


class Link:
    """One linkage on one of its outputs."""

    __slots__ = ("asking", "is_effective", "output", "since_s", "spec", "unseen", "waits_for")

    def __init__(self, spec: Linkage, output: Output) -> None:
        self.spec = spec
        self.output = output
        self.asking: dict[str, Alarm] = {}
        """The alarms that ask for the output, by rule, oldest first."""
        self.unseen: set[str] = set()
        """Those of them that are active and not acknowledged."""
        self.since_s = inf
        """Since when enough of them do."""
        self.is_effective = False
        self.waits_for = ""
        """What it waits for though enough of them do, or nothing."""

    def update(self, alarm: Alarm) -> bool:
        """Take up what `alarm` asks now; return whether it asks anew: not before, or raised again."""
        rule = alarm.spec.id
        if not demands(alarm, self.output.spec.kind):
            self.asking.pop(rule, None)
            self.unseen.discard(rule)
            return False
        is_new = rule not in self.asking
        self.asking[rule] = alarm
        if alarm.state is not AlarmState.ACTIVE_UNACKED:
            self.unseen.discard(rule)
        elif rule not in self.unseen:
            self.unseen.add(rule)
            is_new = True
        return is_new

    def decide(self, at_s: float, *, is_manual: bool, was_running: bool) -> None:
        """Decide whether it acts at monotonic `at_s`.

        `was_running`: its output was active before a restart, so nothing is waited for anew.
        """
        self.waits_for = ""
        # Once it acts, it does so while anybody asks: a detector that is reset takes nothing away.
        if not self.asking or not (self.is_effective or was_running or self._are_enough()):
            self.since_s, self.is_effective = inf, False
            return
        self.since_s = min(self.since_s, at_s)
        if self.is_effective:
            return
        if was_running:
            self.is_effective = True
        elif at_s < self.due_s():
            self.waits_for = DELAY
        elif is_manual and self.output.spec.kind in EQUIPMENT and not self.spec.acts_in_manual:
            self.waits_for = MANUAL
        else:
            self.is_effective = True

    def due_s(self) -> float:
        """Return when its delay is over."""
        return self.since_s if self._is_called() else self.since_s + self.spec.delay_s

    def first_rule(self) -> str:
        """Return the rule that has asked for the longest time, of those that ask."""
        return next(iter(self.asking))

    def classes(self) -> set[AlarmClass]:
        """Return the classes of the alarms that ask."""
        return {alarm.spec.alarm_class for alarm in self.asking.values()}

    def _are_enough(self) -> bool:
        return len({alarm.point for alarm in self.asking.values()}) >= self.spec.needs

    def _is_called(self) -> bool:
        """Whether a manual call point says that there is no time to lose."""
        return any(alarm.spec.is_call_point or alarm.is_called for alarm in self.asking.values())


def pattern_of(named: tuple[tuple[AlarmClass, Pattern], ...], links: Iterable[Link]) -> Pattern:
    """Return the pattern of the most urgent class that demands an output by one of `links`."""
    if not named:
        return Pattern.STEADY
    asked = {each for link in links if link.is_effective for each in link.classes()}
    urgent = min(asked, key=lambda each: each.rank, default=None)
    return next((how for each, how in named if each is urgent), Pattern.STEADY)
