"""The demo: the simulated plant room around the agent exactly as `plantroom run` builds it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.app.running import run_agent
from agent.app.wiring import Agent
from agent.config.load import LoadedSite, load_site
from agent.core.effects import CommandName
from agent.local.client import AgentClient, AgentUnreachable
from agent.simulate.broker import Broker, run_broker
from agent.simulate.demo import OUTPUT_PINS, RESTING, DemoRoom, build_demo_room, counter_places
from agent.simulate.ledger import Ledger
from agent.simulate.pins import NotedPins
from agent.simulate.play import Stage, play
from agent.simulate.proxy import LinkState, TcpProxy
from agent.simulate.report import Report
from agent.simulate.scenario import NOMINAL_S, Played, demo_scenario
from agent.simulate.subscriber import Heard, Subscriber
from agent.simulate.witness import Witness, reconcile
from agent.systemd.notify import Notifier
from drivers.clock import ClockState, SystemClock
from drivers.gpio.pins import MockPins
from drivers.tasks import TaskGroup

TCP_BUS = "meters"
LINE_BUS = "rs485"
UPLINK = "cloud"
"""Ids in config/demo.yaml."""

READY_LIMIT_S = 15.0
PAGE_LIMIT_S = 3.0
DRAIN_LIMIT_S = 8.0
"""After the last step the outbox gets this long to empty itself; what is in it then counts as lost."""
PERSON_WAITS_S = 3.0
"""The same when a person ends the demo, who is not to wait longer."""
LAST_ANSWERS_S = 0.5
"""Answers that leave the simulator this shortly before the end may not have been read any more."""


class DemoFailed(Exception):
    """The demo itself could not be set up or got stuck; not a verdict on the agent."""


@dataclass(slots=True, kw_only=True)
class Show:
    """What a watcher can look at while the demo runs."""

    site: LoadedSite
    broker: Broker
    room: DemoRoom
    witness: Witness
    subscriber: Subscriber
    played: list[Played] = field(default_factory=list)
    agent: Agent | None = None


OnShow = Callable[[Show], None]
OnStep = Callable[[Played], None]


async def run_demo(
    config: Path,
    *,
    duration_s: float | None,
    on_show: OnShow = lambda _: None,
    on_step: OnStep = lambda _: None,
    stop: asyncio.Event | None = None,
    page_port: int = 0,
) -> Report:
    """Play the scenario for `duration_s` seconds (None: until `stop`) and return the verdict.

    Raises:
        DemoFailed: it could not be set up.
        ConfigError: the configuration has faults.
    """
    clock = SystemClock()
    clock.state = ClockState.SYNCED  # the machine's clock; nothing here depends on it being right
    stop = stop or asyncio.Event()
    async with _stage(config, clock, page_port) as (show, pins, proxy):
        noted = NotedPins(pins, show.room.ledger)
        for pin, level in RESTING.items():
            noted.drive(pin, level)
        agent_stop = asyncio.Event()
        ready = asyncio.Event()

        def meet(agent: Agent) -> None:
            show.agent = agent
            ready.set()

        async with TaskGroup() as tasks:
            agent_task = tasks.create_task(
                run_agent(
                    show.site,
                    clock=clock,
                    open_chip=lambda _spec: pins.open,
                    notifier=Notifier(None),
                    stop=agent_stop,
                    on_ready=meet,
                ),
                name="agent",
            )
            watching = tasks.create_task(
                noted.watch(OUTPUT_PINS, show.room.on_output), name="watch outputs"
            )
            async with asyncio.timeout(READY_LIMIT_S):
                await ready.wait()
            await _page_is_open(show)
            on_show(show)
            stage = Stage(
                pins=noted,
                units=show.room.tcp,
                link=proxy,
                person=_Person(show.site),
                room=show.room.room,
            )
            playing = tasks.create_task(
                _rounds(stage, clock, show, duration_s, on_step), name="scenario"
            )
            stopping = tasks.create_task(stop.wait(), name="stop")
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            playing.cancel()
            stopping.cancel()
            if is_cut_short := stop.is_set():
                stopped_s = clock.mono_s()
                show.played[:] = [_due_by(stopped_s, each) for each in show.played]
                await proxy.set_state(LinkState.PASS)  # an outage at the end would look like a loss
            await _drain(show, PERSON_WAITS_S if is_cut_short else DRAIN_LIMIT_S)
            ended_s = clock.mono_s()
            agent_stop.set()
            await asyncio.wait({agent_task})
            watching.cancel()
        return reconcile(
            show.room.ledger.entries,
            show.witness,
            counter_places(show.site.modbus_buses),
            show.played,
            witness_gaps=show.subscriber.gaps,
            forgotten=show.room.ledger.forgotten,
            due_until_s=ended_s - LAST_ANSWERS_S,
        )


@asynccontextmanager
async def _stage(
    config: Path, clock: SystemClock, page_port: int
) -> AsyncIterator[tuple[Show, MockPins, TcpProxy]]:
    """Set up broker, link, witness and the wires of the room."""
    with tempfile.TemporaryDirectory(prefix="plantroom-demo-") as folder:
        base = Path(folder)
        room = build_demo_room(Ledger(clock), tcp_bus=TCP_BUS, line_bus=LINE_BUS)
        async with (
            run_broker() as broker,
            TcpProxy(broker.host, broker.port) as proxy,
            room.tcp,
            room.line,
        ):
            protocol = "5" if "5" in broker.protocol_versions else "3.1.1"
            site = load_site(
                config,
                sets={
                    f"buses.{TCP_BUS}.host": room.tcp.host,
                    f"buses.{TCP_BUS}.port": str(room.tcp.port),
                    f"buses.{LINE_BUS}.port": room.line.path,
                    f"uplinks.{UPLINK}.host": proxy.host,
                    f"uplinks.{UPLINK}.port": str(proxy.port),
                    f"uplinks.{UPLINK}.protocol": protocol,
                    "local.port": str(page_port),
                },
                data_dir=base / "data",
                run_dir=base / "run",
                env={},
            )
            (base / "run").mkdir()
            witness = Witness(site.uplinks[0].root)

            def take(heard: Heard) -> None:
                witness.take(heard.topic, heard.payload, clock.stamp())

            async with Subscriber(
                broker.host, broker.port, [f"{site.uplinks[0].root}/#"], take, "witness"
            ) as subscriber:
                show = Show(
                    site=site, broker=broker, room=room, witness=witness, subscriber=subscriber
                )
                yield show, MockPins(), proxy


async def _page_is_open(show: Show) -> None:
    """Wait for the page, so that its address can be shown; the room does not wait for it longer."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + PAGE_LIMIT_S
    while (  # noqa: ASYNC110 - the page opens in a thread of its own and tells nobody here
        show.agent and show.agent.page_port() is None and loop.time() < deadline_s
    ):
        await asyncio.sleep(0.02)


async def _rounds(
    stage: Stage, clock: SystemClock, show: Show, duration_s: float | None, on_step: OnStep
) -> None:
    """Play one round of the given length, or nominal rounds without end."""
    if duration_s is not None:
        await play(demo_scenario(duration_s), stage, clock, show.played, on_step)
        return
    number = 0
    while True:
        await play(demo_scenario(NOMINAL_S, number), stage, clock, show.played, on_step)
        number += 1


def _due_by(now_s: float, played: Played) -> Played:
    """Return a step without what it still had time for when a person ended the demo."""
    due = tuple(each for each in played.step.expects if played.at.mono_s + each.within_s <= now_s)
    return replace(played, step=replace(played.step, expects=due))


async def _drain(show: Show, limit_s: float) -> None:
    """Give the outbox its time to empty itself."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + limit_s
    while show.agent is not None and loop.time() < deadline_s:
        view = await show.agent.view()
        if view.outbox is None or not sum(view.outbox.unsent_by_uplink.values()):
            return
        await asyncio.sleep(0.1)


class _Person:
    """Somebody at the box who uses the command line's door: the Unix socket."""

    def __init__(self, site: LoadedSite) -> None:
        self._site = site

    async def command(self, name: CommandName, code: str) -> bool:
        """Ask for something; return whether it was done."""
        if self._site.local.socket is None:
            raise DemoFailed("the demo's site has no socket")
        fields = {"name": str(name), "target": "", "actor": "Li Wei", "code": code, "reason": ""}
        try:
            async with AgentClient(self._site.local.socket) as client:
                return bool((await client.command(fields))["ok"])
        except AgentUnreachable:
            return False
