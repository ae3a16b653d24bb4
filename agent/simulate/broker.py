"""A real MQTT broker on loopback: mosquitto as a process of ours, or one in Python where there is none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from agent.uplink.spec import Protocol as MqttVersion

_log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_START_S = 10.0
_STOP_S = 5.0
_LOOK_S = 0.02
_TRIES = 3
_SEARCHED = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin"
"""Debian keeps mosquitto in /usr/sbin, which is not on every user's PATH."""

_NOBODY = "65534"
"""The kernel's overflow user and group id (proc(5), overflowuid), `nobody` on Debian."""

Kind = Literal["mosquitto", "amqtt"]


class BrokerFailed(Exception):
    """No broker could be started; the message says what to do."""


class Broker(Protocol):
    """A broker that can be broken on purpose. Nothing is kept over a stop unless asked for."""

    @property
    def host(self) -> str:
        """Where it listens."""

    @property
    def port(self) -> int:
        """The same over all stops and starts."""

    @property
    def kind(self) -> Kind:
        """Which program it is."""

    @property
    def protocol_versions(self) -> tuple[MqttVersion, ...]:
        """What it speaks, best first."""

    async def start(self) -> None:
        """Return once connections are taken; does nothing while it runs.

        Raises:
            BrokerFailed: it does not come up.
        """

    async def stop(self) -> None:
        """Return once it is gone; does nothing while it is."""


@asynccontextmanager
async def run_broker(
    prefer: Kind = "mosquitto", *, keeps_sessions: bool = False
) -> AsyncIterator[Broker]:
    """Run a broker on a free loopback port and end it, whatever happens.

    Args:
        prefer: `mosquitto` falls back to amqtt where mosquitto is not installed; `amqtt` does not fall back.
        keeps_sessions: subscribers of before a stop get what is published after the next start. Mosquitto only.

    Raises:
        BrokerFailed: none could be started.
    """
    program = find_mosquitto() if prefer == "mosquitto" else None
    if program is None:
        embedded = _Amqtt()
        try:
            await embedded.start()
            yield embedded
        finally:
            await embedded.stop()
        return
    with tempfile.TemporaryDirectory(prefix="plantroom-broker-") as folder:
        mosquitto = _Mosquitto(program, Path(folder), keeps_sessions=keeps_sessions)
        try:
            await mosquitto.start()
            yield mosquitto
        finally:
            await mosquitto.stop()


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, or None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_SEARCHED)


class _Mosquitto:
    """The mosquitto program."""

    host = _HOST
    kind: Kind = "mosquitto"
    protocol_versions = (MqttVersion.V5, MqttVersion.V311)

    def __init__(self, program: str, folder: Path, *, keeps_sessions: bool = False) -> None:
        folder.chmod(0o755)  # the broker may run as another user; nothing in here is secret
        self._kept: Path | None = None
        if keeps_sessions:
            self._kept = folder / "kept"
            self._kept.mkdir()
            self._kept.chmod(0o777)
        self._program = program
        self._config = folder / "mosquitto.conf"
        self._said = folder / "mosquitto.log"
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def start(self) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        said = ""
        is_first = self.port == 0
        # A port that was free a moment ago can be gone when mosquitto binds it; and a container may
        # forbid the change of user, so later attempts go without the prefix.
        for attempt in range(_TRIES):
            if is_first:
                self.port = _free_port()
            self._config.write_text(_mosquitto_config(self.port, self._kept), "utf-8")
            self._config.chmod(0o644)
            said = await self._launch(_dies_with_us() if attempt == 0 else ())
            if not said:
                return
        raise BrokerFailed(f"mosquitto does not start: {said}")

    async def _launch(self, prefix: tuple[str, ...]) -> str:
        """Start the process; return what it said if it ended before it listened."""
        # A file, not a pipe: a pipe nobody empties would block the broker one day.
        with self._said.open("wb") as said:
            self._process = await asyncio.create_subprocess_exec(
                *prefix,
                self._program,
                "-c",
                str(self._config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                process_group=0,  # Ctrl-C ends the demo, which still has to hear what is under way
            )
        try:
            async with asyncio.timeout(_START_S):
                while self._process.returncode is None:
                    if await _is_listening(self.port):
                        return ""
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            await self.stop()
            return f"not listening on port {self.port} within {_START_S:g} s"
        code = self._process.returncode
        self._process = None
        return self._said.read_text("utf-8", "replace").strip() or f"exit code {code}"

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            _log.warning("mosquitto did not end within %g s and is killed", _STOP_S)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def _mosquitto_config(port: int, kept: Path | None) -> str:
    """Return the configuration; without a bound on queues, so that a slow witness loses nothing."""
    keeping = "persistence false\n"
    if kept is not None:
        keeping = f"persistence true\npersistence_location {kept}/\n"
    return (
        f"listener {port} {_HOST}\n"
        "allow_anonymous true\n"
        f"{keeping}"
        "max_queued_messages 0\n"
        "set_tcp_nodelay true\n"
        "log_dest stderr\n"
        "log_type error\n"
    )


def _dies_with_us() -> tuple[str, ...]:
    """Return the prefix that lets the kernel end the broker when we are killed, where there is one.

    The kernel forgets the wish when a process changes its user, as mosquitto does when started by
    root. So setpriv changes the user first and leaves mosquitto nothing to change.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    nobody = ("--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups")
    return (setpriv, *(nobody if os.geteuid() == 0 else ()), "--pdeathsig", "TERM", "--")


class _Amqtt:
    """The amqtt package in a thread and loop of its own, so that it delays nothing of ours."""

    host = _HOST
    kind: Kind = "amqtt"
    protocol_versions = (MqttVersion.V311,)

    def __init__(self) -> None:
        self.port = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._halt: asyncio.Event | None = None
        self._is_up = threading.Event()
        self._fault: BaseException | None = None

    async def start(self) -> None:
        if self._thread is not None:
            return
        if self.port == 0:
            self.port = _free_port()
        self._is_up.clear()
        self._fault = None
        self._thread = threading.Thread(target=self._run, name="amqtt broker", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(_START_S):
                while not self._is_up.is_set():  # noqa: ASYNC110 - another thread sets it
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            self._fault = self._fault or TimeoutError(f"not listening within {_START_S:g} s")
        if self._fault is not None:
            await self.stop()
            raise BrokerFailed(
                "no MQTT broker: install mosquitto (apt install mosquitto) or the package extra "
                f"'demo' ({self._fault})"
            )

    async def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._halt is not None and thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop closed meanwhile
                self._loop.call_soon_threadsafe(self._halt.set)
        try:
            async with asyncio.timeout(_STOP_S):
                while thread.is_alive():  # noqa: ASYNC110 - a thread sets no asyncio event
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            _log.warning("the embedded broker did not end within %g s", _STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - handed to start(), which waits for it
            self._fault = error
        finally:
            self._is_up.set()

    async def _serve(self) -> None:
        from amqtt.broker import Broker as AmqttBroker  # 60 ms, and only where mosquitto is missing

        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        settings: dict[str, Any] = {
            "listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{self.port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
        broker = AmqttBroker(settings)
        await broker.start()
        self._loop = asyncio.get_running_loop()
        self._halt = asyncio.Event()
        self._is_up.set()
        try:
            await self._halt.wait()
        finally:
            async with asyncio.timeout(_STOP_S):
                await broker.shutdown()
                await _let_others_end()


async def _let_others_end() -> None:
    """Give amqtt's own tasks, which its shutdown does not wait for, the time to close their sockets."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    if others:
        await asyncio.wait(others, timeout=1.0)
    await asyncio.sleep(_LOOK_S)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _is_listening(port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(_HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True
