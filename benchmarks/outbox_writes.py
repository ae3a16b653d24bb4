"""What a store did to its files, and what a power cut may have left of it.

`RecordingFiles` is the outbox's own disk seam: every operation really happens and is noted, in order,
with what counted as accepted (its sync returned). `left_after` builds the directory a cut after `count`
operations may leave, under one of two models:

- `prefix`: everything handed to the kernel so far is on the disk, the last write perhaps torn. A crash of
  the process or of the kernel right after a flush.
- `cache`: what was synced is there; of everything else each 512-byte sector may be there or not, and of
  changes to names any beginning of their order. A file whose size was never synced may be empty.
"""

from __future__ import annotations

import json
import os
import random
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from agent.outbox.files import Files

SECTOR = 512
"""Bytes a disk writes whole or not at all."""


class Act(StrEnum):
    """Kinds of operation."""

    MAKE_DIRECTORY = "make directory"
    CREATE = "create"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    SYNC_DIRECTORY = "sync directory"
    RENAME = "rename"
    UNLINK = "unlink"
    MARK = "mark"
    """No operation: something was promised by now."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. `file` counts files in the order they were made."""

    act: Act
    file: int = 0
    path: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""
    mark: object = None


class Sync(StrEnum):
    """The syncs of the store, to be taken out one at a time."""

    DATA = "of records (fdatasync)"
    FILE = "of a new file (fsync)"
    DIRECTORY = "of a directory"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record whose sync returned: from here on it may not be lost."""

    lane: str
    stream: str
    seq: int


class WriteLog:
    """Operations in order, from whichever thread."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._lock = threading.Lock()
        self._files = 0

    def note(self, op: Op) -> None:
        """Add an operation."""
        with self._lock:
            self.ops.append(op)

    def mark(self, what: object) -> None:
        """Add a promise."""
        self.note(Op(Act.MARK, mark=what))

    def new_file(self) -> int:
        """Return a number for a file."""
        with self._lock:
            self._files += 1
            return self._files


class RecordingFiles(Files):
    """The real disk with every operation noted; `left_out` names a sync that only claims to happen."""

    def __init__(self, root: Path, log: WriteLog, left_out: Sync | None = None) -> None:
        super().__init__()
        self._root = root
        self._log = log
        self._left_out = left_out
        self._file_of: dict[str, int] = {}
        self._open: dict[int, tuple[int, str]] = {}
        self._written: dict[int, list[bytes]] = {}

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def make_one(self, path: Path) -> None:
        super().make_one(path)
        if path != self._root and path.is_relative_to(self._root):
            self._log.note(Op(Act.MAKE_DIRECTORY, path=self._name(path)))

    def create(self, path: Path) -> int:
        fd = super().create(path)
        name, number = self._name(path), self._log.new_file()
        self._file_of[name] = number
        self._open[fd] = (number, name)
        self._log.note(Op(Act.CREATE, file=number, path=name))
        return fd

    def open(self, path: Path) -> int:
        fd = super().open(path)
        name = self._name(path)
        self._open[fd] = (self._file_of[name], name)
        return fd

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        number, _ = self._open[fd]
        self._log.note(Op(Act.WRITE, file=number, offset=offset, data=bytes(data)))
        super().pwrite(fd, data, offset)
        self._written.setdefault(number, []).append(bytes(data))

    def sync_data(self, fd: int) -> None:
        number, name = self._open[fd]
        if self._left_out is not Sync.DATA:
            self._log.note(Op(Act.SYNC, file=number))
        for data in self._written.pop(number, []):
            self._accept(name, data)

    def sync_file(self, fd: int) -> None:
        number, _ = self._open.get(fd, (0, ""))
        self._written.pop(number, None)
        if number and self._left_out is not Sync.FILE:
            self._log.note(Op(Act.SYNC, file=number))

    def sync_directory(self, path: Path) -> None:
        if path.is_relative_to(self._root) and self._left_out is not Sync.DIRECTORY:
            self._log.note(Op(Act.SYNC_DIRECTORY, path=self._name(path)))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        name, other = self._name(source), self._name(target)
        self._file_of[other] = self._file_of.pop(name)
        self._log.note(Op(Act.RENAME, path=name, target=other))

    def unlink(self, path: Path) -> None:
        if path.exists():
            super().unlink(path)
            self._file_of.pop(self._name(path), None)
            self._log.note(Op(Act.UNLINK, path=self._name(path)))

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        super().close(fd)

    def _accept(self, name: str, data: bytes) -> None:
        """Mark the records in what was just synced; this is the store's promise, whatever it left out."""
        lane, _, file = name.rpartition("/")
        if not file.startswith("seg-"):
            return
        for line in data.split(b"\n"):
            if line:
                document = json.loads(line.split(b" ", 2)[2])
                self._log.mark(
                    Accepted(lane.rpartition("/")[2], document["stream"], document["seq"])
                )


# -- what a cut leaves ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _File:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)


class Model(StrEnum):
    """How a cut treats what was not synced."""

    PREFIX = "prefix"
    CACHE = "cache"


def left_after(ops: list[Op], count: int, model: Model, dice: random.Random) -> dict[str, bytes]:
    """Return files by path (directories end in a slash) as a cut after `count` operations may leave them."""
    files: dict[int, _File] = {}
    durable: dict[str, int] = {}
    pending: list[Op] = []
    done = [each for each in ops[:count] if each.act is not Act.MARK]
    for op in done:
        match op.act:
            case Act.WRITE | Act.TRUNCATE:
                files[op.file].pending.append(op)
            case Act.SYNC:
                _settle(files[op.file], None, dice)
            case Act.SYNC_DIRECTORY:
                # a journal writes changes of names in their order, so all earlier ones go with it
                for each in pending:
                    _rename(durable, each)
                pending = []
            case _:
                if op.act is Act.CREATE:
                    files[op.file] = _File()
                pending.append(op)
    if model is Model.PREFIX:
        names = pending
        torn = done[-1] if done and done[-1].act is Act.WRITE and dice.getrandbits(1) else None
        for file in files.values():
            _settle(file, torn, dice)
    else:
        names = pending[: dice.randint(0, len(pending))]
        for file in files.values():
            _scatter(file, dice, is_lost=bool(dice.getrandbits(1)))
    for op in names:
        _rename(durable, op)
    return {
        name: b"" if name.endswith("/") else bytes(files[number].synced)
        for name, number in durable.items()
    }


def _rename(names: dict[str, int], op: Op) -> None:
    match op.act:
        case Act.MAKE_DIRECTORY:
            names[op.path + "/"] = 0
        case Act.CREATE:
            names[op.path] = op.file
        case Act.RENAME if op.path in names:
            names[op.target] = names.pop(op.path)
        case Act.UNLINK:
            names.pop(op.path, None)
        case _:
            return


def _settle(file: _File, torn: Op | None, dice: random.Random) -> None:
    for op in file.pending:
        data = op.data
        if op is torn:
            data = data[: dice.randrange(0, len(data) + 1, SECTOR)]
        _apply(file.synced, op, data)
    file.pending.clear()


def _scatter(file: _File, dice: random.Random, *, is_lost: bool) -> None:
    """Let sectors of what was not synced be there or not, each by itself."""
    if not file.pending:
        return
    size = len(file.synced)
    whole = bytearray(file.synced)
    for op in file.pending:
        _apply(whole, op, op.data)
    if len(whole) != size and is_lost:
        file.pending.clear()
        return
    if len(whole) < size:
        del file.synced[len(whole) :]
    file.synced.extend(bytes(max(0, len(whole) - len(file.synced))))
    touched = {
        sector
        for op in file.pending
        for sector in range(op.offset // SECTOR, (op.offset + len(op.data)) // SECTOR + 1)
    }
    for sector in touched:
        if dice.getrandbits(1):
            start = sector * SECTOR
            file.synced[start : start + SECTOR] = whole[start : start + SECTOR]
    file.pending.clear()


def _apply(content: bytearray, op: Op, data: bytes) -> None:
    if op.act is Act.TRUNCATE:
        del content[op.offset :]
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(data)] = data


def lay_out(root: Path, files: dict[str, bytes]) -> None:
    """Write a state into an empty directory."""
    for name in sorted(files):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            os.write(fd, files[name]) if files[name] else None
            os.close(fd)
