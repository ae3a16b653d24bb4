"""The seam to gpiozero: pins that are high or low, on a real chip or on none.

Only the pin level of gpiozero is used. Its devices add threads and debouncing that drops edges
(gpiozero issues 550 and 1039); what a contact means is judged in drivers.gpio.inputs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from gpiozero import GPIOZeroError
from gpiozero.pins import Pin, PinInfo
from gpiozero.pins.mock import MockFactory, MockPin
from gpiozero.pins.pi import PiFactory

from drivers.errors import DriverError, PortUnavailable, WiringConflict
from drivers.gpio.spec import Pull

_log = logging.getLogger(__name__)

_PULLS = {Pull.UP: "up", Pull.DOWN: "down", Pull.NONE: "floating"}

_MOCK_REVISION = "a02082"
"""Raspberry Pi 3B, the board gpiozero's mock stands for by default; BCM 0 to 27 are the same on all."""


class InputPin(Protocol):
    """A pin claimed as an input."""

    def is_high(self) -> bool:
        """Return the level now.

        Raises:
            Unavailable: it cannot be read any more.
        """

    def watch(self, on_edge: Callable[[], None]) -> None:
        """Call `on_edge` on any thread after each change; it must only wake somebody.

        Raises:
            DriverError: the line has no edge events; its level can still be read.
        """

    def release(self) -> None:
        """End the calls and give the pin up; the line stays an input. Never raises."""


class OutputPin(Protocol):
    """A pin claimed as an output."""

    def set(self, high: bool) -> None:
        """Put the level out.

        Raises:
            Unavailable: it cannot be written any more.
        """

    def is_high(self) -> bool:
        """Return the level as the chip reads it from the pad.

        Raises:
            Unavailable: it cannot be read any more.
        """


class Pins(Protocol):
    """An open chip."""

    def claim_input(self, pin: int, pull: Pull) -> InputPin:
        """Claim BCM pin `pin`.

        Raises:
            WiringConflict: it is in use, or cannot be an input with that pull.
            Unavailable: the chip does not answer.
        """

    def claim_output(self, pin: int, high: bool) -> OutputPin:
        """Claim BCM pin `pin` and drive it to `high` in the same step.

        Raises:
            WiringConflict: it is in use, or cannot be an output.
            Unavailable: the chip does not answer.
        """

    def close(self) -> None:
        """Let go of the chip without touching a level. Never raises."""


OpenPins = Callable[[], Pins]
"""Opens the chip; may block; raises PortUnavailable."""


def open_factory(kind: Literal["lgpio", "mock"], chip: int = 0) -> Pins:
    """Open a GPIO chip; may block on the device, so call it from a thread of its own.

    Chip 0 means the chip of the 40-pin header, which is gpiochip4 on a Raspberry Pi 5 with a
    kernel before 6.6.45 (gpiozero issue 1166).

    Raises:
        PortUnavailable: there is no such chip, no permission, no lgpio, or no Raspberry Pi.
    """
    if kind == "mock":
        return MockPins().open()
    source = f"gpiochip{chip}"
    try:
        from drivers.gpio import lgpio_chip
    except (ImportError, OSError) as error:
        raise PortUnavailable(source, f"lgpio cannot be loaded: {error}") from error
    return lgpio_chip.open_chip(source, chip)


class GuardedEdges:
    """Mixed into gpiozero pins: a failing edge callback is logged and harms nobody else.

    lgpio has one thread for all callbacks, and an exception in one of them ends it.
    """

    def _call_when_changed(self, *args: object) -> None:
        try:
            super()._call_when_changed(*args)  # type: ignore[misc]
        except Exception:  # noqa: BLE001 - whatever it is, the thread must live
            _log.exception("edge callback of %r failed", self)


class GpiozeroPins:
    """Pins of one gpiozero factory, its errors sorted into ours."""

    def __init__(
        self, source: str, factory: PiFactory, native_errors: tuple[type[Exception], ...]
    ) -> None:
        """`native_errors` are what the library under gpiozero raises."""
        self._source = source
        self._factory = factory
        self._native_errors = native_errors
        self.foreign_errors = (GPIOZeroError, *native_errors, OSError)
        self._inputs: dict[int, _Input] = {}
        self._outputs: dict[int, _Output] = {}

    def claim_input(self, pin: int, pull: Pull) -> InputPin:
        """Claim an input; see `Pins`."""
        self._check_free(pin)
        with self.translated(pin):
            native = self._factory.pin(pin)
            native.input_with_pull(_PULLS[pull])
        self._inputs[pin] = claimed = _Input(self, pin, native)
        return claimed

    def claim_output(self, pin: int, high: bool) -> OutputPin:
        """Claim an output with its level; see `Pins`."""
        self._check_free(pin)
        with self.translated(pin):
            native = self._factory.pin(pin)
            native.output_with_state(high)
        self._outputs[pin] = claimed = _Output(self, pin, native)
        return claimed

    def close(self) -> None:
        """Let go of the chip; see `Pins`."""
        for claimed in tuple(self._inputs.values()):
            claimed.release()
        self._outputs.clear()
        try:
            self._factory.close()
        except self.foreign_errors as error:
            _log.warning("%s: closing failed: %s", self._source, error)

    def forget_input(self, pin: int) -> None:
        """Let an input be claimed again."""
        self._inputs.pop(pin, None)

    def _check_free(self, pin: int) -> None:
        if pin in self._inputs or pin in self._outputs:
            raise WiringConflict(f"{self._source} pin {pin}", "claimed twice")

    @contextmanager
    def translated(self, pin: int) -> Iterator[None]:
        """Turn what gpiozero and the library under it raise into a DriverError."""
        try:
            yield
        except self.foreign_errors as error:
            raise self.translation(pin, error) from error

    def translation(self, pin: int, error: Exception) -> DriverError:
        """Return the DriverError for one of `foreign_errors`."""
        source = f"{self._source} pin {pin}"
        if isinstance(error, GPIOZeroError):
            return WiringConflict(source, str(error) or type(error).__name__)
        if not isinstance(error, self._native_errors):
            return PortUnavailable(source, str(error))
        text = str(error).strip("'")
        # lgpio tells its errors apart by text only; -50 LG_GPIO_BUSY reads so (lgpio.h).
        if text == "GPIO busy":
            return WiringConflict(source, "in use")
        return PortUnavailable(source, text)


class _Input:
    def __init__(self, owner: GpiozeroPins, pin: int, native: Pin) -> None:
        self._owner = owner
        self._pin = pin
        self._native = native
        self._on_change: Callable[[object, object], None] | None = None

    def is_high(self) -> bool:
        try:  # not `translated`: this is asked all the time
            return bool(self._native.state)
        except self._owner.foreign_errors as error:
            raise self._owner.translation(self._pin, error) from error

    def watch(self, on_edge: Callable[[], None]) -> None:
        def on_change(_ticks: object, _state: object) -> None:
            on_edge()

        self._on_change = on_change  # gpiozero keeps a weak reference only
        with self._owner.translated(self._pin):
            self._native.when_changed = on_change

    def release(self) -> None:
        self._owner.forget_input(self._pin)
        try:
            with self._owner.translated(self._pin):
                self._native.when_changed = None
        except DriverError as error:
            _log.debug("edge events not released: %s", error)


class _Output:
    def __init__(self, owner: GpiozeroPins, pin: int, native: Pin) -> None:
        self._owner = owner
        self._pin = pin
        self._native = native

    def set(self, high: bool) -> None:
        with self._owner.translated(self._pin):
            self._native.state = high

    def is_high(self) -> bool:
        with self._owner.translated(self._pin):
            return bool(self._native.state)


# -- no chip at all: the demo, the simulator and tests -----------------------------------------------


class MockPins:
    """Pins that somebody else moves: gpiozero's own mock, with faults one can order.

    The levels belong to this object and outlive the `Pins` that `open` hands out, as wires outlive
    a program. Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._factory = _MockChip(revision=_MOCK_REVISION, pin_class=_MockWire)

    def open(self) -> Pins:
        """Open the mock chip.

        Raises:
            PortUnavailable: it was unplugged.
        """
        with self._lock:
            self._factory.check_present()
            return GpiozeroPins("mock", self._factory, ())

    def drive(self, pin: int, high: bool) -> None:
        """Put a level on a pin from outside; it stays whoever claims the pin as an input.

        Raises:
            ValueError: no such pin, or it is claimed as an output.
        """
        with self._lock:
            self._wire(pin).drive(high)

    def level(self, pin: int) -> bool:
        """Return the level of a pin, True for high.

        Raises:
            ValueError: no such pin.
        """
        with self._lock:
            return self._wire(pin).true_level

    def history(self, pin: int) -> tuple[bool, ...]:
        """Return the levels a pin has had, oldest first, each once per change."""
        with self._lock:
            return tuple(bool(entry.state) for entry in self._wire(pin).states)

    def jam(self, pin: int, high: bool | None) -> None:
        """Let a pin read `high` whatever is written (a welded relay driver); None frees it."""
        with self._lock:
            self._wire(pin).jammed = high

    def take(self, pin: int, taken: bool = True) -> None:
        """Let another program hold a pin, or give it back."""
        with self._lock:
            self._wire(pin).is_taken = taken

    def unplug(self) -> None:
        """Let the chip vanish: open pins fail, `open` raises."""
        with self._lock:
            self._factory.is_present = False

    def plug(self) -> None:
        """Bring the chip back."""
        with self._lock:
            self._factory.is_present = True

    def _wire(self, pin: int) -> _MockWire:
        try:
            wire: _MockWire = self._factory.pin(pin)
        except GPIOZeroError as error:
            raise ValueError(f"there is no pin {pin}") from error
        return wire


class _MockChip(MockFactory):  # type: ignore[misc]  # gpiozero is untyped
    is_present = True

    def check_present(self) -> None:
        if not self.is_present:
            raise PortUnavailable("mock", "the chip is not there")

    def close(self) -> None:
        """Keep pins and levels."""


class _MockWire(GuardedEdges, MockPin):  # type: ignore[misc]  # gpiozero is untyped
    def __init__(self, factory: _MockChip, info: PinInfo) -> None:
        self.wire: bool | None = None
        self.jammed: bool | None = None
        self.is_taken = False
        super().__init__(factory, info)

    @property
    def true_level(self) -> bool:
        return bool(self._state if self.jammed is None else self.jammed)

    def drive(self, high: bool) -> None:
        if self._function == "output":
            raise ValueError(f"{self!r} is an output")
        self.wire = high
        self._follow_wire()

    def _follow_wire(self) -> None:
        if self.wire is True:
            self.drive_high()
        elif self.wire is False:
            self.drive_low()

    def _check_claim(self) -> None:
        self.factory.check_present()
        if self.is_taken:
            raise WiringConflict(f"mock {self!r}", "in use")

    def input_with_pull(self, pull: str) -> None:
        self._check_claim()
        super().input_with_pull(pull)

    def output_with_state(self, state: bool) -> None:
        self._check_claim()
        super().output_with_state(state)

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        self._follow_wire()

    def _get_state(self) -> bool:
        self.factory.check_present()
        return self.true_level

    def _set_state(self, value: bool) -> None:
        self.factory.check_present()
        super()._set_state(value)
