"""What can be wrong between things that are each right: names, pins, ports, units, secrets' places."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

from agent.config.catalogue import Catalogue, Findings
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_base import PIN_FIRST, PIN_LAST
from agent.config.model_derived import CounterModel
from agent.config.model_outputs import OutputModel
from agent.config.model_site import SiteModel, UplinkModel
from agent.config.model_wires import (
    GpioBusModel,
    InputModel,
    SerialBusModel,
    TcpBusModel,
)
from agent.core.spec import PointKind
from drivers.gpio.counting import fastest_hz
from drivers.gpio.spec import ContactForm
from drivers.modbus.spec import PollClass

FIRE_INPUTS = frozenset(
    {PointKind.SMOKE, PointKind.HEAT, PointKind.CALL_POINT, PointKind.GAS, PointKind.FLOW}
)
"""Kinds of contact whose broken wire must not look like peace."""

_ROOT = re.compile(r"[a-z0-9._-]+(/[a-z0-9._-]+)*")
"""Design section 8: lowercase letters, digits, dash, dot, underscore between slashes."""


def check_wires(catalogue: Catalogue, findings: Findings, folder: Path) -> None:
    """Note every fault of names, wiring and links."""
    site = catalogue.site
    _check_names(catalogue, findings)
    _check_zones(site, findings, catalogue.opaque)
    _check_ports(site, findings)
    _check_devices(catalogue, findings)
    _check_inputs(catalogue, findings)
    _check_counters(catalogue, findings)
    _check_pins(site, findings)
    _check_uplinks(catalogue, findings, folder)
    _check_box(site, findings)


# -- names -----------------------------------------------------------------------------------------


def _named(catalogue: Catalogue) -> Iterator[tuple[str, str, KeyPath]]:
    """Yield (what it is, id, path) of everything that shares the one space of names."""
    site = catalogue.site
    for section, word in (
        ("zones", "a zone"),
        ("buses", "a bus"),
        ("devices", "a device"),
        ("inputs", "an input"),
        ("counters", "a counter"),
        ("derived", "a derived point"),
        ("outputs", "an output"),
        ("rules", "a rule"),
    ):
        for index, each in enumerate(getattr(site, section)):
            yield word, each.id, (section, index, "id")
    for measured in (item for items in catalogue.by_device.values() for item in items):
        at = (*measured.path, "name") if "quantities" in measured.path else measured.path
        yield "a point", measured.point, at


def _check_names(catalogue: Catalogue, findings: Findings) -> None:
    built_in = {*catalogue.health_points, *catalogue.online_points}
    first: dict[str, tuple[str, KeyPath]] = {}
    for word, name, path in _named(catalogue):
        if name in first:
            other, at = first[name]
            findings.fault(path, f"'{name}' is {other} already, on line {findings.line(at)}")
            continue
        first[name] = (word, path)
        if name == "box" or name.startswith(("box.", "fault.")) or name in built_in:
            findings.fault(path, f"'{name}' is a name of the agent's own; choose another")
    for section in ("linkage", "uplinks"):
        seen: dict[str, int] = {}
        for index, each in enumerate(getattr(catalogue.site, section)):
            path = (section, index, "id")
            if each.id in seen:
                line = findings.line((section, seen[each.id], "id"))
                findings.fault(path, f"'{each.id}' stands twice, first on line {line}")
            seen.setdefault(each.id, index)


def _check_zones(site: SiteModel, findings: Findings, opaque: set[str]) -> None:
    zones = {zone.id for zone in site.zones}

    def look(zone: str | None, path: KeyPath) -> None:
        if zone is not None and zone not in zones and zone not in opaque:
            findings.fault(path, f"no zone '{zone}'{did_you_mean(zone, zones)}")

    for section in ("devices", "inputs", "counters", "derived", "outputs", "rules"):
        for index, each in enumerate(getattr(site, section)):
            look(each.zone, (section, index, "zone"))
    for index, device in enumerate(site.devices):
        for name, point in device.points.items():
            if not isinstance(point, str):
                look(point.zone, ("devices", index, "points", name, "zone"))
        for number, own in enumerate(device.quantities):
            look(own.zone, ("devices", index, "quantities", number, "zone"))
    for index, link in enumerate(site.linkage):
        for number, zone in enumerate(link.zones):
            look(zone, ("linkage", index, "zones", number))


# -- buses and devices -----------------------------------------------------------------------------


def _check_ports(site: SiteModel, findings: Findings) -> None:
    seen: dict[object, int] = {}
    for index, bus in enumerate(site.buses):
        key: object
        if isinstance(bus, GpioBusModel):
            key, at, what = ("gpio", bus.chip), "chip", f"chip {bus.chip}"
        elif isinstance(bus, SerialBusModel):
            key, at, what = ("serial", bus.port), "port", bus.port
        else:
            key, at, what = ("tcp", bus.host, bus.port), "port", f"{bus.host}:{bus.port}"
        if key in seen:
            other = site.buses[seen[key]].id
            findings.fault(
                ("buses", index, at),
                f"{what} belongs to bus '{other}' already; put all its devices on one bus",
            )
        seen.setdefault(key, index)


def _check_devices(catalogue: Catalogue, findings: Findings) -> None:
    site = catalogue.site
    modbus = {bus.id: bus for bus in site.buses if not isinstance(bus, GpioBusModel)}
    gpio = {bus.id for bus in site.buses if isinstance(bus, GpioBusModel)}
    units: dict[tuple[str, int], str] = {}
    for index, device in enumerate(site.devices):
        path: KeyPath = ("devices", index)
        if device.bus in gpio:
            findings.fault((*path, "bus"), f"'{device.bus}' has pins, not units; name a Modbus bus")
        elif device.bus not in modbus and device.bus not in catalogue.opaque:
            findings.fault(
                (*path, "bus"), f"no bus '{device.bus}'{did_you_mean(device.bus, modbus)}"
            )
        if not 1 <= device.unit <= 247:
            findings.fault(
                (*path, "unit"),
                "must be 1 to 247 (0 is broadcast, 248 to 255 are reserved)",
            )
        taken = units.setdefault((device.bus, device.unit), device.id)
        if taken != device.id:
            findings.fault(
                (*path, "unit"), f"unit {device.unit} on '{device.bus}' is '{taken}' already"
            )
        has_outputs = any(output.device == device.id for output in site.outputs)
        if (
            not catalogue.by_device[device.id]
            and not has_outputs
            and device.id not in catalogue.opaque
        ):
            findings.fault(
                (*path, "id"), "has no points and no outputs; give a profile or quantities"
            )
        if (bus := modbus.get(device.bus)) is not None:
            _check_staleness(catalogue, device.id, bus, findings)


def _check_staleness(
    catalogue: Catalogue, device: str, bus: TcpBusModel | SerialBusModel, findings: Findings
) -> None:
    for measured in catalogue.by_device[device]:
        allowed_s = measured.settings.stale_after_s
        period_s = poll_period_s(bus, measured.quantity.poll_class)
        if allowed_s is not None and allowed_s < 2 * period_s:
            findings.fault(
                (*measured.path, "stale_after_s"),
                f"must be at least twice the poll period of {period_s:g} s, or one late poll is a fault",
            )


def poll_period_s(bus: TcpBusModel | SerialBusModel, poll_class: PollClass) -> float:
    """Return how often points of a poll class are read on a bus, in seconds."""
    return {
        PollClass.FIRE: bus.poll.fire_s,
        PollClass.NORMAL: bus.poll.normal_s,
        PollClass.SLOW: bus.poll.slow_s,
    }[poll_class]


# -- pins ------------------------------------------------------------------------------------------


def _check_inputs(catalogue: Catalogue, findings: Findings) -> None:
    site = catalogue.site
    buses = {bus.id: bus for bus in site.buses}
    for index, each in enumerate(site.inputs):
        path: KeyPath = ("inputs", index)
        check_pin_bus(each.bus, (*path, "bus"), catalogue, findings)
        bus = buses.get(each.bus)
        if isinstance(bus, GpioBusModel) and each.debounce_ms and each.debounce_ms < bus.poll_ms:
            findings.warn(
                (*path, "debounce_ms"),
                f"levels of '{bus.id}' are read every {bus.poll_ms:g} ms only: shorter is not seen",
            )
        if (
            each.kind in FIRE_INPUTS
            and each.contact is ContactForm.NORMALLY_OPEN
            and each.pair_pin is None
        ):
            findings.warn(
                (*path, "contact"),
                "a broken wire looks like peace: use the normally-closed contact, or both contacts "
                "with pair_pin",
            )


def _check_counters(catalogue: Catalogue, findings: Findings) -> None:
    buses = {bus.id: bus for bus in catalogue.site.buses}
    for index, each in enumerate(catalogue.site.counters):
        path: KeyPath = ("counters", index)
        check_pin_bus(each.bus, (*path, "bus"), catalogue, findings)
        bus = buses.get(each.bus)
        if not isinstance(bus, GpioBusModel) or each.id in catalogue.opaque:
            continue
        most_hz = fastest_hz(bus.poll_ms / 1000, each.debounce_ms / 1000)
        if each.max_hz > most_hz:
            findings.fault(
                (*path, "max_hz"),
                f"'{bus.id}' sees {most_hz:.3g} pulses a second for sure (poll_ms {bus.poll_ms:g}, "
                f"debounce_ms {each.debounce_ms:g}): shorten poll_ms, or use a counting module",
            )


def check_pin_bus(bus: str, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    """Note it when a bus is not there or has no pins."""
    kinds = {each.id: each for each in catalogue.site.buses}
    if bus in catalogue.opaque:
        return
    if bus not in kinds:
        findings.fault(path, f"no bus '{bus}'{did_you_mean(bus, kinds)}")
    elif not isinstance(kinds[bus], GpioBusModel):
        findings.fault(path, f"'{bus}' has no pins; name a gpio bus")


def _pins(
    site: SiteModel,
) -> Iterator[tuple[str, int, KeyPath, InputModel | CounterModel | OutputModel]]:
    for index, each in enumerate(site.inputs):
        yield each.bus, each.pin, ("inputs", index, "pin"), each
        if each.pair_pin is not None:
            yield each.bus, each.pair_pin, ("inputs", index, "pair_pin"), each
    for index, counter in enumerate(site.counters):
        yield counter.bus, counter.pin, ("counters", index, "pin"), counter
    for index, output in enumerate(site.outputs):
        if output.bus is not None and output.pin is not None:
            yield output.bus, output.pin, ("outputs", index, "pin"), output


def _check_pins(site: SiteModel, findings: Findings) -> None:
    taken: dict[tuple[str, int], str] = {}
    for bus, pin, path, owner in _pins(site):
        if pin in (0, 1):
            findings.fault(
                path,
                f"must be {PIN_FIRST} to {PIN_LAST}: pins 0 and 1 are probed for a HAT's EEPROM",
            )
        elif not PIN_FIRST <= pin <= PIN_LAST:
            findings.fault(path, f"must be {PIN_FIRST} to {PIN_LAST} (BCM number, not header pin)")
        elif (bus, pin) in taken:
            findings.fault(path, f"pin {pin} of '{bus}' is '{taken[bus, pin]}' already")
        taken.setdefault((bus, pin), owner.id)


# -- links -----------------------------------------------------------------------------------------


def _check_uplinks(catalogue: Catalogue, findings: Findings, folder: Path) -> None:
    site = catalogue.site
    sessions: dict[tuple[str, int, str], str] = {}
    speakers: dict[tuple[str, int, str], str] = {}
    for index, uplink in enumerate(site.uplinks):
        path: KeyPath = ("uplinks", index)
        if _ROOT.fullmatch(uplink.root) is None:
            findings.fault(
                (*path, "root"),
                "must be words of lowercase letters, digits, dash, dot, underscore, with / between",
            )
        if uplink.id in catalogue.opaque:
            continue
        session = (uplink.host, uplink.port, uplink.client_id or site.box)
        if session in sessions:
            findings.fault(
                (*path, "client_id"),
                f"same broker and client id as '{sessions[session]}': each would throw the other out",
            )
        sessions.setdefault(session, uplink.id)
        speaks = (uplink.host, uplink.port, uplink.root)
        if uplink.sink != "thingsboard":  # whose topics have no root
            if speaks in speakers:
                findings.fault(
                    (*path, "root"),
                    f"same broker and root as '{speakers[speaks]}': two would speak on the same topics",
                )
            speakers.setdefault(speaks, uplink.id)
        _check_tls(uplink, path, findings, folder)
        can_expire = uplink.protocol == "5" and uplink.sink == "native"
        if uplink.telemetry_expires_h is not None and not can_expire:
            findings.fault(
                (*path, "telemetry_expires_h"), "only with protocol 5 and the native sink"
            )
        if uplink.tls is None and uplink.password is not None and not is_loopback(uplink.host):
            findings.warn((*path, "password"), "goes over the network readable; add tls")


def _check_tls(uplink: UplinkModel, path: KeyPath, findings: Findings, folder: Path) -> None:
    tls = uplink.tls
    if tls is None:
        return
    for key, name in (
        ("ca_file", tls.ca_file),
        ("cert_file", tls.cert_file),
        ("key_file", tls.key_file),
    ):
        if name is not None and not _is_file(folder / name):
            findings.fault((*path, "tls", key), f"no such file: {folder / name}")
    if (tls.cert_file is None) != (tls.key_file is None):
        there = "cert_file" if tls.cert_file else "key_file"
        findings.fault((*path, "tls", there), "cert_file and key_file go together")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_box(site: SiteModel, findings: Findings) -> None:
    if not is_loopback(site.local.host):
        findings.fault(
            ("local", "host"),
            "must be a loopback address such as 127.0.0.1: the page asks nobody who they are; reach "
            "it through a tunnel or a proxy that does",
        )
    try:
        zoneinfo.ZoneInfo(site.timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        if known:  # a machine without the tz database cannot judge
            hint = did_you_mean(site.timezone, known)
            findings.fault(
                ("timezone",), "no such zone" + (hint if "mean" in hint else "; e.g. Asia/Shanghai")
            )
