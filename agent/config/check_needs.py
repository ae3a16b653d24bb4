"""Linkages that wait for several detectors (`needs`): whether the rules they name can ever be so many."""

from __future__ import annotations

from agent.config.catalogue import Catalogue, Findings
from agent.config.check_conditions import leaves
from agent.config.check_rules import has_built_in_too, matches, rule_zone
from agent.config.faults import KeyPath
from agent.config.model_conditions import AnyModel, AtLeastModel
from agent.config.model_rules import LinkageModel


def check_needs(catalogue: Catalogue, findings: Findings) -> None:
    """Warn of linkages that wait for more detectors than can tell."""
    if catalogue.opaque or findings.faults:
        return  # the rule that is missing may be the broken one
    for index, link in enumerate(catalogue.site.linkage):
        if link.needs > 1:
            _check(link, ("linkage", index, "needs"), catalogue, findings)


def _check(link: LinkageModel, path: KeyPath, catalogue: Catalogue, findings: Findings) -> None:
    """An alarm counts once, with the point that decided it (agent.core.linkage)."""
    site = catalogue.site
    rules = [rule for rule in site.rules if matches(link, rule, rule_zone(rule, catalogue))]
    points = {leaf.point for rule in rules for leaf, _ in leaves(rule.when)}
    most = min(len(rules), len(points))
    if rules and most < link.needs and not has_built_in_too(link, site):
        findings.warn(
            path,
            f"waits for {link.needs} alarms of different detectors, and its rules can make {most} at "
            "most: its outputs never move; give each detector a rule of its own",
        )
        return
    for rule in rules:
        watched = {leaf.point for leaf, _ in leaves(rule.when)}
        if isinstance(rule.when, AnyModel | AtLeastModel) and len(watched) > 1:
            findings.warn(
                path,
                f"'{rule.id}' watches {len(watched)} detectors and counts as one, however many of "
                "them tell; give each detector a rule of its own",
            )
