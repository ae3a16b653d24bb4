"""The alarm snapshot: a small TinyDB file, replaced whole, with the generation before kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

from tinydb import TinyDB

from agent.core.memory import AlarmSnapshot
from agent.outbox.atomic import AtomicStorage
from agent.outbox.files import Files
from agent.outbox.snapshot_documents import snapshot_record, snapshot_tables

_NAME = "snapshot.json"

_log = logging.getLogger(__name__)


def save_snapshot(root: Path, files: Files, snapshot: AlarmSnapshot) -> None:
    """Replace the snapshot, durably.

    Raises:
        OSError: the disk failed; the one before is still there.
    """
    AtomicStorage(root / _NAME, files).write(snapshot_tables(snapshot))


def load_snapshot(root: Path, files: Files) -> AlarmSnapshot | None:
    """Return the newest snapshot that can be read, or None. What it misses, the log replays."""
    with TinyDB(root / _NAME, files, storage=AtomicStorage) as db:
        storage = cast("AtomicStorage", db.storage)
        try:
            position, drill, mode = (
                db.table(name).get(doc_id=1) for name in ("position", "drill", "mode")
            )
            snapshot = snapshot_record(
                position if isinstance(position, dict) else None,
                db.table("alarms").all(),
                db.table("inhibits").all(),
                drill if isinstance(drill, dict) else None,
                db.table("delays").all(),
                db.table("outputs").all(),
                mode if isinstance(mode, dict) else None,
            )
            is_there = storage.read() is not None
        except (AttributeError, ValueError) as error:
            _log.error("the alarm snapshot is unreadable: %s", error)
            return None
        if storage.is_damaged:
            _log.error("the alarm snapshot was damaged; going on from the one before")
        return snapshot if is_there else None
