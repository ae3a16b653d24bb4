"""How outputs, linkages and keys behave, as the site file says it: what the core is told, and each slip."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
    Contact,
    KeySpec,
    LampSign,
    OutputSpec,
    Pattern,
)

HEAD = """\
version: 1
site: riverside
box: plantroom-1
buses:
  - {id: pins, type: gpio}
  - {id: line, type: modbus-tcp, host: localhost}
devices:
  - {id: relays, bus: line, unit: 1, profile: waveshare-relay-8ch}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
  - {id: flow, bus: pins, pin: 27, kind: flow, contact: normally-open}
  - {id: button, bus: pins, pin: 22, kind: key, contact: normally-open}
rules:
  - {id: fire, class: fire, when: {point: smoke, is: active}}
"""
LINK = "linkage: [{id: all, classes: [fire], outputs: [x]}]\n"


def site_of(tmp_path: Path, output: str, more: str = LINK) -> LoadedSite:
    path = tmp_path / "site.yaml"
    path.write_text(f"{HEAD}outputs:\n  - {{id: x, {output}}}\n{more}", "utf-8")
    return load_site(path)


def spec_of(tmp_path: Path, output: str) -> OutputSpec:
    (spec,) = site_of(tmp_path, output).spec.outputs
    return spec


def fault(tmp_path: Path, output: str, more: str = LINK) -> str:
    with pytest.raises(ConfigError) as caught:
        site_of(tmp_path, output, more)
    (only,) = caught.value.faults
    return str(only)


def test_what_is_left_out_has_the_cautious_default(tmp_path: Path) -> None:
    siren = spec_of(tmp_path, "kind: siren, bus: pins, pin: 23")
    assert (siren.test_max_s, siren.is_restored_by_hand, siren.patterns) == (30.0, False, ())
    cut = spec_of(tmp_path, "kind: cut-off, bus: pins, pin: 23")
    assert (cut.test_max_s, cut.is_restored_by_hand) == (0.0, True)
    plain = spec_of(tmp_path, "kind: cut-off, bus: pins, pin: 23, restore: with-reset")
    assert not plain.is_restored_by_hand


def test_times_patterns_and_tests_reach_the_core(tmp_path: Path) -> None:
    spec = spec_of(
        tmp_path,
        "kind: siren, bus: pins, pin: 23, max_on_s: 300, "
        "patterns: {fire: temporal-3, gas: pulsed}, self_test: {days: [mon], at: '10:00', for_s: 1}",
    )
    assert spec.max_on_s == 300.0
    fan = spec_of(tmp_path, "kind: relay, bus: pins, pin: 23, min_off_s: 5, stagger_s: 2")
    assert (fan.min_off_s, fan.stagger_s) == (5.0, 2.0)
    assert spec.patterns == (
        (AlarmClass.FIRE, Pattern.TEMPORAL_3),
        (AlarmClass.GAS, Pattern.PULSED),
    )
    test = spec.self_test
    assert test is not None
    assert (test.days, test.minute, test.for_s) == (frozenset({0}), 600, 1.0)


def test_an_interlock_is_a_rule_people_can_see(tmp_path: Path) -> None:
    site = site_of(
        tmp_path, "kind: relay, bus: pins, pin: 23, interlock: {point: flow, is: active}"
    )
    assert site.spec.outputs[0].interlock == "interlock.x"
    rule = next(each for each in site.spec.rules if each.id == "interlock.x")
    assert (rule.alarm_class, rule.needs_ack) == (AlarmClass.TECHNICAL, False)


def test_a_feedback_that_does_not_follow_is_a_fault_of_its_own(tmp_path: Path) -> None:
    site = site_of(
        tmp_path, "kind: relay, bus: pins, pin: 23, feedback: {point: flow, within_s: 8}"
    )
    assert site.spec.outputs[0].has_feedback
    rule = next(each for each in site.spec.rules if each.id == "fault.x.feedback")
    assert (rule.on_delay_s, rule.suppressed_by) == (8.0, ("fault.x.health",))
    assert "x.active" in {point.id for point in site.spec.points}


def test_the_main_fire_pump_gets_a_start_pulse(tmp_path: Path) -> None:
    pump = spec_of(tmp_path, "kind: relay, bus: pins, pin: 23, role: main_fire_pump")
    assert pump.max_on_s == 2.0
    assert not pump.is_restored_by_hand


def test_a_main_fire_pump_that_does_not_start_is_a_fault_and_one_that_runs_on_is_none(
    tmp_path: Path,
) -> None:
    pump = "kind: relay, bus: pins, pin: 23, role: main_fire_pump"
    site = site_of(tmp_path, f"{pump}, feedback: {{point: flow, within_s: 1.5}}")
    rule = next(each for each in site.spec.rules if each.id == "fault.x.feedback")
    pulse = (Contact(point="x.active"), Contact(point="flow", is_active=False))
    assert rule.condition == AnyOf(parts=(AllOf(parts=pulse),))
    assert (rule.on_delay_s, rule.needs_ack) == (1.5, True)
    assert "the start pulse lasts 2 s" in fault(tmp_path, f"{pump}, feedback: {{point: flow}}")


def test_a_reset_line_reaches_the_core_and_needs_no_linkage(tmp_path: Path) -> None:
    site = site_of(tmp_path, "kind: relay, bus: pins, pin: 23, reset_line: {points: [smoke]}", "")
    (spec,) = site.spec.outputs
    assert (spec.resets, spec.reset_pulse_s, spec.blank_s) == (("smoke",), 5.0, 10.0)


def test_linkages_and_keys_reach_the_core(tmp_path: Path) -> None:
    more = (
        "linkage: [{id: all, classes: [fire], outputs: [x], needs: 2, delay_s: 30, in_manual: true}]\n"
        "keys:\n  - {point: button, command: restore, output: x, actor: guard}\n"
    )
    site = site_of(tmp_path, "kind: cut-off, bus: pins, pin: 23", more)
    (link,) = site.spec.linkages
    assert (link.needs, link.delay_s, link.acts_in_manual) == (2, 30.0, True)
    assert site.spec.keys == (
        KeySpec(point="button", command="restore", target="x", actor="guard"),
    )


def test_a_lamp_for_a_state_of_the_box_needs_no_linkage(tmp_path: Path) -> None:
    site = site_of(tmp_path, "kind: lamp, bus: pins, pin: 23, shows: inhibit", "")
    assert site.spec.outputs[0].shows is LampSign.INHIBIT
    assert not [each for each in site.warnings if "never moves" in str(each)]


PIN = "bus: pins, pin: 23"
RESET_LINE = f"kind: relay, {PIN}, reset_line: {{points: [smoke]}}"


@pytest.mark.parametrize(
    ("more", "linkage", "place"),
    [
        ("", LINK, "linkage[0].outputs[0]: 'x' is a reset line"),
        (", test_max_s: 5", "", "outputs[0].test_max_s: would take the supply"),
        (", at_stop: active", "", "outputs[0].at_stop: would take the supply"),
    ],
)
def test_only_a_reset_takes_the_supply_of_detectors(
    tmp_path: Path, more: str, linkage: str, place: str
) -> None:
    assert place in fault(tmp_path, RESET_LINE + more, linkage)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (f"kind: health, {PIN}, max_on_s: 5", "max_on_s: a health output follows the agent"),
        (f"kind: cut-off, {PIN}, max_on_s: 5", "max_on_s: power would return by itself"),
        (f"kind: cut-off, {PIN}, min_off_s: 5", "min_off_s: would hold back a cut"),
        (
            f"kind: valve, {PIN}, restore: manual, max_on_s: 5",
            "max_on_s: would end what stays until a person restores it",
        ),
        (f"kind: siren, {PIN}, min_off_s: 5", "min_off_s: would hold back a warning"),
        (
            f"kind: siren, {PIN}, interlock: {{point: flow, is: active}}",
            "interlock: while it holds or is unknown it would keep a warning silent",
        ),
        (
            f"kind: cut-off, {PIN}, interlock: {{point: flow, is: active}}",
            "interlock: while it holds or is unknown it would keep a warning silent, or a cut",
        ),
        (f"kind: strobe, {PIN}, stagger_s: 5", "stagger_s: would hold back a warning"),
        (f"kind: siren, {PIN}, restore: manual", "restore: is for what switches equipment"),
        (f"kind: relay, {PIN}, patterns: {{fire: pulsed}}", "patterns: is for sirens"),
        (
            "kind: siren, device: relays, coil: 1, patterns: {fire: pulsed}",
            "patterns: needs a pin: a bus is too slow",
        ),
        (f"kind: relay, {PIN}, shows: test", "shows: is for lamps"),
        (
            f"kind: relay, {PIN}, self_test: {{at: '10:00'}}",
            "self_test.for_s: is longer than its longest test, 0 s",
        ),
        (
            f"kind: relay, {PIN}, interlock: {{point: flwo, is: active}}",
            "interlock.point: no point 'flwo'; did you mean 'flow'?",
        ),
        (
            f"kind: relay, {PIN}, interlock: {{point: x.health, is: inactive}}",
            "interlock.point: an output cannot be interlocked by itself",
        ),
        (f"kind: siren, {PIN}, reset_line: {{points: [smoke]}}", "kind: a reset line is a relay"),
        (f"kind: relay, {PIN}, reset_line: {{points: [smok]}}", "points[0]: no point 'smok'"),
        (f"kind: relay, {PIN}, feedback: {{point: flwo}}", "feedback.point: no point 'flwo'"),
        (
            f"kind: siren, {PIN}, role: main_fire_pump",
            "kind: the start of a main fire pump is a relay",
        ),
        (
            f"kind: relay, {PIN}, role: main_fire_pump, at_stop: inactive",
            "at_stop: could hold back or stop the main fire pump",
        ),
        (
            f"kind: relay, {PIN}, role: main_fire_pump, max_on_s: 60",
            "max_on_s: could hold back or stop the main fire pump",
        ),
        (
            f"kind: relay, {PIN}, role: main_fire_pump, active: de-energised",
            "active: a main fire pump is started by energising",
        ),
    ],
)
def test_each_slip_of_an_output_is_one_fault_with_its_cure(
    tmp_path: Path, output: str, told: str
) -> None:
    assert told in fault(
        tmp_path, output, "" if "health" in output[:12] or "reset_line" in output else LINK
    )


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("{point: buton, command: ack}", "point: no point 'buton'; did you mean 'button'?"),
        ("{point: button, command: ack, output: x}", "output: goes with `command: restore` only"),
        ("{point: button, command: restore}", "command: needs `output`"),
        ("{point: button, command: restore, output: y}", "output: no output 'y'"),
        ("{point: button, command: restore, output: x}", "comes back with the reset of its alarm"),
        ("{point: button, command: rest}", "did you mean 'reset'?"),
    ],
)
def test_each_slip_of_a_key_is_one_fault_with_its_cure(tmp_path: Path, key: str, told: str) -> None:
    assert told in fault(tmp_path, f"kind: siren, {PIN}", f"{LINK}keys: [{key}]\n")
