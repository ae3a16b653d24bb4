"""The real `plantroom run` in the guest: mock pins, a contact that never rests, promises on the disk.

Runs in the guest's first process, so that nothing stands between the agent and its end by the power.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.agent_plant import SMOKE_PIN
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
    """Open and close the contact for ever."""
    while not DOOR.exists():
        time.sleep(0.1)
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(DOOR))
        high = False
        while True:
            high = not high
            door.sendall(f"drive {SMOKE_PIN} {int(high)}\n".encode())
            if not door.recv(4096):
                return
            time.sleep(TOGGLE_S)
