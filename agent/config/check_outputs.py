"""What can be wrong with where outputs are wired and how they are switched."""

from __future__ import annotations

from agent.config.catalogue import Catalogue, Findings
from agent.config.check_wires import check_pin_bus
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_outputs import OutputModel
from agent.core.spec import OutputKind

WAVESHARE_PULSES = 0x0200
"""Waveshare Modbus RTU Relay: flash-on addresses 0x0200 to 0x0207 for coils 0 to 7."""

_PLACES = (("bus", "pin"), ("device", "coil"), ("device", "register"))

_BELONG = {
    "on": "register",
    "off": "register",
    "read_back": "register",
    "pulse_ms": "coil",
    "pulse_coil": "pulse_ms",
}
"""Keys that mean something beside another one only."""


def check_outputs(catalogue: Catalogue, findings: Findings) -> None:
    """Note every fault of outputs."""
    taken: dict[tuple[str, str, int], str] = {}
    for index, output in enumerate(catalogue.site.outputs):
        path: KeyPath = ("outputs", index)
        given = _given(output)
        place = tuple(
            each for each in ("bus", "pin", "device", "coil", "register") if each in given
        )
        if place not in _PLACES:
            if output.id not in catalogue.opaque:
                findings.fault(
                    (*path, "id"), "needs bus and pin, or device and coil, or device and register"
                )
            continue
        if output.bus is not None:
            check_pin_bus(output.bus, (*path, "bus"), catalogue, findings)
        else:
            _check_place(output, place[1], path, taken, catalogue, findings)
        for key, beside in _BELONG.items():
            if key in given and beside not in given and output.id not in catalogue.opaque:
                findings.fault((*path, key), f"goes with `{beside}` only", at_key=True)
        _check_ways(output, path, findings)


def pulse_coil_of(output: OutputModel) -> int:
    """Return where the pulses of an output are started."""
    return WAVESHARE_PULSES + (output.coil or 0) if output.pulse_coil is None else output.pulse_coil


def on_off_of(output: OutputModel) -> tuple[int, int]:
    """Return the two values of an output on a register."""
    return (1 if output.on is None else output.on), (0 if output.off is None else output.off)


def _given(output: OutputModel) -> set[str]:
    keys = ("bus", "pin", "device", "coil", "on", "off", "read_back", "pulse_ms", "pulse_coil")
    given = {key for key in keys if getattr(output, key) is not None}
    return given if output.register_ is None else given | {"register"}


def _check_place(
    output: OutputModel,
    key: str,
    path: KeyPath,
    taken: dict[tuple[str, str, int], str],
    catalogue: Catalogue,
    findings: Findings,
) -> None:
    devices = {device.id for device in catalogue.site.devices}
    device = output.device or ""
    if device not in devices and device not in catalogue.opaque:
        findings.fault((*path, "device"), f"no device '{device}'{did_you_mean(device, devices)}")
    address = output.coil if output.coil is not None else output.register_
    owner = taken.setdefault((device, key, address or 0), output.id)
    if owner != output.id:
        findings.fault((*path, key), f"{key} {address} of '{device}' is '{owner}' already")


def _check_ways(output: OutputModel, path: KeyPath, findings: Findings) -> None:
    if output.kind is OutputKind.HEALTH and output.active == "de-energised":
        findings.fault(
            (*path, "active"),
            "a health output is energised while the agent is well, so that a dead box drops out",
        )
    if output.register_ is not None and len(set(on_off_of(output))) == 1:
        findings.fault((*path, "off"), "must differ from the value of `on`")
    if output.pulse_ms is None:
        return
    if output.kind is OutputKind.HEALTH:
        findings.fault((*path, "pulse_ms"), "a health output stays on while the agent is well")
    elif not is_energised_when_active(output):
        findings.fault(
            (*path, "active"), "a pulse energises; say `active: energised`, or leave pulse_ms out"
        )
    if pulse_coil_of(output) > 0xFFFF or pulse_coil_of(output) == output.coil:
        findings.fault((*path, "pulse_coil"), "must be another address than `coil`, to 65535")


def is_energised_when_active(output: OutputModel) -> bool:
    """A cut-off cuts by dropping out unless the site says otherwise (design section 5)."""
    if output.active is None:
        return output.kind is not OutputKind.CUT_OFF
    return output.active == "energised"
