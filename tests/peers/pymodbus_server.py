"""A Modbus server on pymodbus; usage and map as in libmodbus_slave.c."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

AREAS = ("coil", "discrete", "holding", "input")


def device_of(text: str) -> SimDevice:
    """Return the unit a map describes."""
    unit, blocks = 0, {}
    for line in text.splitlines():
        word, first, *values = line.split()
        if word == "unit":
            unit = int(first)
        elif word in ("coil", "discrete"):
            bits = [each == "1" for each in values]
            blocks[word] = [SimData(int(first), values=bits, datatype=DataType.BITS)]
        else:
            words = [int(each) for each in values]
            blocks[word] = [SimData(int(first), values=words, datatype=DataType.REGISTERS)]
    coils, discretes, holdings, inputs = (blocks[each] for each in AREAS)
    return SimDevice(unit, simdata=(coils, discretes, holdings, inputs))


async def serve(wire: str, place: str, text: str) -> None:
    """Serve until the standard input ends."""
    server: ModbusTcpServer | ModbusSerialServer
    if wire == "tcp":
        server = ModbusTcpServer(device_of(text), address=("127.0.0.1", int(place)))
    else:
        server = ModbusSerialServer(device_of(text), port=place, baudrate=9600)
    await server.serve_forever(background=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_text(encoding="ascii")))
