"""Words to values and back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.registers import Decoder, encode, faults_of, width
from drivers.modbus.spec import Area, DataType, LoopSpec, Order, QuantitySpec
from drivers.reading import Quality, Value

WHOLE = {
    DataType.U16: (0, 0xFFFF),
    DataType.S16: (-0x8000, 0x7FFF),
    DataType.U32: (0, 0xFFFFFFFF),
    DataType.S32: (-0x80000000, 0x7FFFFFFF),
    DataType.U64: (0, 2**64 - 1),
    DataType.S64: (-(2**63), 2**63 - 1),
    DataType.BCD16: (0, 9999),
    DataType.BCD32: (0, 99999999),
}


def quantity(type_: DataType, **more: object) -> QuantitySpec:
    area = Area.COIL if type_ is DataType.BOOL else Area.HOLDING
    return QuantitySpec(
        **{"name": "q", "area": area, "address": 0, "type": type_, **more}  # type: ignore[arg-type]
    )


orders = st.fixed_dictionaries(
    {"word_order": st.sampled_from(Order), "byte_order": st.sampled_from(Order)}
)


@given(st.sampled_from(sorted(WHOLE)), orders, st.data())
def test_whole_numbers_survive_the_wire(
    type_: DataType, order: dict[str, Order], data: st.DataObject
) -> None:
    low, high = WHOLE[type_]
    value = data.draw(st.integers(low, high))
    spec = quantity(type_, **order)
    words = encode(spec, value)
    assert len(words) == width(spec)
    assert Decoder(spec).decode(words).value == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), orders)
def test_single_floats_survive_the_wire(value: float, order: dict[str, Order]) -> None:
    spec = quantity(DataType.F32, **order)
    assert Decoder(spec).decode(encode(spec, value)).value == value


@given(st.floats(allow_nan=False, allow_infinity=False), orders)
def test_double_floats_survive_the_wire(value: float, order: dict[str, Order]) -> None:
    spec = quantity(DataType.F64, **order)
    assert Decoder(spec).decode(encode(spec, value)).value == value


@given(st.integers(-0x8000, 0x7FFF), st.sampled_from([0.1, 0.01, 0.001, 2.0, 10.0]))
def test_scaled_numbers_survive_and_show_no_binary_noise(raw: int, scale: float) -> None:
    spec = quantity(DataType.S16, scale=scale, offset=-40.0)
    decoded = Decoder(spec).decode([raw & 0xFFFF])
    assert isinstance(decoded.value, float)
    assert encode(spec, decoded.value) == (raw & 0xFFFF,)
    assert len(f"{decoded.value!r}".partition(".")[2]) <= 3


@given(st.integers(0, 15), st.data())
def test_bit_fields_survive_the_wire(bit: int, data: st.DataObject) -> None:
    bits = data.draw(st.integers(1, 16 - bit))
    value = data.draw(st.integers(0, 2**bits - 1))
    spec = quantity(DataType.BITS, bit=bit, bit_count=bits)
    (word,) = encode(spec, value)
    others = data.draw(st.integers(0, 0xFFFF)) & ~(((1 << bits) - 1) << bit)
    assert Decoder(spec).decode([word | others]).value == value


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8), orders)
def test_text_survives_the_wire(text: str, order: dict[str, Order]) -> None:
    spec = quantity(DataType.STRING, length=4, **order)
    assert Decoder(spec).decode(encode(spec, text)).value == text


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4), st.sampled_from(DataType), orders)
def test_no_words_make_a_decoder_raise_or_lie_about_having_a_value(
    words: list[int], type_: DataType, order: dict[str, Order]
) -> None:
    decoded = Decoder(quantity(type_, **order)).decode(words)
    assert (decoded.value is None) == (decoded.quality is Quality.BAD)
    assert (decoded.reason == "") == (decoded.quality is Quality.GOOD)


# 123456.789 as bytes AB CD EF GH is 47 F1 20 65 (IEEE 754 single)
@pytest.mark.parametrize(
    ("word_order", "byte_order", "words"),
    [
        (Order.BIG, Order.BIG, [0x47F1, 0x2065]),
        (Order.LITTLE, Order.BIG, [0x2065, 0x47F1]),
        (Order.BIG, Order.LITTLE, [0xF147, 0x6520]),
        (Order.LITTLE, Order.LITTLE, [0x6520, 0xF147]),
    ],
)
def test_the_four_orders_of_a_float(word_order: Order, byte_order: Order, words: list[int]) -> None:
    spec = quantity(DataType.F32, word_order=word_order, byte_order=byte_order)
    assert Decoder(spec).decode(words).value == struct.unpack(">f", bytes.fromhex("47f12065"))[0]


@pytest.mark.parametrize(
    ("type_", "more", "words", "value"),
    [
        (DataType.U16, {"scale": 0.1}, [2301], 230.1),
        (DataType.U16, {"scale": 0.1}, [3], 0.3),
        (DataType.S16, {"scale": 0.1}, [0xFFEC], -2.0),
        (DataType.S16, {"offset": -40.0}, [50], 10.0),
        (DataType.U32, {"word_order": Order.LITTLE, "scale": 0.001}, [1234, 0], 1.234),
        (DataType.BITS, {"bit": 4, "bit_count": 3}, [0b0101_0000], 5),
        (DataType.BITS, {"bit": 15, "enum": {0: False, 1: True}}, [0x8000], True),
        (DataType.BCD16, {}, [0x1234], 1234),
        (DataType.STRING, {"length": 3}, [0x4142, 0x4300, 0x5A5A], "ABC"),
        (DataType.BOOL, {}, [1], True),
        (DataType.BOOL, {"enum": {0: "closed", 1: "open"}}, [1], "open"),
        (DataType.U16, {"enum": {1: "normal", 2: "leak"}}, [2], "leak"),
        (DataType.S16, {"enum": {-1: "fault", 0: "ok"}}, [0xFFFF], "fault"),
    ],
)
def test_values(type_: DataType, more: dict[str, object], words: list[int], value: Value) -> None:
    decoded = Decoder(quantity(type_, **more)).decode(words)
    assert (decoded.value, decoded.quality) == (value, Quality.GOOD)
    assert type(decoded.value) is type(value)


@pytest.mark.parametrize(
    ("type_", "more", "words", "reason"),
    [
        (DataType.U16, {"sentinels": (0xFFFF,)}, [0xFFFF], "sentinel"),
        (DataType.S16, {"sentinels": (0x8000,)}, [0x8000], "sentinel"),
        (DataType.U32, {"sentinels": (0x7FFFFFFF,), "word_order": Order.LITTLE}, [0xFFFF, 0x7FFF],
         "sentinel"),
        (DataType.F32, {}, [0x7FC0, 0], "not a number"),
        (DataType.F32, {}, [0x7F80, 0], "not a number"),
        (DataType.F64, {}, [0xFFF0, 0, 0, 0], "not a number"),
        (DataType.F64, {"scale": 1e300}, [0x7FEF, 0, 0, 0], "not a number"),
        (DataType.S16, {"scale": 0.1, "valid_max": 80.0}, [801], "range"),
        (DataType.S16, {"scale": 0.1, "valid_min": -40.0}, [-401 & 0xFFFF], "range"),
        (DataType.U16, {"enum": {1: "normal"}}, [3], "unknown code"),
        (DataType.BCD16, {}, [0x12A4], "not decimal"),
        (DataType.STRING, {"length": 1}, [0x41FF], "not text"),
        (DataType.U32, {}, [1], "length"),
        (DataType.U16, {}, [1, 2], "length"),
    ],
)  # fmt: skip
def test_what_is_not_a_value_is_bad(
    type_: DataType, more: dict[str, object], words: list[int], reason: str
) -> None:
    decoded = Decoder(quantity(type_, **more)).decode(words)
    assert (decoded.value, decoded.quality, decoded.reason) == (None, Quality.BAD, reason)


# NAMUR NE43 on a loop of 0 to 1600 kPa read in hundredths of a milliampere
@pytest.mark.parametrize(
    ("hundredths", "value", "quality", "reason"),
    [
        (0, None, Quality.BAD, "line fault"),
        (359, None, Quality.BAD, "line fault"),
        (360, -40.0, Quality.UNCERTAIN, "saturated"),
        (379, -21.0, Quality.UNCERTAIN, "saturated"),
        (380, -20.0, Quality.GOOD, ""),
        (400, 0.0, Quality.GOOD, ""),
        (1200, 800.0, Quality.GOOD, ""),
        (2000, 1600.0, Quality.GOOD, ""),
        (2050, 1650.0, Quality.GOOD, ""),
        (2051, 1651.0, Quality.UNCERTAIN, "saturated"),
        (2100, 1700.0, Quality.UNCERTAIN, "saturated"),
        (2101, None, Quality.BAD, "line fault"),
        (65535, None, Quality.BAD, "line fault"),
    ],
)
def test_a_current_loop_tells_faults_from_measurements(
    hundredths: int, value: float | None, quality: Quality, reason: str
) -> None:
    spec = quantity(DataType.U16, scale=0.01, loop=LoopSpec(low=0.0, high=1600.0))
    decoded = Decoder(spec).decode([hundredths])
    assert decoded.quality is quality
    assert decoded.reason == reason
    assert decoded.value == (None if value is None else pytest.approx(value))
    if value is not None:
        assert encode(spec, value) == (hundredths,)


@pytest.mark.parametrize(
    ("type_", "more"),
    [
        (DataType.U16, {"area": Area.COIL}),
        (DataType.BOOL, {"area": Area.HOLDING}),
        (DataType.U32, {"address": 65535}),
        (DataType.U16, {"address": -1}),
        (DataType.U16, {"scale": 0.0}),
        (DataType.U16, {"scale": float("nan")}),
        (DataType.BITS, {"bit": 12, "bit_count": 5}),
        (DataType.STRING, {"length": 0}),
        (DataType.F32, {"enum": {1: "x"}}),
        (DataType.U16, {"loop": LoopSpec(low=1, high=1)}),
        (DataType.U16, {"valid_min": 2.0, "valid_max": 1.0}),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(
    type_: DataType, more: dict[str, object]
) -> None:
    spec = quantity(type_, **more)
    assert faults_of(spec)
    with pytest.raises(ValueError, match="q: "):
        Decoder(spec)


@pytest.mark.parametrize(
    ("type_", "more", "value"),
    [
        (DataType.U16, {}, 65536),
        (DataType.U16, {}, -1),
        (DataType.S16, {}, 40000),
        (DataType.BCD16, {}, 10000),
        (DataType.BITS, {"bit_count": 2}, 4),
        (DataType.STRING, {"length": 1}, "abc"),
        (DataType.U16, {"enum": {1: "on"}}, "off"),
        (DataType.U16, {}, "text"),
        (DataType.F32, {}, 1e300),
    ],
)
def test_a_value_that_does_not_fit_cannot_be_encoded(
    type_: DataType, more: dict[str, object], value: Value
) -> None:
    with pytest.raises(ValueError, match="q: "):
        encode(quantity(type_, **more), value)
