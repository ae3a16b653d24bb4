"""What an installer types before the agent runs: check, schema, version."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from agent import VERSION
from agent.cli.codes import Exit
from agent.cli.places import config_path, credentials_dir, data_dir, run_dir
from agent.cli.plan import GatewayBaudOption, SilentOption, TurnaroundOption

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Site file.", show_default="/etc/plantroom/site.yaml"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override one value: buses.rs485.port=/dev/x"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="Look for every fault in a site file, without touching any hardware.")(check)
    app.command(help="Print the JSON Schema of the site file, for editors.")(schema)
    app.command(help="Print the version.")(version)


def check(
    path: Annotated[Path | None, typer.Argument(help="Site file.", show_default=False)] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 when there are warnings.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show every read, the load of each bus and the data volume."),
    ] = False,
    turnaround_ms: TurnaroundOption = None,
    gateway_baud: GatewayBaudOption = None,
    silent: SilentOption = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Check a site file; exit 1 when it has faults."""
    from agent.cli.made import made_json, print_made
    from agent.cli.overrides import NotAnOverride, read_overrides
    from agent.cli.plan import assume, foresee, print_plan
    from agent.cli.plan_json import plan_json
    from agent.config.faults import ConfigError
    from agent.config.load import load_site

    file = path or config_path(config)
    try:
        site = load_site(
            file,
            sets=read_overrides(overrides or ()),
            data_dir=data_dir(None),
            run_dir=run_dir(None),
            env=os.environ,
            credentials_dir=credentials_dir(),
        )
    except NotAnOverride as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.USAGE) from error
    except ConfigError as error:
        if as_json:
            faults = [_fault_json(fault) for fault in error.faults]
            typer.echo(json.dumps({"ok": False, "faults": faults}, ensure_ascii=False))
        else:
            for fault in error.faults:
                typer.echo(str(fault), err=True)
            count = len(error.faults)
            typer.echo(f"{file}: {count} fault{'s' if count != 1 else ''}", err=True)
        raise typer.Exit(Exit.BAD) from error
    foreseen, too_much = foresee(site, file, assume(turnaround_ms, gateway_baud, silent))
    warnings = sorted((*site.warnings, *too_much))
    if as_json:
        answer = {"ok": True, "faults": [], "warnings": [_fault_json(each) for each in warnings]}
        if plan:
            answer |= plan_json(foreseen) | {"templates": made_json(site.templates)}
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        if plan:
            print_plan(foreseen)
            print_made(site.templates)
        spec = site.spec
        typer.echo(
            f"{file}: good. {len(spec.points)} points, {len(spec.rules)} rules, "
            f"{len(spec.outputs)} outputs, {len(site.uplinks)} uplinks, "
            f"{len(warnings)} warnings."
        )
    raise typer.Exit(Exit.BAD if strict and warnings else Exit.GOOD)


def schema() -> None:
    """Print the JSON Schema of the site file."""
    from agent.config.schema import json_schema

    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))


def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Print the version."""
    typer.echo(json.dumps({"version": VERSION}) if as_json else f"plantroom {VERSION}")


def _fault_json(fault: object) -> dict[str, object]:
    fields = ("file", "line", "column", "path", "message")
    return {name: getattr(fault, name) for name in fields}
