"""Where things are, and how that is overridden: option, then environment, then the standard place."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG = "/etc/plantroom/site.yaml"
DATA = "/var/lib/plantroom"
RUN = "/run/plantroom"


def config_path(option: Path | None) -> Path:
    """Return the site file: `--config`, `PLANTROOM_CONFIG`, or /etc/plantroom/site.yaml."""
    return option or Path(os.environ.get("PLANTROOM_CONFIG", CONFIG))


def data_dir(option: Path | None) -> Path | None:
    """Return where records are kept if it is overridden: `--data` or `PLANTROOM_DATA`."""
    return option or _from_environment("PLANTROOM_DATA")


def run_dir(option: Path | None) -> Path | None:
    """Return where the socket is if it is overridden: `--run-dir` or `PLANTROOM_RUN`."""
    return option or _from_environment("PLANTROOM_RUN")


def socket_path(option: Path | None) -> Path:
    """Return the agent's Unix socket: `--socket`, or `plantroom.sock` in the run folder."""
    return option or (run_dir(None) or Path(RUN)) / "plantroom.sock"


def credentials_dir() -> Path | None:
    """Return the folder systemd put the credentials in (systemd.exec(5)), if it did."""
    return _from_environment("CREDENTIALS_DIRECTORY")


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
