"""The value every driver produces: one reading of one point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.clock import Stamp

Value = bool | int | float | str
"""What a point can hold: a contact, a number in the point's unit, or an enum's word."""


class Quality(StrEnum):
    """How far a reading can be trusted (after OPC UA Part 8, reduced to four)."""

    GOOD = "good"
    """Measured now, in range, checked."""
    UNCERTAIN = "uncertain"
    """Measured now but outside what the sensor promises (4-20 mA saturated: NAMUR NE43 3.6-3.8, 20.5-21 mA)."""
    BAD = "bad"
    """Asked now, and no usable answer: time-out, exception, sentinel, out of range, line fault."""
    STALE = "stale"
    """Not heard of for longer than the point allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value of one point, stamped where it was taken."""

    point: str
    value: Value | None
    """In engineering units of the point; None if and only if quality is bad or stale."""
    quality: Quality
    unit: str
    at: Stamp
    reason: str = ""
    """Why it is not good, one word or two (`timeout`, `sentinel`, `line fault`); empty when good."""

    def __post_init__(self) -> None:
        if (self.value is None) != (self.quality in _NO_VALUE):
            raise ValueError(f"{self.point}: value {self.value!r} with quality {self.quality}")

    @property
    def is_known(self) -> bool:
        """Whether rules may look at the value (good or uncertain)."""
        return self.value is not None


_NO_VALUE = frozenset({Quality.BAD, Quality.STALE})
