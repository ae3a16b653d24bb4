"""`plantroom report` over the journal of a box: terminal, page, table, JSON; wrong use."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import typer
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.cli.report import month_of
from agent.config.load import load_site
from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass
from drivers.clock import ClockState, Stamp
from tests.outbox.room import make, running

SHANGHAI = ZoneInfo("Asia/Shanghai")
SITE = """\
version: 1
site: riverside
box: box
buses: [{id: pins, type: gpio}]
inputs: [{id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}]
rules: [{id: fire, class: fire, when: {point: smoke, is: active}}]
uplinks: [{id: cloud, host: localhost, password: {secret: not-here}}]
"""


def event(day: int, **more: object) -> Event:
    begin = month_of("2026-11", SHANGHAI).from_ms
    at = Stamp(0.0, begin + day * 86_400_000, ClockState.SYNCED)
    plain: dict[str, object] = {"kind": EventKind.ALARM, "subject": "x", "at": at}
    return Event(**{**plain, **more})  # type: ignore[arg-type]


@pytest.fixture
def box(tmp_path: Path) -> tuple[Path, Path]:
    """A site file and the data folder of a box that has stopped."""
    asyncio.run(fill(tmp_path))
    return tmp_path / "site.yaml", tmp_path / "data"


async def fill(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(SITE, "utf-8")
    site = load_site(config, sets={"uplinks": "[]"}, data_dir=tmp_path / "data")
    fire: dict[str, object] = {"rule": "fire", "alarm_class": AlarmClass.FIRE, "point": "smoke"}
    made = make(site.outbox.directory)
    async with running(made):
        for each in (
            event(0, kind=EventKind.SYSTEM, to_state="started"),
            event(1, **fire, from_state="normal", to_state="active_unacked"),
            event(2, **fire, from_state="active_unacked", to_state="latched_acked", actor="anna"),
            event(
                3, **fire, from_state="latched_acked", to_state="normal", actor="anna", code="real"
            ),
        ):
            made.append(each)


def ask(box: tuple[Path, Path], *more: str) -> str:
    config, data = box
    arguments = ["report", "--month", "2026-11", "--config", str(config), "--data", str(data)]
    result = CliRunner().invoke(app, [*arguments, *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_report_is_printed_in_both_languages(box: tuple[Path, Path]) -> None:
    english = ask(box, "--lang", "en")
    assert "Good rate of points" in english
    assert "real alarm" in english
    assert "完好率" in ask(box, "--lang", "zh_CN.UTF-8")


def test_the_report_as_json_has_the_figures(box: tuple[Path, Path]) -> None:
    figures = json.loads(ask(box, "--json"))
    assert figures["alarms"]["fire"] == 1
    assert figures["closed"] == {"real": 1}
    assert figures["to_ack"]["median_s"] == 86_400


def test_page_and_table_are_written_into_files(box: tuple[Path, Path], tmp_path: Path) -> None:
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    assert ask(box, "--html", str(page), "--csv", str(table)) == ""
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert table.read_text("utf-8").count("\n") > 10


def test_a_month_lies_in_the_sites_time_zone_and_december_ends_with_the_year() -> None:
    december = month_of("2026-12", SHANGHAI)
    assert december.until_ms - december.from_ms == 31 * 86_400_000
    assert december.from_ms == month_of("2026-12", ZoneInfo("UTC")).from_ms - 8 * 3_600_000
    with pytest.raises(typer.BadParameter):
        month_of("november", SHANGHAI)
