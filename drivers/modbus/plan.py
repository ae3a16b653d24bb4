"""Which reads to make: quantities packed into the fewest legal requests. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from drivers.modbus.registers import BIT_AREAS, width
from drivers.modbus.spec import Area, DataType, QuantitySpec

MAX_REGISTERS = 125
"""Registers in one read (Modbus Application Protocol 1.1b3, sections 6.3 and 6.4)."""
MAX_BITS = 2000
"""Coils or discrete inputs in one read (the same, sections 6.1 and 6.2)."""
SPLIT_CODES = frozenset({2, 3})
"""Illegal data address, illegal data value: something in the asked range is not there (section 7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One read and the quantities its reply answers."""

    area: Area
    address: int
    count: int
    """Registers, or bits in the coil and discrete areas."""
    quantities: tuple[QuantitySpec, ...] = ()
    """In order of address. Empty for a read that only asks whether the device is there."""


def plan_reads(
    quantities: Iterable[QuantitySpec],
    *,
    max_registers: int = MAX_REGISTERS,
    max_bits: int = MAX_BITS,
    max_gap: int = 8,
) -> tuple[Request, ...]:
    """Return the fewest reads that hold every quantity once, each whole in one reply.

    `max_gap` are the registers nobody asked for that a read may span; for bits the same bytes, so
    16 times as many.

    Raises:
        ValueError: a quantity is wider than a read may be, or a limit is not the protocol's.
    """
    if not (1 <= max_registers <= MAX_REGISTERS and 1 <= max_bits <= MAX_BITS and max_gap >= 0):
        raise ValueError(
            f"limits {max_registers} registers, {max_bits} bits, gap {max_gap}:"
            f" 1 to {MAX_REGISTERS}, 1 to {MAX_BITS}, 0 or more"
        )
    requests: list[Request] = []
    ordered = sorted(quantities, key=lambda each: (each.area, each.address, width(each)))
    for area, group in groupby(ordered, key=lambda each: each.area):
        is_bits = area in BIT_AREAS
        limit, gap = (max_bits, max_gap * 16) if is_bits else (max_registers, max_gap)
        requests += _pack(area, list(group), limit, gap)
    return tuple(requests)


def split(request: Request) -> tuple[Request, ...]:
    """Return the reads to try instead of one that was refused because something in it is not there.

    First the registers nobody asked for are left out; then the quantities are halved. Nothing is
    returned for a single quantity: that one is what the device does not have.
    """
    quantities = request.quantities
    if len(quantities) < 2:
        return ()
    without_gaps = tuple(_pack(request.area, list(quantities), request.count, 0))
    if len(without_gaps) > 1:
        return without_gaps
    half = len(quantities) // 2
    return tuple(_pack(request.area, list(quantities[:half]), request.count, 0)) + tuple(
        _pack(request.area, list(quantities[half:]), request.count, 0)
    )


def overlaps(
    quantities: Iterable[QuantitySpec],
) -> tuple[tuple[QuantitySpec, QuantitySpec], ...]:
    """Return each quantity that begins inside another one, behind that other.

    Two that begin at one address are two views of it; one that begins in the midst of another is a
    misread map, unless it is a field of bits.
    """
    found: list[tuple[QuantitySpec, QuantitySpec]] = []
    furthest: QuantitySpec | None = None
    for each in sorted(quantities, key=lambda each: (each.area, each.address, width(each))):
        if furthest is not None and furthest.area is each.area:
            end = furthest.address + width(furthest)
            if furthest.address < each.address < end and each.type is not DataType.BITS:
                found.append((furthest, each))
            if each.address + width(each) <= end:
                continue
        furthest = each
    return tuple(found)


def words_of(request: Request, quantity: QuantitySpec, words: list[int]) -> list[int]:
    """Return the words of one quantity out of a reply to the whole request."""
    start = quantity.address - request.address
    return words[start : start + width(quantity)]


def _pack(area: Area, ordered: list[QuantitySpec], limit: int, gap: int) -> Iterator[Request]:
    """Extend each read as far as it may go; over sorted quantities no other way needs fewer."""
    start = end = 0
    taken: list[QuantitySpec] = []
    for each in ordered:
        size = width(each)
        if size > limit:
            raise ValueError(f"{each.name}: takes {size} registers, one read gives {limit}")
        each_end = each.address + size
        fits = each.address <= end + gap and max(end, each_end) - start <= limit
        if taken and not fits:
            yield _request(area, start, end, taken)
            taken = []
        if not taken:
            start, end = each.address, each_end
        end = max(end, each_end)
        taken.append(each)
    if taken:
        yield _request(area, start, end, taken)


def _request(area: Area, start: int, end: int, taken: list[QuantitySpec]) -> Request:
    return Request(area=area, address=start, count=end - start, quantities=tuple(taken))
