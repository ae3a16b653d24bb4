"""What can be wrong with what is watched and what follows."""

from __future__ import annotations

from collections.abc import Mapping

from agent.config.catalogue import Catalogue, Findings
from agent.config.check_conditions import check_condition, leaves
from agent.config.check_switching import is_restored_by_hand
from agent.config.faults import KeyPath, did_you_mean
from agent.config.model_conditions import AllModel, AtLeastModel, ConditionModel
from agent.config.model_outputs import OutputModel
from agent.config.model_rules import LinkageModel, RuleModel
from agent.config.model_site import SiteModel
from agent.core.spec import AlarmClass, OutputKind, PointKind
from drivers.modbus.spec import Area

LATCHED = frozenset({AlarmClass.FIRE, AlarmClass.GAS})
"""Classes that stay until a person resets (design section 5)."""

_CUTS = frozenset({OutputKind.CUT_OFF, OutputKind.VALVE})
"""Outputs that stop equipment: GB 50116 4.1.6 asks for two independent signals."""

_MUST_BE_WATCHED = frozenset(
    {PointKind.SMOKE, PointKind.HEAT, PointKind.CALL_POINT, PointKind.GAS, PointKind.LEAK}
)


def check_rules(catalogue: Catalogue, findings: Findings) -> None:
    """Note every fault of rules and linkage."""
    for index, rule in enumerate(catalogue.site.rules):
        _check_rule(rule, ("rules", index), catalogue, findings)
    for index, link in enumerate(catalogue.site.linkage):
        _check_linkage(link, ("linkage", index), catalogue, findings)
    _check_opt_outs(catalogue, findings)
    _check_unwatched(catalogue, findings)
    _check_unused(catalogue, findings)


def matches(link: LinkageModel, rule: RuleModel, zone: str) -> bool:
    """Return whether an alarm of a rule in a zone makes the outputs of a linkage active."""
    return (
        (not link.rules or rule.id in link.rules)
        and (not link.classes or rule.alarm_class in link.classes)
        and (not link.zones or zone in link.zones)
    )


def rule_zone(rule: RuleModel, catalogue: Catalogue) -> str:
    """Return a rule's zone: its own, else that of the first point with one."""
    if rule.zone is not None:
        return rule.zone
    zones = (catalogue.zone_of(leaf.point) for leaf, _ in leaves(rule.when))
    return next((zone for zone in zones if zone), "")


def _check_rule(rule: RuleModel, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    if rule.alarm_class in LATCHED:
        if rule.latch is False:
            findings.fault(
                (*path, "latch"),
                f"class {rule.alarm_class} stays until a person resets; leave it out",
            )
        if rule.ack == "not-required":
            findings.fault(
                (*path, "ack"), f"class {rule.alarm_class} must be acknowledged; leave it out"
            )
    elif rule.latch and rule.ack == "not-required":
        findings.fault(
            (*path, "ack"), "a latched alarm is ended by a person, who acknowledges it first"
        )
    check_condition(rule, (*path, "when"), catalogue, findings)
    for output in catalogue.site.outputs:
        _check_loop(rule, path, output, catalogue, findings)


def _check_loop(
    rule: RuleModel, path: KeyPath, output: OutputModel, catalogue: Catalogue, findings: Findings
) -> None:
    """A rule that switches what it watches feeds itself."""
    zone = rule_zone(rule, catalogue)
    links = [
        link
        for link in catalogue.site.linkage
        if output.id in link.outputs
        and link.id not in catalogue.opaque
        and matches(link, rule, zone)
    ]
    if not links:
        return
    own = {f"{output.id}.health", f"{output.id}.active"}
    for measured in catalogue.by_device.get(output.device or "", ()):
        at = measured.quantity.area, measured.quantity.address
        if at in (
            (Area.COIL, output.coil),
            (Area.HOLDING, output.register_),
            (Area.HOLDING, output.read_back),
        ):
            own.add(measured.point)
    for leaf, below in leaves(rule.when, (*path, "when")):
        if own & catalogue.roots(leaf.point):
            findings.fault(
                (*below, "point"),
                f"the rule would switch what it watches: linkage '{links[0].id}' moves '{output.id}'",
            )
        elif output.feedback and output.feedback.point in catalogue.roots(leaf.point):
            findings.warn(
                (*below, "point"),
                f"the rule moves '{output.id}' by linkage '{links[0].id}' and watches its feedback: "
                "it may hold itself",
            )


def _check_linkage(
    link: LinkageModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    site = catalogue.site
    outputs = {output.id: output for output in site.outputs}
    _check_names(link, path, outputs, catalogue, findings)
    if link.id in catalogue.opaque:
        return
    if not (link.classes or link.zones or link.rules):
        findings.fault((*path, "id"), "names no alarms; give classes, zones or rules")
        return
    matching = [rule for rule in site.rules if matches(link, rule, rule_zone(rule, catalogue))]
    built_in_too = has_built_in_too(link, site)
    if not matching and not built_in_too and not catalogue.opaque and not findings.faults:
        findings.warn((*path, "id"), "no alarm can match all of this: its outputs never move")
    moved = [outputs[name] for name in link.outputs if name in outputs]
    if any(output.kind in _CUTS for output in moved):
        for rule in matching:
            _check_two_signals(rule, link, path, catalogue, findings)
    for output in moved:
        if output.kind is OutputKind.CUT_OFF and not is_restored_by_hand(output):
            _check_stays_cut(output, matching, built_in_too, path, findings)


def has_built_in_too(link: LinkageModel, site: SiteModel) -> bool:
    """Return whether rules that no site file writes can be among those a linkage names."""
    return (
        any(name.startswith("fault.") for name in link.rules)
        or site.faults.alarm_class in link.classes
        or AlarmClass.TECHNICAL in link.classes
        or not (link.classes or link.rules)
    )


def _check_names(
    link: LinkageModel,
    path: KeyPath,
    outputs: Mapping[str, OutputModel],
    catalogue: Catalogue,
    findings: Findings,
) -> None:
    rules = {rule.id: rule for rule in catalogue.site.rules}
    for index, name in enumerate(link.outputs):
        if name in outputs:
            if outputs[name].kind is OutputKind.HEALTH:
                findings.fault(
                    (*path, "outputs", index), "a health output follows the agent, not alarms"
                )
        elif name not in catalogue.opaque:
            findings.fault(
                (*path, "outputs", index), f"no output '{name}'{did_you_mean(name, outputs)}"
            )
    for index, name in enumerate(link.rules):
        if name not in rules and name not in catalogue.opaque and not _is_built_in(name, catalogue):
            findings.fault((*path, "rules", index), f"no rule '{name}'{did_you_mean(name, rules)}")


def _check_stays_cut(
    output: OutputModel,
    rules: list[RuleModel],
    built_in_too: bool,
    path: KeyPath,
    findings: Findings,
) -> None:
    """After a cut power returns only by a person (design section 5), so what cuts has to latch."""
    for rule in rules:
        if rule.alarm_class not in LATCHED and not rule.latch:
            findings.fault(
                (*path, "id"),
                f"'{output.id}' is a cut-off and '{rule.id}' does not latch: power would return by "
                "itself; give the rule `latch: true`",
            )
    if built_in_too:
        findings.warn(
            (*path, "id"),
            f"'{output.id}' is a cut-off and built-in fault rules can match: they end by themselves, "
            "and power returns with them",
        )


def _is_built_in(rule: str, catalogue: Catalogue) -> bool:
    watched = rule.removeprefix("fault.")
    if watched == rule:
        return False
    sources = {*(each.id for each in catalogue.site.buses), *catalogue.by_device}
    return watched in catalogue.points or watched in sources


def _check_two_signals(
    rule: RuleModel, link: LinkageModel, path: KeyPath, catalogue: Catalogue, findings: Findings
) -> None:
    """GB 50116 4.1.6: what cuts or starts equipment follows two independent signals."""
    if rule.alarm_class not in LATCHED:
        return
    parts: tuple[ConditionModel, ...] = (rule.when,)
    if isinstance(rule.when, AllModel):
        parts = rule.when.all
    elif isinstance(rule.when, AtLeastModel) and rule.when.at_least > 1:
        parts = rule.when.of
    points = {leaf.point for part in parts for leaf, _ in leaves(part)}
    if link.needs < 2 and (len(parts) < 2 or len(points) < 2):
        findings.warn(
            (*path, "id"),
            f"'{rule.id}' cuts or starts equipment on one signal; GB 50116 4.1.6 asks for two",
        )
        return
    if len(points) < 2:
        return
    modules = {_module(root, catalogue) for point in points for root in catalogue.roots(point)}
    if len(modules) == 1:
        findings.warn(
            (*path, "id"),
            f"both signals of '{rule.id}' come from {modules.pop()}: one fault takes both",
        )


def _module(point: str, catalogue: Catalogue) -> str:
    """Return what a point's wire ends at."""
    if point in catalogue.inputs:
        return f"bus '{catalogue.inputs[point].bus}'"
    if point in catalogue.counters:
        return f"bus '{catalogue.counters[point].bus}'"
    for device, items in catalogue.by_device.items():
        if any(item.point == point for item in items):
            return f"device '{device}'"
    return "the box"


def _watched(catalogue: Catalogue) -> dict[str, AlarmClass]:
    """Return each point a rule watches, itself or by what is derived, with the most urgent class."""
    found: dict[str, AlarmClass] = {}
    for rule in catalogue.site.rules:
        for leaf, _ in leaves(rule.when):
            for point in (leaf.point, *catalogue.roots(leaf.point)):
                known = found.get(point)
                if known is None or rule.alarm_class.rank < known.rank:
                    found[point] = rule.alarm_class
    return found


def _check_opt_outs(catalogue: Catalogue, findings: Findings) -> None:
    watched = _watched(catalogue)

    def look(point: str, path: KeyPath) -> None:
        if watched.get(point) in LATCHED:
            findings.fault(
                (*path, "fault"),
                "a rule of class fire or gas watches it: its silence must be a fault",
            )

    for index, each in enumerate(catalogue.site.inputs):
        if each.fault == "off":
            look(each.id, ("inputs", index))
    for index, counter in enumerate(catalogue.site.counters):
        if counter.fault == "off":
            look(counter.id, ("counters", index))
    for index, derived in enumerate(catalogue.site.derived):
        if derived.fault == "off":
            look(derived.id, ("derived", index))
    for measured in catalogue.measured.values():
        if measured.settings.fault == "off":
            look(measured.point, measured.path)


def _check_unwatched(catalogue: Catalogue, findings: Findings) -> None:
    if findings.faults or catalogue.opaque:
        return  # the rule that watches it may be the broken one
    watched = _watched(catalogue)
    for index, each in enumerate(catalogue.site.inputs):
        if each.kind in _MUST_BE_WATCHED and each.id not in watched:
            findings.warn(
                ("inputs", index, "id"), "no rule watches it: it can never raise an alarm"
            )


def _check_unused(catalogue: Catalogue, findings: Findings) -> None:
    used = {name for link in catalogue.site.linkage for name in link.outputs}
    if findings.faults or catalogue.opaque:
        return
    for index, output in enumerate(catalogue.site.outputs):
        is_of_the_box = output.kind is OutputKind.HEALTH or output.shows or output.reset_line
        if output.id not in used and not is_of_the_box:
            findings.warn(("outputs", index, "id"), "no linkage names it: it never moves")
