"""Outputs of the agent as a simulated device has them: written, told again, pulses that end by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agent.simulate.slave import Answer, Block, Computed, SimUnit
from drivers.clock import Clock
from drivers.modbus.spec import Area, OutputSpec, PulseOutputSpec, RegisterOutputSpec
from drivers.modbus.switching import MOST_PULSE_UNITS, PULSE_UNIT_S, WRITE_COIL


class Switches:
    """The holding registers of a device's outputs, off until written."""

    def __init__(self, outputs: Iterable[OutputSpec]) -> None:
        self.words: dict[int, int] = {}
        """What is held, by address."""
        self.followers: dict[int, set[int]] = {}
        """Registers that tell the state of a written one, by the address of that one."""
        for each in outputs:
            if isinstance(each, RegisterOutputSpec):
                self.words[each.address] = each.off
                followers = self.followers.setdefault(each.address, set())
                if each.read_back is not None:
                    followers.add(each.read_back)
                    self.words[each.read_back] = each.off

    def write(self, address: int, word: int) -> None:
        """Hold a word, and tell it wherever the state is told."""
        for each in (address, *self.followers[address]):
            self.words[each] = word


class SwitchedRegisters(Computed):
    """Holding registers of which some belong to outputs: only what an output writes can be written."""

    def __init__(
        self, address: int, count: int, words: Callable[[], Sequence[int]], switches: Switches
    ) -> None:
        """`words` gives what is not an output's; `switches` are those of the whole device."""
        super().__init__(Area.HOLDING, address, count, words)
        self._switches = switches

    def read(self) -> Sequence[int]:
        """Return what moves, with what the outputs hold in its place."""
        words = list(super().read())
        for address, word in self._switches.words.items():
            if self.address <= address < self.end:
                words[address - self.address] = word
        return words

    def takes(self, address: int, count: int) -> bool:
        """Return whether all of these are outputs'."""
        return all(each in self._switches.followers for each in range(address, address + count))

    def write(self, address: int, values: Sequence[int]) -> None:
        """Switch."""
        for place, value in enumerate(values):
            self._switches.write(address + place, value)


class SwitchedCoils(Block):
    """Coils that stay as written, save those in a pulse: they go off when its time is over."""

    def __init__(self, address: int, count: int, clock: Clock) -> None:
        super().__init__(Area.COIL, address, [0] * count, is_writable=True)
        self._clock = clock
        self._ends_s: dict[int, float] = {}

    def read(self) -> Sequence[int]:
        """Return the coils as they are now."""
        now_s = self._clock.mono_s()
        for address in [each for each, end_s in self._ends_s.items() if end_s <= now_s]:
            del self._ends_s[address]
            self.values[address - self.address] = 0
        return self.values

    def write(self, address: int, values: Sequence[int]) -> None:
        """Switch; a pulse under way is forgotten."""
        for place in range(len(values)):
            self._ends_s.pop(address + place, None)
        super().write(address, values)

    def pulse(self, address: int, pulse_s: float) -> None:
        """Switch one coil on for a time."""
        self.write(address, [1])
        self._ends_s[address] = self._clock.mono_s() + pulse_s


class SwitchedUnit(SimUnit):
    """A device that times pulses itself: function 05 to a flash-on address, value in units of 100 ms."""

    def __init__(self, unit: int, blocks: Iterable[Block], outputs: Iterable[OutputSpec]) -> None:
        """`outputs` are the agent's on this device; the coils of their pulses are in `blocks`."""
        kept = list(blocks)
        super().__init__(unit, kept)
        self._pulses = {
            each.pulse_address: (coils, each.address)
            for each in outputs
            if isinstance(each, PulseOutputSpec)
            for coils in kept
            if isinstance(coils, SwitchedCoils) and coils.address <= each.address < coils.end
        }

    def answer(self, pdu: bytes) -> Answer:
        """Return the answer to a request, which a pulse repeats."""
        if len(pdu) == 5 and pdu[0] == WRITE_COIL:  # function, address, value
            address, units = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
            if address in self._pulses and 1 <= units <= MOST_PULSE_UNITS:
                coils, coil = self._pulses[address]
                coils.pulse(coil, units * PULSE_UNIT_S)
                return Answer(unit=self.unit, pdu=pdu, written=((Area.COIL, address, units),))
        return super().answer(pdu)
