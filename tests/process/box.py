"""A box under test: the real process, with a door to its mock pins and an ear for systemd's messages."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 15.0


@dataclass(slots=True)
class Box:
    """A running agent process."""

    process: asyncio.subprocess.Process
    folder: Path
    ear: socket.socket
    log_path: Path

    @property
    def socket_path(self) -> Path:
        return self.folder / "run" / "plantroom.sock"

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8")

    async def ready(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait for READY=1 on the notify socket."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(limit_s):
            while b"READY=1" not in await loop.sock_recv(self.ear, 4096):
                pass

    async def ask(self, line: str) -> str:
        """Say one line to the pin door."""
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_unix_connection(self.folder / "pins")
            writer.write(f"{line}\n".encode())
            answer = (await reader.readline()).decode().strip()
            writer.close()
            await writer.wait_closed()
        assert not answer.startswith("error"), f"{line}: {answer}"
        return answer

    async def page(self, limit_s: float = 10.0) -> None:
        """Wait until the socket of page and command line is open: it comes after READY."""
        async with asyncio.timeout(limit_s):
            while True:
                try:
                    _, writer = await asyncio.open_unix_connection(self.socket_path)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def drive(self, pin: int, high: bool) -> None:
        await self.ask(f"drive {pin} {int(high)}")

    async def level(self, pin: int) -> bool:
        return await self.ask(f"level {pin}") == "1"

    async def until_level(self, pin: int, high: bool, limit_s: float) -> float:
        """Wait until a pin has a level; return the seconds it took."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        while await self.level(pin) is not high:
            if loop.time() - begin_s > limit_s:
                raise AssertionError(
                    f"pin {pin} not {high} within {limit_s} s; the agent said:\n{self.log}"
                )
            await asyncio.sleep(0.005)
        return loop.time() - begin_s

    async def stop(self, limit_s: float = 7.0) -> float:
        """SIGTERM; return the seconds until the process was gone."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(limit_s):
            await self.process.wait()
        return loop.time() - begin_s

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def run_box(
    folder: Path, *, hang: str = "none", door: bool = True, options: tuple[str, ...] = ()
) -> AsyncIterator[Box]:
    """Run `plantroom run` on `folder/site.yaml`; whatever happens, the process is gone afterwards."""
    (folder / "run").mkdir(exist_ok=True)
    (folder / "pins").unlink(missing_ok=True)
    notify = folder / "notify"
    notify.unlink(missing_ok=True)
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(notify))
    ear.setblocking(False)
    log_path = folder / "log"
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.process.hampered",
            hang,
            "run",
            "--config",
            str(folder / "site.yaml"),
            "--data",
            str(folder / "data"),
            "--run-dir",
            str(folder / "run"),
            *(("--pin-door", str(folder / "pins")) if door else ()),
            *options,
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(notify)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Box(process, folder, ear, log_path)
    finally:
        ear.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
