"""An uplink under test with everything around it, and a witness at the same broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.core.spec import SiteSpec
from agent.uplink.board import StateBoard
from agent.uplink.decode import AlarmSeen, BatchSeen, EventSeen, StateSeen, StatusSeen
from agent.uplink.desk import CommandDesk
from agent.uplink.errors import UplinkError
from agent.uplink.notes import Note
from agent.uplink.session import Timing, Uplink
from agent.uplink.sinks import Sink
from agent.uplink.spec import Protocol, UplinkSpec
from agent.uplink.subscriber import Garbled, Heard, subscribe
from drivers.clock import Clock, ManualClock
from tests.uplink.fake_cursor import FakeCursor
from tests.uplink.samples import BOOT, SITE

QUICK = Timing(first_pause_s=0.05, retry_held_s=0.1, connect_s=3.0)


async def until(is_so: Callable[[], bool], within_s: float = 5.0) -> float:
    """Wait until something holds and return how long it took."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - any condition, not an event
            await asyncio.sleep(0.005)
    return loop.time() - start_s


@dataclass
class Witness:
    """All that was heard, in order."""

    heard: list[Heard] = field(default_factory=list)
    garbled: list[Garbled] = field(default_factory=list)

    @property
    def statuses(self) -> list[StatusSeen]:
        return [each.seen for each in self.heard if isinstance(each.seen, StatusSeen)]

    @property
    def events(self) -> list[EventSeen]:
        return [each.seen for each in self.heard if isinstance(each.seen, EventSeen)]

    @property
    def batches(self) -> list[BatchSeen]:
        return [each.seen for each in self.heard if isinstance(each.seen, BatchSeen)]

    @property
    def states(self) -> list[StateSeen]:
        return [each.seen for each in self.heard if isinstance(each.seen, StateSeen)]

    @property
    def alarms(self) -> list[AlarmSeen]:
        return [each.seen for each in self.heard if isinstance(each.seen, AlarmSeen)]


@asynccontextmanager
async def witness(port: int, *, protocol: Protocol = Protocol.V5) -> AsyncIterator[Witness]:
    """Hear everything at a broker, over its restarts."""
    seen = Witness()
    spec = UplinkSpec(id="witness", host="127.0.0.1", port=port, protocol=protocol, keepalive_s=20)
    ready = asyncio.Event()

    async def listen() -> None:
        while True:
            with contextlib.suppress(UplinkError):
                async with subscribe(spec, client_id=f"witness-{id(seen)}") as subscriber:
                    ready.set()
                    async for each in subscriber.messages():
                        if isinstance(each, Garbled):
                            seen.garbled.append(each)
                        else:
                            seen.heard.append(each)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(listen(), name="witness")
        async with asyncio.timeout(5):
            await ready.wait()
        yield seen
        task.cancel()


@dataclass
class Rig:
    """The uplink and what it is given."""

    uplink: Uplink
    cursor: FakeCursor
    board: StateBoard
    links: list[tuple[bool, str]]
    task: asyncio.Task[None]

    @property
    def is_up(self) -> bool:
        return bool(self.links) and self.links[-1][0]

    @property
    def is_listening(self) -> bool:
        return self.uplink.stats().hears_commands


@asynccontextmanager
async def running(
    port: int,
    *,
    clock: Clock | None = None,
    timing: Timing = QUICK,
    cursor: FakeCursor | None = None,
    spec: UplinkSpec | None = None,
    protocol: Protocol = Protocol.V5,
    keepalive_s: int = 20,
    max_payload_bytes: int = 128 * 1024,
    desk: CommandDesk | None = None,
    note: Note | None = None,
    certificates: list[tuple[bool, str]] | None = None,
    site: SiteSpec = SITE,
    sink: Sink | None = None,
) -> AsyncIterator[Rig]:
    """Run an uplink against a port; at the end it is cancelled unless it was closed."""
    links: list[tuple[bool, str]] = []
    cursor = cursor or FakeCursor()
    board = StateBoard()
    uplink = Uplink(
        spec
        or UplinkSpec(
            id="cloud",
            host="127.0.0.1",
            port=port,
            protocol=protocol,
            keepalive_s=keepalive_s,
            max_payload_bytes=max_payload_bytes,
        ),
        site=site,
        cursor=cursor,
        board=board,
        clock=clock or ManualClock(),
        boot=BOOT,
        config_hash="c0ffee",
        on_link=lambda is_good, why: links.append((is_good, why)),
        timing=timing,
        note=note,
        on_certificate=None
        if certificates is None
        else lambda is_good, why: certificates.append((is_good, why)),
        sink=sink,
    )
    if desk is not None:
        uplink.obey(desk)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(uplink.run(), name="uplink")
        yield Rig(uplink=uplink, cursor=cursor, board=board, links=links, task=task)
        task.cancel()
