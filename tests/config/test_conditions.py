"""Conditions in a site file: each word becomes what the core watches; each slip is one clear fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import load_site
from agent.core.spec import (
    AtLeast,
    Condition,
    Contact,
    Faster,
    Flat,
    Leaking,
    Outside,
    Scheduled,
    Side,
    Starting,
    Verified,
)

HEAD = """\
version: 1
site: riverside
box: plantroom-1
buses:
  - {id: pins, type: gpio}
  - {id: line, type: modbus-tcp, host: localhost}
devices:
  - id: shed
    bus: line
    unit: 1
    quantities:
      - {name: heat, area: input, address: 0, type: s16, unit: degC, kind: heat}
      - {name: pressure, area: input, address: 1, type: u16, unit: kPa, kind: pressure}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
  - {id: jockey, bus: pins, pin: 27, kind: pump, contact: normally-open}
  - {id: call, bus: pins, pin: 22, kind: call-point, contact: normally-closed}
rules:
"""


def rule(tmp_path: Path, when: str, alarm_class: str = "fire") -> Condition:
    path = tmp_path / "site.yaml"
    path.write_text(f"{HEAD}  - {{id: r, class: {alarm_class}, when: {when}}}\n", "utf-8")
    site = load_site(path)
    return next(each for each in site.spec.rules if each.id == "r").condition


def fault(tmp_path: Path, when: str) -> str:
    with pytest.raises(ConfigError) as caught:
        rule(tmp_path, when)
    (only,) = caught.value.faults
    return str(only)


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        (
            "{point: shed.heat, rises: 8, over_s: 60}",
            Faster(point="shed.heat", side=Side.ABOVE, limit=8, per_s=60, window_s=60),
        ),
        (
            "{point: shed.pressure, falls: 0.5, per: second, over_s: 20}",
            Faster(point="shed.pressure", side=Side.BELOW, limit=0.5, per_s=1, window_s=20),
        ),
        (
            "{point: shed.pressure, flat_s: 3600, within: 0.1}",
            Flat(point="shed.pressure", for_s=3600, within=0.1),
        ),
        (
            "{point: shed.pressure, outside: [70, 500], deadband: 5}",
            Outside(point="shed.pressure", low=70, high=500, deadband=5),
        ),
        (
            "{point: shed.pressure, leaks: 20, over_s: 3600, while: {point: jockey, is: inactive}}",
            Leaking(
                point="shed.pressure",
                limit=20,
                window_s=3600,
                quiet=Contact(point="jockey", is_active=False),
            ),
        ),
        ("{point: jockey, starts_above: 15}", Starting(point="jockey", limit=15)),
        (
            "{point: jockey, starts_above_usual: 2}",
            Starting(point="jockey", limit=3, factor=2.0, usual_days=7),
        ),
        (
            "{at_least: 2, of: [{point: smoke, is: active}, {point: call, is: active}], timeout_s: 60}",
            AtLeast(count=2, parts=(Contact(point="smoke"), Contact(point="call")), timeout_s=60),
        ),
        (
            "{verify: {point: smoke, is: active}, window_s: 60, blank_s: 10}",
            Verified(part=Contact(point="smoke"), window_s=60, blank_s=10),
        ),
    ],
)
def test_a_condition_of_the_site_becomes_what_the_core_watches(
    tmp_path: Path, when: str, condition: Condition
) -> None:
    assert rule(tmp_path, when) == condition


def test_a_part_of_the_week_follows_the_sites_clock_on_the_wall(tmp_path: Path) -> None:
    when = '{schedule: {days: [fri, sat], from: "22:00", to: "06:30"}}'
    found = rule(tmp_path, when, "technical")
    assert isinstance(found, Scheduled)
    assert (found.days, found.from_min, found.to_min) == (frozenset({4, 5}), 1320, 390)
    # Wednesday 2026-11-25 22:00 UTC is Thursday 06:00 in Shanghai, which knows no summer time
    assert found.calendar.minute_of_week(1795644000000) == (3, 6 * 60)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("{point: shed.heat, rises: 2}", "rises: a fire alarm must not come at 2 degC/min or less"),
        ("{point: shed.heat, rises: 100, per: hour}", "must not come at 2 degC/min"),
        ("{point: shed.heat, rises: 8, over_s: 1}", "over_s: must be at least 2 times the poll"),
        (
            "{point: shed.pressure, falls: 8, over_s: 1}",
            "over_s: must be at least 2 times the poll",
        ),
        ("{point: shed.pressure, flat_s: 1}", "flat_s: must be at least 2 times the poll"),
        ("{point: shed.heat, rises: 0}", "rises: must be more than 0.0"),
        ("{point: smoke, rises: 8}", "rises: 'smoke' is a contact; use `is: active`"),
        ("{point: smoke, outside: [1, 2]}", "outside: 'smoke' is a contact"),
        ("{point: smoke, flat_s: 60}", "flat_s: 'smoke' is a contact"),
        ("{point: shed.heat, starts_above: 3}", "starts_above: 'shed.heat' is not a contact"),
        (
            "{point: shed.heat, starts_above_usual: 3}",
            "starts_above_usual: 'shed.heat' is not a contact",
        ),
        ("{point: shed.heat, outside: [20, 10]}", "outside: the low limit stands first"),
        ("{point: shed.heat, outside: [10, 20], deadband: 5}", "leaves nothing between the limits"),
        (
            "{at_least: 3, of: [{point: smoke, is: active}]}",
            "at_least: 3 of 1 can never be reached",
        ),
        (
            "{verify: {point: smoke, is: active}, window_s: 5, blank_s: 5}",
            "blank_s: must be shorter than window_s",
        ),
        ("{verify: {point: smoke, is: active}, window_s: 90}", "window_s: must be 60.0 or less"),
        (
            "{verify: {point: call, is: active}}",
            "verify.point: a call point is pressed by a person and is not verified",
        ),
        (
            "{point: shed.pressure, leaks: 2, deadband: 2, while: {point: jockey, is: inactive}}",
            "deadband: must be smaller than `leaks`",
        ),
        ("{point: shed.pressure, leaks: 2}", "while: is missing and must be given"),
        (
            "{point: shed.pressure, leaks: 2, while: {point: jokey, is: inactive}}",
            "while.point: no point 'jokey'; did you mean 'jockey'?",
        ),
        ('{schedule: {from: "22:00", to: "22:00"}}', "to: is `from`"),
        ('{schedule: {from: "24:00", to: "22:00"}}', "from: a part of a day begins"),
        ('{schedule: {from: "7", to: "22:00"}}', "from: must be a time of day like"),
        ('{schedule: {days: [monday], from: "07:00", to: "22:00"}}', "did you mean 'mon'?"),
    ],
)
def test_each_slip_is_one_fault_with_its_cure(tmp_path: Path, when: str, told: str) -> None:
    assert told in fault(tmp_path, when)


def test_a_leak_needs_a_window_in_which_one_lost_poll_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    slow = HEAD.replace("host: localhost}", "host: localhost, poll: {normal_s: 100}}")
    when = "{point: shed.pressure, leaks: 20, over_s: 600, while: {point: jockey, is: inactive}}"
    path.write_text(f"{slow}  - {{id: r, class: technical, when: {when}}}\n", "utf-8")
    with pytest.raises(
        ConfigError, match="over_s: must be at least 8 times the poll period of 100 s"
    ):
        load_site(path)


def test_a_call_point_that_waits_for_other_signals_is_told(tmp_path: Path) -> None:
    vote = "of: [{point: smoke, is: active}, {point: call, is: active}]"
    for count, is_told in ((2, True), (1, False)):
        path = tmp_path / "site.yaml"
        when = f"{{at_least: {count}, {vote}}}"
        path.write_text(f"{HEAD}  - {{id: r, class: fire, when: {when}}}\n", "utf-8")
        told = [str(each) for each in load_site(path).warnings]
        assert any("of[1].point: a call point is pressed" in each for each in told) is is_told


def test_a_rule_that_watches_the_feedback_of_what_it_moves_is_told(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        f"{HEAD}  - {{id: r, class: supervisory, when: {{point: jockey, is: active}}}}\n"
        "outputs:\n"
        "  - {id: pump, kind: relay, bus: pins, pin: 5, feedback: {point: jockey, within_s: 5}}\n"
        "linkage:\n"
        "  - {id: l, rules: [r], outputs: [pump]}\n",
        "utf-8",
    )
    told = [str(each) for each in load_site(path).warnings]
    assert any(
        "the rule moves 'pump' by linkage 'l' and watches its feedback" in each for each in told
    )
