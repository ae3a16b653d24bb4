"""How late a fire or gas point is read at most, with devices falling silent around it. Pure.

An upper bound that follows the order of drivers.modbus.schedule and drivers.modbus.bus: writes, then
at most one question to a silent device, then polls by class, the longest overdue first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from agent.config.bus_load import (
    Assumptions,
    BusLoad,
    PlannedRead,
    silence_cost_s,
    transaction_s,
)
from agent.core.conditions import points_of
from agent.core.spec import AlarmClass, RuleSpec, SiteSpec
from drivers.gpio.spec import GpioBusSpec
from drivers.modbus.plan import Request
from drivers.modbus.schedule import PATIENCE
from drivers.modbus.spec import Area, ModbusBusSpec, PollClass, SerialPort

DEADLINE_S = 10.0
"""From the detector's signal to the alarm (GB 26875.1-2011 4.1.2.1, GB 16806 4.8, NFPA 72 10.11.1)."""

_HOPELESS_S = 3600.0
"""A bound beyond this says nothing any more."""

Watched = Mapping[str, Sequence[RuleSpec]]
"""The rules of class fire and gas, by the points they watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirePoint:
    """How long after a change a point of a fire or gas rule is read, at most."""

    point: str
    bus: str
    is_contact: bool
    """On a pin of the box."""
    rules: tuple[str, ...]
    on_delay_s: float
    """The longest delay of its rules, which comes on top by intention."""
    period_s: float
    all_alive_s: float
    """Infinite where more urgent reads alone fill the line; `worst_s` then too."""
    worst_s: float
    """With as many devices falling silent at the same moment as were assumed."""
    tolerated: int | None
    """How many other devices may fall silent at the same moment with the deadline still met; None:
    all of them. -1: not even none."""

    @property
    def is_in_time(self) -> bool:
        """Whether the deadline is met in the worst case."""
        return self.worst_s <= DEADLINE_S


def watched_points(site: SiteSpec) -> Watched:
    """Return the fire and gas rules by the points they watch, be it by what is derived of them."""
    sources = {each.point: each.sources for each in site.derived}
    found: dict[str, list[RuleSpec]] = {}
    for rule in site.rules:
        if rule.alarm_class in (AlarmClass.FIRE, AlarmClass.GAS):
            watched = dict.fromkeys(points_of(rule.condition))
            todo = list(watched)
            while todo:
                new = [each for each in sources.get(todo.pop(), ()) if each not in watched]
                watched.update(dict.fromkeys(new))
                todo += new
            for point in watched:
                found.setdefault(point, []).append(rule)
    return found


def contact_points(pins: GpioBusSpec, watched: Watched) -> Iterator[FirePoint]:
    for each in pins.inputs:
        if each.point in watched:
            worst_s = pins.poll_s + each.debounce_s
            yield FirePoint(
                point=each.point,
                bus=pins.id,
                is_contact=True,
                rules=tuple(rule.id for rule in watched[each.point]),
                on_delay_s=max(rule.on_delay_s for rule in watched[each.point]),
                period_s=pins.poll_s,
                all_alive_s=worst_s,
                worst_s=worst_s,
                tolerated=None if worst_s <= DEADLINE_S else -1,
            )


def measured_points(
    spec: ModbusBusSpec,
    bus: BusLoad,
    watched: Watched,
    assumptions: Assumptions,
) -> Iterator[FirePoint]:
    for point in (each for each in _points(bus) if each in watched):
        read = min(
            (each for each in bus.reads if point in each.points), key=lambda each: each.period_s
        )
        costs = sorted(
            (silence_cost_s(spec, each) for each in spec.devices if each.id != read.device),
            reverse=True,
        )
        late_by = [
            _worst_s(spec, bus, read, assumptions, sum(costs[:count]))
            for count in range(len(costs) + 1)
        ]
        met = sum(1 for each in late_by if each <= DEADLINE_S)
        yield FirePoint(
            point=point,
            bus=bus.id,
            is_contact=False,
            rules=tuple(rule.id for rule in watched[point]),
            on_delay_s=max(rule.on_delay_s for rule in watched[point]),
            period_s=read.period_s,
            all_alive_s=late_by[0],
            worst_s=late_by[min(assumptions.silent_devices, len(costs))],
            tolerated=None if met == len(late_by) else met - 1,
        )


def _points(bus: BusLoad) -> tuple[str, ...]:
    """Return the points a bus reads, each once, in order."""
    return tuple(dict.fromkeys(point for each in bus.reads for point in each.points))


def _worst_s(
    spec: ModbusBusSpec,
    bus: BusLoad,
    read: PlannedRead,
    assumptions: Assumptions,
    silent_s: float,
) -> float:
    """Return how long after a change a read tells it at most; infinite where nothing bounds it.

    A change just missed waits a period. Then the line may be busy with any one read and with devices
    that fell silent (`silent_s`), every output on the bus may be written and read back, each other
    read of the same class goes first once, those of a more urgent class as often as they are due,
    and less urgent ones that are long overdue are let through between.
    """
    rank = list(PollClass).index
    own = rank(read.poll_class)
    peers = [each for each in bus.reads if each is not read and each.poll_class is read.poll_class]
    urgent = [each for each in bus.reads if rank(each.poll_class) < own]
    if sum(each.share for each in urgent) >= 1:
        return inf
    behind_s: dict[PollClass, float] = {}
    for each in bus.reads:
        if rank(each.poll_class) > own:
            behind_s[each.poll_class] = max(behind_s.get(each.poll_class, 0.0), each.time_s)
    turns = 1 + (len(peers) + 1) // PATIENCE
    once_s = (
        max(each.time_s for each in bus.reads)
        + silent_s
        + _orders_s(spec, bus.line, assumptions)
        + sum(each.time_s for each in peers)
        + turns * sum(behind_s.values())
    )
    wait_s = 0.0
    while True:
        grown_s = once_s + sum((wait_s // each.period_s + 1) * each.time_s for each in urgent)
        if grown_s > _HOPELESS_S:
            return inf
        if grown_s <= wait_s:
            return read.period_s + wait_s + read.time_s
        wait_s = grown_s


def _orders_s(spec: ModbusBusSpec, line: SerialPort | None, assumptions: Assumptions) -> float:
    """Return the time of writing every output of a bus and reading it back."""
    coil = Request(area=Area.COIL, address=0, count=1)
    pair_s = transaction_s(spec, line, assumptions, None) + transaction_s(
        spec, line, assumptions, coil
    )
    return sum(len(device.outputs) * (pair_s + 2 * device.gap_s) for device in spec.devices)
