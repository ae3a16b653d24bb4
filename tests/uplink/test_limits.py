"""What may wait in the box until it is looked at."""

from __future__ import annotations

from agent.uplink.limits import MOST_WAITING, MOST_WAITING_BYTES, Waiting


def test_so_many_may_wait_and_one_that_is_looked_at_makes_room() -> None:
    waiting = Waiting()
    assert all(waiting.take(10) for _ in range(MOST_WAITING))
    assert not waiting.take(10)
    assert waiting.dropped == 1
    waiting.let_go(10)
    assert waiting.take(10)


def test_so_many_bytes_may_wait() -> None:
    waiting, size = Waiting(), MOST_WAITING_BYTES // 4
    assert all(waiting.take(size) for _ in range(4))
    assert not waiting.take(1)
    waiting.let_go(size)
    assert waiting.take(1)
