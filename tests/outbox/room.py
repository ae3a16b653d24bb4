"""An outbox on a temporary directory, a disk that fails on demand, and a subscriber that keeps count."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass
from agent.outbox.contract import Cursor, EventTap
from agent.outbox.files import Files
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord
from agent.outbox.spec import OutboxSpec
from drivers.clock import Clock, ClockState, Stamp, SystemClock
from drivers.reading import Quality, Reading


class FailingDisk(Files):
    """The real disk, with operations that fail or hang while told to."""

    def __init__(self) -> None:
        super().__init__()
        self.error: int | None = None
        self.failing: frozenset[str] = frozenset()
        self.calls: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.read_gate = threading.Event()
        self.read_gate.set()

    def fail(self, number: int, *operations: str) -> None:
        self.error, self.failing = number, frozenset(operations)

    def heal(self) -> None:
        self.error, self.failing = None, frozenset()

    def _meet(self, operation: str) -> None:
        self.calls.append(operation)
        if self.error is not None and operation in self.failing:
            raise OSError(self.error, errno.errorcode[self.error])

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        self._meet("pwrite")
        super().pwrite(fd, data, offset)

    def sync_data(self, fd: int) -> None:
        self._meet("sync_data")
        self.gate.wait(30)
        super().sync_data(fd)

    def sync_file(self, fd: int) -> None:
        self._meet("sync_file")
        super().sync_file(fd)

    def rename(self, source: Path, target: Path) -> None:
        self._meet("rename")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._meet("unlink")
        super().unlink(path)

    def read(self, path: Path) -> bytes:
        self._meet("read")
        self.read_gate.wait(30)
        return super().read(path)


class Health:
    """What the outbox said of its disk."""

    def __init__(self) -> None:
        self.said: list[tuple[bool, str]] = []

    def __call__(self, is_ok: bool, why: str) -> None:
        self.said.append((is_ok, why))


def make(
    directory: Path,
    *,
    uplinks: Sequence[str] = ("cloud",),
    files: Files | None = None,
    health: Health | None = None,
    boot: str = "boot-1",
    clock: Clock | None = None,
    tap: EventTap | None = None,
    **changes: Any,
) -> Outbox:
    if clock is None:
        clock = SystemClock()
        clock.state = ClockState.SYNCED
    return Outbox(
        replace(OutboxSpec(directory=directory), **changes),
        box="box",
        boot=boot,
        clock=clock,
        uplinks=uplinks,
        on_health=health or Health(),
        files=files,
        tap=tap,
    )


@asynccontextmanager
async def running(outbox: Outbox, *, close_s: float | None = 3.0) -> AsyncIterator[Outbox]:
    """Run an outbox; `close_s` None leaves it as a crash would."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(outbox.run(), name="outbox")
        yield outbox
        task.cancel()
    if close_s is not None:
        await outbox.close(close_s)


def event(
    name: str = "smoke",
    *,
    kind: EventKind = EventKind.ALARM,
    alarm_class: AlarmClass = AlarmClass.FIRE,
    at: Stamp | None = None,
    **more: Any,
) -> Event:
    return Event(
        kind=kind,
        subject=name,
        rule=name,
        alarm_class=alarm_class,
        at=at or Stamp(1.5, 1_750_000_000_000),
        **more,
    )


def reading(
    value: float = 21.5, point: str = "room.temperature", at: Stamp | None = None
) -> Reading:
    return Reading(
        point=point,
        value=value,
        quality=Quality.GOOD,
        unit="°C",
        at=at or Stamp(1.5, 1_750_000_000_000),
    )


async def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - what is waited for calls nobody
            await asyncio.sleep(0.005)


async def take_events(
    cursor: Cursor, least: int, *, done: bool = True, window: int = 20
) -> list[EventRecord]:
    """Take events until there are `least`; acknowledge them (and batches that come) if asked."""
    found: list[EventRecord] = []
    async with asyncio.timeout(15):
        while len(found) < least:
            await cursor.wait()
            taken = await cursor.take_events(min(window, least - len(found)))
            found.extend(taken)
            for each in taken if done else ():
                cursor.done(each)
            if not taken:
                await asyncio.sleep(0.002)
    return found


async def take_batches(cursor: Cursor, least: int, *, done: bool = True) -> list[Batch]:
    """Take batches until they hold `least` readings."""
    found: list[Batch] = []
    async with asyncio.timeout(15):
        while sum(len(each.readings) for each in found) < least:
            await cursor.wait()
            taken = await cursor.take_batches(20)
            found.extend(taken)
            for each in taken if done else ():
                cursor.done(each)
            if not taken:
                await asyncio.sleep(0.002)
    return found


def subjects(records: Sequence[EventRecord]) -> list[str]:
    """Return what alarm events are about."""
    return [each.event.subject for each in records if each.event.kind is EventKind.ALARM]


def of_kind(records: Sequence[EventRecord], kind: EventKind) -> list[EventRecord]:
    return [each for each in records if each.event.kind is kind]
