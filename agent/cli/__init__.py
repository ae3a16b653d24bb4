"""The command line.

`plantroom run` is the service: it is parsed with the standard library alone, so that the libraries
of the pretty commands (typer, rich) are never loaded into a process that runs for months.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Exit codes: 0 good, 1 bad, 2 usage, 4 hardware or broker unreachable, 78 configuration
    (sysexits.h EX_CONFIG).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["run"]:
        from agent.cli.service import serve

        sys.exit(serve(words[1:]))
    from agent.cli.commands import app

    app(args=words, prog_name="plantroom")
