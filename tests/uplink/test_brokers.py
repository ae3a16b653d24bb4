"""What must hold at every broker: mosquitto on MQTT 5 and 3.1.1, and aedes, of another make (3.1.1).

Loss at the PUBACK, witnessed by a recording proxy (tests/uplink/wire.py). `python -m
benchmarks.uplink_brokers` does the same fifty times.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.simulate.proxy import LinkState, TcpProxy
from agent.uplink.spec import Protocol
from tests.outbox.room import reading
from tests.uplink.broker import Broker, free_port
from tests.uplink.commands import Room
from tests.uplink.rig import running, until, witness
from tests.uplink.wire import WINDOW, Plant, Wire, agents

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[1] / ".venv" / "peers" / "node_modules"
IN_CI = os.environ.get("CI") == "true"


class Aedes:
    """The npm package aedes as a process; nothing is kept over a stop."""

    def __init__(self, node: str, most_bytes: int | None = None) -> None:
        """With `most_bytes` it hangs up at whoever publishes more."""
        self._node = node
        self._most_bytes = most_bytes or 0
        self.refused = ""
        """Part of the topics at which it hangs up; from the next start on."""
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(self._node, str(HERE / "aedes_broker.js")),
                *(str(self.port), str(self._most_bytes), self.refused),
            ],
            stdin=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        )
        for _ in range(500):
            assert self._process.poll() is None, "aedes ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise RuntimeError("aedes does not answer")

    def stop(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.kill()
            self._process.wait(5)
            self._process.stdin.close()
            self._process = None


@dataclass(frozen=True)
class Kind:
    """A broker and the protocol spoken to it."""

    name: str
    protocol: Protocol


KINDS = (
    Kind("mosquitto", Protocol.V5),
    Kind("mosquitto", Protocol.V311),
    Kind("aedes", Protocol.V311),
)
EVERY = pytest.mark.parametrize("kind", KINDS, ids=lambda each: f"{each.name}-{each.protocol}")


def make(
    kind: Kind,
    folder: Path,
    program: Callable[[str], str],
    *options: str,
    most_bytes: int | None = None,
) -> Broker | Aedes:
    """Return a broker of this kind; it does not run yet. `options` are mosquitto's, `most_bytes` aedes's."""
    if kind.name == "mosquitto":
        return Broker(program("mosquitto"), folder, *options)
    if not (NODE_MODULES / "aedes").is_dir():
        why = "the npm package aedes is not installed (make test installs it on Debian)"
        if IN_CI:
            pytest.fail(why)
        pytest.skip(why)
    return Aedes(program("node"), most_bytes)


class LossyProxy(TcpProxy):
    """300 ms a round trip, and one packet in twenty lost: TCP sends it again, and all behind it waits.

    Only delay can be shown on loopback without rights over the network: a lost packet costs what its
    repetition takes, a round trip and the kernel's least timeout (200 ms).
    """

    LOSS = 0.05

    def __init__(self, port: int, wire: Wire, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self.is_bad = True
        super().__init__("127.0.0.1", port, record=wire)

    @property
    def delay_s(self) -> float:
        if not self.is_bad:
            return 0.0
        return 0.15 + (0.5 if self._chance.random() < self.LOSS else 0.0)

    @delay_s.setter
    def delay_s(self, _: float) -> None:
        """The link is as it is."""


@asynccontextmanager
async def broker_of(
    kind: Kind,
    folder: Path,
    program: Callable[[str], str],
    *options: str,
    most_bytes: int | None = None,
) -> AsyncIterator[Broker | Aedes]:
    made = make(kind, folder, program, *options, most_bytes=most_bytes)
    made.start()
    try:
        yield made
    finally:
        made.stop()


async def stay_away(
    kind: Kind, folder: Path, program: Callable[[str], str], away_s: float
) -> tuple[Wire, Plant, float, float]:
    """Kill the broker under load for so long.

    Return what was heard and sent, the seconds from the broker's return to the link, and to the last
    record of the outage.
    """
    plant, wire = Plant(), Wire(kind.protocol)
    loop = asyncio.get_running_loop()
    async with (
        broker_of(kind, folder, program) as broker,
        TcpProxy("127.0.0.1", broker.port, record=wire) as link,
        agents(folder / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (outbox, is_up),
    ):
        await until(lambda: is_up("cloud"), 10)
        await plant.flow(outbox, 20)
        await asyncio.to_thread(broker.stop)
        end_s = loop.time() + away_s
        while loop.time() < end_s:
            await plant.flow(outbox, 1)
            await asyncio.sleep(0.1)
        assert not is_up("cloud")
        await asyncio.to_thread(broker.start)
        started_s = loop.time()
        back_s = await until(lambda: is_up("cloud"), 40)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 60 + away_s)
        drained_s = loop.time() - started_s
    return wire, plant, back_s, drained_s


async def kill_again_and_again(
    kind: Kind, folder: Path, program: Callable[[str], str], times: int
) -> tuple[Wire, Plant, list[float]]:
    """Kill the broker under load so many times; return what was heard, sent, and the times of return."""
    plant, wire = Plant(), Wire(kind.protocol)
    backs_s: list[float] = []
    async with (
        broker_of(kind, folder, program) as broker,
        TcpProxy("127.0.0.1", broker.port, record=wire) as link,
        agents(folder / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (outbox, is_up),
    ):
        await until(lambda: is_up("cloud"), 10)
        for _ in range(times):
            async with asyncio.TaskGroup() as tasks:  # in the midst of it
                tasks.create_task(plant.flow(outbox, 20))
                await asyncio.sleep(0.04)
                await asyncio.to_thread(broker.stop)
            await until(lambda: not is_up("cloud"))
            await asyncio.to_thread(broker.start)
            backs_s.append(await until(lambda: is_up("cloud"), 10))
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 20)
    return wire, plant, backs_s


MOST_GROWN_MIB = 50.0


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def grown_mib(before_kib: int) -> float:
    return (peak_kib() - before_kib) / 1024


def assert_nothing_lost(wire: Wire, plant: Plant) -> None:
    assert wire.events == plant.events
    assert wire.values == plant.values
    assert wire.ledger.is_complete, wire.ledger.proofs()
    assert wire.doubles <= WINDOW * (len(wire.published) - 1), "more than the window came twice"


@EVERY
async def test_a_broker_killed_ten_times_under_load_loses_nothing(
    need: Callable[[str], str], tmp_path: Path, kind: Kind
) -> None:
    wire, plant, backs_s = await kill_again_and_again(kind, tmp_path, need, 10)
    assert_nothing_lost(wire, plant)
    assert max(backs_s) < 5


@EVERY
async def test_a_link_cut_without_a_word_loses_nothing_and_is_noticed(
    need: Callable[[str], str], tmp_path: Path, kind: Kind
) -> None:
    plant, wire = Plant(), Wire(kind.protocol)
    async with (
        broker_of(kind, tmp_path, need) as broker,
        TcpProxy("127.0.0.1", broker.port, record=wire) as link,
        agents(
            tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol, keepalive_s=3
        ) as (outbox, is_up),
    ):
        await until(lambda: is_up("cloud"), 10)
        await plant.flow(outbox, 10)
        await link.set_state(LinkState.MUTE)
        await plant.flow(outbox, 40)
        took_s = await until(lambda: not is_up("cloud"), 20)
        assert took_s <= 2 * 3 + 2, "twice the keepalive, on a busy machine"
        await link.set_state(LinkState.CUT)  # what was on its way never arrives
        await link.set_state(LinkState.PASS)
        await until(lambda: is_up("cloud"), 10)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 20)
    assert_nothing_lost(wire, plant)


@EVERY
async def test_a_slow_and_lossy_link_loses_nothing_and_is_kept(
    need: Callable[[str], str], tmp_path: Path, kind: Kind
) -> None:
    plant, wire = Plant(), Wire(kind.protocol)
    before_kib = peak_kib()
    async with (
        broker_of(kind, tmp_path, need) as broker,
        LossyProxy(broker.port, wire) as link,
        agents(tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (
            outbox,
            is_up,
        ),
    ):
        await until(lambda: is_up("cloud"), 15)
        await plant.flow(outbox, 25)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 40)
        assert is_up("cloud")
        assert len(wire.published) == 1, "one connection all the while"
    assert_nothing_lost(wire, plant)
    assert wire.doubles == 0
    assert grown_mib(before_kib) < MOST_GROWN_MIB


@EVERY
async def test_a_broker_that_answers_slowly_gets_everything_once(
    need: Callable[[str], str], tmp_path: Path, kind: Kind
) -> None:
    """A second from a publish to its PUBACK: the window is full nearly all the time."""
    plant, wire = Plant(), Wire(kind.protocol)
    before_kib = peak_kib()
    async with (
        broker_of(kind, tmp_path, need) as broker,
        TcpProxy("127.0.0.1", broker.port, delay_s=0.5, record=wire) as link,
        agents(tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (
            outbox,
            is_up,
        ),
    ):
        await until(lambda: is_up("cloud"), 30)
        await plant.flow(outbox, 8)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 60)
        assert is_up("cloud")
        assert len(wire.published) == 1, "slow is not lost"
    assert_nothing_lost(wire, plant)
    assert wire.doubles == 0
    assert grown_mib(before_kib) < MOST_GROWN_MIB


async def test_a_broker_that_refuses_for_a_while_gets_everything_once_it_takes_it(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    """MQTT 5 only: on 3.1.1 a refused publish is acknowledged like any other (docs/uplinks.md)."""
    kind = KINDS[0]
    plant, wire = Plant(), Wire(kind.protocol)
    rules = tmp_path / "acl"
    # The description is tried again with the next heartbeat only, a minute later.
    allowed = "topic write plantroom/v1/+/+/status/#\ntopic write plantroom/v1/+/+/meta/#\n"
    rules.write_text(allowed, "utf-8")
    rules.chmod(0o644)
    before_kib = peak_kib()
    async with (
        broker_of(kind, tmp_path, need, f"acl_file {rules}") as broker,
        TcpProxy("127.0.0.1", broker.port, record=wire) as link,
        agents(tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (
            outbox,
            is_up,
        ),
    ):
        assert isinstance(broker, Broker)
        await until(lambda: bool(wire.published and wire.published[-1]), 10)
        await plant.flow(outbox, 300)  # more events than an uplink holds
        assert not is_up("cloud"), "refused is no good link"
        assert not wire.events
        assert not wire.values
        unsent = outbox.stats().unsent_by_uplink["cloud"]
        assert unsent >= len(plant.events), "all of it is still the outbox's"
        rules.write_text("topic readwrite plantroom/#\n", "utf-8")
        broker.reload()
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 60)
        await until(lambda: is_up("cloud"), 10)
        assert len(wire.published) == 1, "on the same connection"
    assert_nothing_lost(wire, plant)
    assert wire.doubles == 0
    assert grown_mib(before_kib) < MOST_GROWN_MIB


async def test_on_311_mosquitto_acknowledges_what_it_refuses_so_that_no_box_can_know(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    """Not ours to mend: what docs/uplinks.md warns of. A broker that acts otherwise fails this."""
    kind = KINDS[1]
    plant, wire = Plant(), Wire(kind.protocol)
    rules = tmp_path / "acl"
    rules.write_text("topic write plantroom/v1/+/+/status/#\ntopic read plantroom/#\n", "utf-8")
    rules.chmod(0o644)
    async with (
        broker_of(kind, tmp_path, need, f"acl_file {rules}") as broker,
        TcpProxy("127.0.0.1", broker.port, record=wire) as link,
        witness(broker.port) as heard,
        agents(tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (
            outbox,
            is_up,
        ),
    ):
        await until(lambda: is_up("cloud"), 10)
        await plant.flow(outbox, 10)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 20)
        await until(lambda: bool(heard.statuses))
    assert_nothing_lost(wire, plant)  # by all that was said on the wire
    assert not heard.events
    assert not heard.batches


async def test_on_311_aedes_hangs_up_at_what_it_refuses_and_gets_it_once_it_is_allowed(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    kind = KINDS[2]
    plant, wire = Plant(), Wire(kind.protocol)
    broker = make(kind, tmp_path, need)
    assert isinstance(broker, Aedes)
    broker.refused = "/event/"
    broker.start()
    try:
        async with (
            TcpProxy("127.0.0.1", broker.port, record=wire) as link,
            agents(tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (
                outbox,
                is_up,
            ),
        ):
            await plant.flow(outbox, 20)
            await until(lambda: len(wire.published) >= 4, 30)
            assert not wire.events, "none is taken for delivered"
            assert outbox.stats().unsent_by_uplink["cloud"] >= len(plant.events)
            broker.refused = ""
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            await until(lambda: is_up("cloud"), 20)
            await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 60)
    finally:
        broker.stop()
    assert_nothing_lost(wire, plant)
    assert not list((tmp_path / "outbox").rglob("quarantine/*")), "a small one is never given up"


async def test_on_311_a_refused_subscription_is_known_by_its_code(
    need: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = KINDS[2]
    broker = make(kind, tmp_path, need)
    assert isinstance(broker, Aedes)
    broker.refused = "/cmd/"
    broker.start()
    try:
        async with running(broker.port, protocol=kind.protocol, desk=Room(tmp_path).desk) as rig:
            rig.board.put_state(reading(400.0))
            await until(lambda: rig.uplink.stats().publishes == 3, 10)
            assert rig.is_up
            assert not rig.is_listening
            assert "hears no commands" in caplog.text
    finally:
        broker.stop()


MOST_BYTES = 8_000
"""What the brokers below take in one packet; a batch of eight readings has 1 KiB."""


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param(
            KINDS[0], (f"message_size_limit {MOST_BYTES}",), id="mosquitto-5-message_size_limit"
        ),
        pytest.param(
            KINDS[0], (f"max_packet_size {MOST_BYTES}",), id="mosquitto-5-max_packet_size"
        ),
        pytest.param(
            KINDS[1], (f"max_packet_size {MOST_BYTES}",), id="mosquitto-3.1.1-max_packet_size"
        ),
        pytest.param(KINDS[2], (), id="aedes-3.1.1"),
    ],
)
async def test_what_is_too_large_for_a_broker_is_set_aside_and_told_and_holds_nothing_else_up(
    need: Callable[[str], str], tmp_path: Path, kind: Kind, options: tuple[str, ...]
) -> None:
    plant, wire = Plant(), Wire(kind.protocol)
    before_kib = peak_kib()
    async with (
        broker_of(kind, tmp_path, need, *options, most_bytes=MOST_BYTES) as broker,
        TcpProxy("127.0.0.1", broker.port, record=wire) as link,
        agents(tmp_path / "outbox", {"cloud": link.port}, protocol=kind.protocol) as (
            outbox,
            is_up,
        ),
    ):
        await until(lambda: is_up("cloud"), 10)
        for _ in range(8):  # a batch of its own
            outbox.add(replace(reading(0.0, "serial"), value="x" * MOST_BYTES, unit=""))
        await plant.flow(outbox, 40)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 60)
        await until(lambda: is_up("cloud"), 10)
    assert wire.events == plant.events
    assert wire.values == plant.values
    told = [span for proof in wire.ledger.proofs() for span in proof.declared]
    assert sum(len(span) for span in told) == 1, "the one batch, and the box says so"
    for proof in wire.ledger.proofs():
        assert not proof.missing
        assert not proof.pending
    assert wire.doubles <= WINDOW * (len(wire.published) - 1)
    assert grown_mib(before_kib) < MOST_GROWN_MIB
    assert len(list((tmp_path / "outbox" / "box" / "quarantine").iterdir())) == 1, "kept for people"
