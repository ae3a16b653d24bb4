"""Units on a serial line: a pty whose one end is the line and whose other end is the client's port.

A pty has no baud rate, so the time a real wire needs is made here when asked for. It also has no
parity bit: clients must open it with parity N.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pty
import tty
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.simulate.faults import FaultPlan
from agent.simulate.frames import Adu, Framing, RtuParser
from agent.simulate.ledger import Ledger
from agent.simulate.slave import SimUnit
from agent.simulate.station import Reply, Station

_log = logging.getLogger(__name__)
_CHARACTER_BITS = 10  # start, eight data, stop (8N1)
_FRAME_GAP_CHARACTERS = 3.5  # Serial Line 1.02, 2.5.1.1
_LEAST_FRAME_GAP_S = 0.00175  # the same section, for 19200 baud and above
_QUIET_S = 0.05
"""Bytes without a whole request are given up after this; a pty delivers a request in one piece."""
_READ_BYTES = 4096


class RtuLine:
    """A multi-drop Modbus RTU line, plugged in while entered. The client opens `path`."""

    def __init__(
        self,
        units: Iterable[SimUnit],
        ledger: Ledger,
        *,
        bus: str = "rtu",
        baud: int = 9600,
        pace: bool = False,
        turnaround_s: float = 0.0,
        faults: FaultPlan | None = None,
        link: Path | None = None,
    ) -> None:
        """Make the line.

        Args:
            units: who answers.
            ledger: where answers and writes are noted.
            bus: the line's name in the ledger.
            baud: bits per second, of use only with `pace`.
            pace: answers come no earlier than 8N1 bytes could have gone over a real wire: request,
                3.5 characters of silence (1.75 ms at least), `turnaround_s`, answer.
            turnaround_s: what a unit thinks before it answers.
            faults: what goes wrong.
            link: a symbolic link kept to the pty, for a configuration that needs a name beforehand.
        """
        self.station = Station(
            bus, units, ledger, framing=Framing.RTU, is_stream=False, faults=faults
        )
        self.baud = baud
        self.turnaround_s = turnaround_s
        self._pace = pace
        self._link = link
        self._parser = RtuParser()
        self._master: int | None = None
        self._slave: int | None = None
        self._path = ""
        self._due: set[asyncio.TimerHandle] = set()
        self._quiet: asyncio.TimerHandle | None = None
        self._free_at_s = 0.0
        self.unsent_bytes = 0
        """Bytes of answers that nobody read, so that the pty was full."""

    @property
    def path(self) -> str:
        """What the client opens; the link where there is one. Empty before the first plug."""
        return str(self._link) if self._link else self._path

    def set_silent(self, unit: int, is_silent: bool) -> None:
        """Switch one unit off or on; the others answer on."""
        self.station.faults.set_silent(unit, is_silent)

    def plug(self) -> None:
        """Open the pty: the adapter is put in. Does nothing while it is.

        Raises:
            OSError: no pty is to be had, or the link cannot be made.
        """
        if self._master is not None:
            return
        master, slave = pty.openpty()
        # This side keeps the client's end open too: else a client that closes would hang up the line.
        tty.setraw(master)
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._master, self._slave = master, slave
        self._path = os.ttyname(slave)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._path)
        asyncio.get_running_loop().add_reader(master, self._readable)

    def unplug(self) -> None:
        """Close the pty under the client: the adapter is pulled. Does nothing while it is out."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        for handle in self._due:
            handle.cancel()
        self._due.clear()
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        self._parser.silence()
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None

    async def __aenter__(self) -> Self:
        self.plug()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()

    def wire_s(self, byte_count: int) -> float:
        """Return how long bytes take on the wire, in seconds."""
        return byte_count * _CHARACTER_BITS / self.baud

    def _readable(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            _log.warning("%s: the pty is gone: %s", self.station.bus, error)
            self.unplug()
            return
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        self._answer(self._parser.feed(data))
        if self._parser.is_waiting:
            self._quiet = asyncio.get_running_loop().call_later(_QUIET_S, self._went_quiet)

    def _went_quiet(self) -> None:
        self._quiet = None
        self._answer(self._parser.silence())

    def _answer(self, requests: list[Adu]) -> None:
        now_s = asyncio.get_running_loop().time()
        for request in requests:
            asked_s = max(now_s, self._free_at_s)
            if self._pace:
                asked_s += self.wire_s(request.wire_bytes)
                self._free_at_s = asked_s
            reply = self.station.reply(request)
            if reply is None:
                continue
            at_s = asked_s + self.turnaround_s + reply.wire.delay_s
            if self._pace:
                gap_s = max(_LEAST_FRAME_GAP_S, self.wire_s(1) * _FRAME_GAP_CHARACTERS)
                at_s += gap_s + self.wire_s(len(reply.wire.data))
                if not reply.wire.delay_s:
                    self._free_at_s = at_s
            if at_s <= now_s:
                self._send(reply)
            else:
                self._send_at(at_s, reply)

    def _send_at(self, at_s: float, reply: Reply) -> None:
        def send() -> None:
            self._due.discard(handle)
            self._send(reply)

        handle = asyncio.get_running_loop().call_at(at_s, send)
        self._due.add(handle)

    def _send(self, reply: Reply) -> None:
        if self._master is None:
            return
        self.station.left(reply)
        data = reply.wire.data
        try:
            sent = os.write(self._master, data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            _log.warning("%s: the pty is gone: %s", self.station.bus, error)
            self.unplug()
            return
        self.unsent_bytes += len(data) - sent
