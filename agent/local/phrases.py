"""How times, ages and values are said to people."""

from __future__ import annotations

from datetime import UTC, datetime
from types import MappingProxyType

from agent.core.spec import PointKind, PointSpec
from agent.local.terms import Lang, Words
from drivers.clock import ClockState, Stamp
from drivers.reading import Value

_UNITS = {
    Lang.EN: ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")),
    Lang.ZH: ((86400.0, "天"), (3600.0, "小时"), (60.0, "分"), (1.0, "秒")),
}

SHOWN_UNITS = MappingProxyType({"degC": "°C", "%RH": "% RH", "%LEL": "% LEL", "m3/h": "m³/h"})
"""Units that people write otherwise than the wire does."""


def age_text(seconds: float | None, words: Words) -> str:
    """Return a duration in its two largest units; a dash when unknown."""
    if seconds is None:
        return "–"
    left, said = max(0, round(seconds)), list[str]()
    for size, name in _UNITS[words.lang]:
        count, rest = divmod(left, round(size))
        if count or said or size == 1.0:
            said.append(f"{count} {name}" if words.lang is Lang.EN else f"{count}{name}")
        left = rest
        if len(said) == 2:
            break
    return (" " if words.lang is Lang.EN else "").join(said)


def wall_text(wall_ms: int | None, words: Words) -> str:
    """Return a moment in the box's own time zone; the word for never when there was none."""
    if wall_ms is None:
        return words("page.never")
    return datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock_text(at: Stamp, words: Words) -> str:
    """Return a moment, with a remark when the clock was not to be trusted then."""
    said = wall_text(at.wall_ms, words)
    return said if at.clock is ClockState.SYNCED else f"{said} ({words('page.unsynced')})"


def value_text(value: Value, unit: str, spec: PointSpec | None, words: Words) -> str:
    """Return a value with its unit; contacts in words."""
    if isinstance(value, bool):
        if spec is not None and spec.kind is PointKind.ONLINE:
            return words("switch.online" if value else "switch.offline")
        return words("switch.active" if value else "switch.inactive")
    unit = SHOWN_UNITS.get(unit, unit)
    number = _number_text(value) if isinstance(value, float) else str(value)
    return f"{number} {unit}".strip()


def _number_text(value: float) -> str:
    """Return as many digits as a person can use: sensors in plant rooms are good for three or four."""
    if value.is_integer() and abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.1f}" if 10 <= abs(value) < 1e9 else f"{value:.3g}"


def bytes_text(count: int) -> str:
    """Return a number of bytes in KiB or MiB."""
    if count < 1024 * 1024:
        return f"{count / 1024:.0f} KiB"
    return f"{count / 1024 / 1024:.1f} MiB"
