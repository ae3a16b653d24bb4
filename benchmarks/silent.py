"""What silent devices cost the others on the same line, from the moment they fall silent.

Twenty devices of ten registers, polled every 3 s; after a quiet start some of them stop answering,
all at once. `onset` is the time until they are known to be offline, `steady` what comes after; the
mark is held or missed by both together, from the first silence on, and each is told.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise

from agent.simulate.line import RtuLine
from agent.simulate.tcp import TcpSlave
from benchmarks.judge import Judge
from benchmarks.plant import Block, Plant, counting_plant
from benchmarks.table import Cell, show
from drivers.clock import SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import Area, ModbusBusSpec, PollClass, SerialPort, TcpPort

DEVICES = 20
TEN_REGISTERS = Block(area=Area.HOLDING, address=0, counters=5)
KEPT_AT_LEAST = 0.95
PERIOD_AT_MOST = 1.05
_WIRES = ("rtu", "shared tcp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line."""

    wire: str
    silent: int
    devices: int = DEVICES
    baud: int = 9600
    turnaround_s: float = 0.005
    period_s: float = 3.0
    timeout_s: float = 0.3
    settle_s: float = 0.5
    quiet_s: float = 7.5
    """All answer for this long first; two polls and a half, so that no poll falls on a window's edge."""
    onset_s: float = 15.0
    """Counted from the falling silent."""
    steady_s: float = 30.0
    """Counted after the onset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the others kept, each a part of what they would have had (1 is all)."""

    onset_kept: float
    kept: float
    """Over onset and steady time together."""
    steady_kept: float
    period_median_s: float
    longest_period_s: float
    false_good: int
    """Good values of silent devices, and values judged wrong of any."""


async def measure(case: Case) -> Cost:
    """Run one line through quiet, onset and steady time."""
    clock = SystemClock()
    judge = Judge(clock, keep_arrivals=True)
    plant = counting_plant(judge, "line", case.devices, (TEN_REGISTERS,))
    mute = range(2, 2 + 3 * case.silent, 3)  # spread over the round, as in a real plant
    async with AsyncExitStack() as things, asyncio.TaskGroup() as tasks:
        slave: RtuLine | TcpSlave
        port: SerialPort | TcpPort
        if case.wire == "rtu":
            slave = await things.enter_async_context(
                RtuLine(
                    plant.units,
                    judge,
                    bus="line",
                    baud=case.baud,
                    pace=True,
                    turnaround_s=case.turnaround_s,
                )
            )
            port = SerialPort(path=slave.path, baud=case.baud)
        else:
            slave = await things.enter_async_context(
                TcpSlave(plant.units, judge, bus="line", turnaround_s=case.turnaround_s)
            )
            port = TcpPort(host=slave.host, port=slave.port)
        spec = ModbusBusSpec(
            id="line",
            port=port,
            devices=plant.devices,
            timeout_s=case.timeout_s,
            settle_s=case.settle_s,
            periods_s=dict.fromkeys(PollClass, case.period_s),
        )
        bus = ModbusBus(spec, clock, judge.emit)
        running = tasks.create_task(bus.run(), name=f"{case.wire} {case.silent}")
        await asyncio.sleep(case.quiet_s)
        for unit in mute:
            slave.set_silent(unit, True)
        # an answer that is on the wire just now still counts as given before
        await asyncio.sleep(0.1)
        fell_s = clock.mono_s()
        await asyncio.sleep(case.onset_s + case.steady_s)
        running.cancel()
    return _cost(case, plant, frozenset(mute), fell_s, judge)


def _cost(case: Case, plant: Plant, mute: frozenset[int], fell_s: float, judge: Judge) -> Cost:
    others = [plant.registers[unit][0] for unit in plant.registers if unit not in mute]
    settled_s, end_s = fell_s + case.onset_s, fell_s + case.onset_s + case.steady_s

    def kept(since_s: float, until_s: float) -> float:
        got = sum(
            sum(since_s <= each < until_s for each in register.arrivals_s) for register in others
        )
        return got / (len(others) * (until_s - since_s) / case.period_s)

    periods = [
        after - before
        for register in others
        for before, after in pairwise(register.arrivals_s)
        if after >= fell_s
    ]
    return Cost(
        onset_kept=kept(fell_s, settled_s),
        kept=kept(fell_s, end_s),
        steady_kept=kept(settled_s, end_s),
        period_median_s=statistics.median(periods),
        longest_period_s=max(periods),
        false_good=judge.wrong.total()
        + sum(
            sum(each >= fell_s for each in register.arrivals_s)
            for unit in mute
            for register in plant.registers[unit]
        ),
    )


async def _all(cases: list[Case]) -> list[Cost]:
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(measure(case), name=f"{case}") for case in cases]
    return [run.result() for run in runs]


def main() -> int:
    """Measure all lines side by side; return 1 if one costs its neighbours too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--onset", type=float, default=15.0, help="seconds counted as the onset")
    parser.add_argument("--steady", type=float, default=30.0, help="seconds counted after it")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    cases = [
        Case(wire=wire, silent=silent, onset_s=options.onset, steady_s=options.steady)
        for wire in _WIRES
        for silent in (0, 1, 3, 5)
    ]
    costs = asyncio.run(_all(cases))
    usual_s = {
        case.wire: cost.period_median_s
        for case, cost in zip(cases, costs, strict=True)
        if not case.silent
    }
    rows: list[dict[str, Cell]] = []
    for case, cost in zip(cases, costs, strict=True):
        slower = cost.period_median_s / usual_s[case.wire]
        rows.append(
            {
                "wire": case.wire,
                "silent": case.silent,
                "kept %": round(100 * cost.kept, 1),
                "onset %": round(100 * cost.onset_kept, 1),
                "steady %": round(100 * cost.steady_kept, 1),
                "period s": round(cost.period_median_s, 3),
                "change %": round(100 * (slower - 1), 2),
                "longest s": round(cost.longest_period_s, 2),
                "false good": cost.false_good,
                "held": cost.kept >= KEPT_AT_LEAST
                and slower < PERIOD_AT_MOST
                and not cost.false_good,
            }
        )
    show(
        "silent", rows, devices=DEVICES, registers=10, period_s=3.0, timeout_ms=300, settle_ms=500,
        baud=9600, onset_s=options.onset, steady_s=options.steady,
    )  # fmt: skip
    return int(not all(row["held"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
