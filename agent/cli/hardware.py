"""What every command does before it opens hardware: read the site file, and look for an owner."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from agent.cli.codes import Exit
from agent.cli.overrides import NotAnOverride, read_overrides
from agent.cli.places import config_path, run_dir
from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from agent.local.client import AgentClient, AgentUnreachable
from drivers.errors import PortUnavailable

_NOBODY = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR})
"""Answers of connect(2) on a socket behind which there is no process."""


def refuse(message: str, code: Exit = Exit.UNREACHABLE) -> NoReturn:
    """Say why not, and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def load_wires(config: Path | None, overrides: Sequence[str] | None) -> LoadedSite:
    """Return the site without its uplinks: their passwords are nothing for who looks at wires.

    Exits with 2 for an override that is none, with 78 for a file with faults.
    """
    try:
        sets = read_overrides(overrides or ())
    except NotAnOverride as error:
        refuse(str(error), Exit.USAGE)
    wires = {path: value for path, value in sets.items() if path.split(".")[0] != "uplinks"}
    wires["uplinks"] = "[]"
    try:
        return load_site(
            config_path(config), sets=wires, run_dir=run_dir(None), env=dict(os.environ)
        )
    except ConfigError as error:
        for fault in error.faults:
            typer.echo(str(fault), err=True)
        raise typer.Exit(Exit.CONFIGURATION) from error


def refuse_if_agent_runs(site: LoadedSite) -> None:
    """Exit with 4 while an agent answers for this site, or is there and does not say for which."""
    socket = site.local.socket
    if socket is None:
        return
    try:
        answer = asyncio.run(_ask(socket))
    except AgentUnreachable as error:
        if getattr(error.__cause__, "errno", None) in _NOBODY:
            return
        refuse(
            f"something holds {socket} and does not answer you: an agent that runs as another user, or "
            "one that hangs. It may own the ports. Ask it as its own user: sudo plantroom status"
        )
    named = (answer.get("site"), answer.get("box"))
    if named == (site.spec.site, site.spec.box) or None in named:
        refuse(
            f"the agent runs for {site.spec.site} / {site.spec.box} and owns its ports; two masters on "
            "one line take each other's answers. `plantroom status` shows what it reads; to go on "
            "here, stop it first: sudo systemctl stop plantroom"
        )


def warn_if_agent_runs(socket: Path) -> None:
    """Say that an agent is there, for ports that stand in no site file; a serial port is locked anyway."""
    try:
        asyncio.run(_ask(socket))
    except AgentUnreachable as error:
        if getattr(error.__cause__, "errno", None) in _NOBODY:
            return
    typer.echo(
        "an agent runs on this box; if it polls this address, stop it first: two masters on one gateway "
        "hold each other up",
        err=True,
    )


def said(error: PortUnavailable) -> str:
    """Return what is wrong with a port, in an installer's words."""
    if "exclusively lock" in error.message:
        return "another program holds the port; if it is the agent: plantroom status"
    if "Permission denied" in error.message:
        return f"{error.message} (serial ports belong to group dialout, GPIO chips to group gpio)"
    if "No such file or directory" in error.message:
        return "there is no such port; `ls /dev/serial/by-id/` lists the adapters plugged in"
    return error.message


async def _ask(socket: Path) -> dict[str, Any]:
    async with AgentClient(socket) as client:
        return await client.get("/api/v1/status")
