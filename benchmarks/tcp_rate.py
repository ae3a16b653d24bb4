"""How many reads a second one TCP connection gives, and what a read costs.

The whole driver (schedule, transaction, checks, decoding, ten readings emitted) beside the client
library alone in a bare loop, in turns in one process; the server has a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pymodbus.client import AsyncModbusTcpClient

from benchmarks.modbus_server import REGISTERS, server, value_at
from benchmarks.table import Cell, show
from drivers.clock import SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import (
    Area,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    PollClass,
    QuantitySpec,
    TcpPort,
)
from drivers.reading import Quality, Reading

UNITS = 10
RATE_AT_LEAST = 2500.0
COST_AT_MOST_US = 250.0
WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one loop did."""

    reads_per_s: float
    cpu_us: float
    """Processor time of the client's whole process for each read."""
    wrong: int = 0
    """Readings that were not good, or not the register's."""


async def library_rate(port: int, seconds: float) -> Rate:
    """Read ten registers of each unit in turn with the library alone."""
    loop = asyncio.get_running_loop()
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    async with asyncio.timeout(seconds + 10):
        await client.connect()
        reads = unit = 0
        started_s, cpu_s = loop.time(), time.process_time()
        while loop.time() - started_s < seconds:
            unit = unit % UNITS + 1
            await client.read_holding_registers(0, count=REGISTERS, device_id=unit)
            reads += 1
        took_s, used_s = loop.time() - started_s, time.process_time() - cpu_s
    client.close()
    return Rate(reads_per_s=reads / took_s, cpu_us=1e6 * used_s / reads)


async def driver_rate(port: int, seconds: float) -> Rate:
    """Read the same with the driver, which always has something due."""
    loop = asyncio.get_running_loop()
    right = {
        f"d{unit}.r{address}": value_at(unit, address)
        for unit in range(1, UNITS + 1)
        for address in range(REGISTERS)
    }
    readings = wrong = 0

    def emit(told: Sequence[Reading]) -> None:
        nonlocal readings, wrong
        for each in told:
            if each.point in right:
                readings += 1
                wrong += each.quality is not Quality.GOOD or each.value != right[each.point]

    spec = ModbusBusSpec(
        id="bus",
        port=TcpPort(host="127.0.0.1", port=port),
        devices=tuple(_device(unit) for unit in range(1, UNITS + 1)),
        periods_s=dict.fromkeys(PollClass, 0.0005),
    )
    bus = ModbusBus(spec, SystemClock(), emit)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run(), name="bus")
        await asyncio.sleep(WARM_UP_S)
        before, started_s, cpu_s = readings, loop.time(), time.process_time()
        await asyncio.sleep(seconds)
        took_s, used_s = loop.time() - started_s, time.process_time() - cpu_s
        reads = (readings - before) / REGISTERS
        running.cancel()
    return Rate(
        reads_per_s=reads / took_s,
        cpu_us=1e6 * used_s / max(1.0, reads),
        wrong=wrong,
    )


def _device(unit: int) -> DeviceSpec:
    quantities = tuple(
        QuantitySpec(name=f"r{each}", area=Area.HOLDING, address=each, type=DataType.U16)
        for each in range(REGISTERS)
    )
    return DeviceSpec(id=f"d{unit}", unit=unit, quantities=quantities)


async def measure(runs: int, seconds: float) -> dict[str, list[Rate]]:
    """Run both in turns; return the rates by name."""
    loops: dict[str, Callable[[int, float], Awaitable[Rate]]] = {
        "pymodbus alone": library_rate,
        "whole driver": driver_rate,
    }
    rates: dict[str, list[Rate]] = {name: [] for name in loops}
    async with server(UNITS) as port:
        for _ in range(runs):
            for name, loop in loops.items():
                rates[name].append(await loop(port, seconds))
    return rates


def main() -> int:
    """Print the medians; return 1 if the driver is too slow, too dear or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each run of each loop")
    options = parser.parse_args()
    rates = asyncio.run(measure(options.runs, options.seconds))
    medians = {
        name: (
            statistics.median(each.reads_per_s for each in runs),
            statistics.median(each.cpu_us for each in runs),
        )
        for name, runs in rates.items()
    }
    library_us = medians["pymodbus alone"][1]
    rows: list[dict[str, Cell]] = []
    for name, runs in rates.items():
        speed, cost_us = medians[name]
        fastest, slowest = max(r.reads_per_s for r in runs), min(r.reads_per_s for r in runs)
        rows.append(
            {
                "loop": name,
                "reads/s": round(speed),
                "slowest": round(slowest),
                "fastest": round(fastest),
                "CPU us/read": round(cost_us, 1),
                "ratio": round(cost_us / library_us, 2),
                "wrong": sum(each.wrong for each in runs),
            }
        )
    show("tcp_rate", rows, registers=REGISTERS, runs=options.runs, seconds=options.seconds)
    speed, cost_us = medians["whole driver"]
    is_right = not any(each.wrong for each in rates["whole driver"])
    return int(not (speed >= RATE_AT_LEAST and cost_us <= COST_AT_MOST_US and is_right))


if __name__ == "__main__":
    raise SystemExit(main())
