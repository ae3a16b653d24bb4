"""The life of an agent, in the order that keeps people safe (docs/design.md section 3).

Start: outputs to their safe state; alarm memory (1 s at most, else merged later); inputs read and
rules armed; READY; then Modbus, outbox recovery, uplinks, page. Stop: outputs to the state the site
asks for, buses, what is queued, uplinks, page, outbox; each with a deadline of its own. A wish to
stop ends the waits of the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

from agent import VERSION
from agent.app.health import is_well, roll_call
from agent.app.picture import Picture
from agent.app.remembering import load_memory, merge_memory
from agent.app.wiring import (
    Agent,
    OpenChip,
    Outlets,
    Parts,
    notes_folder,
    open_desks,
    output_part,
    wire,
)
from agent.config.load import LoadedSite
from agent.core.effects import Event, EventKind
from agent.core.engine import Engine
from agent.core.memory import AlarmSnapshot
from agent.local.server import LocalServer
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline
from agent.supervise import LoopMeter, bounded_stop, keep_running
from agent.systemd.notify import Notifier, feed_watchdog, watchdog_period_s
from agent.uplink.session import Uplink
from agent.uplink.tidying import forget_removed
from drivers.backoff import Backoff
from drivers.base import online_point
from drivers.clock import ClockState, SystemClock, read_boot_id
from drivers.tasks import TaskGroup

_log = logging.getLogger(__name__)

T = TypeVar("T")

CLAIM_LIMIT_S = 2.0
"""Start does not wait longer for a GPIO chip; it is a fault and is retried."""
FIRST_LEVELS_LIMIT_S = 1.0
"""... nor for the first level of every contact."""

LOOP_WINDOW_S = 5.0
PIPELINE_WINDOW_S = 5.0
OUTPUT_WINDOW_S = 15.0
"""How long a part may be silent before the watchdog is no longer fed. An output's worker beats at
least every 5 s when it verifies, and a write with its retries takes some seconds more."""

OUTPUTS_STOP_S = 0.8
BUSES_STOP_S = 0.5
UPLINKS_STOP_S = 1.5
OUTBOX_STOP_S = 1.0
"""Shares of the 5 s that a stop may take in all."""


async def run_agent(
    site: LoadedSite,
    *,
    clock: SystemClock,
    open_chip: OpenChip,
    notifier: Notifier,
    stop: asyncio.Event,
    config_fault: str = "",
    on_ready: Callable[[Agent], None] = lambda _: None,
    is_changeover: Callable[[], bool] = lambda: False,
) -> None:
    """Run the agent until `stop` is set, then stop it in good order (within 5 s).

    `config_fault` says why the last good configuration runs instead of the newest. `on_ready` is
    called once the rules are armed. `is_changeover` is asked when `stop` is set: whether another
    agent of this process takes over at once, so that outputs hold (a siren does not fall silent) and
    systemd is not told of an end. A bug in pipeline or outputs ends this with its exception, after
    what waits for the disk was given its time.
    """
    started = clock.stamp()
    parts = wire(site, clock=clock, boot=read_boot_id(), open_chip=open_chip)
    progress, health, outbox = parts.progress, parts.health, parts.outbox
    not_ready = {"start": "starting"}

    async with AsyncExitStack() as stack, TaskGroup() as tasks:
        for bus in parts.gpio:
            stack.callback(bus.close)
        stack.push_async_exit(partial(_flush_after_failure, outbox))

        def keep(name: str, run: Callable[[], Awaitable[None]], point: str) -> asyncio.Task[None]:
            return _keep(tasks, name, run, clock, health.only_bad(point))

        # Outputs to their safe state: claiming a pin sets its level.
        gpio = [keep(bus.id, bus.run, online_point(bus.id)) for bus in parts.gpio]
        claims = [bus.tried() for bus in parts.gpio]
        claiming = bounded_stop("claiming GPIO pins", _all(claims), CLAIM_LIMIT_S)
        await _unless_stopped(stop, claiming)

        # Memory, then rules: from here on an alarm sounds.
        snapshot = await _unless_stopped(stop, load_memory(parts.outbox))
        memory = snapshot or AlarmSnapshot(memories=(), position=None)
        engine = Engine(
            site.spec,
            memory.memories,
            orders=memory.orders,
            delays=memory.delays,
            is_memory_whole=False,
        )
        pipeline = Pipeline(
            engine,
            parts.inbox,
            clock,
            Outlets(parts),
            outbox,
            save_snapshot=outbox.save_snapshot,
            beat=progress.register("pipeline", PIPELINE_WINDOW_S),
        )
        meter = LoopMeter(progress.register("loop", LOOP_WINDOW_S))
        for output in site.spec.outputs:
            progress.register(output_part(output.id), OUTPUT_WINDOW_S)
        _tell_start(parts, site, config_fault)
        pipeline.start()
        vital = [
            tasks.create_task(pipeline.run(), name="pipeline"),
            tasks.create_task(parts.outputs.run(), name="outputs"),
            tasks.create_task(meter.run(), name="loop meter"),
        ]
        watchdog = tasks.create_task(
            feed_watchdog(progress, notifier, watchdog_period_s()), name="watchdog"
        )
        await _unless_stopped(stop, _first_levels(site, engine, pipeline))
        del not_ready["start"]

        picture = Picture(
            site=site.spec,
            engine=engine,
            clock=clock,
            boot=parts.boot,
            started=started,
            outputs=parts.outputs.views,
            buses=[*(bus.stats for bus in parts.gpio), *(bus.stats for bus in parts.modbus)],
            uplinks=[uplink.stats for uplink in parts.uplinks],
            outbox=outbox.stats,
            counters=lambda: {
                "readings": pipeline.readings,
                "dropped_readings": parts.inbox.dropped_readings,
                "loop_lag_s": meter.lag_s,
            },
            not_ready=lambda: tuple(not_ready.values()),
            config_ok=lambda: is_well(engine, "box.config"),
            config_loaded_wall_ms=started.wall_ms,
        )
        agent = Agent(picture.take, pipeline.command, outbox, health, lambda: page.port)
        open_desks(site, parts, agent)
        page = LocalServer(
            site.local, agent, asyncio.get_running_loop(), on_health=health.of("box.page")
        )
        notifier.ready(f"{site.spec.site}/{site.spec.box}: {len(site.spec.rules)} rules armed")
        _log.info("ready: %d points, %d rules", len(site.spec.points), len(site.spec.rules))

        # What may be slow, late or absent.
        modbus = [keep(bus.id, bus.run, online_point(bus.id)) for bus in parts.modbus]
        writing = _keep(
            tasks,
            "outbox",
            outbox.run,
            clock,
            health.supervised("box.outbox", lambda: outbox.stats().fault),
        )
        rest = [
            _keep(
                tasks,
                "clock",
                parts.timekeeper.run,
                clock,
                health.supervised("box.clock", lambda: _clock_fault(clock)),
            ),
            keep("page", page.run, "box.page"),
            tasks.create_task(
                merge_memory(parts.outbox, snapshot, pipeline, health), name="late memory"
            ),
            tasks.create_task(roll_call(site.spec, engine, health), name="roll call"),
            tasks.create_task(
                forget_removed(notes_folder(site), [spec.id for spec in site.uplinks]),
                name="removed uplinks",
            ),
            *(
                keep(
                    f"uplink {spec.id}",
                    partial(_until_closed, uplink, stop),
                    f"box.uplink-{spec.id}",
                )
                for spec, uplink in zip(site.uplinks, parts.uplinks, strict=True)
            ),
        ]
        on_ready(agent)

        await stop.wait()
        _log.info("stopping")
        is_handed_over = is_changeover()
        if not is_handed_over:
            notifier.stopping()
        not_ready["stop"] = "stopping"
        watchdog.cancel()
        agent.close()
        releasing = parts.outputs.release(OUTPUTS_STOP_S, holds_all=is_handed_over)
        await bounded_stop("outputs", releasing, OUTPUTS_STOP_S + 0.2)
        await _end([*gpio, *modbus], BUSES_STOP_S)
        pipeline.drain()
        outbox.append(_system_event(parts, site, "stopped"))
        closing = [uplink.close(UPLINKS_STOP_S) for uplink in parts.uplinks]
        await bounded_stop("uplinks", _all(closing), UPLINKS_STOP_S + 0.3)
        # Before the log is closed: what is recorded after its clean end would be lost unnoticed.
        for task in (*rest, *vital):
            task.cancel()
        await bounded_stop("outbox", outbox.close(OUTBOX_STOP_S), OUTBOX_STOP_S + 0.2)
        writing.cancel()
        if is_handed_over and not is_changeover():  # asked to end for good meanwhile
            notifier.stopping()
            releasing = parts.outputs.release(OUTPUTS_STOP_S)
            await bounded_stop("outputs", releasing, OUTPUTS_STOP_S + 0.2)
    _log.info("stopped")


async def _until_closed(uplink: Uplink, stop: asyncio.Event) -> None:
    """Run an uplink; that it ends after the stop is no failure."""
    await uplink.run()
    if stop.is_set():
        await asyncio.Event().wait()


def _keep(
    tasks: TaskGroup,
    name: str,
    run: Callable[[], Awaitable[None]],
    clock: SystemClock,
    on_health: Callable[[bool, str], None],
) -> asyncio.Task[None]:
    """Start a part that may fail alone."""
    return tasks.create_task(
        keep_running(name, run, clock=clock, on_health=on_health, backoff=Backoff(0.5, 30.0)),
        name=name,
    )


async def _unless_stopped(stop: asyncio.Event, step: Coroutine[Any, Any, T]) -> T | None:
    """Return what a step of the start returns; None when the wish to stop came first."""
    async with TaskGroup() as tasks:
        stopping = tasks.create_task(stop.wait(), name="stop while starting")
        doing = tasks.create_task(step, name="step of the start")
        await asyncio.wait({stopping, doing}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        doing.cancel()
    return None if doing.cancelled() else doing.result()


async def _flush_after_failure(
    outbox: Outbox, kind: type[BaseException] | None, *_: object
) -> None:
    """After a bug, let what was recorded reach the disk: above all what led to it."""
    if kind is not None:
        await bounded_stop("outbox", outbox.close(OUTBOX_STOP_S), OUTBOX_STOP_S + 0.2)


async def _all(steps: list[Coroutine[Any, Any, Any]]) -> None:
    """Wait for all; one that fails does not end the others."""
    async with TaskGroup() as tasks:
        for number, step in enumerate(steps):
            tasks.create_task(_logged(step), name=f"step {number}")


async def _logged(step: Coroutine[Any, Any, Any]) -> None:
    try:
        await step
    except Exception:  # noqa: BLE001 - the other steps go on
        _log.exception("a step failed")


async def _end(tasks: list[asyncio.Task[None]], limit_s: float) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=limit_s)


async def _first_levels(site: LoadedSite, engine: Engine, pipeline: Pipeline) -> None:
    """Wait until every contact on GPIO has been judged once, good or bad, but not for long."""
    points = [each.point for spec in site.gpio_buses for each in spec.inputs]
    try:
        async with asyncio.timeout(FIRST_LEVELS_LIMIT_S):
            while any(engine.reading(point) is None for point in points):
                await pipeline.next_round()
    except TimeoutError:
        _log.warning("not every contact was read within %.1f s", FIRST_LEVELS_LIMIT_S)


def _tell_start(parts: Parts, site: LoadedSite, config_fault: str) -> None:
    """Put the first events on the log, and say how the parts are that are well until heard otherwise."""
    parts.outbox.append(_system_event(parts, site, "started"))
    parts.health.tell("box.pipeline", True, "")
    clock_fault = _clock_fault(parts.clock)
    parts.health.tell("box.clock", not clock_fault, clock_fault)
    parts.health.tell("box.config", not config_fault, config_fault.partition("\n")[0])
    if config_fault:
        _log.error("the last good configuration runs, the newest has faults: %s", config_fault)


def _system_event(parts: Parts, site: LoadedSite, to_state: str) -> Event:
    return Event(
        kind=EventKind.SYSTEM,
        subject=site.spec.box,
        at=parts.clock.stamp(),
        to_state=to_state,
        reason=f"plantroom {VERSION}",
    )


def _clock_fault(clock: SystemClock) -> str:
    return "" if clock.state is ClockState.SYNCED else "not set since the start"
