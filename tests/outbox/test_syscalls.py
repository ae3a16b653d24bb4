"""System calls that fail under the real store (strace); `benchmarks.outbox_syscalls` fails every one in turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.outbox_syscalls import run_with

FAILURES = [
    ("pwrite64", "ENOSPC", 5),
    ("pwrite64", "EIO", 9),
    ("fdatasync", "EIO", 1),
    ("fdatasync", "EIO", 6),
    ("fsync", "EIO", 2),
    ("fsync", "EROFS", 12),
    ("openat", "EROFS", 4),
    ("openat", "ENOSPC", 12),
    ("rename", "EIO", 2),
    ("rename", "EROFS", 7),
    ("openat", "EIO", 2),
    ("unlink", "EIO", 1),
]


@pytest.mark.parametrize(("call", "error", "nth"), FAILURES)
async def test_a_failing_call_loses_nothing_and_is_got_over_without_help(
    need: Callable[[str], str], call: str, error: str, nth: int
) -> None:
    outcome = await run_with(call, error, nth, need("strace"))
    assert outcome.hits == 1
    assert outcome.ended
    assert outcome.accepted > 50
    assert outcome.verdict.is_good, outcome
