"""Who may ask: checks of where a request came from, against pages of strangers in a local browser.

A browser on this machine can be made to send requests here by any page it shows. Against DNS
rebinding the Host must be a name that only this machine has; against cross-site requests a write
needs a matching Origin and something a foreign page cannot send: a header of our own, or the token
that stands in our page. The Unix socket is guarded by its mode and group instead.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from enum import Enum
from urllib.parse import urlsplit

from aiohttp import web

HEADER = "X-Plantroom"
"""Any value; that it is there at all is the proof (a simple cross-site request cannot carry it)."""


class Door(Enum):
    """The way a request came in."""

    UNIX = "unix"
    LOOPBACK = "loopback"
    NETWORK = "network"


class Forbidden(Exception):
    """The request may come from a stranger's page; the text says what was missing."""


class Guard:
    """Judges requests; one per server."""

    def __init__(self, host: str) -> None:
        """`host` is the address the TCP listener is bound to."""
        self._is_loopback = is_loopback(host)
        name = socket.gethostname().lower()
        self._names = frozenset({"localhost", name, f"{name}.local"})
        self.token = secrets.token_urlsafe(24)
        """Stands in the page's forms; new with each start."""

    def door_of(self, request: web.BaseRequest) -> Door:
        """Return the way a request came in."""
        transport = request.transport
        end = transport.get_extra_info("socket") if transport is not None else None
        if end is not None and end.family == socket.AF_UNIX:
            return Door.UNIX
        return Door.LOOPBACK if self._is_loopback else Door.NETWORK

    def may_command(self, request: web.BaseRequest) -> bool:
        """Whether commands are taken at this door at all; over the network only with a PIN, later."""
        return self.door_of(request) is not Door.NETWORK

    def check_host(self, request: web.BaseRequest) -> None:
        """Check that the request was meant for this machine.

        Raises:
            Forbidden: the Host is a name that somebody else may own.
        """
        door = self.door_of(request)
        if door is Door.UNIX:
            return
        host = _host_of(f"//{request.headers.get('Host', '')}")
        if host == "localhost" or is_loopback(host):
            return
        if door is Door.NETWORK and (host in self._names or _is_address(host)):
            return
        raise Forbidden("the Host of this request is not this machine")

    def check_write(self, request: web.BaseRequest, token: str | None = None) -> None:
        """Check that a request that changes something was not made by a stranger's page.

        Args:
            request: what came.
            token: of the form; None when the request must carry `HEADER` instead.

        Raises:
            Forbidden: it may have been.
        """
        match self.door_of(request):
            case Door.UNIX:
                return
            case Door.NETWORK:
                raise Forbidden("commands are taken on this machine only")
            case Door.LOOPBACK:
                pass
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host", ""):
            raise Forbidden("the Origin of this request is another page")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden("this request was made by another page")
        if token is None:
            if HEADER not in request.headers:
                raise Forbidden(f"the header {HEADER} is missing")
        elif not hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            raise Forbidden("the form is not of this page, or older than the last restart")


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower().rstrip(".")
    except ValueError:
        return ""
