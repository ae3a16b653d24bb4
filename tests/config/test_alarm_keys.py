"""What a site file says about groups, alarms told anew, call points and the longest inhibit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import load_site
from agent.core.spec import RuleSpec, SiteSpec

HEAD = """\
version: 1
site: riverside
box: plantroom-1
buses: [{id: pins, type: gpio}]
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
  - {id: button, bus: pins, pin: 18, kind: call-point, contact: normally-closed}
"""


def site(folder: Path, text: str) -> SiteSpec:
    path = folder / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    return load_site(path, env={}).spec


def rule(folder: Path, when: str, more: str = "") -> RuleSpec:
    spec = site(folder, f"rules: [{{id: fire, class: fire, when: {when}{more}}}]\n")
    return next(each for each in spec.rules if each.id == "fire")


def test_a_rule_names_its_group_and_when_it_is_told_anew(tmp_path: Path) -> None:
    plain = rule(tmp_path, "{point: smoke, is: active}")
    assert (plain.group, plain.realarm_s, plain.is_call_point) == ("", 0.0, False)
    full = rule(tmp_path, "{point: smoke, is: active}", ", group: boiler, realarm_s: 600")
    assert (full.group, full.realarm_s) == ("boiler", 600.0)


@pytest.mark.parametrize(
    ("when", "more", "is_call_point"),
    [
        ("{point: button, is: active}", "", True),
        ("{point: button, is: active}", ", call_point: false", False),
        ("{any: [{point: button, is: active}, {point: smoke, is: active}]}", "", False),
        ("{point: smoke, is: active}", ", call_point: true", True),
    ],
)
def test_a_call_point_is_known_by_the_kind_of_its_points_or_by_a_word(
    tmp_path: Path, when: str, more: str, is_call_point: bool
) -> None:
    assert rule(tmp_path, when, more).is_call_point is is_call_point


def test_the_longest_inhibit_is_a_week_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    assert site(tmp_path, "").inhibit_max_s == 7 * 86400.0
    assert site(tmp_path, "inhibit_max_h: 8\n").inhibit_max_s == 8 * 3600.0


@pytest.mark.parametrize("hours", ["0", "-1", "8761", ".inf", "long"])
def test_an_inhibit_without_a_sensible_limit_is_refused(tmp_path: Path, hours: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site(tmp_path, f"inhibit_max_h: {hours}\n")
    assert "inhibit_max_h" in str(caught.value.faults[0])
