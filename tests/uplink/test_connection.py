"""The traps of the libraries below, each with its cure pinned."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from agent.uplink.connection import Connection
from agent.uplink.dial import MOST_HANGING, Dialler, Target
from agent.uplink.errors import LinkLost, Refused, TooLarge, Unreachable
from agent.uplink.message import Message
from agent.uplink.spec import Protocol, UplinkSpec
from tests.uplink.broker import Broker, proxied
from tests.uplink.conftest import MakeBroker
from tests.uplink.rig import until
from tests.uplink.scripted import Script, scripted


def spec(port: int, **more: Any) -> UplinkSpec:
    return UplinkSpec(id="cloud", host="127.0.0.1", port=port, **more)


def message(topic: str = "plantroom/v1/a/b/event/c", size: int = 10) -> Message:
    return Message(topic=topic, payload=b"x" * size, schema="event/1")


@asynccontextmanager
async def linked(
    port: int, *, will: Message | None = None, **more: Any
) -> AsyncIterator[Connection]:
    connection = await Connection.open(
        spec(port, **more), Dialler(), client_id=more.get("client_id", "b1"), will=will, timeout_s=3
    )
    try:
        yield connection
    finally:
        await connection.abandon()


async def test_a_refused_puback_is_an_error_and_not_a_success(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    file = tmp_path / "acl"
    file.write_text("topic write plantroom/v1/a/b/event/allowed\n", "utf-8")
    file.chmod(0o600)
    broker = make_broker(f"acl_file {file}")
    async with linked(broker.port) as connection:
        await connection.publish(message("plantroom/v1/a/b/event/allowed"))
        with pytest.raises(Refused) as caught:
            await connection.publish(message("plantroom/v1/a/b/event/other"))
        assert caught.value.code == 135
        assert caught.value.topic.endswith("other")
        await connection.publish(message("plantroom/v1/a/b/event/allowed"))


@pytest.mark.parametrize("code", [128, 131, 135, 144, 145, 151, 153])
async def test_every_failure_code_of_a_puback_surfaces(code: int) -> None:
    async with (
        scripted(Script(puback_code={"event": code})) as script,
        linked(script.port) as connection,
    ):
        with pytest.raises(Refused) as caught:
            await connection.publish(message())
        assert caught.value.code == code


async def test_a_puback_code_that_mqtt_does_not_know_ends_the_link_and_is_no_success() -> None:
    # 149 is for CONNACK and DISCONNECT; mosquitto 2.0 sends it in a PUBACK for `message_size_limit`.
    async with scripted(Script(puback_code={"event": 149})) as script, linked(script.port) as link:
        with pytest.raises(LinkLost):
            await link.publish(message())


async def test_no_matching_subscribers_is_a_success() -> None:
    async with (
        scripted(Script(puback_code={"event": 16})) as script,
        linked(script.port) as connection,
    ):
        await connection.publish(message())


async def test_a_killed_broker_ends_waiting_publishes_at_once() -> None:
    async with (
        scripted(Script(puback_code={"event": 256})) as script,
        linked(script.port) as connection,
    ):
        losses: list[LinkLost] = []

        async def publish() -> None:
            with pytest.raises(LinkLost) as caught:
                await connection.publish(message())
            losses.append(caught.value)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(publish())
            await until(lambda: len(script.topics) == 5)
            script.hang_up_at = "stop"
            start_s = asyncio.get_running_loop().time()
            tasks.create_task(_expect_loss(connection, "plantroom/v1/a/b/event/x"))
            tasks.create_task(_expect_loss(connection, "plantroom/v1/a/b/event/stop"))
            with pytest.raises(LinkLost):
                async for _ in connection.messages():
                    pass
            tasks.create_task(_expect_loss(connection, "plantroom/v1/a/b/event/late"))
            await until(lambda: len(losses) == 5)
            assert asyncio.get_running_loop().time() - start_s < 0.5
        assert all(loss.is_by_peer and loss.code == 149 for loss in losses)


async def _expect_loss(connection: Connection, topic: str) -> None:
    with pytest.raises(LinkLost):
        await connection.publish(message(topic))


async def test_no_answer_to_a_publish_is_a_lost_link_in_one_and_a_half_keepalives() -> None:
    async with (
        scripted(Script(puback_code={"event": 256})) as script,
        linked(script.port, keepalive_s=1) as connection,
    ):
        start_s = asyncio.get_running_loop().time()
        with pytest.raises(LinkLost, match="PUBACK") as caught:
            await connection.publish(message())
        assert asyncio.get_running_loop().time() - start_s < 2.5
        assert not caught.value.is_by_peer


async def test_never_more_in_flight_than_the_broker_says_it_takes() -> None:
    # CONNACK property 0x21: Receive Maximum, two bytes (MQTT 5.0 section 3.2.2.3.3).
    async with (
        scripted(Script(connack=b"\x00\x00\x03\x21\x00\x03")) as script,
        linked(script.port) as connection,
    ):
        assert connection.window == 3
        async with asyncio.TaskGroup() as tasks:
            for _ in range(30):
                tasks.create_task(connection.publish(message()))
        assert script.most_unanswered == 3


async def test_never_more_than_twenty_in_flight_and_no_noise_about_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scripted(Script()) as script, linked(script.port, window=500) as connection:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(100):
                tasks.create_task(connection.publish(message()))
        assert script.most_unanswered == 20
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_the_brokers_packet_limit_is_kept_before_it_is_broken() -> None:
    # CONNACK property 0x27: Maximum Packet Size, four bytes (MQTT 5.0 section 3.2.2.3.6).
    async with (
        scripted(Script(connack=b"\x00\x00\x05\x27\x00\x00\x04\x00")) as script,
        linked(script.port) as connection,
    ):
        await connection.publish(message(size=900))
        with pytest.raises(TooLarge):
            await connection.publish(message(size=1020))
        assert len(script.topics) == 1


async def test_our_own_cap_holds_without_a_broker_saying_anything(broker: Broker) -> None:
    async with linked(broker.port, max_payload_bytes=100) as connection:
        await connection.publish(message(size=100))
        with pytest.raises(TooLarge):
            await connection.publish(message(size=101))


async def test_properties_say_what_the_payload_is_and_events_never_expire() -> None:
    async with scripted(Script()) as script, linked(script.port) as connection:
        await connection.publish(message())
        (packet,) = script.packets
        assert b"application/json" in packet
        assert b"schema\x00\x07event/1" in packet
        # 0x02 Message Expiry Interval would stand right after format indicator or type.
        length = int.from_bytes(packet[:2], "big")
        properties = packet[5 + length : 5 + length + packet[4 + length]]
        assert properties.startswith(b"\x01\x01\x03")


@pytest.mark.parametrize(
    ("connack", "code"), [(b"\x00\x86\x00", 134), (b"\x00\x87\x00", 135), (b"\x00\x88\x00", 136)]
)
async def test_a_negative_connack_is_unreachable_with_its_code(connack: bytes, code: int) -> None:
    async with scripted(Script(connack=connack)) as script:
        with pytest.raises(Unreachable) as caught:
            async with linked(script.port):
                pass
        assert caught.value.code == code


async def test_a_link_closed_before_the_connack_does_not_wait_for_it() -> None:
    async def shut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(shut, "127.0.0.1", 0)
    async with server:
        start_s = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable):
            async with linked(server.sockets[0].getsockname()[1]):
                pass
        assert asyncio.get_running_loop().time() - start_s < 1


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff\xff\xff\xff\xff\xff",
        b"\x30\x03\x00\xff\x41",
        b"\x40\x03\x00\x01\xee",
        b"\x32\x05\x00\x01\xff\x00\x01",
        b"\x20\x00",
        b"\x90\x00",
    ],
    ids=lambda junk: junk.hex(),
)
async def test_garbage_from_the_broker_ends_the_link_or_is_passed_over_but_breaks_nothing(
    junk: bytes,
) -> None:
    async with scripted(Script(after_connack=junk)) as script:
        try:
            async with linked(script.port, keepalive_s=1) as connection:
                await connection.publish(message())
        except (LinkLost, Unreachable):
            pass


async def test_a_cancelled_open_leaves_nothing_behind() -> None:
    async with scripted(Script(connack=None)) as script:
        for pause_s in (0.0, 0.001, 0.005, 0.05):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await Connection.open(
                        spec(script.port), Dialler(), client_id="b1", will=None, timeout_s=5
                    )
        await asyncio.sleep(0.05)


async def test_a_polite_close_drops_the_will_and_an_abandoned_link_does_not(
    broker: Broker,
) -> None:
    will = Message(topic="will", payload=b"dead")
    async with linked(broker.port) as listener:
        await listener.subscribe("will")
        heard: list[str] = []

        async def listen() -> None:
            async for each in listener.messages():
                heard.append(each.topic)  # noqa: PERF401 - it never ends

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(listen())
            polite = await Connection.open(
                spec(broker.port), Dialler(), client_id="p", will=will, timeout_s=3
            )
            await polite.close()
            await asyncio.sleep(0.1)
            assert heard == []
            cut = await Connection.open(
                spec(broker.port), Dialler(), client_id="c", will=will, timeout_s=3
            )
            await cut.abandon()
            await until(lambda: heard == ["will"])
            task.cancel()


@pytest.mark.parametrize("code", [128, 135, 143, 162])
async def test_a_refused_subscription_is_an_error_with_its_code(code: int) -> None:
    async with scripted(Script(suback_code=code)) as script, linked(script.port) as connection:
        with pytest.raises(Refused) as caught:
            await connection.subscribe("a/#")
        assert caught.value.code == code


async def test_no_answer_to_a_subscription_is_a_lost_link() -> None:
    async with scripted(Script(suback_code=None)) as script, linked(script.port) as connection:
        with pytest.raises(LinkLost, match="subscribe"):
            await connection.subscribe("a/#", timeout_s=0.1)


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_the_loop_is_never_blocked(
    broker: Broker, unblocked_loop: BlockBuster, protocol: Protocol
) -> None:
    async with linked(broker.port, protocol=protocol) as connection:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(connection.publish(message(size=5000)))
        await connection.close()


async def test_a_hanging_name_lookup_holds_up_neither_loop_nor_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        release.wait(20)
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    dialler = Dialler()
    target = Target(host="broker.example", port=1883)
    try:
        for _ in range(MOST_HANGING):
            with pytest.raises(Unreachable, match="no connection within"):
                await dialler.dial(target, timeout_s=0.05)
        with pytest.raises(Unreachable, match="still hang"):
            await dialler.dial(target, timeout_s=0.05)
        hanging = [each for each in threading.enumerate() if each.name.startswith("dial")]
        assert len(hanging) == MOST_HANGING
        assert all(each.daemon for each in hanging), "a thread that exit waits for"
    finally:
        release.set()
    for thread in hanging:
        await asyncio.to_thread(thread.join, 5)
    with pytest.raises(Unreachable, match="no such name"):
        await dialler.dial(target, timeout_s=1)


async def test_a_socket_that_comes_too_late_is_closed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    real = socket.create_connection
    made: list[socket.socket] = []

    def late(*args: Any, **more: Any) -> socket.socket:
        sock = real(*args, **more)
        made.append(sock)
        release.wait(5)
        return sock

    monkeypatch.setattr(socket, "create_connection", late)
    with pytest.raises(Unreachable):
        await Dialler().dial(Target(host="127.0.0.1", port=broker.port), timeout_s=0.1)
    release.set()
    await until(lambda: bool(made) and made[0].fileno() == -1)


async def test_a_slow_link_keeps_the_order_of_one_topic(broker: Broker) -> None:
    async with proxied(broker.port, delay_s=0.02) as proxy, linked(broker.port) as listener:
        await listener.subscribe("order")
        async with (
            linked(proxy.port, client_id="sender") as connection,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(60):
                payload = Message(topic="order", payload=str(number).encode())
                tasks.create_task(connection.publish(payload))
        heard: list[int] = []
        async with asyncio.timeout(3):
            async for each in listener.messages():
                heard.append(int(each.payload))
                if len(heard) == 60:
                    break
        assert heard == list(range(60))


async def test_more_than_the_sockets_take_goes_out_whole_and_in_order(broker: Broker) -> None:
    size, count = 2_000_000, 20
    async with linked(broker.port) as listener:
        await listener.subscribe("bulk")
        heard: list[bytes] = []

        async def listen() -> None:
            async for each in listener.messages():
                heard.append(each.payload[:2])
                if len(heard) == count:
                    return

        async with (
            asyncio.timeout(20),
            linked(broker.port, client_id="sender", max_payload_bytes=size + 2) as connection,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(listen())
            for number in range(count):
                payload = b"%02d" % number + b"x" * size
                tasks.create_task(connection.publish(Message(topic="bulk", payload=payload)))
    assert heard == [b"%02d" % number for number in range(count)]


async def test_a_message_goes_out_in_the_turn_of_the_loop_it_is_published_in() -> None:
    async with (
        scripted(Script()) as script,
        linked(script.port) as connection,
        asyncio.TaskGroup() as tasks,
    ):
        client = connection._client
        tasks.create_task(connection.publish(message()))
        await asyncio.sleep(0)
        assert len(client._waiting) == 1
        assert not client._client.want_write()
    assert len(script.packets) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_what_goes_with_messages_of_a_kind_is_the_same_each_time_and_not_that_of_another(
    times: int,
) -> None:
    kinds = [
        Message(topic="t", payload=b"x", schema="event/1"),
        Message(topic="t", payload=b"x", schema="tele/1", expiry_s=60),
        Message(topic="t", payload=b"x", schema="tele/1", expiry_s=61),
        Message(topic="t", payload=b"x", schema="res/1", correlation=b"one"),
        Message(topic="t", payload=b"x", schema="res/1", correlation=b"two"),
        Message(topic="t", payload=b"x", content_type="text/plain"),
    ]
    async with scripted(Script()) as script, linked(script.port) as connection:
        for _ in range(times):
            for each in kinds:
                await connection.publish(each)
        packets = [each[5 + int.from_bytes(each[:2], "big") - 1 :] for each in script.packets]
    assert len(packets) == times * len(kinds)
    assert packets == packets[: len(kinds)] * times
    assert len(set(packets)) == len(kinds)
    assert b"\x00\x06tele/1" in packets[1]
    assert b"\x02\x00\x00\x00\x3c" in packets[1]
    assert b"\x02\x00\x00\x00\x3d" in packets[2]
    assert b"two" in packets[4]


async def test_what_was_given_up_is_not_sent_again_by_the_next_connection() -> None:
    """A re-entered client of the library would: thirty that timed out were still in it (each is ours)."""
    async with scripted(Script(puback_code={"event": 256})) as script:
        async with linked(script.port, keepalive_s=1) as connection:
            for _ in range(3):
                with pytest.raises(LinkLost):
                    await connection.publish(message("plantroom/v1/a/b/event/old"))
        with pytest.raises(LinkLost):
            await connection.publish(message("plantroom/v1/a/b/event/old"))
        given_up = len(script.topics)
        script.puback_code.clear()
        async with linked(script.port) as connection:
            await connection.publish(message("plantroom/v1/a/b/event/new"))
            await asyncio.sleep(0.2)
        assert script.topics[given_up:] == ["plantroom/v1/a/b/event/new"]
