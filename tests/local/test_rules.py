"""The alert rules and the dashboard that are shipped: sound, and about metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.local.metrics import expose
from tests.local.room import VIEW

CONFIG = Path(__file__).parents[2] / "config"
RULES = CONFIG / "prometheus" / "rules.yml"
TESTS = (CONFIG / "prometheus" / "tests.yml", CONFIG / "prometheus" / "tests-days.yml")
DASHBOARD = CONFIG / "grafana" / "plantroom.json"

NAME = re.compile(r"\b(?:plantroom|process)_[a-z0-9_]+")


def exported() -> set[str]:
    families = text_string_to_metric_families(expose(VIEW)[0].decode())
    return {sample.name for family in families for sample in family.samples}


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [
        each["query"]["query"]
        for each in dashboard["templating"]["list"]
        if isinstance(each["query"], dict)
    ]
    rules = re.findall(r"expr: (.*(?:\n {10}.*)*)", RULES.read_text("utf-8"))
    return [*queries, *variables, *rules]


def test_every_metric_named_in_rules_tests_and_dashboard_is_exported() -> None:
    found = expressions()
    assert len(found) > 50
    named = {name for expression in found for name in NAME.findall(expression)}
    for path in TESTS:
        text = path.read_text("utf-8")
        named |= set(re.findall(r"series: '((?:plantroom|process)_[a-z_]+)", text))
    assert len(named) > 30
    assert named - exported() == set()


def test_every_alert_says_how_urgent_it_is_and_what_it_means() -> None:
    text = RULES.read_text("utf-8")
    alerts = re.split(r"- alert: ", text)[1:]
    assert len(alerts) > 20
    for alert in alerts:
        assert re.search(r"severity: (page|ticket)", alert), alert
        assert "summary:" in alert, alert


def test_a_metric_that_nobody_exports_would_be_found() -> None:
    assert set(NAME.findall("plantroom_made_up > 0")) - exported() == {"plantroom_made_up"}


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "rules.yml"), ("test", "rules", "tests.yml", "tests-days.yml")],
)
def test_promtool_takes_the_rules(arguments: tuple[str, ...], need: Callable[[str], str]) -> None:
    result = subprocess.run(
        [need("promtool"), *arguments],
        cwd=RULES.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_dashboard_can_be_provisioned() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert dashboard["uid"] == "plantroom"
    assert "id" not in dashboard
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24


def test_promtool_understands_every_query_of_the_dashboard(
    tmp_path: Path, need: Callable[[str], str]
) -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": each} for number, each in enumerate(queries)]
    path = tmp_path / "queries.yml"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    result = subprocess.run(
        [need("promtool"), "check", "rules", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
