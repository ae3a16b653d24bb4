"""What can be wrong with points that are calculated from others."""

from __future__ import annotations

from agent.config.catalogue import Catalogue, Findings
from agent.config.check_wires import poll_period_s
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_derived import DerivedModel
from agent.config.model_wires import GpioBusModel
from agent.core.spec import DerivedHow

_OVER_TIME = {
    DerivedHow.RATE: "window_s",
    DerivedHow.MINIMUM: "window_s",
    DerivedHow.MAXIMUM: "window_s",
    DerivedHow.MEDIAN: "n",
}
"""How one point is looked at over time, and the key that says over what."""

_LEAST_POLLS = 2
"""A window holds at least this many polls of its source: fewer tell nothing of what lay between."""


def check_derived(catalogue: Catalogue, findings: Findings) -> None:
    """Note every fault of derived points."""
    for index, each in enumerate(catalogue.site.derived):
        path: KeyPath = ("derived", index)
        if each.id not in catalogue.opaque:
            _check_shape(each, path, findings)
        _check_sources(each, path, catalogue, findings)
        _check_units(each, path, catalogue, findings)
        _check_window(each, path, catalogue, findings)
        if each.id in catalogue.roots(each.id):
            findings.fault((*path, "id"), f"'{each.id}' is calculated from itself")


def _check_shape(each: DerivedModel, path: KeyPath, findings: Findings) -> None:
    how = each.how
    if each.of and each.from_ is not None:
        findings.fault((*path, "from"), "`of` names several points, `from` one over time: not both")
        return
    if not each.sources:
        findings.fault((*path, "how"), "needs `of: [points]`, or `from: point` with a window")
        return
    needed = _OVER_TIME.get(how) if each.from_ is not None else None
    if each.from_ is not None and needed is None:
        findings.fault((*path, "from"), f"a {how} is of several points; name them under `of`")
    if each.of and how is DerivedHow.RATE:
        findings.fault((*path, "of"), "a rate is of one point over time; name it under `from`")
    elif each.of and how is DerivedHow.DIFFERENCE and len(each.of) != 2:
        findings.fault((*path, "of"), "a difference has two points: the first less the second")
    elif len(each.of) == 1:
        findings.fault((*path, "of"), f"a {how} of one point is that point; name two or more")
    elif len(set(each.of)) != len(each.of):
        findings.fault((*path, "of"), "names a point twice")
    for key in ("window_s", "n", "per"):
        is_given = getattr(each, key) is not None
        if key == needed and not is_given:
            findings.fault((*path, key), f"is missing: a {how} of one point is over some time")
        is_due = key == needed or (key == "per" and how is DerivedHow.RATE)
        if is_given and not is_due and (needed or each.of):
            findings.fault((*path, key), f"means nothing for this {how}; leave it out", at_key=True)


def _check_sources(
    each: DerivedModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    points = catalogue.points
    for number, source in enumerate(each.sources):
        at: KeyPath = (*path, "of", number) if number < len(each.of) else (*path, "from")
        if source not in points:
            if not catalogue.is_opaque(source):
                findings.fault(at, f"no point '{source}'{did_you_mean(source, points)}")
        elif catalogue.is_contact(source):
            findings.fault(at, f"'{source}' is a contact; put contacts together in a rule")
        elif not catalogue.is_number(source):
            findings.fault(at, f"'{source}' is a word; it cannot be calculated with")


def _check_units(
    each: DerivedModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    units = {source: catalogue.unit_of(source) for source in each.sources}
    if any(unit is None for unit in units.values()):
        return
    if len(set(units.values())) > 1:
        told = ", ".join(f"{source} in {unit or 'none'}" for source, unit in units.items())
        findings.warn((*path, "of"), f"the units differ: {told}")
    elif each.how is not DerivedHow.RATE and each.unit not in units.values():
        unit = next(iter(units.values()), "")
        findings.warn(
            (*path, "unit"), f"its sources are in {unit or 'no unit'}; nothing is converted"
        )


def _check_window(
    each: DerivedModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    buses = {bus.id: bus for bus in catalogue.site.buses if not isinstance(bus, GpioBusModel)}
    measured = catalogue.measured.get(each.from_ or "")
    if measured is None or each.window_s is None or measured.device.bus not in buses:
        return
    period_s = poll_period_s(buses[measured.device.bus], measured.quantity.poll_class)
    if each.window_s < _LEAST_POLLS * period_s:
        findings.fault(
            (*path, "window_s"),
            f"must be at least twice the poll period of {period_s:g} s, or there is nothing to compare",
        )
