"""`plantroom watch`: what is printed as alarms come and go, as lines and as JSON, and when nobody answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.cli.watch import _print_json, _print_lines


def alarm(rule: str, state: str = "active_unacked", **more: Any) -> dict[str, Any]:
    flags = dict.fromkeys(
        ("pending", "unknown", "suppressed", "silenced", "first_out", "chattering", "inhibited", "test"),
        False,
    )  # fmt: skip
    plain = {
        "rule": rule,
        "class": "fire",
        "state": state,
        "inhibited_by": "",
        "inhibited_left_s": None,
    }
    return {**flags, **plain, **more}


def body(*alarms: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "alarms", {"ts": 1_795_644_000_000, "rules": 7, "alarms": list(alarms)}


async def stream(*frames: tuple[str, dict[str, Any]]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    for frame in frames:
        yield frame


async def test_lines_tell_what_changed_and_nothing_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    smoke = alarm("smoke")
    out = alarm("leak", "normal", inhibited=True, inhibited_by="anna", inhibited_left_s=60.0)
    await _print_lines(
        stream(
            ("agent", {"answers": True, "message": ""}),
            body(),
            ("state", {}),
            body(smoke),
            body(smoke, out),
            body({**smoke, "state": "active_acked"}, {**out, "inhibited_left_s": 59.0}),
            body(alarm("smoke", test=True)),
            ("agent", {"answers": False, "message": "its loop hangs"}),
            body(),
        )
    )
    said = [line.partition("  ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "no alarms (7 rules watched)",
        "fire         smoke  active, unacked",
        "fire         leak  normal, inhibited by anna",
        "fire         smoke  active, acked",
        "test         smoke  active, unacked",
        "             leak  normal",
        "",
        "             smoke  normal",
    ]


async def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    await _print_json(stream(body(alarm("smoke")), ("state", {}), body()))
    rules = [
        [each["rule"] for each in json.loads(line)["alarms"]]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert rules == [["smoke"], []]


def test_it_says_plainly_that_no_agent_answers(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["watch", "--socket", str(tmp_path / "none.sock")])
    assert result.exit_code == 4
    assert "no such socket" in result.stderr
