"""Never a wrong value: reads against devices, cables and gateways that do everything wrong.

Every register pair encodes its unit, its address and a count (agent.simulate.ledger), one up at each
answer. A value called good is wrong unless the simulator sent just that, for that register, in a
true answer to the last question, and it was not delivered before. All faults the simulator knows are
played at an even chance; the same run with the driver's checks taken out shows what they are worth.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain

from agent.simulate.faults import FaultKind, FaultPlan, playable
from agent.simulate.frames import Framing
from agent.simulate.line import RtuLine
from agent.simulate.station import Reply
from agent.simulate.tcp import TcpSlave
from benchmarks.judge import Judge
from benchmarks.plant import Block, counting_plant
from benchmarks.table import Cell, show
from benchmarks.unchecked import UncheckedBus
from drivers.backoff import Backoff
from drivers.clock import SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.spec import Area, ModbusBusSpec, PollClass, SerialPort, TcpPort

WIRES = ("tcp", "rtu", "rtu over tcp")
BLOCKS = (
    # three reads that differ in nothing but the address: the hardest to tell apart
    Block(area=Area.HOLDING, address=0),
    Block(area=Area.HOLDING, address=20),
    Block(area=Area.HOLDING, address=40),
    Block(area=Area.INPUT, address=60),
    Block(area=Area.INPUT, address=100, counters=5),
)
PTY_S = 0.005
"""No answer leaves later than this before the settling ends: a pty takes its time to deliver."""
TURNAROUND_S = 0.002
"""What a unit thinks; so that a late answer meets a question under way wherever nobody waited for it."""
_ALWAYS_DUE_S = 0.001
_LOOK_S = 0.05


class PunctualLine(RtuLine):
    """A line that keeps the lateness it promises, however long the machine makes it wait.

    Simulator and driver share a loop. When that loop is held up, an answer due within the settling
    would leave after it, later than any driver is asked to bear: it is kept back, as by silence.
    """

    withheld = 0
    latest_s = 0.0
    """From request to answer."""

    def _send_at(self, at_s: float, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        latest_s = loop.time() + self.latest_s

        def send() -> None:
            self._due.discard(handle)
            if loop.time() <= latest_s:
                self._send(reply)
            else:
                self.withheld += 1

        handle = loop.call_at(at_s, send)
        self._due.add(handle)


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
    played: Counter[FaultKind] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def wrong_total(self) -> int:
        """Values called good that were not."""
        return self.wrong.total()


async def run(plan: Plan) -> dict[str, Outcome]:
    """Run a plan to its number of reads; return the outcome of each wire.

    Raises:
        TimeoutError: a bus does not end.
    """
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + plan.longest_s
    clock = SystemClock()
    judges = {wire: Judge(clock) for wire in plan.wires}
    buses: dict[str, list[ModbusBus]] = {wire: [] for wire in plan.wires}
    plans: dict[str, list[FaultPlan]] = {wire: [] for wire in plan.wires}
    async with AsyncExitStack() as things, asyncio.TaskGroup() as tasks:
        for number, wire in enumerate(plan.wires * plan.buses):
            judge = judges[wire]
            spec, faults = await _bus_spec(plan, wire, number, judge, things)
            make = ModbusBus if plan.is_checked else UncheckedBus
            bus = make(spec, clock, judge.emit, backoff=Backoff(0.02, 0.1))
            buses[wire].append(bus)
            plans[wire].append(faults)
        running = [
            tasks.create_task(bus.run(), name=bus.id) for bus in chain.from_iterable(buses.values())
        ]
        # counters have no event to wait for
        while (  # noqa: ASYNC110
            loop.time() < ends_s and sum(map(_reads, chain(*buses.values()))) < plan.reads
        ):
            await asyncio.sleep(_LOOK_S)
        for task in running:
            task.cancel()
    return {wire: _outcome(judges[wire], buses[wire], plans[wire]) for wire in plan.wires}


async def _bus_spec(
    plan: Plan, wire: str, number: int, judge: Judge, things: AsyncExitStack
) -> tuple[ModbusBusSpec, FaultPlan]:
    """Plug in a simulated bus; return what the driver is told of it, and its faults."""
    bus = f"{wire} {number}"
    is_stream = wire != "rtu"
    framing = Framing.TCP if wire == "tcp" else Framing.RTU
    faults = FaultPlan(
        playable(framing, is_stream=is_stream),
        rate=plan.rate,
        seed=plan.seed * 1000 + number,
        delay_s=(0.0, plan.settle_s - TURNAROUND_S - 2 * PTY_S),
    )
    plant = counting_plant(judge, bus, plan.units, BLOCKS, first=number * 4096)
    port: TcpPort | SerialPort
    if is_stream:
        slave = TcpSlave(
            plant.units,
            judge,
            bus=bus,
            rtu=wire != "tcp",
            faults=faults,
            turnaround_s=TURNAROUND_S,
        )
        await things.enter_async_context(slave)
        port = TcpPort(host=slave.host, port=slave.port, rtu=wire != "tcp")
    else:
        line = PunctualLine(plant.units, judge, bus=bus, faults=faults, turnaround_s=TURNAROUND_S)
        line.latest_s = plan.settle_s - PTY_S
        await things.enter_async_context(line)
        port = SerialPort(path=line.path, baud=115200)
    spec = ModbusBusSpec(
        id=bus,
        port=port,
        devices=plant.devices,
        timeout_s=plan.timeout_s,
        settle_s=plan.settle_s,
        periods_s=dict.fromkeys(PollClass, _ALWAYS_DUE_S),
        retries=3,
    )
    return spec, faults


def _reads(bus: ModbusBus) -> int:
    return sum(each.requests for each in bus.stats().devices)


def _outcome(judge: Judge, buses: list[ModbusBus], plans: list[FaultPlan]) -> Outcome:
    outcome = Outcome(good=judge.good, wrong=judge.wrong, examples=judge.examples)
    for bus in buses:
        for device in bus.stats().devices:
            outcome.reads += device.requests
            outcome.failed += sum(device.failures.values())
    for faults in plans:
        outcome.played.update(faults.played)
    return outcome


def _row(wire: str, outcome: Outcome, plan: Plan) -> dict[str, Cell]:
    kinds = outcome.wrong
    return {
        "wire": wire,
        "checks": "on" if plan.is_checked else "off",
        "reads": outcome.reads,
        "failed": outcome.failed,
        "faults played": outcome.played.total(),
        "good values": outcome.good,
        "WRONG": outcome.wrong_total,
        "other register": kinds["of another register"] + kinds["never sent"],
        "old": kinds["older than the question"] + kinds["delivered twice"],
        "false answer": kinds["from a false answer"],
    }


async def _timed(plan: Plan) -> tuple[dict[str, Outcome], float]:
    loop = asyncio.get_running_loop()
    if not plan.is_checked:
        # the library throws on what it cannot decode, and the loop would print each one
        loop.set_exception_handler(lambda _loop, _context: None)
    started_s = loop.time()
    outcomes = await run(plan)
    return outcomes, loop.time() - started_s


def main() -> int:
    """Run with and without the checks; return 1 if a wrong value passed, or none did without them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reads", type=int, default=20_000, help="1000000 is the full size")
    parser.add_argument("--unchecked-reads", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=0.1, help="share of answers with a fault")
    parser.add_argument("--buses", type=int, default=4, help="of each wire, in parallel")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=7200.0, help="seconds")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rows: list[dict[str, Cell]] = []
    played: Counter[FaultKind] = Counter()
    seconds: dict[bool, float] = {}
    wrong = {True: 0, False: 0}
    is_whole = True
    for is_checked, reads in ((True, options.reads), (False, options.unchecked_reads)):
        plan = Plan(
            reads=reads,
            rate=options.rate,
            buses=options.buses,
            seed=options.seed,
            is_checked=is_checked,
            longest_s=options.longest,
        )
        outcomes, seconds[is_checked] = asyncio.run(_timed(plan))
        is_whole &= sum(each.reads for each in outcomes.values()) >= reads
        for wire, outcome in outcomes.items():
            rows.append(_row(wire, outcome, plan))
            wrong[is_checked] += outcome.wrong_total
            if is_checked:
                played.update(outcome.played)
                print(*outcome.examples, sep="\n", end="\n" if outcome.examples else "")
    show(
        "never_wrong",
        rows,
        rate=options.rate,
        buses=3 * options.buses,
        seed=options.seed,
        seconds=round(seconds[True], 1),
        **{kind.value: count for kind, count in sorted(played.items())},
    )
    return int(wrong[True] != 0 or wrong[False] == 0 or not is_whole)


if __name__ == "__main__":
    raise SystemExit(main())
