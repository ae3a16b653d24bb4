"""When a reading becomes telemetry, and when it refreshes the retained state of its point."""

from __future__ import annotations

from math import inf
from typing import TypeGuard

from agent.core.spec import PointSpec, TelemetryMode, TelemetryPolicy
from drivers.reading import Reading, Value

STATE_INTERVAL_S = 30.0
"""Retained states of measurements are refreshed at most this often (design section 8, state/<point>)."""


def has_changed(before: Value | None, after: Value | None, deadband: float) -> bool:
    """Return whether two values differ; numbers by at least `deadband`, in the point's unit."""
    # Without deadband any difference counts; contacts and words know no deadband.
    if before == after and type(before) is type(after):
        return False
    if is_measurement(before) and is_measurement(after):
        # Written so that a difference that is no number (NaN) counts as change.
        return not abs(after - before) < deadband
    return True


def is_measurement(value: Value | None) -> TypeGuard[float | int]:
    """Return whether `value` is a number; a contact, a word or nothing is not."""
    return isinstance(value, float | int) and not isinstance(value, bool)


class TelemetryGate:
    """Lets the readings of one point through that its policy wants stored. `none` wants none."""

    __slots__ = (
        "_deadband",
        "_due_s",
        "_interval_s",
        "_last",
        "is_closed",
        "is_open",
        "takes_change",
    )

    def __init__(self, policy: TelemetryPolicy) -> None:
        self.is_open = policy.mode is TelemetryMode.EVERY
        self.is_closed = policy.mode is TelemetryMode.NONE
        self.takes_change = policy.mode is TelemetryMode.CHANGE
        self._deadband = policy.deadband
        self._interval_s = policy.interval_s
        self._due_s = -inf
        self._last: Reading | None = None

    def passes(self, reading: Reading, at_s: float) -> bool:
        """Return whether to store `reading`, taken at monotonic `at_s`; a yes is remembered."""
        if self.is_open:
            return True
        if self.is_closed:
            return False
        last = self._last
        if last is not None and at_s < self._due_s and last.quality is reading.quality:
            if last.value is reading.value or not self.takes_change:
                return False
            if not has_changed(last.value, reading.value, self._deadband):
                return False
        self._last = reading
        # An interval keeps its beat; after a change, a pause or the first reading it starts anew.
        is_beat = not self.takes_change and self._due_s <= at_s < self._due_s + self._interval_s
        self._due_s = (self._due_s if is_beat else at_s) + self._interval_s
        return True


class StateGate:
    """Lets the readings of one point through that refresh its retained state."""

    __slots__ = ("_deadband", "_due_s", "_last")

    def __init__(self, spec: PointSpec) -> None:
        self._deadband = spec.state_deadband
        self._due_s = -inf
        self._last: Reading | None = None

    def passes(self, reading: Reading, at_s: float) -> bool:
        """Return whether to show `reading`, taken at monotonic `at_s`; a yes is remembered."""
        last = self._last
        if last is not None and last.quality is reading.quality:
            if last.value is reading.value:
                return False
            if not has_changed(last.value, reading.value, self._deadband):
                return False
            # A contact or a word that changed is shown at once.
            if at_s < self._due_s and is_measurement(reading.value):
                return False
        self._last = reading
        self._due_s = at_s + STATE_INTERVAL_S
        return True
