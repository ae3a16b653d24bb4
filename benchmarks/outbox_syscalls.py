"""The n-th system call on the outbox's files fails, for every n until none is left to fail.

`python -m benchmarks.outbox_syscalls [--only fdatasync --error EIO] [--most 200]`. A small process keeps records
(tests.outbox.fault_writer) under `strace -e inject=CALL:error=ERROR:when=N`, limited to the outbox's own files by
`-P`, is then killed with signal 9, and what it said was on disk is looked for. Needs strace.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from agent.outbox.spec import OutboxSpec
from benchmarks.figures import print_table
from benchmarks.outbox_judge import Verdict, judge
from benchmarks.outbox_writes import Accepted

CALLS = ("pwrite64", "fdatasync", "fsync", "openat", "rename", "unlink")
ERRORS = ("EIO", "ENOSPC", "EROFS")
SEGMENTS = 40
"""Names of segments that may be made in one run: strace matches paths as they stand."""
RUN_S = 60.0
"""Longer than any run under strace takes on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run went."""

    hits: int
    """Calls that were made to fail."""
    fault: bool
    """Whether the outbox said that the disk was bad."""
    accepted: int
    ended: bool
    """The writer ran to its end: nothing it was told to do failed."""
    verdict: Verdict

    @property
    def is_good(self) -> bool:
        """Whether nothing accepted was lost, and the writer went on by itself."""
        return self.ended and self.verdict.is_good


def paths(root: Path) -> list[str]:
    """Return the files of an outbox as strace is told them."""
    box = root / "box"
    names = ["cursors.bin", "cursors.bin.tmp", "snapshot.json", "snapshot.json.tmp", ""]
    for lane in ("event", "telemetry"):
        names += [f"{lane}/manifest.json", f"{lane}/manifest.json.tmp", lane]
        for number in range(1, SEGMENTS):
            names += [f"{lane}/seg-{number:08d}.log", f"{lane}/seg-{number:08d}.log.tmp"]
    return [str(box / name) for name in names]


async def run_with(call: str, error: str, nth: int, strace: str) -> Outcome:
    """Run the writer with one failing call, kill it, and judge what it left."""
    with tempfile.TemporaryDirectory(prefix="plantroom-calls-") as folder:
        root = Path(folder) / "store"
        trace = Path(folder) / "trace"
        words = [strace, "-f", "-qq", "-o", str(trace)]
        words += ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={nth}"]
        for each in paths(root):
            words += ["-P", each]
        words += [sys.executable, "-m", "tests.outbox.fault_writer", str(root)]
        process = await asyncio.create_subprocess_exec(
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        try:
            async with asyncio.timeout(RUN_S):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            told, _ = await process.communicate()
        hits = trace.read_text(errors="replace").count("(INJECTED)") if trace.exists() else 0
        lines = told.decode().splitlines()
        accepted = [
            Accepted(lane, stream, int(seq))
            for line in lines
            if line.startswith("a ")
            for _, lane, stream, seq in [line.split()]
        ]
        verdict = await judge(root, OutboxSpec(directory=root, segment_bytes=4096), accepted, ())
        return Outcome(
            hits=hits,
            fault="fault" in lines,
            accepted=len(accepted),
            ended="end" in lines,
            verdict=verdict,
        )


async def sweep(call: str, error: str, most: int, strace: str) -> list[Outcome]:
    """Fail the first call, the second, ... until a run has none left to fail."""
    found: list[Outcome] = []
    for nth in range(1, most + 1):
        outcome = await run_with(call, error, nth, strace)
        found.append(outcome)
        if not outcome.hits:
            break
    return found


def main() -> None:
    """Measure and print; exit 1 when anything was lost or refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=CALLS)
    parser.add_argument("--error", choices=ERRORS)
    parser.add_argument("--most", type=int, default=200)
    options = parser.parse_args()
    logging.disable()
    strace = shutil.which("strace")
    if strace is None:
        sys.exit("strace is not installed (apt install strace)")
    rows, is_good = [], True
    for call in [options.only] if options.only else CALLS:
        for error in [options.error] if options.error else ERRORS:
            found = asyncio.run(sweep(call, error, options.most, strace))
            bad = [each for each in found if not each.is_good]
            is_good &= not bad
            for each in bad[:3]:
                print(call, error, each)
            rows.append(
                [
                    call,
                    error,
                    str(len(found)),
                    str(sum(each.hits for each in found)),
                    str(sum(each.fault for each in found)),
                    str(sum(each.accepted for each in found)),
                    str(sum(each.verdict.lost for each in found)),
                    str(sum(each.verdict.unseen_gaps for each in found)),
                    str(sum(not each.verdict.is_started for each in found)),
                    str(sum(not each.ended for each in found)),
                ]
            )
    head = ("call", "error", "runs", "failed calls", "runs that said so", "accepted", "lost",
            "gap unseen", "no start", "did not go on")  # fmt: skip
    print_table(head, rows)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
