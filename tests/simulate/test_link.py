"""The broker, the breakable link, and the witness's ear: real processes, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from agent.simulate import broker as broker_room
from agent.simulate.broker import Broker, BrokerFailed, Kind, find_mosquitto, run_broker
from agent.simulate.proxy import Direction, LinkState, TcpProxy
from agent.simulate.subscriber import (
    Heard,
    Packet,
    PacketKind,
    PacketParser,
    Subscriber,
    WireFault,
    packet,
    read_publish,
    text,
)
from agent.uplink.spec import Protocol

KINDS: tuple[Kind, ...] = ("mosquitto", "amqtt")


async def publish(port: int, topic: str, payload: bytes) -> None:
    """Publish at QoS 1 and wait for the PUBACK; 3.1.1, clean session."""
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            hello = text("MQTT") + bytes([4, 2, 0, 60]) + text("sender")
            writer.write(packet(PacketKind.CONNECT, 0, hello))
            assert (await reader.readexactly(4))[3] == 0
            writer.write(packet(PacketKind.PUBLISH, 2, text(topic) + b"\x00\x07" + payload))
            assert await reader.readexactly(4) == bytes.fromhex("40020007")
            writer.write(packet(PacketKind.DISCONNECT, 0, b""))
        finally:
            writer.close()
            await writer.wait_closed()


class Ear:
    """What a subscriber heard."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._more = asyncio.Event()

    def __call__(self, message: Heard) -> None:
        self.heard.append(message)
        self._more.set()

    async def until(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()
        return [each.payload for each in self.heard]


def need_kind(kind: Kind) -> None:
    if kind == "mosquitto" and find_mosquitto() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed (make test installs it on Debian)")


async def is_refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@pytest.mark.process
@pytest.mark.parametrize("kind", KINDS)
async def test_a_broker_carries_messages_and_is_broken_and_mended_on_one_port(kind: Kind) -> None:
    need_kind(kind)
    ear = Ear()
    async with run_broker(kind) as broker:
        assert broker.kind == kind
        assert Protocol.V311 in broker.protocol_versions
        assert (Protocol.V5 in broker.protocol_versions) == (kind == "mosquitto")
        port = broker.port
        async with Subscriber(broker.host, port, ["a/+"], ear, "witness") as witness:
            await publish(port, "a/b", b"one")
            await publish(port, "b/b", b"not for us")
            assert await ear.until(1) == [b"one"]
            await broker.stop()
            assert await is_refused(port)
            await broker.start()
            assert broker.port == port
            while witness.sessions < 2:  # noqa: ASYNC110 - the witness tells nobody
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            await publish(port, "a/b", b"two")
            assert await ear.until(2) == [b"one", b"two"]
            # This broker keeps nothing over a stop, so the witness must say that it may have missed some.
            assert witness.gaps == 1
    assert await is_refused(port)


@pytest.mark.process
async def test_a_cancelled_user_leaves_no_broker_behind() -> None:
    need_kind("mosquitto")
    ports: list[int] = []
    up = asyncio.Event()

    async def use() -> None:
        async with run_broker() as broker:
            ports.append(broker.port)
            up.set()
            await asyncio.Event().wait()

    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(use(), name="user")
            await up.wait()
            task.cancel()
    assert await is_refused(ports[0])


@pytest.mark.process
async def test_a_broker_does_not_outlive_a_killed_owner() -> None:
    need_kind("mosquitto")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed")
    code = (
        "import asyncio\n"
        "from agent.simulate.broker import run_broker\n"
        "async def main():\n"
        "    async with run_broker() as broker:\n"
        "        print(broker.port, flush=True)\n"
        "        await asyncio.sleep(30)\n"
        "asyncio.run(main())\n"
    )
    # Where a broker of another user may look: pytest's own folder is closed to others.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        assert owner.stdout is not None
        async with asyncio.timeout(20):
            port = int(await owner.stdout.readline())
            assert not await is_refused(port)
            owner.kill()
            await owner.wait()
            while not await is_refused(port):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.02)
    finally:
        if owner.returncode is None:
            owner.kill()
            await owner.wait()
        shutil.rmtree(folder)


@pytest.mark.process
async def test_a_broker_killed_from_outside_is_started_again() -> None:
    need_kind("mosquitto")
    async with run_broker() as broker:
        process = broker._process  # type: ignore[attr-defined]
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        await broker.start()
        await publish(broker.port, "a/b", b"x")


@pytest.mark.process
async def test_a_broker_starts_where_the_prefix_is_forbidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need_kind("mosquitto")
    monkeypatch.setattr(broker_room, "_dies_with_us", lambda: ("/bin/false",))
    async with run_broker() as broker:
        await publish(broker.port, "a/b", b"x")


async def test_without_mosquitto_the_embedded_broker_steps_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_room, "find_mosquitto", lambda: None)
    async with run_broker() as broker:
        assert broker.kind == "amqtt"
        assert broker.protocol_versions == (Protocol.V311,)
        await publish(broker.port, "a/b", b"x")


async def test_a_broker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_room, "find_mosquitto", lambda: "/bin/false")
    with pytest.raises(BrokerFailed, match="exit code 1"):
        async with run_broker():
            pass


# -- the witness's ear -----------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(list(PacketKind)), st.integers(0, 15), st.binary(max_size=300))
    )
)
def test_packets_come_out_whole_however_the_stream_is_cut(
    sent: list[tuple[PacketKind, int, bytes]],
) -> None:
    stream = b"".join(packet(*each) for each in sent)
    parser = PacketParser()
    found: list[Packet] = []
    step = 1 + len(stream) // 7
    for at in range(0, len(stream), step):
        found += parser.feed(stream[at : at + step])
    assert [(each.kind, each.flags, each.body) for each in found] == sent


@given(st.binary(max_size=200))
def test_garbage_instead_of_mqtt_is_a_wire_fault_or_nothing(garbage: bytes) -> None:
    with contextlib.suppress(WireFault):
        for each in PacketParser().feed(garbage):
            read_publish(each)


def test_a_publish_is_read_with_its_flags() -> None:
    body = text("a/b") + b"\x00\x09" + b"payload"
    assert read_publish(Packet(3, 0b1011, body)) == (Heard("a/b", b"payload", True, True), 9)
    assert read_publish(Packet(3, 0, text("a") + b"p")) == (Heard("a", b"p", False, False), None)


@pytest.mark.process
async def test_what_is_sent_while_the_witness_is_cut_off_is_kept_for_it(broker: Broker) -> None:
    ear = Ear()
    async with (
        TcpProxy(broker.host, broker.port) as link,
        Subscriber(link.host, link.port, ["#"], ear, "witness") as witness,
    ):
        await publish(broker.port, "t", b"1")
        await ear.until(1)
        await link.set_state(LinkState.CUT)
        await publish(broker.port, "t", b"2")
        await link.set_state(LinkState.PASS)
        # What the cut robbed of its PUBACK may come twice.
        while b"2" not in await ear.until(2 if len(ear.heard) < 2 else len(ear.heard) + 1):
            pass
        assert [each.payload for each in ear.heard if not each.is_repeat] == [b"1", b"2"]
        assert (witness.sessions, witness.gaps) == (2, 0)


async def test_no_broker_at_all_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.simulate.subscriber._FIRST_CONNECT_S", 0.2)
    async with TcpProxy("127.0.0.1", 9) as link:
        await link.set_state(LinkState.CUT)
        with pytest.raises(TimeoutError):
            async with Subscriber(link.host, link.port, ["#"], Ear(), "witness"):
                pass


@pytest_asyncio.fixture
async def broker() -> AsyncIterator[Broker]:
    async with run_broker() as running:
        yield running


# -- the breakable link ----------------------------------------------------------------------------


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets, and ends when its client does."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.write(data)

    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def dial(link: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(2):
        return await asyncio.open_connection(link.host, link.port)


async def test_a_passing_link_carries_both_ways_and_the_recorder_hears(echo: int) -> None:
    heard: list[tuple[Direction, bytes]] = []
    async with TcpProxy("127.0.0.1", echo, record=lambda *each: heard.append(each)) as link:
        reader, writer = await dial(link)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        assert heard == [(Direction.UP, b"hello"), (Direction.DOWN, b"hello")]
        assert link.connections == 1


async def test_a_megabyte_passes_whole_and_the_end_is_passed_on(echo: int) -> None:
    data = os.urandom(1 << 20)
    async with TcpProxy("127.0.0.1", echo) as link:
        reader, writer = await dial(link)
        async with asyncio.TaskGroup() as both:
            back = both.create_task(reader.readexactly(len(data)), name="back")
            writer.write(data)
            writer.write_eof()
        assert back.result() == data
        assert await reader.read() == b""
        writer.close()


async def test_a_cut_link_resets_refuses_and_takes_its_port_again(echo: int) -> None:
    async with TcpProxy("127.0.0.1", echo) as link:
        reader, writer = await dial(link)
        writer.write(b"x")
        await reader.readexactly(1)
        await link.set_state(LinkState.CUT)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await dial(link)
        await link.set_state(LinkState.PASS)
        reader, writer = await dial(link)
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"
        writer.close()


async def test_a_mute_link_takes_everything_and_lets_nothing_through_until_it_passes(
    echo: int,
) -> None:
    async with TcpProxy("127.0.0.1", echo) as link:
        old_reader, old_writer = await dial(link)
        old_writer.write(b"1")
        await old_reader.readexactly(1)
        await link.set_state(LinkState.MUTE)
        new_reader, new_writer = await dial(link)
        for writer in (old_writer, new_writer):
            writer.write(b"2")
        for reader in (old_reader, new_reader):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)
        await link.set_state(LinkState.PASS)
        async with asyncio.timeout(2):
            assert await old_reader.readexactly(1) == b"2"
            assert await new_reader.readexactly(1) == b"2"
        old_writer.close()
        new_writer.close()


async def test_what_was_under_way_when_the_link_was_cut_never_arrives(echo: int) -> None:
    heard: list[bytes] = []
    async with TcpProxy("127.0.0.1", echo, record=lambda _, data: heard.append(data)) as link:
        _, writer = await dial(link)
        await link.set_state(LinkState.MUTE)
        writer.write(b"lost")
        await asyncio.sleep(0.05)
        await link.set_state(LinkState.CUT)
        await link.set_state(LinkState.PASS)
        await asyncio.sleep(0.05)
        assert heard == []
        writer.close()


async def test_a_delay_is_added_each_way_and_keeps_the_order(echo: int) -> None:
    loop = asyncio.get_running_loop()
    async with TcpProxy("127.0.0.1", echo, delay_s=0.1) as link:
        reader, writer = await dial(link)
        begin_s = loop.time()
        for each in (b"1", b"2", b"3"):
            writer.write(each)
            await asyncio.sleep(0.01)
        assert await reader.readexactly(3) == b"123"
        assert 0.2 <= loop.time() - begin_s < 0.6
        writer.close()


async def test_a_target_that_is_not_there_ends_the_connection_not_the_link(echo: int) -> None:
    async with TcpProxy("127.0.0.1", echo) as dead_end:
        await dead_end.set_state(LinkState.CUT)
        async with TcpProxy(dead_end.host, dead_end.port) as link:
            for _ in range(2):
                reader, writer = await dial(link)
                with pytest.raises(ConnectionResetError):
                    await reader.readexactly(1)
                writer.close()
            await dead_end.set_state(LinkState.PASS)
            reader, writer = await dial(link)
            writer.write(b"z")
            assert await reader.readexactly(1) == b"z"
            writer.close()


async def test_leaving_the_link_with_open_connections_ends_them(echo: int) -> None:
    async with TcpProxy("127.0.0.1", echo) as link:
        reader, writer = await dial(link)
        writer.write(b"x")
        await reader.readexactly(1)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
