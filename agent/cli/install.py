"""`plantroom install-service`: show what installs the service, or do it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.codes import Exit
from agent.systemd.unit import InstallPlan, install_plan

COMMAND_LIMIT_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "install-service", help="Show what installs the systemd service; --apply does it (as root)."
    )(install_service)


def install_service(
    apply: Annotated[bool, typer.Option("--apply", help="Do it instead of showing it.")] = False,
    user: Annotated[str, typer.Option(help="The service's own user.")] = "plantroom",
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Site file.", show_default="/etc/plantroom/site.yaml"),
    ] = None,
    root: Annotated[
        Path, typer.Option(help="Where the machine's file system is; only files are written there.")
    ] = Path("/"),
) -> None:
    """Install the unit, the user and the device rule."""
    try:
        plan = install_plan(_program(), user=user, config=config, root=root)
    except ValueError as error:
        typer.echo(f"cannot write the unit: {error}", err=True)
        raise typer.Exit(Exit.USAGE) from error
    if not apply:
        _show(plan)
        return
    if root == Path("/") and os.geteuid() != 0:
        typer.echo("installing needs root: sudo plantroom install-service --apply", err=True)
        raise typer.Exit(Exit.USAGE)
    try:
        _write(plan)
    except OSError as error:
        typer.echo(f"cannot write {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(Exit.BAD) from error
    if root != Path("/"):
        typer.echo("files written; the commands are for the machine itself")
        return
    _carry_out(plan)


def _program() -> Path:
    """Return the command this service is to run: the one that was typed, with its environment."""
    typed = Path(shutil.which(sys.argv[0]) or sys.argv[0]).absolute()
    if typed.suffix != ".py":
        return typed
    return (
        Path(sys.executable).absolute().with_name("plantroom")
    )  # `python -m agent`: its neighbour


def _show(plan: InstallPlan) -> None:
    for file in plan.files:
        typer.echo(f"# ---- {file.path}")
        typer.echo(file.text)
    typer.echo("# ---- then")
    for command in plan.commands:
        typer.echo(f"#   {' '.join(command)}")
    typer.echo(
        "# Nothing was changed. `plantroom install-service --apply` does all of it, as root."
    )


def _write(plan: InstallPlan) -> None:
    for file in plan.files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_text(file.text, "utf-8")
        file.path.chmod(file.mode)
        typer.echo(f"wrote {file.path}")


def _carry_out(plan: InstallPlan) -> None:
    for command in plan.commands:
        typer.echo(f"run   {' '.join(command)}")
        try:
            done = subprocess.run(command, check=False, timeout=COMMAND_LIMIT_S)  # noqa: S603 - fixed words
        except (OSError, subprocess.TimeoutExpired) as error:
            typer.echo(f"      failed: {error}", err=True)
            raise typer.Exit(Exit.BAD) from error
        if done.returncode:
            typer.echo(f"      failed with exit code {done.returncode}", err=True)
            raise typer.Exit(Exit.BAD)
