"""The demo's plant room as wired: which unit on which bus measures what, and which pin is what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.simulate.faults import FaultPlan
from agent.simulate.ledger import Ledger, Place
from agent.simulate.line import RtuLine
from agent.simulate.room import PlantRoom, Quantity
from agent.simulate.slave import Block, Computed, Counter, SimUnit, f32_words, s16_word
from agent.simulate.tcp import TcpSlave
from drivers.modbus.spec import Area, DataType, ModbusBusSpec

COUNTER_ADDRESS = 100
"""Holding registers 100 and 101 of every measuring unit: its counter."""
COUNTER_FIRST_ON_LINE = 0x8000
"""Counters on the line start here, so that units of one number on the two buses cannot be confused."""

# Modbus TCP.
HYDRANT, CHARGER, HALL_AIR, GAS_METER = 1, 2, 3, 4
# Serial line.
SHED_AIR, RELAYS, SUMP = 1, 2, 3

# BCM pins. Inputs: a detector relay that opens on smoke, a leak relay and a call point that close.
SMOKE_PIN, LEAK_PIN, CALL_POINT_PIN = 17, 27, 22
SIREN_PIN, BUZZER_PIN, CUT_OFF_PIN = 23, 24, 25
OUTPUT_PINS = (SIREN_PIN, BUZZER_PIN, CUT_OFF_PIN)
RESTING = {SMOKE_PIN: False, LEAK_PIN: True, CALL_POINT_PIN: True}
"""Level of each input with nothing wrong: contacts close to ground against a pull-up."""

_SDM120_INPUT_REGISTERS = 0x0158
"""Input registers 0x0000 to 0x0157 (Eastron SDM120 Modbus protocol: the last is total energy, 0x0156)."""
_RELAY_COUNT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRoom:
    """The room with its two buses, not started yet: enter `tcp` and `line`."""

    room: PlantRoom
    ledger: Ledger
    tcp: TcpSlave
    line: RtuLine

    def on_output(self, pin: int, high: bool) -> None:
        """Let an output of the agent act on the room: the cut-off relay holds the chargers' power."""
        if pin == CUT_OFF_PIN:
            self.room.set_power(high)


def build_demo_room(
    ledger: Ledger,
    *,
    tcp_bus: str = "meters",
    line_bus: str = "rs485",
    tcp_faults: FaultPlan | None = None,
    line_faults: FaultPlan | None = None,
    pace: bool = False,
    baud: int = 9600,
    link: Path | None = None,
) -> DemoRoom:
    """Return the demo's room.

    Args:
        ledger: where everything is noted; its clock is the room's.
        tcp_bus: the id of the Modbus TCP bus in the configuration.
        line_bus: the id of the serial bus in the configuration.
        tcp_faults: what goes wrong on TCP; none by default.
        line_faults: what goes wrong on the line.
        pace: whether the line takes the time of a real wire.
        baud: of the line, with `pace`.
        link: a symbolic link kept to the line's pty.
    """
    room = PlantRoom(ledger.clock)
    tcp = TcpSlave(tcp_units(room), ledger, bus=tcp_bus, faults=tcp_faults)
    line = RtuLine(
        line_units(room),
        ledger,
        bus=line_bus,
        baud=baud,
        pace=pace,
        faults=line_faults,
        link=link,
    )
    return DemoRoom(room=room, ledger=ledger, tcp=tcp, line=line)


def tcp_units(room: PlantRoom) -> tuple[SimUnit, ...]:
    """Return hydrant pressure (f32 kPa), charger meter, hall air and gas meter."""

    def pressure() -> tuple[int, ...]:
        return f32_words(room.value(Quantity.HYDRANT_KPA))

    def gas() -> tuple[int, ...]:
        return (s16_word(10 * room.value(Quantity.GAS_PERCENT_LEL)),)

    hall = _xy_md02(room, Quantity.HALL_CELSIUS, Quantity.HALL_PERCENT)
    return (
        SimUnit(HYDRANT, [Computed(Area.HOLDING, 0, 2, pressure), _counter(HYDRANT)]),
        SimUnit(CHARGER, [_sdm120(room), _counter(CHARGER)]),
        SimUnit(HALL_AIR, [hall, _counter(HALL_AIR)]),
        SimUnit(GAS_METER, [Computed(Area.INPUT, 0, 1, gas), _counter(GAS_METER)]),
    )


def line_units(room: PlantRoom) -> tuple[SimUnit, ...]:
    """Return shed air, the eight relays and the sump level (u16 mm)."""

    def level() -> tuple[int, ...]:
        return (s16_word(room.value(Quantity.SUMP_MM)),)

    shed = _xy_md02(room, Quantity.SHED_CELSIUS, Quantity.SHED_PERCENT)
    first = COUNTER_FIRST_ON_LINE
    return (
        SimUnit(SHED_AIR, [shed, _counter(SHED_AIR, first)]),
        SimUnit(RELAYS, [Block(Area.COIL, 0, [0] * _RELAY_COUNT, is_writable=True)]),
        SimUnit(SUMP, [Computed(Area.HOLDING, 0, 1, level), _counter(SUMP, first)]),
    )


def counter_places(buses: Iterable[ModbusBusSpec]) -> dict[str, Place]:
    """Return the place of every point that reads a counter, out of the agent's own configuration."""
    return {
        device.point(quantity.name): Place(bus.id, device.unit, quantity.address)
        for bus in buses
        for device in bus.devices
        for quantity in device.quantities
        if quantity.area is Area.HOLDING
        and quantity.address == COUNTER_ADDRESS
        and quantity.type is DataType.U32
    }


def _counter(unit: int, first: int = 0) -> Counter:
    return Counter(unit, COUNTER_ADDRESS, first=first)


def _xy_md02(room: PlantRoom, celsius: Quantity, percent: Quantity) -> Computed:
    """XY-MD02: input 1 temperature (s16, 0.1 degC), input 2 humidity (u16, 0.1 %)."""

    def words() -> tuple[int, ...]:
        return s16_word(10 * room.value(celsius)), s16_word(10 * room.value(percent))

    return Computed(Area.INPUT, 1, 2, words)


def _sdm120(room: PlantRoom) -> Computed:
    """Eastron SDM120 input registers, each an f32; those it does not measure read zero, as on the meter."""
    measured: dict[int, Callable[[], float]] = {
        0x0000: lambda: room.mains_v,
        0x0006: lambda: room.value(Quantity.CHARGING_A),
        0x000C: lambda: room.charging_w,
        0x0012: lambda: room.charging_w,
        0x001E: lambda: 1.0,
        0x0046: lambda: 50.0,
    }

    def words() -> list[int]:
        registers = [0] * _SDM120_INPUT_REGISTERS
        for address, value in measured.items():
            registers[address : address + 2] = f32_words(value())
        return registers

    return Computed(Area.INPUT, 0, _SDM120_INPUT_REGISTERS, words)
