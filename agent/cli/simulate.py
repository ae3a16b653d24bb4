"""`plantroom simulate`: the devices of a site file without a single wire, good or faulty."""

from __future__ import annotations

import asyncio
import shlex
import signal
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.codes import Exit
from agent.cli.site import SetOption
from drivers.tasks import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.config.load import LoadedSite
    from agent.simulate.faults import FaultKind
    from agent.simulate.line import RtuLine
    from agent.simulate.tcp import TcpSlave


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="Serve every device of a site file without hardware: TCP buses on loopback, serial buses "
        "on ptys, contacts through the agent's pin door. Ends with Ctrl-C."
    )(simulate)


def simulate(
    config: Annotated[Path, typer.Argument(help="Site file.")],
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--faults",
            metavar="KIND=RATE",
            help="Part of all answers that go wrong, 0 to 1: late=0.05. Kinds: silent, late, "
            "wrong-count, wrong-function, wrong-unit, exception, bad-crc, noise-before, half-frame, "
            "reset, transaction-zero, bit-burst. Again for more kinds.",
        ),
    ] = None,
    active: Annotated[
        list[str] | None,
        typer.Option("--active", metavar="POINT", help="This contact has left its rest."),
    ] = None,
    pace: Annotated[
        bool, typer.Option("--pace", help="Serial answers take the time of a real wire.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same faults.")] = 0,
    overrides: SetOption = None,
) -> None:
    """Serve until told to stop."""
    # Loaded only here: the other commands start without Modbus.
    from agent.cli.hardware import load_wires, refuse
    from agent.config.faults import did_you_mean

    try:
        rates = read_rates(faults or ())
    except ValueError as error:
        refuse(str(error), Exit.USAGE)
    site = load_wires(config, overrides)
    from agent.simulate.site import faults_for

    possible = {kind for line in site.modbus_buses for kind in faults_for(line, rates).kinds}
    if idle := sorted(set(rates) - possible):
        refuse(f"no bus of this site can have this fault: {', '.join(idle)}", Exit.USAGE)
    points = [each.point for chip in site.gpio_buses for each in chip.inputs]
    for point in active or ():
        if point not in points:
            refuse(f"no contact '{point}' in {config}{did_you_mean(point, points)}", Exit.USAGE)
    try:
        with tempfile.TemporaryDirectory(prefix="plantroom-simulate-") as folder:
            asyncio.run(
                _serve(site, rates, frozenset(active or ()), Path(folder), seed=seed, pace=pace)
            )
    except OSError as error:
        refuse(f"cannot open ports for the simulation: {error}")


def read_rates(words: list[str] | tuple[str, ...]) -> Mapping[FaultKind, float]:
    """Return the rates by kind.

    Raises:
        ValueError: a word is not KIND=RATE, a kind is unknown, the rates are not 0 to 1 together.
    """
    from agent.config.faults import did_you_mean
    from agent.simulate.faults import FaultKind
    from agent.simulate.site import RatedFaults

    kinds = {kind.replace(" ", "-"): kind for kind in FaultKind}
    rates = {}
    for word in words:
        name, _, rate = word.partition("=")
        if name not in kinds:
            raise ValueError(f"--faults {word}: no kind '{name}'{did_you_mean(name, kinds)}")
        try:
            rates[kinds[name]] = float(rate)
        except ValueError as error:
            raise ValueError(f"--faults {word}: say KIND=RATE, as in late=0.05") from error
    RatedFaults(rates)
    return rates


async def _serve(
    site: LoadedSite,
    rates: Mapping[FaultKind, float],
    active: frozenset[str],
    folder: Path,
    *,
    seed: int,
    pace: bool,
) -> None:
    from agent.simulate.ledger import Ledger
    from agent.simulate.pin_hand import DoorFailed, hold_pins, levels
    from agent.simulate.site import build_slave
    from agent.simulate.tcp import TcpSlave
    from drivers.clock import SystemClock
    from drivers.modbus.spec import SerialPort

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ledger = Ledger(SystemClock(), kept=1)
    sets: list[str] = []
    slaves = []
    async with AsyncExitStack() as stack:
        for bus in site.modbus_buses:
            slave = build_slave(bus, ledger, rates=rates, seed=seed, pace=pace)
            await stack.enter_async_context(slave)
            slaves.append(slave)
            if isinstance(slave, TcpSlave):
                sets += [f"buses.{bus.id}.host={slave.host}", f"buses.{bus.id}.port={slave.port}"]
                where = f"{slave.host}:{slave.port}"
            else:
                sets.append(f"buses.{bus.id}.port={slave.path}")
                if isinstance(bus.port, SerialPort) and bus.port.parity != "N":
                    sets.append(f"buses.{bus.id}.parity=N")  # a pty has no parity bit
                where = slave.path
            units = ", ".join(f"{each.unit} {each.id}" for each in bus.devices) or "no devices"
            typer.echo(f"{bus.id} ({bus.kind}) on {where}: {units}")
        contacts = [each for chip in site.gpio_buses for each in chip.inputs]
        pins = levels(contacts, active)
        for chip in site.gpio_buses:
            away = sum(each.point in active for each in chip.inputs)
            meters = f", {len(chip.counters)} counters pulsing" if chip.counters else ""
            typer.echo(
                f"{chip.id} (gpio): {len(chip.inputs)} contacts, {away} of them active{meters}"
            )
        counters = [each for chip in site.gpio_buses for each in chip.counters]
        words = ["plantroom", "run", "--config", str(site.path)]
        words += [part for each in sets for part in ("--set", each)]
        words += ["--data", str(folder / "data"), "--run-dir", str(folder / "run")]
        if site.gpio_buses:
            words += ["--pin-door", str(folder / "pins")]
        (folder / "run").mkdir()
        typer.echo("Run the agent against it with (--set uplinks=[] leaves the brokers out):")
        typer.echo(shlex.join(words))
        refused = ""
        try:
            async with TaskGroup() as tasks:
                holding = tasks.create_task(
                    hold_pins(folder / "pins", pins, _tell, counters), name="contacts"
                )
                await stop.wait()
                holding.cancel()
        except* DoorFailed as group:
            refused = f"the agent refuses a contact: {group.exceptions[0]}"
    typer.echo("played " + _played(slaves))
    if refused:
        typer.echo(refused, err=True)
        raise typer.Exit(Exit.BAD)


def _tell(is_held: bool) -> None:
    if not is_held:
        typer.echo("the agent is gone")
        return
    typer.echo("contacts are held at an agent; it saw them open before, so reset what that raised")


def _played(slaves: Sequence[TcpSlave | RtuLine]) -> str:
    requests = 0
    counts: dict[str, int] = {}
    for slave in slaves:
        requests += slave.station.requests
        for kind, count in slave.station.faults.played.items():
            counts[kind] = counts.get(kind, 0) + count
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "no faults"
    return f"{requests} requests, {faults}"
