"""Questions as calls of the client library."""

from __future__ import annotations

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.register_message import WriteSingleRegisterRequest

from drivers.modbus.dialling import Client
from drivers.modbus.frames import Question
from drivers.modbus.owed import data_bytes
from drivers.modbus.plan import Request
from drivers.modbus.spec import Area
from drivers.modbus.switching import WRITE_COIL

_FUNCTIONS = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4}


class _SingleCoil(WriteSingleRegisterRequest):
    """Function 05 with any value, not on and off alone: modules take a pulse's length there."""

    function_code = WRITE_COIL


def reading(unit: int, request: Request) -> Question:
    """Return what the answer to a read must look like."""
    return Question(unit=unit, function=_FUNCTIONS[request.area], data_bytes=data_bytes(request))


async def send(client: Client, question: Question, request: Request | None) -> ModbusPDU:
    """Ask, and return what the library takes for the answer; without a `request` it is a write."""
    unit = question.unit
    if request is None:
        address, value = (int.from_bytes(part) for part in (question.echo[:2], question.echo[2:]))
        kind = _SingleCoil if question.function == WRITE_COIL else WriteSingleRegisterRequest
        pdu: ModbusPDU = await client.execute(
            False, kind(address=address, registers=[value], dev_id=unit)
        )
        return pdu
    read = {
        Area.COIL: client.read_coils,
        Area.DISCRETE: client.read_discrete_inputs,
        Area.HOLDING: client.read_holding_registers,
        Area.INPUT: client.read_input_registers,
    }[request.area]
    return await read(request.address, count=request.count, device_id=unit)
