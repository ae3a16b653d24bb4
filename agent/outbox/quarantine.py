"""Where bytes go that cannot be used: kept for people, bounded, never in anybody's way."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from agent.outbox.files import Files

MOST_BYTES = 4 * 1024 * 1024
"""What is kept in all; beyond it the oldest go."""


class Quarantine:
    """A directory of set-aside pieces, `<number>-<what>.bin`, oldest first by number."""

    def __init__(self, directory: Path, files: Files) -> None:
        self._directory = directory
        self._files = files

    def keep(self, what: str, data: bytes) -> None:
        """Keep a piece if the disk lets us; the record of its loss does not depend on it."""
        with suppress(OSError):
            self._files.make_directory(self._directory)
            names = self._files.names(self._directory)
            heads = [name.partition("-")[0] for name in names]
            number = max((int(each) for each in heads if each.isdigit()), default=0) + 1
            path = self._directory / f"{number:08d}-{what}.bin"
            self._files.replace(path, data[:MOST_BYTES])
            self._trim((*names, path.name))

    def _trim(self, names: tuple[str, ...]) -> None:
        sizes = [(name, self._files.peek(self._directory / name, 0)[1]) for name in names]
        total = sum(size for _, size in sizes)
        for name, size in sizes:
            if total <= MOST_BYTES:
                return
            self._files.unlink(self._directory / name)
            total -= size
