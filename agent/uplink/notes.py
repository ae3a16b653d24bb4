"""Small files an uplink needs over a restart, each replaced whole and durably.

The disk may hang: a write is waited for `PATIENCE_S` at most, and while one hangs none is begun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.outbox.atomic import AtomicStorage
from agent.outbox.files import Files
from agent.outbox.worker import Worker

PATIENCE_S = 2.0

Table = Mapping[str, Any]

_log = logging.getLogger(__name__)


class Note:
    """One file with one table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._worker = Worker(f"note {path.name}")  # its thread lives as long as one job
        self._writing: asyncio.Future[None] | None = None

    async def load(self) -> Table | None:
        """Return what was last saved; None where nothing was, or it cannot be read (then logged)."""
        try:
            reading = self._worker.submit(self._read)
            self._worker.stop()
            async with asyncio.timeout(PATIENCE_S):
                return await reading
        except (OSError, TimeoutError) as fault:
            _log.error("%s cannot be read: %s", self._path, fault or "the disk hangs")
            return None

    async def save(self, table: Table) -> bool:
        """Save durably; return whether it is known to be on the disk."""
        if self._writing is not None and not self._writing.done():
            return False
        copy = dict(table)
        self._writing = self._worker.submit(lambda: self._write(copy))
        self._worker.stop()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(self._writing)
        except (OSError, TimeoutError) as fault:
            _log.error("%s cannot be written: %s", self._path, fault or "the disk hangs")
            return False
        return True

    def _read(self) -> Table | None:
        storage = AtomicStorage(self._path, Files(), keeps_before=False)
        tables = storage.read()
        if storage.is_damaged:
            _log.error("%s is damaged; going on without it", self._path)
        return None if tables is None else tables.get("note")

    def _write(self, table: Table) -> None:
        files = Files()
        files.make_directory(self._path.parent)
        AtomicStorage(self._path, files, keeps_before=False).write({"note": table})
