"""The real command line in a process in which something hangs: `python -m tests.process.hampered WHAT run ...`.

`disk`: every sync to disk hangs for ever. `dns`: every name look-up hangs for ever. `page`: asking
/healthz blocks the page's thread for 30 s. `drop`: one reading in a hundred never reaches the
telemetry store, and nothing says so. `none`: nothing.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time

from agent.cli import main
from drivers.reading import Reading

_NEVER = threading.Event()


def hang(*_: object, **__: object) -> None:
    _NEVER.wait()


def hamper(what: str) -> None:
    match what:
        case "disk":
            os.fdatasync = hang
            os.fsync = hang
        case "dns":
            socket.getaddrinfo = hang  # type: ignore[assignment]
        case "page":
            from agent.local.api import Api

            async def sleep(*_: object) -> None:
                time.sleep(30)

            Api._healthz = sleep  # type: ignore[assignment,method-assign]
        case "drop":
            from agent.outbox.telemetry import TelemetryStore

            keep = TelemetryStore.add
            count = itertools.count(1)

            def lose_some(store: TelemetryStore, reading: Reading) -> bool:
                return False if next(count) % 100 == 0 else keep(store, reading)

            TelemetryStore.add = lose_some  # type: ignore[method-assign,assignment]
        case "none":
            pass
        case _:
            raise SystemExit(f"cannot hamper {what}")


if __name__ == "__main__":
    hamper(sys.argv[1])
    main(sys.argv[2:])
