"""`plantroom templates` and what `check` says of ready-made rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.cli.template_page import thresholds_page
from agent.config.templates.known import TEMPLATES
from tests.cli.plant import ROOT, invoke
from tests.config.template_site import load


def test_the_page_of_thresholds_is_what_the_templates_say() -> None:
    page = (ROOT / "docs" / "thresholds.md").read_text("utf-8")
    made = thresholds_page(TEMPLATES.values())
    assert page == made, "plantroom templates list --markdown > docs/thresholds.md"


def test_the_page_can_be_printed() -> None:
    said = invoke("templates", "list", "--markdown")
    assert said.out == thresholds_page(TEMPLATES.values())


def test_the_list_names_every_template_in_both_languages() -> None:
    said = invoke("templates", "list")
    assert said.code == 0
    for each in TEMPLATES.values():
        assert each.name in said.out
        assert each.label.zh in said.out


def test_the_list_for_programs_holds_all_there_is() -> None:
    told = json.loads(invoke("templates", "list", "--json").out)["templates"]
    assert [each["name"] for each in told] == list(TEMPLATES)
    hydrant = next(each for each in told if each["name"] == "hydrant")
    assert hydrant == json.loads(invoke("templates", "show", "hydrant", "--json").out)
    low, low_low = hydrant["parameters"][:2]
    assert (low["default"], low["unit"], low["needs_confirmation"]) == (70, "kPa", True)
    assert (low_low["default"], low_low["share"]) == (None, {"of": "low_kpa", "factor": 0.5})
    assert [each["suffix"] for each in hydrant["rules"]] == ["low", "low-low", "high"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_one_template_is_shown_with_defaults_sources_and_what_to_confirm(name: str) -> None:
    said = invoke("templates", "show", name)
    assert said.code == 0
    for each in TEMPLATES[name].parameters:
        assert each.name in said.out
        assert each.source.split()[0] in said.out
    asked = sum(each.needs_confirmation for each in TEMPLATES[name].parameters)
    assert said.out.count(", confirm") == asked


def test_an_unknown_template_is_refused_with_the_nearest_one() -> None:
    said = invoke("templates", "show", "hydrent")
    assert said.code == 2
    assert "no template 'hydrent'; did you mean 'hydrant'?" in said.err


def test_check_lists_what_each_entry_became(tmp_path: Path) -> None:
    load(tmp_path, "{id: main, template: hydrant, point: x.kpa, on_delay_s: 20}")
    path = str(tmp_path / "site.yaml")
    said = invoke("check", path, "--plan")
    assert said.code == 0
    assert (
        "main-low: supervisory, The kpa: low 测点2：过低, after 20 s, gone after 15 s" in said.out
    )
    assert "low_kpa 70*" in said.out
    assert "on_delay_s 20," in said.out
    assert "default not confirmed (low_kpa: 70)" in said.err
    (told,) = json.loads(invoke("check", path, "--plan", "--json").out)["templates"]
    assert (told["id"], told["template"]) == ("main", "hydrant")
    assert told["rules"][0]["when"] == {"point": "x.kpa", "below": 70.0, "deadband": 5.0}
    low = next(each for each in told["used"] if each["name"] == "low_kpa")
    assert (low["is_default"], low["is_confirmed"]) == (True, False)


def test_strict_is_kept_by_an_unconfirmed_default(tmp_path: Path) -> None:
    load(tmp_path, "{id: main, template: hydrant, point: x.kpa}")
    assert invoke("check", str(tmp_path / "site.yaml"), "--strict").code == 1
