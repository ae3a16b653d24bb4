"""`plantroom watch`: alarms as they come and go, live; a picture in a terminal, lines in a pipe."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from agent.cli.codes import Exit
from agent.cli.people import (
    JsonOption,
    SocketOption,
    alarm_table,
    hidden_words,
    is_shown,
    state_words,
)
from agent.cli.places import socket_path


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="Alarms as they come and go, until Ctrl-C.")(watch)


def watch(
    socket: SocketOption = None,
    as_json: JsonOption = False,
    for_s: Annotated[
        float | None, typer.Option("--for", min=0.1, help="End after so many seconds.")
    ] = None,
) -> None:
    """Watch the alarms."""
    from agent.local.client import AgentUnreachable

    if as_json:
        show = _print_json
    elif sys.stdout.isatty():
        show = _draw
    else:
        show = _print_lines
    try:
        asyncio.run(_run(show, socket_path(socket), for_s))
    except KeyboardInterrupt:
        raise typer.Exit(Exit.GOOD) from None
    except AgentUnreachable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.UNREACHABLE) from error


async def _run(show: Any, socket: Path, for_s: float | None) -> None:  # noqa: ANN401 - one of three
    from agent.local.client import AgentClient

    async with AgentClient(socket) as client:
        try:
            async with asyncio.timeout(for_s):
                await show(client.stream())
        except TimeoutError:
            return


async def _print_json(stream: AsyncIterator[tuple[str, dict[str, Any]]]) -> None:
    async for name, body in stream:
        if name == "alarms":
            typer.echo(json.dumps(body, ensure_ascii=False))


async def _print_lines(stream: AsyncIterator[tuple[str, dict[str, Any]]]) -> None:
    before: dict[str, str] | None = None
    async for name, body in stream:
        if name == "agent" and not body["answers"]:
            typer.echo(f"the agent does not answer: {body['message']}")
        if name != "alarms":
            continue
        now = {each["rule"]: _line(each) for each in body["alarms"]}
        if before is None and not now:
            typer.echo(f"{_clock(body)}  no alarms ({body['rules']} rules watched)")
        for rule, line in now.items():
            if (before or {}).get(rule) != line:
                typer.echo(f"{_clock(body)}  {line}")
        for rule in (before or {}).keys() - now.keys():
            typer.echo(f"{_clock(body)}  {'':<12} {rule}  normal")
        before = now


async def _draw(stream: AsyncIterator[tuple[str, dict[str, Any]]]) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        async for name, body in stream:
            if name == "agent" and not body["answers"]:
                live.update(Text(f"The agent does not answer: {body['message']}"), refresh=True)
            if name != "alarms":
                continue
            shown = [each for each in body["alarms"] if is_shown(each)]
            head = Text(f"{_clock(body)}  Ctrl-C ends", style="dim")
            main = (
                alarm_table(shown) if shown else Text(f"No alarms ({body['rules']} rules watched).")
            )
            live.update(Group(head, main, Text(hidden_words(body, show_all=False))), refresh=True)


def _line(alarm: dict[str, Any]) -> str:
    kind = "test" if alarm["test"] else alarm["class"]
    # how much is left of an inhibit changes all the time and is no news
    words = state_words({**alarm, "inhibited": False})
    taken_out = f", inhibited by {alarm['inhibited_by']}" if alarm["inhibited"] else ""
    return f"{kind:<12} {alarm['rule']}  {words}{taken_out}"


def _clock(body: dict[str, Any]) -> str:
    return datetime.fromtimestamp(body["ts"] / 1000).astimezone().strftime("%H:%M:%S")
