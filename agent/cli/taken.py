"""What one look at the wires gave."""

from __future__ import annotations

from dataclasses import dataclass, field

from drivers.clock import Stamp
from drivers.reading import Quality, Reading

SILENT = frozenset({"port", "timeout", "bad reply"})
"""Reasons that mean: nothing usable came from the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One point, read once."""

    bus: str
    device: str
    """Empty for a contact of the box itself."""
    raw: str
    """Registers in hex, a bit as 0 or 1, a pin's level; empty when nothing came."""
    reading: Reading
    took_ms: float | None
    """From asking to the last byte, of the whole request the point was in; None when nothing came."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing usable came from the wire."""
        return self.reading.reason in SILENT


@dataclass(slots=True)
class Round:
    """What one look at everything gave."""

    taken: list[Taken] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """What is wrong with whole ports and chips, in words."""


def bad_reading(point: str, unit: str, reason: str, at: Stamp) -> Reading:
    """Return a reading that has no value, for this reason."""
    return Reading(point=point, value=None, quality=Quality.BAD, unit=unit, at=at, reason=reason)
