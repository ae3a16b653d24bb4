"""The obvious design, to compare with: pymodbus, stock TinyDB, one MQTT publish a reading.

Written the way the three libraries' own examples suggest, at their default settings: a task a
device reads and inserts each reading, one task publishes what is in the table and removes it after
the PUBACKs. Run as `python -m benchmarks.obvious BROKER_PORT REGISTERS PERIOD_S FILE MODBUS_PORT...`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiomqtt
from pymodbus.client import AsyncModbusTcpClient
from tinydb import TinyDB

from drivers.clock import SystemClock

HOST = "127.0.0.1"
LOOK_S = 0.05
RECONNECT_S = 1.0


async def poll(port: int, unit: int, registers: int, period_s: float, table: TinyDB) -> None:
    """Read a device each period and keep every reading."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    client = AsyncModbusTcpClient(HOST, port=port)
    await client.connect()
    due_s = loop.time()
    while True:
        reply = await client.read_holding_registers(0, count=registers, device_id=unit)
        if not reply.isError():
            for place, value in enumerate(reply.registers):
                point = f"u{unit:02}.r{place:02}"
                table.insert({"point": point, "value": value, "ts": clock.stamp().wall_ms})
        due_s += period_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))


async def send(port: int, table: TinyDB) -> None:
    """Publish what is kept and remove what was acknowledged."""
    while True:
        try:
            async with aiomqtt.Client(HOST, port) as client:
                while True:
                    documents = table.all()
                    for each in documents:
                        await client.publish("obvious/tele", json.dumps(each), qos=1)
                    if documents:
                        table.remove(doc_ids=[each.doc_id for each in documents])
                    else:
                        await asyncio.sleep(LOOK_S)
        except aiomqtt.MqttError:
            await asyncio.sleep(RECONNECT_S)


async def run(
    broker_port: int, registers: int, period_s: float, path: Path, ports: list[int]
) -> None:
    """Run until the process is ended."""
    table = TinyDB(path)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send(broker_port, table), name="send")
        for unit, port in enumerate(ports, 1):
            tasks.create_task(poll(port, unit, registers, period_s, table), name=f"poll {unit}")


if __name__ == "__main__":
    broker, width, period, file, *units = sys.argv[1:]
    asyncio.run(
        run(int(broker), int(width), float(period), Path(file), [int(each) for each in units])
    )
