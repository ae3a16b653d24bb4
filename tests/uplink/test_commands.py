"""Commands over a real broker: answered on both topics, once each, on MQTT 5 and 3.1.1."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.core.effects import Command, Outcome
from agent.uplink.connection import Connection
from agent.uplink.dial import Dialler
from agent.uplink.limits import Hearing
from agent.uplink.message import Arrival
from agent.uplink.session import Timing
from agent.uplink.spec import CommandsSpec, Protocol, UplinkSpec
from drivers.clock import Clock, ClockState, SystemClock
from tests.uplink.broker import Broker
from tests.uplink.commands import EVERYTHING, Room, payload
from tests.uplink.rig import QUICK, Rig, running, until
from tests.uplink.samples import alarm, reading
from tests.uplink.scripted import Script, scripted

BOTH = pytest.mark.parametrize("protocol", list(Protocol), ids=lambda each: f"mqtt-{each}")
HOME = "plantroom/v1/riverside/b1"


class Cloud:
    """Asks and hears answers, by a plain client that shares nothing with the agent."""

    def __init__(self, client: aiomqtt.Client, *, is_v5: bool) -> None:
        self._client = client
        self._is_v5 = is_v5
        self.answers: list[tuple[str, dict[str, Any], bytes | None]] = []

    async def ask(self, name: str, body: bytes, *, retain: bool = False, reply: str = "") -> None:
        properties = None
        if self._is_v5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = 60
            if reply:
                properties.ResponseTopic = reply
                properties.CorrelationData = b"\x00\xffno text"
        await self._client.publish(
            f"{HOME}/cmd/{name}", body, qos=1, retain=retain, properties=properties
        )

    async def send(self, topic: str, body: bytes) -> None:
        await self._client.publish(topic, body, qos=1)

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            correlation = getattr(message.properties, "CorrelationData", None)
            self.answers.append((str(message.topic), json.loads(message.payload), correlation))

    def codes(self) -> list[str]:
        return [answer["code"] for _, answer, _ in self.answers]


@asynccontextmanager
async def cloud(port: int, protocol: Protocol = Protocol.V5) -> AsyncIterator[Cloud]:
    is_v5 = protocol is Protocol.V5
    version = aiomqtt.ProtocolVersion.V5 if is_v5 else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", port, protocol=version, timeout=10) as client:
        client.pending_calls_threshold = 10_000
        await client.subscribe(f"{HOME}/res/+", qos=1)
        await client.subscribe("cloud/answers", qos=1)
        made = Cloud(client, is_v5=is_v5)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(made.listen())
            yield made
            listening.cancel()


@asynccontextmanager
async def box(
    broker: Broker,
    room: Room,
    protocol: Protocol = Protocol.V5,
    clock: Clock | None = None,
    timing: Timing = QUICK,
) -> AsyncIterator[Rig]:
    desk = room.desk if clock is None else room.make_desk(clock)
    async with running(
        broker.port, clock=clock or room.clock, protocol=protocol, desk=desk, timing=timing
    ) as rig:
        await until(lambda: rig.is_listening)
        yield rig


@BOTH
async def test_a_command_is_carried_out_and_answered(
    broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    room = Room(tmp_path)
    async with box(broker, room, protocol), cloud(broker.port, protocol) as asker:
        await asker.ask("ack", payload(room.clock, "c1"), reply="cloud/answers")
        expected = 2 if protocol is Protocol.V5 else 1
        await until(lambda: len(asker.answers) == expected)
        assert {topic for topic, _, _ in asker.answers} <= {f"{HOME}/res/ack", "cloud/answers"}
        for _, answer, correlation in asker.answers:
            assert (answer["id"], answer["ok"], answer["code"]) == ("c1", True, "done")
            assert correlation == (b"\x00\xffno text" if protocol is Protocol.V5 else None)
        assert len(room.done) == 1


@BOTH
async def test_a_retained_command_is_refused_whenever_it_is_heard(
    broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    room = Room(tmp_path)
    async with cloud(broker.port, protocol) as asker:
        await asker.ask("reset", payload(room.clock, "c1"), retain=True)
        async with box(broker, room, protocol):
            await until(lambda: asker.codes() == ["retained"])
            if protocol is Protocol.V5:  # on 3.1.1 a live one cannot be told from any other
                await asker.ask("reset", payload(room.clock, "c2"), retain=True)
                await until(lambda: asker.codes() == ["retained", "retained"])
        assert not room.done


async def test_an_answer_never_goes_among_the_boxes_own_words(
    broker: Broker, tmp_path: Path
) -> None:
    room = Room(tmp_path)
    async with box(broker, room) as rig, cloud(broker.port) as asker:
        forbidden = (
            f"{HOME}/event/shed-fire",
            f"{HOME}/cmd/reset",
            f"{HOME}/state/shed.smoke",
            "plantroom/v1/riverside/other/status/box",
            "$SYS/x",
        )
        for number, topic in enumerate(forbidden):
            await asker.ask("ack", payload(room.clock, f"c{number}"), reply=topic)
        await until(lambda: len(asker.answers) == len(forbidden))
        assert {topic for topic, _, _ in asker.answers} == {f"{HOME}/res/ack"}
        assert rig.is_up
        assert len(room.done) == len(forbidden)


async def test_a_snapshot_shows_states_and_alarms_anew(broker: Broker, tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with box(broker, room) as rig, cloud(broker.port) as asker:
        rig.board.put_state(reading(400.0))
        rig.board.put_alarm(alarm())
        await until(lambda: rig.uplink.stats().publishes == 4)
        await asker.ask("snapshot", payload(room.clock))
        await until(lambda: rig.uplink.stats().publishes == 6)
        await until(lambda: asker.codes() == ["done"])


async def test_a_command_sent_while_the_link_is_down_arrives_with_it(
    broker: Broker, tmp_path: Path
) -> None:
    room = Room(tmp_path)
    async with box(broker, room) as rig:
        rig.task.cancel()
        await until(rig.task.done)
    async with cloud(broker.port) as asker:
        await asker.ask("ack", payload(room.clock, "waiting"))
        async with box(broker, room):
            await until(lambda: asker.codes() == ["done"])
    assert [each.id for each in room.done] == ["waiting"]


@pytest.mark.parametrize("code", [128, 135])
async def test_a_broker_that_lets_it_hear_nothing_is_no_reason_to_stop_sending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    async with (
        scripted(Script(suback_code=code)) as script,
        running(script.port, desk=Room(tmp_path).desk) as rig,
    ):
        rig.board.put_state(reading(400.0))
        await until(lambda: rig.uplink.stats().publishes == 3)
        assert rig.is_up
        assert not rig.is_listening
        (told,) = [each for each in caplog.messages if "hears no commands" in each]
        assert str(code) in told


@BOTH
async def test_large_messages_are_refused_one_by_one_and_the_next_command_is_heard(
    broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    """More of them than a broker has under way at once: mosquitto 2.0.11 keeps back what is larger than
    the Maximum Packet Size, and goes deaf after twenty; so the box does not name one."""
    room = Room(tmp_path)
    async with box(broker, room, protocol) as rig, cloud(broker.port, protocol) as asker:
        for size in (30_000, *[100_000] * 30):
            await asker.ask("ack", b"x" * size)
        await asker.ask("ack", payload(room.clock))
        await until(lambda: "done" in asker.codes(), 20)
        assert set(asker.codes()) == {"too_large", "done"}
        assert rig.uplink.stats().connects == 1


@BOTH
async def test_a_huge_message_costs_the_commands_for_a_time_only(
    broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    room = Room(tmp_path)
    timing = replace(QUICK, deaf_s=0.5)
    async with (
        box(broker, room, protocol, timing=timing) as rig,
        cloud(broker.port, protocol) as asker,
    ):
        await asker.ask("ack", b"x" * 1_000_000)
        await until(lambda: rig.uplink.stats().connects == 2)
        await until(lambda: rig.is_up)
        assert not rig.is_listening, "said to be deaf while it is"
        rig.board.put_state(reading(400.0))
        await until(lambda: rig.is_listening)
        await asker.ask("ack", payload(room.clock))
        await until(lambda: asker.codes() == ["done"])
        assert rig.uplink.stats().connects == 2, "it is listened to again without another reconnect"
        assert len(room.done) == 1


@BOTH
async def test_a_huge_message_that_is_retained_costs_ever_fewer_reconnects(
    broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    room = Room(tmp_path)
    timing = replace(QUICK, deaf_s=0.2)
    async with (
        cloud(broker.port, protocol) as asker,
        box(broker, room, protocol, timing=timing) as rig,
    ):
        await asker.ask("ack", b"x" * 1_000_000, retain=True)
        await until(lambda: rig.uplink.stats().connects == 3)
        started_s = asyncio.get_running_loop().time()
        await until(lambda: rig.uplink.stats().connects == 5, 20)
        took_s = asyncio.get_running_loop().time() - started_s
        assert took_s >= 0.8, "deaf for 0.4 s, then 0.8 s, counted from before the reconnect"
        await until(lambda: rig.is_up)
        await asker.ask("ack", b"", retain=True)  # somebody takes it away
        await until(lambda: rig.is_listening, 20)
        await asker.ask("ack", payload(room.clock))
        await until(lambda: "done" in asker.codes(), 20)


@BOTH
async def test_what_comes_faster_than_it_is_done_takes_bounded_memory_and_is_told(
    broker: Broker, tmp_path: Path, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk is slow, so each command takes its time; meanwhile somebody sends 20 MB of rubbish."""
    room = Room(tmp_path)
    may_go_on = asyncio.Event()

    async def slow(command: Command) -> Outcome:
        await may_go_on.wait()
        return await Room.submit(room, command)

    room.submit = slow  # type: ignore[method-assign]
    room.start()
    async with box(broker, room, protocol) as rig, cloud(broker.port, protocol) as asker:
        await asker.ask("ack", payload(room.clock, "c1"))
        for _ in range(200):
            await asker.ask("ack", b"x" * 100_000)
        if protocol is Protocol.V311:  # and the broker has no bound of its own
            await until(lambda: "some are lost" in caplog.text, 20)
        rig.board.put_state(reading(400.0))
        await until(lambda: rig.uplink.stats().publishes >= 3)  # what the box says goes on
        may_go_on.set()
        await until(lambda: "done" in asker.codes(), 20)
        await asyncio.sleep(1.0)
        await asker.ask("ack", payload(room.clock, "c2"))
        await until(lambda: asker.codes().count("done") == 2, 20)
        assert rig.uplink.stats().connects == 1
    assert [each.id for each in room.done] == ["c1", "c2"]
    assert caplog.text.count("some are lost") <= 1, "not a line each"


async def test_a_command_that_a_crash_cut_off_comes_again(broker: Broker, tmp_path: Path) -> None:
    """It was heard and not yet looked at: the broker still has it (MQTT 5)."""
    room = Room(tmp_path)

    async def hang(command: Command) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    room.submit = hang  # type: ignore[method-assign]
    room.start()
    async with box(broker, room) as rig, cloud(broker.port) as asker:
        await asker.ask("ack", payload(room.clock, "c1"))
        await asker.ask("ack", payload(room.clock, "c2"))
        await asyncio.sleep(0.3)
        rig.task.cancel()
        await until(rig.task.done)
    del room.submit
    room.start()
    async with cloud(broker.port) as asker, box(broker, room):
        await until(lambda: sorted(asker.codes()) == ["done", "repeated"], 10)
    assert [each.id for each in room.done] == ["c2"], (
        "the first was begun: nobody knows how it ended"
    )


@BOTH
async def test_a_message_of_many_megabytes_takes_no_memory(
    need: Callable[[str], str], broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    pub, file = need("mosquitto_pub"), tmp_path / "huge"
    file.write_bytes(b"x" * 40_000_000)
    async with box(broker, Room(tmp_path), protocol) as rig:
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sender = await asyncio.create_subprocess_exec(
            pub, "-p", str(broker.port), "-t", f"{HOME}/cmd/ack", "-q", "1", "-f", str(file)
        )
        await until(lambda: rig.uplink.stats().connects == 2, 30)
        assert await sender.wait() == 0
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 20_000
        await until(lambda: rig.is_up)


async def test_a_flood_waits_in_the_broker(broker: Broker) -> None:
    spec = UplinkSpec(id="cloud", host="127.0.0.1", port=broker.port)
    hearing = Hearing(most_per_s=100)
    heard: list[Arrival] = []
    connection = await Connection.open(spec, Dialler(), client_id="b1", will=None, hearing=hearing)

    async def listen() -> None:
        async for arrival in connection.messages():
            heard.append(arrival)  # noqa: PERF401 - looked at meanwhile

    async with cloud(broker.port) as asker, asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        await connection.subscribe(f"{HOME}/cmd/+")
        start_s = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as senders:
            for _ in range(500):
                senders.create_task(asker.ask("ack", b"nonsense"))
        await until(lambda: len(heard) == 500, 30)
        took_s = asyncio.get_running_loop().time() - start_s
        listening.cancel()
    await connection.abandon()
    assert took_s > 3.0, "500 at 100 a second, less the first look and the last"


@BOTH
async def test_ten_thousand_hostile_commands_move_nothing_and_good_ones_are_done_once(
    broker: Broker, tmp_path: Path, protocol: Protocol
) -> None:
    hostile, good = 600, 60  # ten thousand and a thousand: benchmarks/commands.py
    room = Room(tmp_path, spec=CommandsSpec(allow=EVERYTHING, per_minute=10**6))
    clock = SystemClock()  # the rate needs time that passes
    clock.state = ClockState.SYNCED
    async with box(broker, room, protocol, clock) as rig, cloud(broker.port, protocol) as asker:
        await flood(asker, clock, hostile, good)
        await until(lambda: len(room.done) == good, 60)
        await until(lambda: asker.codes().count("done") == good, 10)
        await asyncio.sleep(0.3)
        assert sorted(each.id for each in room.done) == sorted(f"good-{n}" for n in range(good))
        assert {each.name for each in room.done} == {"ack"}
        assert len(room.events) < 100, "a bounded log"
        assert rig.uplink.stats().connects == 1
        assert rig.is_up


async def flood(asker: Cloud, clock: SystemClock, hostile: int, good: int) -> None:
    """Send bad commands of every kind with good ones, each of these twice, in between."""
    now = clock.stamp().wall_ms
    kinds: list[tuple[str, bytes]] = [
        ("output", b"\xff\xfe"),
        ("output", b'{"schema":"cmd/1"}'),
        ("reset", payload(clock, "old", ts_ms=now - 10**7)),
        ("reset", payload(clock, "future", ts_ms=now + 10**9)),
        ("output", payload(clock, "long", valid_s=10**7)),
        ("output", payload(clock, "x" * 70, args={"target": "siren", "on": True})),
        ("output", payload(clock, "oversize", args={"reason": "x" * 20_000})),
        ("restore", payload(clock, "power", args={"target": "supply"})),
        ("mode", payload(clock, "mode", args={"mode": "manual", "force": True})),
        ("drill", payload(clock, "drill", args={"on": "yes"})),
        ("ack", b"[" * 5000),
        ("no-such", payload(clock, "none")),
    ]
    every = hostile // good
    async with asyncio.TaskGroup() as tasks:
        gate = asyncio.Semaphore(20)

        async def send(name: str, body: bytes) -> None:
            async with gate:
                await asker.ask(name, body)

        for number in range(hostile):
            tasks.create_task(send(*kinds[number % len(kinds)]))
            if number % every == 0:
                for _ in range(2):  # the second is a replay
                    tasks.create_task(send("ack", payload(clock, f"good-{number // every}")))
