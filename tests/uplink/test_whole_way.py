"""The real outbox and the real uplink against a real broker that comes and goes.

Judged at the wire, where loss is defined (docs/design.md section 7): a proxy reads what was published
and what the broker acknowledged; what it acknowledged goes into the ledger a cloud would keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.outbox.outbox import Outbox
from agent.outbox.records import Lane
from agent.simulate.broker import Broker, run_broker
from agent.simulate.proxy import TcpProxy
from agent.uplink.decode import BatchSeen, EventSeen
from tests.uplink.rig import until
from tests.uplink.wire import WINDOW, Plant, Wire, agent, agents


@asynccontextmanager
async def line() -> AsyncIterator[tuple[Broker, TcpProxy, Wire]]:
    wire = Wire()
    async with run_broker() as broker, TcpProxy(broker.host, broker.port, record=wire) as proxy:
        yield broker, proxy, wire


def assert_events_first(wire: Wire, plant_events: set[str]) -> None:
    """On each connection, what waited of events goes before the telemetry that waited with it."""
    has_waited = False
    for records in wire.published[1:]:
        waiting = [
            index
            for index, each in enumerate(records)
            if isinstance(each, EventSeen)
            and each.is_replay
            and each.record.event.subject in plant_events
        ]
        if waiting:
            has_waited = True
            before = [each for each in records[: waiting[-1]] if isinstance(each, BatchSeen)]
            assert len(before) <= WINDOW
    assert has_waited


async def test_nothing_is_lost_while_the_broker_comes_and_goes(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    plant = Plant()
    async with line() as (broker, proxy, wire), agent(tmp_path, proxy.port) as (outbox, is_up):
        await until(is_up)
        for _ in range(3):
            await plant.flow(outbox, 15)
            await broker.stop()
            await until(lambda: not is_up())
            await plant.flow(outbox, 40)
            await broker.start()
            back_s = await until(is_up)
            assert back_s < 2
        await plant.flow(outbox, 10)
        await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 10)
        assert wire.events == plant.events
        assert wire.values == plant.values
        assert wire.ledger.is_complete, wire.ledger.proofs()
        assert wire.doubles <= WINDOW * (len(wire.published) - 1)
        assert_events_first(wire, plant.events)


async def test_nothing_is_lost_when_the_agent_is_killed_in_the_outage_twice(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    plant = Plant()
    async with line() as (broker, proxy, wire):
        async with agent(tmp_path, proxy.port) as (outbox, is_up):
            await until(is_up)
            await plant.flow(outbox, 30)
            await broker.stop()
            await plant.flow(outbox, 40)
            await _until_on_disk(outbox)
        async with agent(tmp_path, proxy.port) as (outbox, is_up):
            await outbox.recovered()
            await plant.flow(outbox, 20)
            await _until_on_disk(outbox)
        await broker.start()
        async with agent(tmp_path, proxy.port) as (outbox, is_up):
            await until(is_up)
            await plant.flow(outbox, 5)
            await until(lambda: outbox.stats().unsent_by_uplink == {"cloud": 0}, 10)
        assert wire.events == plant.events
        assert wire.values == plant.values
        assert wire.ledger.is_complete, wire.ledger.proofs()
        streams = [each for each in wire.ledger.proofs() if each.lane == Lane.EVENT]
        assert [each.is_clean for each in streams] == [False, False, None]
        assert wire.doubles <= WINDOW
        assert_events_first(wire, plant.events)


async def _until_on_disk(outbox: Outbox) -> None:
    """Wait until write-through has taken all: whatever is then lost was accepted."""
    before = -1
    while outbox.stats().commits != before:
        before = outbox.stats().commits
        await asyncio.sleep(1.2)  # the open batch is sealed by age


async def test_two_uplinks_have_a_pace_of_their_own(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    plant = Plant()
    async with line() as (_, near, near_wire), line() as (far_broker, far, far_wire):
        await far_broker.stop()
        ports = {"near": near.port, "far": far.port}
        async with agents(tmp_path, ports) as (outbox, is_up):
            await until(lambda: is_up("near"))
            await plant.flow(outbox, 40)
            await until(lambda: near_wire.events == plant.events)
            await until(lambda: outbox.stats().unsent_by_uplink["near"] == 0, 10)
            assert outbox.stats().unsent_by_uplink["far"] > 0
            assert not far_wire.events
            await far_broker.start()
            await until(lambda: is_up("far"), 10)
            await until(lambda: outbox.stats().unsent_by_uplink["far"] == 0, 10)
        for wire in (near_wire, far_wire):
            assert wire.events == plant.events
            assert wire.values == plant.values
            assert wire.ledger.is_complete, wire.ledger.proofs()
        assert near_wire.doubles == 0
