"""Holds every value called good against what the simulator noted, at the moment it is delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.simulate.faults import TRUE_ANYWAY
from agent.simulate.ledger import Ledger, Place, decode_counter
from agent.simulate.slave import Counter as CountedRegister
from drivers.base import Emit
from drivers.clock import Clock
from drivers.reading import Quality, Reading

_KEPT = 8
"""Answers remembered of one register: more than can be under way at once."""
_EXAMPLES = 10


@dataclass(slots=True)
class Register:
    """A counted register pair: what the simulator counts with, and what left and arrived of it."""

    counted: CountedRegister
    left: dict[int, str] = field(default_factory=dict)
    """Value to the fault it left with, newest last."""
    delivered: int | None = None
    arrivals_s: list[float] = field(default_factory=list)
    """When good values were stamped, where that is wanted."""


class Judge(Ledger):
    """The simulator's ledger, read while it is written, so that a run of any length fits."""

    def __init__(self, clock: Clock, *, keep_arrivals: bool = False) -> None:
        """`keep_arrivals` keeps the time of every good value, in `Register.arrivals_s`."""
        super().__init__(clock, kept=1)
        self._keep_arrivals = keep_arrivals
        self._registers: dict[Place, Register] = {}
        self._points: dict[str, tuple[Place, Register]] = {}
        self.good = 0
        """Values called good."""
        self.wrong: Counter[str] = Counter()
        """Values called good that were not, by what they really were."""
        self.examples: list[str] = []

    def add(self, point: str, place: Place, counted: CountedRegister) -> Register:
        """Watch a register pair and the point that shows it."""
        register = Register(counted)
        self._registers[place] = register
        self._points[point] = (place, register)
        return register

    def read(self, place: Place, value: int, fault: str = "") -> None:
        """Note a counter value at the moment its answer leaves."""
        super().read(place, value, fault)
        left = self._registers[place].left
        left[value] = fault
        if len(left) > _KEPT:
            del left[next(iter(left))]

    @property
    def emit(self) -> Emit:
        """Where a bus hands in its readings."""
        return self._judge_all

    def _judge_all(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            if reading.quality is Quality.GOOD and reading.point in self._points:
                self._judge(reading)

    def _judge(self, reading: Reading) -> None:
        place, register = self._points[reading.point]
        self.good += 1
        assert isinstance(reading.value, int)
        verdict = _verdict(place, register, reading.value)
        register.delivered = reading.value
        if self._keep_arrivals:
            register.arrivals_s.append(reading.at.mono_s)
        if verdict:
            self.wrong[verdict] += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(f"{reading.point} = {reading.value:#x} ({place}): {verdict}")


def _verdict(place: Place, register: Register, value: int) -> str:
    """Return what is wrong with a value, empty for nothing."""
    unit, address, _ = decode_counter(value)
    if (unit, address) != (place.unit, place.address & 0xFF):
        return "of another register"
    fault = register.left.get(value)
    if fault is None:
        return "never sent"
    if fault and fault not in TRUE_ANYWAY:
        return "from a false answer"
    if value == register.delivered:
        return "delivered twice"
    if value != register.counted.last:
        return "older than the question"
    return ""
