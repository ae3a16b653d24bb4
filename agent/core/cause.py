"""Why something in the core happens, and when."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.clock import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why an alarm is moved: a reading or the passing of time, or a person."""

    at: Stamp
    """The stamp its events carry."""
    at_s: float
    """Monotonic time the alarm is told: that of `at`, but never ahead of now."""
    actor: str = ""
    code: str = ""
    reason: str = ""
    command: str = ""
    """The command's name; empty when no person asked."""
