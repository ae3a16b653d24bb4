"""What `check --plan` shows: every read, the load of each bus, how late a fire is seen, the data volume."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # loaded by the command itself, so that others start faster
    from agent.config.bus_load import Assumptions, BusLoad, PlannedRead
    from agent.config.faults import ConfigFault
    from agent.config.forecast import Forecast
    from agent.config.load import LoadedSite
    from agent.config.volume import Count, Volume
    from drivers.modbus.spec import SerialPort

TurnaroundOption = Annotated[
    float | None,
    typer.Option(
        "--turnaround-ms",
        min=0,
        max=10_000,
        help="How long devices take to answer.",
        show_default="50 on serial lines, 20 over TCP",
    ),
]
GatewayBaudOption = Annotated[
    int | None,
    typer.Option(
        "--gateway-baud",
        min=300,
        max=1_000_000,
        help="Count a serial line of this speed behind every gateway.",
        show_default="none behind modbus-tcp, 9600 behind modbus-rtu-tcp",
    ),
]
SilentOption = Annotated[
    int,
    typer.Option(
        "--silent", min=0, max=247, help="Devices of a bus that fall silent at once, at the worst."
    ),
]

LARGEST = 5
"""Points listed as those that make most of the volume."""

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
"""Modbus Application Protocol 1.1b3, section 6."""


def assume(turnaround_ms: float | None, gateway_baud: int | None, silent: int) -> Assumptions:
    """Return the assumptions that options make."""
    from agent.config.bus_load import TCP_ANSWER_S, Assumptions
    from drivers.modbus.spec import SerialPort
    from drivers.modbus.wiretime import TURNAROUND_S

    answer_s = None if turnaround_ms is None else turnaround_ms / 1000
    return Assumptions(
        turnaround_s=TURNAROUND_S if answer_s is None else answer_s,
        tcp_answer_s=TCP_ANSWER_S if answer_s is None else answer_s,
        gateway_line=None if gateway_baud is None else SerialPort(path="", baud=gateway_baud),
        silent_devices=silent,
    )


def foresee(
    site: LoadedSite, file: Path, assumptions: Assumptions
) -> tuple[Forecast, tuple[ConfigFault, ...]]:
    """Return what a site will ask of its wires, and what of that is too much."""
    from agent.config.forecast import forecast, warnings_of
    from agent.config.load import read_bytes
    from agent.config.positions import parse

    foreseen = forecast(site, assumptions)
    return foreseen, warnings_of(foreseen, parse(read_bytes(file), str(file)))


def print_plan(foreseen: Forecast) -> None:
    """Print the plan."""
    for bus in foreseen.buses:
        _print_bus(bus, foreseen.assumptions)
    if foreseen.fire_points:
        _print_fire_points(foreseen)
    _print_volume(foreseen.volume)


def _print_bus(bus: BusLoad, assumptions: Assumptions) -> None:
    where = "" if bus.line is None else f", {_line(bus.line)}"
    typer.echo(f"\nbus {bus.id} ({bus.kind}{where}): {bus.load:.0%} of its time")
    if not bus.reads:
        typer.echo("  No devices.")
        return
    rows = [
        (
            each.device,
            str(each.unit),
            f"{FUNCTIONS[each.request.area]:02} {each.request.area} {_span(each)}",
            each.poll_class.value,
            f"{each.period_s:g} s",
            f"{each.time_s * 1000:.1f} ms",
            f"{each.share:.1%}",
            _shown(each.points),
        )
        for each in bus.reads
    ]
    _print_table(("device", "unit", "read", "class", "every", "takes", "share", "points"), rows)
    answer_s = assumptions.tcp_answer_s if bus.line is None else assumptions.turnaround_s
    typer.echo(
        f"  Assumed: a device answers after {answer_s * 1000:g} ms"
        + (
            " and no slow line stands behind the address (--gateway-baud counts one)."
            if bus.line is None
            else "."
        )
    )
    typer.echo(
        f"  A device that falls silent takes up to {bus.silence_cost_s:.1f} s of the line until it is "
        f"offline;\n  all silent ones together then {bus.probe_share:.0%}: {bus.worst_load:.0%} at most."
    )


def _print_fire_points(foreseen: Forecast) -> None:
    from agent.config.lateness import DEADLINE_S

    silent = foreseen.assumptions.silent_devices
    typer.echo(
        f"\nfire and gas points: how long after a change they are read (limit {DEADLINE_S:g} s)"
    )
    rows = [
        (
            each.point,
            each.bus,
            f"{each.period_s:g} s",
            _seconds(each.all_alive_s),
            _seconds(each.worst_s) + ("" if each.is_in_time else "  TOO LATE"),
            "any" if each.tolerated is None else str(max(0, each.tolerated)),
            f"{each.on_delay_s:g} s",
        )
        for each in foreseen.fire_points
    ]
    heads = ("point", "bus", "every", "at most", f"{silent} silent", "bears silent", "rule waits")
    _print_table(heads, rows)


def _print_volume(volume: Volume) -> None:
    typer.echo("\ntelemetry a day, least / guess / most")
    rows = [
        ("readings", *_triple(volume.readings, _thousands)),
        *(
            row
            for each in volume.uplinks
            for row in (
                (f"{each.uplink}: telemetry", *_triple(each.telemetry, _megabytes)),
                (f"{each.uplink}: states, heartbeat", *_triple(each.states, _megabytes)),
                (f"{each.uplink}: all of it on the link", *_triple(each.link, _megabytes)),
            )
        ),
        ("outbox while links are away", *_triple(volume.disk, _megabytes)),
    ]
    _print_table(("", "least", "guess", "most"), rows)
    days = volume.days
    typer.echo(
        f"  The outbox keeps {_megabytes(volume.room_bytes)} of telemetry: {_days(days.guess)} as guessed, "
        f"{_days(days.least)} at the most."
    )
    largest = sorted(
        volume.points, key=lambda each: each.readings.guess * each.wire_bytes, reverse=True
    )
    typer.echo(
        "  Most of it: "
        + ", ".join(
            f"{each.point} ({each.mode}, {_thousands(each.readings.guess)})"
            for each in largest[:LARGEST]
        )
    )
    typer.echo(_GUESS)


_GUESS = """\
  `interval` and `every` follow from the periods. `change` is a guess, since nobody knows how often a
  value changes: with a deadband every 5 minutes; without one at each reading (temperature, humidity,
  level, duration in whole steps: at one in 10, 5, 3, 2); contacts and words 20 times a day. Least:
  nothing changes. Most: every number differs each time. A deadband is what saves most.
  On the link: with topics and the headers of MQTT, TLS, TCP and IP, without events and reconnects."""


def _line(line: SerialPort) -> str:
    at = "" if line.path else " assumed behind it"
    return f"{line.baud} baud 8{line.parity}{line.stop_bits}{at}"


def _span(read: PlannedRead) -> str:
    first, count = read.request.address, read.request.count
    return f"{first}" if count == 1 else f"{first}-{first + count - 1}"


def _shown(points: Sequence[str]) -> str:
    if not points:
        return "(only whether it answers)"
    device = points[0].rpartition(".")[0]
    names = [each.removeprefix(f"{device}.") for each in points]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _seconds(value_s: float) -> str:
    return f"{value_s:.2f} s" if math.isfinite(value_s) else "no limit"


def _triple(count: Count, write: Callable[[float], str]) -> tuple[str, str, str]:
    return write(count.least), write(count.guess), write(count.most)


def _thousands(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def _megabytes(number: float) -> str:
    return f"{number / 1e6:.1f} MB"


def _days(number: float) -> str:
    if not math.isfinite(number):
        return "for ever"
    return f"{number:.1f} days" if number < 10 else f"{number:.0f} days"


def _print_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(f"  {'  '.join(cells)}".rstrip())
