"""A TinyDB storage for small files written whole: a CRC, atomic replacement, the generation before kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinydb.storages import Storage

from agent.outbox.files import Files


class AtomicStorage(Storage):
    """TinyDB's tables in one file that is either the old one or the new one after any cut."""

    def __init__(self, path: Path, files: Files, *, keeps_before: bool = True) -> None:
        self._path = path
        self._keeps_before = keeps_before
        self._before = path.with_name(path.name + ".before")
        self._files = files
        self.is_damaged = False
        """Whether the last `read` found the file unreadable (and fell back, if it could)."""

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Return the tables: of this generation, else of the one before, else None."""
        for path in (self._path, self._before) if self._keeps_before else (self._path,):
            try:
                data = self._files.read(path)
            except FileNotFoundError:
                continue
            except OSError:
                self.is_damaged = True
                continue
            tables = _decode(data)
            if tables is not None:
                return tables
            self.is_damaged = True
        return None

    def write(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the file.

        Raises:
            OSError: the disk failed; this generation or the one before is still there.
        """
        body = json.dumps(data, separators=(",", ":")).encode("ascii")
        if self._keeps_before:
            try:
                current = self._files.read(self._path)
            except OSError:
                current = b""
            if _decode(current) is not None:
                self._files.rename(self._path, self._before)
        self._files.replace(self._path, b"%08x %s\n" % (zlib.crc32(body), body))


def _decode(data: bytes) -> dict[str, dict[str, Any]] | None:
    crc, _, body = data.partition(b" ")
    body = body.rstrip(b"\n")
    if len(crc) != 8 or b"%08x" % zlib.crc32(body) != crc:
        return None
    try:
        tables = json.loads(body)
    except ValueError:
        return None
    return tables if isinstance(tables, dict) else None
