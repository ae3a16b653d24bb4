"""How near the driver comes to the limit of a serial line: a pty that takes the time of a real wire.

The limit is what the standard leaves with 8N1: request, 3.5 characters of silence (1.75 ms at least;
Modbus over serial line 1.02, section 2.5.1.1), the device's turnaround, answer, the same silence.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass

from agent.simulate.line import RtuLine
from benchmarks.judge import Judge
from benchmarks.plant import Block, counting_plant
from benchmarks.table import Cell, show
from drivers.clock import SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.quiet import frame_gap_s
from drivers.modbus.spec import Area, ModbusBusSpec, PollClass, SerialPort

REQUEST_BYTES = 8
"""Unit, function, address, count, CRC (Modbus Application Protocol 1.1b3, section 6.3; serial 6.2.2)."""
ANSWER_BYTES = 5
"""Unit, function, byte count, CRC, besides the registers."""
TEN_REGISTERS = Block(area=Area.HOLDING, address=0, counters=5)
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What one line did."""

    reads_per_s: float
    limit_per_s: float
    failed: int
    wrong: int

    @property
    def share(self) -> float:
        """The part of the limit that was reached, 0 to 1."""
        return self.reads_per_s / self.limit_per_s


def limit_per_s(port: SerialPort, registers: int, turnaround_s: float) -> float:
    """Return the most reads a second that a line allows."""
    characters = REQUEST_BYTES + ANSWER_BYTES + 2 * registers
    return 1 / (characters * 10 / port.baud + 2 * frame_gap_s(port) + turnaround_s)


async def measure(*, baud: int, devices: int, seconds: float, turnaround_s: float = 0.005) -> Pace:
    """Poll ten registers of each device as fast as it goes, for that long."""
    loop = asyncio.get_running_loop()
    clock = SystemClock()
    judge = Judge(clock)
    plant = counting_plant(judge, "line", devices, (TEN_REGISTERS,))
    line = RtuLine(plant.units, judge, bus="line", baud=baud, pace=True, turnaround_s=turnaround_s)
    async with line, asyncio.TaskGroup() as tasks:
        port = SerialPort(path=line.path, baud=baud)
        spec = ModbusBusSpec(
            id="line",
            port=port,
            devices=plant.devices,
            periods_s=dict.fromkeys(PollClass, 0.01),  # never in time: always something is due
        )
        bus = ModbusBus(spec, clock, judge.emit)
        running = tasks.create_task(bus.run(), name="bus")
        await asyncio.sleep(WARM_UP_S)
        before, since_s = judge.good, loop.time()
        await asyncio.sleep(seconds)
        reads = (judge.good - before) / TEN_REGISTERS.counters
        took_s = loop.time() - since_s
        running.cancel()
    return Pace(
        reads_per_s=reads / took_s,
        limit_per_s=limit_per_s(port, 2 * TEN_REGISTERS.counters, turnaround_s),
        failed=sum(sum(each.failures.values()) for each in bus.stats().devices),
        wrong=judge.wrong.total(),
    )


def main() -> int:
    """Measure four lines one after the other; return 1 if one stays below 90 % of its limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="for each line")
    options = parser.parse_args()
    rows: list[dict[str, Cell]] = []
    for baud in (9600, 19200):
        for devices in (10, 20):
            pace = asyncio.run(measure(baud=baud, devices=devices, seconds=options.seconds))
            rows.append(
                {
                    "baud": baud,
                    "devices": devices,
                    "reads/s": round(pace.reads_per_s, 2),
                    "limit/s": round(pace.limit_per_s, 2),
                    "% of limit": round(100 * pace.share, 1),
                    "failed": pace.failed,
                    "wrong": pace.wrong,
                    "held": pace.share >= 0.9,
                }
            )
    show("rtu_pace", rows, registers=10, turnaround_ms=5, seconds=options.seconds)
    return int(not all(row["held"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
