"""Keeps parts running, tells which of them no longer get on, and bounds the end.

Parts that may fail alone (a bus, an uplink, the outbox writer, the page) run in `keep_running`.
Parts that may not (pipeline, outputs) run without it: their error ends the process and systemd
starts it anew. Both kinds beat in `Progress`, which feeds the watchdog.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from drivers.backoff import Backoff
from drivers.clock import Clock, next_beat_s

_log = logging.getLogger(__name__)

STEADY_S = 10.0
"""A restarted part counts as well again after running this long."""

ESCALATE_AT = 3
"""From this many failures without a steady run between them on, the part is said to keep failing."""

_STDERR = 2

OnHealth = Callable[[bool, str], None]
"""Hears `(ok, why)`; must not raise. `why` is empty when all is well."""


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
    on_health: OnHealth,
    backoff: Backoff,
    steady_s: float = STEADY_S,
) -> NoReturn:
    """Run a part for ever: when it raises or returns, pause and run it again.

    `on_health` hears True at the first start, False at each failure, and True again once the part
    has been running for `steady_s` seconds. Cancellation passes through; a part that ends as
    cancelled although nobody cancelled it has failed: a task group would not notice.
    """
    on_health(True, "")
    failures = 0
    loop = asyncio.get_running_loop()

    def is_well_again() -> None:
        nonlocal failures
        _log.warning("part %s runs again after %d failures", name, failures)
        failures = 0
        backoff.reset()
        on_health(True, "")

    while True:
        timer = loop.call_later(steady_s, is_well_again) if failures else None
        started_s = clock.mono_s()
        problem: BaseException | None = None
        try:
            await run()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            problem = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
            problem = error
        finally:
            if timer is not None:
                timer.cancel()
        failures += 1
        why = _cause(problem)
        pause_s = backoff.next_s()
        if failures == 1:
            ran_s = clock.mono_s() - started_s
            _log.error(
                "part %s failed after %.1f s: %s", name, ran_s, why, exc_info=problem or False
            )
        elif failures == ESCALATE_AT:
            _log.critical("part %s keeps failing: %s", name, why, exc_info=problem or False)
        if failures >= ESCALATE_AT:
            why = f"keeps failing ({failures} times): {why}"
        on_health(False, why)
        await asyncio.sleep(pause_s)


def _cause(problem: BaseException | None) -> str:
    """Return one line for people; of a group its first member."""
    if problem is None:
        return "ended by itself"
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    text = str(problem).partition("\n")[0]
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A part that has not got on within its window."""

    part: str
    silent_s: float
    window_s: float

    def __str__(self) -> str:
        return f"{self.part} silent for {self.silent_s:.1f} s (window {self.window_s:g} s)"


class Progress:
    """Heartbeats of parts. `beat` may be called from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows_s: dict[str, float] = {}
        self._beats_s: dict[str, float] = {}

    def register(self, part: str, window_s: float) -> Callable[[], None]:
        """Expect a beat of `part` at least every `window_s` seconds from now on; return its beat."""
        self._windows_s[part] = window_s
        self.beat(part)

        def beat() -> None:
            self.beat(part)

        return beat

    def withdraw(self, part: str) -> None:
        """Expect nothing of `part` any more: it stops in good order."""
        self._windows_s.pop(part, None)

    def beat(self, part: str) -> None:
        """Note that `part` got on."""
        self._beats_s[part] = self._clock.mono_s()

    def verdict(self) -> tuple[Late, ...]:
        """Return the parts that are late; empty when all is well."""
        now_s = self._clock.mono_s()
        return tuple(
            Late(part=part, silent_s=now_s - self._beats_s[part], window_s=window_s)
            for part, window_s in tuple(self._windows_s.items())
            if now_s - self._beats_s[part] > window_s
        )


class LoopMeter:
    """Measures how late the event loop wakes a sleeper."""

    def __init__(self, beat: Callable[[], None], *, period_s: float = 0.5) -> None:
        """`beat` is called each period, for the watchdog."""
        self._beat = beat
        self._period_s = period_s
        self.lag_s = 0.0
        """Lateness of the last period; 0 when idle."""

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = next_beat_s(loop.time(), self._period_s)
            await asyncio.sleep(due_s - loop.time())
            self.lag_s = max(0.0, loop.time() - due_s)
            self._beat()


async def bounded_stop(name: str, stop: Awaitable[object], limit_s: float) -> bool:
    """Await one step of stopping; return whether it ended well within `limit_s` seconds.

    Errors are logged and do not keep the next step from running.
    """
    try:
        async with asyncio.timeout(limit_s):
            await stop
    except TimeoutError:
        _log.error("stopping %s took longer than %.1f s", name, limit_s)
        return False
    except Exception:  # noqa: BLE001 - a part that cannot stop must not keep the others from it
        _log.exception("stopping %s failed", name)
        return False
    return True


class HardDeadline:
    """Ends the process if stopping hangs.

    Executors' threads are joined at exit, and a hung disk or serial port would hold that up for ever.
    """

    def __init__(self, limit_s: float = 5.0, *, exit_code: int = 1) -> None:
        """`limit_s`: design section 3; systemd would wait for TimeoutStopSec and then kill."""
        self._limit_s = limit_s
        self._exit_code = exit_code
        self._is_stopped = threading.Event()
        self._is_armed = False

    def arm(self) -> None:
        """Start the count-down; only the first call does."""
        if self._is_armed:
            return
        self._is_armed = True
        # A daemon: it must not be joined itself, and runs until the interpreter is really gone.
        threading.Thread(target=self._wait, name="hard deadline", daemon=True).start()

    def disarm(self) -> None:
        """Let the process live: stopping was called off."""
        self._is_stopped.set()

    def _wait(self) -> None:
        if self._is_stopped.wait(self._limit_s):
            return
        hung = ", ".join(
            each.name
            for each in threading.enumerate()
            if each is not threading.current_thread() and each is not threading.main_thread()
        )
        text = f"<2>stopping took longer than {self._limit_s:g} s, threads left: {hung or 'none'}\n"
        # Not through logging: its lock or its thread may be what hangs. And only if there is room:
        # a hung journal must not hold this up either.
        try:
            if select.select([], [_STDERR], [], 0)[1]:
                os.write(_STDERR, text.encode())
        except (OSError, ValueError):
            pass
        os._exit(self._exit_code)
