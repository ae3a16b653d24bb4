"""What a watch of a condition is: it is looked at, and answers true, false or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Protocol

from drivers.clock import Stamp
from drivers.reading import Quality, Reading

Truth = bool | None
"""None is unknown."""


class Watch(Protocol):
    """A condition with what it remembers between looks."""

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        """Return whether the condition holds, given the latest reading of every point heard of.

        `at_s` is the monotonic time of `at`, but never ahead of now. Points are read at slightly different
        times: it may be a little before that of an earlier look.
        """

    def hold(self) -> None:
        """Take it that the condition held before: it is gone only past its deadband."""

    def due_s(self) -> float:
        """Return the monotonic time at which a look may tell otherwise though nothing was read."""


def number_in(reading: Reading | None) -> float | None:
    """Return the number a reading holds; None for no reading, no value, a contact, a word, NaN, infinity."""
    value = None if reading is None else reading.value
    # A bool is an int to Python, but no measurement.
    if isinstance(value, bool) or not isinstance(value, float | int) or not isfinite(value):
        return None
    return value


def contact_in(reading: Reading | None) -> bool | None:
    """Return the contact a reading holds; None for no reading or another value."""
    value = None if reading is None else reading.value
    return value if isinstance(value, bool) else None


def time_of(reading: Reading, at_s: float) -> float:
    """Return the monotonic time of a reading; a stamp from the future counts as `at_s`."""
    return min(reading.at.mono_s, at_s)


def is_certain(reading: Reading) -> bool:
    """Return whether a reading is good."""
    return reading.quality is Quality.GOOD
