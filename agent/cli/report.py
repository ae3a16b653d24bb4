"""`plantroom report`: what a month came to, from the journal of the box."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from agent.cli.codes import Exit
from agent.cli.outbox import BoxOption, DataOption, JsonOption, owner_of, shelf_of
from agent.cli.places import config_path

if TYPE_CHECKING:
    from agent.core.effects import Event
    from agent.outbox.shelf import Shelf
    from agent.report.figures import Month


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help="What a month came to: availability, alarms, responses, drills, inhibits.")(
        report
    )


def report(
    month: Annotated[
        str | None, typer.Option("--month", help="2026-11.", show_default="this month")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="The site file.", show_default="/etc/plantroom/site.yaml"),
    ] = None,
    data: DataOption = None,
    box: BoxOption = "",
    lang: Annotated[
        str, typer.Option("--lang", help="en or zh.", envvar="LANG", show_default="LANG")
    ] = "en",
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a page here.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a table here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the report of a month, or write it into files."""
    from agent.config.faults import ConfigError
    from agent.config.load import load_site
    from agent.local.terms import Words, choose_lang
    from agent.report.dating import dated
    from agent.report.pages import html, sections, table
    from agent.report.tally import month_report

    try:
        # Without uplinks no secret is needed, and the report tells nothing of them.
        site = load_site(config_path(config), sets={"uplinks": "[]"}, data_dir=data)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(Exit.CONFIGURATION) from error
    zone = ZoneInfo(site.timezone)
    now = datetime.now(UTC)  # noqa: TID251 - a person's question, asked now
    bounds = month_of(month or now.astimezone(zone).strftime("%Y-%m"), zone)
    shelf = shelf_of(site.outbox.directory.parent, box or site.spec.box)
    now_ms = round(now.timestamp() * 1000)
    figures = month_report(
        dated(_journal(shelf), now_ms), site.spec, bounds, now_ms, is_running=bool(owner_of(shelf))
    )
    words = Words(choose_lang(lang.replace("_", "-").partition(".")[0], ""))
    if html_file is not None:
        html_file.write_text(html(figures, words), "utf-8")
    if csv_file is not None:
        csv_file.write_text(table(figures, words), "utf-8")
    if as_json:
        typer.echo(json.dumps(asdict(figures), ensure_ascii=False))
    elif html_file is None and csv_file is None:
        console = Console()
        console.print(
            f"[bold]{words('report.title')} {bounds.name}[/]  {site.spec.site} / {site.spec.box}"
        )
        for title, rows in sections(figures, words):
            drawn = Table(title=title, title_justify="left", show_header=False, box=None)
            for what, said in rows or ((words("page.none"), ""),):
                drawn.add_row(what, said)
            console.print(drawn)


def month_of(name: str, zone: ZoneInfo) -> Month:
    """Return the bounds of a month like 2026-11 in a time zone; ends the command at nonsense."""
    from agent.report.figures import Month

    try:
        first = datetime.strptime(name, "%Y-%m").replace(tzinfo=zone)
    except ValueError as error:
        raise typer.BadParameter(f"'{name}' is no month; like 2026-11") from error
    years, months = divmod(first.year * 12 + first.month, 12)
    following = first.replace(year=years, month=months + 1)
    return Month(
        name=first.strftime("%Y-%m"),
        from_ms=round(first.timestamp() * 1000),
        until_ms=round(following.timestamp() * 1000),
    )


def _journal(shelf: Shelf) -> list[tuple[str, Event]]:
    from agent.outbox.records import EventRecord, Lane

    return [
        (record.boot, record.event)
        for lane, number in sorted(shelf.files())
        if lane is Lane.EVENT
        for _, record, _why in shelf.records(lane, number)
        if isinstance(record, EventRecord)
    ]
