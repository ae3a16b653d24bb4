"""The chip of a Raspberry Pi through lgpio, loaded only where it is used.

Importing lgpio makes a FIFO and starts a thread. The FIFO is opened in the folder LG_WD and the
process is moved there (gpiozero issues 1106 and 1130: services that start in `/` fail). Here it
gets a folder of its own below the service's runtime folder; afterwards the process is moved back
and the folder removed, since both ends of the FIFO are open by then.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from gpiozero import GPIOZeroError, PinUnknownPi
from gpiozero.pins import PinInfo

from drivers.errors import PortUnavailable
from drivers.gpio.pins import GpiozeroPins, GuardedEdges


def _load_lgpio() -> ModuleType:
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    folder = tempfile.mkdtemp(prefix="lgpio-", dir=runtime or None)
    before = Path.cwd()
    wanted = os.environ.get("LG_WD")
    os.environ["LG_WD"] = folder
    try:
        return importlib.import_module("lgpio")
    finally:
        os.chdir(before)
        if wanted is None:
            del os.environ["LG_WD"]
        else:
            os.environ["LG_WD"] = wanted
        shutil.rmtree(folder, ignore_errors=True)


lgpio: Any = _load_lgpio()  # gpiozero's own module imports lgpio, so this comes first

from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin  # noqa: E402
from gpiozero.pins.local import LocalPiPin  # noqa: E402


class _SteadyPin(GuardedEdges, LGPIOPin):  # type: ignore[misc]  # gpiozero is untyped
    """A pin that is claimed once, in its final role, and never flickers.

    gpiozero claims every pin as a floating input first, and an output at 0 before its level is
    written: a blip to "on" for active-low relays, and a drop-out for one that was on.
    """

    def __init__(self, factory: LGPIOFactory, info: PinInfo) -> None:
        LocalPiPin.__init__(self, factory, info)
        self._pwm = None
        self._bounce = None
        self._callback: Any = None
        self._edges = lgpio.BOTH_EDGES

    def output_with_state(self, state: bool) -> None:
        lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))  # noqa: SLF001

    def input_with_pull(self, pull: str) -> None:
        # Claimed first: setting a pull frees the line, which fails on one that is not claimed.
        lgpio.gpio_claim_input(self.factory._handle, self._number, lgpio.SET_PULL_NONE)  # noqa: SLF001
        self.pull = pull

    def _disable_event_detect(self) -> None:
        if self._callback is not None:
            self._callback.cancel()
            self._callback = None

    def close(self) -> None:
        """Leave the line as it is; the kernel frees it with the chip."""


class _SteadyFactory(LGPIOFactory):  # type: ignore[misc]  # gpiozero is untyped
    def __init__(self, chip: int | None) -> None:
        super().__init__(chip=chip)
        self.pins: dict[
            PinInfo, _SteadyPin
        ] = {}  # gpiozero shares one table among all factories of a process
        self.pin_class = _SteadyPin


def open_chip(source: str, chip: int) -> GpiozeroPins:
    """Open /dev/gpiochip`chip`; 0 is the chip of the 40-pin header.

    Raises:
        PortUnavailable: no such chip, no permission, or not a Raspberry Pi.
    """
    try:
        factory = _SteadyFactory(chip or None)
    except (lgpio.error, OSError, GPIOZeroError) as error:
        raise PortUnavailable(source, str(error).strip("'")) from error
    try:
        _ = factory.board_info  # reads the board's revision, without which no pin can be named
    except (PinUnknownPi, OSError) as error:
        factory.close()
        raise PortUnavailable(source, str(error)) from error
    return GpiozeroPins(source, factory, (lgpio.error,))
