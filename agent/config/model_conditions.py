"""Models of conditions: what a rule may watch. One word tells which one it is (docs/conditions.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from agent.config.model_base import TIME_PATTERN, Id, Model

Per = Literal["second", "minute", "hour"]
PER_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0}

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Window = Annotated[float, Field(ge=1, le=86_400)]
"""Seconds."""


class AboveModel(Model):
    """True above a limit; once true, false only below limit minus deadband."""

    point: Id
    above: float
    deadband: float = Field(default=0.0, ge=0)


class BelowModel(Model):
    """True below a limit; once true, false only above limit plus deadband."""

    point: Id
    below: float
    deadband: float = Field(default=0.0, ge=0)


class OutsideModel(Model):
    """True below the first or above the second limit; once true, false only inside by the deadband."""

    point: Id
    outside: tuple[float, float] = Field(description="Low and high limit.")
    deadband: float = Field(default=0.0, ge=0)


class ContactModel(Model):
    """True while a contact is active (has left its rest), or inactive."""

    point: Id
    is_: Literal["active", "inactive"] = Field(alias="is")


class StaleModel(Model):
    """True while a point is bad, stale or was never heard of."""

    point: Id
    stale: Literal[True]


class RisesModel(Model):
    """True while a point rises faster than this, between the ends of the window."""

    point: Id
    rises: float = Field(gt=0, description="In the point's unit per `per`.")
    per: Per = "minute"
    over_s: Window = Field(
        default=60.0, description="The window; nothing is told from less than half of it."
    )


class FallsModel(Model):
    """True while a point falls faster than this, between the ends of the window."""

    point: Id
    falls: float = Field(gt=0, description="In the point's unit per `per`.")
    per: Per = "minute"
    over_s: Window = Field(
        default=60.0, description="The window; nothing is told from less than half of it."
    )


class FlatModel(Model):
    """True once a point has not moved for so long: a sensor that hangs."""

    point: Id
    flat_s: Window
    within: float = Field(default=0.0, ge=0, description="So much is no movement, in its unit.")


class LeaksModel(Model):
    """True while a point falls by this or more an hour while nothing runs: a slow leak."""

    point: Id
    leaks: float = Field(gt=0, description="In the point's unit per hour.")
    over_s: Annotated[float, Field(ge=600, le=86_400)] = Field(
        default=3600.0, description="The window; nothing is told before it is whole."
    )
    while_: ConditionModel = Field(
        alias="while", description="Must hold all along: the pump stands."
    )
    deadband: float = Field(default=0.0, ge=0, description="In the point's unit per hour.")


class StartsModel(Model):
    """True while a contact became active more often than this within the last hour (or `per`)."""

    point: Id
    starts_above: Annotated[int, Field(ge=0, le=1000)]
    per: Per = "hour"


class StartsUsualModel(Model):
    """True while a contact became active more often than this many times its usual."""

    point: Id
    starts_above_usual: float = Field(gt=1, le=100)
    per: Literal["hour"] = "hour"
    usual_days: Annotated[int, Field(ge=1, le=31)] = Field(
        default=7, description="What is usual is the mean of so many days."
    )
    least: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=3, description="So few starts are in order whatever is usual."
    )


class PartOfWeekModel(Model):
    """A part of the day on some days, by the site's clock on the wall."""

    days: tuple[Day, ...] = Field(
        default=DAYS, min_length=1, description="Days on which the part begins."
    )
    from_: Annotated[str, Field(pattern=TIME_PATTERN)] = Field(alias="from", description='"22:00"')
    to: Annotated[str, Field(pattern=TIME_PATTERN)] = Field(
        description='"06:00"; not later than `from` means on the next day.'
    )


class ScheduleModel(Model):
    """True in a part of the week; unknown while the box does not know the time."""

    schedule: PartOfWeekModel


class AllModel(Model):
    """True while all parts are."""

    all: tuple[ConditionModel, ...] = Field(min_length=1, max_length=50)


class AnyModel(Model):
    """True while any part is."""

    any: tuple[ConditionModel, ...] = Field(min_length=1, max_length=50)


class AtLeastModel(Model):
    """True while so many of the parts are; a part in fault leaves the decision to the rest."""

    at_least: Annotated[int, Field(ge=1, le=50)]
    of: tuple[ConditionModel, ...] = Field(min_length=1, max_length=50)
    timeout_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0, description="A single part that stands this long is enough; 0: never."
    )


class VerifyModel(Model):
    """True when signalled a second time, or still, after the blanking time: alarm verification."""

    verify: ConditionModel
    window_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=60.0, description="The second signal must come within this time of the first."
    )
    blank_s: Annotated[float, Field(ge=0, le=60)] = Field(
        default=5.0, description="So long after the first signal nothing counts."
    )


CONDITION_WORDS = (
    "all",
    "any",
    "at_least",
    "verify",
    "schedule",
    "leaks",
    "rises",
    "falls",
    "flat_s",
    "outside",
    "starts_above",
    "starts_above_usual",
    "above",
    "below",
    "is",
    "stale",
)
"""What a condition is known by; exactly one of them stands in each."""


def _condition_tag(value: object) -> str | None:
    if isinstance(value, dict):
        for word in CONDITION_WORDS:
            if word in value:
                return f"<{word}>"
        return None
    for model, tag in _TAGS.items():
        if isinstance(value, model):
            return tag
    return None


ConditionModel = Annotated[
    Annotated[AllModel, Tag("<all>")]
    | Annotated[AnyModel, Tag("<any>")]
    | Annotated[AtLeastModel, Tag("<at_least>")]
    | Annotated[VerifyModel, Tag("<verify>")]
    | Annotated[ScheduleModel, Tag("<schedule>")]
    | Annotated[LeaksModel, Tag("<leaks>")]
    | Annotated[RisesModel, Tag("<rises>")]
    | Annotated[FallsModel, Tag("<falls>")]
    | Annotated[FlatModel, Tag("<flat_s>")]
    | Annotated[OutsideModel, Tag("<outside>")]
    | Annotated[StartsModel, Tag("<starts_above>")]
    | Annotated[StartsUsualModel, Tag("<starts_above_usual>")]
    | Annotated[AboveModel, Tag("<above>")]
    | Annotated[BelowModel, Tag("<below>")]
    | Annotated[ContactModel, Tag("<is>")]
    | Annotated[StaleModel, Tag("<stale>")],
    Discriminator(
        _condition_tag,
        custom_error_type="condition",
        custom_error_message="a condition is one of {point: .., above: ..}, {point: .., below: ..}, "
        "{point: .., is: active}, {point: .., stale: true}, {all: [..]}, {any: [..]}, or one of "
        "outside, rises, falls, flat_s, leaks, starts_above, starts_above_usual, schedule, at_least, "
        "verify (docs/conditions.md)",
    ),
]
for _model in (AllModel, AnyModel, AtLeastModel, VerifyModel, LeaksModel):
    _model.model_rebuild()

_TAGS: dict[type[Model], str] = {
    AllModel: "<all>",
    AnyModel: "<any>",
    AtLeastModel: "<at_least>",
    VerifyModel: "<verify>",
    ScheduleModel: "<schedule>",
    LeaksModel: "<leaks>",
    RisesModel: "<rises>",
    FallsModel: "<falls>",
    FlatModel: "<flat_s>",
    OutsideModel: "<outside>",
    StartsModel: "<starts_above>",
    StartsUsualModel: "<starts_above_usual>",
    AboveModel: "<above>",
    BelowModel: "<below>",
    ContactModel: "<is>",
    StaleModel: "<stale>",
}

Leaf = (
    AboveModel
    | BelowModel
    | OutsideModel
    | ContactModel
    | StaleModel
    | RisesModel
    | FallsModel
    | FlatModel
    | LeaksModel
    | StartsModel
    | StartsUsualModel
)
"""A condition that looks at a point of its own."""


def parts_of(condition: ConditionModel) -> tuple[tuple[ConditionModel, tuple[str | int, ...]], ...]:
    """Return the conditions a condition is made of, each with its path below it."""
    match condition:
        case AllModel():
            return tuple((part, ("all", index)) for index, part in enumerate(condition.all))
        case AnyModel():
            return tuple((part, ("any", index)) for index, part in enumerate(condition.any))
        case AtLeastModel():
            return tuple((part, ("of", index)) for index, part in enumerate(condition.of))
        case VerifyModel():
            return ((condition.verify, ("verify",)),)
        case LeaksModel():
            return ((condition.while_, ("while",)),)
    return ()
