"""Reads are as few as the protocol and the device allow, and hold everything once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.plan import Request, overlaps, plan_reads, split
from drivers.modbus.registers import BIT_AREAS, width
from drivers.modbus.spec import Area, DataType, QuantitySpec

REGISTER_TYPES = [DataType.U16, DataType.F32, DataType.U64, DataType.BITS]


@st.composite
def quantities(draw: st.DrawFn) -> tuple[QuantitySpec, ...]:
    made = []
    for index in range(draw(st.integers(0, 25))):
        area = draw(st.sampled_from(Area))
        type_ = DataType.BOOL if area in BIT_AREAS else draw(st.sampled_from(REGISTER_TYPES))
        address = draw(st.integers(0, 300) | st.integers(65500, 65532))
        made.append(QuantitySpec(name=f"q{index}", area=area, address=address, type=type_))
    return tuple(made)


def registers_at(*addresses: int) -> tuple[QuantitySpec, ...]:
    return tuple(
        QuantitySpec(name=f"r{each}", area=Area.HOLDING, address=each, type=DataType.U16)
        for each in addresses
    )


@given(quantities(), st.integers(4, 125), st.integers(1, 2000), st.integers(0, 20))
def test_every_quantity_is_read_once_and_no_limit_is_broken(
    wanted: tuple[QuantitySpec, ...], max_registers: int, max_bits: int, max_gap: int
) -> None:
    plan = plan_reads(wanted, max_registers=max_registers, max_bits=max_bits, max_gap=max_gap)
    assert sorted(q.name for each in plan for q in each.quantities) == sorted(
        each.name for each in wanted
    )
    for each in plan:
        assert_legal(each, max_bits if each.area in BIT_AREAS else max_registers)
        asked = {
            address
            for quantity in each.quantities
            for address in range(quantity.address, quantity.address + width(quantity))
        }
        gap = max_gap * 16 if each.area in BIT_AREAS else max_gap
        assert each.count - len(asked) <= gap * (len(each.quantities) - 1)


def assert_legal(request: Request, limit: int) -> None:
    assert 1 <= request.count <= limit
    assert 0 <= request.address <= 65536 - request.count
    for quantity in request.quantities:
        assert quantity.area is request.area
        assert quantity.address >= request.address
        assert quantity.address + width(quantity) <= request.address + request.count


def fewest(addresses: list[int], limit: int, gap: int) -> int:
    """Return the least number of reads for single registers, by trying every way to cut."""
    best = [0]
    for end in range(1, len(addresses) + 1):
        options = []
        for start in range(end):
            part = addresses[start:end]
            gaps = [b - a - 1 for a, b in pairwise(part)]
            if part[-1] - part[0] + 1 <= limit and all(each <= gap for each in gaps):
                options.append(best[start] + 1)
        best.append(min(options))
    return best[-1]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True),
    st.integers(1, 20),
    st.integers(0, 6),
)
def test_no_other_way_to_cut_needs_fewer_reads(addresses: list[int], limit: int, gap: int) -> None:
    plan = plan_reads(registers_at(*addresses), max_registers=limit, max_gap=gap)
    assert len(plan) == fewest(sorted(addresses), limit, gap)


@given(quantities(), st.sets(st.integers(0, 310), max_size=6))
def test_splitting_loses_only_what_stands_on_an_illegal_register(
    wanted: tuple[QuantitySpec, ...], illegal: set[int]
) -> None:
    open_requests = list(plan_reads(wanted, max_gap=16))
    read: list[str] = []
    dropped: list[str] = []
    steps = 0
    while open_requests:
        steps += 1
        assert steps < 500
        request = open_requests.pop()
        if illegal.isdisjoint(range(request.address, request.address + request.count)):
            read += [each.name for each in request.quantities]
            continue
        pieces = split(request)
        for each in pieces:
            assert_legal(each, request.count)
        if not pieces:
            dropped += [each.name for each in request.quantities]
        open_requests += pieces
    assert sorted(read + dropped) == sorted(each.name for each in wanted)
    assert set(dropped) == {
        each.name
        for each in wanted
        if not illegal.isdisjoint(range(each.address, each.address + width(each)))
    }


def test_fillers_are_left_out_before_anything_is_halved() -> None:
    (request,) = plan_reads(registers_at(0, 1, 5, 6), max_gap=8)
    assert [(each.address, each.count) for each in split(request)] == [(0, 2), (5, 2)]


def test_coils_of_a_relay_board_are_one_read() -> None:
    coils = tuple(
        QuantitySpec(name=f"c{each}", area=Area.COIL, address=each, type=DataType.BOOL)
        for each in range(0, 48, 6)
    )
    assert len(plan_reads(coils)) == 1


@pytest.mark.parametrize("limit", [1, 3])
def test_a_quantity_wider_than_a_read_is_a_fault(limit: int) -> None:
    wide = QuantitySpec(name="energy", area=Area.INPUT, address=0, type=DataType.U64)
    with pytest.raises(ValueError, match="energy: takes 4 registers, one read gives"):
        plan_reads([wide], max_registers=limit)


@pytest.mark.parametrize("limits", [{"max_registers": 126}, {"max_bits": 2001}, {"max_gap": -1}])
def test_limits_beyond_the_protocol_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="limits"):
        plan_reads((), **limits)


@pytest.mark.parametrize(
    ("found", "laid_out"),
    [
        ([], [("a", Area.HOLDING, 0, DataType.U32), ("b", Area.HOLDING, 2, DataType.U32)]),
        ([("a", "b")], [("b", Area.HOLDING, 1, DataType.U32), ("a", Area.HOLDING, 0, DataType.U32)]),
        ([("a", "c")], [("a", Area.INPUT, 0, DataType.F64), ("b", Area.INPUT, 0, DataType.U16),
                        ("c", Area.INPUT, 3, DataType.U16)]),
        ([], [("a", Area.INPUT, 0, DataType.U32), ("b", Area.HOLDING, 1, DataType.U16)]),
        ([], [("a", Area.HOLDING, 0, DataType.U32), ("b", Area.HOLDING, 0, DataType.S32)]),
        ([], [("a", Area.HOLDING, 0, DataType.U32), ("b", Area.HOLDING, 1, DataType.BITS)]),
        ([("a", "b"), ("b", "c")], [("a", Area.HOLDING, 0, DataType.U32),
                                    ("b", Area.HOLDING, 1, DataType.U64),
                                    ("c", Area.HOLDING, 4, DataType.U32)]),
    ],
)  # fmt: skip
def test_a_quantity_that_begins_inside_another_is_found(
    found: list[tuple[str, str]], laid_out: list[tuple[str, Area, int, DataType]]
) -> None:
    specs = [QuantitySpec(name=n, area=a, address=at, type=t) for n, a, at, t in laid_out]
    assert [(outer.name, inner.name) for outer, inner in overlaps(specs)] == found
