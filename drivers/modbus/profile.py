"""A register map: what a kind of device holds, and samples of its answers."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.modbus.registers import BIT_AREAS, Decoded, Decoder
from drivers.modbus.spec import Area, QuantitySpec
from drivers.reading import Value

AREA_OF_FUNCTION = {1: Area.COIL, 2: Area.DISCRETE, 3: Area.HOLDING, 4: Area.INPUT}
"""What a sample may ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialDefaults:
    """How the device leaves the factory."""

    unit: int
    baud: int
    parity: str
    stop_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A quantity that shows, read once at commissioning, whether this is the device it is taken for."""

    quantity: str
    min: float
    max: float
    """In the quantity's unit; a device of another make is unlikely to be within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One exchange with a device and what it means."""

    request: bytes
    """Function, address and count, without unit and checksum."""
    response: bytes
    """Function, byte count and data."""
    values: dict[str, Value | None]
    """By quantity; None where the answer must be bad."""
    source: str
    """Where the exchange was seen; empty when it was made from the map."""
    synthetic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of device: its quantities and how to talk to it."""

    name: str
    title: str
    sources: tuple[str, ...]
    unverified: bool
    """Nobody has held this map against a device or a manual; not to be trusted without a read-back."""
    quantities: tuple[QuantitySpec, ...]
    max_registers: int
    max_gap: int
    timeout_s: float | None
    gap_s: float
    serial: SerialDefaults | None
    coils: dict[str, int]
    """Coils meant for outputs, by name."""
    verify: tuple[Check, ...]
    samples: tuple[Sample, ...]
    notes: str


def decode_sample(profile: Profile, sample: Sample) -> dict[str, Decoded]:
    """Return what every quantity inside a sample's request decodes to."""
    area = AREA_OF_FUNCTION[sample.request[0]]
    start = int.from_bytes(sample.request[1:3], "big")
    count = int.from_bytes(sample.request[3:5], "big")
    data = sample.response[2:]
    if area in BIT_AREAS:
        words = [data[index // 8] >> (index % 8) & 1 for index in range(count)]
    else:
        words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, 2 * count, 2)]
    decoded: dict[str, Decoded] = {}
    for each in profile.quantities:
        decoder = Decoder(each)
        at = each.address - start
        if each.area is area and at >= 0 and at + decoder.width <= count:
            decoded[each.name] = decoder.decode(words[at : at + decoder.width])
    return decoded
