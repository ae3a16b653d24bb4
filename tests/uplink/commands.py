"""Commands as a cloud sends them, and a desk to send them to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core.effects import Command, Event, Outcome
from agent.core.spec import Linkage, OutputKind, OutputSpec, SiteSpec
from agent.uplink.desk import Answer, Asked, CommandDesk
from agent.uplink.request import ARGUMENTS
from agent.uplink.spec import CommandsSpec
from agent.uplink.taken import TakenCommands
from drivers.clock import Clock, ManualClock
from tests.uplink.samples import SITE

IDENTITY = "cloud@broker:8883"
EVERYTHING = tuple(ARGUMENTS)

CUTTING = SiteSpec(
    site=SITE.site,
    box=SITE.box,
    points=SITE.points,
    rules=SITE.rules,
    outputs=(*SITE.outputs, OutputSpec(id="supply", kind=OutputKind.CUT_OFF)),
    linkages=(Linkage(id="shed", outputs=("supply",), rules=("shed-fire",)),),
)
"""The sample site, whose fire rule cuts the supply."""


def payload(
    clock: Clock,
    id_: str = "c1",
    *,
    valid_s: float = 60.0,
    ts_ms: int | None = None,
    actor: str = "duty officer",
    args: dict[str, Any] | None = None,
    **changes: object,
) -> bytes:
    """A command made now."""
    made_ms = clock.stamp().wall_ms if ts_ms is None else ts_ms
    content = {
        "schema": "cmd/1",
        "id": id_,
        "ts": made_ms,
        "expires": made_ms + round(valid_s * 1000),
        "actor": actor,
        "args": args or {},
        **changes,
    }
    return json.dumps(content).encode()


@dataclass
class Room:
    """A desk and all that it touches."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    site: SiteSpec = SITE
    spec: CommandsSpec = field(default_factory=lambda: CommandsSpec(allow=EVERYTHING))
    outcome: Outcome = field(default_factory=lambda: Outcome(ok=True, code="done", message="done"))
    done: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    shown: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The agent starts (anew): only what is on the disk is known."""
        self.desk = self.make_desk(self.clock)

    def make_desk(self, clock: Clock, taken: TakenCommands | None = None) -> CommandDesk:
        return CommandDesk(
            self.spec,
            identity=IDENTITY,
            site=self.site,
            taken=taken or TakenCommands(self.folder / "uplinks" / "commands.json"),
            submit=self.submit,
            append=self.events.append,
            clock=clock,
        )

    async def submit(self, command: Command) -> Outcome:
        self.done.append(command)
        return self.outcome

    def show_all(self) -> None:
        self.shown += 1

    async def ask(self, name: str, body: bytes | None = None, **asked: Any) -> Answer | None:
        body = payload(self.clock) if body is None else body
        return await self.desk.take(Asked(name=name, payload=body, **asked), self.show_all)

    async def code(self, name: str, body: bytes | None = None, **asked: Any) -> str:
        answer = await self.ask(name, body, **asked)
        assert answer is not None
        return answer.outcome.code


MakeRoom = Callable[..., Room]
