"""Devices whose registers count: the same layout on the simulator's side and on the driver's."""

from __future__ import annotations

from dataclasses import dataclass

from agent.simulate.ledger import Place
from agent.simulate.slave import Counter, SimUnit
from benchmarks.judge import Judge, Register
from drivers.modbus.spec import Area, DataType, DeviceSpec, QuantitySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Counters (two registers each) that one read takes."""

    area: Area
    address: int
    """Up to 255, and not the same in two areas: a value carries its low byte, the ledger no area."""
    counters: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """The units of one bus, and the devices that read them."""

    units: tuple[SimUnit, ...]
    devices: tuple[DeviceSpec, ...]
    registers: dict[int, tuple[Register, ...]]
    """By unit."""


def counting_plant(
    judge: Judge, bus: str, unit_count: int, blocks: tuple[Block, ...], *, first: int = 0
) -> Plant:
    """Return units 1 to `unit_count` and their devices, watched by the judge.

    `first` is where the counters begin: another one for each bus makes their values differ.
    """
    units: list[SimUnit] = []
    devices: list[DeviceSpec] = []
    registers: dict[int, tuple[Register, ...]] = {}
    for unit in range(1, unit_count + 1):
        device = f"{bus}-{unit}"
        counters: list[Counter] = []
        quantities: list[QuantitySpec] = []
        watched: list[Register] = []
        for block in blocks:
            for address in range(block.address, block.address + 2 * block.counters, 2):
                counter = Counter(unit, address, area=block.area, first=first)
                counters.append(counter)
                quantity = QuantitySpec(
                    name=f"c{address}", area=block.area, address=address, type=DataType.U32
                )
                quantities.append(quantity)
                place = Place(bus, unit, address)
                watched.append(judge.add(f"{device}.{quantity.name}", place, counter))
        units.append(SimUnit(unit, counters))
        devices.append(DeviceSpec(id=device, unit=unit, quantities=tuple(quantities), max_gap=0))
        registers[unit] = tuple(watched)
    return Plant(units=tuple(units), devices=tuple(devices), registers=registers)
