"""How a port is opened for the client library: off the loop, within a time, for this process alone."""

from __future__ import annotations

import asyncio
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerType
from pymodbus.transport.serialtransport import SerialTransport

from drivers.errors import PortUnavailable
from drivers.modbus.opening import BlockingCall, resolve
from drivers.modbus.ports import PromptPort, close
from drivers.modbus.spec import SerialPort, TcpPort

OPEN_TIMEOUT_S = 3.0
"""A serial port opens in milliseconds, a LAN connection within two retransmissions (1 s, RFC 6298)."""
_NEVER = cast("float", None)
"""The library's own time-out, which must not come before ours; with none it awaits the answer itself,
a turn of the loop sooner than through a timer of its own."""

Client = AsyncModbusTcpClient | AsyncModbusSerialClient


class Dialler:
    """Opens one port, again and again."""

    def __init__(
        self,
        source: str,
        port: SerialPort | TcpPort,
        *,
        on_packet: Callable[[bool, bytes], bytes],
        on_connection: Callable[[bool], None],
    ) -> None:
        """`source` names the bus in errors; the library calls the two with what it sends, gets and loses."""
        self._source = source
        self._port = port
        self._on_packet = on_packet
        self._on_connection = on_connection
        self._serial_opening = BlockingCall(f"{source} open", self._open_serial, close)
        self._name_lookup: BlockingCall[tuple[str, ...]] = BlockingCall(
            f"{source} resolve", self._resolve, lambda _: None
        )

    async def open(self) -> Client:
        """Return an open client.

        Raises:
            OSError, ValueError, TimeoutError: it is not there, refuses, is in use or takes too long.
            PortUnavailable: the same, in words.
        """
        if isinstance(self._port, SerialPort):
            return await self._connect_serial(self._port)
        return await self._connect_tcp(self._port)

    def abandon(self) -> None:
        """Let go of an opening that still hangs."""
        self._serial_opening.abandon()
        self._name_lookup.abandon()

    async def _connect_tcp(self, port: TcpPort) -> AsyncModbusTcpClient:
        addresses = await self._name_lookup.result(OPEN_TIMEOUT_S)
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in addresses:
            client = AsyncModbusTcpClient(
                address,
                port=port.port,
                framer=FramerType.RTU if port.rtu else FramerType.SOCKET,
                timeout=_NEVER,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._on_packet,
                trace_connect=self._on_connection,
            )
            try:
                await loop.create_connection(client.ctx.handle_new_connection, address, port.port)
            except OSError as error:
                failure = error
            else:
                return client
        raise failure or OSError(f"{port.host} has no address")

    async def _connect_serial(self, port: SerialPort) -> AsyncModbusSerialClient:
        transport = await self._serial_opening.result(OPEN_TIMEOUT_S)
        client = AsyncModbusSerialClient(
            port.path,
            timeout=_NEVER,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._on_packet,
            trace_connect=self._on_connection,
        )
        transport.async_loop = asyncio.get_running_loop()
        transport.intern_protocol = client.ctx
        client.ctx.transport = transport
        transport.setup()
        return client

    def _open_serial(self) -> SerialTransport:
        """Open the port for this process alone, not as a controlling terminal (pyserial: O_NOCTTY)."""
        assert isinstance(self._port, SerialPort)  # noqa: S101 - told to the type checker
        port = self._port
        try:
            transport = PromptPort(
                None, None, port.path, port.baud, 8, port.parity, port.stop_bits, 0
            )
        except termios.error as error:  # the driver refuses the parity or the speed
            raise PortUnavailable(self._source, f"{port.path}: {error.args[-1]}") from error
        # USB adaptors hold received bytes back for up to 16 ms unless asked not to
        with suppress(OSError, ValueError, NotImplementedError, AttributeError):
            transport.sync_serial.set_low_latency_mode(True)
        return transport

    def _resolve(self) -> tuple[str, ...]:
        assert isinstance(self._port, TcpPort)  # noqa: S101 - told to the type checker
        return resolve(self._source, self._port.host, self._port.port)
