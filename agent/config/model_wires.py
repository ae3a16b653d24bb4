"""Models of what is wired: buses, devices, quantities, inputs, outputs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from agent.config.faults import did_you_mean
from agent.config.model_base import Id, LabelModel, Model, Pin, Port, TelemetryModel, Text
from agent.core.spec import PointKind
from drivers.gpio.contacts import contact_profiles
from drivers.gpio.spec import ContactForm, Pull
from drivers.modbus.spec import Area, DataType, Order, PollClass

LONGEST_POLL_S = 3600.0

PollSeconds = Annotated[float, Field(gt=0, le=LONGEST_POLL_S)]


class PollModel(Model):
    """How often points of each poll class are read, in seconds."""

    fire_s: PollSeconds = Field(
        default=1.0, description="Points that rules of class fire or gas watch."
    )
    normal_s: PollSeconds = Field(default=2.0, description="Everything else.")
    slow_s: PollSeconds = Field(default=30.0, description="Energy counters and the like.")


class GpioBusModel(Model):
    """The pins of the box itself."""

    id: Id
    type: Literal["gpio"]
    label: LabelModel = LabelModel()
    chip: int = Field(default=0, ge=0, le=15, description="Number of the GPIO chip.")
    poll_ms: float = Field(default=50, ge=1, le=1000, description="How often levels are read.")


class _ModbusBusModel(Model):
    """What every Modbus bus has."""

    id: Id
    label: LabelModel = LabelModel()
    timeout_ms: float = Field(
        default=500, ge=10, le=10_000, description="How long a reply may take."
    )
    settle_ms: float = Field(
        default=500, ge=0, le=10_000, description="Silence kept after a time-out, for late replies."
    )
    retries: int = Field(default=1, ge=0, le=3, description="Tries again within one poll.")
    poll: PollModel = PollModel()


class TcpBusModel(_ModbusBusModel):
    """A Modbus TCP connection, or RTU frames over TCP (a transparent serial gateway)."""

    type: Literal["modbus-tcp", "modbus-rtu-tcp"]
    host: Text = Field(description="Name or address of the device or gateway.")
    port: Port = Field(default=502, description="TCP port.")


class SerialBusModel(_ModbusBusModel):
    """A Modbus RTU line (RS-485)."""

    type: Literal["modbus-rtu"]
    port: Text = Field(description="Serial port; /dev/serial/by-id/... keeps its name.")
    baud: int = Field(default=9600, ge=300, le=1_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


BusModel = Annotated[GpioBusModel | TcpBusModel | SerialBusModel, Field(discriminator="type")]


class LoopModel(Model):
    """The two ends of a 4-20 mA loop, in the point's unit."""

    low: float = Field(description="Value at 4 mA.")
    high: float = Field(description="Value at 20 mA.")


class RangeModel(Model):
    """Values outside of these are bad readings, in the point's unit."""

    min: float | None = None
    max: float | None = None


class PointModel(Model):
    """What the site says about one quantity of a device."""

    label: LabelModel = LabelModel()
    zone: Id | None = None
    telemetry: TelemetryModel | None = None
    poll: Annotated[PollClass, Field(strict=False)] | None = None
    stale_after_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Without a reading for this long the point is stale.",
    )
    state_deadband: float | None = Field(
        default=None, ge=0, description="Least change that refreshes the retained MQTT state."
    )
    valid: RangeModel | None = None
    loop: LoopModel | None = None
    fault: Literal["off"] | None = Field(
        default=None, description="off: no fault alarm when this point is not heard of."
    )


class QuantityModel(PointModel):
    """A register of a device that has no profile, or one the profile does not know."""

    name: Id = Field(description="The point is called <device>.<name>.")
    area: Annotated[Area, Field(strict=False)]
    address: int = Field(ge=0, le=65535, description="Protocol address, from 0.")
    type: Annotated[DataType, Field(strict=False)]
    unit: str = Field(default="", max_length=16)
    kind: Annotated[PointKind, Field(strict=False)] = PointKind.GENERIC
    word_order: Annotated[Order, Field(strict=False)] = Order.BIG
    byte_order: Annotated[Order, Field(strict=False)] = Order.BIG
    scale: float = 1.0
    offset: float = Field(default=0.0, description="value = raw x scale + offset.")
    bit: int = Field(default=0, ge=0, le=15)
    bit_count: int = Field(default=1, ge=1, le=16)
    length: int = Field(default=1, ge=1, le=125)
    sentinels: tuple[int, ...] = Field(default=(), description="Raw values that mean `no value`.")
    enum: dict[int, bool | int | float | str] = Field(
        default={}, description="Raw value to word, or to true / false."
    )


def _point_or_off(value: object) -> str:
    return "<off>" if isinstance(value, str) else "<point>"


PointOrOff = Annotated[
    Annotated[PointModel, Tag("<point>")] | Annotated[Literal["off"], Tag("<off>")],
    Discriminator(_point_or_off),
]


class DeviceModel(Model):
    """A unit on a Modbus bus."""

    id: Id
    bus: Id
    unit: int = Field(description="Modbus unit id, 1 to 247.")
    profile: Text | None = Field(
        default=None,
        description="Name of a register map that comes with the agent, or a path to one.",
    )
    zone: Id | None = None
    label: LabelModel = LabelModel()
    telemetry: TelemetryModel | None = Field(
        default=None, description="Default for all its points."
    )
    max_registers: int | None = Field(
        default=None, ge=1, le=125, description="Registers in one read."
    )
    max_gap: int | None = Field(
        default=None, ge=0, le=124, description="Registers a read may span unused."
    )
    timeout_ms: float | None = Field(default=None, ge=10, le=10_000)
    gap_ms: float | None = Field(
        default=None, ge=0, le=1000, description="Extra silence before a request."
    )
    points: dict[Id, PointOrOff] = Field(
        default={}, description="Settings per quantity of the profile; `off` drops one."
    )
    quantities: tuple[QuantityModel, ...] = ()


def _known_contact(name: str) -> str:
    known = contact_profiles()
    if name not in known:
        raise PydanticCustomError(
            "contact_profile",
            "no kind of contact '{name}'{hint}",
            {"name": name, "hint": did_you_mean(name, known)},
        )
    return name


def _for_editors(schema: dict[str, Any]) -> None:
    """Name the profiles, and ask for what a profile gives only where there is none."""
    schema["properties"]["profile"]["anyOf"][0]["enum"] = sorted(contact_profiles())
    given = ("kind", "contact")
    schema["required"] = [each for each in schema["required"] if each not in given]
    schema["anyOf"] = [{"required": ["profile"]}, {"required": list(given)}]


class InputModel(Model):
    """A contact on a pin."""

    model_config = ConfigDict(json_schema_extra=_for_editors)

    id: Id
    bus: Id
    pin: Pin = Field(description="BCM number, 2 to 27.")
    profile: Annotated[Text, AfterValidator(_known_contact)] | None = Field(
        default=None,
        description="Kind of contact that comes with the agent: gives kind, contact, pull, debounce "
        "and names where they are left out.",
    )
    kind: Annotated[PointKind, Field(strict=False)]
    contact: Annotated[ContactForm, Field(strict=False)]
    pull: Annotated[Pull, Field(strict=False)] = Pull.UP
    debounce_ms: float = Field(default=50, ge=0, le=10_000)
    pair_pin: Pin | None = Field(
        default=None,
        description="The other contact of the same change-over relay: a broken wire shows.",
    )
    zone: Id | None = None
    label: LabelModel = LabelModel()
    telemetry: TelemetryModel | None = None
    fault: Literal["off"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: object) -> object:
        """Put in what the profile gives and the site leaves out."""
        name = value.get("profile") if isinstance(value, dict) else None
        if not isinstance(value, dict) or name is None:
            return value
        contact = contact_profiles().get(name) if isinstance(name, str) else None
        if contact is None:  # the profile is the fault, not what it would have given
            return {"kind": PointKind.GENERIC, "contact": ContactForm.NORMALLY_CLOSED, **value}
        label = value.get("label", {})
        names = {"en": contact.label_en, "zh": contact.label_zh}
        return {
            "kind": contact.kind,
            "contact": contact.contact,
            "pull": contact.pull,
            "debounce_ms": contact.debounce_ms,
            **value,
            "label": {**names, **label} if isinstance(label, dict) else label,
        }


class FaultsModel(Model):
    """The fault rules that are built in for every point, device, bus and part."""

    after_s: Annotated[float, Field(ge=0, le=100)] = Field(
        default=10.0, description="How long a point may be unheard before it is a fault."
    )
    alarm_class: Literal["fault", "technical"] = Field(default="fault", alias="class")
    ack: Literal["required", "not-required"] = Field(
        default="not-required",
        description="Whether somebody must acknowledge; trouble restores by itself either way.",
    )
