"""Words to values and back: what the registers of a quantity mean. Pure.

A value that cannot be trusted is never handed on as good: sentinels, numbers outside the valid
range, NaN, codes nobody listed and broken current loops are `bad` and carry no value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.modbus.spec import Area, DataType, Order, QuantitySpec
from drivers.reading import Quality, Value

LOOP_FAULT_LOW_MA = 3.6
LOOP_FAULT_HIGH_MA = 21.0
"""Below and above: the transmitter or its wire is broken (NAMUR NE43)."""
LOOP_VALID_LOW_MA = 3.8
LOOP_VALID_HIGH_MA = 20.5
"""Outside of these but no fault yet: the measurement is saturated (NAMUR NE43)."""

REASON_LENGTH = "length"
REASON_SENTINEL = "sentinel"
REASON_RANGE = "range"
REASON_NOT_A_NUMBER = "not a number"
REASON_CODE = "unknown code"
REASON_DIGITS = "not decimal"
REASON_TEXT = "not text"
REASON_LOOP = "line fault"
REASON_SATURATED = "saturated"

BIT_AREAS = frozenset({Area.COIL, Area.DISCRETE})

_INTEGERS: dict[DataType, tuple[int, bool]] = {
    DataType.U16: (1, False),
    DataType.S16: (1, True),
    DataType.U32: (2, False),
    DataType.S32: (2, True),
    DataType.U64: (4, False),
    DataType.S64: (4, True),
}
_FLOATS: dict[DataType, tuple[int, str]] = {DataType.F32: (2, ">f"), DataType.F64: (4, ">d")}
_BCD: dict[DataType, int] = {DataType.BCD16: 1, DataType.BCD32: 2}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What some words mean."""

    value: Value | None
    """In the quantity's unit; None if and only if the quality is bad."""
    quality: Quality
    reason: str = ""


def width(spec: QuantitySpec) -> int:
    """Return how many registers a quantity takes (bits, in the coil and discrete areas)."""
    if spec.type in _INTEGERS:
        return _INTEGERS[spec.type][0]
    if spec.type in _FLOATS:
        return _FLOATS[spec.type][0]
    if spec.type in _BCD:
        return _BCD[spec.type]
    return spec.length if spec.type is DataType.STRING else 1


def faults_of(spec: QuantitySpec) -> tuple[str, ...]:
    """Return what is wrong with a quantity's definition, in words; empty when nothing is."""
    faults: list[str] = []
    if (spec.type is DataType.BOOL) != (spec.area in BIT_AREAS):
        faults.append(
            f"type {spec.type} in area {spec.area}: coils and discrete inputs are bool, registers"
            " are any other type (one bit of a register: type bits)"
        )
    if not 0 <= spec.address <= 0x10000 - width(spec):
        faults.append(f"address {spec.address}: from 0, and all of it below 65536")
    if spec.scale == 0 or not math.isfinite(spec.scale) or not math.isfinite(spec.offset):
        faults.append(f"scale {spec.scale}, offset {spec.offset}: finite numbers, scale not 0")
    if spec.type is DataType.BITS and not (
        spec.bit >= 0 and spec.bit_count >= 1 and spec.bit + spec.bit_count <= 16
    ):
        faults.append(f"bits {spec.bit} + {spec.bit_count}: a register has bits 0 to 15")
    if spec.type is DataType.STRING and not 1 <= spec.length <= 125:
        faults.append(f"length {spec.length}: 1 to 125 registers")
    if spec.enum and spec.type in (*_FLOATS, DataType.STRING):
        faults.append(f"enum on {spec.type}: only whole numbers have codes")
    if spec.loop and (spec.enum or spec.type in (DataType.BOOL, DataType.STRING)):
        faults.append("loop: a current is a number without enum")
    if spec.loop and spec.loop.low == spec.loop.high:
        faults.append("loop: low and high must differ")
    if (
        spec.valid_min is not None
        and spec.valid_max is not None
        and not spec.valid_min <= spec.valid_max
    ):
        faults.append(f"valid range {spec.valid_min} to {spec.valid_max}: min above max")
    return tuple(faults)


class Decoder:
    """Decodes the words of one quantity."""

    __slots__ = ("_digits", "_is_bare", "_is_plain", "_is_signed", "_is_word", "spec", "width")

    def __init__(self, spec: QuantitySpec) -> None:
        """Raises ValueError when the definition makes no sense."""
        if faults := faults_of(spec):
            raise ValueError(f"{spec.name}: {'; '.join(faults)}")
        self.spec = spec
        self.width = width(spec)
        self._is_plain = spec.scale == 1 and spec.offset == 0
        self._digits = max(_decimals(spec.scale), _decimals(spec.offset))
        # most quantities are one whole number in one register: the short way through `decode`
        self._is_signed = spec.type is DataType.S16
        self._is_word = spec.byte_order is Order.BIG and spec.type in (DataType.U16, DataType.S16)
        has_range = spec.valid_min is not None or spec.valid_max is not None
        self._is_bare = self._is_plain and not (spec.enum or spec.loop or has_range)

    def decode(self, words: Sequence[int]) -> Decoded:
        """Return what the words mean; `words` are exactly the quantity's registers or its one bit."""
        spec = self.spec
        if len(words) != self.width:
            return _bad(REASON_LENGTH)
        if self._is_word:
            word = words[0]
            if word in spec.sentinels:
                return _bad(REASON_SENTINEL)
            whole = word - 0x10000 if self._is_signed and word > 0x7FFF else word
            return Decoded(whole, Quality.GOOD) if self._is_bare else self._code(whole)
        if spec.type is DataType.BOOL:
            return self._code(int(bool(words[0])))
        data = _in_order(spec, words)
        if spec.type is DataType.STRING:
            return _text(data)
        raw = int.from_bytes(data, "big")
        if raw in spec.sentinels:
            return _bad(REASON_SENTINEL)
        if spec.type in _FLOATS:
            number: float = struct.unpack(_FLOATS[spec.type][1], data)[0]
            if not math.isfinite(number):
                return _bad(REASON_NOT_A_NUMBER)
            return self._number(number)
        if spec.type is DataType.BITS:
            return self._code((raw >> spec.bit) & ((1 << spec.bit_count) - 1))
        if spec.type in _BCD:
            digits = data.hex()
            return self._code(int(digits)) if digits.isdecimal() else _bad(REASON_DIGITS)
        return self._code(int.from_bytes(data, "big", signed=_INTEGERS[spec.type][1]))

    def _code(self, whole: int) -> Decoded:
        spec = self.spec
        if spec.enum:
            if whole not in spec.enum:
                return _bad(REASON_CODE)
            return Decoded(spec.enum[whole], Quality.GOOD)
        if spec.type is DataType.BOOL:
            return Decoded(bool(whole), Quality.GOOD)
        return self._number(whole)

    def _number(self, number: float) -> Decoded:
        spec = self.spec
        if not self._is_plain:
            scaled = number * spec.scale + spec.offset
            # whole x 0.1 has one decimal; binary noise behind it (3 x 0.1) would only cost bytes
            number = round(scaled, self._digits) if isinstance(number, int) else scaled
        quality, reason = Quality.GOOD, ""
        if spec.loop is not None:
            if not LOOP_FAULT_LOW_MA <= number <= LOOP_FAULT_HIGH_MA:
                return _bad(REASON_LOOP)
            if not LOOP_VALID_LOW_MA <= number <= LOOP_VALID_HIGH_MA:
                quality, reason = Quality.UNCERTAIN, REASON_SATURATED
            number = spec.loop.low + (number - 4) / 16 * (spec.loop.high - spec.loop.low)
        if not math.isfinite(number):
            return _bad(REASON_NOT_A_NUMBER)
        if (spec.valid_min is not None and number < spec.valid_min) or (
            spec.valid_max is not None and number > spec.valid_max
        ):
            return _bad(REASON_RANGE)
        return Decoded(number, quality, reason)


def encode(spec: QuantitySpec, value: Value) -> tuple[int, ...]:
    """Return the registers (or the one bit) a device would hold for a value; for simulation.

    Raises:
        ValueError: the value does not fit.
    """
    if isinstance(value, str) and spec.type is DataType.STRING:
        data = value.encode("ascii").ljust(2 * spec.length, b"\0")
        if len(data) > 2 * spec.length:
            raise ValueError(f"{spec.name}: {value!r} is longer than {spec.length} registers")
        return _words_of(spec, data)
    if spec.enum:
        codes = [
            code for code, word in spec.enum.items() if (type(word), word) == (type(value), value)
        ]
        if not codes:
            raise ValueError(f"{spec.name}: {value!r} is not in its enum")
        return _encode_number(spec, codes[0])
    if isinstance(value, str):
        raise ValueError(f"{spec.name}: {value!r} is not a number")
    number: float = value
    if spec.loop is not None:
        number = 4 + 16 * (number - spec.loop.low) / (spec.loop.high - spec.loop.low)
    if spec.scale != 1 or spec.offset != 0:
        number = (number - spec.offset) / spec.scale
    return _encode_number(spec, number)


def _encode_number(spec: QuantitySpec, number: float) -> tuple[int, ...]:
    if spec.type in _FLOATS:
        try:
            return _words_of(spec, struct.pack(_FLOATS[spec.type][1], number))
        except OverflowError as error:
            raise ValueError(f"{spec.name}: {number} does not fit {spec.type}") from error
    whole = number if isinstance(number, int) else round(number)
    try:
        match spec.type:
            case DataType.BOOL:
                return (whole.to_bytes(1, "big")[0] and 1,)
            case DataType.BITS:
                if whole >> spec.bit_count:
                    raise OverflowError
                return _words_of(spec, (whole << spec.bit).to_bytes(2, "big"))
            case DataType.BCD16 | DataType.BCD32:
                digits = 4 * _BCD[spec.type]
                if not 0 <= whole < 10**digits:
                    raise OverflowError
                return _words_of(spec, bytes.fromhex(f"{whole:0{digits}d}"))
            case _:
                words, signed = _INTEGERS[spec.type]
                return _words_of(spec, whole.to_bytes(2 * words, "big", signed=signed))
    except OverflowError as error:
        raise ValueError(f"{spec.name}: {whole} does not fit {spec.type}") from error


def _in_order(spec: QuantitySpec, words: Sequence[int]) -> bytes:
    """Return the bytes most significant first."""
    ordered = reversed(words) if spec.word_order is Order.LITTLE else words
    data = b"".join(word.to_bytes(2, "big") for word in ordered)
    return _swapped(data) if spec.byte_order is Order.LITTLE else data


def _words_of(spec: QuantitySpec, data: bytes) -> tuple[int, ...]:
    if spec.byte_order is Order.LITTLE:
        data = _swapped(data)
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return tuple(reversed(words)) if spec.word_order is Order.LITTLE else tuple(words)


def _swapped(data: bytes) -> bytes:
    swapped = bytearray(data)
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)


def _text(data: bytes) -> Decoded:
    text = data.split(b"\0", 1)[0].strip()
    if not all(0x20 <= each < 0x7F for each in text):
        return _bad(REASON_TEXT)
    return Decoded(text.decode("ascii"), Quality.GOOD)


def _bad(reason: str) -> Decoded:
    return Decoded(None, Quality.BAD, reason)


def _decimals(number: float) -> int:
    """Return how many decimals a number is written with: 0.1 has one, 1e-05 five, 20.0 none."""
    mantissa, _, exponent = repr(float(number)).partition("e")
    fraction = mantissa.partition(".")[2].rstrip("0")
    return max(0, len(fraction) - int(exponent or 0))
