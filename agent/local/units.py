"""Units of points turned into metric names and base units (Prometheus naming: base units, ratios)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from agent.core.spec import PointKind


@dataclass(frozen=True, slots=True)
class Conversion:
    """base = value * factor, under the metric name `plantroom_<name>`."""

    name: str
    factor: float
    help: str


_PRESSURE = "Pressure."
_TEMPERATURE = "Temperature."
_CURRENT = "Electric current."
_VOLTAGE = "Voltage."
_POWER = "Active power."
_ENERGY = "Energy as counted by the meter; a meter may be reset or roll over."
_LENGTH = "Length or distance."
_DURATION = "A measured duration."
_FLOW = "Volume flow."
_PARTS = "Share of a gas in the air."
_LEL = "Gas concentration as a part of the lower explosive limit."
_SHARE = "A part of a whole, 0 to 1."

_BY_UNIT = MappingProxyType(
    {
        "pa": Conversion("pressure_pascals", 1.0, _PRESSURE),
        "hpa": Conversion("pressure_pascals", 100.0, _PRESSURE),
        "kpa": Conversion("pressure_pascals", 1e3, _PRESSURE),
        "mpa": Conversion("pressure_pascals", 1e6, _PRESSURE),
        "bar": Conversion("pressure_pascals", 1e5, _PRESSURE),
        "degc": Conversion("temperature_celsius", 1.0, _TEMPERATURE),
        "c": Conversion("temperature_celsius", 1.0, _TEMPERATURE),
        "°c": Conversion("temperature_celsius", 1.0, _TEMPERATURE),
        "℃": Conversion("temperature_celsius", 1.0, _TEMPERATURE),
        "celsius": Conversion("temperature_celsius", 1.0, _TEMPERATURE),
        "%rh": Conversion("humidity_ratio", 0.01, "Relative humidity, 0 to 1."),
        "%lel": Conversion("gas_lel_ratio", 0.01, _LEL),
        "ppm": Conversion("gas_concentration_ratio", 1e-6, _PARTS),
        "ppb": Conversion("gas_concentration_ratio", 1e-9, _PARTS),
        "%": Conversion("share_ratio", 0.01, _SHARE),
        "a": Conversion("current_amperes", 1.0, _CURRENT),
        "ma": Conversion("current_amperes", 1e-3, _CURRENT),
        "v": Conversion("voltage_volts", 1.0, _VOLTAGE),
        "mv": Conversion("voltage_volts", 1e-3, _VOLTAGE),
        "kv": Conversion("voltage_volts", 1e3, _VOLTAGE),
        "w": Conversion("power_watts", 1.0, _POWER),
        "kw": Conversion("power_watts", 1e3, _POWER),
        "wh": Conversion("energy_joules", 3.6e3, _ENERGY),
        "kwh": Conversion("energy_joules", 3.6e6, _ENERGY),
        "j": Conversion("energy_joules", 1.0, _ENERGY),
        "hz": Conversion("frequency_hertz", 1.0, "Frequency."),
        "m": Conversion("length_meters", 1.0, _LENGTH),
        "cm": Conversion("length_meters", 1e-2, _LENGTH),
        "mm": Conversion("length_meters", 1e-3, _LENGTH),
        "s": Conversion("duration_seconds", 1.0, _DURATION),
        "ms": Conversion("duration_seconds", 1e-3, _DURATION),
        "min": Conversion("duration_seconds", 60.0, _DURATION),
        "h": Conversion("duration_seconds", 3600.0, _DURATION),
        "l/s": Conversion("flow_cubic_meters_per_second", 1e-3, _FLOW),
        "l/min": Conversion("flow_cubic_meters_per_second", 1e-3 / 60, _FLOW),
        "m3/h": Conversion("flow_cubic_meters_per_second", 1 / 3600, _FLOW),
        "m³/h": Conversion("flow_cubic_meters_per_second", 1 / 3600, _FLOW),
    }
)

_BY_KIND = MappingProxyType(
    {
        (PointKind.RESIDUAL_CURRENT, "current_amperes"): (
            "residual_current_amperes",
            "Residual (leakage) current.",
        ),
        (PointKind.LEVEL, "length_meters"): ("level_meters", "Level of a liquid."),
        (PointKind.LEVEL, "share_ratio"): ("level_ratio", "Level as a part of full, 0 to 1."),
        (PointKind.HUMIDITY, "share_ratio"): ("humidity_ratio", "Relative humidity, 0 to 1."),
        (PointKind.GAS, "share_ratio"): ("gas_lel_ratio", _LEL),
    }
)

CASE_MATTERS = frozenset({"mW", "mPa", "MV", "MA", "S", "H"})
"""Spellings that would mean something else in small letters: taken as unknown, never guessed."""


def conversion_of(kind: PointKind, unit: str) -> Conversion | None:
    """Return how a point's values become a metric in base units; None for an unknown unit."""
    if unit in CASE_MATTERS:
        return None
    known = _BY_UNIT.get(unit.strip().lower())
    if known is None:
        return None
    special = _BY_KIND.get((kind, known.name))
    if special is None:
        return known
    return Conversion(special[0], known.factor, special[1])
