"""What a service tells systemd over its notify socket (sd_notify(3)), and the fed watchdog."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from typing import NoReturn

from agent.supervise import Progress
from drivers.clock import Clock

_log = logging.getLogger(__name__)

UNWATCHED_PERIOD_S = 10.0
"""How often progress is looked at where no watchdog is set: lateness is logged all the same."""


class Notifier:
    """Sends states to systemd; does nothing where there is no notify socket.

    A message never blocks: one that systemd does not take is dropped and counted.
    """

    def __init__(self, address: str | None) -> None:
        """`address`: value of NOTIFY_SOCKET, a path or `@` and an abstract name; None for none."""
        self._address = f"\0{address[1:]}" if address and address[0] == "@" else address
        self._socket: socket.socket | None = None
        self.dropped = 0
        """Messages that could not be sent since start."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """Return the notifier systemd has asked for."""
        return cls(environ.get("NOTIFY_SOCKET") or None)

    @property
    def is_heard(self) -> bool:
        """Whether there is a socket to notify."""
        return self._address is not None

    def ready(self, status: str = "") -> None:
        """Tell that the start (or a reload) is over."""
        self._send("READY=1", *([f"STATUS={_line(status)}"] if status else []))

    def status(self, text: str) -> None:
        """Show one line for people in `systemctl status`, in any language."""
        self._send(f"STATUS={_line(text)}")

    def watchdog(self) -> None:
        """Tell that all is well."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Tell that the end has begun."""
        self._send("STOPPING=1")

    def reloading(self, clock: Clock) -> None:
        """Tell that the configuration is read anew; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(clock.mono_s() * 1_000_000)}")

    def close(self) -> None:
        """Close the socket; a later message opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *fields: str) -> None:
        if self._address is None:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(
                    socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
                )
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(fields).encode(), self._address)
        except OSError as error:
            self.dropped += 1
            if self.dropped == 1:
                _log.warning("systemd cannot be notified: %s", error)


def _line(text: str) -> str:
    """A line break would begin another field."""
    return " ".join(text.split())


def watchdog_period_s(
    environ: Mapping[str, str] = os.environ, pid: int | None = None
) -> float | None:
    """Return WatchdogSec in seconds if systemd expects pings from this process, else None."""
    wanted_pid = environ.get("WATCHDOG_PID")
    if wanted_pid and wanted_pid != str(os.getpid() if pid is None else pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    return int(text) / 1_000_000


async def feed_watchdog(
    progress: Progress, notifier: Notifier, period_s: float | None = None
) -> NoReturn:
    """Ping at half of `period_s` (sd_watchdog_enabled(3)), but only while every part gets on.

    When a part is late there is no ping, and systemd ends and restarts the service: the outputs
    then fall into the state their hardware rests in. None: nothing to feed, lateness is logged.
    """
    wait_s = UNWATCHED_PERIOD_S if period_s is None else period_s / 2
    was_late = False
    while True:
        late = progress.verdict()
        if late:
            if not was_late:
                text = ", ".join(str(each) for each in late)
                _log.critical("no watchdog ping: %s", text)
                notifier.status(f"hangs: {text}")
        else:
            if was_late:
                _log.warning("all parts get on again")
                notifier.status("running")
            if period_s is not None:
                notifier.watchdog()
        was_late = bool(late)
        await asyncio.sleep(wait_s)
