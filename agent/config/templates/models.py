"""Models of ready-made rules in a site file, made from the tables of templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag, create_model

from agent.config.model_base import Id, LabelModel, Model, Seconds
from agent.config.model_rules import RuleModel
from agent.config.templates.known import TEMPLATES
from agent.config.templates.spec import Parameter, Share, Takes, Template

UNKNOWN = "template"
"""Type of the fault that a template is not known (agent.config.validate words it)."""

MOST_POINTS = 49
"""Of one key; with one more beside them they still fit into one condition."""

_TUPLE: Any = tuple
"""So that a type checker does not look into what is made at run time."""


class ReadyModel(Model):
    """A ready-made rule: what every template may say."""

    id: Id = Field(description="Of the rule, or the beginning of the ids of its rules.")
    template: str
    zone: Id | None = Field(
        default=None, description="Left out: the zone of the first point it watches."
    )
    label: LabelModel = Field(
        default=LabelModel(), description="Left out: the point's label and what it tells."
    )
    latch: bool | None = Field(
        default=None, description="Stays until a person resets it; always so for fire and gas."
    )
    ack: Literal["required", "not-required"] | None = Field(
        default=None, description="Required unless the class is technical."
    )
    group: Id | None = Field(
        default=None, description="Rules of one group tell which of them came first."
    )
    realarm_s: Seconds = Field(
        default=0.0, description="Must be acknowledged anew after this long; 0: never."
    )
    confirmed: bool = Field(
        default=False, description="The site has looked at the defaults and takes them."
    )


def ready_model(template: Template) -> type[ReadyModel]:
    """Return the model of what a site may write for a template."""
    fields: dict[str, Any] = {
        "template": (Literal.__getitem__(template.name), Field(description=template.note))
    }
    for takes in template.takes:
        fields |= _point_fields(takes)
    for parameter in template.parameters:
        fields[parameter.name] = _parameter_field(parameter)
    suffixes = tuple(each.suffix for each in template.rules if each.suffix)
    if suffixes:
        fields["without"] = (
            _TUPLE[Literal.__getitem__(suffixes), ...],
            Field(default=(), description="Rules of the template that are not to be made."),
        )
    words = template.name.title().replace("-", "")
    made: type[ReadyModel] = create_model(
        f"{words}Template", __base__=ReadyModel, __doc__=f"{template.label.en}.", **fields
    )
    return made


def _point_fields(takes: Takes) -> dict[str, Any]:
    told = f"{takes.label.en[:1].upper()}{takes.label.en[1:]}"
    told += f" in {takes.unit}." if takes.unit else ", active when it is so."
    several = (tuple[Id, ...], Field(default=(), max_length=MOST_POINTS, description=told))
    if takes.is_many and takes.name == "point":
        one = (Id | None, Field(default=None, description=told))
        return {"point": one, "points": several}
    if takes.is_many:
        return {takes.name: several}
    if takes.is_required:
        return {takes.name: (Id, Field(description=told))}
    return {takes.name: (Id | None, Field(default=None, description=told))}


def _parameter_field(each: Parameter) -> tuple[Any, Any]:
    told = f"{each.label.en[:1].upper()}{each.label.en[1:]}, {unit_words(each)}. {each.source}."
    if isinstance(each.default, Share):
        told += f" Left out: {each.default.factor:g} x {each.default.of}."
    kind: type = int if each.is_whole else float
    default: Any = ... if each.is_required else None
    if isinstance(each.default, float | int):
        default = kind(each.default)
    return kind, Field(default=default, ge=each.low, le=each.high, description=told)


def unit_words(each: Parameter) -> str:
    """Return the unit of a parameter as people write it: `°C/min`."""
    return f"{each.unit or 'count'}/{each.per}" if each.per else each.unit


def _tag(value: object) -> str | None:
    if isinstance(value, ReadyModel):
        return f"<{value.template}>"
    if not isinstance(value, dict) or "template" not in value:
        return "<rule>"
    name = value["template"]
    return f"<{name}>" if isinstance(name, str) and name in TEMPLATES else None


if TYPE_CHECKING:
    RuleEntry = RuleModel | ReadyModel
else:
    RuleEntry = Annotated[
        Union[
            Annotated[RuleModel, Tag("<rule>")],
            *(Annotated[ready_model(each), Tag(f"<{each.name}>")] for each in TEMPLATES.values()),
        ],
        Discriminator(_tag, custom_error_type=UNKNOWN, custom_error_message="no such template"),
    ]
"""An entry of `rules`; the members of the union are made, so a type checker sees their bases only."""
