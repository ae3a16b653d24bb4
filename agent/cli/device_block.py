"""What a scan found, as lines to paste into a site file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.cli.probing import Found, Port
from drivers.modbus.spec import SerialPort
from drivers.reading import Value


def port_words(port: Port) -> str:
    """Return a port and its settings in a line."""
    if isinstance(port, SerialPort):
        return f"{port.path} {port.baud} 8{port.parity}{port.stop_bits}"
    return f"{port.host}:{port.port}" + (" (RTU over TCP)" if port.rtu else "")


def device_block(
    bus: str, found: Sequence[Found], *, taken: Iterable[str] = (), known: Mapping[int, str]
) -> str:
    """Return the `devices:` of a site file, or only comments when there is nothing new.

    Args:
        bus: the id of their bus.
        found: devices on one setting of the port.
        taken: ids that stand in the site file already.
        known: by unit id, devices that stand in the site file already.
    """
    ids = set(taken)
    lines: list[str] = []
    remarks: list[str] = []
    for each in found:
        if each.unit in known:
            remarks.append(f"  # unit {each.unit} is '{known[each.unit]}' already")
        elif not each.fits and each.word is None:
            remarks.append(
                f"  # unit {each.unit} answers (exception {each.refusal} for {each.probe.area} "
                "register 0), no profile fits: name its registers from its manual"
            )
        else:
            lines += _device(bus, each, ids)
    return (
        "\n".join(["devices:" if lines else "# devices: nothing to add", *lines, *remarks]) + "\n"
    )


def bus_block(bus: str, port: Port) -> str:
    """Return the `buses:` of a site file for a port that is in none yet."""
    if isinstance(port, SerialPort):
        lines = [
            f"  - id: {bus}",
            "    type: modbus-rtu",
            f"    port: {port.path}",
            f"    baud: {port.baud}",
            f"    parity: {port.parity}",
            f"    stop_bits: {port.stop_bits}",
        ]
    else:
        lines = [
            f"  - id: {bus}",
            f"    type: {'modbus-rtu-tcp' if port.rtu else 'modbus-tcp'}",
            f"    host: {port.host}",
            f"    port: {port.port}",
        ]
    return "\n".join(["buses:", *lines]) + "\n"


def values_words(values: Mapping[str, Value], units: Mapping[str, str]) -> str:
    """Return values for people: `temperature 23.5 °C, humidity 45 %RH`."""
    return ", ".join(
        f"{name} {value:.4g} {units.get(name, '')}".rstrip()
        if isinstance(value, (int, float))
        else f"{name} {value}"
        for name, value in values.items()
    )


def _device(bus: str, found: Found, ids: set[str]) -> list[str]:
    fit = found.fits[0] if found.fits else None
    stem = f"{fit.profile.name if fit else 'unit'}-{found.unit}"
    name = next(
        each for each in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if each not in ids
    )
    ids.add(name)
    lines = [f"  - id: {name}", f"    bus: {bus}", f"    unit: {found.unit}"]
    if fit is None:
        lines += [
            "    # no profile fits: put its registers here, from its manual",
            "    quantities:",
            f"      - {{name: register-0, area: {found.probe.area}, address: 0, type: "
            f"{'bool' if found.probe.area in ('coil', 'discrete') else 'u16'}}}"
            f"   # reads {found.word}",
        ]
        return lines
    units = {each.name: each.unit for each in fit.profile.quantities}
    lines.append(f"    profile: {fit.profile.name}   # reads {values_words(fit.values, units)}")
    others = [each.profile.name for each in found.fits[1:]]
    if others:
        lines.append(
            f"    # {', '.join(others)} would fit as well: hold the type plate against it, and each "
            "value against the display"
        )
    if fit.profile.unverified:
        lines.append("    # nobody has confirmed this map: hold each value against the display")
    return lines
