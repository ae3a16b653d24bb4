"""A disk image after a cut: its journal played back, its files taken out, the outbox in them judged.

Nothing is mounted, so neither root nor a loop device is needed: e2fsck plays the journal back as a mount
would, debugfs copies the files. Whether the file system is whole afterwards is checked as well: it tells
whether the image is one that a disk keeping its word can leave. Without a journal it is repaired.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from agent.outbox.records import Batch, EventRecord
from benchmarks.outbox_cuts import SPEC, judge_stock
from benchmarks.outbox_judge import Verdict, judge
from benchmarks.outbox_writes import Accepted
from benchmarks.vm.guest import sbin

_RECOVERED = 3
"""e2fsck(8): 1 errors corrected, 2 the system should be rebooted; both are said of a journal played back."""


class BrokenImageError(Exception):
    """The file system does not even open: no fault of what was kept in it."""


def take_out(image: Path, name: str, target: Path, *, has_journal: bool = True) -> None:
    """Copy a file or directory at the top of the image into `target`, if it is there.

    Raises:
        BrokenImageError: the journal cannot be played back, or the file system is not whole afterwards.
    """
    steps = [("-y", "-E", "journal_only"), ("-f", "-p")] if has_journal else [("-f", "-y")]
    for step in steps:
        done = _run(sbin("e2fsck"), *step, str(image))
        if done.returncode & ~_RECOVERED:
            raise BrokenImageError(done.stdout + done.stderr)
    target.mkdir()
    _run(sbin("debugfs"), "-R", f"rdump /{name} {target}", str(image))


async def judge_outbox(
    image: Path,
    folder: Path,
    promised: list[Accepted | EventRecord | Batch | None],
    *,
    has_journal: bool = True,
) -> Verdict:
    """Judge the outbox in an image against what had been promised."""
    root = folder / "out/outbox"
    take_out(image, "outbox", root.parent, has_journal=has_journal)
    root.mkdir(exist_ok=True)
    return await judge(
        root,
        replace(SPEC, directory=root, max_bytes=64 * 1024 * 1024),
        [each for each in promised if isinstance(each, Accepted)],
        [each for each in promised if isinstance(each, EventRecord | Batch)],
    )


def judge_stock_image(image: Path, folder: Path, numbers: list[int]) -> Verdict:
    """Judge stock TinyDB in an image."""
    out = folder / "out"
    take_out(image, "db.json", out)
    return judge_stock(out / "db.json", numbers)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
