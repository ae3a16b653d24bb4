"""Units for the Modbus buses of any site: what the agent asks for is there, and moves plausibly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from agent.simulate.faults import Fault, FaultKind, FaultPlan, playable
from agent.simulate.frames import Framing
from agent.simulate.ledger import Ledger
from agent.simulate.line import RtuLine
from agent.simulate.slave import Block, Computed, SimUnit
from agent.simulate.switched import SwitchedCoils, SwitchedRegisters, SwitchedUnit, Switches
from agent.simulate.tcp import TcpSlave
from agent.simulate.values import Moving, moving
from drivers.clock import Clock
from drivers.modbus.registers import BIT_AREAS, width
from drivers.modbus.spec import (
    Area,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    QuantitySpec,
    RegisterOutputSpec,
    SerialPort,
    TcpPort,
)

LATE_S = (0.0, 0.5)
"""How much later than usual a `late` answer comes: drawn between these."""
_BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class _Piece:
    """One quantity in its place."""

    at: int
    words: Moving
    is_part: bool
    """Whether it shares its register with others (a bit field)."""


class RatedFaults(FaultPlan):
    """Faults by chance, each kind at a rate of its own."""

    def __init__(self, rates: Mapping[FaultKind, float], *, seed: int = 0) -> None:
        """`rates`: part of all answers, 0 to 1 each and together.

        Raises:
            ValueError: a rate, or their sum, is outside of 0 to 1.
        """
        super().__init__(rates, seed=seed)
        if not all(rate >= 0 for rate in rates.values()) or sum(rates.values()) > 1:
            raise ValueError("rates are 0 to 1, and together no more than 1")
        self._rates = dict(sorted(rates.items()))

    def next(self, unit: int) -> Fault | None:
        """Return what happens to this unit's next answer, None for nothing."""
        fault = super().next(unit)  # a script, or a unit switched off, comes first
        if fault is not None:
            return fault
        drawn = self.random.random()
        for kind, rate in self._rates.items():
            drawn -= rate
            if drawn < 0:
                self.played[kind] = self.played.get(kind, 0) + 1
                return Fault(kind=kind, delay_s=self.random.uniform(*LATE_S))
        return None


def faults_for(
    bus: ModbusBusSpec, rates: Mapping[FaultKind, float], *, seed: int = 0
) -> RatedFaults:
    """Return the faults of a bus: of those asked for, the ones its kind of wire can have."""
    is_stream = isinstance(bus.port, TcpPort)
    framing = Framing.TCP if isinstance(bus.port, TcpPort) and not bus.port.rtu else Framing.RTU
    possible = playable(framing, is_stream=is_stream)
    here = {kind: rate for kind, rate in rates.items() if kind in possible}
    return RatedFaults(here, seed=seed)


def build_slave(
    bus: ModbusBusSpec,
    ledger: Ledger,
    *,
    rates: Mapping[FaultKind, float] | None = None,
    seed: int = 0,
    pace: bool = False,
) -> TcpSlave | RtuLine:
    """Return what serves a bus: a TCP port on loopback, or a pty; not open yet.

    Args:
        bus: as the agent has it.
        ledger: where writes are noted; its clock moves the values.
        rates: faults by kind.
        seed: of values and faults; the same seed gives the same.
        pace: whether a serial line takes the time of a real wire.
    """
    units = build_units(bus, ledger.clock, seed=seed)
    faults = faults_for(bus, rates or {}, seed=seed)
    if isinstance(bus.port, SerialPort):
        return RtuLine(units, ledger, bus=bus.id, baud=bus.port.baud, pace=pace, faults=faults)
    return TcpSlave(units, ledger, bus=bus.id, rtu=bus.port.rtu, faults=faults)


def build_units(bus: ModbusBusSpec, clock: Clock, *, seed: int = 0) -> tuple[SimUnit, ...]:
    """Return a unit for every device of a bus."""
    return tuple(
        SwitchedUnit(
            device.unit,
            _blocks(device, clock, Random(f"{seed} {device.id}")),
            device.outputs,
        )
        for device in bus.devices
    )


def _blocks(device: DeviceSpec, clock: Clock, random: Random) -> Iterator[Block]:
    switches = Switches(device.outputs)
    for area in Area:
        quantities = [each for each in device.quantities if each.area is area]
        if area is Area.COIL:
            yield from _coils(device, quantities, clock)
            continue
        gap = device.max_gap * (_BITS_PER_REGISTER if area in BIT_AREAS else 1)
        spans = [(each.address, each.address + width(each)) for each in quantities]
        if area is Area.HOLDING:
            spans += [(address, address + 1) for address in switches.words]
        pieces = [
            _Piece(each.address, moving(each, random), each.type is DataType.BITS)
            for each in quantities
        ]
        for start, end in _runs(spans, gap):
            inside = [piece for piece in pieces if start <= piece.at < end]
            words = _words(start, end, inside, clock)
            if area is Area.HOLDING:
                yield SwitchedRegisters(start, end - start, words, switches)
            else:
                yield Computed(area, start, end - start, words)


def _coils(device: DeviceSpec, quantities: list[QuantitySpec], clock: Clock) -> Iterator[Block]:
    """Return the coils: they stay as the agent writes them, so that a read-back tells the truth."""
    addresses = {each.address for each in quantities} | {
        each.address for each in device.outputs if not isinstance(each, RegisterOutputSpec)
    }
    spans = [(address, address + 1) for address in addresses]
    for start, end in _runs(spans, device.max_gap * _BITS_PER_REGISTER):
        yield SwitchedCoils(start, end - start, clock)


def _words(start: int, end: int, pieces: list[_Piece], clock: Clock) -> Callable[[], Sequence[int]]:
    def words() -> list[int]:
        now_s = clock.mono_s()
        run = [0] * (end - start)
        for piece in pieces:
            for place, word in enumerate(piece.words(now_s), piece.at - start):
                run[place] = run[place] | word if piece.is_part else word
        return run

    return words


def _runs(spans: list[tuple[int, int]], gap: int) -> Iterator[tuple[int, int]]:
    """Return the spans joined where no more than `gap` addresses lie between two: reads span those."""
    start = end = -1
    for low, high in sorted(spans):
        if start >= 0 and low <= end + gap:
            end = max(end, high)
            continue
        if start >= 0:
            yield start, end
        start, end = low, high
    if start >= 0:
        yield start, end
