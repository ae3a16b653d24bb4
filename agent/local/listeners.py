"""The two places people knock at: a TCP port and a Unix socket. Each is kept open, or said to be shut."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from drivers.backoff import Backoff

_log = logging.getLogger(__name__)

SOCKET_MODE = 0o660
"""Owner and group: who is in the agent's group may command it (docs/design.md section 9)."""

BACKLOG = 64
WATCH_S = 5.0
"""How often the Unix socket's file is looked for; a file somebody removed is made again."""

PROBE_S = 0.5
RETRY_FIRST_S = 1.0
RETRY_CAP_S = 30.0

MOST_CONNECTIONS = 64
"""Open at once over all listeners; more are closed at once, so that nobody can use up descriptors."""

FIRST_REQUEST_S = 10.0
"""A connection that has asked nothing for this long is closed."""


class Place(Protocol):
    """Where a listener listens."""

    name: str

    def bind(self) -> socket.socket:
        """Return a bound socket that does not listen yet.

        Raises:
            OSError: the place is taken or cannot be had.
        """

    def is_intact(self) -> bool:
        """Whether people can still find the place."""

    def release(self) -> None:
        """Leave nothing behind."""


class TcpPlace:
    """An address and a port."""

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self._host = "127.0.0.1" if host == "localhost" else host
        self._port = port
        self.bound_port: int | None = None

    def bind(self) -> socket.socket:
        """Return a socket bound to the port; a name instead of an address is refused."""
        try:
            address = ipaddress.ip_address(self._host)
        except ValueError as error:
            # Looking a name up could hang, and may give another address tomorrow.
            raise OSError(f"{self._host} is not an address") from error
        is_v6 = address.version == 6
        bound = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if is_v6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((self._host, self._port))
            # Two sockets may be bound with SO_REUSEADDR as long as none listens: only this tells.
            bound.listen(BACKLOG)
        except BaseException:
            bound.close()
            raise
        self.bound_port = bound.getsockname()[1]
        return bound

    def is_intact(self) -> bool:
        """A port stays."""
        return True

    def release(self) -> None:
        """Nothing stays behind."""
        self.bound_port = None


class UnixPlace:
    """A socket file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._own: tuple[int, int] | None = None

    def bind(self) -> socket.socket:
        """Return a socket bound to the path, mode 0660 before anybody can connect."""
        self._clear_path()
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bound.bind(str(self._path))
            self._path.chmod(SOCKET_MODE)
            self._own = _identity(self._path)
        except BaseException:
            bound.close()
            raise
        return bound

    def _clear_path(self) -> None:
        """Remove what a process that died left behind; never a living one's, never another kind of file."""
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise OSError(f"{self._path} is there and is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(PROBE_S)
            try:
                probe.connect(str(self._path))
            except (ConnectionRefusedError, FileNotFoundError):
                self._path.unlink(missing_ok=True)
                return
            except TimeoutError:
                pass
        raise OSError(f"{self._path} is served by another process")

    def is_intact(self) -> bool:
        """Whether the path still leads here."""
        return self._own is not None and _identity(self._path) == self._own

    def release(self) -> None:
        """Remove the file, if it is still ours."""
        if self.is_intact():
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._own = None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Listener:
    """Keeps one place open: what cannot be bound is said and tried again, for ever."""

    def __init__(
        self,
        place: Place,
        factory: Callable[[], asyncio.BaseProtocol],
        report: Callable[[str, str], None],
        retry_first_s: float = RETRY_FIRST_S,
        watch_s: float = WATCH_S,
    ) -> None:
        """`report` hears the place's name and why it is shut; empty when it is open."""
        self._watch_s = watch_s
        self._place = place
        self._factory = factory
        self._report = report
        self._retry_first_s = retry_first_s

    async def run(self) -> None:
        """Listen until cancelled."""
        backoff = Backoff(self._retry_first_s, max(RETRY_CAP_S, self._retry_first_s))
        while True:
            try:
                async with self._open():
                    backoff.reset()
                    self._report(self._place.name, "")
                    await self._watch()
                self._report(self._place.name, "its file was removed")
            except OSError as error:
                self._report(self._place.name, error.strerror or str(error))
                await asyncio.sleep(backoff.next_s())

    async def _watch(self) -> None:
        # Nothing tells that a file was removed, so it is looked for.
        while self._place.is_intact():  # noqa: ASYNC110
            await asyncio.sleep(self._watch_s)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        bound = self._place.bind()
        try:
            bound.setblocking(False)
            loop = asyncio.get_running_loop()
            server = await loop.create_server(self._factory, sock=bound, backlog=BACKLOG)
        except BaseException:
            bound.close()
            self._place.release()
            raise
        try:
            yield
        finally:
            server.close()
            self._place.release()


class _Refusal(asyncio.Protocol):
    """Closes a connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Connections:
    """Limits on how many connections there are and how long one may be without a request."""

    def __init__(self, first_request_s: float = FIRST_REQUEST_S) -> None:
        self._first_request_s = first_request_s
        self._coming: set[asyncio.BaseProtocol] = set()
        self._idle: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}

    def factory(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of a new connection to `server`."""

        def make() -> asyncio.BaseProtocol:
            # The server counts a connection only once it is told of it, a turn of the loop later;
            # of a burst that is accepted in one turn, the others are on their way.
            if len(server.connections) + len(self._coming) >= MOST_CONNECTIONS:
                return _Refusal()
            protocol = server()
            loop = asyncio.get_running_loop()
            self._coming.add(protocol)
            loop.call_soon(self._coming.discard, protocol)  # just before it is told
            self._idle[protocol] = loop.call_later(self._first_request_s, self._expire, protocol)
            return protocol

        return make

    def note_asked(self, protocol: asyncio.BaseProtocol) -> None:
        """Note that a request came over this connection."""
        timer = self._idle.pop(protocol, None)
        if timer is not None:
            timer.cancel()

    def _expire(self, protocol: RequestHandler) -> None:
        self._idle.pop(protocol, None)
        if protocol.transport is not None:
            protocol.transport.abort()
