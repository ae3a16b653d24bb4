"""How long a transaction takes of a serial line: frames and silences. Pure.

Lengths from the Modbus Application Protocol 1.1b3 (section 6), RTU framing and silences from Modbus
over serial line 1.02 (section 2.5.1.1). What the device thinks before it answers is not on the wire
and is added by the caller.
"""

from __future__ import annotations

from drivers.modbus.plan import Request
from drivers.modbus.registers import BIT_AREAS
from drivers.modbus.spec import SerialPort

TURNAROUND_S = 0.05
"""What a device on a serial line is assumed to take before it answers: an assumption, no standard
says it. Meters and sensors take some 5 to 60 ms; a USB adaptor adds up to 16 ms of its own."""

LONGEST_FIXED_GAP_S = 0.00175
"""Silence between frames above 19200 baud (section 2.5.1.1)."""

_REQUEST_CHARACTERS = 8
"""Unit, function, address and count (or value) of two bytes each, CRC of two."""
_REPLY_CHARACTERS = 5
"""Unit, function, byte count, CRC of two; the data comes on top."""
_GAP_CHARACTERS = 3.5


def character_s(port: SerialPort) -> float:
    """Return the time of one character: start bit, 8 data bits, parity if any, stop bits."""
    return (1 + 8 + (port.parity != "N") + port.stop_bits) / port.baud


def gap_s(port: SerialPort) -> float:
    """Return the silence between two frames: 3.5 characters, at least 1.75 ms."""
    return max(LONGEST_FIXED_GAP_S, _GAP_CHARACTERS * character_s(port))


def read_s(request: Request, port: SerialPort) -> float:
    """Return the line's time for a read: request, silence, reply, silence."""
    is_bits = request.area in BIT_AREAS
    data = (request.count + 7) // 8 if is_bits else 2 * request.count
    return _transaction_s(_REPLY_CHARACTERS + data, port)


def write_coil_s(port: SerialPort) -> float:
    """Return the line's time for writing one coil (function 05), whose reply repeats the request."""
    return _transaction_s(_REQUEST_CHARACTERS, port)


def _transaction_s(reply_characters: int, port: SerialPort) -> float:
    characters = _REQUEST_CHARACTERS + reply_characters
    return characters * character_s(port) + 2 * gap_s(port)
