"""What a rule of a template is called when the site does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.config.catalogue import Catalogue
from agent.config.templates.models import ReadyModel
from agent.config.templates.shapes import names_in
from agent.config.templates.spec import Pattern, Template
from agent.core.spec import Label

_LONGEST = 100
"""Characters of a label (agent.config.model_base)."""


def label_of(
    entry: ReadyModel,
    template: Template,
    pattern: Pattern,
    points: Mapping[str, Sequence[str]],
    catalogue: Catalogue,
) -> Label:
    """Return the label of a rule: the entry's own, or what is watched and what it tells."""
    own = entry.label.spec()
    if (own.en or own.zh) and not pattern.suffix:
        return own
    names = names_in(pattern.when)
    watched = [point for name in points if name in names for point in points[name]]
    subject = own if own.en or own.zh else _subject(entry, template, watched, catalogue)
    return Label(
        en=_joined(subject.en, ": ", pattern.label.en),
        zh=_joined(subject.zh, "：", pattern.label.zh),
    )


def _subject(
    entry: ReadyModel, template: Template, watched: Sequence[str], catalogue: Catalogue
) -> Label:
    """Return the name of what is watched: the point, else its zone, else the template."""
    if len(watched) == 1:
        label = _label_of(watched[0], catalogue)
        if label.en and label.zh:
            return label
    zones = (entry.zone, *(catalogue.zone_of(point) for point in watched))
    zone = next((each for each in zones if each), "")
    for each in catalogue.site.zones:
        if each.id == zone and each.label.en and each.label.zh:
            return each.label.spec()
    return template.label


def _label_of(point: str, catalogue: Catalogue) -> Label:
    if (measured := catalogue.measured.get(point)) is not None:
        return measured.settings.label.spec()
    own = (
        catalogue.inputs.get(point) or catalogue.counters.get(point) or catalogue.derived.get(point)
    )
    return Label() if own is None else own.label.spec()


def _joined(subject: str, between: str, told: str) -> str:
    room = _LONGEST - len(between) - len(told)
    return f"{subject[:room]}{between}{told}" if subject else told
