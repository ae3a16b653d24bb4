"""The plant of the whole-agent benchmarks: units whose registers say in which answer they left.

Every 16-bit register holds `641 x unit + 7 x register + answer number` (mod 65536), so that what
arrives names the answer it came from, and a value that turns up elsewhere names one that never was.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from agent.simulate.ledger import Ledger
from agent.simulate.slave import Computed, SimUnit
from agent.simulate.subscriber import Heard
from agent.simulate.tcp import TcpSlave
from drivers.clock import SystemClock
from drivers.modbus.spec import Area

_PER_UNIT, _PER_REGISTER = 641, 7
_LEDGER_ENTRIES = 1
"""The ledger is not used here: counting registers of its own would double the work."""

SMOKE_PIN, RELAY_PIN = 17, 23
ROOT = "plantroom/v1"
BOX = "box-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSize:
    """How much there is to read."""

    units: int = 20
    registers: int = 10
    """Of each unit, one point each, read as one block."""
    period_s: float = 1.0
    shares_connection: bool = False
    """All units behind one TCP connection, or one each."""

    @property
    def readings_per_s(self) -> float:
        """What is to be delivered."""
        return self.units * self.registers / self.period_s


class Plant:
    """The units, on Modbus TCP while entered, and when each of their answers left."""

    def __init__(self, size: PlantSize) -> None:
        self.size = size
        self.left_s: dict[tuple[int, int], float] = {}
        """Loop time by unit and answer number."""
        units = [self._unit(number) for number in range(1, size.units + 1)]
        groups = [units] if size.shares_connection else [[each] for each in units]
        ledger = Ledger(SystemClock(), _LEDGER_ENTRIES)
        self._slaves = [TcpSlave(group, ledger) for group in groups]
        self._stack = AsyncExitStack()

    @property
    def ports(self) -> list[int]:
        """The TCP port of each unit."""
        ports = [each.port for each in self._slaves]
        return ports * self.size.units if self.size.shares_connection else ports

    async def __aenter__(self) -> Self:
        for each in self._slaves:
            await self._stack.enter_async_context(each)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def fall_silent(self) -> None:
        """Close all connections for good: no more answers leave."""
        for each in self._slaves:
            await each.stop()

    def _unit(self, number: int) -> SimUnit:
        count = 0
        loop = asyncio.get_running_loop()

        def words() -> Sequence[int]:
            nonlocal count
            count += 1
            self.left_s[number, count] = loop.time()
            base = _PER_UNIT * number + count
            return [(base + _PER_REGISTER * place) & 0xFFFF for place in range(self.size.registers)]

        return SimUnit(number, [Computed(Area.HOLDING, 0, self.size.registers, words)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the readings of a stretch of time fared."""

    taken: int
    """Readings that left the units."""
    lost: int
    doubled: int
    """Heard more often than once; over the whole run."""
    wrong: int
    """Heard, but never sent by that register; over the whole run."""


class Tally:
    """What was heard, held against what left the units."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._heard: dict[tuple[int, int], int] = {}
        self._last: dict[int, int] = {}
        self.doubled = 0
        self.wrong = 0
        self.latencies_s: list[float] = []
        """From the answer leaving the unit to the message here, of live readings while `is_timing`."""
        self.is_timing = False
        self.readings = 0
        self.first_s: float | None = None
        """Loop time of the first reading."""

    def hear(self, point: str, value: float, at_s: float, *, is_replay: bool = False) -> None:
        """Note one reading of a point named `u<unit>.r<register>`."""
        unit, register = int(point[1:3]), int(point[5:])
        count = self._count(unit, register, int(value))
        key = (unit, count)
        left_s = self._plant.left_s.get(key)
        if left_s is None or left_s > at_s:
            self.wrong += 1
            return
        if self.first_s is None:
            self.first_s = at_s
        seen = self._heard.get(key, 0)
        if seen >> register & 1:
            self.doubled += 1
            return
        self._heard[key] = seen | 1 << register
        self.readings += 1
        if self.is_timing and not is_replay:
            self.latencies_s.append(at_s - left_s)

    def _count(self, unit: int, register: int, value: int) -> int:
        """Return the answer number, which a 16-bit value tells but for its multiples of 65536."""
        low = (value - _PER_UNIT * unit - _PER_REGISTER * register) & 0xFFFF
        last = self._last.get(unit, 0)
        count = (last & ~0xFFFF) | low
        if count < last - 0x8000:
            count += 0x10000
        self._last[unit] = max(last, count) if count - last < 0x8000 else last
        return count

    def verdict(self, begin_s: float, end_s: float) -> Verdict:
        """Return how readings fared whose answers left between two loop times."""
        taken = lost = 0
        for key, left_s in self._plant.left_s.items():
            if begin_s <= left_s < end_s:
                taken += self._plant.size.registers
                lost += self._plant.size.registers - self._heard.get(key, 0).bit_count()
        return Verdict(taken=taken, lost=lost, doubled=self.doubled, wrong=self.wrong)


class Ear:
    """Hears what the agent (batches) or the obvious design (single readings) publishes."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._loop = asyncio.get_running_loop()
        self.messages = 0
        self.telemetry_bytes = 0
        self.live_state_s: list[float] = []
        """Loop times of state messages that are not the broker's memory."""
        self.replayed: list[tuple[float, int]] = []
        """Loop time and readings of each replayed batch."""
        self.events: list[tuple[float, dict[str, object]]] = []
        self.first_heard = asyncio.Event()

    def take(self, heard: Heard) -> None:
        """Note a message (agent.simulate.subscriber.OnMessage)."""
        at_s = self._loop.time()
        words = heard.topic.split("/")
        if words[0] == "obvious":
            self.messages += 1
            self.telemetry_bytes += len(heard.payload)
            body = json.loads(heard.payload)
            self._tally.hear(body["point"], body["value"], at_s)
            self.first_heard.set()
            return
        match words[-2]:
            case "tele":
                self._take_batch(heard.payload, at_s)
            case "state" if not heard.is_retained:
                self.live_state_s.append(at_s)
            case "event":
                self.events.append((at_s, json.loads(heard.payload)))
            case _:
                pass

    def _take_batch(self, payload: bytes, at_s: float) -> None:
        self.messages += 1
        self.telemetry_bytes += len(payload)
        body = json.loads(payload)
        is_replay = body["replay"]
        counted = 0
        for each in body["readings"]:
            if each["point"][3:5] == ".r" and each["quality"] == "good":
                self._tally.hear(each["point"], each["value"], at_s, is_replay=is_replay)
                counted += 1
        if is_replay:
            self.replayed.append((at_s, counted))
        if counted:
            self.first_heard.set()


def site_text(
    size: PlantSize,
    *,
    modbus_ports: Sequence[int],
    broker_port: int,
    rules_per_unit: int = 1,
    commit_interval_s: float = 5.0,
) -> str:
    """Return the site file: the units, a smoke contact, a relay it switches, rules, an uplink."""
    timing = (
        "timeout_ms: 500, settle_ms: 100, "
        f"poll: {{fire_s: {size.period_s}, normal_s: {size.period_s}}}"
    )
    numbers = range(1, size.units + 1)
    bus_of = dict(zip(numbers, (f"plc{each}" for each in modbus_ports), strict=True))
    lines = [
        "version: 1",
        "site: bench",
        f"box: {BOX}",
        "zones: [{id: hall}]",
        "buses:",
        "  - {id: pins, type: gpio, chip: 0}",
        *(
            f"  - {{id: plc{each}, type: modbus-tcp, host: 127.0.0.1, port: {each}, {timing}}}"
            for each in dict.fromkeys(modbus_ports)
        ),
        "devices:",
    ]
    for number in numbers:
        lines += [
            f"  - id: u{number:02}",
            f"    bus: {bus_of[number]}",
            f"    unit: {number}",
            "    max_registers: 125",
            "    telemetry: {mode: every}",
            "    quantities:",
            *(
                f"      - {{name: r{place:02}, area: holding, address: {place}, type: u16}}"
                for place in range(size.registers)
            ),
        ]
    lines += [
        "inputs:",
        f"  - {{id: hall.door, bus: pins, pin: {SMOKE_PIN}, kind: door, "
        "contact: normally-open, debounce_ms: 0, zone: hall}",
        "outputs:",
        f"  - {{id: relay, kind: relay, bus: pins, pin: {RELAY_PIN}, zone: hall}}",
        "rules:",
        "  - {id: door, class: supervisory, latch: false, ack: not-required, "
        "when: {point: hall.door, is: active}}",
    ]
    lines += [
        f"  - {{id: high.u{number:02}.r{place:02}, class: technical, "
        f"when: {{point: u{number:02}.r{place:02}, above: 65536}}}}"
        for number in numbers
        for place in range(rules_per_unit)
    ]
    lines += [
        "linkage: [{id: door, rules: [door], outputs: [relay]}]",
        f"uplinks: [{{id: cloud, host: 127.0.0.1, port: {broker_port}}}]",
        f"outbox: {{commit_interval_s: {commit_interval_s}}}",
        "local: {port: 0}",
        "time: {source: assume-synced}",
    ]
    return "\n".join(lines) + "\n"
