"""What a site will ask of its buses, its uplinks and its disk, and what of that is too much. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from agent.config.bus_load import FULL_SHARE, Assumptions, BusLoad, bus_load
from agent.config.faults import ConfigFault, KeyPath
from agent.config.lateness import (
    DEADLINE_S,
    FirePoint,
    contact_points,
    measured_points,
    watched_points,
)
from agent.config.load import LoadedSite
from agent.config.positions import Document
from agent.config.volume import Volume, site_volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Everything foreseen of a site."""

    assumptions: Assumptions
    buses: tuple[BusLoad, ...]
    fire_points: tuple[FirePoint, ...]
    volume: Volume


def forecast(site: LoadedSite, assumptions: Assumptions | None = None) -> Forecast:
    """Return what a site will ask of its buses, uplinks and disk."""
    assumptions = assumptions or Assumptions()
    watched = watched_points(site.spec)
    fire_points = [each for pins in site.gpio_buses for each in contact_points(pins, watched)]
    buses: list[BusLoad] = []
    for spec in site.modbus_buses:
        bus = bus_load(spec, assumptions)
        buses.append(bus)
        fire_points += measured_points(spec, bus, watched, assumptions)
    return Forecast(
        assumptions=assumptions,
        buses=tuple(buses),
        fire_points=tuple(fire_points),
        volume=site_volume(site, buses),
    )


def warnings_of(foreseen: Forecast, document: Document) -> tuple[ConfigFault, ...]:
    """Return what is too much, each at its bus in the site file (or input, where that is the cause)."""
    remarks = [
        *((bus.id, _too_full(bus, foreseen.assumptions)) for bus in foreseen.buses if bus.is_full),
        *(
            (each.point if each.is_contact else each.bus, _too_late(each, foreseen.assumptions))
            for each in foreseen.fire_points
            if not each.is_in_time
        ),
    ]
    places = _places(document)
    return tuple(document.fault(places.get(name, ()), message) for name, message in remarks)


def _places(document: Document) -> dict[str, KeyPath]:
    """Return where buses and inputs stand in the file, by id."""
    data = document.data if isinstance(document.data, dict) else {}
    return {
        str(each.get("id")): (section, index)
        for section in ("inputs", "buses")
        for index, each in enumerate(data.get(section, ()))
        if isinstance(each, dict)
    }


def _too_full(bus: BusLoad, assumptions: Assumptions) -> str:
    answer_s = assumptions.tcp_answer_s if bus.line is None else assumptions.turnaround_s
    late = (
        "so polls come late" if bus.load > 1 else f"over {FULL_SHARE:.0%} leaves little for writes"
    )
    return (
        f"polls take {bus.load:.0%} of its time, {late} (devices are taken to answer after "
        f"{answer_s * 1000:g} ms): lengthen `poll`, drop points, raise the baud rate or divide the bus"
    )


def _too_late(each: FirePoint, assumptions: Assumptions) -> str:
    silent = assumptions.silent_devices
    worst = f"up to {each.worst_s:.1f} s" if isfinite(each.worst_s) else "an unlimited time"
    devices = {0: "all devices answering", 1: "one silent device beside it"}
    around = devices.get(silent, f"{silent} silent devices beside it")
    if each.is_contact:
        return f"'{each.point}' is debounced for {worst}, more than the {DEADLINE_S:g} s of a fire alarm"
    return (
        f"'{each.point}' may be read {worst} after a change with {around}, more than the "
        f"{DEADLINE_S:g} s of a fire alarm: shorten `timeout_ms` and `settle_ms`, poll it as `fire`, "
        "or give it a bus of its own"
    )
