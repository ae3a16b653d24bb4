"""Playing a scenario in real time on whatever stage it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.core.effects import CommandName
from agent.simulate.proxy import LinkState
from agent.simulate.room import PlantRoom
from agent.simulate.scenario import DrivePin, Move, Played, Press, Scenario, SetLink, Silence
from drivers.clock import Clock
from drivers.tasks import TaskGroup


class PinDriver(Protocol):
    """Whoever moves input pins (agent.simulate.pins.NotedPins)."""

    def drive(self, pin: int, high: bool) -> None:
        """Put a level on an input."""


class UnitSwitch(Protocol):
    """Whoever switches units off (agent.simulate.tcp.TcpSlave)."""

    def set_silent(self, unit: int, is_silent: bool) -> None:
        """Switch a unit off or on."""


class Link(Protocol):
    """The breakable link (agent.simulate.proxy.TcpProxy)."""

    async def set_state(self, state: LinkState) -> None:
        """Put the link into a state."""


class Person(Protocol):
    """Somebody at the box, with the same door to the agent as any person."""

    async def command(self, name: CommandName, code: str) -> bool:
        """Ask for something; return whether it was done. Must not raise for a refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything the steps act on."""

    pins: PinDriver
    units: UnitSwitch
    link: Link
    person: Person
    room: PlantRoom


async def play(
    scenario: Scenario,
    stage: Stage,
    clock: Clock,
    played: list[Played],
    on_step: Callable[[Played], None] | None = None,
) -> None:
    """Play one round in real time and return at its end; each step is added to `played` as it begins."""
    begin_s = clock.mono_s()
    async with TaskGroup() as presses:
        for step in scenario.steps:
            await asyncio.sleep(max(0.0, begin_s + step.at_s - clock.mono_s()))
            begun = Played(step=step, at=clock.stamp())
            played.append(begun)
            if on_step is not None:
                on_step(begun)
            for act in step.acts:
                if isinstance(act, Press):
                    # A person who waits for an answer does not hold up the room.
                    presses.create_task(_press(act, stage.person), name=f"person: {act.command}")
                else:
                    await _do(act, stage)
        await asyncio.sleep(max(0.0, begin_s + scenario.total_s - clock.mono_s()))


async def _do(act: DrivePin | Move | Silence | SetLink, stage: Stage) -> None:
    match act:
        case DrivePin():
            stage.pins.drive(act.pin, act.high)
        case Move():
            stage.room.move(act.quantity, act.to, act.over_s)
        case Silence():
            stage.units.set_silent(act.unit, act.is_silent)
        case SetLink():
            await stage.link.set_state(act.state)


async def _press(act: Press, person: Person) -> None:
    for attempt in range(act.tries):
        if attempt:
            await asyncio.sleep(act.again_s)
        if await person.command(act.command, act.code):
            return
