"""What the simulated plant did, noted where it happened: the only thing the witness is judged by.

Counter values say themselves where they come from: unit in bits 31-24, low byte of the address in
bits 23-16, a counter in bits 15-0. So a value that turns up under another point is found out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from drivers.clock import Clock, Stamp
from drivers.modbus.spec import Area

KEPT = 100_000
"""Entries kept by default, some 25 MB: four hours of the demo with seven counters a second. An endless
demo forgets its oldest, counts what it forgot, and is judged on the rest."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a counter lives."""

    bus: str
    unit: int
    address: int


def encode_counter(unit: int, address: int, count: int) -> int:
    """Return the 32-bit value of a counter register pair; `count` wraps at 65536."""
    return (unit & 0xFF) << 24 | (address & 0xFF) << 16 | count & 0xFFFF


def decode_counter(value: int) -> tuple[int, int, int]:
    """Return unit, low byte of the address, and counter."""
    return value >> 24 & 0xFF, value >> 16 & 0xFF, value & 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAnswered:
    """One counter value that left in an answer."""

    place: Place
    value: int
    at: Stamp
    fault: str = ""
    """The fault played on this answer. Empty: a true answer, which must arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTaken:
    """One value written to a unit by the agent."""

    place: Place
    area: Area
    value: int
    at: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PinDriven:
    """An input pin moved by the scenario."""

    pin: int
    high: bool
    at: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PinMoved:
    """An output pin seen on a new level."""

    pin: int
    high: bool
    at: Stamp


Entry = ReadAnswered | WriteTaken | PinDriven | PinMoved


class Ledger:
    """Entries in the order they happened."""

    def __init__(self, clock: Clock, kept: int = KEPT) -> None:
        """`kept` bounds the memory; what goes for it is counted in `forgotten`."""
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=kept)
        self.forgotten = 0

    @property
    def clock(self) -> Clock:
        """The clock everything in here is stamped with."""
        return self._clock

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything noted, oldest first."""
        return tuple(self._entries)

    def read(self, place: Place, value: int, fault: str = "") -> None:
        """Note a counter value at the moment its answer leaves."""
        self._note(ReadAnswered(place=place, value=value, at=self._clock.stamp(), fault=fault))

    def write(self, place: Place, area: Area, value: int) -> None:
        """Note a value the agent wrote."""
        self._note(WriteTaken(place=place, area=area, value=value, at=self._clock.stamp()))

    def driven(self, pin: int, high: bool) -> None:
        """Note that the scenario moved an input."""
        self._note(PinDriven(pin=pin, high=high, at=self._clock.stamp()))

    def moved(self, pin: int, high: bool) -> None:
        """Note that an output was seen on a new level."""
        self._note(PinMoved(pin=pin, high=high, at=self._clock.stamp()))

    def _note(self, entry: Entry) -> None:
        if len(self._entries) == self._entries.maxlen:
            self.forgotten += 1
        self._entries.append(entry)
