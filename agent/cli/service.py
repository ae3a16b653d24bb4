"""`plantroom run`: the service. Standard library only on its way in (agent.cli)."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from agent.app.running import run_agent
from agent.app.wiring import Agent
from agent.cli.codes import Exit
from agent.cli.overrides import NotAnOverride, read_overrides
from agent.cli.places import config_path, credentials_dir, data_dir, run_dir
from agent.config.faults import ConfigError
from agent.config.last_good import keep_or_warn, load_or_last_good
from agent.config.load import LoadedSite, load_site
from agent.simulate.pin_door import serve_pins
from agent.simulate.pin_hand import levels
from agent.supervise import HardDeadline
from agent.systemd.journal import logging_to_journal
from agent.systemd.notify import Notifier
from drivers.clock import SystemClock
from drivers.gpio.pins import MockPins, OpenPins, open_factory
from drivers.gpio.spec import GpioBusSpec
from drivers.tasks import TaskGroup

_log = logging.getLogger(__name__)

STOP_LIMIT_S = 5.0
"""A stop takes no longer, whatever hangs (design section 3)."""


def serve(words: Sequence[str]) -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit code."""
    faulthandler.enable()  # the watchdog's SIGABRT then says where it hung
    options = _parse(words)
    try:
        sets = read_overrides(options.sets)
    except NotAnOverride as error:
        print(error, file=sys.stderr)  # noqa: T201 - nothing is set up yet
        return Exit.USAGE
    folder = run_dir(options.run_dir)
    if folder is not None:
        with suppress(OSError):  # said again, with the reason, where the socket is made
            folder.mkdir(parents=True, exist_ok=True)
    with logging_to_journal(level=logging.DEBUG if options.debug else logging.INFO):
        try:
            site, fault = load_or_last_good(
                config_path(options.config),
                sets=sets,
                data_dir=data_dir(options.data),
                run_dir=run_dir(options.run_dir),
                env=os.environ,
                credentials_dir=credentials_dir(),
            )
        except ConfigError as error:
            for each in error.faults:
                print(each, file=sys.stderr)  # noqa: T201 - the installer reads this
            print("no usable configuration; see above", file=sys.stderr)  # noqa: T201
            return Exit.CONFIGURATION
        deadline = HardDeadline(STOP_LIMIT_S)
        service = _Service(site, fault or "", options, sets, deadline)
        try:
            asyncio.run(service.run())
        except Exception:  # noqa: BLE001 - whatever it was ends the process; systemd starts it anew
            _log.critical("the agent failed", exc_info=True)
            deadline.arm()
            return Exit.BAD
    return Exit.GOOD


class _Service:
    """The process: signals, and one agent after another when the configuration is reloaded."""

    def __init__(
        self,
        site: LoadedSite,
        fault: str,
        options: argparse.Namespace,
        sets: Mapping[str, str],
        deadline: HardDeadline,
    ) -> None:
        self._site = site
        self._fault = fault
        self._options = options
        self._sets = sets
        self._deadline = deadline
        self._clock = SystemClock()
        self._notifier = Notifier.from_environment()
        self._is_ending = False
        self._stop = asyncio.Event()
        self._hang_up = asyncio.Event()
        self._agent: Agent | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up.set)
        async with TaskGroup() as tasks:
            helpers = [tasks.create_task(self._reload_on_hang_up(), name="reload")]
            open_chip = _open_real_chip
            if self._options.pin_door is not None:
                pins = MockPins()
                for pin, high in _levels_at_start(self._site, self._options.pins).items():
                    pins.drive(pin, high)
                open_chip = partial(_open_mock_chip, pins)
                door = serve_pins(pins, self._options.pin_door)
                helpers.append(tasks.create_task(door, name="pin door"))
            while not self._is_ending:
                self._stop.clear()
                await run_agent(
                    self._site,
                    clock=self._clock,
                    open_chip=open_chip,
                    notifier=self._notifier,
                    stop=self._stop,
                    config_fault=self._fault,
                    on_ready=self._meet,
                    is_changeover=lambda: not self._is_ending,
                )
            for task in helpers:
                task.cancel()

    def _meet(self, agent: Agent) -> None:
        self._agent = agent
        # What was built for the start lives as long as the agent: the collector need not look at it
        # again at every turn (about a tenth of the steady CPU time, docs/benchmarks.md).
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        if not self._fault:
            # A daemon: a disk that hangs must hold up neither the start nor the end.
            threading.Thread(
                target=keep_or_warn, args=(self._site,), name="keep configuration", daemon=True
            ).start()

    def _end(self) -> None:
        self._deadline.arm()
        self._is_ending = True
        self._stop.set()

    async def _reload_on_hang_up(self) -> None:
        """SIGHUP: take the new configuration if it is good, keep the old one and say so if it is not."""
        while True:
            await self._hang_up.wait()
            self._hang_up.clear()
            self._notifier.reloading(self._clock)
            try:
                site = await asyncio.to_thread(_load_again, self._options, self._sets)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the old one goes on
                _log.error("reload refused, the old configuration goes on: %s", error)
                if self._agent is not None:
                    self._agent.tell_config(str(error))
                self._notifier.ready("reload refused, the old configuration goes on")
                continue
            self._fault = ""
            if site.config_hash == self._site.config_hash:
                _log.info("reload: nothing has changed")
                if self._agent is not None:
                    self._agent.tell_config("")
                self._notifier.ready()
                continue
            _log.info("reload: starting anew with the new configuration")
            self._site = site
            self._stop.set()


def _load_again(options: argparse.Namespace, sets: Mapping[str, str]) -> LoadedSite:
    return load_site(
        config_path(options.config),
        sets=sets,
        data_dir=data_dir(options.data),
        run_dir=run_dir(options.run_dir),
        env=os.environ,
        credentials_dir=credentials_dir(),
    )


def _levels_at_start(site: LoadedSite, words: Sequence[str]) -> dict[int, bool]:
    """Return the level of every mock input before anybody moves it: at rest, but for `--pin` words."""
    found: dict[int, bool] = {}
    for bus in site.gpio_buses:
        found |= levels(bus.inputs)
    for word in words:
        pin, _, level = word.partition("=")
        found[int(pin)] = level == "1"
    return found


def _open_real_chip(spec: GpioBusSpec) -> OpenPins:
    return partial(open_factory, "lgpio", spec.chip)


def _open_mock_chip(pins: MockPins, _: GpioBusSpec) -> OpenPins:
    return pins.open


def _pin_level(word: str) -> str:
    pin, _, level = word.partition("=")
    if not pin.isdecimal() or level not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"say PIN=0 or PIN=1, not {word}")
    return word


def _door_path(word: str) -> Path:
    path = Path(word)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first")
    return path


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="plantroom run",
        description="Run the agent from a site file until SIGTERM. SIGHUP reloads the file.",
    )
    parser.add_argument(
        "-c", "--config", type=Path, help="site file (default /etc/plantroom/site.yaml)"
    )
    parser.add_argument("--data", type=Path, help="where records are kept")
    parser.add_argument(
        "--run-dir", type=Path, help="where the socket is made; made itself if it is not there"
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="override one value of the file: buses.rs485.port=/dev/ttyAMA2",
    )
    parser.add_argument(
        "--pin-door",
        type=_door_path,
        metavar="SOCKET",
        help="no GPIO chip: mock pins that another program moves through this Unix socket",
    )
    parser.add_argument(
        "--pin",
        dest="pins",
        action="append",
        default=[],
        type=_pin_level,
        metavar="PIN=0|1",
        help="with --pin-door: the level of an input at the start; at rest otherwise",
    )
    parser.add_argument("--debug", action="store_true", help="log every poll")
    options = parser.parse_args(words)
    if options.pins and options.pin_door is None:
        parser.error("--pin goes with --pin-door")
    return options
