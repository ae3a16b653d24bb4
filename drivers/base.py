"""The contracts between drivers and whoever runs them.

A driver pushes readings into an `Emit` and never looks upward. That a bus or a device answers is a
reading too: every bus and every device has the point `<id>.online`, a contact that is true while
it answers. So one mechanism carries values and faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.reading import Reading

Emit = Callable[[Sequence[Reading]], None]
"""Takes readings on the loop's thread; never blocks, never raises."""


def online_point(source: str) -> str:
    """Return the id of the point that says whether a bus or device answers."""
    return f"{source}.online"


class Bus(Protocol):
    """One port or chip with everything on it."""

    @property
    def id(self) -> str:
        """The bus's id in the configuration."""

    async def run(self) -> None:
        """Acquire until cancelled. A missing port or chip is reported and retried, never raised."""

    def stats(self) -> BusStats:
        """Return counters and states as they are now."""


class OutputLine(Protocol):
    """One switched line in the terms of its coil: energised or not."""

    @property
    def id(self) -> str:
        """The output's id in the configuration."""

    @property
    def longest_s(self) -> float:
        """How long one write or read back may take in seconds, its own tries included."""

    async def write(self, energised: bool) -> None:
        """Switch the line.

        Raises:
            DriverError: the line could not be switched; its state is unknown.
        """

    async def read_back(self) -> bool:
        """Return whether the line is energised, read from the hardware.

        Raises:
            DriverError: the line could not be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStats:
    """Counters of one device since the start of its bus."""

    id: str
    bus: str
    online: bool
    requests: int
    failures: dict[str, int]
    """By reason: `timeout`, `bad reply`, `exception`, `port`."""
    last_success_wall_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BusStats:
    """Counters of one bus since its start."""

    id: str
    kind: str
    """`gpio`, `modbus-tcp`, `modbus-rtu` or `modbus-rtu-tcp`."""
    online: bool
    late_polls: int
    """Polls skipped because the one before was still running or the bus was busy."""
    transaction_buckets_s: tuple[tuple[float, int], ...]
    """Cumulative histogram of request durations: (upper bound in seconds, count); last bound inf."""
    transaction_sum_s: float
    devices: tuple[DeviceStats, ...]
