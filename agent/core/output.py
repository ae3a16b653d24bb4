"""What one output should be, and when that changes though no alarm did.

Precedence: an interlock, then the longest time active, then demands, restoring and tests; a demand that
may not start yet (its rest, its turn) waits. Nothing here switches anything: it decides.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from agent.core.spec import OutputKind, OutputSpec, Pattern
from agent.core.watching import Truth

INTERLOCK = "interlock"
MAX_ON_TIME = "max_on_time"
"""Codes of what keeps an output at rest though it is demanded."""


class StartQueue:
    """Whose turn it is where loads are switched in one after another."""

    def __init__(self) -> None:
        self._free_s = -inf

    def wait_s(self, at_s: float, stagger_s: float) -> float:
        """Return when a load may start; at `at_s` it starts and the next one waits `stagger_s`."""
        if at_s < self._free_s:
            return self._free_s
        self._free_s = at_s + stagger_s
        return at_s


class Output:
    """One output: what is asked of it and what it was told to be."""

    def __init__(
        self, spec: OutputSpec, queue: StartQueue, *, is_held: bool, may_run_on: bool = False
    ) -> None:
        self.spec = spec
        self._queue = queue
        self.is_held = is_held
        """It may be made active and not inactive: alarms may still be remembered."""
        self.may_run_on = may_run_on
        """It was told nothing yet, and runs perhaps: alarms may still be remembered."""
        self.is_demanded: Callable[[], bool] = lambda: False
        self.forbids: Callable[[], Truth] = lambda: False
        """Whether its interlock forbids it."""
        self.is_cut = False
        """It was active and waits for a person to restore it."""
        self.test_until_s = -inf
        self.pulse_until_s = -inf
        """A reset line takes supply away until then."""
        self.is_sign = False
        """The state of the box that it shows is there."""
        self.refusal = ""
        """Why it rests though it is asked for, or nothing."""
        # A line is claimed de-energised: what cuts by dropping out is cut until its turn has come.
        is_cut_at_first = not spec.is_energised_when_active and spec.stagger_s > 0
        self.is_active = spec.kind is OutputKind.HEALTH or is_cut_at_first
        self.pattern = Pattern.STEADY
        """How it was last told to move."""
        self._since_s = -inf
        """When it was last told to change."""
        self._asked_s = -inf
        """When its longest time active began anew."""
        self._is_spent = False
        self._was_demanded = False
        self.was_running = False
        """It was active before this run, and memory of why may still come."""
        self.is_told = False
        """It was told in this run what to be."""
        self.due_s = inf
        """When to decide again."""

    def asked_anew(self, at_s: float) -> None:
        """Let it be active for its longest time once more: what warns people must not miss a new alarm.

        Nor equipment its first one.
        """
        self._is_spent = False
        self._asked_s = at_s

    def begins_to_rest(self, at_s: float) -> None:
        """Count its shortest rest from now: it ran from before this run."""
        self._since_s = at_s

    def decide(self, at_s: float) -> bool:
        """Return whether it should be active at monotonic `at_s`, and set `due_s` and `refusal`."""
        self.due_s, self.refusal = inf, ""
        wanted = self._wanted(at_s)
        if wanted is not self.is_active and self._starts_a_load(wanted) and not self._runs_on:
            turn_s = self._queue.wait_s(at_s, self.spec.stagger_s)
            if turn_s > at_s:
                self.due_s = min(self.due_s, turn_s)
                return self.is_active
        if wanted is not self.is_active:
            self._since_s = at_s
        if wanted and self.spec.max_on_s:
            self.due_s = min(self.due_s, self._longest_s())
        return wanted

    def _wanted(self, at_s: float) -> bool:
        spec = self.spec
        if spec.kind is OutputKind.HEALTH:
            return not self.is_demanded()
        is_demanded = self.is_demanded()
        if is_demanded and not self._was_demanded:
            self.asked_anew(at_s)  # what a test used up of its longest time counts for nothing
        self._was_demanded = is_demanded
        ends_s = max(self.test_until_s, self.pulse_until_s)
        is_tested = at_s < ends_s
        if is_tested:
            self.due_s = ends_s
        if is_demanded and spec.is_restored_by_hand:
            self.is_cut = True
        if not (is_demanded or self.is_cut or is_tested or self.is_sign):
            self._is_spent = False
            return False
        forbidden = self.forbids()
        if forbidden or (forbidden is None and not (self.is_active or self._runs_on)):
            self.refusal = INTERLOCK
            return False
        if self.is_active and spec.max_on_s and at_s >= self._longest_s():
            self._is_spent = True
        if self._is_spent:
            self.refusal = "" if spec.is_start_pulse else MAX_ON_TIME
            return False
        if not self.is_active and at_s < self._since_s + spec.min_off_s:
            self.due_s = self._since_s + spec.min_off_s
            return False
        return True

    def _longest_s(self) -> float:
        return max(self._since_s, self._asked_s) + self.spec.max_on_s

    @property
    def _runs_on(self) -> bool:
        """Whether it is active still from before this run, though nothing here has told it to be."""
        return self.was_running and not self.is_told

    def _starts_a_load(self, wanted: bool) -> bool:
        return self.spec.stagger_s > 0 and wanted is self.spec.is_energised_when_active
