"""The clock becomes synchronised, jumps, and sources that hang or fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.core.effects import Event, EventKind
from agent.timekeeping import (
    SyncCheck,
    Timekeeper,
    any_of,
    assumed,
    chrony,
    is_chrony_synced,
    timesyncd,
)
from drivers.clock import ClockState, ManualClock


class Told:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()

    def record(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.events) < count:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def keeping(clock: ManualClock, check: SyncCheck) -> AsyncIterator[tuple[Timekeeper, Told]]:
    told = Told()
    keeper = Timekeeper(clock, told.record, check, box="box-1", look_s=0.005, ask_s=0.005)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keeper.run(), name="timekeeper")
        await asyncio.sleep(0.02)
        yield keeper, told
        task.cancel()


@pytest.fixture
def unsynced() -> ManualClock:
    """A Pi just booted: the last time it knew, and no network."""
    return ManualClock(mono_s=20.0, wall_ms=1_700_000_000_000, state=ClockState.UNSYNCED)


async def test_when_the_clock_is_synchronised_stamps_say_so_and_the_boots_offset_is_told(
    unsynced: ManualClock, tmp_path: Path
) -> None:
    mark = tmp_path / "synchronized"
    async with keeping(unsynced, timesyncd(mark)) as (keeper, told):
        assert told.events == []
        early_ms = keeper.boot_offset_ms
        assert early_ms is None
        assert unsynced.stamp().clock is ClockState.UNSYNCED
        before = unsynced.stamp()
        unsynced.advance(10)
        unsynced.step_wall(86_400)
        mark.touch()
        await told.until(1)
        if told.events[0].to_state == "stepped":  # the jump was seen before the mark
            await told.until(2)
        event = told.events[-1]
        assert unsynced.stamp().clock is ClockState.SYNCED
    assert (event.kind, event.subject) == (EventKind.CLOCK, "box-1")
    assert (event.from_state, event.to_state) == ("unsynced", "synced")
    assert event.at.clock is ClockState.SYNCED
    offset_ms = event.detail["boot_offset_ms"]
    assert isinstance(offset_ms, int)
    assert offset_ms == keeper.boot_offset_ms
    assert offset_ms + before.mono_ms == before.wall_ms + 86_400_000, "the early stamp is dated"
    assert sum(int(each.detail["step_ms"] or 0) for each in told.events) == 86_400_000


@pytest.mark.parametrize("seconds", [-3600, 3600, -20 * 365 * 86_400, 0.6])
async def test_a_jump_of_a_synchronised_clock_is_told_once(
    clock: ManualClock, seconds: float
) -> None:
    async with keeping(clock, assumed) as (keeper, told):
        clock.step_wall(seconds)
        await told.until(1)
        await asyncio.sleep(0.03)
        assert [each.to_state for each in told.events] == ["stepped"]
        assert told.events[0].detail["step_ms"] == round(seconds * 1000)
        assert keeper.boot_offset_ms == clock.stamp().wall_ms - clock.stamp().mono_ms


async def test_slewing_and_the_passing_of_time_are_no_jump(clock: ManualClock) -> None:
    async with keeping(clock, assumed) as (_, told):
        for _ in range(10):
            clock.advance(100)
            clock.step_wall(0.04)
            await asyncio.sleep(0.01)
        assert told.events == []


async def test_a_source_that_fails_or_hangs_is_no_synchronisation_and_stops_nothing(
    unsynced: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail() -> bool:
        calls.append("asked")
        raise ValueError("odd answer")

    async with keeping(unsynced, fail):
        await asyncio.sleep(0.05)
    assert len(calls) >= 2
    assert unsynced.state is ClockState.UNSYNCED
    assert "cannot be checked" in caplog.text


async def test_a_source_that_hangs_is_asked_once_and_its_late_answer_counts(
    unsynced: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.timekeeping.CHECK_TIMEOUT_S", 0.01)
    may_answer = threading.Event()
    calls: list[None] = []

    def hang() -> bool:
        calls.append(None)
        return may_answer.wait(10)

    async with keeping(unsynced, hang) as (_, told):
        await asyncio.sleep(0.1)
        assert len(calls) == 1
        unsynced.step_wall(-100)
        await told.until(1)
        assert told.events[0].to_state == "stepped", "jumps are seen meanwhile"
        may_answer.set()
        await told.until(2)
        assert told.events[1].to_state == "synced"


TRACKING = """Reference ID    : CB007B28 (ntp1.example.net)
Stratum         : 3
Ref time (UTC)  : Fri Jan 27 09:49:17 2017
System time     : 0.000006523 seconds slow of NTP time
Leap status     : {status}
"""


@pytest.mark.parametrize(
    ("text", "is_synced"),
    [
        (TRACKING.format(status="Normal"), True),
        (TRACKING.format(status="Insert second"), True),
        (TRACKING.format(status="Not synchronised"), False),
        ("506 Cannot talk to daemon", False),
        ("", False),
    ],
)
def test_chronys_leap_status_decides(text: str, is_synced: bool) -> None:
    assert is_chrony_synced(text) is is_synced


def program(folder: Path, body: str) -> str:
    path = folder / "chronyc"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_chronyc_is_asked_with_numbers_only_and_its_failure_is_a_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = f'test "$*" = "-n tracking" && cat <<END\n{TRACKING.format(status="Normal")}END'
    assert chrony(program(tmp_path, says))()
    assert not chrony(program(tmp_path, f"{says}\nexit 1"))()
    assert not chrony(str(tmp_path / "none"))()
    monkeypatch.setattr("agent.timekeeping.CHRONYC_TIMEOUT_S", 0.1)
    assert not chrony(program(tmp_path, "exec sleep 30"))()


def test_one_synchronised_source_is_enough() -> None:
    no: Callable[[], bool] = bool
    assert any_of(no, assumed)()
    assert not any_of(no, no)()
