"""Judges an outbox directory after a cut: given what had been promised, was it kept (Z1 to Z5 of docs/outbox.md)?

Give `judge` a directory, the records accepted before the cut (their sync had returned) and the messages a
broker had acknowledged. It opens the outbox as the agent would after the cut, takes everything out as an
uplink does, and lets the consumer of agent.uplink.completeness prove what arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from agent.core.effects import EventKind
from agent.outbox.contract import WINDOW
from agent.outbox.cursor import UplinkCursor
from agent.outbox.files import Files
from agent.outbox.outbox import Outbox
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.spec import OutboxSpec
from agent.uplink.completeness import Ledger
from agent.uplink.decode import BatchSeen, EventSeen
from benchmarks.outbox_writes import Accepted
from drivers.clock import ClockState, SystemClock

START_S = 20.0
"""Longer than any start may take on a busy machine; past it the start counts as refused."""


class QuickFiles(Files):
    """The disk without its syncs: nothing is cut any more while a verdict is reached."""

    def sync_data(self, fd: int) -> None:
        """Claim."""

    def sync_file(self, fd: int) -> None:
        """Claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a start after a cut went. Good when nothing in it is wrong."""

    is_started: bool
    lost: int = 0
    """Accepted, and neither handed out nor acknowledged before nor told as dropped for want of room (Z1)."""
    unseen_gaps: int = 0
    """Numbers the consumer misses and nobody told of."""
    doubled: int = 0
    """Acknowledged before and handed out again, beyond the window allowed (Z3)."""
    false_damage: int = 0
    """Damage told of that a cut alone does not make: an incomplete last line is allowed."""
    disagreeing: int = 0
    """Records the consumer counts in another way than they were handed out."""
    handed: int = 0

    @property
    def is_good(self) -> bool:
        """Whether all promises were kept."""
        return self.is_started and not (
            self.lost + self.unseen_gaps + self.doubled + self.false_damage + self.disagreeing
        )


async def judge(
    directory: Path,
    spec: OutboxSpec,
    accepted: Collection[Accepted],
    acknowledged: Collection[EventRecord | Batch],
    *,
    box: str = "box",
    uplink: str = "cloud",
) -> Verdict:
    """Open, take everything out, and compare with what was promised."""
    clock = SystemClock()
    clock.state = ClockState.SYNCED
    outbox = Outbox(
        spec,
        box=box,
        boot="after",
        clock=clock,
        uplinks=[uplink],
        on_health=lambda _ok, _why: None,
        files=QuickFiles(),
    )
    handed: list[EventRecord | Batch] = []
    is_started = True
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(outbox.run(), name="outbox")
            try:
                async with asyncio.timeout(START_S):
                    await outbox.recovered()
                    await _take_all(outbox, uplink, handed)
            finally:
                running.cancel()
    except* (TimeoutError, OSError, ValueError, LookupError, TypeError):
        is_started = False
    finally:
        await outbox.close(5.0)
    if not is_started:
        return Verdict(is_started=False, handed=len(handed))
    return _compare(accepted, acknowledged, handed)


async def _take_all(outbox: Outbox, uplink: str, handed: list[EventRecord | Batch]) -> None:
    cursor = outbox.cursor(uplink)
    assert isinstance(cursor, UplinkCursor)
    while outbox.stats().unsent_by_uplink[uplink]:
        taken: list[EventRecord | Batch] = [
            *await cursor.take_events(500),
            *await cursor.take_batches(500),
        ]
        for each in taken:
            handed.append(each)
            cursor.done(each)
        await asyncio.sleep(0 if taken else 0.002)


def _key(record: EventRecord | Batch) -> Accepted:
    lane = Lane.TELEMETRY if isinstance(record, Batch) else Lane.EVENT
    return Accepted(lane.value, record.stream, record.seq)


def _compare(
    accepted: Collection[Accepted],
    acknowledged: Collection[EventRecord | Batch],
    handed: Collection[EventRecord | Batch],
) -> Verdict:
    ledger = Ledger()
    for record in (*acknowledged, *handed):
        if isinstance(record, Batch):
            ledger.hear(BatchSeen(batch=record, is_replay=True))
        else:
            ledger.hear(EventSeen(record=record, is_replay=True))
    before, after = {_key(each) for each in acknowledged}, [_key(each) for each in handed]
    there = before | set(after)
    events = [each for each in (*acknowledged, *handed) if isinstance(each, EventRecord)]
    lost = {each for each in set(accepted) - there if not _is_told(each, events, EventKind.GAP)}
    twice = sum(each in before for each in after)
    proofs = ledger.proofs()
    wrong = sum(
        each.heard != sum(1 for key in there if (key.lane, key.stream) == (each.lane, each.stream))
        for each in proofs
        if each.heard
    )
    damages = [each for each in events if each.event.kind is EventKind.DAMAGE]
    return Verdict(
        is_started=True,
        lost=len(lost),
        unseen_gaps=sum(len(span) for each in proofs for span in each.missing),
        doubled=max(0, twice - WINDOW),
        false_damage=sum(not _is_last_line(each, accepted) for each in damages),
        disagreeing=wrong,
        handed=len(handed),
    )


def _is_told(key: Accepted, events: Collection[EventRecord], kind: EventKind) -> bool:
    return any(
        each.event.kind is kind
        and each.event.detail["lane"] == key.lane
        and each.event.detail["stream"] == key.stream
        and isinstance(first := each.event.detail["first_seq"], int)
        and isinstance(last := each.event.detail["last_seq"], int)
        and first <= key.seq <= last
        for each in events
    )


def _is_last_line(damage: EventRecord, accepted: Collection[Accepted]) -> bool:
    """Whether a damage event speaks only of what came behind the last accepted record of its lane."""
    detail = damage.event.detail
    first = detail["first_seq"]
    if damage.event.reason not in ("unreadable", "truncated"):
        return False
    same = [
        each.seq
        for each in accepted
        if each.lane == detail["lane"] and each.stream == detail["stream"]
    ]
    return not isinstance(first, int) or first > max(same, default=0)
