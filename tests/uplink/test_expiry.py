"""What waits at the broker for a subscriber that is away, and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import load_site
from agent.uplink.connection import Connection
from agent.uplink.dial import Dialler
from agent.uplink.limits import Hearing
from agent.uplink.spec import UplinkSpec
from tests.uplink.broker import Broker
from tests.uplink.rig import running, until
from tests.uplink.samples import batch, event

KEPT = Hearing(keeps_s=60)


async def listen(connection: Connection, heard: list[str]) -> None:
    async for each in connection.messages():
        heard.append(each.topic.split("/")[4])  # noqa: PERF401 - it never ends


@pytest.mark.parametrize(
    ("expiry_s", "expected"),
    [
        pytest.param(None, ["event", "tele"], id="never"),
        pytest.param(1, ["event"], id="where the site says so"),
    ],
)
async def test_readings_expire_and_events_never(
    broker: Broker, expiry_s: int | None, expected: list[str]
) -> None:
    late = UplinkSpec(id="late", host="127.0.0.1", port=broker.port)
    connection = await Connection.open(late, Dialler(), client_id="late", will=None, hearing=KEPT)
    for channel in ("tele", "event"):
        await connection.subscribe(f"plantroom/v1/+/+/{channel}/+")
    await connection.abandon()
    spec = UplinkSpec(id="cloud", host="127.0.0.1", port=broker.port, telemetry_expiry_s=expiry_s)
    async with running(broker.port, spec=spec) as rig:
        rig.cursor.put(batch(1), event(1))
        await until(lambda: rig.cursor.unsent() == 0)
    await asyncio.sleep(2.5)
    heard: list[str] = []
    connection = await Connection.open(late, Dialler(), client_id="late", will=None, hearing=KEPT)
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen(connection, heard))
        await until(lambda: len(heard) >= len(expected))
        await asyncio.sleep(0.2)
        listening.cancel()
    await connection.abandon()
    assert sorted(heard) == expected


def test_a_site_says_it_in_hours(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "version: 1\nsite: riverside\nbox: b1\nlocal: {port: 0}\n"
        "uplinks: [{id: cloud, host: broker.example, telemetry_expires_h: 1.5}, {id: b, host: b}]\n",
        "utf-8",
    )
    site = load_site(path, data_dir=tmp_path, run_dir=tmp_path)
    assert [each.telemetry_expiry_s for each in site.uplinks] == [5400, None]


@pytest.mark.parametrize("other", ["protocol: 3.1.1", "sink: homeassistant", "sink: thingsboard"])
def test_where_nothing_can_expire_saying_so_is_a_fault(tmp_path: Path, other: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "version: 1\nsite: riverside\nbox: b1\nlocal: {port: 0}\n"
        f"uplinks: [{{id: cloud, host: broker.example, telemetry_expires_h: 1, {other}}}]\n",
        "utf-8",
    )
    with pytest.raises(ConfigError, match="only with protocol 5"):
        load_site(path, data_dir=tmp_path, run_dir=tmp_path)
