"""Models of what is watched and what follows: rules, conditions, linkage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from agent.config.model_base import Id, LabelModel, Model, Seconds
from agent.core.spec import AlarmClass


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


class ContactModel(Model):
    """True while a contact is active (has left its rest), or inactive."""

    point: Id
    is_: Literal["active", "inactive"] = Field(alias="is")


class StaleModel(Model):
    """True while a point is bad, stale or was never heard of."""

    point: Id
    stale: Literal[True]


class AllModel(Model):
    """True while all parts are."""

    all: tuple[ConditionModel, ...] = Field(min_length=1, max_length=50)


class AnyModel(Model):
    """True while any part is."""

    any: tuple[ConditionModel, ...] = Field(min_length=1, max_length=50)


CONDITION_WORDS = ("all", "any", "above", "below", "is", "stale")
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
    | Annotated[AboveModel, Tag("<above>")]
    | Annotated[BelowModel, Tag("<below>")]
    | Annotated[ContactModel, Tag("<is>")]
    | Annotated[StaleModel, Tag("<stale>")],
    Discriminator(
        _condition_tag,
        custom_error_type="condition",
        custom_error_message="a condition is one of {point: .., above: ..}, {point: .., below: ..}, "
        "{point: .., is: active}, {point: .., stale: true}, {all: [..]}, {any: [..]}",
    ),
]
AllModel.model_rebuild()
AnyModel.model_rebuild()

_TAGS: dict[type[Model], str] = {
    AllModel: "<all>",
    AnyModel: "<any>",
    AboveModel: "<above>",
    BelowModel: "<below>",
    ContactModel: "<is>",
    StaleModel: "<stale>",
}


class RuleModel(Model):
    """A condition with delays and class."""

    id: Id
    alarm_class: Annotated[AlarmClass, Field(strict=False)] = Field(
        alias="class", description="fire, gas, supervisory, fault or technical."
    )
    when: ConditionModel
    on_delay_s: Seconds = Field(default=0.0, description="The condition must hold this long.")
    off_delay_s: Seconds = Field(default=0.0, description="The condition must be gone this long.")
    latch: bool | None = Field(
        default=None, description="Stays until a person resets it; always so for fire and gas."
    )
    ack: Literal["required", "not-required"] | None = Field(
        default=None, description="Required unless the class is technical."
    )
    zone: Id | None = Field(
        default=None, description="Left out: the zone of the first point it watches."
    )
    label: LabelModel = LabelModel()
    group: Id | None = Field(
        default=None, description="Rules of one group tell which of them came first."
    )
    realarm_s: Seconds = Field(
        default=0.0,
        description="An acknowledged alarm that still stands has to be acknowledged anew after this long; "
        "0: never.",
    )
    call_point: bool | None = Field(
        default=None,
        description="A person pressed it: delays of linkages in its zone or group no longer count. Left "
        "out: yes if it watches points of the kind call-point only.",
    )


class LinkageModel(Model):
    """Which alarms make which outputs active; every filled key must match."""

    id: Id
    outputs: tuple[Id, ...] = Field(min_length=1)
    classes: tuple[Annotated[AlarmClass, Field(strict=False)], ...] = ()
    zones: tuple[Id, ...] = ()
    rules: tuple[Id, ...] = ()
