"""Nothing outside holds up an output: the real process with something dead or hanging."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.process.box import Box, run_box

pytestmark = pytest.mark.process

SMOKE_PIN, SIREN_PIN = 17, 23

SITE = """\
version: 1
site: riverside
box: plantroom-1
zones: [{id: hall}]
buses: [{id: pins, type: gpio, chip: 0, poll_ms: 20}]
inputs:
  - {id: hall.smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed, debounce_ms: 0, zone: hall}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 23, zone: hall}
rules:
  - {id: smoke, class: fire, when: {point: hall.smoke, is: active}}
linkage:
  - {id: evacuation, classes: [fire], outputs: [siren]}
faults: {after_s: 1}
uplinks:
  - {id: cloud, host: HOST, port: 9}
local: {port: 0}
time: {source: assume-synced}
"""

LIMIT_S = 2.0
"""Generous: what is proved is independence; the figures are the benchmarks'."""


def write_site(folder: Path, host: str = "127.0.0.1", text: str = SITE) -> None:
    (folder / "site.yaml").write_text(text.replace("HOST", host), "utf-8")


async def smoke_sounds_the_siren(box: Box) -> None:
    """At rest first (a normally-closed loop holds the pin low), then smoke."""
    await box.drive(SMOKE_PIN, False)
    await box.until_level(SIREN_PIN, False, LIMIT_S)
    await asyncio.sleep(0.2)
    assert not await box.level(SIREN_PIN)
    await box.drive(SMOKE_PIN, True)
    await box.until_level(SIREN_PIN, True, LIMIT_S)


@pytest.fixture
async def quiet_at_boot(tmp_path: Path) -> Path:
    write_site(tmp_path)
    return tmp_path


async def test_an_open_smoke_loop_at_boot_is_smoke_before_anything_else_is_up(
    quiet_at_boot: Path,
) -> None:
    async with run_box(quiet_at_boot, options=("--pin", "17=1")) as box:
        await box.ready()
        await box.until_level(SIREN_PIN, True, LIMIT_S)


@pytest.mark.parametrize("hang", ["none", "disk", "dns", "page"])
async def test_the_siren_sounds_with_no_broker_and_while_this_hangs(
    tmp_path: Path, hang: str
) -> None:
    write_site(tmp_path, "broker.example" if hang == "dns" else "127.0.0.1")
    async with run_box(tmp_path, hang=hang) as box:
        await box.ready()
        if hang == "page":
            await box.page()
            async with aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(box.socket_path))
            ) as session:
                with pytest.raises((TimeoutError, aiohttp.ClientError)):
                    async with asyncio.timeout(0.5):
                        await session.get("http://box/healthz")
        await smoke_sounds_the_siren(box)
        took_s = await box.stop()
        assert took_s < 5.0, (took_s, box.log)
        assert box.process.returncode == 0, "ended by the hard deadline, not by itself"


async def test_a_clean_stop_takes_less_than_five_seconds_and_says_so(quiet_at_boot: Path) -> None:
    async with run_box(quiet_at_boot) as box:
        await box.ready()
        assert await box.stop() < 5.0
        assert box.process.returncode == 0, box.log
