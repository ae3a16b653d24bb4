"""The demo's live picture fits the terminal, and the demo ends as a person expects."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import os
import signal
import sys

import pytest
from rich.console import Console
from rich.text import Text

from agent.cli.scene import scene
from agent.core.effects import AlarmState
from agent.local.view import AgentView
from tests.cli.plant import ROOT, invoke
from tests.local.room import CALM, VIEW

ADDRESSES = ("page     http://127.0.0.1:8080/", "broker   127.0.0.1:1883" + " and so on" * 20)
LINES = [Text(f"{number:6.1f} s  something happened " + "at length " * 20) for number in range(40)]
STANDING = [each for each in VIEW.alarms if each.state is not AlarmState.NORMAL]


def many(view: AgentView, times: int) -> AgentView:
    """Return the view with its alarms, outputs and points repeated."""
    return dataclasses.replace(
        view,
        alarms=view.alarms * times,
        outputs=view.outputs * times,
        points=view.points * times,
    )


def drawn(view: AgentView, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    picture = scene(
        view, title="Smoke", addresses=ADDRESSES, lines=LINES, width=width, height=height
    )
    with console.capture() as captured:
        console.print(picture)
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 15), (200, 100), (40, 16)])
@pytest.mark.parametrize("view", [VIEW, CALM, many(VIEW, 9)], ids=["alarms", "calm", "crowded"])
def test_the_picture_leaves_a_row_free_in_any_terminal(
    view: AgentView, width: int, height: int
) -> None:
    rows = drawn(view, width, height)
    assert len(rows) < height
    assert all(len(row) <= width for row in rows)


def test_what_does_not_fit_is_counted() -> None:
    rows = drawn(many(VIEW, 30), 80, 24)
    first = next(index for index, row in enumerate(rows) if row.startswith("│ class"))
    cut = next(index for index, row in enumerate(rows) if "more alarms" in row)
    assert f"{30 * len(STANDING) - (cut - first - 1)} more alarms" in rows[cut]
    assert any("more outputs" in row for row in rows)
    assert any("more points" in row for row in rows)


def test_a_narrow_terminal_shows_alarms_and_outputs_and_no_points() -> None:
    text = "\n".join(drawn(VIEW, 60, 24))
    assert STANDING[0].rule[:10] in text
    assert "output" in text
    assert "value" not in text


def test_ids_of_alarms_are_not_cut_at_eighty_columns() -> None:
    rule = dataclasses.replace(STANDING[0], rule="shed-overheating")
    rows = drawn(dataclasses.replace(VIEW, alarms=(rule,)), 80, 24)
    assert any("shed-overheating" in row for row in rows)


@pytest.mark.parametrize(
    ("config", "code", "says"),
    [("/nowhere.yaml", 78, "cannot be read"), (str(ROOT / "config/pump-room.yaml"), 78, "meters")],
)
def test_a_wrong_site_file_is_one_sentence(config: str, code: int, says: str) -> None:
    done = invoke("demo", "--for", "5", "--config", config)
    assert done.code == code
    assert says in done.err
    assert "Traceback" not in done.err


async def test_ctrl_c_ends_the_demo_with_a_good_verdict_at_any_moment() -> None:
    """To the whole foreground group, as a terminal sends it: the broker must not go first."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "demo", "--for", "60", "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await asyncio.sleep(5.0)  # the leak has begun, what must follow is not due yet
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(6.0):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (out, err)
    report = json.loads(out)
    assert report["ok"] is True
    assert report["readings"]["delivered"] > 0
