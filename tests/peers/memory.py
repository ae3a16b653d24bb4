"""What every peer holds: one unit with all four areas; the words are laid out here by hand.

The bytes come from `struct` and from the tables of the protocol, never from the driver's own
encoder: two sides that share a mistake would agree.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from drivers.modbus.spec import Area, DataType, Order, QuantitySpec
from drivers.reading import Value

UNIT = 7
ABSENT_UNIT = 9
FIRST = 16
"""First address of every area; all below and all from `END` on is illegal."""
REGISTERS = 200
BITS = 2048
"""More than one read may ask for (125 and 2000); whole words of bits, as pymodbus keeps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A quantity with the value it must be read as."""

    quantity: QuantitySpec
    value: Value
    words: tuple[int, ...]


def word(area: Area, address: int) -> int:
    """Return what a register holds where no quantity is: different at each address and area."""
    return (address * 257 + (0x1111 if area is Area.INPUT else 0)) & 0xFFFF


def bit(area: Area, address: int) -> bool:
    """Return what a coil or discrete input holds."""
    return (address * 7 + address // 5) % (3 if area is Area.COIL else 4) == 0


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


_BIG, _LITTLE = Order.BIG, Order.LITTLE
_PLAIN: tuple[tuple[str, DataType, Value, bytes, dict[str, object]], ...] = (
    ("u16", DataType.U16, 65000, struct.pack(">H", 65000), {}),
    ("s16", DataType.S16, -12345, struct.pack(">h", -12345), {}),
    ("u32", DataType.U32, 3_000_000_000, struct.pack(">I", 3_000_000_000), {}),
    ("s32", DataType.S32, -2_000_000_000, struct.pack(">i", -2_000_000_000), {}),
    ("u64", DataType.U64, 2**63 + 5, struct.pack(">Q", 2**63 + 5), {}),
    ("s64", DataType.S64, -(2**62) - 3, struct.pack(">q", -(2**62) - 3), {}),
    ("f32", DataType.F32, -1234.5, struct.pack(">f", -1234.5), {}),
    ("f64", DataType.F64, 0.1, struct.pack(">d", 0.1), {}),
    ("bits", DataType.BITS, 0b101, struct.pack(">H", 0b1010_0101_0110_0011),
     {"bit": 8, "bit_count": 4}),
    ("bcd16", DataType.BCD16, 9876, bytes.fromhex("9876"), {}),
    ("bcd32", DataType.BCD32, 12345678, bytes.fromhex("12345678"), {}),
    ("string", DataType.STRING, "HYDRANT", b"HYDRANT\0", {"length": 4}),
    ("enum", DataType.U16, "leak", b"\0\2", {"enum": {1: "normal", 2: "leak"}}),
    ("scaled", DataType.S16, -4.5, struct.pack(">h", -45), {"scale": 0.1}),
    ("u32-low-first", DataType.U32, 0x12345678, bytes.fromhex("56781234"), {"word_order": _LITTLE}),
    ("u32-bytes", DataType.U32, 0x12345678, bytes.fromhex("34127856"), {"byte_order": _LITTLE}),
    ("f32-all-little", DataType.F32, 2.5, struct.pack("<f", 2.5),
     {"word_order": _LITTLE, "byte_order": _LITTLE}),
)  # fmt: skip


def known(area: Area) -> tuple[Known, ...]:
    """Return one quantity of every type a register area can have, each a few registers on."""
    found: list[Known] = []
    address = FIRST
    for index, (name, type_, value, data, more) in enumerate(_PLAIN):
        spec = QuantitySpec(
            **{  # type: ignore[arg-type]
                "name": f"{area}-{name}", "area": area, "address": address, "type": type_, **more
            }
        )  # fmt: skip
        found.append(Known(quantity=spec, value=value, words=_words(data)))
        address += len(data) // 2 + index % 4
    return tuple(found)


def bits(area: Area) -> tuple[Known, ...]:
    """Return some single bits, across bytes and with gaps."""
    return tuple(
        Known(
            quantity=QuantitySpec(
                name=f"{area}-{address}", area=area, address=address, type=DataType.BOOL
            ),
            value=bit(area, address),
            words=(int(bit(area, address)),),
        )
        for address in (*range(FIRST, FIRST + 19), FIRST + 30, FIRST + 47)
    )


def table(area: Area) -> list[int]:
    """Return everything an area holds, from `FIRST` on."""
    if area in (Area.COIL, Area.DISCRETE):
        return [int(bit(area, FIRST + each)) for each in range(BITS)]
    words = [word(area, FIRST + each) for each in range(REGISTERS)]
    for each in known(area):
        start = each.quantity.address - FIRST
        words[start : start + len(each.words)] = each.words
    return words


def map_text() -> str:
    """Return the map as the peers read it."""
    lines = [f"unit {UNIT}"]
    lines += [f"{area} {FIRST} {' '.join(map(str, table(area)))}" for area in Area]
    return "\n".join(lines) + "\n"
