"""Starts each peer once for all tests of this folder, and ends it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.peers.lines import Wire, direct, gateway, serial
from tests.peers.programs import Program

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE_MODULES = ROOT / ".venv" / "peers" / "node_modules"
"""Where tests/system-packages.sh installs what package.json names."""


def missing(what: str) -> None:
    """Skip loudly on a laptop, fail in CI."""
    message = f"{what} (make test installs it on Debian)"
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


class Peers:
    """The peers that run; each is started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[tuple[str, str], Program] = {}

    def get(self, name: str, wire: str) -> Program:
        """Return a peer that serves; `wire` is `tcp` or `rtu`."""
        key = (name, wire)
        if key not in self._running:
            program = self._program(name, wire)
            program.start()
            self._running[key] = program
        return self._running[key]

    def stop(self) -> None:
        """End them all."""
        for each in self._running.values():
            each.stop()

    def _program(self, name: str, wire: str) -> Program:
        folder = self._folder / f"{name}-{wire}"
        folder.mkdir()
        if name == "libmodbus":
            command = [str(self._compiled())]
            return Program(name, command, wire, folder)
        if name == "modbus-serial":
            node = shutil.which("node")
            if node is None or not (NODE_MODULES / "modbus-serial").is_dir():
                missing("node with the package modbus-serial is not installed")
            command = [str(node), str(HERE / "modbus_serial_server.js")]
            return Program(name, command, wire, folder, env={"NODE_PATH": str(NODE_MODULES)})
        command = [sys.executable, str(HERE / "pymodbus_server.py")]
        return Program(name, command, wire, folder)

    def _compiled(self) -> Path:
        program = self._folder / "libmodbus_slave"
        if program.exists():
            return program
        if shutil.which("gcc") is None or shutil.which("pkg-config") is None:
            missing("gcc or pkg-config is not installed")
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True
        )
        if flags.returncode:
            missing("libmodbus-dev is not installed")
        source = str(HERE / "libmodbus_slave.c")
        options = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-D_DEFAULT_SOURCE"]
        subprocess.run(
            ["gcc", *options, source, *flags.stdout.split(), "-o", str(program)], check=True
        )
        return program


@pytest.fixture(scope="session")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """All peers."""
    running = Peers(tmp_path_factory.mktemp("peers"))
    yield running
    running.stop()


PEERS = ("libmodbus", "modbus-serial", "pymodbus")


@asynccontextmanager
async def opened(peers: Peers, what: str, folder: Path) -> AsyncIterator[Wire]:
    name, kind = what.split()
    program = peers.get(name, "tcp" if kind == "tcp" else "rtu")
    if kind == "tcp":
        way = direct(program)
    elif kind == "serial":
        way = serial(program, folder)
    else:
        way = gateway(program)
    async with way as open_way:
        yield open_way


@pytest.fixture(
    params=[f"{peer} {kind}" for peer in PEERS for kind in ("tcp", "serial", "gateway")]
)
async def wire(request: pytest.FixtureRequest, peers: Peers, tmp_path: Path) -> AsyncIterator[Wire]:
    """Every peer over every wire."""
    async with opened(peers, str(request.param), tmp_path) as way:
        yield way


@pytest.fixture(params=[f"{peer} {kind}" for peer in PEERS for kind in ("tcp", "serial")])
async def direct_wire(
    request: pytest.FixtureRequest, peers: Peers, tmp_path: Path
) -> AsyncIterator[Wire]:
    """Every peer over every wire that other programs know too: none speaks RTU over TCP."""
    async with opened(peers, str(request.param), tmp_path) as way:
        yield way
