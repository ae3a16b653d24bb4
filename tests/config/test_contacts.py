"""Inputs of a known kind: what the profile gives, what the site overrides, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, load_site
from agent.core.spec import PointKind, PointSpec
from drivers.gpio.contacts import contact_profiles
from drivers.gpio.spec import ContactForm, InputSpec, Pull

HEAD = """\
version: 1
site: s
box: b
buses: [{id: pins, type: gpio}]
rules: [{id: r, class: supervisory, when: {point: p, is: active}}]
inputs:
"""


def load(text: str, tmp_path: Path) -> LoadedSite:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    return load_site(path)


def faults_of(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path)
    return [f"{each.path}: {each.message}" for each in caught.value.faults]


def only(site: LoadedSite) -> tuple[PointSpec, InputSpec]:
    return next(each for each in site.spec.points if each.id == "p"), site.gpio_buses[0].inputs[0]


@pytest.mark.parametrize("name", contact_profiles())
def test_a_profile_gives_everything_but_the_place(name: str, tmp_path: Path) -> None:
    point, wired = only(load(f"  - {{id: p, bus: pins, pin: 5, profile: {name}}}\n", tmp_path))
    given = contact_profiles()[name]
    assert point.kind == given.kind
    assert (point.label.en, point.label.zh) == (given.label_en, given.label_zh)
    assert wired == InputSpec(
        point="p",
        pin=5,
        contact=given.contact,
        pull=given.pull,
        debounce_s=given.debounce_ms / 1000,
    )


def test_what_the_site_says_itself_comes_first(tmp_path: Path) -> None:
    point, wired = only(
        load(
            "  - {id: p, bus: pins, pin: 5, profile: smoke-relay, kind: heat, contact: normally-open,"
            " pull: down, debounce_ms: 70, label: {en: Mine}}\n",
            tmp_path,
        )
    )
    assert point.kind is PointKind.HEAT
    assert (point.label.en, point.label.zh) == ("Mine", "感烟探测器")
    assert (wired.contact, wired.pull, wired.debounce_s) == (
        ContactForm.NORMALLY_OPEN,
        Pull.DOWN,
        0.07,
    )


def test_an_open_contact_on_a_profile_is_warned_of_as_anywhere(tmp_path: Path) -> None:
    text = "  - {id: p, bus: pins, pin: 5, profile: call-point, contact: normally-open}\n"
    warnings = [each.path for each in load(text, tmp_path).warnings]
    assert "inputs[0].contact" in warnings


def test_an_unknown_profile_is_one_fault_with_the_nearest_name(tmp_path: Path) -> None:
    assert faults_of("  - {id: p, bus: pins, pin: 5, profile: smoke-rely}\n", tmp_path) == [
        "inputs[0].profile: no kind of contact 'smoke-rely'; did you mean 'smoke-relay'?"
    ]


def test_a_profile_that_is_no_text_is_one_fault(tmp_path: Path) -> None:
    assert faults_of("  - {id: p, bus: pins, pin: 5, profile: 7}\n", tmp_path) == [
        "inputs[0].profile: must be text; put it in quotes"
    ]


def test_an_empty_profile_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults_of("  - {id: p, bus: pins, pin: 5, profile: ''}\n", tmp_path)
    assert fault.startswith("inputs[0].profile: ")


def test_without_a_profile_kind_and_contact_are_asked_for_as_ever(tmp_path: Path) -> None:
    assert faults_of("  - {id: p, bus: pins, pin: 5}\n", tmp_path) == [
        "inputs[0].contact: is missing and must be given",
        "inputs[0].kind: is missing and must be given",
    ]


def test_a_wrong_word_beside_a_profile_is_a_fault_of_its_own(tmp_path: Path) -> None:
    (fault,) = faults_of(
        "  - {id: p, bus: pins, pin: 5, profile: smoke-relay, contact: closed}\n", tmp_path
    )
    assert fault.startswith("inputs[0].contact: must be ")
