"""Every ready-made rule stands in a timeline: normal, alarm, return, and not known."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.config.templates.known import TEMPLATES
from drivers.clock import ManualClock
from drivers.reading import Value
from tests.config.template_site import load as load_rules
from tests.core.timeline import World, load

FOLDER = Path(__file__).parents[1] / "scenarios"
READ_EACH_S = 10
"""Well below the time after which a contact is stale (agent.config.builtin)."""


@cache
def written_down() -> tuple[dict[str, Any], ...]:
    return tuple(load(path) for path in sorted(FOLDER.glob("template-*.yaml")))


def timelines(template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entry's id and the timeline of every file that plays a template."""
    for written in written_down():
        for rule in written["rules"]:
            if rule.get("template") == template:
                yield rule["id"], written


def states_of(rule: str, written: dict[str, Any]) -> list[str]:
    """What a rule is expected to be, step by step that tells."""
    told = [step["alarms"] for step in written["steps"] if "alarms" in step]
    return [alarms.get(rule, "normal") for alarms in told]


PLAYED_ELSEWHERE = {("slow-leak", "unusual")}
"""Needs a whole day to know what is usual: see below."""

PATTERNS = [
    (name, pattern.suffix)
    for name, template in TEMPLATES.items()
    for pattern in template.rules
    if (name, pattern.suffix) not in PLAYED_ELSEWHERE
]


@pytest.mark.parametrize(("template", "suffix"), PATTERNS)
def test_each_rule_of_each_template_is_normal_and_then_alarms_in_a_timeline(
    template: str, suffix: str
) -> None:
    seen = [
        states_of(f"{entry}-{suffix}" if suffix else entry, written)
        for entry, written in timelines(template)
    ]
    assert any(states[0] == "normal" and "active_unacked" in states for states in seen)


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_goes_through_not_known_and_back(template: str) -> None:
    played = [written for _, written in timelines(template)]
    assert any(
        "bad" in step.get("read", {}).values() for written in played for step in written["steps"]
    )
    suffixes = [f"-{each.suffix}" if each.suffix else "" for each in TEMPLATES[template].rules]
    assert any(
        has_ended(states_of(f"{entry}{suffix}", written))
        for entry, written in timelines(template)
        for suffix in suffixes
    )


def has_ended(states: list[str]) -> bool:
    was_active = [state.startswith("active") for state in states]
    return (True, False) in pairwise(was_active)


def test_starts_beyond_the_usual_are_told_once_a_day_is_known(tmp_path: Path) -> None:
    site = load_rules(tmp_path, "{id: jockey, template: slow-leak, pump: pump}").spec
    world = World(site, ManualClock())

    def alarms() -> set[str]:
        return {rule for rule in world.alarms() if rule.startswith("jockey")}

    def pass_s(seconds: float, value: Value) -> None:
        for _ in range(int(seconds / READ_EACH_S)):
            world.read({"pump": value})
            world.clock.advance(READ_EACH_S)
            world.tick()

    def start(times: int, each_s: float) -> None:
        for _ in range(times):
            pass_s(READ_EACH_S, True)
            pass_s(each_s - READ_EACH_S, False)

    start(2 * 25, 1800)  # two an hour for a day and an hour
    assert alarms() == set()
    start(3, 600)
    assert alarms() == set()
    start(3, 600)
    assert alarms() == {"jockey-unusual"}
    world.read({"pump": None})
    assert alarms() == {"jockey-unusual"}
