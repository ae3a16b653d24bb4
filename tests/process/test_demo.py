"""The demo as a person starts it: everything seen, nothing lost, and a planted loss found out."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from tests.process.box import ROOT

pytestmark = pytest.mark.process

SECONDS = 25
"""The shortest round that holds every step (agent.simulate.scenario)."""


async def play(hamper: str, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.process.hampered",
        hamper,
        "demo",
        *words,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS + 30):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def judged(hamper: str) -> tuple[int, dict[str, Any]]:
    code, out, err = await play(hamper, "--for", str(SECONDS), "--json")
    assert out.startswith("{"), err
    return code, json.loads(out)


async def test_the_demo_loses_nothing_and_a_planted_loss_is_found_out() -> None:
    """Side by side, to spend the time once."""
    async with asyncio.TaskGroup() as tasks:
        clean = tasks.create_task(judged("none"), name="clean")
        lossy = tasks.create_task(judged("drop"), name="lossy")
    code, report = clean.result()
    assert code == 0, report["examples"]
    assert report["ok"] is True
    assert report["readings"]["delivered"] > 100
    assert report["readings"]["lost"] == report["events"]["lost"] == report["batches"]["lost"] == 0
    assert all(each["is_seen"] for each in (*report["alarms"], *report["outputs"]))
    code, report = lossy.result()
    assert code == 1
    assert report["ok"] is False
    assert report["readings"]["lost"] > 0


async def test_json_without_an_end_is_a_usage_fault() -> None:
    code, _, err = await play("none", "--json")
    assert code == 2
    assert "--for" in err
