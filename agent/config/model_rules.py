"""Models of what is watched and what follows: rules and linkage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent.config.model_base import Id, LabelModel, Model, Seconds
from agent.config.model_conditions import ConditionModel
from agent.core.spec import AlarmClass


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
    needs: Annotated[int, Field(ge=1, le=10)] = Field(
        default=1,
        description="So many alarms of different points; two for what starts or cuts equipment "
        "(GB 50116 4.1.6).",
    )
    delay_s: Annotated[float, Field(ge=0, le=600)] = Field(
        default=0.0, description="How long it waits; a manual call point of the zone ends the wait."
    )
    in_manual: bool = Field(
        default=False, description="It moves relays and valves in manual mode too."
    )
