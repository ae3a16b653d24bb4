"""Restarts, heartbeats and the bounded end."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.supervise import HardDeadline, LoopMeter, Progress, bounded_stop, keep_running
from drivers.backoff import Backoff
from drivers.clock import ManualClock

Heard = list[tuple[bool, str]]


class Part:
    """Fails a given number of times, then runs until cancelled."""

    def __init__(self, failures: int, error: BaseException | None) -> None:
        self.failures = failures
        self.error = error
        self.starts = 0
        self.runs = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            if self.error is not None:
                raise self.error
            return
        self.runs.set()
        await asyncio.Event().wait()


async def supervise(part: Part, clock: ManualClock, heard: Heard, well_after_s: float) -> None:
    well = asyncio.Event()

    def on_health(ok: bool, why: str) -> None:
        heard.append((ok, why))
        if ok and (len(heard) > 1 or not part.failures):
            well.set()

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            keep_running(
                "outbox",
                part.run,
                clock=clock,
                on_health=on_health,
                backoff=Backoff(0.005, 0.01),
                steady_s=well_after_s,
            ),
            name="supervised",
        )
        await part.runs.wait()
        await well.wait()
        task.cancel()


async def test_a_part_that_runs_is_well(clock: ManualClock) -> None:
    heard: Heard = []
    await supervise(Part(0, None), clock, heard, 0.01)
    assert heard == [(True, "")]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("bad page\nmore"), "ValueError: bad page"),
        (ExceptionGroup("unhandled", [OSError("disk gone")]), "OSError: disk gone"),
        (TimeoutError(), "TimeoutError"),
        (asyncio.CancelledError(), "CancelledError"),
        (None, "ended by itself"),
    ],
    ids=["error", "group", "no text", "cancelled by nobody", "return"],
)
async def test_a_part_that_fails_is_run_again_and_well_after_a_steady_time(
    clock: ManualClock, error: BaseException | None, why: str
) -> None:
    heard: Heard = []
    part = Part(1, error)
    await supervise(part, clock, heard, 0.02)
    assert part.starts == 2
    assert heard == [(True, ""), (False, why), (True, "")]


async def test_a_part_that_keeps_failing_says_so_and_logs_transitions_only(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: Heard = []
    with caplog.at_level(logging.INFO):
        await supervise(Part(10, ValueError("no")), clock, heard, 0.03)
    assert [ok for ok, _ in heard] == [True, *[False] * 10, True], "well only after a steady run"
    whys = [why for ok, why in heard if not ok]
    assert whys[:2] == ["ValueError: no"] * 2
    assert whys[2] == "keeps failing (3 times): ValueError: no"
    assert whys[9].startswith("keeps failing (10 times)")
    assert heard[-1] == (True, "")
    levels = [each.levelname for each in caplog.records]
    assert levels == ["ERROR", "CRITICAL", "WARNING"]


async def test_cancelling_while_the_part_runs_passes_through(clock: ManualClock) -> None:
    part = Part(0, None)
    await supervise(part, clock, [], 0.01)  # cancels it
    assert part.starts == 1


async def test_cancelling_during_the_pause_passes_through(clock: ManualClock) -> None:
    async def fail() -> None:
        raise ValueError

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            keep_running(
                "x", fail, clock=clock, on_health=lambda *_: None, backoff=Backoff(60, 60)
            ),
            name="supervised",
        )
        await asyncio.sleep(0.01)
        task.cancel()
    assert task.cancelled()


def test_progress_names_every_part_that_is_late(clock: ManualClock) -> None:
    progress = Progress(clock)
    beat = progress.register("pipeline", 3.0)
    progress.register("outputs", 10.0)
    clock.advance(3.0)
    assert progress.verdict() == ()
    clock.advance(0.5)
    assert [each.part for each in progress.verdict()] == ["pipeline"]
    assert str(progress.verdict()[0]) == "pipeline silent for 3.5 s (window 3 s)"
    beat()
    assert progress.verdict() == ()
    clock.advance(11)
    assert {each.part for each in progress.verdict()} == {"pipeline", "outputs"}
    progress.withdraw("outputs")
    progress.beat("pipeline")
    assert progress.verdict() == ()


async def test_the_loop_meter_sees_a_blocked_loop() -> None:
    beaten = asyncio.Event()
    meter = LoopMeter(beaten.set, period_s=0.01)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(meter.run(), name="meter")
        await asyncio.sleep(0)
        time.sleep(0.1)
        await beaten.wait()
        lag_s = meter.lag_s
        task.cancel()
    assert lag_s >= 0.08


async def test_a_step_of_stopping_is_bounded_and_its_error_kept_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError("stuck")

    assert await bounded_stop("page", asyncio.sleep(0), 1.0)
    assert not await bounded_stop("uplink", asyncio.sleep(60), 0.01)
    assert not await bounded_stop("outbox", fail(), 1.0)
    assert "stopping uplink took longer" in caplog.text
    assert "stopping outbox failed" in caplog.text


HUNG = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from agent.supervise import HardDeadline
deadline = HardDeadline(0.3, exit_code=7)
deadline.arm()
deadline.arm()
ThreadPoolExecutor(1, thread_name_prefix="disk").submit(time.sleep, {sleep_s})
"""


@pytest.mark.parametrize(("sleep_s", "code"), [(60, 7), (0, 0)], ids=["hung", "in time"])
def test_a_hung_thread_does_not_keep_the_process_alive(sleep_s: float, code: int) -> None:
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", HUNG.format(sleep_s=sleep_s)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert time.perf_counter() - before < 15
    assert ("threads left: disk" in done.stderr) is (code == 7)


def test_a_disarmed_deadline_does_nothing() -> None:
    deadline = HardDeadline(0.01)
    deadline.arm()
    deadline.disarm()
    time.sleep(0.05)
