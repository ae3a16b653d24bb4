"""A device on a bus: which reads it is asked, and what readings its answers make."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from drivers.base import online_point
from drivers.clock import Stamp
from drivers.modbus.plan import SPLIT_CODES, Request, plan_reads, split
from drivers.modbus.presence import DeviceState
from drivers.modbus.registers import Decoder
from drivers.modbus.schedule import Poll
from drivers.modbus.spec import Area, DeviceSpec, ModbusBusSpec, PollClass, QuantitySpec
from drivers.modbus.switching import faults_of_output, question_of
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

PROOF_S = 5.0
"""A device is asked something at least this often, so that its absence shows within some of it."""

SPLIT_AFTER = 3
"""Refusals in a row before a read that worked once is taken apart: a busy device may refuse too."""

MISSING_RETRY_S = 600.0
"""After this long a quantity the device did not have is asked for again: devices get exchanged."""


@dataclass(slots=True, eq=False)
class Read:
    """One read of one device, with the way its reply is taken apart."""

    device: Device
    request: Request
    parts: tuple[tuple[QuantitySpec, str, Decoder, int], ...]
    """Quantity, point, decoder, index of the first word in the reply."""
    has_worked: bool = False
    refusals: int = 0
    """In a row."""


class Device:
    """A unit on the bus. It asks nothing itself: the bus does, and hands the answers in."""

    def __init__(self, spec: DeviceSpec, bus: ModbusBusSpec) -> None:
        """Raises ValueError when a quantity can never be read, or an output makes no sense."""
        if spec.unit == 0:
            raise ValueError(f"{spec.id}: unit 0 is broadcast: nobody answers, all obey")
        for output in spec.outputs:
            for fault in faults_of_output(output):
                raise ValueError(f"{output.output}: {fault}")
        self.spec = spec
        self.id = spec.id
        self.timeout_s = bus.timeout_s if spec.timeout_s is None else spec.timeout_s
        self.state = DeviceState(
            spec.id,
            bus.id,
            offline_failures=bus.offline_failures,
            offline_after_s=bus.offline_after_s,
        )
        self.order_failed_s: float | None = None
        """When the last write to this device failed; None after one that worked."""
        self._periods_s = bus.periods_s
        self._decoders = {each.name: Decoder(each) for each in spec.quantities}
        self._bad: dict[str, tuple[str, str]] = {}
        self._missing: dict[str, str] = {}
        self._missing_retry_s = 0.0
        self._polls = self._planned()
        self._proof = self._proof_poll()

    # -- what to ask -----------------------------------------------------------------------------------

    @property
    def polls(self) -> list[Poll[Read]]:
        """Everything to ask while the device is live."""
        return self._polls if self._proof is None else [*self._polls, self._proof]

    @property
    def question(self) -> Read:
        """The cheapest read: what a silent device is asked."""
        return min((each.what for each in self._polls), key=_cost)

    def _planned(self) -> list[Poll[Read]]:
        spec = self.spec
        polls: list[Poll[Read]] = []
        for poll_class in PollClass:
            wanted = [each for each in spec.quantities if each.poll_class is poll_class]
            requests = plan_reads(
                wanted,
                max_registers=spec.max_registers,
                max_bits=spec.max_bits,
                max_gap=spec.max_gap,
            )
            polls += [self._poll(each, poll_class) for each in requests]
        if not polls:
            polls = [self._poll(self._bare_question(), PollClass.NORMAL)]
        return polls

    def _bare_question(self) -> Request:
        """Return the read for a device without quantities: of one of its outputs, or of anything."""
        if self.spec.outputs:
            return question_of(self.spec.outputs[0])
        return Request(area=Area.HOLDING, address=0, count=1)

    def _poll(self, request: Request, poll_class: PollClass) -> Poll[Read]:
        parts = tuple(
            (
                each,
                self.spec.point(each.name),
                self._decoders[each.name],
                each.address - request.address,
            )
            for each in request.quantities
        )
        return Poll(Read(self, request, parts), poll_class, self._periods_s[poll_class], 0.0)

    def _proof_poll(self) -> Poll[Read] | None:
        """Return a poll that shows the device's presence where its own are too seldom."""
        if min(each.period_s for each in self._polls) <= PROOF_S:
            return None
        return Poll(self.question, PollClass.NORMAL, PROOF_S, 0.0)

    # -- what the answers mean -------------------------------------------------------------------------

    def take(self, read: Read, words: list[int], at: Stamp) -> list[Reading]:
        """Return the readings of a reply."""
        read.has_worked = True
        read.refusals = 0
        bad = self._bad
        readings: list[Reading] = []
        for quantity, point, decoder, start in read.parts:
            decoded = decoder.decode(words[start : start + decoder.width])
            if bad:
                bad.pop(point, None)
            readings.append(
                Reading(
                    point=point,
                    value=decoded.value,
                    quality=decoded.quality,
                    unit=quantity.unit,
                    at=at,
                    reason=decoded.reason,
                )
            )
        return readings

    def spoil(self, read: Read, reason: str, at: Stamp) -> list[Reading]:
        """Return bad readings for everything a read would have told."""
        for quantity, point, _, _ in read.parts:
            self._bad[point] = (quantity.unit, reason)
        return [_bad_reading(p, q.unit, reason, at) for q, p, _, _ in read.parts]

    def spoil_all(self, reason: str, at: Stamp) -> list[Reading]:
        """Return bad readings for every point of the device."""
        for each in self.spec.quantities:
            told = self._missing.get(each.name, reason)
            self._bad[self.spec.point(each.name)] = (each.unit, told)
        return self.bad_again(at)

    def bad_again(self, at: Stamp) -> list[Reading]:
        """Return once more what is bad because nobody can read it, so that it never looks calm."""
        return [_bad_reading(point, unit, why, at) for point, (unit, why) in self._bad.items()]

    def online_reading(self, at: Stamp) -> Reading | None:
        """Return whether the device answers; None while nobody can know."""
        if self.state.online is None:
            return None
        return Reading(
            point=online_point(self.id),
            value=self.state.online,
            quality=Quality.GOOD,
            unit="",
            at=at,
        )

    # -- registers it does not have --------------------------------------------------------------------

    def take_apart(self, read: Read, code: int, now_s: float) -> bool:
        """Note that a read was refused; return whether other polls are to be made from now on.

        A refused address splits the read, down to the one quantity the device does not have; that
        one is dropped, and the result is remembered.
        """
        read.refusals += 1
        if code not in SPLIT_CODES or not read.parts:
            return False
        if read.has_worked and read.refusals < SPLIT_AFTER:
            return False
        old = next((each for each in self._polls if each.what is read), None)
        if old is None:
            return False
        pieces = [self._poll(each, old.poll_class) for each in split(read.request)]
        at = self._polls.index(old)
        self._polls[at : at + 1] = pieces
        if not pieces:
            quantity, point, _, _ = read.parts[0]
            self._missing[quantity.name] = f"exception {code}"
            self._missing_retry_s = now_s + MISSING_RETRY_S
            _log.warning(
                "device %s has no %s: exception %d at %s %d",
                self.id, point, code, read.request.area, read.request.address,
            )  # fmt: skip
        if not self._polls:
            self._polls = [self._poll(self._bare_question(), PollClass.NORMAL)]
        self._proof = self._proof_poll()
        return True

    def ask_missing_again(self, now_s: float) -> bool:
        """Plan anew when it is time to ask for what the device did not have; return whether it is."""
        if not self._missing or now_s < self._missing_retry_s:
            return False
        self._missing.clear()
        self._polls = self._planned()
        self._proof = self._proof_poll()
        return True


def _bad_reading(point: str, unit: str, reason: str, at: Stamp) -> Reading:
    return Reading(point=point, value=None, quality=Quality.BAD, unit=unit, at=at, reason=reason)


def _cost(read: Read) -> int:
    is_bits = read.request.area in (Area.COIL, Area.DISCRETE)
    return read.request.count if is_bits else 16 * read.request.count
