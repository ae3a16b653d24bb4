"""Which bytes are the answer to a question. Pure.

The client library looks at the device id alone: it takes an answer with another function code,
another count or, on TCP, transaction id 0. So the received bytes are searched here for the one
frame that can be the answer, and only that is handed to the library (libraries' behaviour measured
with pymodbus 3.16.1: a late reply to an earlier read came back as the value of the next).
"""

from __future__ import annotations

from dataclasses import dataclass

MBAP_LENGTH = 7
"""Transaction, protocol and length of two bytes each, unit (Messaging on TCP/IP 1.0b, section 3.1.3)."""
SHORTEST_RTU = 5
"""Unit, function, one byte, two of CRC: an exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and so what an answer must look like."""

    unit: int
    function: int
    """1 to 4 or 5 (Modbus Application Protocol 1.1b3, section 6)."""
    data_bytes: int = 0
    """For reads: bytes of data in the answer."""
    echo: bytes = b""
    """For writes: address and value, which the answer repeats."""

    def is_answer(self, body: bytes) -> bool:
        """Return whether `body` (unit, function, data) is an answer or an exception to this."""
        if len(body) < 3 or body[0] != self.unit:
            return False
        if body[1] == self.function | 0x80:
            return len(body) == 3 and body[2] != 0
        if body[1] != self.function:
            return False
        if self.echo:
            return body[2:] == self.echo
        return len(body) == 3 + self.data_bytes and body[2] == self.data_bytes

    @property
    def body_lengths(self) -> tuple[int, int]:
        """Length of unit, function and data in a good answer and in an exception."""
        return (2 + len(self.echo) if self.echo else 3 + self.data_bytes), 3


def find_rtu(question: Question, received: bytes) -> bytes:
    """Return the first frame in `received` that answers the question, with its CRC; else nothing.

    Noise and other devices' frames before it are passed over: with the unit, the function and the
    length known, only the answer itself has a valid CRC at its end.
    """
    start = received.find(question.unit)
    while 0 <= start <= len(received) - SHORTEST_RTU:
        for length in question.body_lengths:
            end = start + length
            if end + 2 > len(received) or not question.is_answer(received[start:end]):
                continue
            if received[end : end + 2] == crc16(received[start:end]):
                return received[start : end + 2]
        start = received.find(question.unit, start + 1)
    return b""


def find_tcp(question: Question, transaction: int, received: bytes) -> bytes:
    """Return the first frame that answers the question under its transaction id; else nothing.

    A reply must carry the id of its request (Messaging on TCP/IP 1.0b, section 4.4.1.3); 0 for any
    request, as some gateways answer, would let a late reply pass for the next.
    """
    start = 0
    while start + MBAP_LENGTH <= len(received):
        length = int.from_bytes(received[start + 4 : start + 6], "big")
        end = start + 6 + length
        frame = received[start:end]
        if end > len(received):
            return b""
        if (
            frame[:2] == transaction.to_bytes(2, "big")
            and frame[2:4] == b"\0\0"
            and question.is_answer(frame[6:])
        ):
            return frame
        start = end
    return b""


def describe(question: Question, received: bytes, *, is_rtu: bool, transaction: int = 0) -> str:
    """Return in a few words what is wrong with bytes that hold no answer."""
    body = received[:-2] if is_rtu else received[6:]
    if len(body) < 3 or (not is_rtu and received[2:4] != b"\0\0"):
        return f"{len(received)} bytes that are no frame"
    if not is_rtu and received[:2] != transaction.to_bytes(2, "big"):
        return f"transaction {int.from_bytes(received[:2], 'big')}, asked {transaction}"
    if is_rtu and crc16(body) != received[-2:]:
        return f"{len(received)} bytes with a wrong checksum"
    if body[0] != question.unit:
        return f"unit {body[0]} answered, asked {question.unit}"
    if body[1] & 0x7F != question.function:
        return f"function {body[1]} answered, asked {question.function}"
    if question.echo:
        return f"echo {body[2:].hex()}, asked {question.echo.hex()}"
    return f"{body[2]} bytes of data in {len(body)}, asked {question.data_bytes}"


def crc16(data: bytes) -> bytes:
    """Return the CRC of an RTU frame, low byte first (Modbus over serial line 1.02, section 6.2.2)."""
    crc = 0xFFFF
    for each in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ each) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC_TABLE = tuple(_crc_entry(byte) for byte in range(256))
