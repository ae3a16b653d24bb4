"""Settings of the local page and its Unix socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSpec:
    """Where people on the spot find the agent."""

    host: str = "127.0.0.1"
    port: int | None = 8080
    """None: no TCP listener. 0: any free port."""
    socket: Path | None = None
    """Unix socket with the same application, for the command line."""
