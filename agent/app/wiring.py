"""One function wires everything: from a site to its parts, none of them running yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.app.health import Health
from agent.config.load import LoadedSite, TimeSource
from agent.core.effects import AlarmView, Command, Event, Outcome, SetOutput
from agent.local.view import AgentView
from agent.outbox.outbox import Outbox
from agent.outbox.records import EventRecord
from agent.outputs import Outputs
from agent.pipeline import Inbox
from agent.supervise import Progress
from agent.timekeeping import SyncCheck, Timekeeper, any_of, assumed, chrony, timesyncd
from agent.uplink.board import StateBoard
from agent.uplink.desk import CommandDesk
from agent.uplink.notes import Note
from agent.uplink.session import Uplink
from agent.uplink.taken import TakenCommands
from agent.uplink.tidying import note_path
from drivers.base import OutputLine
from drivers.clock import ClockState, SystemClock
from drivers.gpio.bus import GpioBus
from drivers.gpio.pins import OpenPins
from drivers.gpio.spec import GpioBusSpec
from drivers.modbus.bus import ModbusBus
from drivers.reading import Reading

PORTS_TOGETHER = 10
APART_S = 0.02
"""So many Modbus ports are read at the same moment, the next so many that much later: a reading waits for the answers
of these alone. At the beat itself the agent looks after its own parts."""

OpenChip = Callable[[GpioBusSpec], OpenPins]
"""How a GPIO bus opens its chip: the real one, or pins that a simulator moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that was wired, for whoever starts and stops it."""

    boot: str
    clock: SystemClock
    progress: Progress
    inbox: Inbox
    health: Health
    gpio: tuple[GpioBus, ...]
    modbus: tuple[ModbusBus, ...]
    outbox: Outbox
    timekeeper: Timekeeper
    board: StateBoard
    uplinks: tuple[Uplink, ...]
    outputs: Outputs


def phase_s(number: int) -> float:
    """Return when within each period the polls of the `number`-th Modbus port come, in seconds."""
    return (number // PORTS_TOGETHER + 1) * APART_S


def wire(site: LoadedSite, *, clock: SystemClock, boot: str, open_chip: OpenChip) -> Parts:
    """Return the parts of a site, connected to each other; nothing is opened yet."""
    progress = Progress(clock)
    inbox = Inbox()
    health = Health(inbox.post, clock)
    gpio = tuple(GpioBus(spec, clock, inbox.post, open_chip(spec)) for spec in site.gpio_buses)
    modbus = tuple(
        ModbusBus(spec, clock, inbox.post, phase_s=phase_s(number))
        for number, spec in enumerate(site.modbus_buses)
    )
    buses: dict[str, GpioBus | ModbusBus] = {bus.id: bus for bus in gpio}
    buses |= {bus.id: bus for bus in modbus}
    lines: dict[str, OutputLine] = {
        output: buses[bus].line(output) for output, bus in site.line_of.items()
    }
    outbox = Outbox(
        site.outbox,
        box=site.spec.box,
        boot=boot,
        clock=clock,
        uplinks=[spec.id for spec in site.uplinks],
        on_health=health.of("box.outbox"),
    )
    board = StateBoard()
    uplinks = tuple(
        Uplink(
            spec,
            site=site.spec,
            cursor=outbox.cursor(spec.id),
            board=board,
            clock=clock,
            boot=boot,
            config_hash=site.config_hash,
            on_link=health.of(f"box.uplink-{spec.id}"),
            on_certificate=None if spec.tls is None else health.of(f"box.certificate-{spec.id}"),
            note=Note(note_path(notes_folder(site), spec.id)),
        )
        for spec in site.uplinks
    )
    return Parts(
        boot=boot,
        clock=clock,
        progress=progress,
        inbox=inbox,
        health=health,
        gpio=gpio,
        modbus=modbus,
        outbox=outbox,
        timekeeper=Timekeeper(
            clock,
            partial(_clock_set, outbox, health),
            sync_check(site.time_source),
            box=site.spec.box,
        ),
        board=board,
        uplinks=uplinks,
        outputs=Outputs(
            site.spec.outputs,
            lines,
            clock,
            inbox.post,
            outbox.append,
            site.at_stop,
            beat=lambda output: progress.beat(output_part(output)),
        ),
    )


def notes_folder(site: LoadedSite) -> Path:
    """Return where uplinks keep what they need over a restart; not among the outbox's own files."""
    return site.outbox.directory.parent / "uplinks"


def open_desks(site: LoadedSite, parts: Parts, agent: Agent) -> None:
    """Let the uplinks hand in commands, through the door the page and the command line use."""
    taken = TakenCommands(notes_folder(site) / "commands.json")
    for spec, uplink in zip(site.uplinks, parts.uplinks, strict=True):
        uplink.obey(
            CommandDesk(
                spec.commands,
                identity=f"{spec.id}@{spec.host}:{spec.port}",
                site=site.spec,
                taken=taken,
                submit=partial(_submit, agent),
                append=parts.outbox.append,
                clock=parts.clock,
            )
        )


async def _submit(agent: Agent, command: Command) -> Outcome:
    try:
        return await agent.submit(command)
    except AgentStops:
        return Outcome(ok=False, code="stopping", message="the agent stops; ask again")


def output_part(output: str) -> str:
    """Return under which name an output's worker beats: never that of another part."""
    return f"output {output}"


class Outlets:
    """Where the pipeline's effects go (agent.pipeline.Outlets)."""

    def __init__(self, parts: Parts) -> None:
        self._outputs = parts.outputs
        self._board = parts.board

    def set_output(self, effect: SetOutput) -> None:
        """Ask the output's worker."""
        self._outputs.set(effect)

    def show_state(self, reading: Reading) -> None:
        """Put it on the board all uplinks read."""
        self._board.put_state(reading)

    def show_alarm(self, alarm: AlarmView) -> None:
        """Put it on the board all uplinks read."""
        self._board.put_alarm(alarm)


class AgentStops(Exception):
    """The agent stops: nothing can be asked of it any more."""


class Agent:
    """A running agent, as the page, the command line and the demo may ask it (AgentDoor)."""

    def __init__(
        self,
        take_view: Callable[[], AgentView],
        submit: Callable[[Command], Outcome],
        outbox: Outbox,
        health: Health,
        page_port: Callable[[], int | None],
    ) -> None:
        self.page_port = page_port
        """Returns the TCP port of the page; None while it is not open."""
        self._health = health
        self._take_view = take_view
        self._submit = submit
        self._outbox = outbox
        self._is_stopping = False

    def close(self) -> None:
        """Take no more commands: what they do could not be recorded any more."""
        self._is_stopping = True

    async def view(self) -> AgentView:
        """Return the agent as it is now."""
        return self._take_view()

    async def submit(self, command: Command) -> Outcome:
        """Carry out a person's command and return how it ended.

        Raises:
            AgentStops: it was not carried out.
        """
        if self._is_stopping:
            raise AgentStops("the agent stops")
        return self._submit(command)

    def tell_config(self, fault: str) -> None:
        """Say that the configuration is as wanted, or why an older one runs."""
        self._health.tell("box.config", not fault, fault.partition("\n")[0])

    async def events(self, limit: int) -> Sequence[EventRecord]:
        """Return the newest `limit` events of the journal, newest first."""
        return await self._outbox.events(limit)


def _clock_set(outbox: Outbox, health: Health, event: Event) -> None:
    """Tell that the clock was set, and let unsent records be dated by it (design section 6)."""
    outbox.append(event)
    if event.to_state == ClockState.SYNCED:
        health.tell("box.clock", True, "")
    offset_ms = event.detail["boot_offset_ms"]
    if event.to_state == ClockState.SYNCED and isinstance(offset_ms, int):
        outbox.set_clock_offset(offset_ms)


def sync_check(source: TimeSource) -> SyncCheck:
    """Return how to learn that the clock was set."""
    match source:
        case TimeSource.TIMESYNCD:
            return timesyncd()
        case TimeSource.CHRONY:
            return chrony()
        case TimeSource.ASSUME_SYNCED:
            return assumed
        case TimeSource.AUTO:
            return any_of(timesyncd(), chrony())
