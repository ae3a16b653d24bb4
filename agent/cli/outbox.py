"""`plantroom outbox`: what is kept on disk; checked, exported, tried again, purged.

`stat` asks the agent where one answers. `verify` and `export` read the files, on a live box too. `retry`
and `purge` write, so they want a box whose agent is stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agent.cli.codes import Exit
from agent.cli.places import DATA, data_dir, socket_path
from agent.cli.read import wide_console

if TYPE_CHECKING:
    from agent.outbox.shelf import Shelf


class Lanes(StrEnum):
    """What to export or remove."""

    EVENT = "event"
    TELEMETRY = "telemetry"


class Format(StrEnum):
    """How to write records."""

    JSONL = "jsonl"
    CSV = "csv"


DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder.", show_default=DATA, envvar="PLANTROOM_DATA"),
]
BoxOption = Annotated[
    str, typer.Option("--box", help="Which box, when the folder has several.", show_default="")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", help="The agent's Unix socket.", envvar="PLANTROOM_SOCKET"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    outbox = typer.Typer(
        name="outbox", help="What is kept on disk until it was sent.", no_args_is_help=True
    )
    outbox.command(help="How much is kept, how old, and what each uplink still has to send.")(stat)
    outbox.command(help="Read every record and name what is damaged. Exit 1 when something is.")(
        verify
    )
    outbox.command(help="Print the stored events or readings, oldest first.")(export)
    outbox.command(
        help="Send again what no broker would take (it lies in quarantine). Agent stopped."
    )(retry)
    outbox.command(
        help="Remove what is stored; the cloud is told of the gap. Unsent events only with --force. "
        "Agent stopped."
    )(purge)
    app.add_typer(outbox)


def stat(
    data: DataOption = None,
    box: BoxOption = "",
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the figures: of the running agent, else of the files."""
    body = None if data is not None else _ask_agent(socket)
    if body is None:
        from agent.cli.outbox_rows import stored_stats

        body = stored_stats(shelf_of(data, box))
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        _print_stat(body)
    raise typer.Exit(Exit.GOOD if body["writable"] is not False else Exit.BAD)


def verify(data: DataOption = None, box: BoxOption = "", as_json: JsonOption = False) -> None:
    """Read all files; exit 1 when records are lost."""
    shelf = shelf_of(data, box)
    is_live = bool(owner_of(shelf))
    records, damages = 0, [f"{each.lane}/{each.file}: missing" for each in _missing(shelf, is_live)]
    files = shelf.files()
    with _bar(len(files), "verify") as step:
        for lane, number in files:
            try:
                looked = shelf.look(lane, number, is_live=is_live)
            except FileNotFoundError:
                continue  # the agent removed it meanwhile
            except OSError as error:
                damages.append(f"{lane}/{number}: {error.strerror}")
            else:
                records += looked.segment.records if looked.segment else 0
                damages += [_damage_words(looked.file, each) for each in looked.damages]
            step()
    body = {"files": len(files), "records": records, "damages": damages, "live": is_live}
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        for each in damages:
            typer.echo(each)
        found = f"{len(damages)} damaged places" if damages else "no damage"
        typer.echo(f"{records} records in {len(files)} files: {found}.")
        if shelf.set_aside():
            typer.echo(f"{shelf.set_aside()} pieces lie in {shelf.root / 'quarantine'}.")
    raise typer.Exit(Exit.BAD if damages else Exit.GOOD)


def export(
    data: DataOption = None,
    box: BoxOption = "",
    lane: Annotated[Lanes, typer.Option("--lane", help="Events or readings.")] = Lanes.EVENT,
    form: Annotated[
        Format, typer.Option("--format", help="jsonl: as on MQTT; csv: a table.")
    ] = Format.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")
    ] = None,
) -> None:
    """Write records of one lane, oldest first."""
    from agent.cli.outbox_rows import write_records

    shelf = shelf_of(data, box)
    files = [each for each in shelf.files() if each[0].value == lane.value]
    try:
        with _opened(output) as target, _bar(len(files), "export", output is not None) as step:
            count, unreadable = write_records(shelf, files, form, target, step)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.GOOD) from None
    except OSError as error:
        typer.echo(f"cannot write: {error.strerror}: {error.filename or ''}", err=True)
        raise typer.Exit(Exit.BAD) from error
    told = f", {unreadable} that this version cannot read left out" if unreadable else ""
    typer.echo(f"{count} records{told}.", err=True)
    raise typer.Exit(Exit.BAD if unreadable else Exit.GOOD)


def retry(data: DataOption = None, box: BoxOption = "", as_json: JsonOption = False) -> None:
    """Put refused records back, as new ones in smaller batches."""
    from agent.cli.outbox_work import put_back

    shelf = shelf_of(data, box)
    refused = shelf.refused()
    if refused:
        _own(shelf)
        try:
            asyncio.run(put_back(shelf, refused))
        except OSError as error:
            typer.echo(f"nothing was put back: {error}", err=True)
            raise typer.Exit(Exit.BAD) from error
    if as_json:
        typer.echo(json.dumps({"put_back": len(refused)}))
    elif refused:
        typer.echo(f"{len(refused)} records go out again when the agent starts.")
    else:
        typer.echo("Nothing was refused.")
    raise typer.Exit(Exit.GOOD)


def purge(
    lane: Annotated[Lanes, typer.Argument(help="What goes: event or telemetry.")],
    data: DataOption = None,
    box: BoxOption = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also events no uplink has delivered yet.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove stored records and record the gap."""
    from agent.cli.outbox_work import remove
    from agent.outbox.records import Lane

    shelf = shelf_of(data, box)
    _own(shelf)
    what = "telemetry not sent yet" if lane is Lanes.TELEMETRY else "events already sent"
    what = "all events, sent or not" if force and lane is Lanes.EVENT else what
    unsent_too = force or lane is Lanes.TELEMETRY
    if not yes and not typer.confirm(f"Remove {what} of {shelf.root}?"):
        typer.echo("Nothing was removed.", err=True)
        raise typer.Exit(Exit.BAD)
    try:
        count = asyncio.run(remove(shelf, Lane(lane.value), unsent_too=unsent_too))
    except OSError as error:
        typer.echo(f"not everything was removed: {error}", err=True)
        raise typer.Exit(Exit.BAD) from error
    if as_json:
        typer.echo(json.dumps({"removed": count}))
    else:
        typer.echo(f"{count} records removed. What was unsent is told to the cloud as a gap.")
    raise typer.Exit(Exit.GOOD)


# -- inside -----------------------------------------------------------------------------------------


def shelf_of(data: Path | None, box: str) -> Shelf:
    """Return the outbox a person means; ends the command where that cannot be told."""
    from agent.outbox.shelf import Shelf, boxes

    folder = (data or data_dir(None) or Path(DATA)) / "outbox"
    try:
        names = boxes(folder)
    except OSError as error:
        typer.echo(f"{folder} cannot be read: {error.strerror} (sudo?)", err=True)
        raise typer.Exit(Exit.BAD) from error
    if box and box not in names:
        names = []
    if not names:
        typer.echo(
            f"{folder}: no outbox{f' of {box}' if box else ''} here; --data names the folder"
        )
        raise typer.Exit(Exit.USAGE)
    if not box and len(names) > 1:
        typer.echo(f"{folder} has {', '.join(names)}: say which with --box", err=True)
        raise typer.Exit(Exit.USAGE)
    return Shelf(folder / (box or names[0]))


def owner_of(shelf: Shelf) -> str:
    """Return who keeps records in an outbox now; empty when nobody does."""
    try:
        return shelf.owner()
    except OSError:
        return "unknown"


def _own(shelf: Shelf) -> None:
    """Refuse while an agent writes here, and write as the user whose files they are."""
    owner = owner_of(shelf)
    if owner:
        typer.echo(
            f"the agent (process {owner}) keeps its records here: stop it first "
            "(sudo systemctl stop plantroom)",
            err=True,
        )
        raise typer.Exit(Exit.BAD)
    if shelf.positions() is None:
        typer.echo(
            f"{shelf.root}: where the uplinks stand cannot be read; start the agent once first",
            err=True,
        )
        raise typer.Exit(Exit.BAD)
    there = shelf.root.stat()
    if os.geteuid() == there.st_uid:
        return
    if os.geteuid() != 0:
        typer.echo(f"{shelf.root} belongs to another user: use sudo", err=True)
        raise typer.Exit(Exit.BAD)
    os.setegid(there.st_gid)
    os.seteuid(there.st_uid)


def _ask_agent(socket: Path | None) -> dict[str, Any] | None:
    from agent.local.client import AgentClient, AgentUnreachable

    async def ask() -> dict[str, Any]:
        async with AgentClient(socket_path(socket)) as client:
            return await client.get("/api/v1/status")

    try:
        answer = asyncio.run(ask())
    except AgentUnreachable:
        return None
    body = answer.get("outbox")
    return {"live": True, **body} if isinstance(body, dict) else None


def _missing(shelf: Shelf, is_live: bool) -> list[Any]:
    return [] if is_live else shelf.missing()


def _damage_words(file: str, damage: Any) -> str:  # noqa: ANN401 - a Damage, loaded late
    span = ""
    if damage.first_seq is not None:
        last = "?" if damage.last_seq is None else damage.last_seq
        span = f", stream {damage.stream} from {damage.first_seq} to {last}"
    return f"{file}: {damage.reason}{span}"


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    with output.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _bar(total: int, what: str, is_shown: bool = True) -> Iterator[Any]:
    console = Console(stderr=True)
    with Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} files"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (is_shown and console.is_terminal),
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


def _print_stat(body: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("lane", "unsent", "bytes on disk", "oldest", "dropped"):
        table.add_column(name)
    for lane in body["lanes"]:
        dropped = ", ".join(f"{count} {why}" for why, count in lane["dropped"].items()) or "none"
        table.add_row(
            lane["lane"], str(lane["records"]), f"{lane['bytes']:,}", _time(lane["oldest"]), dropped
        )
    wide_console().print(table)
    for uplink, count in body["unsent"].items():
        typer.echo(f"{uplink}: {count} records to send")
    if body.get("bytes_today") is not None:
        typer.echo(f"{body['bytes_today']:,} bytes written today (UTC)")
    if body.get("outage_days") is not None:
        typer.echo(f"room for {body['outage_days']:.1f} days of outage at the present rate")
    if body["writable"] is False:
        typer.echo(f"cannot write: {body['fault']}")
    if not body["live"]:
        typer.echo("The agent does not run here (or does not answer); this is what its files say.")


def _time(wall_ms: int | None) -> str:
    from agent.cli.outbox_rows import iso

    return "-" if wall_ms is None else iso(wall_ms)
