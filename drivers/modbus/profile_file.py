"""The shape of a profile's file, and what it must hold beside its shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.modbus.plan import overlaps, plan_reads
from drivers.modbus.profile import AREA_OF_FUNCTION, Check, Profile, Sample, SerialDefaults
from drivers.modbus.registers import faults_of, width
from drivers.modbus.spec import Area, DataType, LoopSpec, Order, PollClass, QuantitySpec


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
_Text = Annotated[str, Field(min_length=1)]
_Hex = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2} ?)+$")]


class LoopModel(_Model):
    """A 4-20 mA loop."""

    low: float
    high: float


class RangeModel(_Model):
    """The valid range, in engineering units."""

    min: float | None = None
    max: float | None = None


class QuantityModel(_Model):
    """One quantity."""

    name: _Name
    area: Area
    address: int = Field(ge=0, le=65535)
    type: DataType
    unit: str = ""
    kind: _Name = "generic"
    word_order: Order = Order.BIG
    byte_order: Order = Order.BIG
    scale: float = 1.0
    offset: float = 0.0
    bit: int = 0
    bit_count: int = 1
    length: int = 1
    sentinels: tuple[int, ...] = ()
    valid: RangeModel = RangeModel()
    enum: dict[int, bool | int | float | str] = Field(default_factory=dict)
    loop: LoopModel | None = None
    poll: PollClass = PollClass.NORMAL

    def spec(self) -> QuantitySpec:
        """Return the quantity as the bus wants it."""
        return QuantitySpec(
            name=self.name,
            area=self.area,
            address=self.address,
            type=self.type,
            unit=self.unit,
            kind=self.kind,
            word_order=self.word_order,
            byte_order=self.byte_order,
            scale=self.scale,
            offset=self.offset,
            bit=self.bit,
            bit_count=self.bit_count,
            length=self.length,
            sentinels=self.sentinels,
            valid_min=self.valid.min,
            valid_max=self.valid.max,
            enum=dict(self.enum),
            loop=LoopSpec(low=self.loop.low, high=self.loop.high) if self.loop else None,
            poll_class=self.poll,
        )


class SerialModel(_Model):
    """Factory settings."""

    unit: int = Field(default=1, ge=1, le=247)
    baud: int = Field(default=9600, ge=300, le=1_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class CheckModel(_Model):
    """A check at commissioning."""

    quantity: _Name
    min: float
    max: float


class SampleModel(_Model):
    """An exchange."""

    request: _Hex
    response: _Hex
    values: dict[_Name, bool | int | float | str | None] = Field(min_length=1)
    source: str = ""
    synthetic: bool = False

    @model_validator(mode="after")
    def _has_an_origin(self) -> SampleModel:
        if bool(self.source) == self.synthetic:
            raise ValueError("say where the exchange was seen (source), or synthetic: true")
        request, response = bytes.fromhex(self.request), bytes.fromhex(self.response)
        if len(request) != 5 or request[0] not in AREA_OF_FUNCTION:
            raise ValueError("request is function 01 to 04, address and count: 5 bytes")
        count = int.from_bytes(request[3:5], "big")
        data = (count + 7) // 8 if request[0] < 3 else 2 * count
        if response[:2] != bytes([request[0], data & 0xFF]) or len(response) != 2 + data:
            raise ValueError(f"response is {request[0]:02x} {data:02x} and {data} bytes of data")
        return self


class ProfileModel(_Model):
    """A profile's file."""

    title: _Text
    sources: tuple[_Text, ...] = Field(min_length=1)
    unverified: bool = False
    notes: str = ""
    serial: SerialModel | None = None
    max_registers: int = Field(default=125, ge=1, le=125)
    max_gap: int = Field(default=8, ge=0, le=124)
    timeout_ms: float | None = Field(default=None, ge=10, le=10_000)
    gap_ms: float = Field(default=0.0, ge=0, le=1000)
    quantities: tuple[QuantityModel, ...] = ()
    coils: dict[_Name, Annotated[int, Field(ge=0, le=65535)]] = Field(default_factory=dict)
    verify: tuple[CheckModel, ...] = ()
    samples: tuple[SampleModel, ...] = ()

    def profile(self, name: str) -> Profile:
        """Return the profile under a name."""
        return Profile(
            name=name,
            title=self.title,
            sources=self.sources,
            unverified=self.unverified,
            quantities=tuple(each.spec() for each in self.quantities),
            max_registers=self.max_registers,
            max_gap=self.max_gap,
            timeout_s=None if self.timeout_ms is None else self.timeout_ms / 1000,
            gap_s=self.gap_ms / 1000,
            serial=None if self.serial is None else SerialDefaults(**self.serial.model_dump()),
            coils=dict(self.coils),
            verify=tuple(Check(**each.model_dump()) for each in self.verify),
            samples=tuple(
                Sample(
                    request=bytes.fromhex(each.request),
                    response=bytes.fromhex(each.response),
                    values=dict(each.values),
                    source=each.source,
                    synthetic=each.synthetic,
                )
                for each in self.samples
            ),
            notes=self.notes,
        )


Where = tuple[str | int, ...]
"""The path of a fault in the file."""


def faults_in(model: ProfileModel) -> list[tuple[Where, str]]:
    """Return what the shape alone cannot tell."""
    faults: list[tuple[Where, str]] = []
    if not model.quantities and not model.coils:
        faults.append((("quantities",), "a profile has quantities, or coils, or both"))
    seen: set[str] = set()
    for index, each in enumerate(model.quantities):
        where = ("quantities", index)
        if each.name in seen:
            faults.append(((*where, "name"), f"{each.name} is there twice; names differ"))
        seen.add(each.name)
        found = faults_of(each.spec())
        faults.extend((where, what) for what in found)
        if not found:
            try:
                plan_reads([each.spec()], max_registers=model.max_registers)
            except ValueError as error:
                faults.append((where, f"{error} (max_registers)"))
    if not faults:
        specs = [each.spec() for each in model.quantities]
        faults.extend(
            (
                ("quantities", specs.index(inner)),
                f"{inner.name} at {inner.area} {inner.address} begins inside {outer.name}, which"
                f" takes {outer.address} to {outer.address + width(outer) - 1}",
            )
            for outer, inner in overlaps(specs)
        )
    for index, check in enumerate(model.verify):
        if check.quantity not in seen:
            faults.append((("verify", index, "quantity"), _unknown(check.quantity, seen)))
    for index, sample in enumerate(model.samples):
        faults.extend(
            (("samples", index, "values", name), _unknown(name, seen))
            for name in sample.values
            if name not in seen
        )
    return faults


def _unknown(name: str, known: set[str]) -> str:
    return f"there is no quantity {name}; known: {', '.join(sorted(known))}"
