"""Which alarms demand which outputs. An output is active while at least one alarm demands it.

| output | demanded while the alarm is active or latched, and |
|---|---|
| siren | not silenced, not suppressed |
| buzzer | not acknowledged, not silenced, not suppressed |
| strobe, lamp | not suppressed |
| relay, valve, cut-off | always: no key takes protection away, a reset does |
| any | not in a drill without linkage |
| health | the other way round: active unless an alarm is linked to it and active or latched |

Design section 5: ack stops buzzers and never evacuation sounders; sirens stop by silence or reset.
After a restart a cut-off with a latch stays cut: until all alarm memory has come, no cut-off and no
valve is told to restore; it stays as it was claimed or left, and an alarm still cuts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.core.alarm import Alarm
from agent.core.effects import AlarmState
from agent.core.spec import Linkage, OutputKind, OutputSpec

SOUNDERS = frozenset({OutputKind.SIREN, OutputKind.BUZZER})
_INDICATORS = SOUNDERS | {OutputKind.STROBE, OutputKind.LAMP}

HELD = frozenset({OutputKind.CUT_OFF, OutputKind.VALVE})
"""What is not told to restore before all alarm memory has come."""

AT_START = "start"
"""The cause of an output's first setting when no alarm demands it."""


def demands(alarm: Alarm, kind: OutputKind) -> bool:
    """Return whether `alarm`, as it is now, demands an output of `kind` (the table above)."""
    if alarm.state in (AlarmState.NORMAL, AlarmState.RETURNED_UNACKED):
        return False
    if alarm.is_dry:
        return False
    if alarm.is_suppressed and kind in _INDICATORS:
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


class _Output:
    __slots__ = ("demanded_by", "id", "is_active", "is_held", "kind")

    def __init__(self, spec: OutputSpec, *, is_held: bool) -> None:
        self.id = spec.id
        self.kind = spec.kind
        self.is_held = is_held
        """It may be made active and not inactive."""
        self.demanded_by: dict[str, None] = {}
        self.is_active = self.wanted()

    def wanted(self) -> bool:
        """Whether it should be active now."""
        return bool(self.demanded_by) is not (self.kind is OutputKind.HEALTH)


class Demands:
    """The demands on every output of a site."""

    def __init__(
        self,
        outputs: Iterable[OutputSpec],
        linkages: Iterable[Linkage],
        alarms: Iterable[Alarm],
        *,
        holds_cuts: bool = False,
    ) -> None:
        """`holds_cuts`: no output of `HELD` is made inactive until `let_go`."""
        self._outputs = {
            spec.id: _Output(spec, is_held=holds_cuts and spec.kind in HELD) for spec in outputs
        }
        named = tuple(linkages)
        self._of_alarm = {
            alarm.spec.id: tuple(
                self._outputs[output]
                for output in dict.fromkeys(
                    output for each in named if is_linked(each, alarm) for output in each.outputs
                )
                if output in self._outputs
            )
            for alarm in alarms
        }

    def every(self) -> Iterator[tuple[str, bool, str]]:
        """Yield each output with whether it should be active and the cause; not what is held."""
        for output in self._outputs.values():
            output.is_active = output.wanted()
            if output.is_active or not output.is_held:
                yield output.id, output.is_active, next(iter(output.demanded_by), AT_START)

    def let_go(self) -> Iterator[tuple[str, str]]:
        """Hold nothing any more; yield each held output that has to become inactive, and the cause."""
        for output in self._outputs.values():
            if output.is_held:
                output.is_held = False
                if not output.is_active:
                    yield output.id, AT_START

    def update(self, alarm: Alarm) -> Iterator[tuple[str, bool]]:
        """Take up what `alarm` demands now; yield each output that has to change, with its new state."""
        rule = alarm.spec.id
        for output in self._of_alarm[rule]:
            if demands(alarm, output.kind):
                output.demanded_by[rule] = None
            else:
                output.demanded_by.pop(rule, None)
            wanted = output.wanted()
            if wanted is not output.is_active:
                output.is_active = wanted
                if wanted or not output.is_held:
                    yield output.id, wanted

    def share_sounder(self, one: Alarm, other: Alarm) -> bool:
        """Return whether the two alarms are linked to a common siren or buzzer."""
        mine = self._of_alarm[one.spec.id]
        return any(
            output.kind in SOUNDERS and output in mine for output in self._of_alarm[other.spec.id]
        )
