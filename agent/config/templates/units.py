"""From the unit of a parameter to the unit of a point."""

from __future__ import annotations

from collections.abc import Mapping

_FACTORS: Mapping[str, Mapping[str, float]] = {
    "kPa": {"kPa": 1, "Pa": 1000, "hPa": 10, "mbar": 10, "bar": 0.01, "MPa": 0.001},
    "°C": {"°C": 1, "degC": 1, "C": 1, "℃": 1},
    "mm": {"mm": 1, "cm": 0.1, "m": 0.001},
    "A": {"A": 1, "mA": 1000},
    "mA": {"mA": 1, "A": 0.001},
    "V": {"V": 1, "mV": 1000},
    "%RH": {"%RH": 1, "%": 1},
    "%LEL": {"%LEL": 1},
    "ppm": {"ppm": 1},
}
"""Unit of a parameter, unit of a point, how many of the latter make one of the former.

Pressures are all taken as gauge pressures; no unit here has another zero than its neighbours.
"""


def convert(value: float, unit: str, to: str) -> float:
    """Return a value in the unit of a point; `to` is one of `known_units(unit)`."""
    return round(value * _FACTORS[unit][to], 9)


def known_units(unit: str) -> tuple[str, ...]:
    """Return the units of points that a parameter in `unit` can be held against."""
    return tuple(_FACTORS[unit])
