"""What an installer types about wires, devices and rules: read, scan, profiles, templates, simulate."""

from __future__ import annotations

import typer

from agent.cli import profiles, read, scan, simulate, templates


def register(app: typer.Typer) -> None:
    """Add the commands."""
    read.register(app)
    scan.register(app)
    profiles.register(app)
    templates.register(app)
    simulate.register(app)
