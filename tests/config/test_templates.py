# ruff: noqa: E501 - a row of a table is one line
"""Ready-made rules: what they become, what they default to, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config.faults import ConfigError, ConfigFault
from agent.config.load import load_site
from agent.config.templates.known import TEMPLATES
from agent.config.templates.spec import Share, Sure
from agent.config.templates.units import convert, known_units
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
    AtLeast,
    Contact,
    Faster,
    Leaking,
    RuleSpec,
    Side,
    Starting,
    Threshold,
    Verified,
)
from tests.config.template_site import CONTACTS, NUMBERS, line_of, load


def rules(folder: Path, *entries: str) -> dict[str, RuleSpec]:
    spec = load(folder, *entries).spec
    return {each.id: each for each in spec.rules if not each.id.startswith("fault.")}


def faults(folder: Path, *entries: str, more: str = "") -> list[ConfigFault]:
    with pytest.raises(ConfigError) as caught:
        load(folder, *entries, more=more)
    return list(caught.value.faults)


def warnings(folder: Path, *entries: str) -> list[str]:
    found = load(folder, *entries).warnings
    return [each.message for each in found if each.path.startswith("rules")]


# -- every default is what is documented, and has a source ---------------------------------------------

DEFAULTS: dict[str, dict[str, float | str | None]] = {
    "smoke": {"on_delay_s": 0, "verify_s": None, "blank_s": 5},
    "call-point": {},
    "heat": {"on_delay_s": 0},
    "heat-a1": {"alarm_celsius": 57, "deadband_celsius": 2, "on_delay_s": 0, "rise_celsius": None, "rise_over_s": 60},
    "heat-a2": {"alarm_celsius": 57, "deadband_celsius": 2, "on_delay_s": 0, "rise_celsius": None, "rise_over_s": 60},
    "sprinkler-flow": {"on_delay_s": 15},
    "charging-shed": {
        "warn_celsius": 50, "alarm_celsius": 57, "deadband_celsius": 2, "rise_warn_celsius": 5,
        "rise_warn_over_s": 120, "rise_celsius": 8, "rise_over_s": 60, "cable_warn_celsius": 65,
        "cable_alarm_celsius": 75, "rated_a": None, "over_a": "1.1 rated_a", "rated_delay_s": 30,
        "over_delay_s": 5, "residual_warn_ma": 300, "residual_alarm_ma": 500, "residual_delay_s": 5,
        "charge_warn_h": 8, "charge_alarm_h": 10,
    },
    "gas": {"level_1_lel": 25, "level_2_lel": 50, "deadband_lel": 2, "on_delay_s": 0},
    "carbon-monoxide": {"level_1_ppm": 24, "level_2_ppm": 160, "deadband_ppm": 2, "on_delay_s": 0},
    "hydrant": {
        "low_kpa": 70, "low_low_kpa": "0.5 low_kpa", "working_kpa": None, "high_kpa": "1.2 working_kpa",
        "deadband_kpa": 5, "on_delay_s": 15, "low_low_on_delay_s": 5, "off_delay_s": 15,
    },
    "sprinkler": {
        "low_kpa": 100, "low_low_kpa": "0.5 low_kpa", "working_kpa": None, "high_kpa": "1.2 working_kpa",
        "deadband_kpa": 5, "on_delay_s": 15, "low_low_on_delay_s": 5, "off_delay_s": 15,
    },
    "valve-tamper": {"on_delay_s": 5},
    "slow-leak": {"falls_kpa": 20, "over_s": 3600, "starts": 15, "usual_factor": 2},
    "tank-level": {"low_mm": None, "high_mm": None, "deadband_mm": 50, "on_delay_s": 60, "off_delay_s": 60},
    "pump-start": {"start_kpa": None, "deadband_kpa": 5, "on_delay_s": 30},
    "leak": {"on_delay_s": 3, "off_delay_s": 30},
    "room-temperature": {"low_celsius": 5, "high_celsius": 40, "deadband_celsius": 2, "on_delay_s": 60, "off_delay_s": 60},
    "room-humidity": {"high_percent": 80, "deadband_percent": 5, "on_delay_s": 600, "off_delay_s": 600},
    "lift": {"fault_delay_s": 30, "trapped_delay_s": 5},
    "extinguisher": {"low_kpa": None, "high_kpa": None, "deadband_kpa": 20, "on_delay_s": 60, "off_delay_s": 60},
    "power": {"mains_delay_s": 2, "battery_delay_s": 10, "nominal_v": None, "low_v": "0.9 nominal_v", "deadband_v": 0.5},
}  # fmt: skip
"""The starting values of the team's domain notes, sections 1 to 4; `1.1 x` is a share of x."""


def test_every_default_is_the_documented_one() -> None:
    told: dict[str, dict[str, float | str | None]] = {
        name: {
            each.name: f"{each.default.factor:g} {each.default.of}"
            if isinstance(each.default, Share)
            else each.default
            for each in template.parameters
        }
        for name, template in TEMPLATES.items()
    }
    assert told == DEFAULTS


ASKED = {
    "sprinkler-flow": {"on_delay_s"},
    "charging-shed": {"cable_alarm_celsius"},
    "hydrant": {"low_kpa", "on_delay_s"},
    "sprinkler": {"low_kpa", "on_delay_s"},
    "slow-leak": {"falls_kpa", "over_s", "starts"},
    "tank-level": {"on_delay_s"},
    "pump-start": {"on_delay_s"},
    "leak": {"on_delay_s"},
    "room-temperature": {"on_delay_s"},
    "power": {"low_v"},
}


def test_the_site_confirms_what_nobody_read_and_what_differs_between_buildings() -> None:
    asked = {
        name: {each.name for each in template.parameters if each.needs_confirmation}
        for name, template in TEMPLATES.items()
    }
    assert {name: each for name, each in asked.items() if each} == ASKED


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_parameter_has_a_source_a_range_around_its_default_and_two_languages(
    name: str,
) -> None:
    known = TEMPLATES[name]
    names = {each.name for each in known.parameters}
    for each in known.parameters:
        assert each.source, each.name
        assert "" not in (each.label.en, each.label.zh), each.name
        assert each.low < each.high, each.name
        if isinstance(each.default, Share):
            assert each.default.of in names
        elif each.default is not None:
            assert each.low <= each.default <= each.high, each.name
        if each.of:
            takes = next(takes for takes in known.takes if takes.name == each.of)
            assert known_units(each.unit) == known_units(takes.unit), each.name
        if each.sure is Sure.READ:
            assert any(word in each.source for word in ("GB", "EN")), each.name
    assert len({each.suffix for each in known.rules}) == len(known.rules)
    labels = [known.label, *(t.label for t in known.takes), *(r.label for r in known.rules)]
    assert all(each.en and each.zh for each in labels)


# -- what entries become -------------------------------------------------------------------------------


def test_a_hydrant_becomes_low_very_low_and_high(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: main, template: hydrant, point: x.kpa, working_kpa: 600}")
    assert list(made) == ["main-low", "main-low-low", "main-high"]
    low, low_low, high = made.values()
    assert low.condition == Threshold(point="x.kpa", side=Side.BELOW, limit=70, deadband=5)
    assert low_low.condition == Threshold(point="x.kpa", side=Side.BELOW, limit=35, deadband=5)
    assert high.condition == Threshold(point="x.kpa", side=Side.ABOVE, limit=720, deadband=5)
    assert (low.on_delay_s, low_low.on_delay_s, high.off_delay_s) == (15, 5, 15)
    assert {each.alarm_class for each in made.values()} == {AlarmClass.SUPERVISORY}
    assert (low.label.en, low.label.zh) == ("The kpa: low", "测点2：过低")
    assert low.zone == "cellar"


def test_without_its_working_pressure_no_high_alarm_is_made(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: main, template: hydrant, point: x.kpa}")
    assert list(made) == ["main-low", "main-low-low"]


def test_limits_follow_the_unit_of_the_point(tmp_path: Path) -> None:
    made = rules(
        tmp_path,
        "{id: main, template: hydrant, point: x.mpa, low_kpa: 100}",
        "{id: tank, template: tank-level, point: x.metres, low_mm: 1800}",
    )
    low = made["main-low"].condition
    assert low == Threshold(point="x.mpa", side=Side.BELOW, limit=0.1, deadband=0.005)
    level = made["tank-low"].condition
    assert level == Threshold(point="x.metres", side=Side.BELOW, limit=1.8, deadband=0.05)


def test_every_unit_of_a_pressure_says_the_same() -> None:
    assert {unit: convert(70, "kPa", unit) for unit in known_units("kPa")} == {
        "kPa": 70, "Pa": 70_000, "hPa": 700, "mbar": 700, "bar": 0.7, "MPa": 0.07,
    }  # fmt: skip


def test_one_entry_watches_several_detectors(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: smoke, template: smoke, points: [smoke-1, smoke-2]}")
    parts = (Contact(point="smoke-1"), Contact(point="smoke-2"))
    assert made["smoke"].condition == AnyOf(parts=parts)
    assert made["smoke"].is_latched
    assert made["smoke"].label.en == "Cellar: smoke"


def test_smoke_is_verified_when_asked_for(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: smoke, template: smoke, point: smoke-1, verify_s: 60}")
    part = Contact(point="smoke-1")
    assert made["smoke"].condition == Verified(part=part, window_s=60, blank_s=5)


def test_a_call_point_waits_for_nothing(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: pressed, template: call-point, point: button}")["pressed"]
    assert (made.is_call_point, made.on_delay_s, made.alarm_class) == (True, 0, AlarmClass.FIRE)


def test_a_heat_class_may_have_a_rate_of_rise(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: hot, template: heat-a1, point: x.air, rise_celsius: 8}")
    assert made["hot"].condition == Threshold(point="x.air", side=Side.ABOVE, limit=57, deadband=2)
    assert made["hot-rise"].condition == Faster(
        point="x.air", side=Side.ABOVE, limit=8, per_s=60, window_s=60
    )


SHED = (
    "{id: shed, template: charging-shed, smoke: [smoke-1%s], temperature: x.air, cable: x.cable, "
    "current: x.amps, rated_a: 40, residual: x.residual, charging: charging, confirmed: true}"
)


def test_the_shed_cuts_by_both_of_two_signals(tmp_path: Path) -> None:
    made = rules(tmp_path, SHED % "")
    cut = made["shed-cut"].condition
    assert isinstance(cut, AllOf)
    assert cut.parts[0] == Contact(point="smoke-1")
    assert len(made) == 14
    assert made["shed-over-time"].on_delay_s == 36_000
    assert made["shed-over-current"].condition == Threshold(
        point="x.amps", side=Side.ABOVE, limit=44
    )
    latched = {name for name, each in made.items() if each.is_latched}
    assert latched == {
        f"shed-{name}"
        for name in (
            "smoke",
            "cut",
            "hot",
            "rise",
            "cable-hot",
            "over-current",
            "residual",
            "over-time",
        )
    }


def test_the_shed_cuts_by_two_of_three_signals(tmp_path: Path) -> None:
    cut = rules(tmp_path, SHED % ", smoke-2")["shed-cut"].condition
    assert isinstance(cut, AtLeast)
    assert (cut.count, len(cut.parts), cut.timeout_s) == (2, 3, 0)


def test_one_signal_alone_makes_no_rule_to_cut_by(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: shed, template: charging-shed, smoke: [smoke-1]}")
    assert list(made) == ["shed-smoke"]


def test_linkage_of_the_cut_off_takes_the_rules_of_the_shed_without_a_word(tmp_path: Path) -> None:
    more = (
        "outputs: [{id: cut-off, kind: cut-off, bus: pins, pin: 25, active: de-energised}]\n"
        "linkage: [{id: cut, rules: [shed-cut, shed-over-current], outputs: [cut-off]}]\n"
    )
    found = load(tmp_path, SHED % "", more=more).warnings
    assert [each for each in found if each.path.startswith(("linkage", "rules"))] == []


def test_a_slow_leak_looks_while_the_pump_stands(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: jockey, template: slow-leak, pump: pump, pressure: x.mpa}")
    falling = made["jockey-falling"].condition
    assert isinstance(falling, Leaking)
    assert (falling.limit, falling.window_s) == (0.02, 3600)
    assert falling.quiet == Contact(point="pump", is_active=False)
    assert made["jockey-starts"].condition == Starting(point="pump", limit=15)
    assert made["jockey-unusual"].alarm_class is AlarmClass.TECHNICAL


def test_the_site_overrides_and_leaves_out(tmp_path: Path) -> None:
    made = rules(
        tmp_path,
        "{id: main, template: hydrant, point: x.kpa, low_kpa: 140, on_delay_s: 20, without: [low-low], "
        "latch: true, group: water, realarm_s: 600, zone: cellar, label: {en: Ring main, zh: 环管}}",
    )
    assert list(made) == ["main-low"]
    low = made["main-low"]
    assert low.condition == Threshold(point="x.kpa", side=Side.BELOW, limit=140, deadband=5)
    assert (low.on_delay_s, low.is_latched, low.group, low.realarm_s) == (20, True, "water", 600)
    assert (low.label.en, low.label.zh) == ("Ring main: low", "环管：过低")


def test_a_latched_rule_of_a_template_may_be_told_not_to(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: lift, template: lift, trapped: trapped, latch: false}")
    assert made["lift-trapped"].is_latched is False


def test_a_label_of_ones_own_stands_alone_where_one_rule_is_made(tmp_path: Path) -> None:
    made = rules(tmp_path, "{id: r, template: leak, point: rope, label: {en: Water, zh: 水}}")
    assert (made["r"].label.en, made["r"].label.zh) == ("Water", "水")


def test_a_very_long_name_still_fits(tmp_path: Path) -> None:
    name = "n" * 100
    entry = f"{{id: main, template: hydrant, point: x.kpa, label: {{en: {name}, zh: {name}}}}}"
    label = rules(tmp_path, entry)["main-low-low"].label
    assert len(label.en) == 100
    assert label.en.endswith("n: very low")


def test_a_point_without_a_kind_of_its_own_may_be_anything(tmp_path: Path) -> None:
    assert "main-low" in rules(tmp_path, "{id: main, template: hydrant, point: x.loose}")


def test_ready_made_rules_stand_among_others(tmp_path: Path) -> None:
    made = rules(
        tmp_path,
        "{id: first, class: fire, when: {point: smoke-1, is: active}}",
        "{id: main, template: hydrant, point: x.kpa}",
        "{id: last, class: fire, when: {point: smoke-2, is: active}}",
    )
    assert list(made) == ["first", "main-low", "main-low-low", "last"]


# -- confirmation --------------------------------------------------------------------------------------


def test_a_default_nobody_confirmed_is_told_at_the_template(tmp_path: Path) -> None:
    entry = "{id: main, template: hydrant, point: x.kpa}"
    found = [each for each in load(tmp_path, entry).warnings if each.path.startswith("rules")]
    assert [(each.line, each.path) for each in found] == [(line_of(), "rules[0].template")]
    assert "default not confirmed (low_kpa: 70, on_delay_s: 15)" in found[0].message


@pytest.mark.parametrize(
    "more",
    ["low_kpa: 70, on_delay_s: 15", "confirmed: true", "low_kpa: 100, confirmed: true"],
)
def test_the_site_confirms_by_writing_it_or_by_a_word(tmp_path: Path, more: str) -> None:
    assert warnings(tmp_path, f"{{id: main, template: hydrant, point: x.kpa, {more}}}") == []


def test_what_is_still_open_is_named_alone(tmp_path: Path) -> None:
    (told,) = warnings(tmp_path, "{id: main, template: hydrant, point: x.kpa, low_kpa: 70}")
    assert "(on_delay_s: 15)" in told


def test_a_default_that_no_rule_uses_needs_no_confirmation(tmp_path: Path) -> None:
    assert warnings(tmp_path, "{id: shed, template: charging-shed, smoke: [smoke-1]}") == []
    assert warnings(tmp_path, "{id: s, template: smoke, point: smoke-1}") == []


def test_a_number_for_a_point_that_is_not_given_has_no_effect(tmp_path: Path) -> None:
    told = warnings(tmp_path, "{id: s, template: charging-shed, smoke: [smoke-1], rated_a: 40}")
    assert told == ["has no effect without `current`"]


# -- faults --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        ("{id: a, template: hydrent, point: x.kpa}", "template", "no template 'hydrent'; did you mean 'hydrant'?"),
        ("{id: a, template: 7, point: x.kpa}", "template", "no template '7'"),
        ("{id: a, template: hydrant, point: x.kpa, lov_kpa: 60}", "lov_kpa", "unknown key; did you mean 'low_kpa'?"),
        ("{id: a, template: hydrant, point: x.kpa, when: {point: x.kpa, below: 3}}", "when", "unknown key"),
        ("{id: a, template: hydrant, point: x.kpa, class: fire}", "class", "unknown key"),
        ("{id: a, template: hydrant, point: x.kpa, low_kpa: 3}", "low_kpa", "must be 10.0 or more"),
        ("{id: a, template: hydrant, point: x.kpa, low_kpa: low}", "low_kpa", "must be a number"),
        ("{id: a, template: hydrant, point: x.kpa, low_kpa: }", "low_kpa", "is empty; give a value or leave the key out"),
        ("{id: a, template: hydrant, point: x.kpa, low_kpa: .nan}", "low_kpa", "must be"),
        ("{id: a, template: hydrant}", "point", "is missing and must be given"),
        ("{id: a, template: tank-level, point: x.level}", "low_mm", "is missing and must be given"),
        ("{id: a, template: smoke}", "", "names no point; give `point`"),
        ("{id: a, template: charging-shed}", "template", "names no point; give one of `smoke`"),
        ("{id: a, template: hydrant, point: x.kpaa}", "point", "no point 'x.kpaa'; did you mean 'x.kpa'?"),
        ("{id: a, template: smoke, points: [smoke-1, smoke-9]}", "points[1]", "no point 'smoke-9'; did you mean"),
        ("{id: a, template: hydrant, point: x.air}", "point", "'x.air' is temperature in °C; template 'hydrant' takes here pressure in kPa, Pa, hPa, mbar, bar or MPa"),
        ("{id: a, template: hydrant, point: x.psi}", "point", "'x.psi' is pressure in psi; template 'hydrant' takes here pressure in kPa"),
        ("{id: a, template: hydrant, point: x.bare}", "point", "'x.bare' is pressure without a unit"),
        ("{id: a, template: heat-a1, point: x.mpa}", "point", "'x.mpa' is pressure in MPa; template 'heat-a1' takes here temperature or heat in °C"),
        ("{id: a, template: hydrant, point: smoke-1}", "point", "'smoke-1' is a contact; template 'hydrant' takes here a number of kind pressure in kPa"),
        ("{id: a, template: smoke, point: x.kpa}", "point", "'x.kpa' is pressure in kPa; template 'smoke' takes here a contact of kind smoke"),
        ("{id: a, template: smoke, points: [smoke-1, rope]}", "points[1]", "'rope' is of kind leak; template 'smoke' takes here kind smoke"),
        ("{id: a, template: leak, point: line.online}", "point", "'line.online' is of kind online"),
        ("{id: a, template: charging-shed, smoke: [smoke-1], current: x.amps}", "current", "nothing would watch it; give `rated_a` too"),
        ("{id: a, template: power, mains: mains, voltage: x.volts}", "voltage", "nothing would watch it; give `nominal_v` too"),
        ("{id: a, template: pump-start, running: pump}", "running", "nothing would watch it; give `demand` or `pressure` too"),
        ("{id: a, template: hydrant, point: x.kpa, low_low_kpa: 80}", "low_low_kpa", "low_low_kpa (80) must be less than low_kpa (70)"),
        ("{id: a, template: gas, point: x.gas, level_2_lel: 20}", "level_2_lel", "level_1_lel (25) must be less than level_2_lel (20)"),
        ("{id: a, template: room-humidity, point: x.humidity, without: [high]}", "without", "unknown key"),
        ("{id: a, template: gas, point: x.gas, without: ['1', '2']}", "without", "leaves no rule of the template"),
        ("{id: a, template: gas, point: x.gas, without: ['3']}", "without[0]", "must be '1' or '2'"),
        ("{id: a, template: gas, point: x.gas, latch: false}", "latch", "class gas stays until a person resets"),
        ("{id: a, template: smoke, point: smoke-1, ack: not-required}", "ack", "class fire must be acknowledged"),
        ("{id: a, template: smoke, point: smoke-1, zone: attic}", "zone", "no zone 'attic'"),
        ("{id: a, template: smoke, points: [smoke-1, smoke-1]}", "points[1]", "'smoke-1' is given already, as `point`"),
        ("{id: a, template: charging-shed, smoke: [smoke-1, smoke-1]}", "smoke[1]", "'smoke-1' is given already, as `smoke`"),
        ("{id: a, template: pump-start, running: pump, demand: pump}", "demand", "'pump' is given already, as `running`"),
        ("{id: a, template: charging-shed, smoke: smoke-1}", "smoke", "must be a list"),
        (f"{{id: {'i' * 60}, template: hydrant, point: x.kpa}}", "id", "'-low-low' is put after it: 56 characters at most"),
        ("{id: a, template: slow-leak, pump: pump, starts: 15.5}", "starts", "must be a whole number"),
    ],
)  # fmt: skip
def test_a_fault_is_told_at_the_entry_and_says_what_would_be_right(
    tmp_path: Path, entry: str, path: str, message: str
) -> None:
    found = faults(tmp_path, "{id: other, template: smoke, point: smoke-1}", entry)
    where = f"rules[1].{path}" if path else "rules[1]"
    assert [each.path for each in found] == [where], [str(each) for each in found]
    assert message in found[0].message
    assert found[0].line == line_of(1)


def test_ids_that_collide_are_told_where_they_came_from(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        "{id: main, template: hydrant, point: x.kpa}",
        "{id: main-low, class: fire, when: {point: smoke-1, is: active}}",
        "{id: rope, template: leak, point: rope}",
    )
    assert [(each.path, each.line) for each in found] == [
        ("rules[1].id", line_of(1)),
        ("rules[2].id", line_of(2)),
    ]
    assert f"'main-low' is a rule already, on line {line_of()}" in found[0].message
    assert "'rope' is an input already" in found[1].message


def test_what_follows_from_a_broken_entry_is_no_second_fault(tmp_path: Path) -> None:
    more = (
        "outputs: [{id: siren, kind: siren, bus: pins, pin: 25}]\n"
        "linkage: [{id: l, rules: [main-low], outputs: [siren]}]\n"
    )
    for broken in ("point: x.air", "point: x.kpa, low_kpa: 3", "point: x.nothing"):
        found = faults(tmp_path, f"{{id: main, template: hydrant, {broken}}}", more=more)
        assert [each.path.split(".")[0] for each in found] == ["rules[0]"], broken


def test_linkage_to_the_entry_itself_is_led_to_its_rules(tmp_path: Path) -> None:
    more = (
        "outputs: [{id: siren, kind: siren, bus: pins, pin: 25}]\n"
        "linkage: [{id: l, rules: [main], outputs: [siren]}]\n"
    )
    (found,) = faults(tmp_path, "{id: main, template: hydrant, point: x.kpa}", more=more)
    assert "no rule 'main'; did you mean 'main-low'?" in found.message


def test_a_rule_that_would_switch_what_it_watches_is_told_at_the_point(tmp_path: Path) -> None:
    more = (
        "outputs: [{id: siren, kind: siren, device: x, coil: 0}]\n"
        "linkage: [{id: l, classes: [fire], outputs: [siren]}]\n"
    )
    path = tmp_path / "site.yaml"
    load(tmp_path, "{id: s, template: smoke, point: smoke-1}", more=more)
    text = path.read_text("utf-8").replace(
        "    quantities:\n",
        "    quantities:\n      - {name: own, area: coil, address: 0, type: bool, kind: smoke}\n",
    )
    path.write_text(text.replace("point: smoke-1}", "point: x.own}"), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_site(path, env={})
    assert [each.path for each in caught.value.faults] == ["rules[0].point"]
    assert "switch what it watches" in caught.value.faults[0].message


def test_a_value_may_be_given_as_an_option(tmp_path: Path) -> None:
    load(tmp_path, "{id: main, template: hydrant, point: x.kpa}")
    site = load_site(tmp_path / "site.yaml", env={}, sets={"rules.main.low_kpa": "140"})
    low = next(each for each in site.spec.rules if each.id == "main-low")
    assert low.condition == Threshold(point="x.kpa", side=Side.BELOW, limit=140, deadband=5)
    with pytest.raises(ConfigError) as caught:
        load_site(tmp_path / "site.yaml", env={}, sets={"rules.main.low_kpa": "1"})
    assert [each.file for each in caught.value.faults] == ["--set rules[0].low_kpa"]


# -- whatever stands in an entry -----------------------------------------------------------------------

POINTS = (*CONTACTS, *(f"x.{name}" for name in NUMBERS), "nobody", "line.online")
ODD = st.sampled_from([0, 1, -5, 24, 1e6, True, None, "word", (), ("smoke-1", "smoke-2")])


@st.composite
def entries(draw: st.DrawFn) -> dict[str, object]:
    template = TEMPLATES[draw(st.sampled_from(list(TEMPLATES)))]
    entry: dict[str, object] = {
        "id": draw(st.sampled_from(["a", "b" * 64])),
        "template": template.name,
    }
    for takes in template.takes:
        known = [*CONTACTS] if not takes.unit else [f"x.{name}" for name in NUMBERS]
        point = st.sampled_from(known) | st.sampled_from(POINTS)
        if takes.is_many and takes.name != "point":
            entry[takes.name] = draw(st.lists(point, max_size=3))
        elif draw(st.booleans()) or takes.is_required:
            entry[takes.name] = draw(point)
    for each in template.parameters:
        if draw(st.integers(0, 3)) == 0:
            entry[each.name] = draw(st.floats(each.low, each.high) | ODD)
    for key in ("latch", "confirmed", "without", "zone", "ack", "label"):
        if draw(st.integers(0, 9)) == 0:
            entry[key] = draw(ODD)
    return entry


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(entry=entries())
def test_any_entry_becomes_rules_or_faults_with_a_place(
    tmp_path: Path, entry: dict[str, object]
) -> None:
    found: tuple[ConfigFault, ...] = ()
    try:
        site = load(tmp_path, json.dumps(entry))
    except ConfigError as error:
        found = error.faults
    assert all(each.path.startswith("rules[0]") and each.line for each in found)
    if found:
        return
    (made,) = site.templates
    assert made.rules
    assert {each.id for each in made.rules} <= {each.id for each in site.spec.rules}
