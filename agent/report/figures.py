"""The figures of a month. Definitions and their sources stand in docs/report.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.spec import AlarmClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The bounds of a month at the site, UTC milliseconds; `until_ms` is not in it."""

    name: str
    """2026-11"""
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How long something was good, bad, taken out or unknown, in seconds of the month."""

    good_s: float = 0.0
    bad_s: float = 0.0
    inhibited_s: float = 0.0
    unknown_s: float = 0.0

    @property
    def total_s(self) -> float:
        """The whole month, per point."""
        return self.good_s + self.bad_s + self.inhibited_s + self.unknown_s

    @property
    def rate(self) -> float | None:
        """Good time of all but planned time, 0 to 1; unknown time counts as not good. None: no time."""
        counted_s = self.total_s - self.inhibited_s
        return self.good_s / counted_s if counted_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Response times, seconds."""

    count: int
    median_s: float
    p90_s: float
    worst_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of one month."""

    month: Month
    site: str
    box: str
    known_s: float
    """How long the agent is known to have run and recorded."""
    points: Share
    """Of all watched points together (good rate, 完好率)."""
    devices: Share
    """Of all buses and devices together (online rate, 在线率)."""
    alarms: Mapping[AlarmClass, int]
    """New alarms by class; tests apart."""
    tests: int
    closed: Mapping[str, int]
    """Resets by closing code."""
    false_causes: Mapping[str, int]
    """What false alarms were caused by, as people said."""
    to_ack: Times | None
    to_reset: Times | None
    drills: int
    drill_s: float
    inhibited_s: Mapping[str, float]
    """By rule."""
    starts: Mapping[str, int]
    """How often each pump started, by point; the jockey pump among them."""
    gaps: int
    """Records that say something was lost or damaged."""

    @property
    def false_rate(self) -> float | None:
        """False alarms of all that were closed with a code and were no test, 0 to 1; None: none closed."""
        counted = sum(count for code, count in self.closed.items() if code in ("real", "false"))
        return self.closed.get("false", 0) / counted if counted else None
