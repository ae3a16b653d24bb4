"""The lgpio chip over a fake of lgpio's C functions that keeps lines as the kernel does.

It answers as lgpio and the kernel do by their sources (claims, mode flags, error texts); real
edges need a chip.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.errors import PortUnavailable, WiringConflict
from drivers.gpio.pins import Pins, open_factory
from drivers.gpio.spec import Pull

pytest.importorskip("_lgpio")

IS_OUT = 1 << 1


@dataclass
class Line:
    is_output: bool = False
    level: int = 0
    flags: int = 0
    on_edge: Callable[[int, int, int, int], None] | None = None


@dataclass
class Kernel:
    """Lines of one chip; `calls` tells what was asked in which order."""

    error: type[Exception]
    lines: dict[int, Line] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    is_there: bool = True

    def gpiochip_open(self, chip: int) -> int:
        self.calls.append(("open", chip))
        if not self.is_there:
            raise self.error("can not open gpiochip")
        return 0

    def gpiochip_close(self, handle: int) -> None:
        self.calls.append(("close",))

    def _claim(self, gpio: int) -> Line:
        if gpio in self.busy:
            raise self.error("GPIO busy")
        return self.lines.setdefault(gpio, Line())

    def gpio_claim_input(self, handle: int, gpio: int, flags: int = 0) -> None:
        self.calls.append(("input", gpio, flags))
        line = self._claim(gpio)
        line.is_output, line.flags = False, flags

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, flags: int = 0) -> None:
        self.calls.append(("output", gpio, level))
        line = self._claim(gpio)
        line.is_output, line.level = True, level

    def gpio_claim_alert(self, handle: int, gpio: int, edges: int, flags: int = 0) -> None:
        self.calls.append(("alert", gpio))
        self._claim(gpio)

    def gpio_free(self, handle: int, gpio: int) -> None:
        if gpio not in self.lines:
            raise self.error("GPIO not allocated")
        del self.lines[gpio]

    def gpio_read(self, handle: int, gpio: int) -> int:
        if not self.is_there:
            raise self.error("bad GPIO read")
        return self.lines[gpio].level

    def gpio_write(self, handle: int | None, gpio: int, level: int) -> None:
        if handle is None:
            raise self.error("unknown handle")
        if not self.is_there:
            raise self.error("bad GPIO write")
        self.calls.append(("write", gpio, int(level)))
        self.lines[gpio].level = int(level)

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        line = self.lines.get(gpio, Line())
        return line.flags | (IS_OUT if line.is_output else 0)

    def callback(self, handle: int, gpio: int, edges: int, func: Any) -> Any:
        line = self.lines[gpio]
        line.on_edge = func

        class Handle:
            def cancel(self) -> None:
                line.on_edge = None

        return Handle()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    module = importlib.import_module("drivers.gpio.lgpio_chip")
    fake = Kernel(module.lgpio.error)
    for name in dir(Kernel):
        if name.startswith(("gpio", "callback")):
            monkeypatch.setattr(module.lgpio, name, getattr(fake, name))
    monkeypatch.setattr(module._SteadyFactory, "_get_revision", lambda _: 0xA02082)
    return fake


@pytest.fixture
def chip(kernel: Kernel) -> Iterator[Pins]:
    opened = open_factory("lgpio", 0)
    yield opened
    opened.close()


@pytest.mark.parametrize("high", [True, False])
def test_an_output_is_claimed_once_with_its_level_and_nothing_before(
    chip: Pins, kernel: Kernel, high: bool
) -> None:
    claimed = chip.claim_output(26, high)
    assert kernel.calls[1:] == [("output", 26, int(high))]
    claimed.set(not high)
    assert kernel.calls[2:] == [("write", 26, int(not high))]
    assert claimed.is_high() is not high


@pytest.mark.parametrize(("pull", "flag"), [(Pull.UP, "UP"), (Pull.DOWN, "DOWN")])
def test_an_input_gets_its_pull_and_keeps_it_with_edge_events(
    chip: Pins, kernel: Kernel, pull: Pull, flag: str
) -> None:
    edges: list[None] = []
    claimed = chip.claim_input(17, pull)
    claimed.watch(lambda: edges.append(None))
    lgpio = importlib.import_module("lgpio")
    assert kernel.lines[17].flags == getattr(lgpio, f"SET_PULL_{flag}")
    on_edge = kernel.lines[17].on_edge
    assert on_edge is not None
    on_edge(0, 17, 1, 1)
    assert len(edges) == 1
    claimed.release()
    assert kernel.lines[17].on_edge is None
    on_edge(0, 17, 0, 2)
    assert len(edges) == 1, "an edge that was under way ends nowhere, and raises nowhere"


def test_closing_touches_no_line(chip: Pins, kernel: Kernel) -> None:
    chip.claim_output(26, True)
    chip.claim_input(17, Pull.UP)
    before = len(kernel.calls)
    chip.close()
    assert kernel.calls[before:] == [("close",)]


def test_a_line_of_another_program_is_in_use(chip: Pins, kernel: Kernel) -> None:
    kernel.busy = {17, 26}
    with pytest.raises(WiringConflict, match="in use"):
        chip.claim_input(17, Pull.UP)
    with pytest.raises(WiringConflict, match="in use"):
        chip.claim_output(26, True)
    kernel.busy.clear()
    assert chip.claim_output(26, True).is_high()


def test_a_chip_that_is_gone_is_unavailable(chip: Pins, kernel: Kernel) -> None:
    contact, relay = chip.claim_input(17, Pull.UP), chip.claim_output(26, False)
    kernel.is_there = False
    with pytest.raises(PortUnavailable, match="bad GPIO read"):
        contact.is_high()
    with pytest.raises(PortUnavailable, match="bad GPIO write"):
        relay.set(True)
    chip.close()
    with pytest.raises(PortUnavailable, match="can not open"):
        open_factory("lgpio", 0)


def test_a_second_opening_starts_from_nothing(chip: Pins, kernel: Kernel) -> None:
    chip.claim_output(26, True)
    chip.close()
    again = open_factory("lgpio", 0)
    assert again.claim_output(26, True).is_high()


def test_two_chips_have_nothing_in_common(chip: Pins) -> None:
    chip.claim_output(26, True)
    other = open_factory("lgpio", 1)
    relay = other.claim_output(26, True)
    chip.close()
    relay.set(False)
    assert not relay.is_high()


@pytest.mark.parametrize(("asked", "opened"), [(0, 0), (2, 2)])
def test_the_chip_asked_for_is_opened(kernel: Kernel, asked: int, opened: int) -> None:
    open_factory("lgpio", asked)
    assert kernel.calls == [("open", opened)]
