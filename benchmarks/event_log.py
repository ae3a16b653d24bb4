"""The box's own event log beside what a consumer heard: both have to tell of the same events.

The consumer of agent.uplink.completeness proves from stream, seq and opening records alone what arrived. Here that
proof is held against the one thing it never saw: the journal as it lies on the disk of the box.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.outbox.records import EventRecord, Lane
from agent.outbox.shelf import Shelf
from agent.uplink.consumer import StreamProof

Place = tuple[str, int]
"""Stream and seq."""


@dataclass(frozen=True, slots=True)
class Known:
    """An event as one side knows it."""

    id: str
    is_durable: bool = True
    """False: it went out before it was on disk, and may never have come there."""


def journal_of(root: Path) -> dict[Place, Known]:
    """Return the events on disk in the outbox of one box."""
    shelf, found = Shelf(root), {}
    for lane, number in shelf.files():
        if lane is not Lane.EVENT:
            continue
        for _, record, why in shelf.records(lane, number):
            if why:
                raise ValueError(f"a record of {root} cannot be read: {why}")
            if isinstance(record, EventRecord):
                found[record.stream, record.seq] = Known(record.id)
    return found


def disagreements(
    journal: Mapping[Place, Known], heard: Mapping[Place, Known], proofs: Collection[StreamProof]
) -> list[str]:
    """Return in words where a journal of which nothing was overwritten and a consumer differ.

    What stands in the journal behind the last heard of a stream that goes on is still to come.
    """
    closed = {each.stream for each in proofs if each.is_closed}
    last: dict[str, int] = {}
    for stream, seq in heard:
        last[stream] = max(last.get(stream, 0), seq)
    found = []
    for (stream, seq), known in journal.items():
        there = heard.get((stream, seq))
        if there is None:
            if stream in closed or seq <= last.get(stream, 0):
                found.append(f"{stream} {seq} is in the event log and was not heard")
        elif there.id != known.id:
            found.append(f"{stream} {seq} is {known.id} in the event log and {there.id} as heard")
    found += [
        f"{stream} {seq} was heard and is not in the event log"
        for (stream, seq), known in heard.items()
        if known.is_durable and (stream, seq) not in journal
    ]
    return found
