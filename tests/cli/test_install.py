"""`plantroom install-service`: the unit runs a program that is there, however the command was typed."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.cli.plant import start

SCRIPT = Path(sys.executable).with_name("plantroom")


@pytest.mark.parametrize("words", [(sys.executable, "-m", "agent"), (str(SCRIPT),)])
async def test_the_unit_names_the_installed_command(words: tuple[str, ...], tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*words, "install-service", "--root", str(tmp_path), "--apply"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(20):
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err
    unit = (tmp_path / "etc/systemd/system/plantroom.service").read_text("utf-8")
    found = re.search(r"(?m)^ExecStart=(\S+) run$", unit)
    assert found is not None
    assert Path(found[1]) == SCRIPT


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "--pin-door", "/nowhere/pins"), b"no folder /nowhere"),
        (("run", "--set", "x"), b"PATH=VALUE"),
        (("install-service", "--user", "Bad User"), b"not a user name"),
    ],
)
async def test_wrong_use_is_told_in_a_sentence(words: tuple[str, ...], says: bytes) -> None:
    process = await start(*words)
    try:
        async with asyncio.timeout(20):
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, says in err, b"Traceback" in err) == (2, True, False)
