from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from agent.core.effects import AlarmState, Event, EventKind
from agent.core.memory import (
    SILENCED,
    UNSILENCED,
    AlarmMemory,
    AlarmSnapshot,
    LogPosition,
    apply_event,
)
from agent.outbox.records import EventRecord, Lane
from agent.outbox.spec import OutboxSpec
from drivers.clock import ClockState, ManualClock, Stamp
from tests.outbox.room import (
    FailingDisk,
    Health,
    event,
    make,
    of_kind,
    reading,
    running,
    subjects,
    take_batches,
    take_events,
    until,
)


def segments(directory: Path, lane: Lane) -> list[str]:
    return sorted(each.name for each in (directory / "box" / lane.value).glob("seg-*.log"))


async def test_an_event_is_on_disk_before_an_uplink_is_handed_it(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as outbox:
        outbox.append(event("smoke"))
        record = (await take_events(outbox.cursor("cloud"), 3))[-1]
        stored = (tmp_path / "box" / "event" / "seg-00000001.log").read_bytes()
        assert record.id.encode() in stored
        assert record.is_durable


async def test_events_are_numbered_from_the_opening_records_on_without_holes(
    tmp_path: Path,
) -> None:
    outbox = make(tmp_path)
    early = outbox.append(event("before the recovery"))
    async with running(outbox):
        outbox.append(event("after"))
        found = await take_events(outbox.cursor("cloud"), 4)
    assert early.seq == 3
    assert [each.seq for each in found] == [1, 2, 3, 4]
    assert [each.event.detail.get("lane") for each in found[:2]] == ["event", "telemetry"]
    assert [each.event.kind for each in found[:2]] == [EventKind.STREAM] * 2
    assert [each.id for each in found[2:]] == sorted(each.id for each in found[2:])


async def test_everything_of_an_event_survives_the_disk(tmp_path: Path) -> None:
    given = event(
        "烟感-3",
        at=Stamp(12.25, 1_700_000_000_123, ClockState.UNSYNCED),
        is_test=True,
        from_state="normal",
        to_state="active_unacked",
        is_acked=False,
        value=3.5,
        unit="kPa",
        actor="duty",
        reason="r",
        code="c",
        zone="z",
        plan="p",
        point="x.y",
        detail={"offset_ms": 5, "lane": None, "ok": True},
    )
    async with running(make(tmp_path)) as outbox:
        kept = outbox.append(given)
        await take_events(outbox.cursor("cloud"), 3, done=False)
    async with running(make(tmp_path)) as again:
        found = await take_events(again.cursor("cloud"), 3)
    assert found[-1] == kept


async def test_everything_of_a_reading_survives_the_disk(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as outbox:
        outbox.add(reading(1.25, "a", Stamp(3.125, 1_700_000_000_001)))
        outbox.add(reading(True, "b", Stamp(3.5, 1_700_000_000_002)))
        kept = await take_batches(outbox.cursor("cloud"), 2, done=False)
    async with running(make(tmp_path)) as again:
        assert await take_batches(again.cursor("cloud"), 2) == kept


async def test_a_stream_names_the_one_before_and_that_it_ended_cleanly(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as first:
        first.append(event())
        await take_events(first.cursor("cloud"), 3)
    async with running(make(tmp_path)) as second:
        opening = (await take_events(second.cursor("cloud"), 1))[0].event.detail
    stats = first.stats().lanes[0]
    assert opening["previous"] == stats.stream
    assert opening["previous_last_seq"] == stats.last_seq == 3
    assert opening["previous_clean"] is True


async def test_after_a_crash_the_stream_says_so_and_names_the_last_durable_event(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path), close_s=None) as first:
        first.append(event(at=Stamp(9.0, 1_750_000_005_000)))
        await take_events(first.cursor("cloud"), 3)
    async with running(make(tmp_path)) as second:
        found = of_kind(await take_events(second.cursor("cloud"), 5), EventKind.STREAM)
    opening = found[-2].event.detail
    assert opening["previous_clean"] is False
    assert opening["previous_last_seq"] == 3
    assert opening["unknown_from_wall_ms"] == 1_750_000_005_000


async def test_telemetry_acknowledged_in_time_writes_nothing(tmp_path: Path) -> None:
    async with running(make(tmp_path, commit_interval_s=0.6)) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        await until(lambda: outbox.stats().unsent_by_uplink["cloud"] == 0)
        await asyncio.sleep(2.3)  # the acknowledged opening records are noted after 2 s
        before = outbox.stats().bytes_written
        for number in range(60):
            outbox.add(reading(number))
            await take_batches(cursor, 1)
            await asyncio.sleep(0.02)
        assert outbox.stats().bytes_written == before
    assert segments(tmp_path, Lane.TELEMETRY) == []


async def test_unsent_telemetry_is_on_disk_within_the_commit_interval(tmp_path: Path) -> None:
    async with running(
        make(tmp_path, commit_interval_s=0.8, batch_age_s=0.1), close_s=None
    ) as outbox:
        outbox.add(reading(1))
        await asyncio.sleep(0.9)
        assert segments(tmp_path, Lane.TELEMETRY)
    async with running(make(tmp_path)) as again:
        assert len(await take_batches(again.cursor("cloud"), 1)) == 1


async def test_in_an_outage_seconds_of_readings_share_a_record_and_are_on_disk_in_time_all_the_same(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    added_s: list[float] = []
    async with running(make(tmp_path, clock=clock, commit_interval_s=5), close_s=None) as outbox:
        await outbox.recovered()
        keeper, queue = outbox._keeper, outbox._telemetry.queue

        def on_disk() -> int:
            held = sum(
                len(each.readings) for _, each in queue.records() if each.seq > queue.written
            )
            return len(added_s) - held - len(outbox._telemetry._open)

        for number in range(400):
            outbox.add(reading(number))
            added_s.append(clock.mono_s())
            clock.advance(0.1)
            keeper.wake()
            await until(lambda: not keeper._wake.is_set() and keeper._job is None)
            waiting_s = added_s[on_disk() :]
            assert clock.mono_s() - waiting_s[0] <= 5.0 if waiting_s else True
        assert on_disk() > 300
        assert queue.last_seq <= 10


async def test_with_nothing_held_the_outbox_looks_seldom_and_what_comes_then_is_on_disk_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make(tmp_path, commit_interval_s=2), close_s=None) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        await asyncio.sleep(3.5)  # the acknowledged opening records are noted
        looks = 0
        tick = outbox._keeper.tick

        def counted() -> None:
            nonlocal looks
            looks += 1
            tick()

        monkeypatch.setattr(outbox._keeper, "tick", counted)
        await asyncio.sleep(2.2)
        assert looks <= 4
        outbox.append(event("now"))
        async with asyncio.timeout(0.8):
            await take_events(cursor, 1)
        await asyncio.sleep(3.5)
        outbox.add(reading(1))
        await asyncio.sleep(2.3)
        assert segments(tmp_path, Lane.TELEMETRY)


@pytest.mark.parametrize(
    ("interval_s", "gathers_s"), [(0, 0.25), (0.2, 0.1), (1, 0.5), (2, 1), (5, 4), (60, 4)]
)
def test_a_batch_gathers_no_longer_than_leaves_time_to_write_it(
    tmp_path: Path, interval_s: float, gathers_s: float
) -> None:
    spec = OutboxSpec(directory=tmp_path, commit_interval_s=interval_s)
    assert spec.gathering_s == gathers_s


async def test_write_through_has_a_batch_on_disk_before_it_is_handed_out(tmp_path: Path) -> None:
    async with running(make(tmp_path, commit_interval_s=0), close_s=None) as outbox:
        outbox.add(reading(7.25))
        batch = (await take_batches(outbox.cursor("cloud"), 1, done=False))[0]
        stored = (tmp_path / "box" / "telemetry" / "seg-00000001.log").read_bytes()
        assert b"7.25" in stored
    async with running(make(tmp_path)) as again:
        assert await take_batches(again.cursor("cloud"), 1) == [batch]


async def test_an_idle_uplink_takes_the_open_batch_after_the_linger(tmp_path: Path) -> None:
    async with running(make(tmp_path, batch_age_s=30.0)) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)
        outbox.add(reading(1))
        outbox.add(reading(2))
        async with asyncio.timeout(1):
            batches = await take_batches(cursor, 2)
    assert [len(each.readings) for each in batches] == [2]


async def test_readings_of_the_next_turns_of_the_loop_share_the_message_of_the_first(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path, batch_age_s=30.0)) as outbox:
        cursor = outbox.cursor("cloud")
        await take_events(cursor, 2)

        async def poll() -> None:
            for number in range(3):
                outbox.add(reading(number))
                await asyncio.sleep(0)

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(poll())
            batches = await take_batches(cursor, 3)
    assert [len(each.readings) for each in batches] == [3]


async def test_a_batch_ends_where_the_clock_state_changes_and_where_it_is_full(
    tmp_path: Path,
) -> None:
    outbox = make(tmp_path, batch_readings=3)
    unsynced = Stamp(1.0, 5, ClockState.UNSYNCED)
    for number in range(4):
        outbox.add(reading(number, at=unsynced))
    for number in range(2):
        outbox.add(reading(number))
    async with running(outbox):
        batches = await take_batches(outbox.cursor("cloud"), 6)
    assert [(each.clock.value, len(each.readings)) for each in batches] == [
        ("unsynced", 3),
        ("unsynced", 1),
        ("synced", 2),
    ]
    assert [each.seq for each in batches] == [1, 2, 3]


async def test_long_texts_end_a_batch_before_it_outgrows_a_message(tmp_path: Path) -> None:
    outbox = make(tmp_path, batch_readings=10_000)
    for number in range(2000):
        outbox.add(reading(number, point="p" * 100))
    async with running(outbox):
        batches = await take_batches(outbox.cursor("cloud"), 2000)
    assert max(len(each.readings) for each in batches) * 210 <= 64 * 1024 + 210


async def test_a_restart_sends_again_what_was_not_acknowledged_and_little_else(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path), close_s=None) as first:
        for number in range(100):
            first.append(event(f"e{number}"))
        cursor = first.cursor("cloud")
        await take_events(cursor, 62)
        await take_events(cursor, 20, done=False)
        await asyncio.sleep(0.1)
    async with running(make(tmp_path)) as second:
        again = subjects(await take_events(second.cursor("cloud"), 42))
    start = int(again[0][1:])
    assert 60 - 20 <= start <= 60
    assert again[: 100 - start] == [f"e{number}" for number in range(start, 100)]


async def test_a_clean_end_sends_nothing_twice(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as first:
        for number in range(5):
            first.append(event(f"e{number}"))
            first.add(reading(number))
        await take_events(first.cursor("cloud"), 7)
        await take_batches(first.cursor("cloud"), 5)
    async with running(make(tmp_path)) as second:
        found = await take_events(second.cursor("cloud"), 2)
        assert {each.stream for each in found} == {second.stats().lanes[0].stream}
        assert await second.cursor("cloud").take_events(20) == []
        assert await second.cursor("cloud").take_batches(20) == []


async def test_a_new_connection_gets_what_was_in_flight_again_in_order_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path)) as outbox:
        for number in range(10):
            outbox.append(event(f"e{number}"))
        cursor = outbox.cursor("cloud")
        taken = await take_events(cursor, 12, done=False)
        assert await cursor.take_events(20) == []
        for each in (*taken[:4], taken[6]):
            cursor.done(each)
        cursor.rewind()
        again = await take_events(cursor, 7)
    assert [each.seq for each in again] == [5, 6, 8, 9, 10, 11, 12]


async def test_one_uplink_behind_holds_up_no_other(tmp_path: Path) -> None:
    async with running(make(tmp_path, uplinks=("fast", "slow"), segment_bytes=4096)) as outbox:
        for number in range(200):
            outbox.append(event(f"e{number}"))
            outbox.add(reading(number))
        fast = outbox.cursor("fast")
        assert len(await take_events(fast, 202)) == 202
        await take_batches(fast, 200)
        assert fast.unsent() == 0
        assert outbox.cursor("slow").unsent() >= 202
        slow = await take_events(outbox.cursor("slow"), 202)
        assert [each.seq for each in slow] == list(range(1, 203))
        assert sum(len(e.readings) for e in await take_batches(outbox.cursor("slow"), 200)) == 200


async def test_an_uplink_far_behind_reads_the_disk_and_then_goes_on_live(tmp_path: Path) -> None:
    async with running(make(tmp_path, segment_bytes=16_384)) as outbox:
        cursor = outbox.cursor("cloud")
        for number in range(3000):
            outbox.append(event(f"e{number}"))
            if number % 500 == 0:
                await asyncio.sleep(0.02)
        found = subjects(await take_events(cursor, 3002))
        outbox.append(event("live"))
        found += subjects(await take_events(cursor, 1))
    assert found == [f"e{number}" for number in range(3000)] + ["live"]


async def test_acknowledged_telemetry_segments_are_removed(tmp_path: Path) -> None:
    outbox = make(tmp_path, segment_bytes=4096, commit_interval_s=0, batch_readings=10)
    async with running(outbox):
        for number in range(400):
            outbox.add(reading(number))
        await until(lambda: len(segments(tmp_path, Lane.TELEMETRY)) > 4)
        await take_batches(outbox.cursor("cloud"), 400)
        await until(lambda: len(segments(tmp_path, Lane.TELEMETRY)) == 1)


async def test_without_uplinks_telemetry_is_kept(tmp_path: Path) -> None:
    async with running(make(tmp_path, uplinks=())) as outbox:
        outbox.add(reading(1))
    assert segments(tmp_path, Lane.TELEMETRY)
    assert outbox.stats().lanes[1].records == 1


async def test_an_uplink_that_is_new_begins_with_this_run(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as first:
        first.append(event("old"))
    async with running(make(tmp_path, uplinks=("cloud", "second"))) as outbox:
        outbox.append(event("new"))
        assert subjects(await take_events(outbox.cursor("second"), 3)) == ["new"]
        assert subjects(await take_events(outbox.cursor("cloud"), 6)) == ["old", "new"]


async def test_unsynced_records_of_this_boot_go_out_with_the_offset(tmp_path: Path) -> None:
    # the wall clock these were stamped with says nothing, and need not be one clock
    at = Stamp(5.0, 1_000, ClockState.UNSYNCED)
    stepped = Stamp(6.25, 99_999_999, ClockState.UNSYNCED)
    async with running(make(tmp_path, boot="this"), close_s=None) as outbox:
        outbox.append(event(at=at))
        outbox.add(reading(1, at=at))
        outbox.add(reading(2, at=stepped))
        outbox.set_clock_offset(500_000)
        found = (await take_events(outbox.cursor("cloud"), 3, done=False))[-1]
        batch = (await take_batches(outbox.cursor("cloud"), 1, done=False))[0]
        await asyncio.sleep(0.3)
    assert found.event.at == Stamp(5.0, 505_000, ClockState.SYNCED)
    assert batch.clock is ClockState.SYNCED
    assert [each.at for each in batch.readings] == [
        Stamp(5.0, 505_000, ClockState.SYNCED),
        Stamp(6.25, 506_250, ClockState.SYNCED),
    ]
    async with running(make(tmp_path, boot="this"), close_s=None) as same_boot:
        again = (await take_events(same_boot.cursor("cloud"), 3, done=False))[-1]
    assert again.event.at == found.event.at
    async with running(make(tmp_path, boot="other")) as other_boot:
        raw = (await take_events(other_boot.cursor("cloud"), 3))[-1]
    assert raw.event.at.clock is ClockState.SYNCED or raw.event.at == at


def snapshot(position: LogPosition | None, state: AlarmState) -> AlarmSnapshot:
    memory = AlarmMemory(rule="smoke", state=state, since_wall_ms=5, actor="duty", is_silenced=True)
    return AlarmSnapshot(memories=(memory,), position=position)


async def test_a_snapshot_comes_back_and_only_later_alarms_are_replayed(tmp_path: Path) -> None:
    async with running(make(tmp_path), close_s=None) as first:
        first.append(event("covered"))
        record = first.append(event("covered too"))
        kept = snapshot(
            LogPosition(stream=record.stream, seq=record.seq), AlarmState.ACTIVE_UNACKED
        )
        first.save_snapshot(kept)
        await until((tmp_path / "box" / "snapshot.json").exists)
        first.append(event("later"))
        first.append(event("no alarm", kind=EventKind.SYSTEM))
        await take_events(first.cursor("cloud"), 6)
    second = make(tmp_path)
    assert await second.load_snapshot() == kept
    async with running(second):
        assert subjects(await second.recovered()) == ["later"]


async def test_a_snapshot_is_never_on_disk_before_the_events_it_covers(tmp_path: Path) -> None:
    files = FailingDisk()
    async with running(make(tmp_path, files=files)) as outbox:
        await take_events(outbox.cursor("cloud"), 2)
        files.gate.clear()
        record = outbox.append(event())
        outbox.save_snapshot(
            snapshot(LogPosition(stream=record.stream, seq=record.seq), AlarmState.ACTIVE_UNACKED)
        )
        await asyncio.sleep(0.3)
        assert not (tmp_path / "box" / "snapshot.json").exists()
        files.gate.set()
        await until((tmp_path / "box" / "snapshot.json").exists)


async def test_a_damaged_snapshot_falls_back_to_the_one_before_and_the_log(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as first:
        one = first.append(event("one"))
        first.save_snapshot(
            snapshot(LogPosition(stream=one.stream, seq=one.seq), AlarmState.ACTIVE_UNACKED)
        )
        await until((tmp_path / "box" / "snapshot.json").exists)
        two = first.append(event("two"))
        first.save_snapshot(
            snapshot(LogPosition(stream=two.stream, seq=two.seq), AlarmState.ACTIVE_ACKED)
        )
    (tmp_path / "box" / "snapshot.json").write_bytes(b"\0" * 100)
    second = make(tmp_path)
    found = await second.load_snapshot()
    assert found is not None
    assert found.memories[0].state is AlarmState.ACTIVE_UNACKED
    async with running(second):
        assert subjects(await second.recovered()) == ["two"]


async def test_without_any_snapshot_the_last_transitions_of_each_rule_are_replayed(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path)) as first:
        for number in range(10):
            first.append(event("often", code=str(number)))
        first.append(event("once"))
    second = make(tmp_path)
    assert await second.load_snapshot() is None
    async with running(second):
        replay = await second.recovered()
    assert [(each.event.rule, each.event.code) for each in replay] == [
        ("often", "6"),
        ("often", "7"),
        ("often", "8"),
        ("often", "9"),
        ("once", ""),
    ]


@pytest.mark.parametrize("has_snapshot", [True, False])
async def test_silences_are_replayed_and_many_of_them_hide_no_alarm(
    tmp_path: Path, has_snapshot: bool
) -> None:
    def silence(to_state: str) -> Event:
        return event("smoke", kind=EventKind.SILENCE, to_state=to_state)

    async with running(make(tmp_path)) as first:
        covered = first.append(event("other", to_state="active_unacked"))
        first.append(event("smoke", to_state="active_unacked"))
        for _ in range(10):
            first.append(silence(UNSILENCED))
            first.append(silence(SILENCED))
        if has_snapshot:
            at = LogPosition(stream=covered.stream, seq=covered.seq)
            first.save_snapshot(snapshot(at, AlarmState.ACTIVE_ACKED))
    memories: dict[str, AlarmMemory] = {}
    async with running(make(tmp_path)) as second:
        for each in await second.recovered():
            apply_event(memories, each.event)
    assert memories["smoke"].state is AlarmState.ACTIVE_UNACKED
    assert memories["smoke"].is_silenced
    assert ("other" in memories) is not has_snapshot


async def test_the_journal_is_asked_newest_first_from_memory_and_disk(tmp_path: Path) -> None:
    async with running(make(tmp_path, segment_bytes=4096)) as first:
        for number in range(50):
            first.append(event(f"e{number}"))
    async with running(make(tmp_path)) as outbox:
        await outbox.recovered()
        outbox.append(event("newest"))
        everything = await outbox.events(200)
        assert subjects(everything)[:3] == ["newest", "e49", "e48"]
        assert len(everything) == 55
        assert len(await outbox.events(3, EventKind.STREAM)) == 3
        alarms = await outbox.events(5, EventKind.ALARM)
        assert subjects(alarms) == ["newest", "e49", "e48", "e47", "e46"]


async def test_the_tap_hears_of_every_event_at_once(tmp_path: Path) -> None:
    heard: list[EventRecord] = []

    def tap(record: EventRecord) -> None:
        heard.append(record)

    record = make(tmp_path, tap=tap).append(event())
    assert heard == [record]


async def test_a_refused_record_is_set_aside_named_and_passed(tmp_path: Path) -> None:
    async with running(make(tmp_path)) as outbox:
        cursor = outbox.cursor("cloud")
        outbox.append(event("poison"))
        record = (await take_events(cursor, 3, done=False))[-1]
        cursor.set_aside(record, "too large")
        named = (await take_events(cursor, 1))[0].event
        await until(lambda: bool(list((tmp_path / "box" / "quarantine").glob("*.bin"))))
    assert named.kind is EventKind.DAMAGE
    assert (named.detail["first_seq"], named.detail["count"]) == (record.seq, 1)
    assert outbox.stats().lanes[0].dropped == {"damage": 1}


async def test_a_supervisor_may_stop_and_start_it_without_loss(tmp_path: Path) -> None:
    outbox = make(tmp_path)
    for number in range(20):
        outbox.append(event(f"e{number}"))
        async with running(outbox, close_s=None):
            await asyncio.sleep(0.002 * (number % 4))
    async with running(outbox):
        assert subjects(await take_events(outbox.cursor("cloud"), 22)) == [
            f"e{number}" for number in range(20)
        ]


async def test_each_start_says_that_it_is_well_since_a_supervisor_only_tells_failures(
    tmp_path: Path,
) -> None:
    health = Health()
    outbox = make(tmp_path, health=health)
    async with running(outbox, close_s=None):
        await outbox.recovered()
        assert health.said == [(True, "")]
    async with running(outbox):
        await until(lambda: health.said == [(True, ""), (True, "")])


async def test_nothing_of_the_outbox_blocks_the_loop(
    tmp_path: Path, unblocked_loop: BlockBuster
) -> None:
    async with running(make(tmp_path)) as outbox:
        for number in range(300):
            outbox.append(event(f"e{number}"))
            outbox.add(reading(number))
        await take_events(outbox.cursor("cloud"), 302)
        await take_batches(outbox.cursor("cloud"), 300)
        await outbox.load_snapshot()
        await outbox.events(400)
        outbox.stats()
