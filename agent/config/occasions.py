"""Which points are told together, and how many times a day. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.config.bus_load import BusLoad
from agent.config.load import LoadedSite
from agent.core.spec import DerivedSpec
from drivers.base import online_point

DAY_S = 86_400.0

ONLINE_TIMES = DAY_S / 4.0
"""How often a day `.online` points are told (drivers.modbus.bus: every 4 s)."""
HEALTH_TIMES = DAY_S / 5.0
"""The same of an output's `.health` point (agent.outputs); the box's own parts tell changes only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Points whose readings come at one moment, and so leave in one batch."""

    points: tuple[str, ...]
    times: float
    """A day; 0 for what is told only when it changes."""


def occasions(site: LoadedSite, buses: Sequence[BusLoad]) -> tuple[Occasion, ...]:
    """Return every occasion: each Modbus read, each chip, the health of things, and what is left."""
    found = [_with_derived(each, site.spec.derived) for each in _told(site, buses)]
    known = {point for each in found for point in each.points}
    rest = tuple(each.id for each in site.spec.points if each.id not in known)
    return (*found, Occasion(points=rest, times=0.0))


def _told(site: LoadedSite, buses: Sequence[BusLoad]) -> Iterator[Occasion]:
    for bus in buses:
        for read in bus.reads:
            # a bus with more to do than it has time for reads everything less often
            times = DAY_S / read.period_s / max(1.0, bus.load)
            yield Occasion(points=read.points, times=times)
    for pins in site.gpio_buses:
        names = tuple(each.point for each in pins.inputs)
        yield Occasion(points=(*names, online_point(pins.id)), times=DAY_S / pins.refresh_s)
    for spec in site.modbus_buses:
        names = tuple(online_point(each.id) for each in spec.devices)
        yield Occasion(points=(online_point(spec.id), *names), times=ONLINE_TIMES)
    names = tuple(f"{each.id}.health" for each in site.spec.outputs)
    yield Occasion(points=names, times=HEALTH_TIMES)


def _with_derived(occasion: Occasion, derived: Sequence[DerivedSpec]) -> Occasion:
    """Return it with what is derived of its points, and of those (agent.core.derived tells it then)."""
    points = dict.fromkeys(occasion.points)
    size = -1
    while size != len(points):
        size = len(points)
        points.update(
            dict.fromkeys(
                each.point for each in derived if not points.keys().isdisjoint(each.sources)
            )
        )
    return Occasion(points=tuple(points), times=occasion.times)
