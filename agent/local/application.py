"""The web application: routes, and what every request and answer goes through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import MappingProxyType

from aiohttp import web

from agent.local.api import Api, error_response
from agent.local.bridge import Bridge, NoAnswer
from agent.local.guard import Forbidden, Guard
from agent.local.stream import Stream
from agent.local.visits import Visits

_log = logging.getLogger(__name__)

MOST_BODY_BYTES = 16 * 1024
"""The largest request is a command of some hundred bytes."""

HANDLE_S = 15.0
"""No handler takes longer, the stream apart."""

SECURITY_HEADERS = MappingProxyType(
    {
        # form-action and frame-ancestors do not fall back to default-src (CSP Level 3, section 6).
        "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; object-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Not no-referrer: browsers would then send `Origin: null` with our own forms.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(
    bridge: Bridge,
    guard: Guard,
    stream: Stream,
    note_asked: Callable[[asyncio.BaseProtocol], None],
) -> web.Application:
    """Return the application; the same one serves TCP and the Unix socket.

    `note_asked` hears of every connection a request came over.
    """
    told: set[tuple[str, str]] = set()

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check where a request came from, bound its time, and turn errors into answers."""
        note_asked(request.protocol)
        is_stream = request.path == "/api/v1/stream"
        try:
            guard.check_host(request)
            async with asyncio.timeout(None if is_stream else HANDLE_S):
                return await handler(request)
        except Forbidden as error:
            return error_response(403, "forbidden", str(error))
        except NoAnswer as error:
            return error_response(503, "no_answer", str(error))
        except TimeoutError:
            return error_response(503, "no_answer", "the page took too long")
        except web.HTTPException as answer:
            if answer.status < 400:
                raise
            return error_response(
                answer.status, answer.reason.lower().replace(" ", "_"), answer.text or ""
            )
        except Exception as error:  # noqa: BLE001 - a bug in one answer must not cost the others
            route = request.match_info.route.resource
            fault = (route.canonical if route is not None else "?", type(error).__name__)
            if fault not in told:
                told.add(fault)
                _log.exception("%s failed with %s; told once", *fault)
            return error_response(500, "bug", f"this answer failed: {type(error).__name__}")

    async def protect(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = "plantroom"

    async def close_stream(_: web.Application) -> None:
        stream.close()

    application = web.Application(middlewares=[admit], client_max_size=MOST_BODY_BYTES)
    application.add_routes(Api(bridge, guard, stream).routes())
    application.add_routes(Visits(bridge, guard).routes())
    application.on_response_prepare.append(protect)
    application.on_shutdown.append(close_stream)
    return application
