"""What can be wrong with a condition."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.catalogue import Catalogue, Findings
from agent.config.check_wires import poll_period_s
from agent.config.conditions import minutes_of
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_conditions import (
    PER_S,
    AtLeastModel,
    ConditionModel,
    ContactModel,
    FallsModel,
    FlatModel,
    Leaf,
    LeaksModel,
    OutsideModel,
    RisesModel,
    ScheduleModel,
    StaleModel,
    StartsModel,
    StartsUsualModel,
    VerifyModel,
    parts_of,
)
from agent.config.model_rules import RuleModel
from agent.config.model_wires import GpioBusModel
from agent.core.spec import AlarmClass, PointKind

NEVER_ALARMS_PER_MIN = 2.0
"""A rate-of-rise detector must not alarm at 2 degC/min: GB 16280-2014 4.7."""

_LEAST_POLLS = 2
"""A window holds at least this many polls of its point: fewer tell nothing of what lay between."""

_LEAST_POLLS_OF_A_LEAK = 8
"""Its window begins anew after a gap of a quarter (agent.core.trends): one lost poll must not do that."""

_NUMBER_WORDS = ("above", "below", "outside", "rises", "falls", "flat_s", "leaks")


def leaves(condition: ConditionModel, path: KeyPath = ()) -> Iterator[tuple[Leaf, KeyPath]]:
    """Yield each condition on a point of its own within a condition, with its path below `path`."""
    for each, below in _walk(condition, path):
        if isinstance(each, Leaf):
            yield each, below


def check_condition(
    rule: RuleModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    """Note every fault of a rule's condition, which stands at `path`."""
    for each, below in _walk(rule.when, path):
        if isinstance(each, Leaf):
            if each.point not in catalogue.points:
                _check_unknown(each, below, rule, catalogue, findings)
                continue
            _check_type(each, below, catalogue, findings)
            _check_call_point(each, below, rule, catalogue, findings)
            _check_window(each, below, catalogue, findings)
        elif isinstance(each, AtLeastModel):
            _check_votes(each, below, catalogue, findings)
        _check_limits(each, below, rule, catalogue, findings)


def _walk(condition: ConditionModel, path: KeyPath) -> Iterator[tuple[ConditionModel, KeyPath]]:
    yield condition, path
    for part, below in parts_of(condition):
        yield from _walk(part, (*path, *below))


def _check_unknown(
    leaf: Leaf, path: KeyPath, rule: RuleModel, catalogue: Catalogue, findings: Findings
) -> None:
    point = leaf.point
    if point == rule.id:
        findings.fault((*path, "point"), "a rule cannot watch itself; name a point")
    elif any(point == each.id for each in catalogue.site.rules):
        findings.fault((*path, "point"), f"'{point}' is a rule; a rule watches points")
    elif not catalogue.is_opaque(point):
        findings.fault(
            (*path, "point"), f"no point '{point}'{did_you_mean(point, catalogue.points)}"
        )


def _check_type(leaf: Leaf, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    point = leaf.point
    if isinstance(leaf, StaleModel):
        return
    if isinstance(leaf, ContactModel | StartsModel | StartsUsualModel):
        if not catalogue.is_contact(point):
            key = "is" if isinstance(leaf, ContactModel) else _word(leaf)
            findings.fault(
                (*path, key), f"'{point}' is not a contact; use `above:` or `below:`", at_key=True
            )
    elif not catalogue.is_number(point):
        is_contact = catalogue.is_contact(point)
        kind = "a contact; use `is: active`" if is_contact else "a word; it cannot be compared"
        findings.fault((*path, _word(leaf)), f"'{point}' is {kind}", at_key=True)


def _word(leaf: Leaf) -> str:
    named = (*_NUMBER_WORDS, "starts_above_usual", "starts_above")
    return next(word for word in named if word in type(leaf).model_fields)


def _check_call_point(
    leaf: Leaf, path: KeyPath, rule: RuleModel, catalogue: Catalogue, findings: Findings
) -> None:
    known = catalogue.inputs.get(leaf.point)
    if known is None or known.kind is not PointKind.CALL_POINT:
        return
    if rule.on_delay_s > 0:
        findings.warn((*path, "point"), "a call point is pressed by a person: no on_delay_s is due")
    if "verify" in path:
        findings.fault(
            (*path, "point"), "a call point is pressed by a person and is not verified: take it out"
        )


def _check_window(leaf: Leaf, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    key, least = "over_s", _LEAST_POLLS
    match leaf:
        case RisesModel() | FallsModel():
            window_s = leaf.over_s
        case FlatModel():
            key, window_s = "flat_s", leaf.flat_s
        case LeaksModel():
            least, window_s = _LEAST_POLLS_OF_A_LEAK, leaf.over_s
        case _:
            return
    buses = {bus.id: bus for bus in catalogue.site.buses if not isinstance(bus, GpioBusModel)}
    measured = catalogue.measured.get(leaf.point)
    if measured is None or measured.device.bus not in buses:
        return
    period_s = poll_period_s(buses[measured.device.bus], measured.quantity.poll_class)
    if window_s < least * period_s:
        findings.fault(
            (*path, key),
            f"must be at least {least} times the poll period of {period_s:g} s, or it tells nothing true",
        )


def _check_votes(
    vote: AtLeastModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    for leaf, below in leaves(vote, path):
        known = catalogue.inputs.get(leaf.point)
        if vote.at_least > 1 and known is not None and known.kind is PointKind.CALL_POINT:
            findings.warn(
                (*below, "point"),
                "a call point is pressed by a person and waits here for others: give it a rule of its own",
            )


def _check_limits(
    each: ConditionModel, path: KeyPath, rule: RuleModel, catalogue: Catalogue, findings: Findings
) -> None:
    match each:
        case OutsideModel(outside=(low, high)) if low >= high:
            findings.fault((*path, "outside"), "the low limit stands first and is the smaller one")
        case OutsideModel(outside=(low, high)) if each.deadband * 2 >= high - low:
            findings.fault((*path, "deadband"), "leaves nothing between the limits: it never ends")
        case AtLeastModel() if each.at_least > len(each.of):
            findings.fault(
                (*path, "at_least"), f"{each.at_least} of {len(each.of)} can never be reached"
            )
        case VerifyModel() if each.blank_s >= each.window_s:
            findings.fault((*path, "blank_s"), "must be shorter than window_s, or nothing confirms")
        case LeaksModel() if each.deadband >= each.leaks:
            findings.fault((*path, "deadband"), "must be smaller than `leaks`, or it never ends")
        case ScheduleModel() if minutes_of(each.schedule.from_) == minutes_of(each.schedule.to):
            findings.fault(
                (*path, "schedule", "to"),
                'is `from`: for a whole day write from "00:00" to "24:00"',
            )
        case ScheduleModel() if each.schedule.from_ == "24:00":
            findings.fault((*path, "schedule", "from"), 'a part of a day begins at "23:59" at last')
        case RisesModel() if rule.alarm_class is AlarmClass.FIRE and _is_heat(each, catalogue):
            if each.rises * 60 / PER_S[each.per] <= NEVER_ALARMS_PER_MIN:
                findings.fault(
                    (*path, "rises"),
                    "a fire alarm must not come at 2 degC/min or less (GB 16280-2014 4.7)",
                )


def _is_heat(leaf: RisesModel, catalogue: Catalogue) -> bool:
    return catalogue.kind_of(leaf.point) in (PointKind.HEAT, PointKind.TEMPERATURE)
