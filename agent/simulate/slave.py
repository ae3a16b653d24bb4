"""Units on a bus: four tables of blocks, whose registers are stored, computed, or counted.

A counted register gives every answer a value of its own, so that what arrives at the far end can be
held against what left here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent.simulate.frames import (
    READ_BITS,
    READ_WORDS,
    WRITES,
    ExceptionCode,
    Function,
    RefusedRequest,
    Request,
    exception_pdu,
    read_bits_pdu,
    read_request,
    read_words_pdu,
    written_pdu,
)
from agent.simulate.ledger import encode_counter
from drivers.modbus.spec import Area

_AREA = {
    Function.READ_COILS: Area.COIL,
    Function.READ_DISCRETE: Area.DISCRETE,
    Function.READ_HOLDING: Area.HOLDING,
    Function.READ_INPUT: Area.INPUT,
    Function.WRITE_COIL: Area.COIL,
    Function.WRITE_REGISTER: Area.HOLDING,
    Function.WRITE_COILS: Area.COIL,
    Function.WRITE_REGISTERS: Area.HOLDING,
}


def f32_words(value: float) -> tuple[int, int]:
    """Return an IEEE 754 single as two registers, big end first."""
    return struct.unpack(">HH", struct.pack(">f", value))


def u32_words(value: int) -> tuple[int, int]:
    """Return a 32-bit number as two registers, big end first."""
    return value >> 16 & 0xFFFF, value & 0xFFFF


def s16_word(value: float) -> int:
    """Return a number as one two's complement register, held at the ends of its range."""
    return max(-0x8000, min(0x7FFF, round(value))) & 0xFFFF


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter value that an answer carries."""

    address: int
    value: int


class Block:
    """A run of addresses in one table that is stored and may be written."""

    def __init__(
        self, area: Area, address: int, values: Sequence[int], *, is_writable: bool = False
    ) -> None:
        if not values or address < 0 or address + len(values) > 0x10000:
            raise ValueError(f"{area} {address}: a block needs 1 or more addresses within 0-65535")
        self.area = area
        self.address = address
        self.values = list(values)
        self.is_writable = is_writable

    @property
    def end(self) -> int:
        """The first address behind the block."""
        return self.address + len(self.values)

    def read(self) -> Sequence[int]:
        """Return the values for one answer."""
        return self.values

    def takes(self, address: int, count: int) -> bool:
        """Return whether these addresses of this block may be written."""
        return self.is_writable

    def write(self, address: int, values: Sequence[int]) -> None:
        """Store values from an address of this block on."""
        start = address - self.address
        self.values[start : start + len(values)] = values


class Computed(Block):
    """Registers whose words a function gives at each answer."""

    def __init__(
        self, area: Area, address: int, count: int, words: Callable[[], Sequence[int]]
    ) -> None:
        """`words` returns exactly `count` values of 0 to 65535."""
        super().__init__(area, address, [0] * count)
        self._words = words

    def read(self) -> Sequence[int]:
        """Return what the function gives now."""
        words = self._words()
        if len(words) != len(self.values):
            raise ValueError(
                f"{self.area} {self.address}: {len(words)} words, not {len(self.values)}"
            )
        return words


class Counter(Block):
    """A 32-bit pair that encodes unit, address and a count, one up at each answer (see ledger)."""

    def __init__(
        self, unit: int, address: int, *, area: Area = Area.HOLDING, first: int = 0
    ) -> None:
        """`first` keeps counters of equal unit and address on two buses apart."""
        super().__init__(area, address, [0, 0])
        self._unit = unit
        self._count = first
        self.last = 0

    def read(self) -> Sequence[int]:
        """Return the next value."""
        self.last = encode_counter(self._unit, self.address, self._count)
        self._count += 1
        return u32_words(self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a unit says to one request, and what that means for the ledger."""

    unit: int
    pdu: bytes
    counted: tuple[Counted, ...] = ()
    """Counters that are in the answer whole."""
    written: tuple[tuple[Area, int, int], ...] = ()
    """Area, address and value of everything the request wrote."""


class SimUnit:
    """One device: answers request PDUs out of its blocks."""

    def __init__(self, unit: int, blocks: Iterable[Block]) -> None:
        """Unit 1 to 247 (Serial Line 1.02, section 2.2); blocks of one table must not overlap."""
        if not 1 <= unit <= 247:
            raise ValueError(f"unit {unit}: 1 to 247")
        self.unit = unit
        self._blocks: dict[Area, list[Block]] = {area: [] for area in Area}
        for block in sorted(blocks, key=lambda each: each.address):
            table = self._blocks[block.area]
            if table and table[-1].end > block.address:
                raise ValueError(f"unit {unit}: {block.area} {block.address} is there twice")
            table.append(block)

    def answer(self, pdu: bytes) -> Answer:
        """Return the answer to a request; refusals are exception PDUs, never raised."""
        try:
            request = read_request(pdu)
            if request.function in WRITES:
                return self._write(request)
            return self._read(request)
        except RefusedRequest as refused:
            return Answer(
                unit=self.unit, pdu=exception_pdu(pdu[0] & 0x7F if pdu else 0, refused.code)
            )

    def value(self, area: Area, address: int) -> int:
        """Return a stored value, for tests and the room.

        Raises:
            LookupError: no such address.
        """
        for block in self._blocks[area]:
            if block.address <= address < block.end:
                return block.values[address - block.address]
        raise LookupError(f"unit {self.unit}: no {area} {address}")

    def _covering(self, area: Area, address: int, count: int) -> list[Block]:
        """Return the blocks that hold a range without a hole, in order."""
        at = address
        blocks: list[Block] = []
        for block in self._blocks[area]:
            if block.end <= at:
                continue
            if block.address > at:
                break
            blocks.append(block)
            at = block.end
            if at >= address + count:
                return blocks
        raise RefusedRequest(ExceptionCode.ILLEGAL_ADDRESS)

    def _read(self, request: Request) -> Answer:
        area = _AREA[request.function]
        end = request.address + request.count
        blocks = self._covering(area, request.address, request.count)
        values: list[int] = []
        counted: list[Counted] = []
        for block in blocks:
            words = block.read()
            first = max(request.address, block.address)
            last = min(end, block.end)
            values += words[first - block.address : last - block.address]
            if isinstance(block, Counter) and last - first == len(words):
                counted.append(Counted(block.address, block.last))
        if request.function in READ_BITS:
            return Answer(unit=self.unit, pdu=read_bits_pdu(request.function, values))
        assert request.function in READ_WORDS  # noqa: S101 - the only functions left
        return Answer(
            unit=self.unit, pdu=read_words_pdu(request.function, values), counted=tuple(counted)
        )

    def _write(self, request: Request) -> Answer:
        area = _AREA[request.function]
        blocks = self._covering(area, request.address, request.count)
        spans = [
            (
                block,
                max(request.address, block.address),
                min(request.address + request.count, block.end),
            )
            for block in blocks
        ]
        if not all(block.takes(first, last - first) for block, first, last in spans):
            raise RefusedRequest(ExceptionCode.ILLEGAL_ADDRESS)
        for block, first, last in spans:
            block.write(first, request.values[first - request.address : last - request.address])
        written = tuple(
            (area, request.address + place, value) for place, value in enumerate(request.values)
        )
        return Answer(unit=self.unit, pdu=written_pdu(request), written=written)
