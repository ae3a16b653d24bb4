"""Sockets to the broker, opened in threads that nothing waits for.

Name lookup cannot be cancelled and may hang for minutes. Neither the loop, nor its executor, nor
the end of the process may wait for it, so each attempt has a daemon thread of its own; what comes
too late closes its socket and is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from agent.uplink.certificates import peer_end_ms
from agent.uplink.errors import Unreachable
from agent.uplink.spec import TlsSpec
from agent.uplink.tls import make_context, own_ends_ms

MOST_HANGING = 12
"""Attempts that may hang at once; more would only pile up behind the same dead resolver. With one
every 3 to 4 s that is the 30 s a resolver of three servers takes to give up (resolv.conf(5): 5 s,
twice each), and some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect and how long the kernel may wait."""

    host: str
    port: int
    tls: TlsSpec | None = None
    timeout_s: float = 10.0
    """For one address, and again for the TLS handshake."""
    unacked_s: float = 30.0
    """Sent data not acknowledged for this long ends the connection (TCP_USER_TIMEOUT, RFC 5482)."""


class Dialler:
    """Opens sockets for one uplink."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.certificates: dict[str, int] = {}
        """When the certificates met last end (Unix ms), by whose they are."""

    async def dial(self, target: Target, *, timeout_s: float) -> socket.socket:
        """Return a connected socket, with TLS made when the target asks for it.

        Raises:
            Unreachable: no such name, no answer, TLS refused, or not within `timeout_s`.
        """
        self._threads = [each for each in self._threads if each.is_alive()]
        if len(self._threads) >= MOST_HANGING:
            raise Unreachable(f"{target.host}: {MOST_HANGING} attempts before still hang")
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[socket.socket] = loop.create_future()
        attempt = _Attempt(target, loop, opened, self.certificates.update)
        thread = threading.Thread(target=attempt.run, name=f"dial {target.host}", daemon=True)
        self._threads.append(thread)
        thread.start()
        try:
            async with asyncio.timeout(timeout_s):
                return await opened
        except TimeoutError:
            raise Unreachable(
                f"{target.host}:{target.port}: no connection within {timeout_s:g} s"
            ) from None
        except asyncio.CancelledError:
            # Opened and cancelled in the same turn of the loop: nobody else knows this socket.
            if opened.done() and not opened.cancelled() and opened.exception() is None:
                opened.result().close()
            raise
        except OSError as fault:
            raise Unreachable(f"{target.host}:{target.port}: {fault}") from fault


class _Attempt:
    """One connection being opened, in its thread."""

    def __init__(
        self,
        target: Target,
        loop: asyncio.AbstractEventLoop,
        opened: asyncio.Future[socket.socket],
        tell_ends: Callable[[dict[str, int]], None],
    ) -> None:
        self._tell_ends = tell_ends
        self._target = target
        self._loop = loop
        self._opened = opened

    def run(self) -> None:
        try:
            sock = _open(self._target, self._note_ends)
        except (OSError, ValueError) as fault:  # ValueError: a name that cannot be one (idna)
            error = fault if isinstance(fault, OSError) else OSError(str(fault))
            # The loop may be closed by now: then nobody wants to know.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._fail, error)
            return
        try:
            self._loop.call_soon_threadsafe(self._hand_over, sock)
        except RuntimeError:
            sock.close()

    def _note_ends(self, ends: dict[str, int]) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell_ends, ends)

    def _hand_over(self, sock: socket.socket) -> None:
        if self._opened.done():
            sock.close()
        else:
            self._opened.set_result(sock)

    def _fail(self, fault: OSError) -> None:
        if not self._opened.done():
            self._opened.set_exception(fault)


def _open(target: Target, note_ends: Callable[[dict[str, int]], None]) -> socket.socket:
    # The context first: a bad certificate file shall be told even while the broker is away.
    context = None if target.tls is None else make_context(target.tls)
    if target.tls is not None:
        note_ends(own_ends_ms(target.tls))
    sock = socket.create_connection((target.host, target.port), timeout=target.timeout_s)
    try:
        # Small messages leave at once instead of waiting for the acknowledgement of the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(target.unacked_s * 1000))
        if context is not None:
            tls_sock = context.wrap_socket(sock, server_hostname=target.host)
            sock = tls_sock
            if (peer := tls_sock.getpeercert()) and isinstance(end := peer.get("notAfter"), str):
                note_ends({"broker": peer_end_ms(end)})
    except BaseException:
        sock.close()
        raise
    return sock
