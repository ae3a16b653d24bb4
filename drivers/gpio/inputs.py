"""Contacts on pins: what their levels mean, and what is told of them.

`ContactFilter` (polarity, debounce, pair supervision) is pure: levels and times in, states out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum

from drivers.clock import Stamp
from drivers.errors import DriverError, WiringConflict
from drivers.gpio.pins import InputPin, Pins
from drivers.gpio.spec import ContactForm, InputSpec, Pull
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

RECLAIM_S = 5.0
"""How often a pin that another program holds is tried again."""

UNSTEADY_AFTER_S = 1.0
"""A contact that does not come to rest for this long (or 10 debounce times) has no value to tell.

Relay and switch bounce ends within some 10 ms; longer unrest is a loose wire or induced mains."""


class Trouble(StrEnum):
    """Why a contact has no value; the reason of its bad reading."""

    LINE_FAULT = "line fault"
    """Both contacts of a change-over relay open, or both closed: a cut or shorted wire."""
    UNSTEADY = "unsteady"


State = bool | Trouble
"""True: the contact has left its rest."""


class ContactFilter:
    """Turns levels of one contact into its debounced state."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._unsteady_after_s = max(UNSTEADY_AFTER_S, 10 * spec.debounce_s)
        self.state: State | None = None
        """What holds now; None before the first look."""
        self._seen: State | None = None
        self._seen_since_s = 0.0
        self._unrest_since_s: float | None = None

    def look(self, is_high: bool, pair_is_high: bool | None, now_s: float) -> bool:
        """Take the level(s) at `now_s` (monotonic seconds) and return whether the state changed.

        The very first look decides at once. Later a new state must hold for the debounce time.
        """
        seen = self._judge(is_high, pair_is_high)
        if self.state is None:
            self.state = self._seen = seen
            self._seen_since_s = now_s
            return True
        if seen is not self._seen:
            self._seen = seen
            self._seen_since_s = now_s
            if self._unrest_since_s is None:
                self._unrest_since_s = now_s
        if self._unrest_since_s is None:
            return False
        new = self.state
        if now_s >= self._seen_since_s + self._spec.debounce_s:
            self._unrest_since_s = None
            new = seen
        elif now_s - self._unrest_since_s >= self._unsteady_after_s:
            new = Trouble.UNSTEADY
        if new is self.state:
            return False
        self.state = new
        return True

    def due_s(self) -> float | None:
        """Return when to look again at the latest (monotonic seconds); None while at rest."""
        if self._unrest_since_s is None:
            return None
        return self._seen_since_s + self._spec.debounce_s

    def forget(self) -> None:
        """Know nothing, as before the first look."""
        self.state = self._seen = self._unrest_since_s = None

    def _judge(self, is_high: bool, pair_is_high: bool | None) -> State:
        is_closed = self._is_closed(is_high)
        if pair_is_high is not None and self._is_closed(pair_is_high) is is_closed:
            return Trouble.LINE_FAULT
        return is_closed is (self._spec.contact is ContactForm.NORMALLY_OPEN)

    def _is_closed(self, is_high: bool) -> bool:
        return is_high if self._spec.pull is Pull.DOWN else not is_high


class WatchedContact:
    """One contact with its pin (two with a pair), its filter, and what was last told of it."""

    def __init__(self, spec: InputSpec, refresh_s: float) -> None:
        """`refresh_s`: how often an unchanged contact is told again, as proof of life."""
        self._spec = spec
        self._refresh_s = refresh_s
        self._filter = ContactFilter(spec)
        self._pin: InputPin | None = None
        self._pair: InputPin | None = None
        self._trouble = "not read yet"
        self._levels: tuple[bool, bool | None] | None = None
        """Of the pins when looked at last; compared on another thread, hence one object."""
        self._retry_at_s = 0.0
        self._told_s = 0.0

    @property
    def is_claimed(self) -> bool:
        """Whether it can be read."""
        return self._pin is not None and (self._pair is not None or self._spec.pair_pin is None)

    def claim(self, pins: Pins, on_edge: Callable[[], None], now_s: float) -> bool:
        """Claim what is not claimed yet, if it is time; return whether there is something to tell."""
        if self.is_claimed or now_s < self._retry_at_s:
            return False
        self._retry_at_s = now_s + RECLAIM_S
        try:
            if self._pin is None:
                self._pin = self._claim_one(pins, self._spec.pin, on_edge)
            if self._pair is None and self._spec.pair_pin is not None:
                self._pair = self._claim_one(pins, self._spec.pair_pin, on_edge)
        except WiringConflict as error:
            return self.spoil("in use" if error.message == "in use" else "wiring", error)
        except DriverError as error:
            return self.spoil("port", error)
        return False

    def _claim_one(self, pins: Pins, number: int, on_edge: Callable[[], None]) -> InputPin:
        pin = pins.claim_input(number, self._spec.pull)
        try:
            pin.watch(on_edge)
        except DriverError as error:
            _log.warning("point %s is polled only: %s", self._spec.point, error)
        return pin

    def retry_now(self) -> None:
        """Let the next `claim` try at once."""
        self._retry_at_s = 0.0

    def release(self) -> None:
        """Give the pins up."""
        for pin in (self._pin, self._pair):
            if pin is not None:
                pin.release()
        self._pin = self._pair = self._levels = None

    def has_moved(self) -> bool:
        """Return whether a level is not what it was when looked at last. May be called on any thread.

        Raises:
            DriverError: a pin cannot be read.
        """
        if not self.is_claimed:
            return False
        levels = self._read()
        return levels != self._levels  # asked after reading: what was looked at meanwhile is newer

    def _read(self) -> tuple[bool, bool | None] | None:
        pin, pair = self._pin, self._pair
        if pin is None:
            return None
        return pin.is_high(), None if pair is None else pair.is_high()

    def look(self, now_s: float) -> bool:
        """Read the level(s) and return whether there is something new to tell.

        Raises:
            DriverError: a pin cannot be read.
        """
        self._levels = levels = self._read()
        if levels is None:
            return False
        has_news = self._filter.look(*levels, now_s)
        if self._trouble:
            self._trouble = ""
            has_news = True
        return has_news

    def spoil(self, trouble: str, error: DriverError | None = None) -> bool:
        """There is no level to read, for this reason; return whether that is new."""
        if trouble == self._trouble:
            return False
        if error is not None:
            _log.error("point %s has no value: %s", self._spec.point, error)
        self._trouble = trouble
        self._levels = None
        self._filter.forget()
        return True

    @property
    def state(self) -> bool | None:
        """Whether the contact has left its rest; None while nobody can tell."""
        state = self._filter.state
        return state if isinstance(state, bool) and not self._trouble else None

    def due_s(self) -> float:
        """Return when to look again at the latest, monotonic seconds."""
        due_s = self._told_s + self._refresh_s
        if not self.is_claimed:
            return min(due_s, self._retry_at_s)
        settled_s = self._filter.due_s()
        return due_s if settled_s is None else min(due_s, settled_s)

    def is_refresh_due(self, now_s: float) -> bool:
        """Return whether it is time to tell the same again."""
        return now_s - self._told_s >= self._refresh_s

    def reading(self, now: Stamp) -> Reading:
        """Return what is known now, and note that it was told."""
        self._told_s = now.mono_s
        state = self._filter.state
        reason = self._trouble
        if not reason and isinstance(state, Trouble):
            reason = state.value
        value = state if isinstance(state, bool) and not reason else None
        return Reading(
            point=self._spec.point,
            value=value,
            quality=Quality.BAD if value is None else Quality.GOOD,
            unit="",
            at=now,
            reason=reason,
        )
