"""The peers as processes: each serves one port and ends with its standard input."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import tty
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.memory import map_text

READY_S = 10.0
"""Node and Python start within a second on an idle machine."""
TRIES = 3
"""A port that was free a moment ago can be taken by somebody else."""


def free_port() -> int:
    """Return a TCP port nobody listens on at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Program:
    """One peer on one port: a TCP port, or the far end of a serial line."""

    name: str
    command: Sequence[str]
    wire: str
    """`tcp` or `rtu`."""
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0
    line: int = -1
    """File descriptor of the serial line's near end, where the requests are to be put."""
    _far: int = -1
    _process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it serves; on the same port as before, if there was one."""
        if self.wire == "rtu" and self.line < 0:
            self.line, self._far = pty.openpty()
            tty.setraw(self._far)
            os.set_blocking(self.line, False)
        is_new = not self.port
        for turn in range(TRIES):
            if self.wire == "tcp" and is_new:
                self.port = free_port()
            if self._started():
                return
            assert is_new or turn < TRIES - 1, f"{self.name} does not start again"
        raise AssertionError(f"{self.name} does not start")

    def _started(self) -> bool:
        map_file = self.folder / "map.txt"
        map_file.write_text(map_text(), encoding="ascii")
        place = str(self.port) if self.wire == "tcp" else os.ttyname(self._far)
        self._process = subprocess.Popen(
            [*self.command, self.wire, place, str(map_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            env={**os.environ, **self.env},
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() == "ready\n":
            return True
        self.kill()
        return False

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        self._reap(process)

    def stop(self) -> None:
        """End it in order and free its line."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(READY_S)
            except subprocess.TimeoutExpired:
                process.kill()
            self._reap(process)
        for each in (self.line, self._far):
            if each >= 0:
                os.close(each)
        self.line = self._far = -1

    def _reap(self, process: subprocess.Popen[str]) -> None:
        process.wait(READY_S)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
