"""A certificate that ends soon: the whole agent tells it as a fault alarm and as a metric, and stays linked."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.room import Run, running, site_in
from tests.uplink.conftest import MakeBroker, make_broker
from tests.uplink.test_tls import MakeAuthority, authority, tls_broker

__all__ = ["authority", "make_broker"]
METRIC = "plantroom_mqtt_certificate_end_timestamp_seconds"
DAY_S = 86_400


def metrics_of(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()


@pytest.mark.parametrize(
    ("warn_days", "state"), [(21, "active_unacked"), (1, "normal")], ids=["soon", "not yet"]
)
async def test_an_end_that_is_near_is_a_fault_and_a_metric(
    make_broker: MakeBroker,
    authority: MakeAuthority,
    need: Callable[[str], str],
    tmp_path: Path,
    warn_days: int,
    state: str,
) -> None:
    ca = authority("own")  # its certificates last for two days
    broker = tls_broker(make_broker, ca, "require_certificate true")
    cert, key = ca.issue("plantroom-1", "DNS:plantroom-1")
    tls = f"{{ca_file: {ca.cert}, cert_file: {cert}, key_file: {key}, warn_days: {warn_days}}}"
    line = f"  - {{id: cloud, host: 127.0.0.1, port: {broker.port}, tls: {tls}}}\n"
    site = site_in(tmp_path, ("faults: {after_s: 1}", f"uplinks:\n{line}faults: {{after_s: 1}}"))
    run = Run(site)
    async with running(run):
        async with asyncio.timeout(10):
            while not (await run.view()).uplinks[0].is_connected:  # noqa: ASYNC110 - a view tells nobody
                await asyncio.sleep(0.01)
        await run.until_alarm("fault.box.certificate-cloud", state)
        assert run.agent is not None
        port = run.agent.page_port()
        assert port is not None
        text = await asyncio.to_thread(metrics_of, port)
        (line,) = [each for each in text.splitlines() if each.startswith(METRIC)]
        assert abs(float(line.split()[-1]) - run.clock.stamp().wall_ms / 1000 - 2 * DAY_S) < DAY_S
        assert 'uplink="cloud"' in line
        if state == "normal":
            await asyncio.sleep(1.5)  # longer than a fault takes
            assert (await run.alarms())["fault.box.certificate-cloud"] == "normal"
        assert (await run.view()).uplinks[0].is_connected
