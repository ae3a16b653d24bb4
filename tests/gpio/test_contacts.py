"""Plain contacts that come with the agent: complete, sourced, and safe where they can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.spec import PointKind
from drivers.gpio.contacts import FILE, contact_profiles
from drivers.gpio.inputs import ContactFilter
from drivers.gpio.spec import ContactForm, InputSpec, Pull

ALL = contact_profiles()
FIRE_KINDS = ("smoke", "call-point", "flow", "leak", "valve")

ENTRY = """\
[x]
title = "t"
kind = "smoke"
contact = "normally-closed"
pull = "up"
debounce_ms = 50
label = { en = "a", zh = "b" }
sources = ["s"]
notes = "n"
"""


def test_the_kinds_an_installer_meets_are_there() -> None:
    assert set(ALL) == {
        "smoke-relay",
        "leak-relay",
        "flow-switch",
        "valve-tamper",
        "call-point",
        "lift-fault",
        "lift-entrapment",
    }


@pytest.mark.parametrize("name", ALL)
def test_each_is_complete_and_says_where_it_comes_from(name: str) -> None:
    each = ALL[name]
    assert each.name == name
    assert each.kind in tuple(PointKind)
    assert each.title
    assert each.label_en
    assert each.label_zh
    assert not each.label_zh.isascii()
    assert all(len(source) > 10 for source in each.sources)
    assert each.notes
    assert (
        20 <= each.debounce_ms <= 1000
    )  # more than contact bounce, far less than a fire alarm's 10 s


@pytest.mark.parametrize("name", [name for name, each in ALL.items() if each.kind in FIRE_KINDS])
def test_a_cut_wire_of_what_guards_against_fire_or_water_looks_active(name: str) -> None:
    each = ALL[name]
    spec = InputSpec(
        point="p", pin=5, contact=each.contact, pull=each.pull, debounce_s=each.debounce_ms / 1000
    )
    cut_is_high = each.pull is Pull.UP
    contact = ContactFilter(spec)
    contact.look(not cut_is_high, None, 0.0)
    assert contact.state is False
    contact.look(cut_is_high, None, 1.0)
    contact.look(cut_is_high, None, 1.0 + each.debounce_ms / 1000)
    assert contact.state is True


def test_what_rests_open_says_that_a_cut_wire_is_not_seen() -> None:
    for each in ALL.values():
        if each.contact is ContactForm.NORMALLY_OPEN:
            assert "cut wire is not seen" in each.notes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('contact = "normally-closed"', 'contact = "closed"'),
        ('pull = "up"', 'pull = "high"'),
        ('notes = "n"\n', ""),
        ('notes = "n"', 'notes = "n"\nextra = 1'),
        ('label = { en = "a", zh = "b" }', 'label = { en = "a" }'),
        ('sources = ["s"]', "sources = []"),
        ("debounce_ms = 50", 'debounce_ms = "soon"'),
        ("[x]", "[x"),
    ],
)
def test_a_broken_file_is_refused(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "contacts.toml"
    path.write_text(ENTRY, "utf-8")
    assert set(contact_profiles(path)) == {"x"}
    path.write_text(ENTRY.replace(before, after), "utf-8")
    with pytest.raises(ValueError):  # noqa: PT011 - of several parsers
        contact_profiles(path)


def test_the_file_stands_beside_the_register_maps() -> None:
    assert FILE.parent.name == "profiles"


def test_the_page_lists_what_the_file_holds() -> None:
    page = (FILE.parents[2] / "docs" / "contacts.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{each.name}` | {each.title} | {each.kind} | {each.contact} | {each.pull}"
        f" | {each.debounce_ms:g} ms |"
        for each in ALL.values()
    ]
