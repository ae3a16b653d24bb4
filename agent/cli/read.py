"""`plantroom read`: each point once, straight from the wires, before the agent runs."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.cli.codes import Exit
from agent.cli.site import ConfigOption, SetOption
from drivers.reading import Quality, Value

PIPE_COLUMNS = 200
"""Width of a table that goes into a file or a pipe: nothing is cut off there."""

_LEAST_SHOWN = 0.01
"""Below it three decimals would show too little, or a zero that is none."""

_STYLES = {Quality.GOOD: "green", Quality.UNCERTAIN: "yellow", Quality.BAD: "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="Read every point once, straight from the wires. Not while the agent runs. "
        "Exit 0: all usable, 1: something answers nonsense, 4: something does not answer."
    )(read)


def read(
    config: ConfigOption = None,
    device: Annotated[
        str, typer.Option("--device", "-d", help="Only this device.", show_default="all")
    ] = "",
    bus: Annotated[str, typer.Option("--bus", help="Only this bus.", show_default="all")] = "",
    overrides: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Print point, raw, value, unit, quality, ms."""
    # Loaded only here: the other commands start without Modbus and GPIO.
    from agent.cli.hardware import load_wires, refuse, refuse_if_agent_runs
    from agent.cli.once import read_once
    from agent.config.faults import did_you_mean
    from drivers.clock import SystemClock
    from drivers.gpio.pins import open_factory

    site = load_wires(config, overrides)
    devices = [each.id for line in site.modbus_buses for each in line.devices]
    buses = [each.id for each in site.gpio_buses] + [each.id for each in site.modbus_buses]
    for word, kind, known in ((device, "device", devices), (bus, "bus", buses)):
        if word and word not in known:
            refuse(f"no {kind} '{word}' in {site.path}{did_you_mean(word, known)}", Exit.USAGE)
    refuse_if_agent_runs(site)
    done = asyncio.run(
        read_once(
            site,
            SystemClock(),
            lambda spec: partial(open_factory, "lgpio", spec.chip),
            device=device,
            bus=bus,
        )
    )
    if not done.taken:
        refuse("there is no point to read", Exit.BAD)
    if as_json:
        points = [
            {
                "point": each.reading.point,
                "bus": each.bus,
                "device": each.device or None,
                "raw": each.raw or None,
                "value": each.reading.value,
                "unit": each.reading.unit,
                "quality": each.reading.quality,
                "reason": each.reading.reason,
                "ms": None if each.took_ms is None else round(each.took_ms, 2),
            }
            for each in done.taken
        ]
        body = {"points": points, "troubles": done.troubles}
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        table = Table("point", "raw", "value", "unit", "quality", "ms", box=None)
        for each in done.taken:
            reading = each.reading
            words = reading.quality + (f": {reading.reason}" if reading.reason else "")
            table.add_row(
                reading.point,
                each.raw or "—",
                value_words(reading.value),
                reading.unit,
                Text(words, style=_STYLES.get(reading.quality, "")),
                "—" if each.took_ms is None else f"{each.took_ms:.1f}",
            )
        wide_console().print(table)
        for trouble in done.troubles:
            typer.echo(trouble, err=True)
        silent = sum(each.is_silent for each in done.taken)
        bad = sum(each.reading.quality is Quality.BAD for each in done.taken) - silent
        typer.echo(
            f"{len(done.taken)} points: {len(done.taken) - silent - bad} usable, {bad} bad, "
            f"{silent} without an answer",
            err=True,
        )
    if done.troubles or any(each.is_silent for each in done.taken):
        raise typer.Exit(Exit.UNREACHABLE)
    is_bad = any(each.reading.quality is Quality.BAD for each in done.taken)
    raise typer.Exit(Exit.BAD if is_bad else Exit.GOOD)


def wide_console() -> Console:
    """Return the terminal, or a wide page when the output goes elsewhere."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_COLUMNS)


def value_words(value: Value | None) -> str:
    """Return a value for people: a contact in words, a number with three decimals or three digits."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "active" if value else "at rest"
    if isinstance(value, float):
        if 0 < abs(value) < _LEAST_SHOWN:
            return f"{value:.3g}"
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)
