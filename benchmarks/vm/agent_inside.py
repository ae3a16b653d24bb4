"""The real `plantroom run` in the guest: mock pins, a contact that never rests, promises on the disk.

Runs in the guest's first process, so that nothing stands between the agent and its end by the power.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from benchmarks.outbox_kills import never_rest
from benchmarks.outbox_told import TellingFiles, run_telling
from benchmarks.outbox_writes import Accepted
from benchmarks.vm.promises import Promises, accepted

DATA, DOOR = Path("/data"), Path("/run/pins")
TOGGLE_S = 0.1
FIRST = "first record on disk"
"""Said on the console, for whoever waits for it."""


class PromisedFiles(TellingFiles):
    """Tells by promises."""

    promises: Promises
    skips_sync = False
    has_told = False

    def really_sync(self, fd: int) -> None:
        if not self.skips_sync:
            super().really_sync(fd)

    def tell(self, kept: Sequence[Accepted]) -> None:
        for each in kept:
            self.promises.tell(accepted(each))
        if not self.has_told:
            type(self).has_told = True
            print(FIRST, flush=True)


def run_agent(promises: Promises, *, skips_sync: bool) -> None:
    """Run it until the power goes."""
    PromisedFiles.promises = promises
    PromisedFiles.skips_sync = skips_sync
    threading.Thread(target=_toggle, name="contact", daemon=True).start()
    words = (
        "--config",
        DATA / "site.yaml",
        "--data",
        DATA,
        "--run-dir",
        "/run",
        "--pin-door",
        DOOR,
    )
    run_telling(PromisedFiles, ["run", *map(str, words)])


def _toggle() -> None:
    asyncio.run(never_rest(DOOR, TOGGLE_S))
