"""Planted secrets stay where they are: no log, page, metric, message, record or error holds one."""

from __future__ import annotations

import asyncio
import io
import logging
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.load import load_site
from agent.simulate.broker import run_broker
from agent.simulate.proxy import Direction, TcpProxy
from tests.app.room import SITE, SMOKE, Run, running

PASSWORD, KEY, USER_FILE = "canary-pass-7f3a", "canary-key-91bd", "mqtt.password"


def site_text(port: int) -> str:
    return SITE.replace(
        "faults: {after_s: 1}",
        f"""uplinks:
  - {{id: cloud, host: 127.0.0.1, port: {port}, username: box-7, password: {{file: {USER_FILE}}}}}
  - id: other
    host: 127.0.0.1
    port: {port}
    client_id: other
    root: other
    password: {{env: CLOUD_PASSWORD}}
    tls: {{cert_file: box.crt, key_file: box.key, ca_file: box.crt}}
faults: {{after_s: 1}}""",
    )


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()


async def test_planted_secrets_are_found_nowhere(
    need: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("mosquitto")
    (tmp_path / USER_FILE).write_text(f"{PASSWORD}\n", "utf-8")
    for name in ("box.crt", "box.key"):  # no certificate: its reader complains
        (tmp_path / name).write_text(f"{KEY}\n", "utf-8")
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    root.addHandler(handler)
    on_the_wire = bytearray()

    def record(direction: Direction, data: bytes) -> None:
        if direction is Direction.UP:
            on_the_wire.extend(data)

    try:
        async with (
            run_broker() as broker,
            TcpProxy(broker.host, broker.port, record=record) as link,
        ):
            path = tmp_path / "site.yaml"
            path.write_text(site_text(link.port), "utf-8")
            env = {"CLOUD_PASSWORD": PASSWORD}
            site = load_site(path, data_dir=tmp_path / "data", run_dir=tmp_path, env=env)
            run = Run(site)
            async with running(run):
                run.pins.drive(SMOKE, False)
                await run.until(lambda: b"meta/1" in on_the_wire and b"event/1" in on_the_wire)
                await run.until(lambda: "other" in said.getvalue())
                assert run.agent is not None
                port = run.agent.page_port()
                assert port is not None
                pages = [
                    await asyncio.to_thread(fetch, port, each)
                    for each in ("/", "/metrics", "/api/v1/status", "/api/v1/alarms", "/healthz")
                ]
                events = repr(await run.agent.events(500))
                view = repr(await run.agent.view())
    finally:
        root.removeHandler(handler)
    # The password goes over the wire once per connection, in CONNECT, and nowhere else.
    assert PASSWORD.encode() in on_the_wire
    assert on_the_wire.count(PASSWORD.encode()) == on_the_wire.count(b"\x00\x04MQTT")
    records = [each.read_bytes() for each in (tmp_path / "data").rglob("*") if each.is_file()]
    assert records
    for secret in (PASSWORD, KEY):
        assert secret not in said.getvalue()
        assert secret not in repr(site)
        assert secret not in events
        assert secret not in view
        for page in pages:
            assert secret not in page
        for each in records:
            assert secret.encode() not in each
    assert KEY.encode() not in on_the_wire
