"""One GPIO chip: claims its pins, looks at its contacts, survives its absence."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future

from drivers.backoff import Backoff
from drivers.base import BusStats, Emit, online_point
from drivers.clock import Clock, Stamp, next_beat_s
from drivers.errors import DriverError, PortUnavailable, Unavailable
from drivers.gpio.counting import WatchedCounter
from drivers.gpio.inputs import WatchedContact
from drivers.gpio.lookout import Lookout, Looks
from drivers.gpio.outputs import GpioLine
from drivers.gpio.pins import OpenPins, Pins
from drivers.gpio.spec import GpioBusSpec
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 5.0
"""Opening is some file and ioctl calls; longer means the kernel hangs on it."""

SHORTEST_ROUND_S = 0.002
"""Least time between two looks, so that a storm of edges cannot take the loop."""

LONGEST_REST_S = 1.0
"""All is looked at this often even if nothing asks for it: whatever ended the lookout is found."""


class GpioBus:
    """A chip with its contacts and relays; implements drivers.base.Bus.

    Levels are read every `poll_s`, by a lookout that wakes the loop when one is not as it was; edges
    only wake it earlier, since edges coalesce and get lost while levels do not. Relays stay claimed
    when `run` ends: only `close` lets go of the chip.
    """

    def __init__(
        self,
        spec: GpioBusSpec,
        clock: Clock,
        emit: Emit,
        open_pins: OpenPins,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        """`open_pins` is called in a thread of its own; `backoff` paces the attempts to open."""
        self._spec = spec
        self._clock = clock
        self._emit = emit
        self._open_pins = open_pins
        self._backoff = backoff or Backoff(0.25, 5.0)
        self._pins: Pins | None = None
        self._opening: Future[Pins] | None = None
        self._inputs: tuple[WatchedContact | WatchedCounter, ...] = (
            *(WatchedContact(each, spec.refresh_s) for each in spec.inputs),
            *(WatchedCounter(each, spec.refresh_s) for each in spec.counters),
        )
        self._lines = {each.output: GpioLine(each, self._suspect) for each in spec.outputs}
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_edge = False
        self._online: bool | None = None
        self._online_told_s = 0.0
        self._lines_due_s = 0.0
        self._look_due_s = 0.0
        self._looks = Looks()

    @property
    def id(self) -> str:
        """The bus's id in the configuration."""
        return self._spec.id

    def line(self, output: str) -> GpioLine:
        """Return the relay of an output.

        Raises:
            KeyError: no such output on this bus.
        """
        return self._lines[output]

    def stats(self) -> BusStats:
        """Return counters as they are now; a transaction is one look at all levels."""
        return BusStats(
            id=self.id,
            kind="gpio",
            online=bool(self._online),
            late_polls=self._looks.late,
            transaction_buckets_s=self._looks.buckets_s(),
            transaction_sum_s=self._looks.sum_s,
            devices=(),
        )

    async def tried(self) -> None:
        """Return once the first attempt to claim the pins is over, good or bad."""
        await self._tried.wait()

    async def run(self) -> None:
        """Acquire until cancelled; see drivers.base.Bus."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._watch(await self._open())
                except DriverError as error:
                    self._lose(error)
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._loop = None
            for each in self._inputs:
                each.release()

    def close(self) -> None:
        """Let go of the chip; levels are then the kernel's and the hardware's affair."""
        if self._opening is not None:
            self._opening.add_done_callback(_close_unused)
            self._opening = None
        for line in self._lines.values():
            line.detach()
        if self._pins is not None:
            self._pins.close()
            self._pins = None

    # -- the chip ------------------------------------------------------------------------------------

    async def _open(self) -> Pins:
        """Return the chip with its relays claimed: first of all, and at their level."""
        if self._pins is None:
            pins = await self._open_in_thread()
            self._pins = pins
            for line in self._lines.values():
                try:
                    line.attach(pins)
                except DriverError as error:
                    _log.error("output %s", error)
            self._tried.set()
        return self._pins

    async def _open_in_thread(self) -> Pins:
        opening = self._opening
        if opening is None:
            opening = self._opening = Future()
            threading.Thread(
                target=_fulfil, args=(opening, self._open_pins), name=f"{self.id} open", daemon=True
            ).start()
        self._has_edge = False
        opening.add_done_callback(lambda _: self._wake_from_thread())
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                while not opening.done():
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            raise PortUnavailable(self.id, "opening the chip hangs") from None
        self._opening = None
        return opening.result()

    def _lose(self, error: DriverError) -> None:
        """The chip is not there: say so for everything on it."""
        if self._online is not False:
            _log.error("bus %s is offline: %s", self.id, error)
        self._online = False
        for each in self._inputs:
            each.release()
            each.spoil("port")
        for line in self._lines.values():
            line.detach()
        if self._pins is not None:
            self._pins.close()
            self._pins = None
        self._tried.set()
        now = self._clock.stamp()
        self._emit((self._online_reading(now), *(each.reading(now) for each in self._inputs)))

    # -- looking -------------------------------------------------------------------------------------

    async def _watch(self, pins: Pins) -> None:
        """Look at the contacts until the chip is lost."""
        loop = asyncio.get_running_loop()
        for each in self._inputs:
            each.retry_now()
        lookout = Lookout(
            f"{self.id} lookout",
            self._spec.poll_s,
            self._is_look_due,
            self._wake_from_thread,
            mono_s=loop.time,
            looks=self._looks,
        )
        try:
            while True:
                started_s = loop.time()
                self._wake.clear()
                self._has_edge = False
                now = self._clock.stamp()
                self._look_due_s = due_s = self._look(pins, now)
                lookout.check()
                now_s = loop.time()
                rest_s = next_beat_s(now_s, LONGEST_REST_S)
                wait_s = max(0.0, due_s - now.mono_s)
                timer = loop.call_at(min(rest_s, now_s + wait_s), self._wake.set)
                try:
                    await self._wake.wait()
                finally:
                    timer.cancel()
                early_s = started_s + SHORTEST_ROUND_S - loop.time()
                if early_s > 0:
                    await asyncio.sleep(early_s)
        finally:
            lookout.end()

    def _is_look_due(self) -> bool:
        """Return whether the loop is to look: a level moved, or it is time. On the lookout's thread.

        Raises:
            DriverError: a pin cannot be read.
        """
        return (
            bool(self._spec.counters)  # they miss pulses when they are not looked at in time
            or self._clock.mono_s() >= self._look_due_s
            or any(each.has_moved() for each in self._inputs)
        )

    def _look(self, pins: Pins, now: Stamp) -> float:
        """Read all levels, emit what there is to tell, return when to look again at the latest.

        Raises:
            PortUnavailable: nothing on the chip answers.
        """
        asked = failed = 0
        readings: list[Reading] = []
        for each in self._inputs:
            has_news = each.claim(pins, self._wake_from_thread, now.mono_s)
            if each.is_claimed:
                asked += 1
                try:
                    has_news |= each.look(now.mono_s)
                except Unavailable:
                    failed += 1
                    has_news |= each.spoil("port")
            if has_news or each.is_refresh_due(now.mono_s):
                readings.append(each.reading(now))
        if now.mono_s >= self._lines_due_s:
            self._lines_due_s = now.mono_s + self._spec.refresh_s
            lines_asked, lines_failed = self._try_lines()
            asked += lines_asked
            failed += lines_failed
        if asked and failed == asked:
            raise PortUnavailable(self.id, "no pin answers")
        if not self._online:
            if self._online is False:
                _log.warning("bus %s is online again", self.id)
            self._online = True
            self._backoff.reset()
            readings.insert(0, self._online_reading(now))
        elif now.mono_s - self._online_told_s >= self._spec.refresh_s:
            readings.append(self._online_reading(now))
        if readings:
            self._emit(readings)
        dues_s = [each.due_s() for each in self._inputs]
        return min(self._lines_due_s, self._online_told_s + self._spec.refresh_s, *dues_s)

    def _try_lines(self) -> tuple[int, int]:
        """Read every relay's pin back; return how many were asked and how many did not answer."""
        failed = 0
        asked = 0
        for line in self._lines.values():
            asked += 1
            try:
                line.read()
            except Unavailable:
                failed += 1
            except DriverError:
                asked -= 1  # held by another program: says nothing about the chip
        return asked, failed

    def _suspect(self) -> None:
        """A relay did not answer: find out soon whether the chip is gone."""
        self._lines_due_s = 0.0
        self._wake.set()

    def _wake_from_thread(self) -> None:
        """Wake the reader from whatever thread lgpio calls on. Never raises: it would end that thread."""
        if self._has_edge:
            return  # one call is under way; more would only fill the loop's queue
        self._has_edge = True
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            return  # the loop is closed

    def _online_reading(self, now: Stamp) -> Reading:
        self._online_told_s = now.mono_s
        return Reading(
            point=online_point(self.id),
            value=bool(self._online),
            quality=Quality.GOOD,
            unit="",
            at=now,
        )


def _fulfil(opening: Future[Pins], open_pins: OpenPins) -> None:
    """Open the chip on the thread this runs on."""
    try:
        opening.set_result(open_pins())
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        opening.set_exception(error)


def _close_unused(opening: Future[Pins]) -> None:
    if opening.exception() is None:
        opening.result().close()
