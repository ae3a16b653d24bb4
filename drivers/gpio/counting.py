"""Pulse counters on pins: water and energy meters with a contact.

A count only grows while the agent runs, and begins at 0 with it. That it began anew is told by one bad
reading, `counting restarted`, before the first number. When pulses may have been missed (the chip was
away, the contact would not rest, or the reader came too late to see the fastest one) the count goes on
from what was seen and is uncertain from then on: what is missing nobody knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

from drivers.clock import Stamp
from drivers.errors import DriverError
from drivers.gpio.inputs import WatchedContact
from drivers.gpio.pins import Pins
from drivers.gpio.spec import CounterSpec, InputSpec
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

RESTARTED = "counting restarted"
MISSING = "pulses may be missing"


def fastest_hz(poll_s: float, debounce_s: float) -> float:
    """Return the pulses a second that are seen for sure, on and off being equally long.

    A level shows within one poll and then has to hold for the debounce time.
    """
    return 1 / (2 * (poll_s + debounce_s))


class WatchedCounter:
    """One counting contact: each time it leaves its rest is a pulse. Used like a WatchedContact."""

    def __init__(self, spec: CounterSpec, refresh_s: float) -> None:
        """`refresh_s`: how often an unchanged count is told again, as proof of life."""
        self._spec = spec
        self._refresh_s = refresh_s
        self._contact = WatchedContact(
            InputSpec(
                point=spec.point,
                pin=spec.pin,
                contact=spec.contact,
                pull=spec.pull,
                debounce_s=spec.debounce_s,
            ),
            inf,
        )
        self._shortest_s = 1 / (2 * spec.max_hz)
        self._pulses = 0
        self._was_active: bool | None = None
        self._looked_s: float | None = None
        self._is_missing = False
        self._is_announced = False
        self._told_s = 0.0

    @property
    def is_claimed(self) -> bool:
        """Whether it can be read."""
        return self._contact.is_claimed

    def claim(self, pins: Pins, on_edge: Callable[[], None], now_s: float) -> bool:
        """Claim the pin if it is time; return whether there is something to tell."""
        return self._contact.claim(pins, on_edge, now_s)

    def retry_now(self) -> None:
        """Let the next `claim` try at once."""
        self._contact.retry_now()

    def release(self) -> None:
        """Give the pin up."""
        self._contact.release()

    def has_moved(self) -> bool:
        """Return whether the level is not what it was when looked at last; see WatchedContact."""
        return self._contact.has_moved()

    def look(self, now_s: float) -> bool:
        """Read the level and return whether there is something new to tell.

        Raises:
            DriverError: the pin cannot be read.
        """
        has_news = self._contact.look(now_s)
        state = self._contact.state
        if self._looked_s is not None and now_s - self._looked_s > self._shortest_s:
            self._miss("the reader came late")
        self._looked_s = now_s
        if state is None:
            self._miss("the contact does not rest")
            return has_news
        before, self._was_active = self._was_active, state
        # What it is when looked at first is no pulse: it may have been so for hours.
        is_pulse = state and before is False
        self._pulses += is_pulse
        return is_pulse or before is None or not self._is_announced

    def spoil(self, trouble: str, error: DriverError | None = None) -> bool:
        """There is no level to read, for this reason; return whether that is new."""
        self._miss(trouble)
        return self._contact.spoil(trouble, error)

    def due_s(self) -> float:
        """Return when to look again at the latest, monotonic seconds."""
        return min(self._told_s + self._refresh_s, self._contact.due_s())

    def is_refresh_due(self, now_s: float) -> bool:
        """Return whether it is time to tell the same again."""
        return now_s - self._told_s >= self._refresh_s

    def reading(self, now: Stamp) -> Reading:
        """Return the count as it is now, and note that it was told."""
        self._told_s = now.mono_s
        contact = self._contact.reading(now)
        value: int | float | None = self._pulses
        if self._spec.per_pulse != 1:
            value = self._pulses * self._spec.per_pulse
        quality, reason = Quality.GOOD, ""
        if contact.value is None:
            value, quality, reason = None, Quality.BAD, contact.reason
        elif not self._is_announced:
            self._is_announced = True
            self._told_s = -inf  # the number itself follows with the next look
            value, quality, reason = None, Quality.BAD, RESTARTED
        elif self._is_missing:
            quality, reason = Quality.UNCERTAIN, MISSING
        return Reading(
            point=self._spec.point,
            value=value,
            quality=quality,
            unit=self._spec.unit,
            at=now,
            reason=reason,
        )

    def _miss(self, why: str) -> None:
        """Note that pulses may have gone by unseen since counting began."""
        self._was_active = None
        if self._looked_s is None or self._is_missing:
            return
        _log.warning("point %s: %s, %s", self._spec.point, MISSING, why)
        self._is_missing = True
