"""What is wired to which pin, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ContactForm(StrEnum):
    """How the contact rests when nothing is wrong (IEC 60947-5-1: make, break contact)."""

    NORMALLY_OPEN = "normally-open"
    NORMALLY_CLOSED = "normally-closed"


class Pull(StrEnum):
    """The resistor inside the chip; `none` where the board brings its own."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One contact on one pin (two with `pair_pin`). The reading is True when the contact has left its rest."""

    point: str
    pin: int
    """BCM number, 2 to 27 (0 and 1 are probed for the HAT EEPROM and not to be used)."""
    contact: ContactForm
    pull: Pull = Pull.UP
    """The contact closes to ground with `up`, to 3.3 V with `down`; with `none` it closes to ground."""
    debounce_s: float = 0.05
    pair_pin: int | None = None
    """The other contact of the same change-over relay: `contact` names the form of `pin`, this one has
    the other form. Both in the same electrical state for longer than the debounce is a line fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterSpec:
    """A meter's contact on one pin: a pulse each time it leaves its rest. The reading is a number."""

    point: str
    pin: int
    """BCM number, 2 to 27."""
    contact: ContactForm
    max_hz: float
    """The fastest it pulses; more than drivers.gpio.counting.fastest_hz is not seen for sure."""
    unit: str = ""
    per_pulse: float = 1.0
    """How much one pulse is, in the unit."""
    pull: Pull = Pull.UP
    debounce_s: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSpec:
    """One output on one pin."""

    output: str
    pin: int
    active_high: bool = True
    """True: a high pin energises the relay."""
    initial_energised: bool = False
    """The level the pin is claimed with, at once, without a blip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioBusSpec:
    """One GPIO chip."""

    id: str
    chip: int = 0
    poll_s: float = 0.05
    """How often levels are read; edges only wake the reader earlier."""
    refresh_s: float = 5.0
    """How often an unchanged contact is read out again, as proof of life."""
    inputs: tuple[InputSpec, ...] = ()
    counters: tuple[CounterSpec, ...] = ()
    outputs: tuple[LineSpec, ...] = ()
