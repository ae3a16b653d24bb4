"""Register maps as data: drivers/profiles/*.yaml, or a file of the user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from drivers.modbus.plan import overlaps, plan_reads
from drivers.modbus.registers import BIT_AREAS, Decoded, Decoder, faults_of, width
from drivers.modbus.spec import (
    Area,
    DataType,
    LoopSpec,
    Order,
    PollClass,
    QuantitySpec,
)
from drivers.reading import Value

FOLDER = Path(__file__).parent.parent / "profiles"
"""Where the profiles stand that come with the agent."""

_AREA_OF_FUNCTION = {1: Area.COIL, 2: Area.DISCRETE, 3: Area.HOLDING, 4: Area.INPUT}
_LONGEST_FILE = 256 * 1024
"""A map of 500 quantities is about 60 KiB."""
_PARSER_TRIPS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError
)  # fmt: skip
"""What ruamel.yaml 0.19 raises besides its own errors: on tags that do not fit, on deep nesting."""


class ProfileError(Exception):
    """A profile that cannot be used; the text is one fault per line, each with its place."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


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


def list_profiles(folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of the profiles that come with the agent, sorted."""
    return tuple(sorted(each.stem for each in folder.glob("*.yaml")))


def load_profile(name_or_path: str | Path) -> Profile:
    """Return a profile: one that comes with the agent by its name, any other by its path.

    Raises:
        ProfileError: there is none, or it has faults, each as `file:line: path: what is wrong`.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and "/" not in name_or_path and path.suffix == "":
        path = FOLDER / f"{name_or_path}.yaml"
        if not path.is_file():
            known = ", ".join(list_profiles())
            raise ProfileError(
                (f"profile {name_or_path}: there is none of this name; known: {known}",)
            )
    try:
        content = path.read_bytes()
        if len(content) > _LONGEST_FILE:
            raise ProfileError((f"{path}:1: larger than {_LONGEST_FILE} bytes: not a profile",))
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError((f"{path}:1: cannot be read: {error}",)) from error
    return parse_profile(text, str(path), path.stem)


def parse_profile(text: str, file: str, name: str) -> Profile:
    """Return the profile in `text`; `file` is named in faults.

    Raises:
        ProfileError: as `load_profile`.
    """
    yaml = YAML(typ="rt")
    yaml.composer.warn_double_anchors = False
    try:
        document = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ProfileError((f"{file}:{line}: not YAML: {error.problem}",)) from error
    except (YAMLError, ValueError) as error:
        raise ProfileError((f"{file}:1: not YAML: {' '.join(str(error).split())}",)) from error
    except _PARSER_TRIPS as error:
        raise ProfileError(
            (f"{file}:1: not YAML for a profile: a tag (!!), or nested too deep",)
        ) from error
    if not isinstance(document, CommentedMap):
        raise ProfileError((f"{file}:1: a profile is a mapping: title, sources, quantities",))
    try:
        model = ProfileModel.model_validate(document, strict=False)
    except ValidationError as error:
        raise ProfileError(
            tuple(
                f"{file}:{_line(document, each['loc'])}: {_path(each['loc'])}: {_said(each['msg'])}"
                for each in error.errors(include_url=False)
            )
        ) from error
    faults = tuple(
        f"{file}:{_line(document, where)}: {_path(where)}: {what}" for where, what in _faults(model)
    )
    if faults:
        raise ProfileError(faults)
    return model.profile(name)


def decode_sample(profile: Profile, sample: Sample) -> dict[str, Decoded]:
    """Return what every quantity inside a sample's request decodes to."""
    area = _AREA_OF_FUNCTION[sample.request[0]]
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


# -- the file's shape ----------------------------------------------------------------------------------


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
        if len(request) != 5 or request[0] not in _AREA_OF_FUNCTION:
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


_Where = tuple[str | int, ...]


def _faults(model: ProfileModel) -> list[tuple[_Where, str]]:
    """Return what the shape alone cannot tell."""
    faults: list[tuple[_Where, str]] = []
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


def _line(document: CommentedMap, where: _Where) -> int:
    """Return the line of a path, or of the nearest thing above it that the file has."""
    line = 1
    node: object = document
    for key in where:
        if isinstance(node, CommentedMap) and key in node:
            line = node.lc.key(key)[0] + 1
            node = node[key]
        elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
            line = node.lc.item(key)[0] + 1
            node = node[key]
        else:
            break
    return line


def _path(where: _Where) -> str:
    keys = (f"[{key}]" if isinstance(key, int) else _printed(key) for key in where)
    return re.sub(r"\.\[", "[", ".".join(keys))


def _printed(key: str) -> str:
    """Return a key on one line; a broken file can have any."""
    return key if key.isprintable() else key.encode("unicode_escape").decode("ascii")


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace(
        "Extra inputs are not permitted", "no such key here"
    )
