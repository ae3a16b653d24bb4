"""Modbus framing as a device sees it: requests in, answers out. Pure; knows no registers and no I/O.

Sources: Modbus Application Protocol 1.1b3 (functions, limits, exceptions), Modbus Messaging on
TCP/IP 1.0b section 3.1 (MBAP header), Modbus over Serial Line 1.02 section 2.5.1 and 6.2.2 (RTU, CRC).
Nothing is shared with the agent's own Modbus client, so that one cannot hide a fault of the other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

MAX_PDU = 253
"""Bytes in a PDU (Application Protocol 1.1b3, section 4.1)."""
_MBAP = struct.Struct(">HHHB")
_RTU_MAX = 256
_RTU_MIN = 4
_WRITE_MANY_HEAD = 7  # unit, function, address, count, byte count


class Framing(StrEnum):
    """How a PDU is wrapped."""

    TCP = "tcp"
    RTU = "rtu"


class Function(IntEnum):
    """The functions a simulated unit knows (Application Protocol 1.1b3, section 6)."""

    READ_COILS = 1
    READ_DISCRETE = 2
    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_COIL = 5
    WRITE_REGISTER = 6
    WRITE_COILS = 15
    WRITE_REGISTERS = 16


class ExceptionCode(IntEnum):
    """Why a request was refused (Application Protocol 1.1b3, section 7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    DEVICE_BUSY = 6


READ_BITS = frozenset({Function.READ_COILS, Function.READ_DISCRETE})
READ_WORDS = frozenset({Function.READ_HOLDING, Function.READ_INPUT})
WRITES = frozenset(
    {
        Function.WRITE_COIL,
        Function.WRITE_REGISTER,
        Function.WRITE_COILS,
        Function.WRITE_REGISTERS,
    }
)
# Application Protocol 1.1b3, sections 6.1 to 6.4, 6.11 and 6.12.
_MOST = {
    Function.READ_COILS: 2000,
    Function.READ_DISCRETE: 2000,
    Function.READ_HOLDING: 125,
    Function.READ_INPUT: 125,
    Function.WRITE_COILS: 1968,
    Function.WRITE_REGISTERS: 123,
}


class RefusedRequest(Exception):
    """A request that earns an exception answer instead of data."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Adu:
    """One whole request as it came off the wire."""

    unit: int
    pdu: bytes
    transaction: int = 0
    """MBAP transaction id; 0 on RTU, which has none."""
    wire_bytes: int = 0
    """Its length on the wire, framing included."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request understood. For reads `values` is empty; coils are 0 or 1."""

    function: Function
    address: int
    count: int
    values: tuple[int, ...] = ()


def crc16(data: bytes) -> int:
    """Return the RTU checksum (Serial Line 1.02, 6.2.2); it goes on the wire low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc


def _crc_row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return value


_CRC_TABLE = tuple(_crc_row(value) for value in range(256))


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Wrap a PDU in an MBAP header."""
    return _MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Wrap a PDU in unit id and checksum."""
    body = bytes([unit]) + pdu
    return body + crc16(body).to_bytes(2, "little")


def read_bits_pdu(function: int, bits: Sequence[int]) -> bytes:
    """Return the answer to function 01 or 02: first bit lowest, last byte filled with zeros."""
    packed = pack_bits(bits)
    return bytes([function, len(packed)]) + packed


def read_words_pdu(function: int, words: Sequence[int]) -> bytes:
    """Return the answer to function 03 or 04."""
    return struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)


def written_pdu(request: Request) -> bytes:
    """Return the answer to a write: an echo (05, 06) or address and count (15, 16)."""
    if request.function is Function.WRITE_COIL:
        return struct.pack(">BHH", request.function, request.address, 0xFF00 * request.values[0])
    if request.function is Function.WRITE_REGISTER:
        return struct.pack(">BHH", request.function, request.address, request.values[0])
    return struct.pack(">BHH", request.function, request.address, request.count)


def exception_pdu(function: int, code: int) -> bytes:
    """Return an exception answer: the function with its highest bit set, then the code."""
    return bytes([function | 0x80, code])


def pack_bits(bits: Sequence[int]) -> bytes:
    """Pack bits into bytes, the first into the lowest bit of the first byte."""
    number = 0
    for place, bit in enumerate(bits):
        number |= (1 if bit else 0) << place
    return number.to_bytes((len(bits) + 7) // 8, "little")


def unpack_bits(data: bytes, count: int) -> tuple[int, ...]:
    """Return the first `count` bits of packed bytes."""
    number = int.from_bytes(data, "little")
    return tuple(number >> place & 1 for place in range(count))


def read_request(pdu: bytes) -> Request:
    """Understand a request PDU, checking in the order of the protocol's state diagrams.

    Raises:
        RefusedRequest: code 1 for an unknown function, 3 for counts, lengths or values out of
            their limits, 2 for a range that runs past address 65535.
    """
    try:
        function = Function(pdu[0]) if pdu else None
    except ValueError:
        function = None
    if function is None:
        raise RefusedRequest(ExceptionCode.ILLEGAL_FUNCTION)
    if len(pdu) < 5:
        raise RefusedRequest(ExceptionCode.ILLEGAL_VALUE)
    address, operand = struct.unpack_from(">HH", pdu, 1)
    request = _understood(function, address, operand, pdu[5:])
    if request.address + request.count > 0x10000:
        raise RefusedRequest(ExceptionCode.ILLEGAL_ADDRESS)
    return request


def _understood(function: Function, address: int, operand: int, rest: bytes) -> Request:
    if function is Function.WRITE_COIL:
        if rest or operand not in (0x0000, 0xFF00):
            raise RefusedRequest(ExceptionCode.ILLEGAL_VALUE)
        return Request(function, address, 1, (1 if operand else 0,))
    if function is Function.WRITE_REGISTER:
        if rest:
            raise RefusedRequest(ExceptionCode.ILLEGAL_VALUE)
        return Request(function, address, 1, (operand,))
    if not 1 <= operand <= _MOST[function]:
        raise RefusedRequest(ExceptionCode.ILLEGAL_VALUE)
    if function not in WRITES:
        if rest:
            raise RefusedRequest(ExceptionCode.ILLEGAL_VALUE)
        return Request(function, address, operand)
    needed = (operand + 7) // 8 if function is Function.WRITE_COILS else 2 * operand
    if len(rest) != 1 + needed or rest[0] != needed:
        raise RefusedRequest(ExceptionCode.ILLEGAL_VALUE)
    values = (
        unpack_bits(rest[1:], operand)
        if function is Function.WRITE_COILS
        else struct.unpack(f">{operand}H", rest[1:])
    )
    return Request(function, address, operand, values)


class TcpParser:
    """Cuts a byte stream into MBAP requests; after garbage it looks for the next likely header."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Adu]:
        """Take bytes as they came and return the requests completed by them."""
        self._buffer += data
        found: list[Adu] = []
        start = 0
        while len(self._buffer) - start >= _MBAP.size:
            transaction, protocol, length, unit = _MBAP.unpack_from(self._buffer, start)
            if protocol != 0 or not 2 <= length <= MAX_PDU + 1:
                start += 1
                continue
            end = start + _MBAP.size - 1 + length
            if end > len(self._buffer):
                break
            pdu = bytes(self._buffer[start + _MBAP.size : end])
            found.append(Adu(unit, pdu, transaction, end - start))
            start = end
        del self._buffer[:start]
        return found

    def silence(self) -> list[Adu]:
        """Forget a half-received request; a TCP stream has no silence that ends one."""
        self._buffer.clear()
        return []


class RtuParser:
    """Finds RTU requests in a byte stream by length and checksum, whatever stands before them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_waiting(self) -> bool:
        """Whether bytes are held that do not make a request yet."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Adu]:
        """Take bytes as they came and return the requests completed by them."""
        self._buffer += data
        return self._take(is_over=False)

    def silence(self) -> list[Adu]:
        """Tell that the line went quiet: what is held either holds a whole request or is noise."""
        found = self._take(is_over=True)
        self._buffer.clear()
        return found

    def _take(self, *, is_over: bool) -> list[Adu]:
        found: list[Adu] = []
        start = 0
        while len(self._buffer) - start >= _RTU_MIN:
            end = self._end_of_frame(start)
            if end is not None and end <= len(self._buffer):
                frame = bytes(self._buffer[start:end])
                found.append(Adu(frame[0], frame[1:-2], 0, len(frame)))
                start = end
            elif end is not None and not is_over:
                break
            else:
                start += 1
        del self._buffer[:start]
        return found

    def _end_of_frame(self, start: int) -> int | None:
        """Return where a request from `start` ends: beyond the buffer if not all here, None if none can."""
        buffer = self._buffer
        function = buffer[start + 1]
        if function in (Function.WRITE_COILS, Function.WRITE_REGISTERS):
            if len(buffer) - start < _WRITE_MANY_HEAD:
                return len(buffer) + 1
            length = _WRITE_MANY_HEAD + buffer[start + 6] + 2
        elif function in _FIXED:
            length = 8
        else:
            return self._end_of_unknown(start)
        if length > _RTU_MAX:
            return None
        end = start + length
        return end if end > len(buffer) or self._is_whole(start, end) else None

    def _end_of_unknown(self, start: int) -> int | None:
        """A function this side does not know gives no length; only the checksum can tell."""
        last = min(len(self._buffer), start + _RTU_MAX)
        crc = 0xFFFF
        for here in range(start, last - 2):
            crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ self._buffer[here]) & 0xFF]
            sent = int.from_bytes(self._buffer[here + 1 : here + 3], "little")
            if here > start and crc == sent:
                return here + 3
        # A known function may stand behind noise, so unknown bytes must not hold it up for long.
        return None if len(self._buffer) - start >= 8 else len(self._buffer) + 1

    def _is_whole(self, start: int, end: int) -> bool:
        body = bytes(self._buffer[start : end - 2])
        return crc16(body) == int.from_bytes(self._buffer[end - 2 : end], "little")


_FIXED = frozenset(range(1, 7))
