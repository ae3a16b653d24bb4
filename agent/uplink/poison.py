"""Finds the record at which a broker hangs up. Pure.

A broker may end the connection at a message it will not have instead of refusing it; sent again
after each reconnect, that message would stop everything behind it for ever. But a broker that
merely dies often must not cost a record. So blame needs proof, step by step:

1. the oldest record in flight when the broker ended a connection is a suspect, no more;
2. it is then sent alone, and the broker, which has just taken the birth message, hangs up at it
   again and again: `STRIKES` times running;
3. the broker says "packet too large", or the record is large enough for that to be believed (then
   `UNTOLD_STRIKES` times). A small one is tried for ever: then the fault is not its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outbox.records import Batch, EventRecord
from agent.uplink.errors import PACKET_TOO_LARGE, LinkLost

STRIKES = 3
UNTOLD_STRIKES = 6
LARGE_BYTES = 4096
"""Ten times an event; brokers' limits start at 128 KiB (AWS IoT Core), small ones at some KiB."""

Record = Batch | EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A record in flight."""

    record: Record
    size: int
    """Bytes of its largest payload."""


class PoisonWatch:
    """The suspicion of one uplink, over its connections."""

    def __init__(self) -> None:
        self._suspect: Record | None = None
        self._strikes = 0

    @property
    def is_suspicious(self) -> bool:
        """Whether records are to be sent one at a time."""
        return self._suspect is not None

    def on_loss(self, loss: LinkLost, in_flight: Sequence[Flight], *, was_alone: bool) -> bool:
        """Learn from a lost link, with what was in flight in the order sent.

        Returns:
            Whether the suspect is proven guilty: it is the first of `in_flight`.
        """
        if not loss.is_by_peer or not in_flight:
            return False
        head = in_flight[0]
        if self._suspect is None or not is_same(self._suspect, head.record):
            self._suspect, self._strikes = head.record, 0
            return False
        if not was_alone or len(in_flight) > 1:
            return False
        self._strikes += 1
        if loss.code == PACKET_TOO_LARGE:
            return self._strikes >= STRIKES
        return self._strikes >= UNTOLD_STRIKES and head.size >= LARGE_BYTES

    def on_settled(self, record: Record) -> None:
        """Forget the suspicion: the broker answered for this record, or it was set aside."""
        if self._suspect is not None and is_same(self._suspect, record):
            self._suspect, self._strikes = None, 0


def is_same(one: Record, other: Record) -> bool:
    """Return whether two are one record (after a rewind it may be another object)."""
    return (one.stream, one.seq) == (other.stream, other.seq)
