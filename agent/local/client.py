"""How the command line talks to a running agent: HTTP over its Unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

ANSWER_S = 5.0
"""How long an answer may take; the agent's own limit for its loop is shorter (agent.local.bridge)."""

SILENT_S = 25.0
"""A stream without a word for this long is dead: the agent says something every 10 s (agent.local.stream)."""

LONGEST_LINE = 2**22
"""Bytes of one event: all points of a site far larger than any box reads."""


class AgentUnreachable(Exception):
    """No agent answers on the socket."""


class AgentClient:
    """One conversation with the agent behind a Unix socket; an async context manager."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> AgentClient:
        self._session = aiohttp.ClientSession(
            "http://plantroom",
            connector=aiohttp.UnixConnector(path=str(self._socket)),
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at `path`.

        Raises:
            AgentUnreachable: nobody answers, or not with an object.
        """
        return (await self._ask("GET", path, None))[1]

    async def command(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Send a person's command (the fields of agent.local.commands) and return its outcome.

        Raises:
            AgentUnreachable: nobody answers; whether the command was carried out is not known.
        """
        return (await self._ask("POST", "/api/v1/commands", fields))[1]

    async def stream(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield (name, object) of the agent's server-sent events as they come.

        Raises:
            AgentUnreachable: nobody answers, or the stream ends or falls silent.
        """
        if self._session is None:
            raise RuntimeError("enter the client first")
        never = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_S, sock_read=SILENT_S)
        try:
            async with self._session.get(
                "/api/v1/stream", timeout=never, read_bufsize=LONGEST_LINE
            ) as response:
                name = ""
                async for raw in response.content:
                    line = raw.decode().rstrip("\n")
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield name, json.loads(line.removeprefix("data: "))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise AgentUnreachable(f"{self._socket}: {_why(error)}") from error
        raise AgentUnreachable(f"{self._socket}: the agent has ended the stream")

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        if self._session is None:
            raise RuntimeError("enter the client first")
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                self._session.request(method, path, json=body) as response,
            ):
                answer = json.loads(await response.text())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise AgentUnreachable(f"no agent answers on {self._socket}: {_why(error)}") from error
        if not isinstance(answer, dict):
            raise AgentUnreachable(f"{self._socket} does not speak like an agent")
        return response.status, answer


def _why(error: Exception) -> str:
    """Return what is wrong in words a person can act on."""
    match getattr(error, "os_error", error):
        case FileNotFoundError():
            return "there is no such socket; is the agent running, and is this its run folder?"
        case ConnectionRefusedError():
            return "nobody listens there any more; the agent has ended"
        case PermissionError():
            return "you may not use it; the group of the agent's user may (or use sudo)"
        case TimeoutError():
            return f"no answer within {ANSWER_S:g} s"
        case other:
            return f"{type(other).__name__}"
