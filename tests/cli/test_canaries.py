"""What the commands print, about a good site, a bad one and a broker that lets nobody in: never a secret."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.uplink.conftest import MakeBroker, make_broker

__all__ = ["make_broker"]
PASSWORD, KEY = "canary-pass-52c8", "canary-key-0e6d"

SITE = """\
version: 1
site: riverside
box: b1
zones: [{{id: hall}}]
buses: [{{id: pins, type: gpio, chip: 0}}]
inputs: [{{id: hall.smoke, bus: pins, pin: 17, kind: smoke, contact: normally-open, zone: hall}}]
uplinks:
  - id: cloud
    host: 127.0.0.1
    port: {port}
    username: b1
    password: {password}
    tls: {{cert_file: box.crt, key_file: box.key, ca_file: box.crt}}
local: {{port: null}}
"""


async def said_by(folder: Path, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "CLOUD_PASSWORD": PASSWORD,
            "PLANTROOM_TAIL_PASSWORD": PASSWORD,
            "PLANTROOM_DATA_DIR": str(folder / "data"),
            "PLANTROOM_RUN_DIR": str(folder / "run"),
        },
    )
    async with asyncio.timeout(50):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("place", ["{env: CLOUD_PASSWORD}", PASSWORD])
async def test_no_command_prints_a_secret(
    need: Callable[[str], str], make_broker: MakeBroker, tmp_path: Path, place: str
) -> None:
    users = tmp_path / "users"
    subprocess.run([need("mosquitto_passwd"), "-b", "-c", str(users), "b1", "another"], check=True)
    users.chmod(0o644)
    port = make_broker("allow_anonymous false", f"password_file {users}").port
    (tmp_path / "mqtt.password").write_text(f"{PASSWORD}\n", "utf-8")
    for name in ("box.crt", "box.key"):
        (tmp_path / name).write_text(f"-----BEGIN PRIVATE KEY-----\n{KEY}\n", "utf-8")
    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(port=port, password=place), "utf-8")
    asked = (
        ("check", "--config", str(site)),
        ("check", "--config", str(site), "--json"),
        ("outbox", "stat", "--config", str(site)),
        ("outbox", "export", "--config", str(site)),
        ("status", "--config", str(site)),
        ("tail", "--config", str(site), "--for", "3"),
        ("tail", "--broker", f"127.0.0.1:{port}", "--user", "b1", "--for", "3"),
    )
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(said_by(tmp_path, *words)) for words in asked]
    answers = dict(zip(asked, (each.result() for each in running), strict=True))
    for words, (code, said) in answers.items():
        assert said.strip(), words
        assert "Traceback" not in said, said
        assert PASSWORD not in said, words
        assert KEY not in said, words
        if words[0] == "tail":
            assert code == (4 if place != PASSWORD or "--broker" in words else 2), said
    if place == PASSWORD:
        assert answers[asked[0]][0] == 1, "secrets do not stand in the file"
