"""Start and stop of the real process: with everything there, with everything missing, and after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.effects import EventKind
from agent.local.client import AgentClient
from agent.simulate.broker import Broker, run_broker
from agent.simulate.subscriber import Heard, Subscriber
from agent.uplink.decode import EventSeen, StatusSeen, decode
from agent.uplink.topics import take_apart
from tests.process.box import Box, run_box
from tests.process.test_independence import (
    LIMIT_S,
    SIREN_PIN,
    SITE,
    SMOKE_PIN,
    smoke_sounds_the_siren,
)

pytestmark = pytest.mark.process

SMOKE_AT_START = ("--pin", f"{SMOKE_PIN}=1")


def site_at(broker: Broker) -> str:
    return SITE.replace("host: HOST, port: 9", f"host: {broker.host}, port: {broker.port}")


class Ear:
    """Everything heard from the box, read by the contract."""

    def __init__(self) -> None:
        self.events: list[EventSeen] = []
        self.statuses: list[StatusSeen] = []
        self._news = asyncio.Event()

    def take(self, heard: Heard) -> None:
        seen = decode(take_apart("plantroom/v1", heard.topic), heard.payload)
        if isinstance(seen, EventSeen):
            self.events.append(seen)
        elif isinstance(seen, StatusSeen):
            self.statuses.append(seen)
        self._news.set()

    async def until(self, met: Callable[[], bool], limit_s: float = 5.0) -> None:
        try:
            async with asyncio.timeout(limit_s):
                while not met():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"heard only {self.statuses} {self.events}") from None

    def has(self, kind: EventKind, to_state: str) -> bool:
        return any(
            each.record.event.kind is kind and each.record.event.to_state == to_state
            for each in self.events
        )


async def alarms(box: Box) -> dict[str, str]:
    await box.page()
    async with AgentClient(box.socket_path) as client:
        body = await client.get("/api/v1/alarms")
    return {each["rule"]: each["state"] for each in body["alarms"]}


async def until_alarm(box: Box, rule: str, states: set[str], limit_s: float = 8.0) -> None:
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(limit_s):
            while found.get(rule) not in states:
                found = await alarms(box)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{rule} not {states}: {found}\n{box.log}") from None


async def test_a_stop_tells_the_broker_flushes_the_outbox_and_ends_cleanly(tmp_path: Path) -> None:
    async with run_broker() as broker:
        (tmp_path / "site.yaml").write_text(site_at(broker), "utf-8")
        ear = Ear()
        async with Subscriber(broker.host, broker.port, ["plantroom/v1/#"], ear.take, "ear"):
            async with run_box(tmp_path) as box:
                await box.ready()
                await ear.until(lambda: any(each.is_online for each in ear.statuses))
                assert await box.stop() < 5.0
                assert box.process.returncode == 0, box.log
            await ear.until(lambda: bool(ear.statuses) and not ear.statuses[-1].is_online)
            assert ear.statuses[-1].reason == "stopped"
            assert ear.has(EventKind.SYSTEM, "started")
            assert ear.has(EventKind.SYSTEM, "stopped"), "the last event did not leave"


async def test_after_a_kill_latches_and_sirens_are_there_again(tmp_path: Path) -> None:
    async with run_broker() as broker:
        (tmp_path / "site.yaml").write_text(site_at(broker), "utf-8")
        async with run_box(tmp_path) as box:
            await box.ready()
            await smoke_sounds_the_siren(box)
            await box.page()
            async with AgentClient(box.socket_path) as client:
                outcome = await client.command({"name": "ack", "target": "smoke", "actor": "Li"})
            assert outcome["ok"]
            await box.drive(SMOKE_PIN, False)
            await until_alarm(box, "smoke", {"latched_acked"})
            await asyncio.sleep(0.3)  # the event is on disk within its commit
            await box.kill()
        async with run_box(tmp_path) as box:
            await box.ready()
            await box.drive(SMOKE_PIN, False)
            await box.until_level(SIREN_PIN, True, LIMIT_S)
            await until_alarm(box, "smoke", {"latched_acked", "latched_unacked"})


async def test_without_chip_serial_port_and_broker_it_starts_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    text = SITE.replace(
        "buses: [{id: pins, type: gpio, chip: 0, poll_ms: 20}]",
        f"""buses:
  - {{id: pins, type: gpio, chip: 7, poll_ms: 20}}
  - {{id: rs485, type: modbus-rtu, port: {tmp_path}/no-such-port}}
  - {{id: meters, type: modbus-tcp, host: 127.0.0.1, port: 9}}
devices:
  - id: sump
    bus: rs485
    unit: 1
    quantities: [{{name: level, area: holding, address: 0, type: u16, kind: level, unit: mm}}]
  - id: tank
    bus: meters
    unit: 1
    quantities: [{{name: level, area: holding, address: 0, type: u16, kind: level, unit: mm}}]""",
    ).replace("HOST", "127.0.0.1")
    (tmp_path / "site.yaml").write_text(text, "utf-8")
    async with run_box(tmp_path, door=False) as box:
        await box.ready()
        for rule in ("fault.pins", "fault.rs485", "fault.meters", "fault.box.uplink-cloud"):
            await until_alarm(box, rule, {"active_unacked", "active_acked"})
        assert await box.stop() < 5.0


@pytest.mark.parametrize("how", ["bad at the first start", "bad later", "mended by reload"])
async def test_a_bad_configuration_never_stops_what_ran_before(tmp_path: Path, how: str) -> None:
    site = tmp_path / "site.yaml"
    good = SITE.replace("HOST", "127.0.0.1")
    bad = good.replace("on: hall.smoke", "x").replace("kind: siren", "kind: sirene")
    if how == "bad at the first start":
        site.write_text(bad, "utf-8")
        async with run_box(tmp_path) as box:
            async with asyncio.timeout(10):
                assert await box.process.wait() == 78
            assert f"{site}:9:" in box.log
            assert "sirene" in box.log or "siren" in box.log
        return
    site.write_text(good, "utf-8")
    async with run_box(tmp_path, options=SMOKE_AT_START) as box:
        await box.ready()
        await box.until_level(SIREN_PIN, True, LIMIT_S)
        for _ in range(100):
            if (tmp_path / "data" / "last-good" / "current").exists():
                break
            await asyncio.sleep(0.05)
        await box.stop()
    site.write_text(bad, "utf-8")
    async with run_box(tmp_path, options=SMOKE_AT_START) as box:
        await box.ready()
        await box.until_level(SIREN_PIN, True, LIMIT_S)
        await until_alarm(box, "fault.box.config", {"active_unacked", "active_acked"})
        if how == "mended by reload":
            site.write_text(good.replace("site: riverside", "site: lakeside"), "utf-8")
            box.process.send_signal(1)
            await box.ready()
            async with AgentClient(box.socket_path) as client:
                for _ in range(100):
                    await box.page()
                    if (await client.get("/api/v1/status"))["site"] == "lakeside":
                        break
                    await asyncio.sleep(0.05)
                else:
                    raise AssertionError(box.log)
            await box.until_level(SIREN_PIN, True, LIMIT_S)
