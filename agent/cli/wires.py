"""What an installer types about wires and devices: read, scan, profiles, simulate."""

from __future__ import annotations

import typer

from agent.cli import profiles, read, scan, simulate


def register(app: typer.Typer) -> None:
    """Add the commands."""
    read.register(app)
    scan.register(app)
    profiles.register(app)
    simulate.register(app)
