"""The real outbox and uplink on a line where a proxy reads what was published and what was acknowledged.

What the broker acknowledged goes into the ledger a cloud would keep: that is where loss is defined
(docs/design.md section 7).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from agent.core.effects import EventKind
from agent.outbox.outbox import Outbox
from agent.simulate.proxy import Direction
from agent.uplink.board import StateBoard
from agent.uplink.completeness import Ledger
from agent.uplink.decode import BatchSeen, EventSeen, decode
from agent.uplink.session import Uplink
from agent.uplink.spec import Protocol, UplinkSpec
from agent.uplink.topics import take_apart
from drivers.clock import SystemClock
from tests.outbox.room import event, make, reading
from tests.uplink.rig import QUICK
from tests.uplink.samples import BOOT, SITE

ROOT = "plantroom/v1"
WINDOW = 20
"""What may come twice after a crash or a lost link (docs/outbox.md)."""


class Wire:
    """Reads both directions of the one connection at a time that goes through a proxy."""

    def __init__(self, protocol: Protocol = Protocol.V5) -> None:
        self._is_v5 = protocol is Protocol.V5
        self.ledger = Ledger()
        self.published: list[list[EventSeen | BatchSeen]] = []
        """By connection, in order."""
        self.events: set[str] = set()
        """Subjects of acknowledged alarm events."""
        self.values: set[float] = set()
        """Acknowledged readings."""
        self._buffers = {each: bytearray() for each in Direction}
        self._waiting: dict[bytes, EventSeen | BatchSeen] = {}

    def __call__(self, direction: Direction, data: bytes) -> None:
        if direction is Direction.UP and data[0] >> 4 == 1:  # CONNECT comes first and alone
            for each in self._buffers.values():
                each.clear()
            self._waiting.clear()
            self.published.append([])
        buffer = self._buffers[direction]
        buffer += data
        while (size := _packet_size(buffer)) and len(buffer) >= size[1]:
            head, end = size
            self._read(direction, buffer[0], bytes(buffer[head:end]))
            del buffer[:end]

    def _read(self, direction: Direction, first: int, body: bytes) -> None:
        if direction is Direction.UP and first >> 4 == 3:
            length = int.from_bytes(body[:2], "big")
            topic = body[2 : 2 + length].decode()
            payload = body[4 + length :]
            if self._is_v5:
                payload = payload[1 + payload[0] :]  # properties
            seen = decode(take_apart(ROOT, topic), payload)
            if isinstance(seen, EventSeen | BatchSeen):
                self.published[-1].append(seen)
                self._waiting[body[2 + length : 4 + length]] = seen
        elif direction is Direction.DOWN and first >> 4 == 4:
            taken = self._waiting.pop(body[:2], None)
            if taken is not None and (len(body) == 2 or body[2] < 128):
                self._accept(taken)

    def _accept(self, seen: EventSeen | BatchSeen) -> None:
        self.ledger.hear(seen)
        if isinstance(seen, BatchSeen):
            self.values.update(
                each.value for each in seen.batch.readings if isinstance(each.value, float)
            )
        elif seen.record.event.kind is EventKind.ALARM:
            self.events.add(seen.record.event.subject)

    @property
    def doubles(self) -> int:
        return sum(each.doubles for each in self.ledger.proofs())


def _packet_size(data: bytearray) -> tuple[int, int] | None:
    """Return where the body of the first packet begins and ends (MQTT 5.0 section 2.1)."""
    size = 0
    for index in range(1, min(5, len(data))):
        size |= (data[index] & 127) << 7 * (index - 1)
        if data[index] < 128:
            return index + 1, index + 1 + size
    return None


class Plant:
    """Makes events and readings, each of its own."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self.values: set[float] = set()
        self._clock = SystemClock()

    async def flow(self, outbox: Outbox, steps: int) -> None:
        for _ in range(steps):
            name = f"e{len(self.events)}"
            self.events.add(name)
            outbox.append(event(name, at=self._clock.stamp()))
            for _ in range(8):
                value = float(len(self.values))
                self.values.add(value)
                outbox.add(reading(value, at=self._clock.stamp()))
            await asyncio.sleep(0.005)


@asynccontextmanager
async def agent(directory: Path, port: int) -> AsyncIterator[tuple[Outbox, Callable[[], bool]]]:
    """Run outbox and uplink; at the end both are gone without a word, as after kill -9."""
    async with agents(directory, {"cloud": port}) as (outbox, is_up):
        yield outbox, lambda: is_up("cloud")


def note_link(links: dict[str, bool], name: str, is_good: bool, _: str) -> None:
    links[name] = is_good


@asynccontextmanager
async def agents(
    directory: Path,
    ports: dict[str, int],
    *,
    protocol: Protocol = Protocol.V5,
    keepalive_s: int = 20,
) -> AsyncIterator[tuple[Outbox, Callable[[str], bool]]]:
    """The same with an uplink to each port."""
    outbox = make(
        directory, boot=BOOT, commit_interval_s=0.0, batch_readings=8, uplinks=tuple(ports)
    )
    links: dict[str, bool] = {}
    uplinks = [
        Uplink(
            UplinkSpec(
                id=name, host="127.0.0.1", port=port, protocol=protocol, keepalive_s=keepalive_s
            ),
            site=SITE,
            cursor=outbox.cursor(name),
            board=StateBoard(),
            clock=SystemClock(),
            boot=BOOT,
            config_hash="c0ffee",
            on_link=partial(note_link, links, name),
            timing=QUICK,
        )
        for name, port in ports.items()
    ]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(outbox.run(), name="outbox")]
        running += [tasks.create_task(each.run(), name="uplink") for each in uplinks]
        yield outbox, lambda name: links.get(name, False)
        for each in running:
            each.cancel()
