"""A whole agent in this process, on mock pins: what it told systemd, and what its pins did meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.app.running import run_agent
from agent.app.wiring import Agent, OpenChip
from agent.config.load import LoadedSite, load_site
from agent.local.view import AgentView
from agent.systemd.notify import Notifier
from drivers.clock import SystemClock
from drivers.gpio.pins import MockPins, OpenPins
from drivers.gpio.spec import GpioBusSpec

SMOKE, HEAT, SIREN, CUT_OFF = 17, 27, 23, 24

SITE = """\
version: 1
site: riverside
box: plantroom-1
zones: [{id: hall}]
buses:
  - {id: pins, type: gpio, chip: 0, poll_ms: 20}
  - {id: meters, type: modbus-tcp, host: 127.0.0.1, port: 9}
devices:
  - id: tank
    bus: meters
    unit: 1
    quantities: [{name: level, area: holding, address: 0, type: u16, kind: level, unit: mm}]
inputs:
  - {id: hall.smoke, bus: pins, pin: 17, kind: smoke, contact: normally-open, debounce_ms: 0, zone: hall}
  - {id: shed.heat, bus: pins, pin: 27, kind: heat, contact: normally-open, debounce_ms: 0, zone: hall}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 23, zone: hall}
  - {id: cut-off, kind: cut-off, bus: pins, pin: 24, zone: hall}
rules:
  - {id: smoke, class: fire, when: {point: hall.smoke, is: active}}
  - {id: heat, class: supervisory, latch: true, when: {point: shed.heat, is: active}}
linkage:
  - {id: evacuation, rules: [smoke], outputs: [siren]}
  - {id: supply, rules: [heat], outputs: [cut-off]}
faults: {after_s: 1}
local: {port: 0}
time: {source: assume-synced}
"""


def site_in(folder: Path, *changes: tuple[str, str]) -> LoadedSite:
    """The site above, changed, with its data below `folder`."""
    text = SITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "site.yaml"
    path.write_text(text, "utf-8")
    return load_site(path, data_dir=folder / "data", run_dir=folder)


class Told(Notifier):
    """What systemd would hear, in order."""

    def __init__(self) -> None:
        super().__init__(None)
        self.words: list[str] = []
        self.on_word: Callable[[str], None] = lambda _: None

    def ready(self, status: str = "") -> None:
        self._hear("ready")

    def stopping(self) -> None:
        self._hear("stopping")

    def _hear(self, word: str) -> None:
        self.on_word(word)
        self.words.append(word)


def at_rest() -> MockPins:
    """Pins whose contacts are open: nothing is wrong."""
    pins = MockPins()
    pins.drive(SMOKE, True)
    pins.drive(HEAT, True)
    return pins


@dataclass
class Run:
    """One run of the agent."""

    site: LoadedSite
    pins: MockPins = field(default_factory=at_rest)
    told: Told = field(default_factory=Told)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    clock: SystemClock = field(default_factory=SystemClock)
    is_changeover: bool = False
    agent: Agent | None = None

    async def live(self, open_chip: OpenChip | None = None) -> None:
        """Run until `stop`; raises what the agent raises."""
        await run_agent(
            self.site,
            clock=self.clock,
            open_chip=open_chip or self._open_chip,
            notifier=self.told,
            stop=self.stop,
            on_ready=self._meet,
            is_changeover=lambda: self.is_changeover,
        )

    async def until(self, is_met: Callable[[], bool], limit_s: float = 5.0) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(limit_s):
            while not is_met():  # noqa: ASYNC110 - looks at pins and counts, which tell nobody
                await asyncio.sleep(0.005)

    async def view(self) -> AgentView:
        assert self.agent is not None
        return await self.agent.view()

    async def until_alarm(self, rule: str, *states: str) -> None:
        """Wait until an alarm is in one of these states."""
        async with asyncio.timeout(5):
            while (await self.alarms()).get(rule) not in states:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)

    async def alarms(self) -> dict[str, str]:
        return {each.rule: each.state.value for each in (await self.view()).alarms}

    def _open_chip(self, _: GpioBusSpec) -> OpenPins:
        return self.pins.open

    def _meet(self, agent: Agent) -> None:
        self.agent = agent


@asynccontextmanager
async def running(run: Run, *, limit_s: float = 20.0) -> AsyncIterator[Run]:
    """The agent from READY until it has stopped in good order."""
    async with asyncio.timeout(limit_s), asyncio.TaskGroup() as tasks:
        tasks.create_task(run.live(), name="agent under test")
        await run.until(lambda: run.agent is not None)
        yield run
        run.stop.set()
