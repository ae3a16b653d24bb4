"""What each kind of output writes, and what its read back means. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.modbus.plan import Request
from drivers.modbus.spec import (
    Area,
    OutputSpec,
    PulseOutputSpec,
    RegisterOutputSpec,
)

WRITE_COIL = 5
WRITE_REGISTER = 6
"""Function codes (Modbus Application Protocol 1.1b3, sections 6.5 and 6.6)."""

COIL_ON, COIL_OFF = 0xFF00, 0x0000
"""The two values of function 05 (section 6.5)."""

PULSE_UNIT_S = 0.1
"""Waveshare Modbus RTU Relay: function 05 to the flash-on address, value in units of 100 ms."""
MOST_PULSE_UNITS = 0x7FFF
"""The longest pulse of the same module; 0xFF00 is an ordinary write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One single write (function 05 or 06), which a device answers by repeating it."""

    function: int
    address: int
    value: int

    @property
    def echo(self) -> bytes:
        """Address and value as on the wire."""
        return self.address.to_bytes(2, "big") + self.value.to_bytes(2, "big")


def write_of(spec: OutputSpec, energised: bool) -> Write:
    """Return the write that switches an output; a pulse is started, and ended before its time."""
    if isinstance(spec, RegisterOutputSpec):
        value = spec.on if energised else spec.off
        return Write(function=WRITE_REGISTER, address=spec.address, value=value)
    if isinstance(spec, PulseOutputSpec) and energised:
        units = round(spec.pulse_s / PULSE_UNIT_S)
        return Write(function=WRITE_COIL, address=spec.pulse_address, value=units)
    value = COIL_ON if energised else COIL_OFF
    return Write(function=WRITE_COIL, address=spec.address, value=value)


def question_of(spec: OutputSpec) -> Request:
    """Return the read that tells the state of an output."""
    if isinstance(spec, RegisterOutputSpec):
        at = spec.address if spec.read_back is None else spec.read_back
        return Request(area=Area.HOLDING, address=at, count=1)
    return Request(area=Area.COIL, address=spec.address, count=1)


def state_of(spec: OutputSpec, word: int) -> bool | None:
    """Return whether a word read back means on; None where it means neither on nor off."""
    if not isinstance(spec, RegisterOutputSpec):
        return bool(word)
    return True if word == spec.on else False if word == spec.off else None


def faults_of_output(spec: OutputSpec) -> tuple[str, ...]:
    """Return what makes no sense in an output, in words; empty when nothing."""
    faults: list[str] = []
    addresses = [spec.address]
    if isinstance(spec, RegisterOutputSpec):
        if spec.read_back is not None:
            addresses.append(spec.read_back)
        if not (0 <= spec.on <= 0xFFFF and 0 <= spec.off <= 0xFFFF):
            faults.append("on and off must be 0 to 65535")
        if spec.on == spec.off:
            faults.append("on and off must differ")
    elif isinstance(spec, PulseOutputSpec):
        addresses.append(spec.pulse_address)
        if not 1 <= round(spec.pulse_s / PULSE_UNIT_S) <= MOST_PULSE_UNITS:
            faults.append(f"a pulse is {PULSE_UNIT_S:g} to {MOST_PULSE_UNITS * PULSE_UNIT_S:g} s")
        if spec.pulse_address == spec.address:
            faults.append("a pulse needs an address of its own")
    if not all(0 <= each <= 0xFFFF for each in addresses):
        faults.append("addresses are 0 to 65535")
    return tuple(faults)
