"""What duty staff type, against the real process: every order once, what it prints, what the box then does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.commands import app
from drivers.tasks import TaskGroup
from tests.process.box import Box, run_box

pytestmark = pytest.mark.process

SMOKE_PIN, SHED_PIN, SIREN_PIN, POWER_PIN, FAN_PIN = 17, 27, 23, 24, 25
LIMIT_S = 5.0

SITE = """\
version: 1
site: riverside
box: plantroom-1
zones: [{id: hall}, {id: shed}]
buses: [{id: pins, type: gpio, chip: 0, poll_ms: 20}]
inputs:
  - {id: hall.smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed, debounce_ms: 0, zone: hall}
  - {id: shed.smoke, bus: pins, pin: 27, kind: smoke, contact: normally-closed, debounce_ms: 0, zone: shed}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 23, zone: hall}
  - {id: power, kind: cut-off, bus: pins, pin: 24, zone: shed}
  - {id: fan, kind: relay, bus: pins, pin: 25, zone: hall}
rules:
  - {id: smoke, class: fire, when: {point: hall.smoke, is: active}}
  - {id: shed-fire, class: fire, when: {point: shed.smoke, is: active}}
linkage:
  - {id: evacuation, classes: [fire], outputs: [siren]}
  - {id: shed-power, rules: [shed-fire], outputs: [power]}
  - {id: smoke-out, rules: [smoke], outputs: [fan]}
faults: {after_s: 1}
local: {port: 0}
time: {source: assume-synced}
"""


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    (tmp_path / "site.yaml").write_text(SITE, "utf-8")
    async with run_box(tmp_path) as running:
        await running.ready()
        await running.page()
        yield running


async def type_in(box: Box, *words: str, code: int = 0) -> str:
    """Type a command at the box; return what it said."""
    arguments = [*words, "--socket", str(box.socket_path)]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert result.exit_code == code, f"{words}: {result.output}"
    return result.output


async def until_alarms(box: Box, rule: str, state: str) -> None:
    """Wait until the command line tells an alarm in a state; `normal`: none of that rule."""
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(LIMIT_S):
            while found.get(rule, "normal") != state:
                said = await asyncio.to_thread(
                    CliRunner().invoke, app, ["alarms", "--json", "--socket", str(box.socket_path)]
                )
                found = {each["rule"]: each["state"] for each in json.loads(said.output)["alarms"]}
    except TimeoutError:
        raise AssertionError(f"{rule} not {state}: {found}\n{box.log}") from None


async def test_a_fire_from_alarm_to_restored_power(box: Box) -> None:
    assert "No alarms" in await type_in(box, "alarms")
    await box.drive(SHED_PIN, True)
    await box.until_level(SIREN_PIN, True, LIMIT_S)
    await box.until_level(POWER_PIN, False, LIMIT_S)  # drops out to cut
    assert "shed-fire" in await type_in(box, "alarms", code=1)
    assert "condition_holds" in await type_in(box, "reset", "shed-fire", "--code", "real", code=1)
    await type_in(box, "silence", "shed-fire", "--actor", "Li")
    await box.until_level(SIREN_PIN, False, LIMIT_S)
    await box.drive(SHED_PIN, False)
    await until_alarms(box, "shed-fire", "latched_unacked")
    assert "unacknowledged" in await type_in(box, "reset", "shed-fire", "--code", "real", code=1)
    await type_in(box, "ack", "shed-fire", "--actor", "Li")
    await until_alarms(box, "shed-fire", "latched_acked")
    assert "latched" in await type_in(box, "restore", "power", code=1)
    assert "its cause" in await type_in(box, "reset", "shed-fire", "--code", "false", code=1)
    await type_in(box, "reset", "shed-fire", "--code", "false", "--reason", "welding")
    await until_alarms(box, "shed-fire", "normal")
    assert not await box.level(POWER_PIN), "a reset gave power back"
    await type_in(box, "restore", "power", "--reason", "looked", "--actor", "Li")
    await box.until_level(POWER_PIN, True, LIMIT_S)
    assert "unknown_rule" in await type_in(box, "ack", "nobody", code=1)


async def test_what_is_taken_out_raises_nothing_until_it_is_in_again(box: Box) -> None:
    assert "no_end" in await type_in(box, "inhibit", "smoke", "--reason", "dust", code=1)
    assert "no_reason" in await type_in(box, "inhibit", "smoke", "--for", "5m", code=1)
    await type_in(box, "inhibit", "smoke", "--for", "5m", "--reason", "dust", "--actor", "Li")
    await box.drive(SMOKE_PIN, True)
    await asyncio.sleep(0.3)
    assert not await box.level(SIREN_PIN)
    assert "inhibited" in await type_in(box, "alarms")
    await type_in(box, "uninhibit", "smoke", "--reason", "done")
    await box.until_level(SIREN_PIN, True, LIMIT_S)
    assert "not_inhibited" in await type_in(box, "uninhibit", "smoke", code=1)


async def test_a_drill_shows_and_sounds_nothing_and_ends(box: Box) -> None:
    assert "too_long" in await type_in(box, "drill", "start", "hall", "--for", "3650d", code=1)
    await type_in(box, "drill", "start", "hall", "--for", "10m", "--actor", "Li")
    await box.drive(SMOKE_PIN, True)
    await until_alarms(box, "smoke", "active_unacked")
    assert "\ntest " in await type_in(box, "alarms")
    assert not await box.level(SIREN_PIN)
    await box.drive(SMOKE_PIN, False)
    await until_alarms(box, "smoke", "latched_unacked")
    await type_in(box, "drill", "stop")
    await until_alarms(box, "smoke", "normal")
    assert "no_drill" in await type_in(box, "drill", "stop", code=1)
    assert "drill start" in await type_in(box, "drill", "pause", code=2)


async def test_in_manual_a_fan_waits_for_a_person_and_a_siren_does_not(box: Box) -> None:
    await type_in(box, "mode", "manual")
    await box.drive(SMOKE_PIN, True)
    await box.until_level(SIREN_PIN, True, LIMIT_S)
    assert not await box.level(FAN_PIN)
    await type_in(box, "mode", "auto")
    await box.until_level(FAN_PIN, True, LIMIT_S)
    assert "bad_argument" in await type_in(box, "mode", "sometimes", code=1)


async def test_an_output_is_tested_for_as_long_as_asked(box: Box) -> None:
    await type_in(box, "output", "test", "siren", "--for", "1s", "--actor", "Li")
    await box.until_level(SIREN_PIN, True, LIMIT_S)
    await box.until_level(SIREN_PIN, False, LIMIT_S)
    assert "unknown_output" in await type_in(box, "output", "test", "nobody", code=1)


async def test_who_watches_sees_the_alarm_come(box: Box) -> None:
    async with TaskGroup() as tasks:
        watching = tasks.create_task(type_in(box, "watch", "--for", "3"), name="watch")
        await asyncio.sleep(1)
        await box.drive(SMOKE_PIN, True)
    said = watching.result()
    lines = [line.partition("  ")[2] for line in said.splitlines()]
    assert lines[0].startswith("no alarms")
    assert any("smoke" in line for line in lines[1:])


async def test_when_nobody_answers_every_command_says_so(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nothing.sock")
    for words in (["alarms"], ["ack", "smoke"], ["mode", "auto"], ["watch", "--for", "1"]):
        result = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--socket", nowhere])
        assert result.exit_code == 4, result.output
        assert nowhere in result.output
