"""What duty staff type: status, alarms, ack, silence, reset. All of it over the agent's socket."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.cli.codes import Exit
from agent.cli.places import socket_path
from agent.cli.read import wide_console

SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", help="The agent's Unix socket.", envvar="PLANTROOM_SOCKET"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ActorOption = Annotated[
    str, typer.Option("--actor", help="Who asks; stands in the event.", show_default="login name")
]
TargetArgument = Annotated[str, typer.Argument(help="The alarm's rule id.")]

_STYLES = {"fire": "bold red", "gas": "bold red", "supervisory": "yellow", "fault": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="What the agent is and how it does.")(status)
    app.command(help="Every alarm that is not at rest.")(alarms)
    app.command(help="Say that a person has seen an alarm. Buzzers stop, sirens go on.")(ack)
    app.command(help="Stop the sirens of an alarm until the next one.")(silence)
    app.command(help="End a latched alarm whose cause is gone and that was acknowledged.")(reset)


def status(socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Print the status; exit 1 when something is not in order."""
    body = _get("/api/v1/status", socket)
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        _print_status(body)
    is_well = body["ready"] and not sum(body["alarms"]["standing"].values())
    raise typer.Exit(Exit.GOOD if is_well else Exit.BAD)


def alarms(
    socket: SocketOption = None,
    as_json: JsonOption = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Also what is pending, hidden or unknown.")
    ] = False,
) -> None:
    """Print the alarms; exit 1 when there is one."""
    body = _get("/api/v1/alarms", socket)
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        _print_alarms(body, show_all)
    raise typer.Exit(Exit.BAD if sum(body["standing"].values()) else Exit.GOOD)


def ack(
    target: TargetArgument,
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge an alarm."""
    send_command({"name": "ack", "target": target, "actor": actor}, socket, as_json)


def silence(
    target: TargetArgument,
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Silence an alarm's sounders."""
    send_command({"name": "silence", "target": target, "actor": actor}, socket, as_json)


def reset(
    target: TargetArgument,
    code: Annotated[
        str, typer.Option("--code", help="What it was: real, false, test or maintenance.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", help="With --code false: what caused it.")
    ] = "",
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reset a latched alarm."""
    fields = {"name": "reset", "target": target, "actor": actor, "code": code, "reason": reason}
    send_command(fields, socket, as_json)


def send_command(fields: Mapping[str, object], socket: Path | None, as_json: bool) -> None:
    """Send a command, print how it ended and end: 0 done, 1 refused, 4 nobody answers."""
    asked = {**fields, "actor": fields["actor"] or getpass.getuser()}

    from agent.local.client import AgentClient

    async def send() -> dict[str, Any]:
        async with AgentClient(socket_path(socket)) as client:
            return await client.command(asked)

    outcome = _reach(send())
    if as_json:
        typer.echo(json.dumps(outcome, ensure_ascii=False))
    elif outcome["ok"]:
        typer.echo(outcome["message"])
    else:
        typer.echo(f"Refused ({outcome['code']}): {outcome['message']}", err=True)
    raise typer.Exit(Exit.GOOD if outcome["ok"] else Exit.BAD)


def _get(path: str, socket: Path | None) -> dict[str, Any]:
    from agent.local.client import AgentClient

    async def ask() -> dict[str, Any]:
        async with AgentClient(socket_path(socket)) as client:
            return await client.get(path)

    return _reach(ask())


def _reach(asking: Any) -> dict[str, Any]:  # noqa: ANN401 - a coroutine of whatever kind
    from agent.local.client import AgentUnreachable

    try:
        answer: dict[str, Any] = asyncio.run(asking)
    except AgentUnreachable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.UNREACHABLE) from error
    if "error" in answer or answer.get("code") in ("agent_silent", "agent_failed"):
        typer.echo(answer.get("message", "the agent does not answer"), err=True)
        raise typer.Exit(Exit.UNREACHABLE)
    return answer


def _print_alarms(body: dict[str, Any], show_all: bool) -> None:
    shown = [each for each in body["alarms"] if show_all or is_shown(each)]
    if shown:
        wide_console().print(alarm_table(shown))
    else:
        typer.echo(f"No alarms ({body['rules']} rules watched).")
    if hidden := hidden_words(body, show_all=show_all):
        typer.echo(hidden)


def alarm_table(shown: list[dict[str, Any]]) -> Table:
    """Return alarms of the API as a table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("class", no_wrap=True)
    table.add_column("alarm", overflow="fold")
    for name in ("state", "value", "zone", "acknowledged by"):
        table.add_column(name)
    for alarm in shown:
        style = _STYLES.get(alarm["class"], "")
        table.add_row(
            Text("test", style="cyan") if alarm["test"] else Text(alarm["class"], style=style),
            alarm["rule"],
            state_words(alarm),
            _value_words(alarm),
            alarm["zone"],
            alarm["actor"],
        )
    return table


def hidden_words(body: dict[str, Any], *, show_all: bool) -> str:
    """Return what is not in the table of alarms and should be known, or nothing."""
    hidden = [
        f"{body[name]} {words}"
        for name, words in (
            ("pending", "with their delay running"),
            ("suppressed", "hidden by a parent fault"),
            ("unknown", "that cannot be told"),
        )
        if body[name] and not show_all
    ]
    return f"Besides: {', '.join(hidden)} (--all shows them)." if hidden else ""


def is_shown(alarm: dict[str, Any]) -> bool:
    """Return whether an alarm is for everybody to see: it stands, is a test, or was taken out."""
    return (alarm["state"] != "normal" and not alarm["suppressed"]) or alarm["inhibited"]


def _print_status(body: dict[str, Any]) -> None:
    console = Console()
    ready = "ready" if body["ready"] else f"[yellow]not ready: {'; '.join(body['not_ready'])}[/]"
    console.print(
        f"[bold]{body['site']} / {body['box']}[/]  plantroom {body['version']}  {ready}",
        highlight=False,
    )
    standing = {name: count for name, count in body["alarms"]["standing"].items() if count}
    words = ", ".join(f"{count} {name}" for name, count in standing.items()) or "none"
    console.print(f"alarms   {words}", highlight=False)
    for bus in body["buses"]:
        off = [device["device"] for device in bus["devices"] if not device["online"]]
        state = "answers" if bus["online"] else "[yellow]does not answer[/]"
        silent = f", [yellow]silent: {', '.join(off)}[/]" if off else ""
        console.print(f"bus      {bus['bus']} ({bus['kind']}) {state}{silent}", highlight=False)
    for uplink in body["uplinks"]:
        state = "connected" if uplink["connected"] else f"[yellow]away: {uplink['reason']}[/]"
        console.print(f"uplink   {uplink['uplink']} {uplink['broker']} {state}", highlight=False)
    orders = body["orders"]
    if orders["mode"] == "manual":
        console.print("linkage  [yellow]manual: fans, pumps and valves wait for a person[/]")
    if orders["drill_left_s"] is not None:
        where, minutes = ", ".join(orders["drill_scope"]), round(orders["drill_left_s"] / 60)
        console.print(f"drill    [cyan]running in {where}, {minutes} min left[/]")
    if orders["cut"]:
        console.print(f"cut      [yellow]{', '.join(orders['cut'])}: plantroom restore[/]")
    if body["alarms"]["inhibited"]:
        console.print(f"inhibits [yellow]{body['alarms']['inhibited']} rules taken out[/]")
    outbox = body["outbox"]
    if outbox is not None:
        state = "writable" if outbox["writable"] else f"[yellow]{outbox['fault']}[/]"
        unsent = sum(outbox["unsent"].values())
        console.print(f"outbox   {state}, {unsent} records unsent", highlight=False)


def state_words(alarm: dict[str, Any]) -> str:
    """Return the state of an alarm and what marks it."""
    words = [alarm["state"].replace("_", ", ")]
    flags = ("pending", "unknown", "suppressed", "silenced", "first_out", "chattering")
    words += [flag.replace("_", " ") for flag in flags if alarm[flag]]
    if alarm["inhibited"]:
        minutes = round((alarm["inhibited_left_s"] or 0) / 60)
        words.append(f"inhibited by {alarm['inhibited_by']}, {minutes} min left")
    return ", ".join(words)


def _value_words(alarm: dict[str, Any]) -> str:
    if alarm["value"] is None:
        return alarm["quality"] or ""
    if isinstance(alarm["value"], bool):
        return "on" if alarm["value"] else "off"
    value = alarm["value"]
    number = f"{value:g}" if isinstance(value, (int, float)) else str(value)
    return f"{number} {alarm['unit']}".strip()
