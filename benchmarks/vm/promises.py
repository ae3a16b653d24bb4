"""Promises, written by the guest onto its data disk behind the file system, past every cache.

So they stand in the disk's write log among the writes they speak of: what had been promised when a cut came
is told by the log alone. A promise is one or more blocks of 4 KiB, its length in bytes in front (4, big endian), JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
from pathlib import Path
from typing import Any

from agent.outbox.documents import batch_document, batch_record, event_document, event_record
from agent.outbox.records import Batch, EventRecord
from benchmarks.outbox_writes import Accepted

DISK = Path("/dev/vdb")
"""In the guest."""
BEGIN = 64 * 1024 * 1024
"""The file system is smaller."""
ROOM = 128 * 1024 * 1024
"""Past the end it begins anew: the write log keeps what was overwritten."""
_BLOCK = 4096


class Promises:
    """Writes promises; each is on its way to the disk before `tell` returns. For any thread."""

    def __init__(self, disk: Path = DISK) -> None:
        self._fd = os.open(disk, os.O_WRONLY | os.O_DIRECT)
        self._at = 0
        self._lock = threading.Lock()

    def tell(self, what: dict[str, Any]) -> None:
        """Write a promise."""
        blocks = in_blocks(what)
        size = len(blocks)
        with (
            self._lock,
            mmap.mmap(-1, size) as aligned,
        ):  # O_DIRECT wants memory at a page's beginning
            aligned[:] = blocks
            if self._at + size > ROOM:
                self._at = 0
            os.pwrite(self._fd, aligned, BEGIN + self._at)
            self._at += size


def in_blocks(what: dict[str, Any]) -> bytes:
    """Return a promise as it is written."""
    data = json.dumps(what).encode()
    data = len(data).to_bytes(4, "big") + data
    return data.ljust(-(-len(data) // _BLOCK) * _BLOCK, b"\0")


def read(data: bytes) -> dict[str, Any]:
    """Return the promise in a write."""
    length = int.from_bytes(data[:4], "big")
    read: dict[str, Any] = json.loads(data[4 : 4 + length])
    return read


def said(word: str) -> dict[str, Any]:
    """Return a word that marks a place: `begin` or `end` of the work."""
    return {"said": word}


def accepted(key: Accepted) -> dict[str, Any]:
    """Return the promise that a record is kept."""
    return {"accepted": [key.lane, key.stream, key.seq]}


def taken(record: EventRecord | Batch) -> dict[str, Any]:
    """Return the note that the broker has a record."""
    if isinstance(record, Batch):
        return {"batch": batch_document(record)}
    return {"event": event_document(record)}


def meant(promise: dict[str, Any]) -> Accepted | EventRecord | Batch | None:
    """Return what a promise is about."""
    match promise:
        case {"accepted": [lane, stream, seq]}:
            return Accepted(lane, stream, seq)
        case {"batch": document}:
            return batch_record(document)
        case {"event": document}:
            return event_record(document)
        case _:
            return None
