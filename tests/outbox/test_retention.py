from __future__ import annotations

import asyncio
from pathlib import Path

from agent.core.effects import EventKind
from agent.core.spec import AlarmClass
from agent.outbox.manifest import Segment
from agent.outbox.records import Lane
from agent.outbox.retention import Room, plan
from agent.uplink.completeness import Ledger
from agent.uplink.decode import BatchSeen, EventSeen
from tests.outbox.room import (
    event,
    make,
    of_kind,
    reading,
    running,
    take_batches,
    take_events,
    until,
)

ROOM = Room(max_bytes=1000, event_bytes=250)


def segments(count: int, *, start: int = 1) -> tuple[Segment, ...]:
    return tuple(
        Segment(
            number=number,
            first=number * 10,
            last=number * 10 + 9,
            records=10,
            bytes=50,
            oldest_wall_ms=0,
            spans=(),
        )
        for number in range(start, start + count)
    )


def chosen(events: int, telemetry: int, *, done: int = 0, surveyed: range = range(0)) -> object:
    found = plan(
        ROOM,
        segments(events),
        segments(telemetry),
        events_done=done,
        surveyed=frozenset(surveyed),
    )
    return (
        [each.number for each in found.events + found.last_resort],
        [each.number for each in found.telemetry],
        None if found.survey is None else found.survey.number,
    )


def test_nothing_goes_while_there_is_room() -> None:
    assert chosen(5, 15) == ([], [], None)


def test_telemetry_never_takes_the_share_of_events() -> None:
    assert chosen(0, 16) == ([], [1, 2], None)


def test_telemetry_goes_before_events_that_are_owed() -> None:
    assert chosen(10, 12) == ([], [1, 2, 3], None)


def test_acknowledged_events_beyond_their_share_go_before_telemetry() -> None:
    assert chosen(10, 12, done=100) == ([1, 2, 3], [], None)


def test_technical_events_are_looked_for_before_any_other_event_goes() -> None:
    assert chosen(22, 0) == ([], [], 1)
    assert chosen(22, 0, surveyed=range(1, 6)) == ([], [], 6)


def test_the_oldest_events_go_when_nothing_else_can() -> None:
    assert chosen(22, 0, surveyed=range(1, 23)) == ([1], [], None)


async def test_overflowing_telemetry_goes_oldest_first_and_a_gap_names_exactly_what_went(
    tmp_path: Path,
) -> None:
    outbox = make(
        tmp_path,
        segment_bytes=8192,
        max_bytes=96 * 1024,
        commit_interval_s=0,
        batch_readings=20,
    )
    async with running(outbox):
        outbox.append(event("fire"))
        for number in range(3000):
            outbox.add(reading(number))
            if number % 200 == 0:
                await until(lambda: not outbox._telemetry.queue.has_unwritten)
        await until(lambda: outbox.stats().lanes[1].dropped.get("overflow", 0) > 0)
        await until(lambda: not outbox._keeper.room.is_busy)
        assert sum(each.bytes_on_disk for each in outbox.stats().lanes) <= 96 * 1024 + 2 * 8192
        cursor = outbox.cursor("cloud")
        events = await take_events(cursor, outbox.stats().lanes[0].last_seq)
        dropped = outbox.stats().lanes[1].dropped["overflow"]
        last = outbox.stats().lanes[1].last_seq
        outbox.add(reading(-1))
        batches = await take_batches(cursor, 20 * (last - dropped) + 1)
    named: set[int] = set()
    for each in of_kind(events, EventKind.GAP):
        detail = each.event.detail
        assert detail["lane"] == Lane.TELEMETRY
        first_seq, last_seq = detail["first_seq"], detail["last_seq"]
        assert isinstance(first_seq, int)
        assert isinstance(last_seq, int)
        assert detail["count"] == last_seq - first_seq + 1
        named.update(range(first_seq, last_seq + 1))
    arrived = {each.seq for each in batches}
    assert named == set(range(1, min(arrived)))
    assert arrived == set(range(min(arrived), last + 2))
    assert [each.event.subject for each in events if each.event.kind is EventKind.ALARM] == ["fire"]


async def test_technical_events_go_before_alarms_and_the_gap_counts_them(tmp_path: Path) -> None:
    outbox = make(tmp_path, segment_bytes=4096, max_bytes=48 * 1024)
    async with running(outbox):
        for number in range(300):
            outbox.append(
                event(f"t{number}", alarm_class=AlarmClass.TECHNICAL, kind=EventKind.SYSTEM)
            )
            if number % 10 == 0:
                outbox.append(event(f"fire {number}"))
                await until(lambda: not outbox._events.queue.has_unwritten)
        await until(lambda: not outbox._keeper.room.is_busy)
        last = outbox.stats().lanes[0].last_seq
        dropped = outbox.stats().lanes[0].dropped["overflow"]
        found = await take_events(outbox.cursor("cloud"), last - dropped)
    alarms = [each.event.subject for each in found if each.event.kind is EventKind.ALARM]
    assert alarms == [f"fire {number}" for number in range(0, 300, 10)]
    missing = set(range(1, last + 1)) - {each.seq for each in found}
    gaps = of_kind(found, EventKind.GAP)
    counts = [each.event.detail["count"] for each in gaps]
    assert sum(each for each in counts if isinstance(each, int)) == len(missing) == dropped > 0


async def test_without_uplinks_retention_drops_without_a_gap(tmp_path: Path) -> None:
    outbox = make(tmp_path, uplinks=(), segment_bytes=4096, max_bytes=40_000, commit_interval_s=0)
    async with running(outbox):
        for number in range(4000):
            outbox.add(reading(number))
            if number % 200 == 0:
                await until(lambda: not outbox._telemetry.queue.has_unwritten)
        await until(lambda: outbox.stats().lanes[1].bytes_on_disk <= 40_000)
    assert outbox.stats().lanes[1].dropped == {}
    assert not of_kind(await outbox.events(100), EventKind.GAP)


def classed(number: int, last: int, **classes: int) -> Segment:
    return Segment(
        number=number,
        first=last - sum(classes.values()) + 1,
        last=last,
        records=sum(classes.values()),
        bytes=1000,
        oldest_wall_ms=1,
        spans=(),
        classes=tuple(sorted(classes.items())),
    )


def test_a_segment_whose_events_the_journal_owes_people_is_passed_over() -> None:
    room = Room(max_bytes=4000, event_bytes=1000, events_per_class=10)
    events = [
        classed(1, 10, fire=10),
        classed(2, 30, technical=20),
        classed(3, 50, technical=20),
        classed(4, 70, technical=20),
        classed(5, 90, technical=20),
    ]
    gone = plan(room, events, (), events_done=90, surveyed=frozenset())
    assert [each.number for each in gone.events] == [2, 3]


async def test_the_newest_of_each_class_stay_in_the_journal_and_only_older_ones_are_overwritten(
    tmp_path: Path,
) -> None:
    outbox = make(
        tmp_path,
        uplinks=(),
        max_bytes=256 * 1024,
        event_share=0.5,
        segment_bytes=8 * 1024,
        events_per_class=30,
    )
    async with running(outbox):
        for number in range(3000):
            is_fire = number < 400 and number % 10 == 0
            outbox.append(
                event(
                    f"e{number}",
                    alarm_class=AlarmClass.FIRE if is_fire else AlarmClass.FAULT,
                )
            )
            if number % 200 == 0:
                await asyncio.sleep(0.05)
        await until(lambda: outbox.stats().lanes[0].bytes_on_disk < 256 * 1024)
        await until(lambda: not outbox._keeper.room.is_busy)
        journal = [each for each in await outbox.events(5000) if each.event.kind is EventKind.ALARM]
    fires = [each.event.subject for each in journal if each.event.alarm_class is AlarmClass.FIRE]
    assert fires[:30] == [f"e{number}" for number in range(390, 90, -10)]
    assert journal[0].event.subject == "e2999"
    async with running(make(tmp_path, uplinks=())) as again:
        await again.recovered()
        stored = [each.event.subject for each in await again.events(5000)]
        assert again.stats().lanes[0].dropped == {}
    assert [each for each in stored if each in fires][:30] == fires[:30]


async def test_a_clean_end_leaves_no_number_that_nobody_tells_of_when_room_is_made_at_the_end(
    tmp_path: Path,
) -> None:
    outbox = make(tmp_path, segment_bytes=4096, max_bytes=32 * 1024, commit_interval_s=60)
    async with running(outbox):
        await outbox.recovered()
        # all of it comes to disk at the end, and then there is no room for it
        for number in range(2000):
            outbox.add(reading(number))
    after = make(tmp_path, segment_bytes=4096)
    ledger = Ledger()
    async with running(after):
        await after.recovered()
        cursor = after.cursor("cloud")
        while after.stats().unsent_by_uplink["cloud"]:
            for record in await cursor.take_events(20):
                ledger.hear(EventSeen(record=record, is_replay=True))
                cursor.done(record)
            for batch in await cursor.take_batches(20):
                ledger.hear(BatchSeen(batch=batch, is_replay=True))
                cursor.done(batch)
            await asyncio.sleep(0.002)
    proofs = ledger.proofs()
    assert any(each.declared for each in proofs), "room has to be made"
    assert [each.is_clean for each in proofs if each.is_closed] == [True, True]
    assert not any(each.missing for each in proofs), proofs
