"""A GPIO bus on gpiozero's mock chip, with what it emitted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from drivers.backoff import Backoff
from drivers.clock import Clock, ManualClock
from drivers.gpio.bus import GpioBus
from drivers.gpio.pins import MockPins, OpenPins
from drivers.gpio.spec import ContactForm, GpioBusSpec, InputSpec
from drivers.reading import Reading


class Heard:
    """Collects readings and lets a test wait for them."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self._more = asyncio.Event()

    def emit(self, readings: Sequence[Reading]) -> None:
        self.readings.extend(readings)
        self._more.set()

    def of(self, point: str) -> list[tuple[object, str]]:
        return [(each.value, each.reason) for each in self.readings if each.point == point]

    def last(self, point: str) -> tuple[object, str] | None:
        return self.of(point)[-1] if self.of(point) else None

    async def until(self, is_met: Callable[[], bool], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not is_met():
                self._more.clear()
                await self._more.wait()


async def as_time_goes_by(clock: ManualClock, is_met: Callable[[], bool]) -> None:
    """Let the told time pass in small steps until something has happened."""
    async with asyncio.timeout(5):
        while not is_met():
            clock.advance(0.01)
            await asyncio.sleep(0.005)


def contact(point: str, pin: int, **more: object) -> InputSpec:
    return InputSpec(
        **{  # type: ignore[arg-type]
            "point": point,
            "pin": pin,
            "contact": ContactForm.NORMALLY_OPEN,
            "debounce_s": 0.0,
            **more,
        }
    )


def spec(**more: object) -> GpioBusSpec:
    return GpioBusSpec(**{"id": "io", "poll_s": 0.005, **more})  # type: ignore[arg-type]


@asynccontextmanager
async def running(
    bus_spec: GpioBusSpec,
    clock: Clock,
    pins: MockPins,
    open_pins: OpenPins | None = None,
) -> AsyncIterator[tuple[GpioBus, Heard]]:
    heard = Heard()
    bus = GpioBus(
        bus_spec, clock, heard.emit, open_pins or pins.open, backoff=Backoff(0.005, 0.02, jitter=0)
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bus.run(), name="bus under test")
            async with asyncio.timeout(5):
                await bus.tried()
            yield bus, heard
            task.cancel()
    finally:
        bus.close()
