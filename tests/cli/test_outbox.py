"""`plantroom outbox` on boxes at rest, damaged, and in use."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.core.effects import EventKind
from agent.core.spec import AlarmClass
from agent.outbox.files import Files
from agent.outbox.records import Batch, EventRecord
from tests.outbox.room import event, make, of_kind, reading, running, take_batches, take_events


def plantroom(*words: str, keys: str | None = None) -> Any:
    return CliRunner().invoke(app, ["outbox", *words], input=keys)


async def fill(data: Path) -> None:
    """An outbox that ended: ten events of which the cloud has three and the openings, fifty readings unsent."""
    async with running(make(data / "outbox", batch_readings=10, commit_interval_s=0)) as outbox:
        for number in range(10):
            outbox.append(event(f"smoke-{number}", reason="Rauch, 烟", value=21.5, unit="°C"))
        await take_events(outbox.cursor("cloud"), 5)
        for number in range(50):
            outbox.add(reading(number))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path))
    return tmp_path


def answer(*words: str, code: int = 0) -> Any:
    result = plantroom(*words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_stat_of_a_box_at_rest_tells_what_is_kept_and_owed(data: Path) -> None:
    body = answer("stat", "--data", str(data))
    assert body["live"] is False
    assert body["unsent"] == {"cloud": 7 + 5}
    events, telemetry = body["lanes"]
    assert (events["records"], telemetry["records"]) == (7, 5)
    assert telemetry["last_seq"] == 5
    shown = plantroom("stat", "--data", str(data)).output
    assert "cloud: 12 records to send" in shown
    assert "does not run here" in shown


def test_stat_of_a_box_at_rest_tells_what_was_given_up_in_earlier_lives(data: Path) -> None:
    assert "none" in plantroom("stat", "--data", str(data)).output
    assert plantroom("purge", "telemetry", "--data", str(data), "--yes").exit_code == 0
    events, telemetry = answer("stat", "--data", str(data))["lanes"]
    assert events["dropped"] == {}
    assert telemetry["dropped"] == {"purged": 5}
    assert "5 purged" in plantroom("stat", "--data", str(data)).output
    folder = data / "outbox" / "box" / "event"
    told = max(folder.glob("seg-*.log"))
    (folder / "seg-00000099.log").write_bytes(told.read_bytes())
    assert answer("stat", "--data", str(data))["lanes"][1]["dropped"] == {"purged": 5}


def test_verify_reads_everything_and_names_damage(data: Path) -> None:
    body = answer("verify", "--data", str(data))
    assert body == {"files": 2, "records": 12 + 5, "damages": [], "live": False}
    path = data / "outbox" / "box" / "event" / "seg-00000001.log"
    hurt = bytearray(path.read_bytes())
    hurt[hurt.index(b"smoke-4")] ^= 1
    path.write_bytes(hurt)
    (data / "outbox" / "box" / "telemetry" / "seg-00000001.log").unlink()
    body = answer("verify", "--data", str(data), code=1)
    assert len(body["damages"]) == 2
    assert any("from 7 to 7" in each for each in body["damages"])
    assert any("seg-00000001.log: missing" in each for each in body["damages"])
    # looking changes nothing
    assert path.read_bytes() == bytes(hurt)


def test_export_gives_events_as_on_the_wire_and_as_a_table(data: Path) -> None:
    lines = plantroom("export", "--data", str(data)).stdout.splitlines()
    events = [json.loads(each) for each in lines]
    assert [each["seq"] for each in events] == list(range(1, 13))
    assert events[2]["schema"] == "event/1"
    assert events[2]["reason"] == "Rauch, 烟"
    table = plantroom("export", "--data", str(data), "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [each["seq"] for each in rows] == [str(seq) for seq in range(1, 13)]
    assert rows[2]["reason"] == "Rauch, 烟"
    assert rows[2]["time"] == "2025-06-15T15:06:40.000Z"


def test_export_gives_readings_into_a_file(data: Path) -> None:
    out = data / "readings.csv"
    words = (
        "export",
        "--data",
        str(data),
        "--lane",
        "telemetry",
        "--format",
        "csv",
        "-o",
        str(out),
    )
    assert plantroom(*words).exit_code == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert [each["value"] for each in rows] == [str(value) for value in range(50)]


async def everything(data: Path) -> tuple[list[EventRecord], list[Batch]]:
    """Start the agent's outbox again and take all that is owed to the cloud."""
    async with running(make(data / "outbox")) as outbox:
        await outbox.recovered()
        cursor = outbox.cursor("cloud")
        events: list[EventRecord] = []
        batches: list[Batch] = []
        while outbox.stats().unsent_by_uplink["cloud"]:
            events += (taken := await cursor.take_events(50))
            batches += (sealed := await cursor.take_batches(50))
            for event_record in taken:
                cursor.done(event_record)
            for batch in sealed:
                cursor.done(batch)
            await asyncio.sleep(0.002)
        return events, batches


def test_purge_asks_first_and_leaves_a_gap_that_names_what_went(data: Path) -> None:
    assert plantroom("purge", "telemetry", "--data", str(data), keys="n\n").exit_code == 1
    assert answer("stat", "--data", str(data))["unsent"] == {"cloud": 12}
    result = plantroom("purge", "telemetry", "--data", str(data), keys="y\n")
    assert result.exit_code == 0, result.output
    found, batches = asyncio.run(everything(data))
    assert not batches
    gaps = of_kind(found, EventKind.GAP)
    assert [each.event.detail["count"] for each in gaps] == [5]
    detail = gaps[0].event.detail
    assert (detail["reason"], detail["first_seq"], detail["last_seq"]) == ("purged", 1, 5)
    # the events that were unsent are all still there
    assert [each.event.subject for each in of_kind(found, EventKind.ALARM)] == [
        f"smoke-{number}" for number in range(3, 10)
    ]


def test_purge_never_touches_unsent_events_without_force(data: Path) -> None:
    assert answer("purge", "event", "--data", str(data), "--yes") == {"removed": 0}
    found, _ = asyncio.run(everything(data))
    assert len(of_kind(found, EventKind.ALARM)) == 7
    assert not of_kind(found, EventKind.GAP)


def test_purge_with_force_takes_events_and_says_which(data: Path) -> None:
    assert answer("purge", "event", "--data", str(data), "--yes", "--force")["removed"] >= 12
    found, _ = asyncio.run(everything(data))
    assert not of_kind(found, EventKind.ALARM)
    lost = [each.event.detail for each in of_kind(found, EventKind.GAP)]
    assert any(each["lane"] == "event" and each["count"] == 12 for each in lost)
    streams = [each.event.detail["lane"] for each in of_kind(found, EventKind.STREAM)]
    assert set(streams) == {"event", "telemetry"}


def test_what_a_broker_refused_goes_out_again_after_retry(tmp_path: Path) -> None:
    async def refuse() -> None:
        async with running(make(tmp_path / "outbox", batch_readings=40)) as outbox:
            outbox.append(event("refused", alarm_class=AlarmClass.FAULT))
            for number in range(40):
                outbox.add(reading(number))
            cursor = outbox.cursor("cloud")
            records = await take_events(cursor, 3, done=False)
            batch = (await take_batches(cursor, 40, done=False))[0]
            cursor.set_aside(records[2], "not authorised")
            cursor.set_aside(batch, "too large")

    asyncio.run(refuse())
    assert answer("retry", "--data", str(tmp_path)) == {"put_back": 2}
    found, batches = asyncio.run(everything(tmp_path))
    assert "refused" in [each.event.subject for each in of_kind(found, EventKind.ALARM)]
    assert [len(each.readings) for each in batches] == [20, 20]
    assert [each.value for batch in batches for each in batch.readings] == list(range(40))
    assert answer("retry", "--data", str(tmp_path)) == {"put_back": 0}


HOLD = """
import sys, time
from pathlib import Path
from agent.outbox.files import Files
from agent.outbox.records import Batch, EventRecord
Files().lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_what_writes_refuses_while_an_agent_owns_the_folder_and_reading_does_not(
    data: Path,
) -> None:
    import subprocess
    import sys

    lock = data / "outbox" / "box" / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        try:
            for words in (("purge", "telemetry", "--yes"), ("purge", "event", "--yes", "--force")):
                result = plantroom(*words, "--data", str(data))
                assert result.exit_code == 1
                assert f"the agent (process {agent.pid})" in result.output
            assert answer("verify", "--data", str(data))["live"] is True
            assert plantroom("export", "--data", str(data)).exit_code == 0
        finally:
            agent.kill()
    Files().lock_holder(lock)


def test_a_folder_without_an_outbox_or_with_several_says_what_to_name(data: Path) -> None:
    result = plantroom("verify", "--data", str(data / "nothing"))
    assert result.exit_code == 2
    assert "--data" in result.output
    (data / "outbox" / "other" / "event").mkdir(parents=True)
    result = plantroom("verify", "--data", str(data))
    assert result.exit_code == 2
    assert "box, other" in result.output
    assert plantroom("verify", "--data", str(data), "--box", "box").exit_code == 0
