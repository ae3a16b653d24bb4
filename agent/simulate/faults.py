"""What a bad device, cable or gateway does to an answer: scripted per unit, or at a seeded rate."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from agent.simulate.frames import Framing, exception_pdu, rtu_frame, tcp_frame
from agent.simulate.slave import Answer

MAX_BURST_BITS = 16
"""CRC-16 finds every error burst up to its own length, so no correct reader may be fooled by one."""


class FaultKind(StrEnum):
    """One way for an answer to be wrong."""

    SILENT = "silent"
    LATE = "late"
    WRONG_COUNT = "wrong count"
    WRONG_FUNCTION = "wrong function"
    WRONG_UNIT = "wrong unit"
    EXCEPTION = "exception"
    BAD_CRC = "bad crc"
    NOISE_BEFORE = "noise before"
    HALF_FRAME = "half frame"
    RESET = "reset"
    TRANSACTION_ZERO = "transaction zero"
    BIT_BURST = "bit burst"


_RTU_ONLY = frozenset({FaultKind.BAD_CRC, FaultKind.BIT_BURST})
_TCP_ONLY = frozenset({FaultKind.TRANSACTION_ZERO})
TRUE_ANYWAY = frozenset({FaultKind.LATE, FaultKind.NOISE_BEFORE, FaultKind.TRANSACTION_ZERO})
"""Faults that leave the answer itself true: its value may be delivered, but need not."""


def playable(framing: Framing, *, is_stream: bool) -> frozenset[FaultKind]:
    """Return the faults that exist on a bus.

    TCP protects its bytes itself, so flipped bits are a matter of serial lines and what is
    tunnelled from them. `is_stream` (a TCP connection): there is something to reset.
    """
    kinds = frozenset(FaultKind)
    kinds -= _TCP_ONLY if framing is Framing.RTU else _RTU_ONLY
    return kinds if is_stream else kinds - {FaultKind.RESET}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault with its figures."""

    kind: FaultKind
    delay_s: float = 0.0
    """`late`: how much later than usual."""
    code: int = 4
    """`exception`: the code (4: server device failure)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What goes onto the wire instead of, or as, an answer."""

    data: bytes
    delay_s: float = 0.0
    is_reset: bool = False
    """The connection is reset (RST) after `data`."""


class FaultPlan:
    """Which answer gets which fault. Scripts come first, then chance."""

    def __init__(
        self,
        kinds: Iterable[FaultKind] = (),
        *,
        rate: float = 0.0,
        seed: int = 0,
        delay_s: tuple[float, float] = (0.0, 0.5),
    ) -> None:
        """`rate` 0 to 1 of all answers get one of `kinds`; `late` draws its delay from `delay_s`."""
        self.kinds = frozenset(kinds)
        if not 0 <= rate <= 1 or (rate and not self.kinds):
            raise ValueError("need a rate of 0 to 1, and kinds if it is above 0")
        self._ordered = sorted(self.kinds)
        self._rate = rate
        self._delay_s = delay_s
        self._silent: set[int] = set()
        self._scripts: dict[int, deque[Fault | None]] = {}
        self.random = random.Random(seed)
        self.played: dict[FaultKind, int] = {}
        """How often each fault was played."""

    def script(self, unit: int, faults: Iterable[Fault | None]) -> None:
        """Queue what happens to a unit's next answers, in order; None is a good answer."""
        self._scripts.setdefault(unit, deque()).extend(faults)

    def set_silent(self, unit: int, is_silent: bool) -> None:
        """Switch a unit off (cable pulled) or on again."""
        if is_silent:
            self._silent.add(unit)
        else:
            self._silent.discard(unit)

    def is_silent(self, unit: int) -> bool:
        """Whether a unit is switched off."""
        return unit in self._silent

    def next(self, unit: int) -> Fault | None:
        """Return what happens to this unit's next answer, None for nothing."""
        fault: Fault | None = None
        script = self._scripts.get(unit)
        if unit in self._silent:
            fault = Fault(kind=FaultKind.SILENT)
        elif script:
            fault = script.popleft()
        elif self._rate and self.random.random() < self._rate:
            fault = Fault(
                kind=self.random.choice(self._ordered), delay_s=self.random.uniform(*self._delay_s)
            )
        if fault is not None:
            self.played[fault.kind] = self.played.get(fault.kind, 0) + 1
        return fault


def shape(
    answer: Answer, transaction: int, framing: Framing, fault: Fault | None, rng: random.Random
) -> Wire | None:
    """Return what goes onto the wire for an answer, or None for silence."""
    if fault is None:
        return Wire(data=_framed(framing, transaction, answer.unit, answer.pdu))
    if fault.kind is FaultKind.SILENT:
        return None
    data = _untrue(answer, transaction, framing, fault, rng)
    match fault.kind:
        case FaultKind.LATE:
            return Wire(data=data, delay_s=fault.delay_s)
        case FaultKind.BAD_CRC:
            data = data[:-2] + bytes([data[-2] ^ rng.randint(1, 255), data[-1]])
        case FaultKind.NOISE_BEFORE:
            data = rng.randbytes(rng.randint(1, 4)) + data
        case FaultKind.HALF_FRAME:
            data = data[: len(data) // 2]
        case FaultKind.RESET:
            return Wire(data=data[: rng.randint(0, len(data) - 1)], is_reset=True)
        case FaultKind.BIT_BURST:
            data = with_burst(data, rng)
        case _:
            pass
    return Wire(data=data)


def _untrue(
    answer: Answer, transaction: int, framing: Framing, fault: Fault, rng: random.Random
) -> bytes:
    """Return the frame of an answer whose content says something else, checksum and all."""
    unit, pdu = answer.unit, answer.pdu
    match fault.kind:
        case FaultKind.WRONG_COUNT:
            pdu = _with_other_count(pdu, rng)
        case FaultKind.WRONG_FUNCTION:
            pdu = bytes([_other_function(pdu[0])]) + pdu[1:]
        case FaultKind.WRONG_UNIT:
            unit = unit % 247 + 1
        case FaultKind.EXCEPTION:
            pdu = exception_pdu(pdu[0] & 0x7F, fault.code)
        case FaultKind.TRANSACTION_ZERO:
            transaction = 0
        case _:
            pass
    return _framed(framing, transaction, unit, pdu)


def with_burst(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with one error burst: 1 to 16 neighbouring bits, its ends flipped for sure."""
    total = 8 * len(data)
    length = rng.randint(1, min(MAX_BURST_BITS, total))
    pattern = 1 if length == 1 else 1 << (length - 1) | rng.getrandbits(length - 1) | 1
    # A serial line sends the lowest bit of each byte first, so a burst runs in that order.
    number = int.from_bytes(data, "little") ^ pattern << rng.randint(0, total - length)
    return number.to_bytes(len(data), "little")


def _framed(framing: Framing, transaction: int, unit: int, pdu: bytes) -> bytes:
    return rtu_frame(unit, pdu) if framing is Framing.RTU else tcp_frame(transaction, unit, pdu)


def _other_function(function: int) -> int:
    """Return the function most easily taken for the one asked: 01-02, 03-04, 05-06, 15-16."""
    pairs = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 15: 16, 16: 15}
    return pairs.get(function & 0x7F, 3) | function & 0x80


def _with_other_count(pdu: bytes, rng: random.Random) -> bytes:
    """Return a read answer with one register (or byte of bits) more or less, its byte count to match."""
    if pdu[0] not in (1, 2, 3, 4):
        # A write's answer has no count of its own; a wrong address or value is the like of it.
        return pdu[:-1] + bytes([pdu[-1] ^ 1])
    step = 2 if pdu[0] in (3, 4) else 1
    body = pdu[2:]
    is_shorter = len(body) > step and (len(body) + step > 250 or rng.random() < 0.5)
    body = body[:-step] if is_shorter else body + rng.randbytes(step)
    return bytes([pdu[0], len(body)]) + body
