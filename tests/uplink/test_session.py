"""An uplink against a real broker: birth, order, loss, return, refusal, farewell."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.effects import AlarmState
from agent.outbox.contract import WINDOW
from agent.uplink.codec import StatusReason
from agent.uplink.session import Timing
from agent.uplink.spec import Protocol, UplinkSpec
from drivers.clock import ManualClock
from drivers.reading import Quality
from tests.uplink.broker import Broker, free_port, proxied
from tests.uplink.conftest import MakeBroker
from tests.uplink.fake_cursor import FakeCursor
from tests.uplink.rig import QUICK, running, until, witness
from tests.uplink.samples import alarm, batch, event, reading
from tests.uplink.scripted import Script, scripted

BOTH = pytest.mark.parametrize("protocol", list(Protocol), ids=lambda each: f"mqtt-{each}")


@BOTH
async def test_introduces_itself_then_sends_what_the_outbox_holds(
    broker: Broker, clock: ManualClock, protocol: Protocol
) -> None:
    async with witness(broker.port, protocol=protocol) as seen:
        async with running(broker.port, clock=clock, protocol=protocol) as rig:
            rig.board.put_state(reading(400.0))
            rig.board.put_alarm(alarm())
            rig.cursor.put(batch(1), event(1))
            await until(lambda: rig.cursor.unsent() == 0 and len(seen.states) == 1)
            await until(lambda: len(seen.alarms) == 1 and len(seen.batches) == 1)
            await until(lambda: rig.uplink.stats().publishes == 6)
            kinds = [each.address.channel.value for each in seen.heard]
            assert kinds[:3] == ["status", "meta", "event"]
            assert seen.statuses[0].is_online
            assert seen.statuses[0].reason is StatusReason.CONNECTED
            assert seen.events[0].record == event(1)
            assert seen.batches[0].batch == batch(1)
            assert seen.states[0].reading == reading(400.0)
            assert seen.alarms[0].alarm == alarm()
            assert rig.links == [(True, "")]
            stats = rig.uplink.stats()
            assert (stats.is_connected, stats.connects, stats.publish_failures) == (True, 1, 0)
            assert stats.last_puback_wall_ms == clock.stamp().wall_ms
        assert not seen.garbled


async def test_what_stands_retained_is_there_for_a_late_subscriber(broker: Broker) -> None:
    async with running(broker.port) as rig:
        rig.board.put_state(reading(400.0))
        rig.board.put_alarm(alarm(AlarmState.NORMAL))
        rig.cursor.put(batch(1), event(1))
        await until(lambda: rig.uplink.stats().publishes == 6)
        async with witness(broker.port) as late:
            await until(lambda: len(late.heard) == 4)
            assert {each.address.channel.value for each in late.heard} == {
                "status", "meta", "state", "alarm",
            }  # fmt: skip
            assert all(each.is_retained for each in late.heard)
            await rig.uplink.close(2.0)


async def test_only_records_older_than_the_connection_are_replays(
    broker: Broker, clock: ManualClock
) -> None:
    cursor = FakeCursor()
    cursor.put(event(1, mono_s=999.0), batch(1, mono_s=999.0))
    async with witness(broker.port) as seen, running(broker.port, clock=clock, cursor=cursor):
        await until(lambda: len(seen.events) == 1 and len(seen.batches) == 1)
        cursor.put(event(2, mono_s=1000.0), batch(2, mono_s=1000.0))
        await until(lambda: len(seen.events) == 2 and len(seen.batches) == 2)
        assert [each.is_replay for each in seen.events] == [True, False]
        assert [each.is_replay for each in seen.batches] == [True, False]


async def test_close_sends_what_is_left_and_says_offline_before_it_leaves(broker: Broker) -> None:
    async with witness(broker.port) as seen, running(broker.port) as rig:
        await until(lambda: rig.is_up)
        rig.cursor.put(event(1))
        await rig.uplink.close(2.0)
        await until(lambda: rig.task.done() and len(seen.statuses) == 2)
        await asyncio.sleep(0.1)  # a will would come now
        assert [each.reason for each in seen.statuses] == [
            StatusReason.CONNECTED,
            StatusReason.STOPPED,
        ]
        assert not seen.statuses[-1].is_online
        assert seen.heard.index(
            next(h for h in seen.heard if h.seen == seen.events[0])
        ) < seen.heard.index(seen.heard[-1])
        assert rig.cursor.unsent() == 0
        assert rig.links[-1] == (False, "stopped")


@BOTH
async def test_cut_down_without_a_farewell_the_will_speaks(
    broker: Broker, protocol: Protocol
) -> None:
    async with witness(broker.port) as seen:
        async with running(broker.port, protocol=protocol) as rig:
            await until(lambda: rig.is_up)
            rig.task.cancel()
            await until(lambda: len(seen.statuses) == 2)
        assert seen.statuses[-1].reason is StatusReason.LOST
        assert not seen.statuses[-1].is_online


async def test_a_missing_broker_is_waited_for_and_close_does_not_wait_for_it() -> None:
    async with running(free_port()) as rig:
        await until(lambda: len(rig.links) == 1)
        is_good, why = rig.links[0]
        assert not is_good
        assert "refused" in why.lower()
        await asyncio.sleep(0.3)
        assert len(rig.links) == 1, "the same fault is told once"
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        await rig.uplink.close(5.0)
        assert loop.time() - start_s < 0.5
        await until(rig.task.done)


@BOTH
async def test_a_broker_killed_under_load_loses_nothing_and_doubles_only_what_was_in_flight(
    broker: Broker, protocol: Protocol
) -> None:
    cursor = FakeCursor()
    total = 0
    async with (
        witness(broker.port) as seen,
        running(broker.port, cursor=cursor, protocol=protocol) as rig,
    ):
        for _ in range(5):
            await until(lambda: rig.is_up)
            for _ in range(200):
                total += 1
                cursor.put(batch(total, count=20), event(total))
            before = len(cursor.acked)
            await until(lambda: len(cursor.acked) > before + 40)  # noqa: B023
            broker.stop()
            await until(lambda: not rig.is_up)
            broker.start()
        await until(lambda: cursor.unsent() == 0, 20)
    assert len(cursor.acked) == len(set(cursor.acked)) == 2 * total
    assert not cursor.aside
    assert cursor.rewinds == rig.uplink.stats().connects == 6
    # The witness reconnects as well and may miss what came meanwhile: doubles are what it proves.
    doubles = len(seen.events) - len({each.record.seq for each in seen.events})
    doubles += len(seen.batches) - len({each.batch.seq for each in seen.batches})
    assert doubles <= 5 * 20


async def test_a_live_state_is_there_within_two_seconds_of_the_brokers_return(
    broker: Broker,
) -> None:
    cursor = FakeCursor()
    async with running(broker.port, cursor=cursor) as rig:
        await until(lambda: rig.is_up)
        broker.stop()
        await until(lambda: not rig.is_up)
        cursor.put(*(batch(n, count=50) for n in range(1, 2000)))
        await asyncio.sleep(2.0)
        rig.board.put_state(reading(17.0))
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        broker.start()
        async with witness(broker.port) as seen:
            await until(lambda: any(s.reading.value == 17.0 for s in seen.states), 4)
            assert loop.time() - start_s < 2.0
            assert cursor.unsent() > 0, "the backlog is still going out"


async def test_events_overtake_a_backlog_on_a_slow_link(broker: Broker) -> None:
    cursor = FakeCursor()
    cursor.put(*(batch(n, count=50) for n in range(1, 4000)))
    async with (
        witness(broker.port) as seen,
        proxied(broker.port, delay_s=0.05) as proxy,
        running(proxy.port, cursor=cursor),
    ):
        await until(lambda: len(seen.batches) > 20)
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        cursor.put(event(1))
        await until(lambda: len(seen.events) == 1)
        assert loop.time() - start_s < 1.0
        assert cursor.unsent() > 1000
    assert [each.batch.seq for each in seen.batches] == sorted(
        each.batch.seq for each in seen.batches
    ), "telemetry goes oldest first"


async def test_a_fire_is_shown_before_a_backlog_of_lesser_events(broker: Broker) -> None:
    cursor = FakeCursor()
    cursor.put(*(event(n) for n in range(1, 3000)))
    async with (
        witness(broker.port) as seen,
        proxied(broker.port, delay_s=0.05) as proxy,
        running(proxy.port, cursor=cursor) as rig,
    ):
        await until(lambda: len(seen.events) > 20)
        rig.board.put_alarm(replace(alarm(), rule="hall", is_test=False))
        await until(lambda: any(each.alarm.rule == "hall" for each in seen.alarms))
        assert cursor.unsent() > 1000
    assert [each.record.seq for each in seen.events] == sorted(
        each.record.seq for each in seen.events
    )


async def test_what_a_cut_would_send_again_takes_slots_until_the_disk_knows(
    broker: Broker,
) -> None:
    async with witness(broker.port) as seen, running(broker.port) as rig:
        await until(lambda: rig.is_up)
        rig.cursor.unsaved_now = WINDOW
        rig.cursor.put(*(event(seq) for seq in range(1, 9)), batch(1))
        rig.board.put_state(reading(7.0))
        await until(lambda: any(each.reading.value == 7.0 for each in seen.states))
        await asyncio.sleep(0.3)
        assert not rig.cursor.acked
        rig.cursor.unsaved_now = WINDOW // 2
        await until(lambda: len(rig.cursor.acked) == 9)


async def test_a_full_window_on_a_stuck_disk_holds_up_only_what_may_wait(broker: Broker) -> None:
    async with running(broker.port) as rig:
        await until(lambda: rig.is_up)
        rig.cursor.unsaved_now = WINDOW
        rig.cursor.is_stuck_now = True
        rig.cursor.put(event(1), event(2), batch(1), batch(2))
        rig.cursor.safe = {("e1", 1), ("t1", 1)}
        await until(lambda: set(rig.cursor.acked) == {("e1", 2), ("t1", 2)})
        await asyncio.sleep(0.2)
        assert len(rig.cursor.acked) == 2
        rig.cursor.is_stuck_now = False
        rig.cursor.unsaved_now = 0
        await until(lambda: rig.cursor.unsent() == 0)


async def test_a_silent_link_is_noticed_within_twice_the_keepalive(broker: Broker) -> None:
    async with proxied(broker.port) as proxy, running(proxy.port, keepalive_s=2) as rig:
        await until(lambda: rig.is_up)
        proxy.is_silent = True
        took_s = await until(lambda: not rig.is_up, 6)
        assert took_s <= 4.3  # the clock of this test starts anywhere in a ping's period
        rig.cursor.put(event(1))
        proxy.is_silent = False
        await until(lambda: rig.is_up and rig.cursor.unsent() == 0)


async def test_a_publish_into_a_silent_link_ends_it_before_the_ping_does(broker: Broker) -> None:
    async with proxied(broker.port) as proxy, running(proxy.port, keepalive_s=1) as rig:
        await until(lambda: rig.is_up)
        proxy.is_silent = True
        rig.cursor.put(event(1), batch(1))
        await until(lambda: not rig.is_up, 3)
        assert rig.cursor.unsent() == 2
        proxy.is_silent = False
        await until(lambda: rig.cursor.unsent() == 0)


async def test_a_broker_that_takes_the_socket_and_says_nothing_is_given_up() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        timing = Timing(connect_s=0.2, first_pause_s=0.05)
        async with running(server.sockets[0].getsockname()[1], timing=timing) as rig:
            await until(lambda: bool(rig.links))
            assert "no CONNACK" in rig.links[0][1]
        await asyncio.sleep(0)


def acl(folder: Path, *lines: str) -> Path:
    path = folder / "acl"
    path.write_text("\n".join(("topic read #", *lines)) + "\n", "utf-8")
    path.chmod(0o600)
    return path


async def test_what_the_broker_refuses_is_a_link_fault_held_and_sent_when_allowed(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    allowed = ["status/#", "meta/#", "state/#", "alarm/#", "tele/#", "event/box"]
    rules = [f"topic write plantroom/v1/+/+/{each}" for each in allowed]
    file = acl(tmp_path, *rules)
    broker = make_broker(f"acl_file {file}")
    async with running(broker.port) as rig:
        rig.cursor.put(event(1), event(2, subject="box"), batch(1))
        await until(lambda: {("e1", 2), ("t1", 1)} <= set(rig.cursor.acked))
        await until(lambda: not rig.is_up)
        assert "event/shed-fire" in rig.links[-1][1]
        assert "135" in rig.links[-1][1]
        stats = rig.uplink.stats()
        assert not stats.is_connected
        assert stats.publish_failures >= 1
        assert rig.cursor.acked.count(("e1", 1)) == 0
        rig.cursor.put(event(3, subject="box"))
        await until(lambda: ("e1", 3) in rig.cursor.acked)
        acl(tmp_path, "topic write #")
        broker.reload()
        await until(lambda: rig.cursor.unsent() == 0)
        await until(lambda: rig.is_up)
        assert rig.uplink.stats().connects == 1
        assert [good for good, _ in rig.links] == [True, False, True]


async def test_a_refused_birth_does_not_hold_up_records(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    broker = make_broker(f"acl_file {acl(tmp_path, 'topic write plantroom/v1/+/+/event/#')}")
    async with running(broker.port) as rig:
        rig.cursor.put(event(1))
        await until(lambda: rig.cursor.unsent() == 0)
        assert not rig.is_up
        assert "status/box" in rig.links[-1][1]


async def test_over_our_own_cap_a_record_is_set_aside_at_once(broker: Broker) -> None:
    async with running(broker.port, max_payload_bytes=4000) as rig:
        rig.cursor.put(batch(1, count=2), batch(2, count=200), batch(3, count=2))
        await until(lambda: rig.cursor.unsent() == 0)
        assert list(rig.cursor.aside) == [("t1", 2)]
        assert "4000" in rig.cursor.aside[("t1", 2)]
        assert rig.uplink.stats().connects == 1


async def test_over_the_brokers_told_limit_a_record_is_set_aside_without_losing_the_link(
    make_broker: MakeBroker,
) -> None:
    broker = make_broker("max_packet_size 8000")
    async with running(broker.port) as rig:
        rig.cursor.put(batch(1, count=2), batch(2, count=200), batch(3, count=2), event(1))
        await until(lambda: rig.cursor.unsent() == 0)
        assert list(rig.cursor.aside) == [("t1", 2)]
        assert rig.uplink.stats().connects == 1


@pytest.mark.parametrize(
    ("protocol", "option"),
    [
        pytest.param(Protocol.V311, "max_packet_size 8000", id="closed without a word"),
        pytest.param(Protocol.V5, "message_size_limit 8000", id="told a protocol error"),
    ],
)
async def test_a_record_at_which_the_broker_hangs_up_is_quarantined_alone(
    make_broker: MakeBroker, protocol: Protocol, option: str
) -> None:
    broker = make_broker(option)
    spec = UplinkSpec(
        id="cloud",
        host="127.0.0.1",
        port=broker.port,
        protocol=protocol,
        reconnect_cap_s=0.1,
    )
    async with running(broker.port, spec=spec) as rig:
        rig.cursor.put(*(batch(n, count=200 if n == 3 else 2) for n in range(1, 40)))
        await until(lambda: bool(rig.cursor.aside), 10)
        rig.cursor.put(event(1))
        await until(lambda: rig.cursor.unsent() == 0)
        assert list(rig.cursor.aside) == [("t1", 3)]


async def test_a_broker_that_dies_again_and_again_costs_no_record(broker: Broker) -> None:
    async with running(broker.port) as rig:
        await until(lambda: rig.is_up)
        rig.cursor.put(*(batch(n, count=2) for n in range(1, 2000)))
        for _ in range(8):
            await until(lambda: rig.is_up)
            broker.stop()
            await until(lambda: not rig.is_up)
            broker.start()
        await until(lambda: rig.cursor.unsent() == 0, 10)
        assert not rig.cursor.aside


async def test_the_heartbeat_says_that_the_box_is_there(broker: Broker) -> None:
    timing = Timing(heartbeat_s=0.05)
    async with witness(broker.port) as seen, running(broker.port, timing=timing):
        await until(lambda: len(seen.statuses) >= 4)
        assert {each.reason for each in seen.statuses[1:]} == {StatusReason.HEARTBEAT}
        assert all(each.is_online for each in seen.statuses)


async def test_wrong_credentials_are_told_and_the_password_is_not(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text("", "utf-8")
    passwords.chmod(0o600)
    broker = make_broker(f"password_file {passwords}", "allow_anonymous false")
    spec = UplinkSpec(
        id="cloud", host="127.0.0.1", port=broker.port, username="box", password="canary-7313"
    )
    async with running(broker.port, spec=spec, timing=QUICK) as rig:
        await until(lambda: bool(rig.links))
        assert "not accepted" in rig.links[0][1]
        assert "canary-7313" not in repr((rig.links, spec, rig.uplink.stats()))


async def test_bad_readings_arrive_as_bad(broker: Broker) -> None:
    async with witness(broker.port) as seen, running(broker.port) as rig:
        rig.board.put_state(reading(None, quality=Quality.BAD, reason="timeout"))
        await until(lambda: len(seen.states) == 1)
        assert seen.states[0].reading.value is None
        assert seen.states[0].reading.reason == "timeout"


async def test_close_keeps_its_deadline_on_a_dead_link_and_leaves_the_word_to_the_will(
    broker: Broker,
) -> None:
    async with (
        witness(broker.port) as seen,
        proxied(broker.port) as proxy,
        running(proxy.port) as rig,
    ):
        await until(lambda: rig.is_up)
        proxy.is_silent = True
        rig.cursor.put(event(1))
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        await rig.uplink.close(0.8)
        assert loop.time() - start_s < 1.0
        await until(rig.task.done, 1)
        assert rig.cursor.unsent() == 1
        await until(lambda: seen.statuses[-1].reason is StatusReason.LOST)


async def test_one_uplink_without_a_broker_does_not_slow_another(broker: Broker) -> None:
    async with running(free_port()) as dead, running(broker.port) as alive:
        for one in (dead, alive):
            one.cursor.put(*(batch(n) for n in range(1, 50)))
        await until(lambda: alive.cursor.unsent() == 0)
        assert dead.cursor.unsent() == 49


async def test_a_batch_or_event_is_never_done_before_its_own_puback() -> None:
    async with (
        scripted(Script(puback_code={"tele/batch": 256})) as script,
        running(script.port) as rig,
    ):
        rig.cursor.put(batch(1), batch(2), event(1))
        await until(lambda: len([t for t in script.topics if "tele" in t]) == 2)
        await until(lambda: rig.cursor.acked == [("e1", 1)])
        await asyncio.sleep(0.1)
        assert rig.cursor.unsent() == 2
