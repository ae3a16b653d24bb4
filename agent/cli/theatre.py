"""What a watcher of the demo sees: nothing, plain lines, or a live picture; and the verdict."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agent.app.demo import DemoFailed, Show, run_demo
from agent.cli.scene import CLASS_STYLES, MOST_LINES, scene
from agent.config.faults import ConfigError
from agent.core.effects import AlarmState
from agent.simulate.broker import BrokerFailed
from agent.simulate.report import Report, Seen
from agent.simulate.scenario import Played
from agent.uplink.decode import EventSeen
from drivers.clock import SystemClock
from drivers.tasks import TaskGroup

LOOK_S = 0.25
"""How often the terminal is drawn and the witness is asked for news."""


async def perform(config: Path, duration_s: float | None, port: int, watcher: Watcher) -> Report:
    """Play the demo before a watcher until it ends or a person ends it.

    Raises:
        DemoFailed: it could not be set up; `BrokerFailed` and `ConfigError` likewise.
        TimeoutError: the agent did not come up.
    """
    logging.basicConfig(level=logging.WARNING, handlers=[watcher.log_handler()], force=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with TaskGroup() as tasks:
            watching = tasks.create_task(watcher.run(), name="terminal")
            try:
                return await run_demo(
                    config,
                    duration_s=duration_s,
                    on_show=watcher.open,
                    on_step=watcher.step,
                    stop=stop,
                    page_port=port,
                )
            finally:
                watching.cancel()
    except* (ConfigError, BrokerFailed, DemoFailed, TimeoutError) as group:
        failure = next(_leaves(group))
    raise failure


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


class _LogLines(logging.Handler):
    """Warnings of the agent as lines of the demo."""

    def __init__(self, say: Callable[[Text], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say it; from another thread too."""
        self._say(Text(f"log      {record.getMessage()}", style="dim"))


class Watcher:
    """Shows what goes on: nothing, plain lines, or a live picture."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._console = Console(highlight=False)
        self._is_live = (
            not is_quiet and self._console.is_terminal and not self._console.is_dumb_terminal
        )
        self._show: Show | None = None
        self._clock = SystemClock()
        self._begin_s = self._clock.mono_s()
        self._seen = 0
        self._step = "starting"
        self._lines: list[Text] = []

    def open(self, show: Show) -> None:
        """The room is up."""
        self._show = show
        self._begin_s = self._clock.mono_s()
        if not self._is_quiet and not self._is_live:
            for line in self._addresses():
                typer.echo(line)

    def step(self, played: Played) -> None:
        """A step of the story begins."""
        label = played.step.label
        self._step = f"{label.en}  {label.zh}"
        self._say(Text(f"── {self._step}", style="bold cyan"))

    def log_handler(self) -> logging.Handler:
        """Return what shows the agent's warnings among the lines."""
        return _LogLines(self._say)

    async def run(self) -> None:
        """Draw until cancelled."""
        if self._is_quiet:
            return
        if not self._is_live:
            while True:
                self._hear()
                await asyncio.sleep(LOOK_S)
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            while True:
                self._hear()
                if self._show is not None and self._show.agent is not None:
                    view = await self._show.agent.view()
                    columns, rows = self._console.size
                    picture = scene(
                        view,
                        title=self._step,
                        addresses=self._addresses()[1:],
                        lines=self._lines,
                        width=columns,
                        height=rows,
                    )
                    live.update(picture, refresh=True)
                await asyncio.sleep(LOOK_S)

    # -- lines ---------------------------------------------------------------------------------------

    def _addresses(self) -> list[str]:
        show = self._show
        if show is None or show.agent is None:
            return []
        spec = show.site.local
        page = f"http://{spec.host}:{show.agent.page_port() or '...'}"
        return [
            "Plantroom demo: a simulated plant room; nothing here touches real equipment.",
            f"page     {page}/    metrics  {page}/metrics",
            f"broker   {show.broker.host}:{show.broker.port} ({show.broker.kind})   "
            f"topics   {show.site.uplinks[0].root}/{show.site.spec.site}/{show.site.spec.box}/#",
        ]

    def _hear(self) -> None:
        """Turn events that reached the witness into lines."""
        if self._show is None:
            return
        witness = self._show.witness
        total = witness.forgotten + len(witness.arrivals)
        news = min(total - self._seen, len(witness.arrivals))
        for arrival in islice(witness.arrivals, len(witness.arrivals) - news, None):
            if isinstance(arrival.seen, EventSeen):
                record = arrival.seen.record
                event = record.event
                if event.kind in ("stream", "clock"):
                    continue
                style = CLASS_STYLES.get(event.alarm_class, "") if event.kind == "alarm" else ""
                if event.to_state == AlarmState.NORMAL:
                    style = "green"
                words = f"{event.kind:<8} {event.alarm_class:<12} {event.subject}"
                change = f"{event.from_state} → {event.to_state}" if event.to_state else event.code
                late = " (sent late, from the outbox)" if arrival.seen.is_replay else ""
                self._say(Text(f"{words}  {change}{late}", style=style))
        self._seen = total

    def _say(self, line: Text) -> None:
        at_s = self._clock.mono_s() - self._begin_s
        stamped = Text.assemble((f"{at_s:6.1f} s  ", "dim"), line)
        if self._is_live:
            self._lines = [*self._lines[-MOST_LINES + 1 :], stamped]
        elif not self._is_quiet:
            typer.echo(stamped.plain)


def print_report(report: Report) -> None:
    """Print the verdict for people."""
    console = Console(highlight=False)
    table = Table("", "delivered", "lost", "twice", box=None)
    for name, count in (
        ("readings", report.readings),
        ("batches", report.batches),
        ("events", report.events),
    ):
        table.add_row(name, str(count.delivered), str(count.lost), str(count.duplicated))
    console.print(table, soft_wrap=True)
    register = report.latency_register_to_subscriber
    contact = report.latency_contact_to_output
    console.print(
        f"register to subscriber: median {register.p50_ms:.1f} ms, p99 {register.p99_ms:.1f} ms; "
        f"contact to output: median {contact.p50_ms:.1f} ms, most {contact.max_ms:.1f} ms",
        soft_wrap=True,
    )
    missing = [each for each in (*report.alarms, *report.outputs) if not each.is_seen]
    _print_missing(console, missing)
    for example in report.examples:
        if not example.startswith("not seen:"):  # said already, all of them
            console.print(f"  {example}", soft_wrap=True)
    console.print(
        "[green]Nothing was lost, and everything that had to happen was seen.[/]"
        if report.is_clean
        else "[bold red]Something was lost, wrong or not seen.[/]"
    )
    sys.stdout.flush()


def _print_missing(console: Console, missing: list[Seen]) -> None:
    for each in missing:
        console.print(f"[bold red]not seen:[/] {each.step}: {each.what}")
