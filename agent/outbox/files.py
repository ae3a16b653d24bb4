"""The few disk operations the outbox stands on, in the order that makes them durable.

Only the outbox's own threads call these: each may hang for as long as the disk likes.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""A file system that has none (fcntl(2)); two agents on it go unnoticed."""

_READS = 3
"""So often a file is asked for before it counts as unreadable, since what is unreadable is told as lost."""

_log = logging.getLogger(__name__)


class Files:
    """The real disk; faults are tried out by overriding single operations."""

    def __init__(self) -> None:
        self.bytes_written = 0
        """Handed to the kernel since start."""

    def make_directory(self, path: Path) -> None:
        """Make a directory and its parents, durably.

        Raises:
            OSError: it cannot be made.
        """
        missing = []
        while not path.is_dir():
            missing.append(path)
            if path.parent == path:
                break
            path = path.parent
        for each in reversed(missing):
            self.make_one(each)
            self.sync_directory(each.parent)

    def make_one(self, path: Path) -> None:
        """Make one directory; its name is not durable yet."""
        path.mkdir(mode=0o750, exist_ok=True)

    def lock(self, path: Path) -> int:
        """Hold a lock file for this process and return its descriptor; the kernel lets go at its end.

        Raises:
            OSError: another process holds it (EBUSY), or it cannot be made.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                why = f"another process ({holder}) keeps its records here"
                raise OSError(errno.EBUSY, why, str(path)) from None
            if error.errno not in _NO_LOCKS:
                os.close(fd)
                raise
            _log.warning("%s: no lock to be had: %s", path, error.strerror)
        with suppress(OSError):  # a full disk has no room for it; the lock holds all the same
            os.pwrite(fd, b"%-19d\n" % os.getpid(), 0)
        return fd

    def lock_holder(self, path: Path) -> str:
        """Return the process id that holds a lock file; empty when none does. Nothing is changed.

        Raises:
            OSError: it cannot be opened.
        """
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return ""
            return os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        finally:
            os.close(fd)
        return ""

    def names(self, directory: Path) -> tuple[str, ...]:
        """Return the names in a directory, sorted."""
        return tuple(sorted(os.listdir(directory)))  # noqa: PTH208 - names alone are wanted

    def check_owner(self, path: Path) -> None:
        """Make sure that a file, where there is one, lets this user read and write it.

        Raises:
            PermissionError: it does not, as after a command typed under sudo.
        """
        try:
            fd = self.open(path)
        except PermissionError:
            raise
        except OSError:
            return  # what is wrong with it is for whoever uses it to say
        self.close(fd)

    def read(self, path: Path) -> bytes:
        """Return a file's content.

        Raises:
            OSError: it cannot be read, also not when asked again.
        """
        for _ in range(_READS - 1):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                raise
            except OSError as error:
                _log.warning("%s: %s; asked again", path, error.strerror)
        return path.read_bytes()

    def peek(self, path: Path, length: int) -> tuple[bytes, int]:
        """Return the first bytes of a file and its size."""
        with path.open("rb", buffering=0) as file:
            return file.read(length), os.fstat(file.fileno()).st_size

    def open(self, path: Path) -> int:
        """Open an existing file for `pwrite` and return its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def create(self, path: Path) -> int:
        """Make an empty file for `pwrite`, or empty the one that is there; return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)

    def replace(self, path: Path, data: bytes) -> None:
        """Put a whole file in place: written aside, synced, renamed, the directory synced.

        After a cut either the old file or the new one is there, never a part.

        Raises:
            OSError: nothing was changed, or the new name may not be durable yet.
        """
        aside = path.with_name(path.name + ".tmp")
        for each in (aside, path):
            if each.is_dir() and not each.is_symlink():
                self._move_away(each)
        fd = self.create(aside)
        try:
            try:
                self.pwrite(fd, data, 0)
                self.sync_file(fd)
            finally:
                self.close(fd)
            self.rename(aside, path)
        except OSError:
            with suppress(OSError):
                self.unlink(aside)
            raise
        self.sync_directory(path.parent)

    def _move_away(self, directory: Path) -> None:
        """Give a directory that stands where a file of ours belongs another name; it is kept."""
        for number in range(1, 1000):
            other = directory.with_name(f"{directory.name}.foreign-{number}")
            if not other.exists():
                _log.error("%s: a directory where a file belongs, now %s", directory, other.name)
                self.rename(directory, other)
                return

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            self.bytes_written += written
            offset += written
            view = view[written:]

    def check_name(self, fd: int, path: Path) -> None:
        """Make sure that an open file still has a name: what is written to one that was removed is lost.

        Raises:
            OSError: it was removed (ENOENT).
        """
        if os.fstat(fd).st_nlink == 0:
            raise OSError(errno.ENOENT, "the file was removed while in use", str(path))

    def sync_data(self, fd: int) -> None:
        """Wait until a file's data is on the disk (fdatasync)."""
        os.fdatasync(fd)

    def sync_file(self, fd: int) -> None:
        """Wait until a file and its size are on the disk (fsync)."""
        os.fsync(fd)

    def sync_directory(self, path: Path) -> None:
        """Wait until the names in a directory are on the disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync_file(fd)
        finally:
            self.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, replacing what has it."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is gone already is as good."""
        path.unlink(missing_ok=True)

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        os.close(fd)
