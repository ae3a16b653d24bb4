"""Broken replies, made so that no rule of the protocol lets a wrong value pass for a right one.

On TCP nothing guards the data bytes, on RTU only 16 bits of checksum: a reply that is wrong but keeps
every rule cannot be told from a right one by anybody. Such replies are not made here (`is_deceit`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from drivers.modbus.spec import TcpPort
from tests.modbus.harness import Asked, Send, Slave, mbap, rtu

LONGEST = 6000
"""More than the driver keeps."""
KINDS = (
    "random bytes", "nothing but a few", "a flood", "zeros", "a right head", "cut short",
    "bits flipped", "bytes put in", "bytes left out", "bytes swapped", "noise before",
    "noise behind", "twice", "an earlier answer", "an earlier answer before", "another count",
    "an exception",
)  # fmt: skip


def crc(data: bytes) -> bytes:
    """Return the checksum bit by bit (Modbus over serial line 1.02, section 6.2.2), not by a table."""
    value = 0xFFFF
    for each in data:
        value ^= each
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
    return bytes([value & 0xFF, value >> 8])


def is_deceit(sent: bytes, truth: bytes, transaction: int, unit: int, is_tcp: bool) -> bool:
    """Return whether `sent` holds, anywhere, a faultless frame with the head of the truth but not its data.

    `truth` is function and data of the right answer.
    """
    if is_tcp:
        length = (len(truth) + 1).to_bytes(2, "big")
        head = transaction.to_bytes(2, "big") + b"\0\0" + length + bytes([unit]) + truth[:2]
        right = mbap(transaction, unit, truth)
    else:
        head = bytes([unit]) + truth[:2]
        right = rtu(unit, truth)
    at = sent.find(head)
    while at >= 0:
        frame = sent[at : at + len(right)]
        is_whole = len(frame) == len(right) and (is_tcp or crc(frame[:-2]) == frame[-2:])
        if is_whole and frame != right:
            return True
        at = sent.find(head, at + 1)
    return False


@dataclass
class Fuzz:
    """Breaks a share of a slave's replies; `made` counts what it sent of each kind."""

    slave: Slave
    seed: int
    share: float = 0.9
    made: dict[str, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Broken replies so far."""
        return sum(self.made.values())

    @property
    def is_rtu_over_tcp(self) -> bool:
        """Whether a late reply can only be told by a new connection."""
        return isinstance(self.slave.port, TcpPort) and self.slave.port.rtu

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._is_tcp = isinstance(self.slave.port, TcpPort) and not self.slave.port.rtu
        self._earlier: list[tuple[Asked, bytes]] = []

    async def misbehave(self, asked: Asked, transaction: int, send: Send) -> bool:
        """See tests.modbus.harness.Misbehaviour."""
        self._asked, self._transaction = asked, transaction
        truth = self.slave.memory.reply(asked)
        self._earlier = [*self._earlier[-20:], (asked, truth)]
        if self._random.random() >= self.share:
            return False
        kind = self._random.choice(KINDS)
        sent = self._broken(kind, self._framed(truth), truth)
        while is_deceit(sent, truth, transaction, asked.unit, self._is_tcp):
            sent = self._noise(10)
        self.made[kind] = self.made.get(kind, 0) + 1
        if sent:
            send(sent)
        return True

    def _broken(self, kind: str, frame: bytes, pdu: bytes) -> bytes:
        match kind:
            case "random bytes":
                return self._noise(300)
            case "nothing but a few":
                return self._noise(4)
            case "a flood":
                return self._noise(LONGEST)
            case "zeros":
                return bytes(self._random.randrange(1, 300))
            case "a right head":
                return frame[: self._head] + self._noise(200)
            case "cut short":
                return frame[: self._random.randrange(len(frame))]
            case "bits flipped":
                return self._flipped(frame)
            case "bytes put in":
                return self._inserted(frame)
            case "bytes left out":
                return self._shortened(frame)
            case "bytes swapped":
                return self._swapped(frame)
            case "noise before":
                return self._noise(20) + frame
            case "noise behind":
                return frame + self._noise(20)
            case "twice":
                return frame + frame
            case "an earlier answer":
                return self._earlier_answer()
            case "an earlier answer before":
                return self._earlier_answer() + frame
            case "another count":
                return self._framed(pdu[:1] + self._noise(250))
            case _:
                return self._framed(bytes([pdu[0] | 0x80, self._random.randrange(256)]))

    @property
    def _head(self) -> int:
        return 9 if self._is_tcp else 3

    def _noise(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randint(1, most))

    def _framed(self, pdu: bytes) -> bytes:
        unit = self._asked.unit
        return mbap(self._transaction, unit, pdu) if self._is_tcp else rtu(unit, pdu)

    def _earlier_answer(self) -> bytes:
        asked, pdu = self._random.choice(self._earlier)
        if not self._is_tcp and asked != self._asked:
            # a whole frame of the same unit, function and count can be told by nothing but its time
            pdu = pdu if len(pdu) != len(self._earlier[-1][1]) else pdu[:-1]
        if not self._is_tcp:
            return rtu(asked.unit, pdu)
        behind = self._random.choice([self._transaction, 1, 2, 3])  # the first: as some gateways, 0
        return mbap((self._transaction - behind) & 0xFFFF, asked.unit, pdu)

    def _flipped(self, frame: bytes) -> bytes:
        broken = bytearray(frame)
        for _ in range(self._random.randint(1, 12)):
            at = self._random.randrange(8 * (self._head if self._is_tcp else len(frame)))
            broken[at // 8] ^= 1 << (at % 8)
        return bytes(broken)

    def _inserted(self, frame: bytes) -> bytes:
        at = self._random.randrange(len(frame))
        return frame[:at] + self._noise(3) + frame[at:]

    def _shortened(self, frame: bytes) -> bytes:
        at = self._random.randrange(len(frame))
        return frame[:at] + frame[at + self._random.randint(1, 3) :]

    def _swapped(self, frame: bytes) -> bytes:
        at = self._random.randrange(len(frame) - 1)
        return frame[:at] + frame[at : at + 2][::-1] + frame[at + 2 :]
