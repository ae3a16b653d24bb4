"""What a ready-made rule is: which points it takes, its parameters with their sources, the rules it makes.

Conditions are written as in a site file (agent.config.model_conditions), with these words of their own:

| written | becomes |
|---|---|
| `$name` | the parameter or the point of that name |
| `{$each: name, ..}` in a list | the rest once for each point of that name |
| `{$two: [..]}` | both of two, or at least two of more |
| `{$if: name, then: .., else: ..}` | one or the other, by whether the parameter has a value |

A part that names what the site did not give is left out of its list; a rule whose condition needs it is
not made at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.core.spec import AlarmClass, Label, PointKind

Shape = str | float | Sequence["Shape"] | Mapping[str, "Shape"]
"""A condition with `$` words in it."""


class Sure(StrEnum):
    """How sure a default is (docs/thresholds.md)."""

    READ = "read"
    WEAK = "weak"
    UNVERIFIED = "unverified"
    CHOSEN = "chosen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A default that follows another parameter."""

    of: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One number a site may set; its unit ends its name."""

    name: str
    label: Label
    unit: str
    low: float
    """Least value that makes sense."""
    high: float
    default: float | Share | None = None
    """None: what needs it is not made unless the site gives it."""
    source: str = ""
    sure: Sure = Sure.CHOSEN
    of: str = ""
    """Key of the points in whose unit the condition wants it; empty: as it is."""
    per: str = ""
    """`min` or `h` where it is a rate."""
    factor: float = 1.0
    """From the unit to what the condition counts in: 3600 for hours."""
    is_required: bool = False
    is_whole: bool = False
    """A count: 15.5 makes no sense."""
    differs: bool = False
    """It differs from building to building: the site confirms it however sure its source is."""

    @property
    def needs_confirmation(self) -> bool:
        """Whether `check` warns until the site writes it itself or says `confirmed: true`."""
        return self.default is not None and (self.sure is Sure.UNVERIFIED or self.differs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """Points a template looks at, under one key of the site file."""

    label: Label
    kinds: tuple[PointKind, ...]
    name: str = "point"
    unit: str = ""
    """Of its numbers; empty for contacts."""
    is_many: bool = False
    """`point` may be `points` as well; any other key is a list."""
    is_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A rule to be made."""

    alarm_class: AlarmClass
    when: Shape
    label: Label
    suffix: str = ""
    """Follows the id of the entry after a dash; empty: the id itself."""
    on_delay_s: float | str = 0.0
    off_delay_s: float | str = 0.0
    is_latched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A ready-made rule, or several that belong together."""

    name: str
    label: Label
    takes: tuple[Takes, ...]
    rules: tuple[Pattern, ...]
    parameters: tuple[Parameter, ...] = ()
    ascending: tuple[tuple[str, ...], ...] = ()
    """Parameters that must rise in this order."""
    note: str = ""
    """What the installer has to know."""


def any_active(takes: str = "point") -> Shape:
    """Return the condition that any contact of `takes` is active."""
    return {"any": [{"$each": takes, "is": "active"}]}


def active(takes: str) -> Shape:
    """Return the condition that the contact `takes` is active."""
    return {"point": f"${takes}", "is": "active"}


def above(limit: str, deadband: str, takes: str = "point") -> Shape:
    """Return the condition that a point is above a parameter."""
    return {"point": f"${takes}", "above": f"${limit}", "deadband": f"${deadband}"}


def below(limit: str, deadband: str, takes: str = "point") -> Shape:
    """Return the condition that a point is below a parameter."""
    return {"point": f"${takes}", "below": f"${limit}", "deadband": f"${deadband}"}


ON_DELAY = Label(en="on-delay", zh="报警延时")
OFF_DELAY = Label(en="off-delay", zh="恢复延时")
DEADBAND = Label(en="deadband", zh="回差")


def on_delay(
    default: float, source: str, sure: Sure = Sure.CHOSEN, name: str = "on_delay_s"
) -> Parameter:
    """Return the parameter of a time that a condition must hold."""
    return Parameter(
        name=name, label=ON_DELAY, unit="s", low=0, high=3600, default=default,
        source=source, sure=sure,
    )  # fmt: skip


def off_delay(default: float, source: str = "rides out flutter at the limit") -> Parameter:
    """Return the parameter of a time that a condition must be gone."""
    return Parameter(
        name="off_delay_s", label=OFF_DELAY, unit="s", low=0, high=3600, default=default,
        source=source,
    )  # fmt: skip


def deadband(name: str, unit: str, default: float, high: float, of: str = "point") -> Parameter:
    """Return the parameter of how far a value must come back."""
    return Parameter(
        name=name, label=DEADBAND, unit=unit, low=0, high=high, default=default,
        source="more than the noise of usual sensors", of=of,
    )  # fmt: skip
