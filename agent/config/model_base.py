"""What every model of the site file shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent.core import spec as core

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
WORD_PATTERN = r"^[a-z0-9][a-z0-9-]*$"
NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._@-]*$"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
PIN_FIRST, PIN_LAST = 2, 27
"""BCM numbers of the 40-pin header that are free to use (drivers.gpio.spec)."""

PATTERN_WORDS = {
    ID_PATTERN: "lowercase letters, digits, dash, dot and underscore, first a letter or digit "
    "(it becomes part of an MQTT topic)",
    WORD_PATTERN: "lowercase letters, digits and dash, first a letter or digit "
    "(it becomes a word of an MQTT topic)",
    TIME_PATTERN: 'a time of day like "06:30", in quotes',
    NAME_PATTERN: "a plain name: letters, digits, dot, dash, underscore, at sign; no slash",
}
"""What a pattern asks for, in words."""

MOST_ID = 64
"""Characters of an id."""

Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=MOST_ID)]
"""Name of a thing; also a part of its MQTT topic."""
Word = Annotated[str, Field(pattern=WORD_PATTERN, max_length=48)]
"""One word of an MQTT topic."""
Text = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Pin = Annotated[int, Field(ge=0, le=999)]
"""Range is checked with the wiring, where the reason can be said."""
Port = Annotated[int, Field(ge=1, le=65535)]


class Model(BaseModel):
    """Closed (no unknown keys), strict (no guessing of types), frozen; errors never show values."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class LabelModel(Model):
    """A name for people."""

    en: str = Field(default="", max_length=100, description="Name in English.")
    zh: str = Field(default="", max_length=100, description="Name in Chinese.")

    def spec(self) -> core.Label:
        """Return it for the core."""
        return core.Label(en=self.en, zh=self.zh)


class TelemetryModel(Model):
    """When readings of a point become telemetry."""

    mode: Annotated[core.TelemetryMode, Field(strict=False)] = Field(
        default=core.TelemetryMode.CHANGE,
        description="change: beyond the deadband and after the longest silence; interval: once per "
        "period; every: each reading; none: never.",
    )
    deadband: float = Field(
        default=0.0, ge=0, description="Least change that counts, in the point's unit."
    )
    interval_s: float = Field(
        default=60.0,
        ge=0.1,
        le=86_400,
        description="interval: the period. change: the longest silence. Seconds.",
    )

    def spec(self) -> core.TelemetryPolicy:
        """Return it for the core."""
        return core.TelemetryPolicy(
            mode=self.mode, deadband=self.deadband, interval_s=self.interval_s
        )
