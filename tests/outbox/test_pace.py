from __future__ import annotations

from pathlib import Path

import pytest

from agent.outbox.pace import DayCount, Pace, outage_days
from agent.outbox.records import Batch
from agent.outbox.replay import ReplayLimit
from drivers.clock import ClockState, ManualClock
from tests.outbox.room import event, make, reading, running, take_batches, take_events, until


def test_the_present_rate_is_that_of_the_last_ten_minutes() -> None:
    pace = Pace(0.0)
    for second in range(1800):
        pace.note(float(second), 100, 6000)
    assert pace.readings_per_s(1800.0) == pytest.approx(100, rel=0.1)
    for second in range(1800, 3600):
        pace.note(float(second), 10, 600)
    assert pace.readings_per_s(3600.0) == pytest.approx(10, rel=0.1)
    assert pace.bytes_per_s(3600.0) == pytest.approx(600, rel=0.1)
    assert pace.readings_per_s(10_000.0) == 0


def test_days_of_outage_follow_from_room_and_rate() -> None:
    assert outage_days(192 * 1024 * 1024, 0, 0.0) is None
    assert outage_days(86_400_000, 0, 1000.0) == pytest.approx(1.0)
    assert outage_days(86_400_000, 43_200_000, 1000.0) == pytest.approx(0.5)
    assert outage_days(1000, 5000, 1.0) == 0


def test_bytes_of_today_begin_anew_at_midnight_utc() -> None:
    count, day_ms = DayCount(), 86_400_000
    assert count.today(500, 10 * day_ms) == 500
    assert count.today(900, 11 * day_ms - 1) == 900
    assert count.today(1000, 11 * day_ms) == 0
    assert count.today(1700, 11 * day_ms + 5) == 700


def batch(clock: ManualClock, seq: int, *, boot: str = "now", readings: int = 100) -> Batch:
    return Batch(
        stream="a",
        seq=seq,
        boot=boot,
        clock=ClockState.SYNCED,
        readings=(reading(1, at=clock.stamp()),) * readings,
    )


def test_a_backlog_keeps_to_its_rate_besides_what_comes_in_and_fresh_batches_cost_nothing() -> None:
    clock = ManualClock()
    live = Pace(clock.mono_s())
    limit = ReplayLimit(1000, "now", clock, live)
    sent = 0
    for _ in range(10_000):
        clock.advance(0.001)
        if not limit.pause_s():
            limit.note([batch(clock, 1, boot="before")])
            sent += 100
        limit.note([batch(clock, 2)])
    assert sent == pytest.approx(10_000, rel=0.1)


async def test_a_backlog_goes_out_no_faster_than_allowed_and_events_do_not_wait_for_it(
    tmp_path: Path,
) -> None:
    async with running(make(tmp_path, boot="before", batch_readings=50)) as outbox:
        await outbox.recovered()
        for number in range(2000):
            outbox.add(reading(number))
    again = make(tmp_path, boot="now", replay_readings_s=200)
    async with running(again):
        await again.recovered()
        cursor = again.cursor("cloud")
        await take_events(cursor, 4)
        first = await take_batches(cursor, 100)
        assert first[0].readings[0].value == 0
        # 20 batches at once were a second's worth five times over
        assert await cursor.take_batches(20) == ()
        again.append(event("urgent"))
        assert (await take_events(cursor, 1))[0].event.subject == "urgent"
        await take_batches(cursor, 50)


async def test_stats_tell_what_today_cost_and_how_long_an_outage_may_last(tmp_path: Path) -> None:
    async with running(make(tmp_path, commit_interval_s=0, batch_readings=10)) as outbox:
        await outbox.recovered()
        assert outbox.stats().outage_days is None
        for number in range(100):
            outbox.add(reading(number))
        log = tmp_path / "box" / "telemetry" / "seg-00000001.log"
        await until(lambda: log.exists() and b'"seq":10,' in log.read_bytes())
        stats = outbox.stats()
        assert 512 * 1024 <= stats.bytes_today <= stats.bytes_written
        room, held = 0.75 * 256 * 1024 * 1024, 256 * 1024
        on_disk = len(log.read_bytes().rstrip(b"\n"))
        # all came within the first second, which is what a rate is taken over at least
        days = (room - held) / on_disk / 86_400
        assert stats.outage_days is not None
        assert days * 0.7 <= stats.outage_days <= days * 20
