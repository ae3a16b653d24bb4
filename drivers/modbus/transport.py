"""The seam to pymodbus: one port, one transaction at a time, every reply checked.

What the library leaves to its user is done here (measured with pymodbus 3.16.1):
[1] it waits for the full time-out when the connection breaks under a request: `_on_connection`;
[2] it takes any frame of the right unit for the answer, and a late one for the next request:
    drivers.modbus.frames finds the only frame that can be it, after a time-out or a cancel the line
    is kept silent for `settle_s`, so that a late answer meets nobody, and what came until a request
    is written is thrown away: drivers.modbus.ports;
[3] its retries and its reconnects hide what happens: none of either, both are the caller's;
[4] it keeps no silence between frames, and none anew after what nobody asked for: drivers.modbus.quiet;
[5] it opens the serial port on the loop's thread: drivers.modbus.dialling;
[6] a frame it cannot decode closes the connection: it gets none;
[7] its wait_for with a time-out, before Python 3.12, swallows a cancel that meets the reply or the loss (CPython
    issue 86296): it gets none, and a cancel is looked for all the same;
[8] it logs every frame it did not expect, for as long as they come: it is silenced, what changes is
    told by drivers.modbus.bus.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.transport.serialtransport import SerialTransport

from drivers.clock import Clock, Stamp
from drivers.errors import BadReply, NoReply, PortUnavailable, Refused
from drivers.modbus.calls import reading, send
from drivers.modbus.dialling import OPEN_TIMEOUT_S, Client, Dialler
from drivers.modbus.frames import Question, describe, find_rtu, find_tcp
from drivers.modbus.owed import Owed
from drivers.modbus.plan import Request
from drivers.modbus.ports import detach, discard_input
from drivers.modbus.quiet import Quiet, frame_gap_s
from drivers.modbus.registers import BIT_AREAS
from drivers.modbus.spec import SerialPort, TcpPort
from drivers.modbus.switching import Write

RECEIVE_BYTES = 4096
"""Kept while an answer is looked for: one frame (260 bytes) and whatever noise came before it."""
_LIBRARY_LOGGER = "pymodbus.logging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The checked answer to a read."""

    words: list[int]
    """As many registers, or bits, as were asked for."""
    at: Stamp
    """When the last byte arrived."""


@dataclass(slots=True)
class _Pending:
    """A question on the line."""

    question: Question
    received: bytes = b""
    arrived: Stamp | None = None


class Link:
    """A port that is open or not. Opened again after each loss; never shared between tasks."""

    def __init__(
        self,
        source: str,
        port: SerialPort | TcpPort,
        clock: Clock,
        *,
        settle_s: float,
        on_lost: Callable[[], None],
    ) -> None:
        """`source` names the bus in errors; `on_lost` is called when an open connection goes."""
        logging.getLogger(_LIBRARY_LOGGER).setLevel(logging.CRITICAL + 1)  # [8]
        self._source = source
        self._port = port
        self._clock = clock
        self._is_rtu = isinstance(port, SerialPort) or port.rtu
        self._quiet = Quiet(gap_s=frame_gap_s(port), settle_s=settle_s, is_rtu=self._is_rtu)
        self._client: Client | None = None
        self._pending: _Pending | None = None
        self._known_bytes = 0
        """Of what the library keeps received, so many came before the last answer."""
        self._owed = Owed()
        self._on_lost = on_lost
        self._is_lost = False
        self._dialler = Dialler(
            source, port, on_packet=self._on_packet, on_connection=self._on_connection
        )

    @property
    def is_open(self) -> bool:
        """Whether requests can be made."""
        return self._client is not None and not self._is_lost

    @property
    def ready_s(self) -> float:
        """The loop's time from which on something may be read: a gap or a settling ends then."""
        return self._quiet.over_s

    # -- opening and closing -------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the port.

        Raises:
            PortUnavailable: it is not there, refuses, is in use or does not open in time.
        """
        self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                # a late answer to the last request of the connection before meets nobody
                await asyncio.sleep(max(0.0, self.ready_s - loop.time()))
                self._is_lost = False
                client = await self._dialler.open()
        except TimeoutError as error:
            raise PortUnavailable(self._source, "opening it takes too long") from error
        except (OSError, ValueError) as error:
            raise PortUnavailable(self._source, str(error)) from error
        client.ctx.max_buffer_size = RECEIVE_BYTES
        self._client = client
        if not client.connected:
            self.close()
            raise PortUnavailable(self._source, "lost while opening")

    def close(self) -> None:
        """Close the port; nothing is waited for."""
        client, self._client = self._client, None
        if client is None:
            return
        transport = client.ctx.transport
        if isinstance(transport, SerialTransport):
            detach(transport)
        elif isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        client.close()

    def abandon(self) -> None:
        """Close, and let go of an opening that still hangs."""
        self.close()
        self._dialler.abandon()

    # -- what the library calls ------------------------------------------------------------------------

    def _on_connection(self, is_connected: bool) -> None:
        if is_connected:
            return
        self._is_lost = True
        self._on_lost()
        if self._client is not None and self._pending is not None:
            answer = self._client.ctx.response_future
            if not answer.done():
                answer.set_exception(ConnectionResetError("connection lost"))

    def _on_packet(self, is_sending: bool, data: bytes) -> bytes:
        if is_sending:
            if self._is_rtu:
                # a late answer the loop had no time to read is not the answer to this
                discard_input(self._client.ctx.transport if self._client else None)
            return data
        pending = self._pending
        if pending is None or self._client is None or pending.arrived is not None:
            self._hear_unasked(len(data) - self._known_bytes)
            return b""
        pending.received = data
        if self._is_rtu:
            frame = find_rtu(pending.question, data)
        else:
            transaction = self._client.ctx.request_transaction_id
            frame = find_tcp(pending.question, transaction, data)
        if frame:
            pending.arrived = self._clock.stamp()
            self._known_bytes = data.index(frame)  # so much is left in the buffer: [6]
            if behind := len(data) - self._known_bytes - len(frame):
                self._hear_unasked(behind)
        return frame

    def _hear_unasked(self, length: int) -> None:
        self._quiet.hear_unasked(length, asyncio.get_running_loop().time())

    # -- transactions ----------------------------------------------------------------------------------

    def sounding(self, unit: int, request: Request) -> Request | None:
        """Return what to read before a read on a serial line, so that no late answer passes for its own.

        None for nothing; see drivers.modbus.owed.
        """
        if not isinstance(self._port, SerialPort):
            return None  # transaction ids tell, or the connection is opened anew
        return self._owed.sounding(unit, request, asyncio.get_running_loop().time())

    async def read(
        self, unit: int, request: Request, *, source: str, timeout_s: float, gap_s: float = 0.0
    ) -> Reply:
        """Make one read; `source` names the device in errors.

        Raises:
            NoReply, BadReply: nothing, or nothing usable, came within `timeout_s` of sending.
            Refused: the device answered with an exception.
            PortUnavailable: the port is closed or was lost.
        """
        is_bits = request.area in BIT_AREAS
        question = reading(unit, request)
        pdu, at = await self._transact(question, request, source, timeout_s, gap_s)
        words: Sequence[int] = pdu.bits if is_bits else pdu.registers
        if len(words) < request.count:
            raise BadReply(source, f"{len(words)} values, asked {request.count}")
        return Reply(words=list(words[: request.count]), at=at)

    async def write(
        self,
        unit: int,
        write: Write,
        *,
        source: str,
        timeout_s: float,
        gap_s: float = 0.0,
    ) -> None:
        """Write one coil or register; returns after the device repeated address and value.

        It does not wait for a settling to end: the answer to another question is not its echo, and a
        siren must not wait for a meter. What is read next does wait.

        Raises:
            DriverError: as `read`; whether it was written is then unknown.
        """
        question = Question(unit=unit, function=write.function, echo=write.echo)
        await self._transact(question, None, source, timeout_s, gap_s)

    async def _transact(
        self,
        question: Question,
        request: Request | None,
        source: str,
        timeout_s: float,
        gap_s: float,
    ) -> tuple[ModbusPDU, Stamp]:
        loop = asyncio.get_running_loop()
        ready_s = self._quiet.gap_over_s if request is None else self._quiet.over_s
        wait_s = ready_s + gap_s - loop.time()
        if wait_s > 0 or self._is_rtu:  # on RTU the loop is to hear first what has come unasked
            await asyncio.sleep(max(0.0, wait_s))
        client = self._client
        if client is None or not self.is_open:
            raise PortUnavailable(self._source, "not open")
        pending = self._pending = _Pending(question)
        self._quiet.asking()
        self._known_bytes = 0
        cancels = _cancels()
        is_answered = False
        try:
            async with asyncio.timeout(timeout_s):
                pdu = await send(client, question, request)
            is_answered = True
            if _cancels() > cancels:
                raise asyncio.CancelledError  # [7]
        except TimeoutError as error:
            raise self._silence(client, pending, source) from error
        except (ModbusException, OSError) as error:
            if _cancels() > cancels:
                raise asyncio.CancelledError from error  # [7]
            raise PortUnavailable(self._source, "connection lost") from error
        finally:
            self._pending = None
            self._quiet.asked(loop.time(), is_answered=is_answered)
            if request is not None:
                self._note_owed(question.unit, request, is_answered=is_answered)
        if pending.arrived is None:
            raise BadReply(source, "a reply that was not received")
        if pdu.isError():
            raise Refused(source, pdu.exception_code)
        if pdu.function_code != question.function or pdu.dev_id != question.unit:
            raise BadReply(source, f"function {pdu.function_code} of unit {pdu.dev_id}")
        return pdu, pending.arrived

    def _note_owed(self, unit: int, request: Request, *, is_answered: bool) -> None:
        if is_answered:
            self._owed.answered(unit, request)
        else:
            self._owed.unanswered(unit, request, asyncio.get_running_loop().time())

    def _silence(self, client: Client, pending: _Pending, source: str) -> NoReply | BadReply:
        if not pending.received:
            return NoReply(source, "no reply")
        said = describe(
            pending.question,
            pending.received,
            is_rtu=self._is_rtu,
            transaction=client.ctx.request_transaction_id,
        )
        return BadReply(source, said)


def _cancels() -> int:
    """Return how many requests to cancel the running task are open."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
