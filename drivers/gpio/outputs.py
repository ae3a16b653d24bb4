"""A relay on a pin."""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import DriverError, PortUnavailable, Unavailable
from drivers.gpio.pins import OutputPin, Pins
from drivers.gpio.spec import LineSpec


class GpioLine:
    """An output on a pin; implements drivers.base.OutputLine.

    What was last asked for is remembered while the chip is away, so that the pin is claimed with
    it, not with its first level, when the chip is back.
    """

    def __init__(self, spec: LineSpec, on_trouble: Callable[[], None]) -> None:
        """`on_trouble` is called when the pin does not answer."""
        self._spec = spec
        self._on_trouble = on_trouble
        self._is_energised = spec.initial_energised
        self._pins: Pins | None = None
        self._pin: OutputPin | None = None

    @property
    def id(self) -> str:
        """The output's id in the configuration."""
        return self._spec.output

    @property
    def longest_s(self) -> float:
        """A pin is set and read at once; see drivers.base.OutputLine."""
        return 0.0

    def attach(self, pins: Pins) -> None:
        """Use this chip from now on and claim the pin.

        Raises:
            DriverError: the pin could not be claimed; each later call tries again.
        """
        self._pins = pins
        self._claim()

    def detach(self) -> None:
        """The chip is gone."""
        self._pins = self._pin = None

    async def write(self, energised: bool) -> None:
        """Switch the pin before returning; there is nothing to wait for.

        Raises:
            DriverError: no chip, or the pin is taken; its state is unknown.
        """
        self._is_energised = energised
        pin = self._claim()
        try:
            pin.set(self._level())
        except Unavailable:
            self._on_trouble()
            raise

    async def read_back(self) -> bool:
        """Return whether the pin's level energises the relay.

        Raises:
            DriverError: no chip, or the pin is taken or cannot be read.
        """
        return self.read()

    def read(self) -> bool:
        """Return what `read_back` returns."""
        pin = self._claim()
        try:
            return pin.is_high() is self._spec.active_high
        except Unavailable:
            self._on_trouble()
            raise

    def _level(self) -> bool:
        return self._is_energised is self._spec.active_high

    def _claim(self) -> OutputPin:
        if self._pin is None:
            if self._pins is None:
                raise PortUnavailable(self.id, "the GPIO chip is not there")
            try:
                self._pin = self._pins.claim_output(self._spec.pin, self._level())
            except DriverError as error:
                raise type(error)(self.id, error.message) from error
        return self._pin
