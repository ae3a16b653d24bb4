"""The effects of one call, gathered by kind and handed out in the order the shell carries them out."""

from __future__ import annotations

from agent.core.alarm import Alarm
from agent.core.effects import Effect, Event, Record, SetOutput, ShowAlarm
from agent.core.spec import Pattern


class Gathering:
    """Effects of one call. Outputs first, disk second, cloud last; each kind in the order it came."""

    __slots__ = ("now_s", "outputs", "records", "shown", "states", "telemetry")

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        """The monotonic time of the call."""
        self.outputs: dict[str, SetOutput] = {}
        self.records: list[Effect] = []
        self.telemetry: list[Effect] = []
        self.states: list[Effect] = []
        self.shown: dict[str, Alarm] = {}
        """Alarms to show, once each, as they are at the end of the call."""

    def set_output(
        self, output: str, is_active: bool, cause: str, pattern: Pattern = Pattern.STEADY
    ) -> None:
        """Add an output that changes; a change back within the same call is none."""
        before = self.outputs.pop(output, None)
        if before is None or before.is_active is is_active:
            self.outputs[output] = SetOutput(
                output=output, is_active=is_active, cause=cause, pattern=pattern
            )

    def record(self, event: Event) -> None:
        """Add an event."""
        self.records.append(Record(event=event))

    def show(self, alarm: Alarm) -> None:
        """Add an alarm whose retained state is out of date."""
        self.shown[alarm.spec.id] = alarm

    def in_order(self) -> list[Effect]:
        """Return all of them in the order to carry out."""
        effects: list[Effect] = [
            *self.outputs.values(),
            *self.records,
            *self.telemetry,
            *self.states,
        ]
        effects.extend(ShowAlarm(alarm=alarm.view(self.now_s)) for alarm in self.shown.values())
        return effects
