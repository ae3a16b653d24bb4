"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code says."""

    GOOD = 0
    BAD = 1
    """What was checked or asked for is not in order."""
    USAGE = 2
    UNREACHABLE = 4
    """Hardware, broker or agent does not answer."""
    CONFIGURATION = 78
    """sysexits.h EX_CONFIG."""
