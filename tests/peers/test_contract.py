"""Modbus slaves written by other people answer the driver as its own do: one suite for all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.modbus.plan import plan_reads
from drivers.modbus.spec import (
    Area,
    CoilOutputSpec,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    PollClass,
    QuantitySpec,
)
from drivers.reading import Quality
from tests.modbus.harness import Heard, running
from tests.peers.lines import Wire
from tests.peers.memory import (
    ABSENT_UNIT,
    BITS,
    FIRST,
    REGISTERS,
    UNIT,
    Known,
    bit,
    bits,
    known,
    table,
)

DEFAULT_SETTLE_S = 0.5
BIT_AREAS = (Area.COIL, Area.DISCRETE)


SIZE = {Area.COIL: BITS, Area.DISCRETE: BITS, Area.HOLDING: REGISTERS, Area.INPUT: REGISTERS}


def quantity(area: Area, at: int) -> QuantitySpec:
    """Return the register or bit `at` places behind the first of an area."""
    type_ = DataType.BOOL if area in BIT_AREAS else DataType.U16
    return QuantitySpec(name=f"{area}{at}", area=area, address=FIRST + at, type=type_)


def one(area: Area, at: int) -> Known:
    """Return the same with what it holds."""
    held = table(area)[at]
    value = bool(held) if area in BIT_AREAS else held
    return Known(quantity=quantity(area, at), value=value, words=(held,))


def everything() -> tuple[Known, ...]:
    return tuple(
        each
        for area in Area
        for each in (bits(area) if area in BIT_AREAS else known(area))
    )  # fmt: skip


def device(quantities: tuple[QuantitySpec, ...], unit: int = UNIT, **more: object) -> DeviceSpec:
    return DeviceSpec(
        **{"id": f"d{unit}", "unit": unit, "quantities": quantities, **more}  # type: ignore[arg-type]
    )


def bus(wire: Wire, *devices: DeviceSpec) -> ModbusBusSpec:
    """Return a bus with time-outs a peer in Node on a busy machine keeps."""
    return ModbusBusSpec(
        id="bus",
        port=wire.port,
        devices=devices,
        timeout_s=0.3,
        settle_s=0.1,
        periods_s=dict.fromkeys(PollClass, 0.05),
        offline_after_s=0.3,
    )


def is_right(heard: Heard, *wanted: Known) -> bool:
    return all(heard.value(f"d{UNIT}.{each.quantity.name}") == each.value for each in wanted)


def wrong(heard: Heard, *wanted: Known) -> list[object]:
    right = {f"d{UNIT}.{each.quantity.name}": each.value for each in wanted}
    return [
        each
        for each in heard.readings
        if each.quality is Quality.GOOD
        and each.point in right
        and (each.value, type(each.value)) != (right[each.point], type(right[each.point]))
    ]


async def test_every_area_and_every_type_is_read_true(wire: Wire) -> None:
    heard = Heard()
    wanted = everything()
    async with running(bus(wire, device(tuple(each.quantity for each in wanted))), heard):
        await heard.until(lambda: is_right(heard, *wanted), within_s=10)
    assert not wrong(heard, *wanted)
    assert heard.value("bus.online") is True


async def test_blocks_span_gaps_and_may_be_as_long_as_the_protocol_allows(wire: Wire) -> None:
    wanted = (
        *(one(Area.HOLDING, at) for at in (0, 9, 18, 60, 61, 70, 124, REGISTERS - 1)),
        *(one(Area.DISCRETE, at) for at in (0, 900, 1999, BITS - 1)),
    )
    quantities = tuple(each.quantity for each in wanted)
    plan = plan_reads(quantities, max_gap=124)
    assert [(each.address, each.count) for each in plan] == [
        (FIRST, 2000), (FIRST + BITS - 1, 1), (FIRST, 125), (FIRST + REGISTERS - 1, 1),
    ]  # fmt: skip
    heard = Heard()
    async with running(bus(wire, device(quantities, max_gap=124)), heard):
        await heard.until(lambda: is_right(heard, *wanted), within_s=10)
    assert not wrong(heard, *wanted)


async def test_an_illegal_address_costs_only_its_own_quantity(wire: Wire) -> None:
    there = tuple(one(area, at) for area in Area for at in (0, 3, SIZE[area] - 4, SIZE[area] - 1))
    absent = tuple(
        quantity(area, at) for area in Area for at in (-2, SIZE[area] + 1)
    )  # fmt: skip
    points = {f"d{UNIT}.{each.name}" for each in absent}
    heard = Heard()
    asked = device((*absent, *(each.quantity for each in there)))
    async with running(bus(wire, asked), heard):
        await heard.until(
            lambda: (
                is_right(heard, *there)
                and all(heard.reason(each) == "exception 2" for each in points)
            ),
            within_s=10,
        )
        assert heard.value(f"d{UNIT}.online") is True
    assert not wrong(heard, *there)
    assert not any(each.is_known for each in heard.readings if each.point in points)


async def test_a_coil_is_written_read_back_and_its_neighbours_stay(wire: Wire) -> None:
    address = FIRST + 5
    quantities = tuple(each.quantity for each in bits(Area.COIL))
    others = tuple(each for each in bits(Area.COIL) if each.quantity.address != address)
    point = f"d{UNIT}.coil-{address}"
    outputs = (CoilOutputSpec(output="siren", address=address),)
    heard = Heard()
    async with running(bus(wire, device(quantities, outputs=outputs)), heard) as running_bus:
        line = running_bus.line("siren")
        await heard.until(lambda: heard.value(point) is not None)
        for is_on in (True, False, True, bit(Area.COIL, address)):
            await line.write(is_on)
            assert await line.read_back() is is_on
            await heard.until(lambda is_on=is_on: heard.value(point) is is_on)  # type: ignore[misc]
        await heard.until(lambda: is_right(heard, *others))
    assert not wrong(heard, *others)


async def test_a_unit_that_is_not_there_has_no_values_and_costs_its_neighbour_none(
    wire: Wire,
) -> None:
    """A slave is silent for another's unit; pymodbus's server says exception 4 in its place.

    libmodbus 3.1.6 on a serial line takes the next request for the other's answer and needs 0.5 s of
    silence to find back, so the line must settle as long as it does by default.
    """
    wanted = known(Area.HOLDING)
    heard = Heard()
    here = device(tuple(each.quantity for each in wanted))
    absent = device(here.quantities, ABSENT_UNIT, timeout_s=0.1)
    first, never = (f"d{unit}.{wanted[0].quantity.name}" for unit in (UNIT, ABSENT_UNIT))
    spec = bus(wire, here, absent)
    if spec.kind != "modbus-tcp":
        spec = replace(spec, settle_s=DEFAULT_SETTLE_S)
    async with running(spec, heard):
        await heard.until(lambda: is_right(heard, *wanted))
        await heard.until(lambda: heard.reason(never) in {"timeout", "exception 4"})
        before = len(heard.of(first))
        await heard.until(lambda: len(heard.of(first)) > before)
        assert heard.value("bus.online") is True
    assert not wrong(heard, *wanted)
    assert not any(
        heard.value(f"d{ABSENT_UNIT}.{each.quantity.name}") is not None for each in wanted
    )
    if heard.reason(never) == "timeout":
        assert heard.value(f"d{ABSENT_UNIT}.online") is not True


@pytest.mark.parametrize("wire", ["libmodbus serial"], indirect=True)
async def test_a_slave_behind_a_silent_one_is_found(wire: Wire) -> None:
    wanted = known(Area.HOLDING)
    heard = Heard()
    here = device(tuple(each.quantity for each in wanted))
    absent = device(here.quantities, ABSENT_UNIT)
    async with running(replace(bus(wire, absent, here), settle_s=DEFAULT_SETTLE_S), heard):
        await heard.until(lambda: is_right(heard, *wanted), within_s=15)
    assert not wrong(heard, *wanted)


async def test_what_is_cut_off_turns_bad_and_comes_back_by_itself(wire: Wire) -> None:
    wanted = known(Area.INPUT)
    heard = Heard()
    first = f"d{UNIT}.{wanted[0].quantity.name}"
    async with running(bus(wire, device(tuple(each.quantity for each in wanted))), heard):
        for _ in range(2):
            await heard.until(lambda: is_right(heard, *wanted))
            wire.cut()
            await heard.until(lambda: not_known(heard, first), within_s=10)
            assert heard.value(f"d{UNIT}.online") is False
            wire.mend()
            await heard.until(lambda: is_right(heard, *wanted), within_s=10)
            await heard.until(lambda: heard.value(f"d{UNIT}.online") is True)
            await heard.until(lambda: heard.value("bus.online") is True)
    assert not wrong(heard, *wanted)


def not_known(heard: Heard, point: str) -> bool:
    last = heard.last(point)
    return last is not None and not last.is_known
