"""Plausible values for any quantity: near the middle of what it may be, moving slowly, never a sentinel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random

from drivers.modbus.registers import Decoder, encode
from drivers.modbus.spec import DataType, QuantitySpec
from drivers.reading import Quality, Value

Moving = Callable[[float], tuple[int, ...]]
"""Registers (or the one bit) of a quantity at a monotonic time in seconds."""

SHARE_OF_BREATH = 0.01
"""Half the height of a quantity's slow sine, as a part of its value."""
PERIODS_S = (15.0, 60.0)
"""Between these lies the period of the sine, drawn per quantity."""

_TYPICAL: dict[str, tuple[float, ...]] = {
    # What a healthy plant room shows, by unit (after "kind/" where the kind decides); made up.
    "kPa": (450.0,),
    "MPa": (0.45,),
    "bar": (4.5,),
    "°C": (23.0,),
    "%RH": (48.0,),
    "V": (230.0,),
    "mV": (12_000.0,),
    "Hz": (50.0,),
    "A": (6.0,),
    "mA": (8.0,),
    "W": (1380.0,),
    "kW": (1.38,),
    "VA": (1400.0,),
    "var": (220.0,),
    "cm": (180.0,),
    "mm": (2100.0,),
    "s": (86_400.0,),
    "residual-current/mA": (5.0,),
    "residual-current/A": (0.005,),
    "gas/%LEL": (0.0,),
}
_RESTING = frozenset(
    {"smoke", "heat", "call-point", "gas", "leak", "flow", "pump", "lift", "door", "key"}
)
"""Kinds whose number is 0 while nothing is wrong."""
_COUNTING = frozenset({"energy", "duration", "count"})
_PER_S = {"kWh": 1.38 / 3600, "Wh": 1380 / 3600, "s": 1.0}
_LEVEL_SHARE = 0.7
"""Of its range: a tank that is neither empty nor full."""
_HIGH_SHARE = 0.95
"""Of its range, where the middle is zero and would say nothing (a power factor)."""


def moving(spec: QuantitySpec, random: Random) -> Moving:
    """Return how a quantity moves; every value decodes as good.

    A quantity for which no good value can be found holds zeros.
    """
    decoder = Decoder(spec)
    base = next((each for each in _candidates(spec) if _is_good(decoder, each)), None)
    if base is None:
        zeros = (0,) * decoder.width
        return lambda _: zeros
    still = encode(spec, base)
    if isinstance(base, (bool, str)) or spec.enum:
        return lambda _: still
    start, period_s, phase = base, random.uniform(*PERIODS_S), random.uniform(0, math.tau)
    rate_per_s = _PER_S.get(spec.unit, 1.0 if spec.kind == "count" else 0.0)

    def words(now_s: float) -> tuple[int, ...]:
        if spec.kind in _COUNTING:
            value = start + rate_per_s * now_s
        else:
            value = start * (1 + SHARE_OF_BREATH * math.sin(math.tau * now_s / period_s + phase))
        return encode(spec, value) if _is_good(decoder, value) else still

    return words


def _candidates(spec: QuantitySpec) -> Iterator[Value]:
    """Return values to try, the most lifelike first."""
    if spec.type is DataType.STRING:
        yield "SIM"[: 2 * spec.length]
        return
    if spec.enum:
        yield from (word for word in spec.enum.values() if word is False)
        yield from spec.enum.values()
        return
    if spec.type is DataType.BOOL:
        yield False
        return
    low, high = _ends(spec)
    if spec.kind in _RESTING:
        yield 0.0
    if spec.kind == "level" and low is not None and high is not None:
        yield low + _LEVEL_SHARE * (high - low)
    for key in (f"{spec.kind}/{spec.unit}", spec.unit):
        yield from _TYPICAL.get(key, ())
    if low is not None and high is not None:
        yield (low + high) / 2 or low + _HIGH_SHARE * (high - low)
        yield low + _HIGH_SHARE * (high - low)
    yield from (100.0, 1.0, 0.0, spec.offset, spec.offset + spec.scale)
    if low is not None:
        yield low
    if high is not None:
        yield high


def _ends(spec: QuantitySpec) -> tuple[float | None, float | None]:
    """Return the range a value should be in: the valid one, else that of the current loop."""
    if spec.loop is not None:
        loop = sorted((spec.loop.low, spec.loop.high))
        low = loop[0] if spec.valid_min is None else max(loop[0], spec.valid_min)
        high = loop[1] if spec.valid_max is None else min(loop[1], spec.valid_max)
        return low, high
    return spec.valid_min, spec.valid_max


def _is_good(decoder: Decoder, value: Value) -> bool:
    try:
        return decoder.decode(encode(decoder.spec, value)).quality is Quality.GOOD
    except ValueError:
        return False
