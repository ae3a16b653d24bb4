"""How the alarms of a site hang together: fault hierarchy, groups, manual call points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agent.core.alarm import ALWAYS_LATCHED, Alarm


def tie(alarms: Mapping[str, Alarm]) -> None:
    """Tie each alarm to its parents, to the mates of its group and to its manual call points."""
    _tie_parents(alarms)
    groups = _by(alarms.values(), lambda alarm: alarm.spec.group)
    zones = _by(alarms.values(), lambda alarm: alarm.zone)
    for mates in groups.values():
        for alarm in mates:
            alarm.mates = mates
    for point in alarms.values():
        if point.spec.is_call_point:
            near = (*groups.get(point.spec.group, ()), *zones.get(point.zone, ()))
            point.calls = tuple({alarm.spec.id: alarm for alarm in near}.values())
            for alarm in point.calls:
                alarm.called_by = (*alarm.called_by, point)


def _by(alarms: Iterable[Alarm], name_of: Callable[[Alarm], str]) -> dict[str, tuple[Alarm, ...]]:
    found: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        if name := name_of(alarm):
            found.setdefault(name, []).append(alarm)
    return {name: tuple(each) for name, each in found.items()}


def _tie_parents(alarms: Mapping[str, Alarm]) -> None:
    """Tie each alarm to those that may suppress it; fire and gas are tied to none."""
    below: dict[str, list[Alarm]] = {}
    for alarm in alarms.values():
        alarm.parents = tuple(alarms[name] for name in _names_above(alarm, alarms))
        alarm.order = (len(alarm.parents), alarm.spec.alarm_class.rank)
        for parent in alarm.parents:
            below.setdefault(parent.spec.id, []).append(alarm)
    for name, children in below.items():
        alarms[name].children = tuple(sorted(children, key=lambda each: each.order))


def _names_above(alarm: Alarm, alarms: Mapping[str, Alarm]) -> list[str]:
    """Return the rules above `alarm`, near and far; a circle does not put it above itself."""
    names: list[str] = []
    ahead = [alarm]
    while ahead:
        spec = ahead.pop().spec
        if spec.alarm_class in ALWAYS_LATCHED:
            continue
        for name in spec.suppressed_by:
            if name in alarms and name not in names and name != alarm.spec.id:
                names.append(name)
                ahead.append(alarms[name])
    return names
