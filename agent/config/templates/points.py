"""The points an entry names: which, where in the file, and whether they fit."""

from __future__ import annotations

from agent.config.catalogue import Catalogue
from agent.config.faults import KeyPath
from agent.config.templates.models import ReadyModel
from agent.config.templates.spec import Takes
from agent.config.templates.units import known_units
from agent.core.spec import PointKind


def mismatch(template: str, takes: Takes, point: str, catalogue: Catalogue) -> str:
    """Return why a known point does not fit and what would; empty when it does."""
    kind, unit = _kind(point, catalogue), catalogue.unit_of(point) or ""
    wanted = " or ".join(takes.kinds)
    right = f"template '{template}' takes here"
    if not takes.unit:
        if not catalogue.is_contact(point):
            return f"'{point}' is {_what(kind, unit)}; {right} a contact of kind {wanted}"
    elif not catalogue.is_number(point):
        is_contact = catalogue.is_contact(point)
        what = "a contact" if is_contact else "a word"
        return f"'{point}' is {what}; {right} a number of kind {wanted} in {takes.unit}"
    elif unit not in known_units(takes.unit):
        *others, last = known_units(takes.unit)
        units = f"{', '.join(others)} or {last}" if others else last
        return f"'{point}' is {_what(kind, unit)}; {right} {wanted} in {units}"
    if kind not in (*takes.kinds, PointKind.GENERIC):
        return f"'{point}' is of kind {kind}; {right} kind {wanted}"
    return ""


def points_of(entry: ReadyModel, takes: Takes) -> tuple[str, ...]:
    """Return the points an entry gives for one key, as written."""
    given = getattr(entry, takes.name)
    if takes.is_many and takes.name == "point":
        several: tuple[str, ...] = getattr(entry, "points")  # noqa: B009 - a made model has it
        return (*(() if given is None else (given,)), *several)
    if isinstance(given, tuple):
        return given
    return () if given is None else (given,)


def place_of(entry: ReadyModel, takes: Takes, number: int) -> KeyPath:
    """Return where in an entry its `number`-th point of one key stands."""
    if takes.is_many and takes.name == "point":
        ahead = 1 if getattr(entry, "point", None) is not None else 0
        return ("point",) if number < ahead else ("points", number - ahead)
    return (takes.name, number) if takes.is_many else (takes.name,)


def _kind(point: str, catalogue: Catalogue) -> str:
    if point in catalogue.inputs:
        return catalogue.inputs[point].kind
    return catalogue.kind_of(point) or ("online" if point.endswith(".online") else "health")


def _what(kind: str, unit: str) -> str:
    return f"{kind} in {unit}" if unit else f"{kind} without a unit"
