"""The service's log: lines with a priority for journald, written by a thread of their own.

A logging call never waits for the journal: records go through a bounded queue, and what does not
fit is dropped, counted and told.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

QUEUE_RECORDS = 2000
"""Some minutes of a busy log while the journal hangs."""

STOP_S = 1.0
"""At the end the last records get this long, a fraction of the 5 s the whole stop may take."""

SHORTEST_SECRET = 4
"""Shorter secrets are not blotted out: their letters would be everywhere."""

_PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
"""Python's levels as syslog priorities (sd-daemon(3)); below them 7, debug."""


class JournalFormatter(logging.Formatter):
    """`<priority>part=agent.outputs output siren failed: timeout`, each line of a record so."""

    def __init__(self, secrets: Collection[str] = (), *, for_people: bool = False) -> None:
        """`for_people`: time and level in words instead of a priority. `secrets` are blotted out."""
        super().__init__("%(asctime)s %(levelname)-8s %(message)s" if for_people else "%(message)s")
        self._for_people = for_people
        self._secrets = tuple(each for each in secrets if len(each) >= SHORTEST_SECRET)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines of a record."""
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if self._for_people:
            return text
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        prefix = f"<{priority}>"
        first, *rest = text.splitlines() or [""]
        return "\n".join(
            (f"{prefix}part={record.name} {first}", *(f"{prefix}{each}" for each in rest))
        )


class _DroppingHandler(logging.handlers.QueueHandler):
    """Queues a record, or counts it where there is no room."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__(records)
        self.records = records
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.records.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class _TellingListener(logging.handlers.QueueListener):
    """Writes records, and between them how many were dropped."""

    def __init__(self, source: _DroppingHandler, writer: logging.Handler) -> None:
        super().__init__(source.records, writer)
        self._records = source.records
        self._source = source
        self._told = 0

    def handle(self, record: logging.LogRecord) -> None:
        dropped = self._source.dropped
        if dropped != self._told:
            text = f"{dropped - self._told} log records dropped, the journal was too slow"
            self._told = dropped
            super().handle(
                logging.LogRecord(__name__, logging.ERROR, __file__, 0, text, None, None)
            )
        super().handle(record)

    def stop(self) -> None:
        """End the thread, unless the journal hangs: then it is left behind (it is a daemon)."""
        try:
            self._records.put(None, timeout=STOP_S)
        except queue.Full:
            return
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None


@contextmanager
def logging_to_journal(
    level: int = logging.INFO,
    *,
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
    environ: Mapping[str, str] = os.environ,
    queue_records: int = QUEUE_RECORDS,
) -> Iterator[None]:
    """Log to standard error while the context lasts: for journald under systemd, else for people.

    Configured `secrets` are blotted out wherever they appear, in tracebacks too.
    """
    target = stream or sys.stderr
    writer = logging.StreamHandler(target)
    writer.setFormatter(JournalFormatter(secrets, for_people=not _is_journal(target, environ)))
    handler = _DroppingHandler(queue.Queue(queue_records))
    listener = _TellingListener(handler, writer)
    root = logging.getLogger()
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level_before)
        listener.stop()


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """JOURNAL_STREAM names device and inode of the journal's socket (systemd.exec(5))."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
