"""Models of points that are counted or calculated: pulse counters, derived points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agent.config.model_base import Id, LabelModel, Model, Pin, TelemetryModel
from agent.core.spec import DerivedHow, PointKind
from drivers.gpio.spec import ContactForm, Pull

MOST_SOURCES = 64
MOST_READINGS = 99
"""Of a running median; beyond that it is slower than a window is long."""
LONGEST_WINDOW_S = 604_800.0
"""A week; nothing of a window outlives the run of the agent."""


class CounterModel(Model):
    """A meter's pulse contact on a pin of the box; its point is a number that grows from 0 at each start."""

    id: Id
    bus: Id
    pin: Pin = Field(description="BCM number, 2 to 27.")
    contact: Annotated[ContactForm, Field(strict=False)] = ContactForm.NORMALLY_OPEN
    max_hz: float = Field(gt=0, le=500, description="The most pulses a second the meter can make.")
    per_pulse: float = Field(default=1.0, gt=0, description="How much one pulse is, in the unit.")
    unit: str = Field(default="", max_length=16)
    kind: Literal["count", "energy"] = "count"
    pull: Annotated[Pull, Field(strict=False)] = Pull.UP
    debounce_ms: float = Field(default=10, ge=0, le=1000)
    zone: Id | None = None
    label: LabelModel = LabelModel()
    telemetry: TelemetryModel | None = None
    state_deadband: float | None = Field(
        default=None, ge=0, description="Least change that refreshes the retained MQTT state."
    )
    fault: Literal["off"] | None = None


class DerivedModel(Model):
    """A point calculated from others: of several as they are, or of one over time."""

    id: Id
    kind: Annotated[PointKind, Field(strict=False)]
    unit: str = Field(default="", max_length=16)
    how: Annotated[DerivedHow, Field(strict=False)]
    of: tuple[Id, ...] = Field(
        default=(),
        max_length=MOST_SOURCES,
        description="Points, as they are; a difference is the first less the second.",
    )
    from_: Id | None = Field(default=None, alias="from", description="One point, over time.")
    window_s: float | None = Field(
        default=None,
        ge=1,
        le=LONGEST_WINDOW_S,
        description="Rate, minimum, maximum of one point: over this long.",
    )
    per: Literal["second", "minute", "hour"] | None = Field(
        default=None, description="Rate: change per this; `minute` when left out."
    )
    n: int | None = Field(
        default=None,
        ge=3,
        le=MOST_READINGS,
        description="Median of one point: of so many readings.",
    )
    zone: Id | None = None
    label: LabelModel = LabelModel()
    telemetry: TelemetryModel | None = None
    state_deadband: float | None = Field(
        default=None, ge=0, description="Least change that refreshes the retained MQTT state."
    )
    fault: Literal["off"] | None = Field(
        default=None, description="off: no fault alarm when this point is not known."
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """The points it is calculated from."""
        return self.of if self.from_ is None else (*self.of, self.from_)
