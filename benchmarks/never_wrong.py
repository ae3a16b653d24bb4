"""Never a wrong value: reads against devices, cables and gateways that do everything wrong.

Every register pair encodes its unit, its address and a count (agent.simulate.ledger), one up at each
answer. A value called good is wrong unless the plant sent just that, for that register, in a true
answer to the last question, and it was not delivered before. All faults the simulator knows are
played at an even chance; the same run with the driver's checks taken out shows what they are worth.
The plant is a process of its own (benchmarks/never_wrong_plant.py).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import struct
from collections import Counter
from dataclasses import dataclass, field

from agent.simulate.faults import FaultKind
from benchmarks.never_wrong_judge import BusJudge, Question
from benchmarks.never_wrong_plant import BLOCKS, WIRES, Left, Script, hold_up, plant
from benchmarks.table import Cell, show
from benchmarks.unchecked import UncheckedBus, UncheckedLink
from drivers.backoff import Backoff
from drivers.base import Emit
from drivers.clock import Clock, SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import (
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    PollClass,
    QuantitySpec,
    SerialPort,
    TcpPort,
)
from drivers.modbus.transport import Link

SPARE_S = 0.010
"""No answer is meant to leave later than this before the settling ends; the machine makes it later."""
TURNAROUND_S = 0.002
"""What a unit thinks; so that a late answer meets a question under way wherever nobody waited for it."""
_ALWAYS_DUE_S = 0.001
_LOOK_S = 0.05
_LAST_S = 1.0
"""What left last is told within this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run."""

    reads: int
    """How many in all, over all wires."""
    wires: tuple[str, ...] = WIRES
    buses: int = 4
    """Of each wire, in parallel."""
    units: int = 6
    rate: float = 0.1
    """The part of all answers that gets a fault."""
    timeout_s: float = 0.02
    settle_s: float = 0.05
    """Answers come up to this late, so that many of them come after their time-out."""
    seed: int = 1
    is_checked: bool = True
    held_up_s: float = 0.0
    """The driver's loop is blocked for up to this, four times a second."""
    plant_held_up_s: float = 0.0
    """The same for the plant's, which then breaks its promise."""
    longest_s: float = 3600.0
    """The run ends here with whatever it read."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one wire delivered."""

    reads: int = 0
    failed: int = 0
    good: int = 0
    """Values: one read tells up to five."""
    wrong: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    in_wake: int = 0
    left_too_late: int = 0
    """See benchmarks.never_wrong_judge.BusJudge for these four."""
    examples: list[str] = field(default_factory=list)

    @property
    def wrong_total(self) -> int:
        """Values called good that were not, although the plant kept its promise."""
        return self.wrong.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run delivered."""

    wires: dict[str, Outcome]
    played: dict[FaultKind, int]


class _Watch:
    """Stamps what a link sends, for the judge."""

    def __init__(self, clock: Clock, judge: BusJudge, *, is_rtu: bool) -> None:
        self._clock = clock
        self._body = 0 if is_rtu else 6
        self._judge = judge

    def sends(self, data: bytes) -> None:
        """Note that a request goes out now; it has gone when the loop comes round."""
        at_s = self._clock.mono_s()
        unit, _, first, count = struct.unpack(">BBHH", data[self._body : self._body + 6])
        question = Question(at_s, at_s, unit, first, first + count)
        self._judge.asked(question)

        def has_sent() -> None:
            question.after_s = self._clock.mono_s()

        asyncio.get_running_loop().call_soon(has_sent)


class _WatchedLink(Link):
    watch: _Watch

    def _on_packet(self, is_sending: bool, data: bytes) -> bytes:
        if is_sending:
            self.watch.sends(data)
        return super()._on_packet(is_sending, data)


class _WatchedUncheckedLink(UncheckedLink):
    watch: _Watch

    def _on_packet(self, is_sending: bool, data: bytes) -> bytes:
        if is_sending:
            self.watch.sends(data)
        return super()._on_packet(is_sending, data)


class _WatchedBus(ModbusBus):
    """The driver as it is, on a link whose sending is stamped."""

    def __init__(self, spec: ModbusBusSpec, clock: Clock, emit: Emit, watch: _Watch) -> None:
        super().__init__(spec, clock, emit, backoff=Backoff(0.02, 0.1))
        link = _WatchedLink(
            spec.id, spec.port, clock, settle_s=spec.settle_s, on_lost=self._wake.set
        )
        link.watch = watch
        self._link = link


class _WatchedUncheckedBus(UncheckedBus):
    """The same without its checks."""

    def __init__(self, spec: ModbusBusSpec, clock: Clock, emit: Emit, watch: _Watch) -> None:
        super().__init__(spec, clock, emit, backoff=Backoff(0.02, 0.1))
        link = _WatchedUncheckedLink(
            spec.id, spec.port, clock, settle_s=0.0, on_lost=self._wake.set
        )
        link.watch = watch
        self._link = link


async def run(plan: Plan) -> Result:
    """Run a plan to its number of reads; return the outcome of each wire.

    Raises:
        TimeoutError: a bus or the plant does not end.
    """
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + plan.longest_s
    clock = SystemClock()
    wires = plan.wires * plan.buses
    script = Script(
        wires=wires,
        units=plan.units,
        rate=plan.rate,
        seed=plan.seed,
        turnaround_s=TURNAROUND_S,
        late_s=plan.settle_s - TURNAROUND_S - SPARE_S,
        held_up_s=plan.plant_held_up_s,
    )
    promise_s = plan.timeout_s + plan.settle_s
    judges = [
        BusJudge(_points(f"{wire} {at}", plan.units), promise_s) for at, wire in enumerate(wires)
    ]

    told_s = 0.0
    """Up to here the plant has told what left; on a busy machine that may be long ago."""

    def note(left: Left) -> None:
        nonlocal told_s
        told_s = max(told_s, left.left_s)
        judges[left.bus].left(left)

    buses: list[ModbusBus] = []
    async with plant(script, note) as there:
        for at, (wire, port) in enumerate(zip(wires, there.ports, strict=True)):
            spec = _bus_spec(plan, f"{wire} {at}", port)
            make = _WatchedBus if plan.is_checked else _WatchedUncheckedBus
            watch = _Watch(clock, judges[at], is_rtu=wire != "tcp")
            buses.append(make(spec, clock, judges[at].emit, watch))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(bus.run(), name=bus.id) for bus in buses]
            if plan.held_up_s:
                running.append(
                    tasks.create_task(hold_up(plan.held_up_s, plan.seed), name="hold up")
                )
            while loop.time() < ends_s and sum(map(_reads, buses)) < plan.reads:
                await asyncio.sleep(_LOOK_S)
                for judge in judges:
                    judge.judge(told_s)
            for task in running:
                task.cancel()
        await asyncio.sleep(_LAST_S)
    for judge in judges:
        judge.judge(float("inf"))
    outcomes = {wire: Outcome() for wire in plan.wires}
    for wire, bus, judge in zip(wires, buses, judges, strict=True):
        _add(outcomes[wire], bus, judge)
    return Result(wires=outcomes, played=there.played)


def _quantities() -> tuple[QuantitySpec, ...]:
    return tuple(
        QuantitySpec(name=f"c{address}", area=block.area, address=address, type=DataType.U32)
        for block in BLOCKS
        for address in range(block.address, block.address + 2 * block.counters, 2)
    )


def _points(bus: str, units: int) -> dict[str, tuple[int, int]]:
    """Return the points of a bus with the unit and the address each shows."""
    return {
        f"{bus}-{unit}.{each.name}": (unit, each.address)
        for unit in range(1, units + 1)
        for each in _quantities()
    }


def _bus_spec(plan: Plan, bus: str, port: TcpPort | SerialPort) -> ModbusBusSpec:
    return ModbusBusSpec(
        id=bus,
        port=port,
        devices=tuple(
            DeviceSpec(id=f"{bus}-{unit}", unit=unit, quantities=_quantities(), max_gap=0)
            for unit in range(1, plan.units + 1)
        ),
        timeout_s=plan.timeout_s,
        settle_s=plan.settle_s,
        periods_s=dict.fromkeys(PollClass, _ALWAYS_DUE_S),
        retries=3,
    )


def _reads(bus: ModbusBus) -> int:
    return sum(each.requests for each in bus.stats().devices)


def _add(outcome: Outcome, bus: ModbusBus, judge: BusJudge) -> None:
    for device in bus.stats().devices:
        outcome.reads += device.requests
        outcome.failed += sum(device.failures.values())
    outcome.good += judge.good
    outcome.wrong.update(judge.wrong)
    outcome.too_late += judge.too_late
    outcome.in_wake += judge.in_wake
    outcome.left_too_late += judge.left_too_late
    outcome.examples += judge.examples


def _row(wire: str, outcome: Outcome, plan: Plan) -> dict[str, Cell]:
    kinds = outcome.wrong
    return {
        "wire": wire,
        "checks": "on" if plan.is_checked else "off",
        "reads": outcome.reads,
        "failed": outcome.failed,
        "good values": outcome.good,
        "WRONG": outcome.wrong_total,
        "other register": kinds["of another register"] + kinds["never sent"],
        "old": kinds["older than the question"] + kinds["delivered twice"],
        "false answer": kinds["from a false answer"],
        "values left too late": outcome.left_too_late,
        "wrong of those": outcome.too_late,
        "wrong behind those": outcome.in_wake,
    }


async def _timed(plan: Plan) -> tuple[Result, float]:
    loop = asyncio.get_running_loop()
    if not plan.is_checked:
        # the library throws on what it cannot decode, and the loop would print each one
        loop.set_exception_handler(lambda _loop, _context: None)
    started_s = loop.time()
    result = await run(plan)
    return result, loop.time() - started_s


def main() -> int:
    """Run with and without the checks; return 1 if a wrong value passed, or none did without them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reads", type=int, default=20_000, help="1000000 is the full size")
    parser.add_argument("--unchecked-reads", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=0.1, help="share of answers with a fault")
    parser.add_argument("--buses", type=int, default=4, help="of each wire, in parallel")
    parser.add_argument("--wires", default=",".join(WIRES), help="which, with commas")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hold-up", type=float, default=0.0, help="block the driver, seconds")
    parser.add_argument("--hold-up-plant", type=float, default=0.0, help="the same with the plant")
    parser.add_argument("--longest", type=float, default=7200.0, help="seconds")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows: list[dict[str, Cell]] = []
    results: dict[bool, Result] = {}
    seconds: dict[bool, float] = {}
    load: dict[bool, float] = {}
    is_whole = True
    for is_checked, reads in ((True, options.reads), (False, options.unchecked_reads)):
        plan = Plan(
            reads=reads,
            wires=tuple(options.wires.split(",")),
            rate=options.rate,
            buses=options.buses,
            seed=options.seed,
            is_checked=is_checked,
            held_up_s=options.hold_up,
            plant_held_up_s=options.hold_up_plant,
            longest_s=options.longest,
        )
        results[is_checked], seconds[is_checked] = asyncio.run(_timed(plan))
        load[is_checked] = os.getloadavg()[1]
        outcomes = results[is_checked].wires
        is_whole &= sum(each.reads for each in outcomes.values()) >= reads
        for wire, outcome in outcomes.items():
            rows.append(_row(wire, outcome, plan))
            if is_checked:
                print(*outcome.examples, sep="\n", end="\n" if outcome.examples else "")
    show(
        "never_wrong",
        rows,
        rate=options.rate,
        buses=options.buses * len(options.wires.split(",")),
        seed=options.seed,
        held_up_s=options.hold_up,
        plant_held_up_s=options.hold_up_plant,
        seconds=round(seconds[True], 1),
        load_5min=round(load[True], 2),
        **{kind.value: count for kind, count in sorted(results[True].played.items())},
    )
    wrong, unchecked = (
        sum(each.wrong_total for each in results[is_checked].wires.values())
        for is_checked in (True, False)
    )
    return int(wrong != 0 or unchecked == 0 or not is_whole)


if __name__ == "__main__":
    raise SystemExit(main())
