"""Whether the wall clock can be trusted, and what to do with the stamps made before.

A Raspberry Pi boots without a clock. Stamps made before it was set carry `unsynced`; since each
carries monotonic milliseconds too, the offset of the boot (UTC ms at monotonic zero) dates them
afterwards: `wall_ms = offset + mono_ms`.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NoReturn, Protocol

from agent.core.effects import Event, EventKind
from drivers.clock import ClockState, Stamp, next_beat_s

_log = logging.getLogger(__name__)

TIMESYNCD_FILE = Path("/run/systemd/timesync/synchronized")
"""Touched by systemd-timesyncd at each synchronisation (systemd-timesyncd.service(8))."""

LOOK_S = 1.0
"""How often the clocks are compared."""

ASK_S = 5.0
"""How often the source is asked; on a box without network that goes on for ever."""

CHECK_TIMEOUT_S = 5.0
"""A source that has not answered by then has not synchronised."""

CHRONYC_TIMEOUT_S = 2.0

STEP_MS = 500
"""A change of the offset from one look to the next that slewing cannot make: the kernel slews at most
0.5 ms a second (adjtime(3)), chrony 83 ms a second by default (chrony.conf(5), maxslewrate)."""

SyncCheck = Callable[[], bool]
"""Returns whether the clock is synchronised; may block, is called on a thread of its own."""


class SettableClock(Protocol):
    """A clock whose trust is set here (drivers.clock.SystemClock)."""

    state: ClockState

    def stamp(self) -> Stamp:
        """Return this moment on both clocks."""


def timesyncd(path: Path = TIMESYNCD_FILE) -> SyncCheck:
    """Return a check for systemd-timesyncd."""
    return path.exists


def chrony(program: str = "chronyc") -> SyncCheck:
    """Return a check for chronyd: its leap status is known (chronyc(1), tracking)."""

    def check() -> bool:
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command
                [program, "-n", "tracking"],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=CHRONYC_TIMEOUT_S,
                check=False,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/usr/sbin:/bin:/sbin"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0 and is_chrony_synced(done.stdout.decode("ascii", "replace"))

    return check


def is_chrony_synced(tracking: str) -> bool:
    """Return whether `chronyc tracking` tells of a synchronised clock."""
    for line in tracking.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Leap status":
            return value.strip() in ("Normal", "Insert second", "Delete second")
    return False


def assumed() -> bool:
    """Check of a box whose clock is right by other means (a battery-backed one, set by hand)."""
    return True


def any_of(*checks: SyncCheck) -> SyncCheck:
    """Return a check that is met as soon as one of `checks` is, asked in this order."""

    def check() -> bool:
        return any(each() for each in checks)

    return check


class Timekeeper:
    """Sets the clock's state, and tells when the clock was set or jumped."""

    def __init__(
        self,
        clock: SettableClock,
        record: Callable[[Event], object],
        is_synced: SyncCheck,
        *,
        box: str = "box",
        look_s: float = LOOK_S,
        ask_s: float = ASK_S,
    ) -> None:
        """`box` is the subject of the events."""
        self._clock = clock
        self._record = record
        self._is_synced = is_synced
        self._box = box
        self._look_s = look_s
        self._ask_s = ask_s
        self._ask_due_s = 0.0
        self._asked: Future[bool] | None = None
        self.boot_offset_ms: int | None = None
        """UTC ms at monotonic zero of this boot, once the clock is synchronised; None before."""

    async def run(self) -> NoReturn:
        """Watch until cancelled. Once synchronised, the clock counts as such until the next boot."""
        last_ms = _offset_ms(self._clock.stamp())
        loop = asyncio.get_running_loop()
        while True:
            if self._clock.state is not ClockState.SYNCED and await self._ask():
                now = self._clock.stamp()
                offset_ms = _offset_ms(now)
                step_ms = offset_ms - last_ms
                last_ms = self.boot_offset_ms = offset_ms
                self._clock.state = ClockState.SYNCED
                _log.info("clock synchronised, step of %d ms", step_ms)
                self._tell("unsynced", "synced", step_ms)
            else:
                now = self._clock.stamp()
                offset_ms = _offset_ms(now)
                step_ms = offset_ms - last_ms
                last_ms = offset_ms
                if self._clock.state is ClockState.SYNCED:
                    self.boot_offset_ms = offset_ms
                if abs(step_ms) >= STEP_MS:
                    _log.warning("the wall clock jumped by %d ms", step_ms)
                    self._tell(self._clock.state.value, "stepped", step_ms)
            await asyncio.sleep(next_beat_s(loop.time(), self._look_s) - loop.time())

    async def _ask(self) -> bool:
        """Ask the source on a thread; one that hangs is asked no second time meanwhile."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_due_s:
            return False
        self._ask_due_s = loop.time() + self._ask_s
        asked = self._asked
        if asked is None:
            asked = self._asked = Future()
            threading.Thread(
                target=_answer, args=(asked, self._is_synced), name="clock check", daemon=True
            ).start()
        answered = asyncio.Event()

        def wake(_: Future[bool]) -> None:
            try:
                loop.call_soon_threadsafe(answered.set)
            except RuntimeError:
                return  # the loop is closed

        asked.add_done_callback(wake)
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await answered.wait()
        except TimeoutError:
            return False
        self._asked = None
        return asked.result()

    def _tell(self, from_state: str, to_state: str, step_ms: int) -> None:
        at = self._clock.stamp()
        self._record(
            Event(
                kind=EventKind.CLOCK,
                subject=self._box,
                at=at,
                from_state=from_state,
                to_state=to_state,
                detail={"boot_offset_ms": _offset_ms(at), "step_ms": step_ms},
            )
        )


def _offset_ms(stamp: Stamp) -> int:
    """Return UTC ms at monotonic zero."""
    return stamp.wall_ms - stamp.mono_ms


def _answer(asked: Future[bool], is_synced: SyncCheck) -> None:
    try:
        asked.set_result(is_synced())
    except Exception:  # noqa: BLE001 - an unknown answer is a no
        _log.exception("the clock's synchronisation cannot be checked")
        asked.set_result(False)
