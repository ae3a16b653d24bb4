"""The driver with every check on replies taken out, to see what the checks are worth.

What is left is the client library as it comes: it takes any frame of the right unit, nothing is
waited for after a time-out, and a unit that kept silent is asked on as if it had not.
"""

from __future__ import annotations

import asyncio

from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from drivers.backoff import Backoff
from drivers.base import Emit
from drivers.clock import Clock, Stamp
from drivers.errors import NoReply, PortUnavailable, Refused
from drivers.modbus.bus import ModbusBus
from drivers.modbus.device import Read
from drivers.modbus.frames import Question
from drivers.modbus.plan import Request
from drivers.modbus.schedule import Poll
from drivers.modbus.spec import ModbusBusSpec
from drivers.modbus.transport import Link


class UncheckedLink(Link):
    """A link that hands every byte to the library and believes what the library says."""

    def _on_packet(self, is_sending: bool, data: bytes) -> bytes:
        return data

    async def _transact(
        self,
        question: Question,
        request: Request | None,
        source: str,
        timeout_s: float,
        gap_s: float,
    ) -> tuple[ModbusPDU, Stamp]:
        client = self._client
        if client is None or not self.is_open or request is None:
            raise PortUnavailable(source, "not open")
        ask = {
            1: client.read_coils,
            2: client.read_discrete_inputs,
            3: client.read_holding_registers,
            4: client.read_input_registers,
        }[question.function]
        try:
            async with asyncio.timeout(timeout_s):
                pdu = await ask(request.address, count=request.count, device_id=question.unit)
            # the one check kept, or the run might not end: see [7] of drivers.modbus.transport
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError
        except TimeoutError as error:
            raise NoReply(source, "no reply") from error
        except (ModbusException, OSError) as error:
            raise PortUnavailable(source, "connection lost") from error
        if pdu.isError():
            raise Refused(source, pdu.exception_code)
        return pdu, self._clock.stamp()


class UncheckedBus(ModbusBus):
    """A bus on an unchecked link, which is not opened anew after a silence either."""

    def __init__(self, spec: ModbusBusSpec, clock: Clock, emit: Emit, *, backoff: Backoff) -> None:
        super().__init__(spec, clock, emit, backoff=backoff)
        self._is_renewed_after_silence = False
        self._link = UncheckedLink(spec.id, spec.port, clock, settle_s=0.0, on_lost=self._wake.set)

    def _try_later(self, poll: Poll[Read], started_s: float) -> None:
        self._schedule.put(poll, behind_s=asyncio.get_running_loop().time())
