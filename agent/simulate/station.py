"""The units behind one port: who answers a request, with which fault, and what the ledger is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.simulate.faults import FaultKind, FaultPlan, Wire, playable, shape
from agent.simulate.frames import WRITES, Adu, Framing
from agent.simulate.ledger import Ledger, Place
from agent.simulate.slave import Answer, SimUnit

_BROADCAST = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer ready to leave."""

    wire: Wire
    answer: Answer
    fault: FaultKind | None


class Station:
    """Answers requests for its units; whoever holds the port sends what it says."""

    def __init__(
        self,
        bus: str,
        units: Iterable[SimUnit],
        ledger: Ledger,
        *,
        framing: Framing,
        is_stream: bool,
        faults: FaultPlan | None = None,
    ) -> None:
        """`bus` names the bus in the ledger.

        Raises:
            ValueError: two units with one id, or a fault at a rate that this kind of bus cannot have.
        """
        self.bus = bus
        self.units: dict[int, SimUnit] = {}
        for unit in units:
            if unit.unit in self.units:
                raise ValueError(f"{bus}: unit {unit.unit} is there twice")
            self.units[unit.unit] = unit
        self.ledger = ledger
        self.framing = framing
        self.faults = faults or FaultPlan()
        if strange := self.faults.kinds - playable(framing, is_stream=is_stream):
            raise ValueError(f"{bus}: {framing} cannot play {', '.join(sorted(strange))}")
        self.requests = 0
        """Requests that reached a unit, answered or not."""

    def reply(self, adu: Adu) -> Reply | None:
        """Return the answer to a request, or None where a real line would stay silent."""
        if adu.unit == _BROADCAST:
            # Serial Line 1.02, 2.1: all units carry a broadcast write out and none answers.
            if adu.pdu and adu.pdu[0] in WRITES:
                for each in self.units.values():
                    self._note_writes(each.answer(adu.pdu))
            return None
        unit = self.units.get(adu.unit)
        if unit is None:
            return None
        self.requests += 1
        fault = self.faults.next(adu.unit)
        if fault is not None and fault.kind is FaultKind.SILENT:
            return None
        answer = unit.answer(adu.pdu)
        self._note_writes(answer)
        wire = shape(answer, adu.transaction, self.framing, fault, self.faults.random)
        if wire is None:
            return None
        return Reply(wire=wire, answer=answer, fault=fault.kind if fault else None)

    def left(self, reply: Reply) -> None:
        """Tell the ledger that an answer is on its way. Faults that hide the value are named there."""
        for counted in reply.answer.counted:
            self.ledger.read(
                Place(self.bus, reply.answer.unit, counted.address),
                counted.value,
                reply.fault or "",
            )

    def _note_writes(self, answer: Answer) -> None:
        for area, address, value in answer.written:
            self.ledger.write(Place(self.bus, answer.unit, address), area, value)
