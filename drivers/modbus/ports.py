"""What is done to an open port beside the client library: sent at once, emptied, let go."""

from __future__ import annotations

import asyncio
import os
import termios
from contextlib import suppress
from typing import Any

from pymodbus.transport.serialtransport import SerialTransport

from drivers.modbus.opening import run_detached

_PIECE_BYTES = 4096
_MOST_PIECES = 16
"""Thrown away before a request; a flood must not hold up the loop."""


class PromptPort(SerialTransport):
    """A serial port that sends at once.

    The library's own sends when the loop comes round, and reads before it does: what came in between
    would be taken for the answer to a question nobody has heard yet (pymodbus 3.16.1).
    """

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send; what the port does not take now goes when it does."""
        if self.intern_write_buffer:
            self.flush()  # the rest of a request that was given up
        try:
            sent = os.write(self.sync_serial.fileno(), data)
        except OSError:  # full, or gone: the library tries again, and tells a loss
            sent = 0
        if sent < len(data):
            super().write(data[sent:])


def discard_input(transport: asyncio.BaseTransport | None) -> None:
    """Throw away what has come to a serial port or socket and was not read yet; never blocks."""
    if isinstance(transport, SerialTransport):
        with suppress(OSError, termios.error):  # a port that is gone tells when it is written to
            transport.sync_serial.reset_input_buffer()
    elif transport is not None:
        waiting = transport.get_extra_info("socket")
        with suppress(OSError):  # nothing more, or a connection that is gone
            for _ in range(_MOST_PIECES):
                if not os.read(waiting.fileno(), _PIECE_BYTES):
                    return


def detach(transport: SerialTransport) -> None:
    """Take the port from the loop and close it elsewhere: close waits for unsent bytes (termios(3))."""
    port = transport.sync_serial
    if port is None:
        return
    transport.flush()
    with suppress(OSError, ValueError):
        transport.async_loop.remove_reader(port.fileno())
    transport.sync_serial = None

    def close_port() -> None:
        with suppress(OSError, termios.error):
            port.reset_output_buffer()
        with suppress(OSError, termios.error):
            port.close()

    run_detached("serial close", close_port)


def close(transport: SerialTransport) -> None:
    """Close a port that was never given to a loop; blocking."""
    transport.sync_serial.close()
