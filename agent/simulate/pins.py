"""The simulator's own look at the pins: inputs it drives, outputs it sees move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from agent.simulate.ledger import Ledger

WATCH_PERIOD_S = 0.005
"""How often outputs are looked at: the resolution of every output latency the witness reports."""


class MovablePins(Protocol):
    """Pins without a chip (drivers.gpio.pins.MockPins)."""

    def drive(self, pin: int, high: bool) -> None:
        """Put a level on an input, as the wire would."""

    def level(self, pin: int) -> bool:
        """Return the level of a pin."""


class NotedPins:
    """Pins whose moves are in the ledger."""

    def __init__(self, pins: MovablePins, ledger: Ledger) -> None:
        self._pins = pins
        self._ledger = ledger

    def drive(self, pin: int, high: bool) -> None:
        """Move an input; noted just before, so that no output can seem to be ahead of it."""
        self._ledger.driven(pin, high)
        self._pins.drive(pin, high)

    def level(self, pin: int) -> bool:
        """Return the level of a pin."""
        return self._pins.level(pin)

    async def watch(
        self,
        outputs: Iterable[int],
        on_move: Callable[[int, bool], None] | None = None,
        period_s: float = WATCH_PERIOD_S,
    ) -> None:
        """Note every new level of the outputs, the first one too, until cancelled."""
        seen: dict[int, bool | None] = dict.fromkeys(outputs)
        while True:
            for pin, before in seen.items():
                high = self._pins.level(pin)
                if high is not before:
                    seen[pin] = high
                    self._ledger.moved(pin, high)
                    if on_move is not None:
                        on_move(pin, high)
            await asyncio.sleep(period_s)
