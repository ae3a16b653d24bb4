"""The faulty plant of benchmarks/never_wrong.py in a process of its own.

So that a driver held up by the machine does not hold up the plant, and the other way round. Each
counted value is told with the moments its request was seen and its answer left, on CLOCK_MONOTONIC,
which is common to all processes of a machine.

`python -m benchmarks.never_wrong_plant` reads one line that says what to play, prints where it is
played, then what left, and last which faults were played; it ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field

from agent.simulate.faults import FaultKind, FaultPlan, playable
from agent.simulate.frames import Framing
from agent.simulate.ledger import Ledger, Place
from agent.simulate.line import RtuLine
from agent.simulate.slave import Counter, SimUnit
from agent.simulate.station import Station
from agent.simulate.tcp import TcpSlave
from benchmarks.plant import Block
from drivers.clock import SystemClock
from drivers.modbus.spec import Area, SerialPort, TcpPort

WIRES = ("tcp", "rtu", "rtu over tcp")
BLOCKS = (
    # three reads that differ in nothing but the address: the hardest to tell apart
    Block(area=Area.HOLDING, address=0),
    Block(area=Area.HOLDING, address=20),
    Block(area=Area.HOLDING, address=40),
    Block(area=Area.INPUT, address=60),
    Block(area=Area.INPUT, address=100, counters=5),
)
BAUD = 115200
_START_S = 20.0
_STOP_S = 10.0
_TELL_S = 0.02
_HOLD_UP_EVERY_S = 0.25
_KEPT = 4096
"""Values remembered of one bus from the request to the answer."""
_LINE_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the plant plays."""

    wires: tuple[str, ...]
    """One for each bus."""
    units: int
    rate: float
    """The part of all answers that gets a fault."""
    seed: int
    turnaround_s: float
    late_s: float
    """Late answers are late by up to this."""
    held_up_s: float = 0.0
    """See `hold_up`."""


@dataclass(frozen=True, slots=True)
class Left:
    """One counted value that left."""

    bus: int
    value: int
    fault: str
    request: int
    """The number of its request among those that reached the bus, from 1."""
    asked_s: float
    """When its request was seen."""
    left_s: float
    """Just before its bytes were written."""


@dataclass(slots=True)
class RunningPlant:
    """The plant as seen from the process that drives it."""

    ports: tuple[TcpPort | SerialPort, ...]
    """One for each bus."""
    played: dict[FaultKind, int] = field(default_factory=dict)
    """How often each fault was played; known when the plant has ended."""


class _StampedCounter(Counter):
    """A counter that notes when it was last read for an answer."""

    teller: _Teller

    def read(self) -> tuple[int, ...]:
        words = tuple(super().read())
        self.teller.asked(self.last)
        return words


class _Teller(Ledger):
    """Gathers what leaves one bus, to be told in lines."""

    def __init__(self, clock: SystemClock, bus: int, told: list[tuple[object, ...]]) -> None:
        super().__init__(clock, kept=1)
        self._bus = bus
        self._told = told
        self._asked: dict[int, tuple[int, float]] = {}
        self.station: Station | None = None

    def asked(self, value: int) -> None:
        """Note that a value was made for an answer."""
        assert self.station is not None
        self._asked[value] = self.station.requests, self.clock.mono_s()
        if len(self._asked) > _KEPT:
            del self._asked[next(iter(self._asked))]

    def read(self, place: Place, value: int, fault: str = "") -> None:
        left_s = self.clock.mono_s()
        self._told.append((self._bus, value, fault, *self._asked[value], left_s))


@asynccontextmanager
async def plant(script: Script, on_left: Callable[[Left], None]) -> AsyncIterator[RunningPlant]:
    """Run the plant; `on_left` hears what left within some 20 ms, all of it before the block is left.

    Raises:
        TimeoutError: it does not start or end.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.never_wrong_plant",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(script)).encode() + b"\n")
        async with asyncio.timeout(_START_S):
            ports = json.loads(await process.stdout.readline())
        running = RunningPlant(
            tuple(_port(*each) for each in zip(script.wires, ports, strict=True))
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_hear(process.stdout, running, on_left), name="plant's ledger")
            yield running
            process.stdin.close()
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def hold_up(longest_s: float, seed: int) -> None:
    """Block the loop for up to that long, four times a second; 0 for never."""
    rng = random.Random(seed)
    while longest_s:
        await asyncio.sleep(rng.uniform(0, 2 * _HOLD_UP_EVERY_S))
        time.sleep(rng.uniform(0, longest_s))  # noqa: ASYNC251 - to block the loop is the point


def _port(wire: str, port: str | int) -> TcpPort | SerialPort:
    if isinstance(port, str):
        return SerialPort(path=port, baud=BAUD)
    return TcpPort(host="127.0.0.1", port=port, rtu=wire != "tcp")


async def _hear(
    lines: asyncio.StreamReader, running: RunningPlant, on_left: Callable[[Left], None]
) -> None:
    async for line in lines:
        told = json.loads(line)
        if isinstance(told, dict):
            running.played = {FaultKind(kind): count for kind, count in told.items()}
            continue
        for each in told:
            on_left(Left(*each))


# -- in the plant's process ----------------------------------------------------------------------------


async def _play(script: Script) -> None:
    clock = SystemClock()
    told: list[tuple[object, ...]] = []
    plans: list[FaultPlan] = []
    ended = asyncio.Event()
    async with AsyncExitStack() as things:
        ports: list[str | int] = []
        for number, wire in enumerate(script.wires):
            ledger = _Teller(clock, number, told)
            units = [_unit(each, ledger, number) for each in range(1, script.units + 1)]
            is_stream = wire != "rtu"
            faults = FaultPlan(
                playable(Framing.TCP if wire == "tcp" else Framing.RTU, is_stream=is_stream),
                rate=script.rate,
                seed=script.seed * 1000 + number,
                delay_s=(0.0, script.late_s),
            )
            plans.append(faults)
            if is_stream:
                slave = TcpSlave(
                    units,
                    ledger,
                    bus=str(number),
                    rtu=wire != "tcp",
                    faults=faults,
                    turnaround_s=script.turnaround_s,
                )
                await things.enter_async_context(slave)
                ledger.station = slave.station
                ports.append(slave.port)
            else:
                line = RtuLine(
                    units, ledger, bus=str(number), faults=faults, turnaround_s=script.turnaround_s
                )
                await things.enter_async_context(line)
                ledger.station = line.station
                ports.append(line.path)
        print(json.dumps(ports), flush=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_tell(told, ended), name="tell")
            holding = tasks.create_task(hold_up(script.held_up_s, script.seed), name="hold up")
            await asyncio.to_thread(sys.stdin.read)
            ended.set()
            holding.cancel()
    played: dict[str, int] = {}
    for each in plans:
        for kind, count in each.played.items():
            played[kind.value] = played.get(kind.value, 0) + count
    print(json.dumps(played), flush=True)


async def _tell(told: list[tuple[object, ...]], ended: asyncio.Event) -> None:
    """Print what left, off the loop's thread: a reader that is held up holds up no answer."""
    is_last = False
    while not is_last:
        is_last = ended.is_set()
        lines, told[:] = list(told), []
        if lines:
            await asyncio.to_thread(_print, lines)
        if not is_last:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELL_S):
                    await ended.wait()


def _print(lines: list[tuple[object, ...]]) -> None:
    print(json.dumps(lines), flush=True)


def _unit(unit: int, ledger: _Teller, number: int) -> SimUnit:
    counters: list[Counter] = []
    for block in BLOCKS:
        for address in range(block.address, block.address + 2 * block.counters, 2):
            counter = _StampedCounter(unit, address, area=block.area, first=number * 4096)
            counter.teller = ledger
            counters.append(counter)
    return SimUnit(unit, counters)


def main() -> None:
    """Play what the first line of the input says until the input ends."""
    said = json.loads(sys.stdin.readline())
    said["wires"] = tuple(said["wires"])
    asyncio.run(_play(Script(**said)))


if __name__ == "__main__":
    main()
