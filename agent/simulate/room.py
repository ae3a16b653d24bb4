"""The physics of the simulated plant room: quantities that move in straight lines, as told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from drivers.clock import Clock


class Quantity(StrEnum):
    """What can be measured in the room; the unit ends the name."""

    HYDRANT_KPA = "hydrant_kpa"
    SHED_CELSIUS = "shed_celsius"
    SHED_PERCENT = "shed_percent"
    CHARGING_A = "charging_a"
    HALL_CELSIUS = "hall_celsius"
    HALL_PERCENT = "hall_percent"
    GAS_PERCENT_LEL = "gas_percent_lel"
    SUMP_MM = "sump_mm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A straight line from one value to another, level before and after."""

    start: float
    end: float
    from_s: float
    over_s: float = 0.0

    def at(self, now_s: float) -> float:
        """Return the value at a monotonic time."""
        if now_s >= self.from_s + self.over_s:
            return self.end
        if now_s <= self.from_s:
            return self.start
        return self.start + (self.end - self.start) * (now_s - self.from_s) / self.over_s


NORMAL: dict[Quantity, float] = {
    Quantity.HYDRANT_KPA: 450.0,
    Quantity.SHED_CELSIUS: 24.0,
    Quantity.SHED_PERCENT: 48.0,
    Quantity.CHARGING_A: 6.0,
    Quantity.HALL_CELSIUS: 22.0,
    Quantity.HALL_PERCENT: 45.0,
    Quantity.GAS_PERCENT_LEL: 0.0,
    Quantity.SUMP_MM: 180.0,
}
"""A room with nothing wrong. Made up; config/demo.yaml sets its limits around these."""

# How much each quantity breathes around its value: half the height of a slow sine, so that a
# healthy room is not a dead straight line. Gas stays at zero: a detector in clean air reads 0.
_BREATH: dict[Quantity, float] = {
    Quantity.HYDRANT_KPA: 2.0,
    Quantity.SHED_CELSIUS: 0.15,
    Quantity.SHED_PERCENT: 0.8,
    Quantity.CHARGING_A: 0.2,
    Quantity.HALL_CELSIUS: 0.1,
    Quantity.HALL_PERCENT: 0.5,
    Quantity.GAS_PERCENT_LEL: 0.0,
    Quantity.SUMP_MM: 3.0,
}
_BREATH_PERIOD_S = 17.0
_MAINS_V = 230.0
_COOLING_S = 8.0
"""How long the shed takes back to normal once its power is cut (time-lapse: a real one takes hours)."""


class PlantRoom:
    """The room now. Every value is a function of the clock and of what was told before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        now_s = clock.mono_s()
        self._ramps = {
            quantity: Ramp(start=value, end=value, from_s=now_s)
            for quantity, value in NORMAL.items()
        }
        self._is_powered = True

    def move(self, quantity: Quantity, to: float, over_s: float = 0.0) -> None:
        """Let a quantity go from where it is to `to` (its own unit) within `over_s`."""
        now_s = self._clock.mono_s()
        self._ramps[quantity] = Ramp(
            start=self._ramps[quantity].at(now_s), end=to, from_s=now_s, over_s=over_s
        )

    def value(self, quantity: Quantity) -> float:
        """Return a quantity in its unit, breathing a little."""
        now_s = self._clock.mono_s()
        if quantity is Quantity.CHARGING_A and not self._is_powered:
            return 0.0
        phase = 2 * math.pi * now_s / _BREATH_PERIOD_S + list(Quantity).index(quantity)
        return self._ramps[quantity].at(now_s) + _BREATH[quantity] * math.sin(phase)

    @property
    def is_powered(self) -> bool:
        """Whether the shed's chargers have power."""
        return self._is_powered

    def set_power(self, is_on: bool) -> None:
        """Cut or give the shed's power. Without it nothing charges and the shed cools down."""
        if is_on == self._is_powered:
            return
        self._is_powered = is_on
        if not is_on:
            self.move(Quantity.SHED_CELSIUS, NORMAL[Quantity.SHED_CELSIUS], _COOLING_S)

    @property
    def mains_v(self) -> float:
        """Voltage of the charging supply."""
        return _MAINS_V if self._is_powered else 0.0

    @property
    def charging_w(self) -> float:
        """Active power of the chargers."""
        return self.mains_v * self.value(Quantity.CHARGING_A)
