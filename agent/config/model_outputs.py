"""Models of what is switched: outputs, keys and lamps of the box."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent.config.model_base import TIME_PATTERN, Id, LabelModel, Model, Pin, Seconds, Text
from agent.config.model_conditions import DAYS, ConditionModel, Day
from agent.core.spec import LampSign, OutputKind, Pattern


class FeedbackModel(Model):
    """A contact that follows an output: a flow switch, an auxiliary contact, a limit switch."""

    point: Id
    within_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=5.0, description="It must follow within this time, or that is a fault."
    )


class ResetLineModel(Model):
    """The supply of detectors that latch themselves: active takes it away."""

    points: tuple[Id, ...] = Field(min_length=1, max_length=200)
    pulse_s: Annotated[float, Field(ge=0.5, le=60)] = Field(
        default=5.0, description="How long the supply is taken away."
    )
    blank_s: Annotated[float, Field(ge=0, le=120)] = Field(
        default=10.0, description="How long after that the detectors are not yet believed."
    )


class SelfTestModel(Model):
    """When an output tests itself."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1)
    at: Annotated[str, Field(pattern=TIME_PATTERN)] = Field(description='"10:00"')
    for_s: Annotated[float, Field(gt=0, le=600)] = 2.0


PatternWord = Annotated[Pattern, Field(strict=False)]


class PatternsModel(Model):
    """How an output moves while alarms of a class demand it; the most urgent one decides."""

    fire: PatternWord = Pattern.STEADY
    gas: PatternWord = Pattern.STEADY
    supervisory: PatternWord = Pattern.STEADY
    fault: PatternWord = Pattern.STEADY
    technical: PatternWord = Pattern.STEADY


class OutputModel(Model):
    """A switched line: a pin of the box, or a coil or register of a device."""

    id: Id
    kind: Annotated[OutputKind, Field(strict=False)]
    bus: Id | None = Field(default=None, description="GPIO bus; with `pin`.")
    pin: Pin | None = Field(default=None, description="BCM number, 2 to 27.")
    device: Id | None = Field(default=None, description="Modbus device; with `coil` or `register`.")
    coil: int | None = Field(default=None, ge=0, le=65535, description="Coil address, from 0.")
    register_: int | None = Field(
        default=None,
        alias="register",
        ge=0,
        le=65535,
        description="Holding register, protocol address from 0; it holds `on` or `off`.",
    )
    on: int | None = Field(
        default=None, ge=0, le=65535, description="Value that energises; 1 when left out."
    )
    off: int | None = Field(
        default=None, ge=0, le=65535, description="Value that de-energises; 0 when left out."
    )
    read_back: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Holding register that tells the state in the same values; the same one when "
        "left out.",
    )
    pulse_ms: int | None = Field(
        default=None,
        ge=100,
        le=3_276_700,
        multiple_of=100,
        description="With `coil`: the module itself switches off after this time.",
    )
    pulse_coil: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Where the module takes pulses (function 05, value x 100 ms); `coil` + 512 when "
        "left out, as with Waveshare relays.",
    )
    active: Literal["energised", "de-energised"] | None = Field(
        default=None,
        description="What the relay does when the output is active; a cut-off drops out unless told "
        "otherwise.",
    )
    active_high: bool = Field(default=True, description="Whether a high pin energises the relay.")
    at_stop: Literal["hold", "active", "inactive"] | None = Field(
        default=None, description="State when the agent is stopped."
    )
    role: Literal["main_fire_pump"] | None = Field(
        default=None,
        description="The main fire pump is only ever started, by a pulse; never stopped.",
    )
    max_on_s: Seconds = Field(
        default=0.0, description="Longest time active at a stretch; 0: no limit."
    )
    min_off_s: Seconds = Field(default=0.0, description="Shortest rest before it is active again.")
    stagger_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=0.0,
        description="Loads that have it are switched in one after another, so far apart.",
    )
    interlock: ConditionModel | None = Field(
        default=None, description="While this holds the output rests, whatever is asked of it."
    )
    restore: Literal["manual", "with-reset"] | None = Field(
        default=None,
        description="manual: once active it stays so until a person on the spot restores it (a cut-off, "
        "unless told otherwise). with-reset: it follows its alarms.",
    )
    feedback: FeedbackModel | None = Field(
        default=None, description="The point that proves that it worked."
    )
    test_max_s: Annotated[float, Field(ge=0, le=600)] | None = Field(
        default=None,
        description="Longest test; left out: 30 for what sounds or shows, 0 (none) for what switches.",
    )
    self_test: SelfTestModel | None = None
    reset_line: ResetLineModel | None = Field(
        default=None,
        description="A reset pulses the supply of these detectors, then reads them anew.",
    )
    patterns: PatternsModel | None = Field(
        default=None,
        description="How a siren, buzzer, strobe or lamp moves, by class; steady else.",
    )
    shows: Annotated[LampSign, Field(strict=False)] | None = Field(
        default=None,
        description="A lamp for a state of the box: inhibit, test or manual. Lamps for fire, fault or "
        "the link are linkages.",
    )
    zone: Id | None = None
    label: LabelModel = LabelModel()


class KeyModel(Model):
    """A key or switch on the box: pressing it is a person's command."""

    point: Id = Field(description="A contact; pressing makes it active.")
    command: Literal["ack", "silence", "reset", "restore", "mode"] = Field(
        description="mode is a switch: active for manual, at rest for auto."
    )
    output: Id | None = Field(default=None, description="With restore: what gets power back.")
    actor: Text = Field(default="key", description="Who stands in the event.")
