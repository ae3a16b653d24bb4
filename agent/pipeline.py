"""The sole owner of the engine: readings in, effects out, outputs first.

Everything that arrives (readings, commands, the passing of time) goes through one task. What comes
out is handed on in the order the core gave it: outputs, events, telemetry, what is shown. None of
the hand-overs waits for anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from agent.core.effects import (
    AlarmView,
    Command,
    Effect,
    EventKind,
    Outcome,
    Record,
    SetOutput,
    ShowAlarm,
    ShowState,
    Telemeter,
)
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, AlarmSnapshot, LogPosition, Orders
from agent.outbox.contract import Writer
from drivers.clock import Clock, Stamp
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

QUEUE_READINGS = 50_000
"""Readings that may wait: some minutes of a large site (200 a second); beyond it the oldest go, counted."""

SLICE_READINGS = 500
"""Readings judged before the loop gets a turn, so that a burst cannot starve outputs and edges."""

LONGEST_WAIT_S = 1.0
"""The engine is told the time at least this often, and the watchdog hears of it."""

HEALTH_POINT = "box.pipeline"

_REMEMBERED = frozenset(
    {
        EventKind.ALARM,
        EventKind.SILENCE,
        EventKind.INHIBIT,
        EventKind.DRILL,
        EventKind.MODE,
        EventKind.OUTPUT,
    }
)
"""Events that change what is remembered over a restart."""

COUNTING_S = 60.0
"""While an inhibit, a drill or a long delay runs, what is left of it is saved this often."""


class Outlets(Protocol):
    """Where effects go; none of these waits."""

    def set_output(self, effect: SetOutput) -> None:
        """Ask for an output's new state."""

    def show_state(self, reading: Reading) -> None:
        """Refresh a retained point state."""

    def show_alarm(self, alarm: AlarmView) -> None:
        """Refresh a retained alarm state."""


class Inbox:
    """Readings on their way to the engine: bounded, filled by every bus, emptied by the pipeline."""

    def __init__(self, most_readings: int = QUEUE_READINGS) -> None:
        self._most_readings = most_readings
        self._waiting: deque[Sequence[Reading]] = deque()
        self._waiting_readings = 0
        self.wake = asyncio.Event()
        """Set when there is something to do."""
        self.dropped_readings = 0
        """Readings dropped since start because the queue was full."""

    def post(self, readings: Sequence[Reading]) -> None:
        """Queue readings. Never blocks; a full queue drops its oldest and counts them."""
        if not readings:
            return
        self._waiting.append(readings)
        self._waiting_readings += len(readings)
        while self._waiting_readings > self._most_readings and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._waiting_readings -= len(oldest)
            self.dropped_readings += len(oldest)
        self.wake.set()

    def take(self) -> Sequence[Reading]:
        """Return the oldest block; empty when there is none."""
        if not self._waiting:
            return ()
        readings = self._waiting.popleft()
        self._waiting_readings -= len(readings)
        return readings

    def oldest(self) -> Stamp | None:
        """Return the stamp of the reading that waits longest; None when none waits."""
        return self._waiting[0][0].at if self._waiting else None

    def __len__(self) -> int:
        """Return how many readings wait."""
        return self._waiting_readings


class Pipeline:
    """Feeds the engine and carries its effects out."""

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        clock: Clock,
        outlets: Outlets,
        writer: Writer,
        *,
        save_snapshot: Callable[[AlarmSnapshot], None],
        beat: Callable[[], None],
    ) -> None:
        """`save_snapshot` must not wait; `beat` is called each round, for the watchdog."""
        self._engine = engine
        self._inbox = inbox
        self._clock = clock
        self._outlets = outlets
        self._writer = writer
        self._save_snapshot = save_snapshot
        self._beat = beat
        self._round = asyncio.Event()
        self._is_unsaved = False
        self._position: LogPosition | None = None
        """Of the last event that changed what is remembered."""
        self._counted_s = -inf
        self._is_counting = False
        self._is_memory_whole = False
        self._dropped_told = 0
        self._is_overflowing = False
        self.readings = 0
        """Readings judged since start."""

    # -- what the rest of the agent calls, on the loop's thread ------------------------------------

    def command(self, command: Command) -> Outcome:
        """Carry out a person's command at once and return how it ended."""
        outcome, effects = self._engine.on_command(command, self._clock.stamp())
        self._carry_out(effects)
        self._inbox.wake.set()
        return outcome

    def restore(
        self,
        memories: Sequence[AlarmMemory],
        orders: Orders | None = None,
        position: LogPosition | None = None,
    ) -> None:
        """Merge the alarm memory that came up after the start: with it the memory is whole.

        Call it once, with nothing if nothing came. Until then no snapshot is saved, since it would
        take the place of a memory it does not hold, and what cuts or shuts is not told to restore.
        `position` is the place in the log up to which they are true.
        """
        if orders is not None:
            self._carry_out(self._engine.restore_orders(orders, self._clock.stamp()))
        for memory in memories:
            self._carry_out(self._engine.restore(memory, self._clock.stamp()))
        self._is_memory_whole = True
        self._position = self._position or position
        self._carry_out(self._engine.memory_is_whole())
        self._inbox.wake.set()

    # -- the task ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Give every output its first state and arm the rules."""
        self._carry_out(self._engine.start(self._clock.stamp()))

    async def next_round(self) -> None:
        """Return after the next round of judging."""
        self._round.clear()
        await self._round.wait()

    def drain(self) -> None:
        """Judge all that waits, now: the buses have ended."""
        while self._inbox:
            self._work()

    async def run(self) -> None:
        """Judge what arrives until cancelled. An error here is a bug and ends the process."""
        loop = asyncio.get_running_loop()
        inbox = self._inbox
        while True:
            self._beat()
            self._work()
            if inbox:
                await asyncio.sleep(0)
                continue
            inbox.wake.clear()
            wait_s = LONGEST_WAIT_S
            deadline_s = self._engine.next_deadline_s()
            if deadline_s is not None:
                wait_s = min(wait_s, max(0.0, deadline_s - self._clock.mono_s()))
            timer = loop.call_later(wait_s, inbox.wake.set)
            try:
                await inbox.wake.wait()
            finally:
                timer.cancel()

    def _work(self) -> None:
        judged = 0
        while judged < SLICE_READINGS and (readings := self._inbox.take()):
            judged += len(readings)
            self._carry_out(self._engine.on_readings(readings, self._clock.stamp()))
        self.readings += judged
        # A tick takes what it was not told for silence: it must not run ahead of what still waits.
        now = self._clock.stamp()
        oldest = self._inbox.oldest()
        is_behind = oldest is not None and oldest.mono_s < now.mono_s
        self._carry_out(self._engine.on_tick(oldest if oldest and is_behind else now))
        if self._is_memory_whole and (self._is_unsaved or self._counts(now.mono_s)):
            self._save_snapshot(self._engine.snapshot(self._position))
            self._is_unsaved = False
        self._watch_overflow()
        self._round.set()

    def _counts(self, now_s: float) -> bool:
        """Return whether what is left of orders and delays should be saved, once after they end too."""
        if now_s - self._counted_s < COUNTING_S:
            return False
        self._counted_s = now_s
        before, self._is_counting = self._is_counting, self._engine.counts_down()
        return before or self._is_counting

    def _watch_overflow(self) -> None:
        """A dropped reading is a fault somebody must hear of; it ends when the queue has been emptied."""
        dropped = self._inbox.dropped_readings
        if dropped > self._dropped_told:
            self._dropped_told = dropped
            if not self._is_overflowing:
                self._is_overflowing = True
                _log.error("readings arrive faster than they can be judged: the oldest are dropped")
                self._tell_health(f"{dropped} readings dropped, queue full")
        elif self._is_overflowing and not self._inbox:
            self._is_overflowing = False
            _log.info("queue overflow ended; %d readings dropped since start", dropped)
            self._tell_health("")

    def _tell_health(self, why: str) -> None:
        reading = Reading(
            point=HEALTH_POINT,
            value=not why,
            quality=Quality.GOOD,
            unit="",
            at=self._clock.stamp(),
            reason=why,
        )
        self._carry_out(self._engine.on_readings((reading,), reading.at))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Hand effects on in the order given (outputs stand first for each cause)."""
        outlets = self._outlets
        for effect in effects:
            if isinstance(effect, Telemeter):
                self._writer.add(effect.reading)
            elif isinstance(effect, ShowState):
                outlets.show_state(effect.reading)
            elif isinstance(effect, SetOutput):
                outlets.set_output(effect)
            elif isinstance(effect, Record):
                record = self._writer.append(effect.event)
                if effect.event.kind in _REMEMBERED:
                    self._position = LogPosition(stream=record.stream, seq=record.seq)
                    self._is_unsaved = True
            elif isinstance(effect, ShowAlarm):
                outlets.show_alarm(effect.alarm)
