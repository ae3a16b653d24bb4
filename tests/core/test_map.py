"""Keeps tests/scenarios/map.yaml complete: what the design and the domain note ask for, and what shows it.

The domain note is not part of this repository. The map keeps a fingerprint of how each of its rows begins; where
the note lies beside the repository (CI clones it there), the two are compared.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.core.statements import mark, rows, section, sentences

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"
DESIGN = ROOT / "docs" / "design.md"
NOTE = ROOT.parent / "shared" / "notes" / "domain.md"

HEADINGS = {
    "1.2": "### 1.2",
    "1.3": "### 1.3",
    "1.4": "### 1.4",
    "2.2": "### 2.2",
    "3": "## 3.",
    "4.1": "### 4.1",
    "4.2": "### 4.2",
    "4.3": "### 4.3",
}
"""The sections of the domain note that the map answers, and what they are headed with."""

WAYS = ("scenario", "test", "not_applicable")
LEAST_WORDS = 5
"""A reason is a sentence."""


def _load() -> dict[str, Any]:
    loaded = YAML(typ="safe").load(SCENARIOS / "map.yaml")  # refuses an id that is there twice
    assert isinstance(loaded, dict)
    return loaded


MAP = _load()
NOTE_ROWS: dict[str, list[str]] = MAP["note_rows"]
NOTES: dict[str, dict[str, Any]] = MAP["notes"]
DECISIONS: dict[str, dict[str, Any]] = MAP["design"]
ENTRIES = {**NOTES, **DECISIONS}


def listed(entry: dict[str, Any], way: str) -> list[str]:
    """One name or several."""
    named = entry.get(way, [])
    return [named] if isinstance(named, str) else list(named)


@cache
def functions(path: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    )


def decisions() -> list[str]:
    """What section 5 of the design says, a statement at a time."""
    text = section(DESIGN.read_text("utf-8"), "## 5.")
    return [said for row in rows(text) for said in sentences(row)]


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_says_what_is_asked_and_what_shows_it_or_why_not(name: str) -> None:
    entry = ENTRIES[name]
    assert len(str(entry["asks"]).split()) >= LEAST_WORDS
    assert not entry.keys() - {"asks", "says", *WAYS}
    ways = [way for way in WAYS if way in entry]
    assert ways, "neither a scenario nor a test nor a reason why not"
    if "not_applicable" in entry:
        assert ways == ["not_applicable"], "either it is shown or it is not applicable"
        reason = entry["not_applicable"]
        assert reason.startswith("because ")
        assert len(reason.split()) > LEAST_WORDS
    for way in ("scenario", "test"):
        named = listed(entry, way)
        assert len(named) == len(set(named))
        assert named or way not in entry


@pytest.mark.parametrize("name", ENTRIES)
def test_what_an_entry_names_is_there(name: str) -> None:
    for scenario in listed(ENTRIES[name], "scenario"):
        assert (SCENARIOS / f"{scenario}.yaml").is_file(), scenario
        assert scenario != "map"
    for test in listed(ENTRIES[name], "test"):
        path, _, function = test.partition("::")
        assert function in functions(path), test


def test_every_timeline_shows_something_that_is_asked_for() -> None:
    named = {scenario for entry in ENTRIES.values() for scenario in listed(entry, "scenario")}
    there = {path.stem for path in SCENARIOS.glob("*.yaml")} - {"map"}
    assert there - named == set()


@pytest.mark.parametrize("said", decisions())
def test_every_decision_of_the_design_is_in_the_map(said: str) -> None:
    """When this fails the design says something new: give it an entry and a scenario."""
    found = [name for name, entry in DECISIONS.items() if said.startswith(entry["says"])]
    assert len(found) == 1, f"{found or 'no entry'} for: {said}"


@pytest.mark.parametrize("name", DECISIONS)
def test_the_map_keeps_no_decision_that_the_design_took_back(name: str) -> None:
    says = DECISIONS[name]["says"]
    assert any(said.startswith(says) for said in decisions()), f"the design no longer says: {says}"


def test_the_same_decision_is_not_mapped_twice() -> None:
    says = [entry["says"] for entry in DECISIONS.values()]
    assert len(says) == len(set(says))


def row_of(name: str) -> tuple[str, int]:
    """`1.2/3b` is part of row 3 of section 1.2."""
    heading, _, place = name.partition("/")
    return heading, int(place.rstrip("abcdefghij"))


def test_every_row_of_the_note_has_an_entry_and_every_entry_a_row() -> None:
    assert NOTE_ROWS.keys() == HEADINGS.keys()
    there = {
        (heading, number)
        for heading, marks in NOTE_ROWS.items()
        for number in range(1, len(marks) + 1)
    }
    assert {row_of(name) for name in NOTES} == there


def differences(note: str) -> list[str]:
    """What is new in the note, or gone from it, since the map was made."""
    found: list[str] = []
    for heading, marks in NOTE_ROWS.items():
        now = {mark(row): row for row in rows(section(note, HEADINGS[heading]))}
        found += [f"{heading}, new: {row}" for each, row in now.items() if each not in marks]
        found += [f"{heading}, gone: row {n}" for n, each in enumerate(marks, 1) if each not in now]
    return found


def test_the_note_has_the_rows_that_were_mapped() -> None:
    note = NOTE.read_text("utf-8") if NOTE.is_file() else ""
    assert note == "" or differences(note) == []


# -- the taking apart itself ------------------------------------------------------------------------

SAMPLE = """\
# 1 First
| Item | Fact |
|---|---|
| one | a |
| | b |

Words that go on
in a second line.
* A bullet (with; a bracket. Inside) and more; its second part. A third
  that goes on.
## 1.1 Inner
- last
# 2 Other
- not this
"""


def test_a_section_comes_apart_into_rows_and_these_into_statements() -> None:
    found = rows(section(SAMPLE, "# 1"))
    assert [row[:8] for row in found] == ["| one | ", "| | b |", "Words th", "A bullet", "last"]
    assert found[2] == "Words that go on in a second line."
    assert list(sentences(found[3])) == [
        "A bullet (with; a bracket. Inside) and more",
        "its second part",
        "A third that goes on",
    ]


def test_a_row_more_or_less_in_the_note_is_told() -> None:
    note = "".join(
        f"# \n{heading} Made\n"
        + "".join(f"* row {n} of {key}\n" for n in range(len(NOTE_ROWS[key])))
        for key, heading in HEADINGS.items()
    )
    told = differences(note)
    assert sum("new" in each for each in told) == sum(map(len, NOTE_ROWS.values()))
    assert sum("gone" in each for each in told) == sum(map(len, NOTE_ROWS.values()))
