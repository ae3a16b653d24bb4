"""Switches outputs: a worker each, so that none waits for another; verified by reading back.

What is asked is remembered, not queued: the latest wish wins. A wish that cannot be fulfilled is
tried again for as long as it stands, and its output's `<id>.health` point is false meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from types import MappingProxyType

from agent.core.effects import Event, EventKind, SetOutput
from agent.core.spec import OutputKind, OutputSpec, Pattern
from agent.local.view import OutputView
from drivers.backoff import Backoff
from drivers.base import Emit, OutputLine
from drivers.clock import Clock
from drivers.errors import DriverError
from drivers.reading import Quality, Reading
from drivers.tasks import TaskGroup

_log = logging.getLogger(__name__)

FAILED = "failed"
"""State in output events: what was asked could not be done or is not what is read back."""


class StopState(StrEnum):
    """What an output is left in when the agent stops in good order."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    HOLD = "hold"
    """As it is; what the hardware makes of it without the agent is the hardware's affair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """Times of the workers."""

    timeout_s: float = 2.0
    """For one write or read, or as long as the line says it may take (OutputLine.longest_s)."""
    verify_s: float = 5.0
    """How often an output at rest is read back and its health told (reliability note: mismatch found
    within 5 s)."""
    retry_first_s: float = 0.1
    retry_cap_s: float = 5.0
    pulse_slack_s: float = 1.0
    """How much longer than asked a pulse may last before it counts as stuck."""


def state_point(output: str) -> str:
    """Return the id of the point that says what an output with a feedback point was made to be."""
    return f"{output}.active"


def health_point(output: str) -> str:
    """Return the id of the point that says whether an output does what is asked."""
    return f"{output}.health"


class Outputs:
    """All outputs of the site."""

    def __init__(
        self,
        specs: tuple[OutputSpec, ...],
        lines: Mapping[str, OutputLine],
        clock: Clock,
        emit: Emit,
        record: Callable[[Event], object],
        at_stop: Mapping[str, StopState],
        *,
        beat: Callable[[str], None] = lambda _: None,
        limits: OutputLimits | None = None,
    ) -> None:
        """`beat` is called with the output's id each round of its worker, for the watchdog.

        `at_stop` names what differs from the default: hold, but inactive for a health output, which
        must not tell that a stopped agent is well.

        Raises:
            ValueError: an output has no line.
        """
        missing = [each.id for each in specs if each.id not in lines]
        if missing:
            raise ValueError(f"no line for {', '.join(missing)}")
        limits = limits or OutputLimits()
        self._workers = {
            each.id: _Worker(
                each,
                lines[each.id],
                clock,
                emit,
                record,
                at_stop.get(
                    each.id,
                    StopState.INACTIVE if each.kind is OutputKind.HEALTH else StopState.HOLD,
                ),
                beat,
                limits,
            )
            for each in specs
        }

    def set(self, wish: SetOutput) -> None:
        """Ask for a state; never waits. The latest wish for an output wins.

        Raises:
            KeyError: no such output.
        """
        self._workers[wish.output].ask(wish)

    async def run(self) -> None:
        """Work until cancelled."""
        async with TaskGroup() as tasks:
            for output, worker in self._workers.items():
                tasks.create_task(worker.run(), name=f"output {output}")

    async def release(self, deadline_s: float, *, holds_all: bool = False) -> tuple[str, ...]:
        """Leave every output in its stop state (as it is with `holds_all`) and take no more wishes.

        Returns the outputs that could not be brought there within `deadline_s` seconds. May be
        called while `run` is still going or after it, and again without `holds_all`.
        """
        for worker in self._workers.values():
            worker.is_released = True
            worker.must_hold = holds_all
        try:
            async with asyncio.timeout(deadline_s), TaskGroup() as tasks:
                for output, worker in self._workers.items():
                    tasks.create_task(worker.leave(), name=f"release {output}")
        except TimeoutError:
            pass
        left = tuple(output for output, worker in self._workers.items() if not worker.is_left)
        if left:
            _log.error("outputs not in their stop state: %s", ", ".join(left))
        return left

    def views(self) -> tuple[OutputView, ...]:
        """Return every output as it is now."""
        return tuple(worker.view() for worker in self._workers.values())


class _Worker:
    """One output: what is asked of it, and what it was last seen to be."""

    def __init__(
        self,
        spec: OutputSpec,
        line: OutputLine,
        clock: Clock,
        emit: Emit,
        record: Callable[[Event], object],
        at_stop: StopState,
        beat: Callable[[str], None],
        limits: OutputLimits,
    ) -> None:
        self._spec = spec
        self._line = line
        self._clock = clock
        self._emit = emit
        self._record = record
        self._at_stop = at_stop
        self._beat = beat
        self._limits = limits
        self._backoff = Backoff(limits.retry_first_s, limits.retry_cap_s)
        self._wish: SetOutput | None = None
        self._is_written = False
        self._began_s = 0.0
        """When the present wish was asked, for its pattern."""
        self._level = False
        """What was last written for it."""
        self._pulse_ends_s: float | None = None
        """When the pulse that the present wish asked for is over for sure; None before it is confirmed."""
        self._timeout_s = max(limits.timeout_s, line.longest_s)
        self._wake = asyncio.Event()
        self._writing: asyncio.Timeout | None = None
        """The limit of the write under way; a newer, opposite wish ends it at once."""
        self._on_line = asyncio.Lock()
        self._is_active: bool | None = None
        self._told = ""
        self._fault = ""
        self._failures = 0
        self.is_released = False
        self.must_hold = False
        """Whatever its stop state is: another agent takes it over at once."""
        self.is_left = False

    def ask(self, wish: SetOutput) -> None:
        if self.is_released:
            return
        before = self._wish
        self._wish = wish
        if (
            before is None
            or before.is_active is not wish.is_active
            or before.pattern is not wish.pattern
        ):
            self._is_written = False
            self._began_s = self._clock.mono_s()
            self._pulse_ends_s = None
            self._wake.set()
            if self._writing is not None and not self._writing.expired():
                self._writing.reschedule(0.0)  # what is under way is no longer wanted

    def view(self) -> OutputView:
        return OutputView(
            spec=self._spec,
            is_demanded=self._wish is not None and self._wish.is_active,
            is_active=self._is_active,
            fault=self._fault,
            failures=self._failures,
        )

    async def run(self) -> None:
        while True:
            self._beat(self._spec.id)
            self._wake.clear()
            wish = self._wish
            wait_s = self._limits.verify_s
            if wish is not None and not self.is_released:
                problem = await self._fulfil(wish)
                if problem is None:
                    continue  # a newer wish does not wait for the pause of this one
                if problem:
                    self._failed(wish, problem)
                    wait_s = self._backoff.next_s()
                else:
                    self._backoff.reset()
                    self._succeeded(wish)
                    wait_s = min(wait_s, self._phase(wish)[1])
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def leave(self) -> None:
        """Bring the output to its stop state, however often it takes."""
        if self._at_stop is not StopState.HOLD and not self.must_hold:
            is_active = self._at_stop is StopState.ACTIVE
            wish = SetOutput(output=self._spec.id, is_active=is_active, cause="stop")
            while True:
                async with self._on_line:
                    problem = await self._attempt(is_active, must_write=True)
                if not problem:
                    break
                self._failed(wish, problem)
                await asyncio.sleep(self._limits.retry_first_s)
            self._succeeded(wish)
        self.is_left = True

    async def _fulfil(self, wish: SetOutput) -> str | None:
        """Return what went wrong, empty when nothing, None when the wish no longer stands."""
        async with self._on_line:
            if self.is_released:
                return None
            level = self._phase(wish)[0]
            must_write = not self._is_written or level is not self._level
            self._level = level
            problem = await self._attempt(level, must_write=must_write)
        current = self._wish
        if self.is_released or current is None or current.is_active is not wish.is_active:
            return None
        if not problem and not level:
            self._is_active = wish.is_active  # the rests of its pattern are part of being active
        # A pulse that was confirmed is not given again because its read back failed.
        has_pulsed = wish.is_active and self._pulse_ends_s is not None
        self._is_written = not problem or has_pulsed
        return problem

    async def _attempt(self, is_active: bool, *, must_write: bool) -> str:
        """Write if needed and read back; return what went wrong, empty when nothing."""
        energised = is_active is self._spec.is_energised_when_active
        try:
            if must_write:
                await self._write(energised)
                self._expect_end(is_active)
            async with asyncio.timeout(self._timeout_s):
                seen = await self._line.read_back()
            if seen and self._is_pulse_overdue(is_active):
                async with asyncio.timeout(self._timeout_s):
                    await self._line.write(False)
        except TimeoutError:
            problem = "timeout"
        except DriverError as error:
            problem = error.message
        except asyncio.CancelledError:
            # A library below may let its own cancellation out: the worker must outlive that.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            problem = "given up by its line"
        except Exception as error:  # noqa: BLE001 - a bug in one line's driver harms this output only
            if not self._fault:
                _log.exception("output %s: its line failed unexpectedly", self._spec.id)
            problem = type(error).__name__
        else:
            self._is_active = seen is self._spec.is_energised_when_active
            if self._spec.pulse_s and is_active:
                return "its pulse did not end" if seen and self._is_pulse_overdue(is_active) else ""
            return "" if seen is energised else f"read back {_word(self._is_active)}"
        self._is_active = None
        return problem

    def _phase(self, wish: SetOutput) -> tuple[bool, float]:
        """Return whether to be active in the present phase of its pattern, and its end in seconds."""
        if not wish.is_active:
            return False, inf
        return phase_of(wish.pattern, self._clock.mono_s() - self._began_s)

    async def _write(self, energised: bool) -> None:
        try:
            async with asyncio.timeout(self._timeout_s) as self._writing:
                await self._line.write(energised)
        finally:
            self._writing = None

    def _expect_end(self, is_active: bool) -> None:
        """Note when a pulse just started has to be over."""
        if self._spec.pulse_s and is_active:
            lasts_s = self._spec.pulse_s + self._limits.pulse_slack_s
            self._pulse_ends_s = self._clock.mono_s() + lasts_s

    def _is_pulse_overdue(self, is_active: bool) -> bool:
        ends_s = self._pulse_ends_s
        return is_active and ends_s is not None and self._clock.mono_s() > ends_s

    # -- telling -------------------------------------------------------------------------------------

    def _succeeded(self, wish: SetOutput) -> None:
        if self._fault:
            _log.warning("output %s does what is asked again", self._spec.id)
        self._fault = ""
        self._tell_health("")
        if self._spec.has_feedback:
            self._tell_point(state_point(self._spec.id), wish.is_active, "")
        state = _word(wish.is_active)
        # That an output rests after the start is no transition.
        if state != self._told and (self._told or wish.is_active):
            self._tell(state, wish.cause, "")
        self._told = state

    def _failed(self, wish: SetOutput, problem: str) -> None:
        self._failures += 1
        if not self._fault:
            _log.error("output %s failed: %s", self._spec.id, problem)
        self._fault = problem
        self._tell_health(problem)
        if self._told != FAILED:
            self._tell(FAILED, wish.cause, problem)
        self._told = FAILED

    def _tell_health(self, problem: str) -> None:
        self._tell_point(health_point(self._spec.id), not problem, problem)

    def _tell_point(self, point: str, value: bool, reason: str) -> None:
        self._emit(
            (
                Reading(
                    point=point,
                    value=value,
                    quality=Quality.GOOD,
                    unit="",
                    at=self._clock.stamp(),
                    reason=reason,
                ),
            )
        )

    def _tell(self, state: str, cause: str, reason: str) -> None:
        self._record(
            Event(
                kind=EventKind.OUTPUT,
                subject=self._spec.id,
                at=self._clock.stamp(),
                rule=cause,
                from_state=self._told,
                to_state=state,
                reason=reason,
                zone=self._spec.zone,
            )
        )


PATTERNS: Mapping[Pattern, tuple[float, ...]] = MappingProxyType(
    {
        Pattern.PULSED: (1.0, 1.0),
        Pattern.TEMPORAL_3: (0.5, 0.5, 0.5, 0.5, 0.5, 1.5),
    }
)
"""Seconds on and off in turn, from the start. Temporal-3: ISO 8201:2017, the audible evacuation signal."""


def phase_of(pattern: Pattern, for_s: float) -> tuple[bool, float]:
    """Return whether a pattern that began `for_s` seconds ago is on, and for how many seconds still."""
    phases = PATTERNS.get(pattern)
    if phases is None:
        return True, inf
    left_s = for_s % sum(phases)
    for index, lasts_s in enumerate(phases):
        if left_s < lasts_s:
            return index % 2 == 0, lasts_s - left_s
        left_s -= lasts_s
    return True, phases[0]  # rounding: the next round begins


def _word(is_active: bool) -> str:
    return "active" if is_active else "inactive"
