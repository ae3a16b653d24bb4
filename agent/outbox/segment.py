r"""A TinyDB whose file is only ever appended to: one segment of a log.

The file is written full of newlines, synced and renamed into place once; records then overwrite the
newlines in place, so that a commit changes neither size nor metadata and `fdatasync` writes little
more than the record (docs/outbox.md has the figures). TinyDB's reading calls and inserts work as
always; calls that would rewrite the file refuse by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Document, Table

from agent.outbox.files import Files
from agent.outbox.lines import Line, Scan, encode_line, scan

FILLER = b"\n"


class RewriteRefused(TypeError):
    """A call that would change or remove records already in a segment."""

    def __init__(self, call: str) -> None:
        super().__init__(f"{call}() would rewrite the segment: records are only ever appended")
        self.call = call


class SegmentFull(ValueError):
    """The records do not fit into what is left of the segment."""


class SegmentBroken(OSError):
    """A write or sync failed here before: nothing written to this file since counts any more."""


class SegmentStorage(Storage):
    """The file under a `SegmentDB`."""

    def __init__(self, path: Path, files: Files, *, size: int | None = None) -> None:
        """Open a segment, or make one of `size` bytes.

        Raises:
            OSError: it cannot be opened, read or made.
        """
        self.path = path
        self._files = files
        if size is not None:
            files.replace(path, FILLER * size)
            self.scan = Scan(lines=(), damaged=(), end=0)
            self.size = size
        else:
            data = files.read(path)
            self.scan = scan(data)
            self.size = len(data)
        self.lines: dict[int, bytes] = {line.number: line.payload for line in self.scan.lines}
        """JSON by number, as it stands in the file."""
        self.end = self.scan.end
        """Where the next record goes; everything before is synced."""
        self.is_broken = False
        self._fd: int | None = None

    @property
    def room(self) -> int:
        """Bytes left."""
        return 0 if self.is_broken else self.size - self.end

    @property
    def last_number(self) -> int:
        """The highest number in it, 0 when empty."""
        return max(self.lines, default=0)

    def append(self, lines: Sequence[Line], data: bytes) -> None:
        """Write lines and wait until they are on the disk; all or none of them count.

        Raises:
            SegmentFull: they do not fit; nothing was written.
            OSError: the disk failed. The segment is broken from now on, since a sync repeated after
                a failed one proves nothing (the kernel may have dropped the pages).
        """
        if self.is_broken:
            raise SegmentBroken(f"{self.path.name} failed before")
        if len(data) > self.room:
            raise SegmentFull(f"{len(data)} bytes for {self.room} left in {self.path.name}")
        try:
            if self._fd is None:
                self._fd = self._files.open(self.path)
            self._files.pwrite(self._fd, data, self.end)
            self._files.sync_data(self._fd)
            self._files.check_name(self._fd, self.path)
        except OSError:
            self.is_broken = True
            raise
        self.end += len(data)
        self.lines.update((line.number, line.payload) for line in lines)

    def read(self) -> dict[str, dict[str, Any]] | None:
        """Return all documents in the form TinyDB works on, parsed anew as from a file."""
        if not self.lines:
            return None
        documents = {
            str(number): Line(number=number, payload=payload, offset=0).document()
            for number, payload in self.lines.items()
        }
        return {TinyDB.default_table_name: documents}

    def write(self, data: Mapping[str, Mapping[str, Any]]) -> NoReturn:
        """Refuse: TinyDB calls this to rewrite everything."""
        raise RewriteRefused("write")

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            self._files.close(fd)


class LogTable(Table):
    """A table that grows at its end only."""

    def insert(self, document: Mapping[str, Any]) -> int:
        """Append one document, durably, and return its number."""
        return self.insert_multiple((document,))[0]

    def insert_multiple(self, documents: Iterable[Mapping[str, Any]]) -> list[int]:
        """Append documents with one sync and return their numbers.

        Raises:
            ValueError: one is no mapping, JSON cannot hold it, or its number is taken or not
                higher than the last; nothing was written.
            SegmentFull: they do not fit.
            OSError: the disk failed.
        """
        storage = self.segment
        last = storage.last_number
        lines: list[Line] = []
        data = b""
        for document in documents:
            if not isinstance(document, Mapping):
                raise ValueError("Document is not a Mapping")
            number = document.doc_id if isinstance(document, Document) else last + 1
            if number in storage.lines or number <= last:
                raise ValueError(f"number {number} is not behind the last one, {last}")
            encoded = encode_line(number, document)
            payload = encoded.split(b" ", 2)[2][:-1]
            lines.append(Line(number=number, payload=payload, offset=storage.end + len(data)))
            data += encoded
            last = number
        if lines:
            self.append(lines, data)
        return [line.number for line in lines]

    def append(self, lines: Sequence[Line], data: bytes) -> None:
        """Append lines made before; see `SegmentStorage.append`."""
        self.segment.append(lines, data)
        self.clear_cache()

    @property
    def segment(self) -> SegmentStorage:
        """The file beneath."""
        return cast("SegmentStorage", self._storage)

    def update(
        self,
        fields: Mapping[str, Any] | Callable[[Any], None],
        cond: object = None,
        doc_ids: Iterable[int] | None = None,
    ) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("update")

    def update_multiple(self, updates: object) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("update_multiple")

    def upsert(self, document: Mapping[str, Any], cond: object = None) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("upsert")

    def remove(self, cond: object = None, doc_ids: Iterable[int] | None = None) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("remove")

    def truncate(self) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("truncate")


class SegmentDB(TinyDB):
    """One segment file as a TinyDB: insert, search, get, all, contains, count, len and Query work.

    Documents are numbered upwards over the whole lane (`doc_id`); numbers never start again.
    """

    table_class = LogTable

    def __init__(self, path: Path, files: Files, *, size: int | None = None) -> None:
        """Open a segment, or make one of `size` bytes; see `SegmentStorage`."""
        super().__init__(path, files, size=size, storage=SegmentStorage)

    @property
    def segment(self) -> SegmentStorage:
        """The file beneath."""
        return cast("SegmentStorage", self.storage)

    @property
    def log(self) -> LogTable:
        """The one table."""
        return self.table(self.default_table_name)

    def table(self, name: str, **kwargs: Any) -> LogTable:  # noqa: ANN401 - TinyDB's own signature
        """Return the one table.

        Raises:
            RewriteRefused: another table is asked for.
        """
        if name != self.default_table_name:
            raise RewriteRefused(f"table({name!r})")
        return cast("LogTable", super().table(name, **kwargs))

    def drop_tables(self) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("drop_tables")

    def drop_table(self, name: str) -> NoReturn:
        """Refuse."""
        raise RewriteRefused("drop_table")
