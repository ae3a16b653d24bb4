"""The command line as a process, and small plants for it to look at."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from agent.cli.commands import app
from agent.simulate.slave import Block, SimUnit
from drivers.modbus.spec import Area

ROOT = Path(__file__).parents[2]
LIMIT_S = 30.0
NO_FOLDER = "/nonexistent"
"""Where no agent has its socket."""

TEMPERATURE, HUMIDITY = 0x00EB, 0x01C8  # 23.5 degC, 45.6 %RH

SITE = """\
version: 1
site: desk
box: box-1
buses:
  - {id: meters, type: modbus-tcp, host: 127.0.0.1, port: 1, timeout_ms: 100, settle_ms: 50, retries: 0}
  - {id: rs485, type: modbus-rtu, port: /dev/null, timeout_ms: 100, settle_ms: 50, retries: 0}
devices:
  - {id: air, bus: meters, unit: 1, profile: xy-md02}
  - id: tank
    bus: meters
    unit: 2
    quantities:
      - {name: level, area: holding, address: 4, type: u16, unit: mm, kind: level, scale: 0.1,
         sentinels: [65535], valid: {min: 0, max: 3000}}
      - {name: gone, area: holding, address: 9, type: u16}
  - {id: relays, bus: rs485, unit: 3, profile: waveshare-relay-8ch}
"""


def air(unit: int = 1) -> SimUnit:
    """An XY-MD02 at 23.5 degC and 45.6 %RH."""
    return SimUnit(unit, [Block(Area.INPUT, 1, [TEMPERATURE, HUMIDITY])])


def tank(level: int = 21_504, *, is_whole: bool = True) -> SimUnit:
    """A level at holding 4; without `is_whole` the register at 9 does not exist."""
    blocks = [Block(Area.HOLDING, 0, [0, 0, 0, 0, level, 0, 0, 0])]
    if is_whole:
        blocks.append(Block(Area.HOLDING, 8, [0, 77]))
    return SimUnit(2, blocks)


def relays(unit: int = 3) -> SimUnit:
    """Eight relays, the second one pulled."""
    return SimUnit(unit, [Block(Area.COIL, 0, [0, 1, 0, 0, 0, 0, 0, 0], is_writable=True)])


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


async def plantroom(*words: str, env: dict[str, str] | None = None) -> Said:
    """Run the real command to its end."""
    process = await start(*words, env=env)
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


def invoke(*words: str, env: dict[str, str] | None = None) -> Said:
    """Run the command's function in this process: no start of a second interpreter to wait for."""
    done = CliRunner().invoke(app, list(words), env={"PLANTROOM_RUN": NO_FOLDER, **(env or {})})
    return Said(done.exit_code, done.stdout, done.stderr)


async def aside(*words: str, env: dict[str, str] | None = None) -> Said:
    """Do the same in a thread, beside simulated devices on this loop."""
    return await asyncio.to_thread(invoke, *words, env=env)


async def start(*words: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start the real command; whoever starts it ends it."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *words,
        cwd=ROOT,
        env={**os.environ, "PLANTROOM_RUN": NO_FOLDER, "NO_COLOR": "1", **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
