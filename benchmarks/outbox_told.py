"""The real command line, whose outbox writes down each record the moment its sync returned.

`python -m benchmarks.outbox_told NOTES [stalls=S] run ...`. Each line of NOTES is `LANE STREAM SEQ`: from then on that
record may not be lost, whatever ends this process. With `stalls` one sync in twenty takes up to so many seconds.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import agent.outbox.outbox
from agent.cli import main
from agent.outbox.files import Files
from benchmarks.outbox_writes import Accepted

_STALLS_IN = 0.05


class TellingFiles(Files):
    """The disk, telling what is on it."""

    notes = -1
    longest_stall_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._lane: dict[int, str] = {}
        self._written: dict[int, list[bytes]] = {}

    def open(self, path: Path) -> int:
        """Open, and remember of which lane a segment is."""
        fd = super().open(path)
        self._written.pop(fd, None)
        self._lane[fd] = path.parent.name if path.name.startswith("seg-") else ""
        return fd

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        """Write, and remember what to tell after the sync."""
        super().pwrite(fd, data, offset)
        if self._lane.get(fd):
            self._written.setdefault(fd, []).append(bytes(data))

    def sync_data(self, fd: int) -> None:
        """Sync, then tell."""
        self.really_sync(fd)
        if self.longest_stall_s and random.random() < _STALLS_IN:
            time.sleep(random.uniform(0.0, self.longest_stall_s))
        kept = []
        for data in self._written.pop(fd, []):
            for line in data.split(b"\n"):
                if line:
                    document = json.loads(line.split(b" ", 2)[2])
                    kept.append(Accepted(self._lane[fd], document["stream"], document["seq"]))
        if kept:
            self.tell(kept)

    def really_sync(self, fd: int) -> None:
        """Sync."""
        super().sync_data(fd)

    def tell(self, kept: Sequence[Accepted]) -> None:
        """Write down what is on the disk from now on."""
        told = "".join(f"{each.lane} {each.stream} {each.seq}\n" for each in kept)
        os.write(self.notes, told.encode())

    def close(self, fd: int) -> None:
        """Close."""
        self._lane.pop(fd, None)
        super().close(fd)


def run_telling(files: type[TellingFiles], words: Sequence[str]) -> None:
    """Run the command line on such files, to its end."""
    vars(agent.outbox.outbox)["Files"] = files
    main(words)


if __name__ == "__main__":
    TellingFiles.notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    words = sys.argv[2:]
    if words[0].startswith("stalls="):
        TellingFiles.longest_stall_s = float(words.pop(0).removeprefix("stalls="))
    run_telling(TellingFiles, words)
