"""What a linkage and the fault hierarchy may not be: empty, a cut that lets go by itself, a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from agent.core.spec import RuleSpec

CONFIG = Path(__file__).parents[2] / "config"
HEAD = """\
version: 1
site: riverside
box: plantroom-1
buses: [{id: pins, type: gpio}]
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
  - {id: heat, bus: pins, pin: 18, kind: heat, contact: normally-closed}
outputs: [{id: cut, kind: cut-off, bus: pins, pin: 23, restore: with-reset}]
rules:
  - {id: fire, class: fire, when: {all: [{point: smoke, is: active}, {point: heat, is: active}]}}
"""


def load(folder: Path, text: str) -> LoadedSite:
    path = folder / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    return load_site(path, env={})


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [str(each).removeprefix(f"{folder}/site.yaml:") for each in caught.value.faults]


def test_a_cut_off_on_a_rule_that_does_not_latch_is_refused(tmp_path: Path) -> None:
    text = """\
  - {id: warm, class: supervisory, when: {point: heat, is: active}}
linkage:
  - {id: supply, rules: [fire, warm], outputs: [cut]}
"""
    assert refused(tmp_path, text) == [
        "13:10: linkage[0].id: 'cut' is a cut-off and 'warm' does not latch: power would return by "
        "itself; give the rule `latch: true`"
    ]


@pytest.mark.parametrize(
    "link", ["classes: [supervisory]", "classes: [supervisory], rules: [warm]"]
)
def test_it_is_refused_however_the_linkage_names_the_rule(tmp_path: Path, link: str) -> None:
    text = f"""\
  - {{id: warm, class: supervisory, when: {{point: heat, is: active}}}}
linkage:
  - {{id: supply, {link}, outputs: [cut]}}
"""
    assert [fault.partition(" 'cut'")[0] for fault in refused(tmp_path, text)] == [
        "13:10: linkage[0].id:"
    ]


def test_a_cut_off_on_rules_that_latch_is_taken(tmp_path: Path) -> None:
    text = """\
  - {id: warm, class: supervisory, latch: true, when: {point: heat, is: active}}
linkage:
  - {id: supply, rules: [fire, warm], outputs: [cut]}
"""
    assert not [each for each in load(tmp_path, text).warnings if "returns" in str(each)]


@pytest.mark.parametrize("link", ["rules: [fault.heat]", "classes: [fault]"])
def test_a_cut_off_on_a_built_in_fault_rule_is_a_warning(tmp_path: Path, link: str) -> None:
    text = f"""\
linkage:
  - {{id: supply, rules: [fire], outputs: [cut]}}
  - {{id: dead-sensor, {link}, outputs: [cut]}}
"""
    warnings = [str(each) for each in load(tmp_path, text).warnings]
    (warning,) = [each for each in warnings if "power returns" in each]
    assert "linkage[1].id: 'cut' is a cut-off and built-in fault rules can match" in warning


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("outputs: [cut]", "names no alarms; give classes, zones or rules"),
        ("rules: [], outputs: [cut]", "names no alarms; give classes, zones or rules"),
        ("rules: [fire], outputs: []", "must have 1 or more (characters or items)"),
    ],
)
def test_an_empty_linkage_is_refused(tmp_path: Path, link: str, said: str) -> None:
    (fault,) = refused(tmp_path, f"linkage:\n  - {{id: l, {link}}}\n")
    assert fault.endswith(said)


def test_the_fault_hierarchy_is_not_the_site_files_to_tie(tmp_path: Path) -> None:
    text = "  - {id: a, class: supervisory, suppressed_by: [a], when: {point: heat, is: active}}\n"
    (fault,) = refused(tmp_path, text)
    assert "suppressed_by: unknown key" in fault


def above(rule: RuleSpec, rules: dict[str, RuleSpec]) -> set[str]:
    found: set[str] = set()
    ahead = list(rule.suppressed_by)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead.extend(rules[name].suppressed_by)
    return found


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_built_in_fault_rule_hides_itself_and_each_parent_is_there(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "mqtt-password").write_text("x", "utf-8")
    site = load_site(path, credentials_dir=tmp_path, env={"PROPERTY_MQTT_PASSWORD": "x"})
    rules = {rule.id: rule for rule in site.spec.rules}
    assert any(rule.suppressed_by for rule in rules.values())
    for rule in rules.values():
        assert rule.id not in above(rule, rules)


RULES = """\
  - {id: smoky, class: fire, when: {point: smoke, is: active}}
  - {id: warm, class: fire, when: {point: heat, is: active}}
  - {id: either, class: gas, when: {any: [{point: smoke, is: active}, {point: heat, is: active}]}}
"""


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("rules: [smoky, warm], needs: 2", ""),
        (
            "rules: [smoky, warm, either], needs: 2",
            "'either' watches 2 detectors and counts as one",
        ),
        ("rules: [either], needs: 2", "2 alarms of different detectors, and its rules can make 1"),
        ("classes: [fire], needs: 3", "3 alarms of different detectors, and its rules can make 2"),
        ("rules: [smoky, warm, fault.heat], needs: 3", ""),
        ("rules: [smoky], needs: 2", "can make 1 at most: its outputs never move; give each"),
        ("rules: [either], needs: 1", ""),
    ],
)
def test_a_linkage_that_waits_for_more_detectors_than_can_tell_is_a_warning(
    tmp_path: Path, link: str, said: str
) -> None:
    text = f"{RULES}linkage:\n  - {{id: supply, {link}, outputs: [cut]}}\n"
    warnings = [str(each) for each in load(tmp_path, text).warnings if ".needs" in str(each)]
    assert [said in each for each in warnings] == ([True] if said else []), warnings
