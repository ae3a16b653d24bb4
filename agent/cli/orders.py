"""What people order for a time or by hand: inhibit, drill, restore, output tests, the mode of linkage."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

import typer

from agent.cli.codes import Exit
from agent.cli.people import ActorOption, JsonOption, SocketOption, send_command

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_UNIT_S = {"": 60.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

ForOption = Annotated[
    str | None,
    typer.Option("--for", help="How long: 30m, 2h, 1h30m, 7d; a bare number is minutes."),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="Until when, by this machine's clock: 18:30.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stands in the event.")]

output_app = typer.Typer(help="Test an output.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(help="Take a rule, or all rules of a point, out for a time (屏蔽).")(inhibit)
    app.command(help="Take a rule or point in again before its time.")(uninhibit)
    app.command(help="Give back what was cut. Only here, at the box; its alarms must be reset.")(
        restore
    )
    app.command(help="Start a drill in zones or points for a time, or end it.")(drill)
    app.command(help="Let linkage to fans, pumps and valves act by itself, or wait for a person.")(
        mode
    )
    app.add_typer(output_app, name="output")


def inhibit(
    target: Annotated[str, typer.Argument(help="A rule id, or a point id for all its rules.")],
    reason: ReasonOption = "",
    for_: ForOption = None,
    until: UntilOption = None,
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a rule out: it raises no alarm until the time is over."""
    fields = {"name": "inhibit", "target": target, "actor": actor, "reason": reason}
    send_command({**fields, "duration_s": seconds_of(for_, until)}, socket, as_json)


def uninhibit(
    target: Annotated[str, typer.Argument(help="A rule id or a point id.")],
    reason: ReasonOption = "",
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a rule in again."""
    fields = {"name": "uninhibit", "target": target, "actor": actor, "reason": reason}
    send_command(fields, socket, as_json)


def restore(
    output: Annotated[str, typer.Argument(help="The output's id.")],
    reason: ReasonOption = "",
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give power back after somebody has looked."""
    fields = {"name": "restore", "target": output, "actor": actor, "reason": reason}
    send_command(fields, socket, as_json)


def drill(
    what: Annotated[str, typer.Argument(help="start or stop.")],
    scope: Annotated[list[str] | None, typer.Argument(help="With start: zones and points.")] = None,
    for_: ForOption = None,
    until: UntilOption = None,
    with_linkage: Annotated[
        bool, typer.Option("--with-linkage", help="Sirens and equipment act as in earnest.")
    ] = False,
    reason: ReasonOption = "",
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start or end a drill; at most 4 hours."""
    if what not in ("start", "stop"):
        typer.echo("drill start <zones and points> --for 1h, or drill stop", err=True)
        raise typer.Exit(Exit.USAGE)
    fields: dict[str, object] = {"name": "drill", "actor": actor, "reason": reason}
    fields["is_on"] = what == "start"
    if what == "start":
        fields |= {"scope": scope or [], "with_linkage": with_linkage}
        fields["duration_s"] = seconds_of(for_, until)
    send_command(fields, socket, as_json)


def mode(
    wanted: Annotated[str, typer.Argument(help="auto or manual.")],
    reason: ReasonOption = "",
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Switch the mode of linkage."""
    fields = {"name": "mode", "mode": wanted, "actor": actor, "reason": reason}
    send_command(fields, socket, as_json)


@output_app.command("test", help="Make an output active for a short time.")
def sound_out(
    output: Annotated[str, typer.Argument(help="The output's id.")],
    for_: ForOption = "3s",
    stop: Annotated[bool, typer.Option("--stop", help="End a test that runs.")] = False,
    actor: ActorOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test an output."""
    fields: dict[str, object] = {"name": "output", "target": output, "actor": actor}
    fields["is_on"] = not stop
    if not stop:
        fields["duration_s"] = seconds_of(for_, None)
    send_command(fields, socket, as_json)


def seconds_of(for_: str | None, until: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that `--for` or `--until` mean, None for neither; ends the command at nonsense.

    `now` is a local time; left out: this moment.
    """
    if for_ is not None and until is not None:
        raise typer.BadParameter("give --for or --until, not both")
    if until is not None:
        return _seconds_until(until, now or datetime.now().astimezone())  # noqa: TID251 - a person's clock
    if for_ is None:
        return None
    parts = _PART.findall(for_)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != for_.replace(" ", ""):
        raise typer.BadParameter(f"'{for_}' is no time; like 30m, 2h, 1h30m, 7d")
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _seconds_until(until: str, now: datetime) -> float:
    try:
        hours, minutes = (int(part) for part in until.split(":"))
        end = now.replace(hour=hours, minute=minutes, second=0, microsecond=0)
    except ValueError as error:
        raise typer.BadParameter(f"'{until}' is no time of day; like 18:30") from error
    if end <= now:
        end += timedelta(days=1)
    return (end - now).total_seconds()
