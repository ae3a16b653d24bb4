"""`plantroom demo`: watch a simulated plant room, live in a terminal or as plain lines."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.codes import Exit


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Watch the agent at work in a simulated plant room. Needs no hardware.")(demo)


def demo(
    duration_s: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=1.0, help="End by itself after this long."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end, nothing else.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Another site file for the demo room.")
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port of page and metrics; 0 for any free one."),
    ] = 0,
) -> None:
    """Play the scenario; exit 0 only if nothing was lost and all that had to be seen was seen."""
    # Loaded only here: the other commands start without Modbus, MQTT and the rest.
    from agent.app.demo import DemoFailed
    from agent.cli.theatre import Watcher, perform, print_report
    from agent.config.faults import ConfigError
    from agent.simulate.broker import BrokerFailed

    if as_json and duration_s is None:
        typer.echo("--json prints at the end: say how long with --for SECONDS", err=True)
        raise typer.Exit(Exit.USAGE)
    watcher = Watcher(is_quiet=as_json)
    try:
        report = asyncio.run(perform(config or demo_config(), duration_s, port, watcher))
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(Exit.CONFIGURATION) from error
    except (BrokerFailed, DemoFailed, TimeoutError) as error:
        typer.echo(f"the demo could not be set up: {error}", err=True)
        raise typer.Exit(Exit.UNREACHABLE) from error
    if as_json:
        typer.echo(report.to_json())
    else:
        print_report(report)
    raise typer.Exit(Exit.GOOD if report.is_clean else Exit.BAD)


def demo_config() -> Path:
    """Return the demo's site file: in the package when installed, else in the repository."""
    packaged = Path(__file__).parent.parent / "data" / "demo.yaml"
    return packaged if packaged.is_file() else Path(__file__).parents[2] / "config" / "demo.yaml"
