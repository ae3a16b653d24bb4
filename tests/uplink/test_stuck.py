"""Brokers that take the call and say nothing, records nobody can encode, states refused for a while."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from agent.outbox.contract import WINDOW
from agent.uplink.session import Timing
from drivers.backoff import Backoff
from drivers.clock import ManualClock
from drivers.reading import Quality, Value
from tests.uplink.conftest import MakeBroker
from tests.uplink.rig import QUICK, running, until, witness
from tests.uplink.samples import alarm, batch, event, reading
from tests.uplink.scripted import Script, scripted

NEAR = Timing(first_pause_s=0.05, near_connect_s=0.3)


async def test_no_answer_to_connect_costs_the_near_limit_and_not_the_long_one() -> None:
    async with scripted(Script(connack=None)) as script, running(script.port, timing=NEAR) as rig:
        await until(lambda: bool(rig.links), 1)
        assert "no CONNACK within 0.3 s" in rig.links[0][1]
        script.connack = b"\x00\x00\x00"
        assert await until(lambda: rig.is_up) < 1


async def test_no_answer_to_the_birth_message_costs_no_more() -> None:
    silent = Script(puback_code={"status/box": 256})
    async with scripted(silent) as script, running(script.port, timing=NEAR) as rig:
        rig.cursor.put(event(1))
        await until(lambda: bool(rig.links), 1)
        assert "no answer to the birth message" in rig.links[0][1]
        assert rig.cursor.unsent() == 1
        script.puback_code.clear()
        assert await until(lambda: rig.is_up and not rig.cursor.unsent()) < 1


async def test_a_broker_that_needs_longer_is_reached_after_the_first_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.uplink.pauses.NEAR_S", 0.5)
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.05)
    async with scripted(Script(connack_after_s=0.4)) as script:
        timing = Timing(near_connect_s=0.2)
        async with running(script.port, timing=timing) as rig:
            await until(lambda: rig.is_up, 3)
            assert any("no CONNACK within 0.2 s" in why for _, why in rig.links)
            # and again at the first attempt: what it needed is known
            rig.links.clear()
            script.hang_up_at = "event"
            rig.cursor.put(event(1))
            await until(lambda: bool(rig.links))
            script.hang_up_at = ""
            await until(lambda: rig.is_up)
            assert not any("CONNACK" in why for _, why in rig.links)


async def test_a_record_no_message_can_be_made_of_is_set_aside_and_stops_nothing(
    broker_port: int,
) -> None:
    odd = cast("Value", b"of a driver with a fault")
    async with witness(broker_port) as seen, running(broker_port) as rig:
        await until(lambda: rig.is_up)
        bad_event = event(2, detail={"ratio": cast("float", b"odd")})
        rig.cursor.put(batch(1), batch(2, values=(1.0, odd)), batch(3))
        rig.cursor.put(event(1), bad_event, event(3))
        rig.board.put_state(reading(odd))
        rig.board.put_state(reading(7.0, point="other"))
        await until(lambda: rig.cursor.unsent() == 0)
        assert set(rig.cursor.aside) == {("t1", 2), ("e1", 2)}
        assert all("no message can be made" in why for why in rig.cursor.aside.values())
        await until(lambda: len(seen.batches) == len(seen.events) == 2 and len(seen.states) == 1)
        assert rig.uplink.stats().connects == 1
        assert rig.is_up


async def test_refused_states_are_shown_when_they_are_allowed_and_the_fault_clears(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    file = tmp_path / "acl"
    rules = ["topic read #"] + [
        f"topic write plantroom/v1/+/+/{each}/#" for each in ("status", "tele", "event")
    ]
    file.write_text("\n".join(rules) + "\n", "utf-8")
    file.chmod(0o600)
    broker = make_broker(f"acl_file {file}")
    timing = Timing(first_pause_s=0.05, retry_held_s=0.1, heartbeat_s=0.2)
    async with witness(broker.port) as seen, running(broker.port, timing=timing) as rig:
        rig.board.put_state(reading(3.0))
        rig.board.put_alarm(alarm())
        await until(lambda: bool(rig.links) and not rig.links[-1][0])
        rig.board.put_state(reading(4.0, quality=Quality.GOOD))
        await asyncio.sleep(0.1)
        file.write_text("topic readwrite #\n", "utf-8")
        broker.reload()
        await until(lambda: rig.is_up)
        await until(lambda: bool(seen.states) and bool(seen.alarms))
        assert [each.reading.value for each in seen.states] == [4.0]
        assert rig.uplink.stats().connects == 1


async def test_what_was_refused_is_tried_again_though_the_disk_is_stuck() -> None:
    refusing = Script(puback_code={"event/": 135, "state/": 135})
    async with scripted(refusing) as script, running(script.port, timing=QUICK) as rig:
        rig.cursor.put(event(1), event(2))
        rig.cursor.safe = {("e1", 1)}
        await until(lambda: sum("event/" in each for each in script.topics) >= 2)
        rig.cursor.unsaved_now, rig.cursor.is_stuck_now = WINDOW, True
        rig.board.put_state(reading(3.0))
        await asyncio.sleep(0.3)
        script.puback_code.clear()
        script.topics.clear()
        await until(lambda: any("state/" in each for each in script.topics), 2)
        await until(lambda: rig.cursor.acked == [("e1", 2)], 2)
        await asyncio.sleep(0.3)
        assert rig.cursor.unsent() == 2, "what is safe on disk waits for it"
        rig.cursor.unsaved_now, rig.cursor.is_stuck_now = 0, False
        await until(lambda: rig.cursor.unsent() == 0, 2)


async def test_run_again_after_it_was_stopped_tells_anew_how_the_link_is(
    broker_port: int, clock: ManualClock
) -> None:
    async with running(broker_port, clock=clock, timing=QUICK) as rig:
        await until(lambda: rig.is_up)
        rig.task.cancel()
        await asyncio.wait((rig.task,))
        rig.links.clear()
        async with asyncio.TaskGroup() as tasks:
            again = tasks.create_task(rig.uplink.run())
            rig.cursor.put(event(1))
            await until(lambda: rig.is_up and not rig.cursor.unsent())
            again.cancel()
