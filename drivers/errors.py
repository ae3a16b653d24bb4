"""What can go wrong on a wire, sorted by what the caller can do.

DriverError
|-- Unavailable            try again later
|   |-- PortUnavailable    the port, chip or connection is not there
|   |-- NoReply            the device kept silent (also a TimeoutError)
|   `-- BadReply           an answer came that is not the answer to the question
|-- Refused                the device answered with a Modbus exception: trying again is no cure
`-- WiringConflict         the line is taken or cannot do what is asked: a person must change something
"""

from __future__ import annotations


class DriverError(Exception):
    """Anything a driver reports; `source` is the bus, device or line it happened on."""

    def __init__(self, source: str, message: str) -> None:
        super().__init__(f"{source}: {message}")
        self.source = source
        self.message = message


class Unavailable(DriverError):
    """Not now; the same call may succeed later."""


class PortUnavailable(Unavailable):
    """The serial port, TCP connection or GPIO chip cannot be opened or was lost."""


class NoReply(Unavailable, TimeoutError):
    """No answer within the time allowed."""


class BadReply(Unavailable):
    """An answer that fails a check (function code, count, CRC, unit); its content was not used."""


class Refused(DriverError):
    """The device answered with an exception code (Modbus Application Protocol 1.1b3, section 7)."""

    def __init__(self, source: str, code: int, message: str = "") -> None:
        super().__init__(source, message or f"exception code {code}")
        self.code = code


class WiringConflict(DriverError):
    """The line is in use, or cannot take the role asked of it."""
