"""What people order, as it comes in by form and JSON, and as the page and the API tell it."""

from __future__ import annotations

import dataclasses

import pytest

from agent.core.effects import AlarmState, OrdersView
from agent.core.spec import AlarmClass
from agent.local.commands import NotUnderstood, read_fields
from agent.local.forms import TEST_S, command_fields
from agent.local.page import Form, full_page, live_part
from agent.local.summary import is_blind, summarise
from agent.local.terms import Lang, Words
from agent.local.wire import alarms_json, status_json
from tests.local.room import CALM, VIEW, alarm

EN, ZH = Words(Lang.EN), Words(Lang.ZH)


@pytest.mark.parametrize(
    ("do", "form", "fields"),
    [
        ("ack:smoke", {"actor": "Li Wei"}, {"name": "ack", "target": "smoke", "actor": "Li Wei"}),
        (
            "inhibit:smoke",
            {"minutes": "30", "reason": "works"},
            {"name": "inhibit", "target": "smoke", "reason": "works", "duration_s": 1800.0},
        ),
        (
            "inhibit:smoke",
            {"minutes": ""},
            {"name": "inhibit", "target": "smoke", "duration_s": None},
        ),
        (
            "drill-start:",
            {"minutes": "60", "place": "hall"},
            {"name": "drill", "target": "", "is_on": True, "scope": ["hall"], "duration_s": 3600.0},
        ),
        ("drill-stop:", {}, {"name": "drill", "target": "", "is_on": False}),
        ("mode-manual:", {}, {"name": "mode", "target": "", "mode": "manual"}),
        ("restore:supply", {}, {"name": "restore", "target": "supply"}),
        (
            "output-test:siren",
            {},
            {"name": "output", "target": "siren", "is_on": True, "duration_s": TEST_S},
        ),
        ("nonsense", {}, {"name": "nonsense", "target": ""}),
    ],
)
def test_a_button_of_the_form_is_a_command(
    do: str, form: dict[str, str], fields: dict[str, object]
) -> None:
    assert command_fields(do, form) == fields


def test_every_field_of_a_command_comes_through() -> None:
    command = read_fields(
        {
            "name": "drill", "actor": "anna", "is_on": True, "scope": ["hall", "roof"],
            "duration_s": 60, "with_linkage": True, "reason": "yearly",
        },
        "cli",
    )  # fmt: skip
    assert (command.is_on, command.scope, command.duration_s) == (True, ("hall", "roof"), 60.0)
    assert command.with_linkage
    assert read_fields({"name": "mode", "mode": "manual"}, "cli").mode == "manual"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"duration_s": "60"}, "duration_s must be a number"),
        ({"duration_s": True}, "duration_s must be a number"),
        ({"is_on": 1}, "is_on must be true or false"),
        ({"with_linkage": "yes"}, "with_linkage must be true or false"),
        ({"scope": "hall"}, "scope must be a list"),
        ({"scope": [1]}, "scope must be text"),
        ({"scope": ["x"] * 101}, "scope must be a list of at most 100"),
        ({"name": "explode"}, "name must be one of"),
    ],
)
def test_what_is_no_order_is_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(NotUnderstood, match=told):
        read_fields({"name": "drill", **fields}, "cli")


def test_an_inhibited_rule_is_shown_and_makes_no_calm() -> None:
    out = dataclasses.replace(
        alarm("smoke", AlarmClass.FIRE, AlarmState.NORMAL),
        is_inhibited=True,
        inhibited_left_s=1800.0,
        inhibited_by="anna",
    )
    view = dataclasses.replace(CALM, alarms=(out,))
    summary = summarise(view)
    assert [each.rule for each in summary.inhibited] == ["smoke"]
    assert is_blind(view, summary)
    page = full_page(view, EN, Form(token="t", command_id="c"), None)
    assert "INHIBITED" in page
    assert "uninhibit:smoke" in page
    assert 'value="inhibit-rule:"' in page
    assert all(f'value="{rule.id}"' in page for rule in view.site.rules)
    assert "No alarm stands" not in page
    told = alarms_json(view)
    assert told["inhibited"] == 1
    assert told["alarms"][0]["inhibited_by"] == "anna"


def test_a_drills_alarm_is_a_test_and_never_counts_as_fire() -> None:
    test = dataclasses.replace(
        alarm("smoke", AlarmClass.FIRE, AlarmState.ACTIVE_UNACKED), is_test=True
    )
    orders = OrdersView(drill_left_s=600.0, drill_scope=("hall",))
    view = dataclasses.replace(CALM, alarms=(test,), orders=orders)
    assert status_json(view)["alarms"]["standing"]["fire"] == 0
    part = str(live_part(view, EN, can_command=False))
    assert "A DRILL IS RUNNING: hall" in part
    assert 'class="badge test' in part
    assert "演练进行中" in str(live_part(view, ZH, can_command=False))


def test_a_cut_waits_for_a_person_and_the_page_has_the_button() -> None:
    output = VIEW.outputs[0].spec.id
    orders = OrdersView(cut=frozenset({output}), is_manual=True, is_testing=True)
    view = dataclasses.replace(CALM, outputs=VIEW.outputs[:1], orders=orders)
    assert is_blind(view, summarise(view))
    part = str(live_part(view, EN, can_command=True))
    assert f"restore:{output}" in part
    assert "Linkage is MANUAL" in part
    assert "An output is being tested" in part
    assert status_json(view)["orders"]["cut"] == [output]
