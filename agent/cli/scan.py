"""`plantroom scan`: who is on this line, and which profile is it?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from agent.cli.codes import Exit
from agent.cli.site import ConfigOption, SetOption

if TYPE_CHECKING:
    from agent.cli.probing import Found, Pass, Port
    from agent.config.load import LoadedSite

SERIAL_TIMEOUT_MS = 200.0
"""Usual devices answer within 100 ms; templates of the Wiren Board serial driver allow 100 to 500."""
TCP_TIMEOUT_MS = 500.0
"""A gateway has a line behind it."""
TCP_PORT = 502
"""Registered for Modbus (Messaging on TCP/IP 1.0b, section 4.3.1.1)."""
_MOST_BAUD = 1_000_000
_LEAST_BAUD = 300


class Step(Protocol):
    """What is called at each id."""

    def __call__(self, port: Port, unit: int, /) -> None:
        """Note that an id was asked."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="Ask every unit id of a line whether somebody is there, and which profile fits. Prints a "
        "block for the site file. Not while the agent runs. Exit 0: somebody answers, 4: nobody."
    )(scan)


def scan(
    bus: Annotated[
        str | None, typer.Argument(help="A bus of the site file.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    port: Annotated[
        str | None,
        typer.Option("--port", help="Instead of a bus: a serial port; with --host the TCP port."),
    ] = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Instead of a bus: a device or gateway on TCP.")
    ] = None,
    rtu: Annotated[
        bool,
        typer.Option("--rtu", help="With --host: RTU frames over TCP (a transparent gateway)."),
    ] = False,
    ids: Annotated[str, typer.Option("--ids", help="Unit ids: 1-20,31.")] = "1-247",
    bauds: Annotated[
        str,
        typer.Option("--bauds", help="Serial speeds to try: 4800,9600.", show_default="the bus's"),
    ] = "",
    parities: Annotated[
        str, typer.Option("--parities", help="Parities to try: N,E,O.", show_default="the bus's")
    ] = "",
    areas: Annotated[
        str,
        typer.Option(
            "--areas",
            help="Register 0 of these is asked for until an id answers: holding,input,coil,discrete. "
            "Some devices are silent on tables they do not have.",
        ),
    ] = "holding",
    timeout_ms: Annotated[
        float | None,
        typer.Option(
            "--timeout-ms", min=5, max=10_000, help="Per id.", show_default="200 serial, 500 TCP"
        ),
    ] = None,
    overrides: SetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Scan and print what was found."""
    # Loaded only here: the other commands start without Modbus.
    from agent.cli.hardware import (
        load_wires,
        refuse,
        refuse_if_agent_runs,
        said,
        warn_if_agent_runs,
    )
    from agent.cli.places import socket_path
    from drivers.errors import PortUnavailable
    from drivers.modbus.spec import Area, SerialPort

    if (bus is not None) == (port is not None or host is not None):
        refuse("say which: a bus of the site file, or --port, or --host", Exit.USAGE)
    try:
        units = read_ids(ids)
        tables = [Area(word) for word in areas.split(",")]
        site: LoadedSite | None = None
        if bus is not None:
            site = load_wires(config, overrides)
            base = _port_of(site, bus)
        else:
            base = _port_given(port, host, rtu=rtu)
        ports = read_settings(base, bauds, parities)
    except ValueError as error:
        refuse(str(error), Exit.USAGE)
    if site is not None:
        refuse_if_agent_runs(site)
    else:
        warn_if_agent_runs(socket_path(None))
    default_ms = SERIAL_TIMEOUT_MS if isinstance(base, SerialPort) else TCP_TIMEOUT_MS
    with _progress(len(units) * len(ports)) as step:
        passes, troubles = [], []
        for each in ports:
            try:
                passes.append(
                    asyncio.run(_pass(each, units, tables, (timeout_ms or default_ms) / 1000, step))
                )
            except PortUnavailable as error:
                troubles.append(f"{error.source}: {said(error)}")
    for trouble in dict.fromkeys(troubles):
        typer.echo(trouble, err=True)
    if not passes:
        raise typer.Exit(Exit.UNREACHABLE)
    best = max(passes, key=lambda each: len(each.found))
    block = _block(bus, site, best, is_new=bus is None)
    if as_json:
        typer.echo(json.dumps(_json(passes, troubles, block), ensure_ascii=False))
    else:
        _say(passes, best, block)
    raise typer.Exit(Exit.GOOD if best.found and not troubles else Exit.UNREACHABLE)


def read_ids(words: str) -> list[int]:
    """Return unit ids of `1-20,31`, ascending, each once.

    Raises:
        ValueError: a word is no id or range, or outside of 1 to 247.
    """
    units: set[int] = set()
    for word in words.split(","):
        first, dash, last = word.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"--ids {words}: say ids and ranges, as in 1-20,31")
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= 247:
            raise ValueError(
                f"--ids {word.strip()}: 1 to 247, the lower first (0 is broadcast and never used)"
            )
        units.update(range(low, high + 1))
    return sorted(units)


def read_settings(base: Port, bauds: str, parities: str) -> list[Port]:
    """Return the port with every setting to try, the port's own if none is asked for.

    Raises:
        ValueError: a speed or parity is none, or the port is not a serial one.
    """
    from drivers.modbus.spec import SerialPort

    if not isinstance(base, SerialPort):
        if bauds or parities:
            raise ValueError("--bauds and --parities are for serial ports")
        return [base]
    speeds = [word.strip() for word in bauds.split(",")] if bauds else [str(base.baud)]
    kinds = [word.strip().upper() for word in parities.split(",")] if parities else [base.parity]
    for speed in speeds:
        if not speed.isdecimal() or not _LEAST_BAUD <= int(speed) <= _MOST_BAUD:
            raise ValueError(f"--bauds {speed}: {_LEAST_BAUD} to {_MOST_BAUD}")
    for kind in kinds:
        if kind not in ("N", "E", "O"):
            raise ValueError(f"--parities {kind}: N, E or O")
    return [
        replace(base, baud=int(speed), parity=kind)
        for speed in dict.fromkeys(speeds)
        for kind in dict.fromkeys(kinds)
    ]


async def _pass(
    port: Port, units: Sequence[int], areas: Sequence[object], timeout_s: float, step: Step
) -> Pass:
    from agent.cli.probing import scan_port
    from drivers.clock import SystemClock
    from drivers.modbus.profiles import list_profiles, load_profile
    from drivers.modbus.spec import Area

    return await scan_port(
        port,
        units,
        clock=SystemClock(),
        timeout_s=timeout_s,
        profiles=[load_profile(name) for name in list_profiles()],
        areas=[Area(str(each)) for each in areas],
        on_asked=lambda unit: step(port, unit),
    )


def _port_of(site: LoadedSite, bus: str) -> Port:
    from agent.config.faults import did_you_mean

    ports = {each.id: each.port for each in site.modbus_buses}
    if bus in ports:
        return ports[bus]
    if any(each.id == bus for each in site.gpio_buses):
        raise ValueError(f"'{bus}' has pins, not units; name a Modbus bus")
    raise ValueError(f"no bus '{bus}' in {site.path}{did_you_mean(bus, ports)}")


def _port_given(port: str | None, host: str | None, *, rtu: bool) -> Port:
    from drivers.modbus.spec import SerialPort, TcpPort

    if host is None:
        if port is None or port.isdecimal():
            raise ValueError(
                f"--port {port}: a serial port such as /dev/ttyUSB0, or give --host too"
            )
        return SerialPort(path=port)
    if port is not None and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(f"--port {port}: with --host a number from 1 to 65535")
    return TcpPort(host=host, port=int(port or TCP_PORT), rtu=rtu)


@contextmanager
def _progress(total: int) -> Iterator[Step]:
    """Show a bar on a terminal, nothing elsewhere."""
    from agent.cli.device_block import port_words

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("scan", total=total)

        def step(port: Port, unit: int, /) -> None:
            progress.update(task, advance=1, description=f"{port_words(port)}  unit {unit}")

        yield step


def _block(bus: str | None, site: LoadedSite | None, best: Pass, *, is_new: bool) -> str:
    from agent.cli.device_block import bus_block, device_block

    taken: set[str] = set()
    known: dict[int, str] = {}
    if site is not None:
        spec = site.spec
        taken |= {each.id for each in spec.points} | {each.id for each in spec.rules}
        taken |= {each.id for each in spec.outputs}
        for line in site.modbus_buses:
            taken |= {line.id, *(each.id for each in line.devices)}
            if line.id == bus:
                known = {each.unit: each.id for each in line.devices}
    name = bus or "line"
    text = device_block(name, best.found, taken=taken, known=known)
    return bus_block(name, best.port) + text if is_new else text


def _say(passes: Sequence[Pass], best: Pass, block: str) -> None:
    from agent.cli.device_block import port_words

    for each in passes:
        where = port_words(each.port)
        if each.is_echo:
            typer.echo(f"{where}: every id answers; one device that looks at no unit id", err=True)
        elif not each.found:
            typer.echo(f"{where}: nobody answers", err=True)
        else:
            units = ", ".join(str(found.unit) for found in each.found)
            typer.echo(f"{where}: {len(each.found)} answer: {units}", err=True)
        for unit in each.garbled:
            typer.echo(
                f"{where}: something comes at unit {unit} that is no answer: two devices of one id, "
                "another speed or parity, or a bad line",
                err=True,
            )
        if each is not best and each.found:
            typer.echo(
                f"{where}: a line has one speed and one parity; bring these to those of the others",
                err=True,
            )
    if best.found:
        typer.echo(block, nl=False)


def _json(passes: Sequence[Pass], troubles: Sequence[str], block: str) -> dict[str, object]:
    from agent.cli.device_block import port_words

    return {
        "passes": [
            {
                "port": port_words(each.port),
                "found": [_found_json(found) for found in each.found],
                "garbled": list(each.garbled),
                "ignores_unit": each.is_echo,
            }
            for each in passes
        ],
        "troubles": list(troubles),
        "yaml": block,
    }


def _found_json(found: Found) -> dict[str, object]:
    return {
        "unit": found.unit,
        "ms": round(found.ms, 2),
        "word": found.word,
        "exception": found.refusal,
        "profiles": [
            {"name": fit.profile.name, "unverified": fit.profile.unverified, "values": fit.values}
            for fit in found.fits
        ],
    }
