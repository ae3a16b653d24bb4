"""YAML 1.2 as an installer writes it, with places; and everything that is not YAML 1.2."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.faults import ConfigError, ConfigFault
from agent.config.positions import MOST_BYTES, Place, parse


def fault_of(content: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(content, "f")
    (fault,) = caught.value.faults
    return str(fault)


def test_words_of_yaml_1_1_stay_words() -> None:
    text = b"a: off\nb: no\nc: on\nd: yes\ne: 2024-01-01\nf: 0o17\ng: -1.5e3\nh: ~\ni: true\nj: -.inf\n"
    assert parse(text, "f").data == {
        "a": "off",
        "b": "no",
        "c": "on",
        "d": "yes",
        "e": "2024-01-01",
        "f": 15,
        "g": -1500.0,
        "h": None,
        "i": True,
        "j": -math.inf,
    }


def test_every_key_and_value_has_its_place() -> None:
    document = parse("a: 1\nb:\n  - {c: 大, d: 2}\n".encode(), "f")
    assert document.keys["b", 0, "d"] == Place(3, 12)
    assert document.values["b", 0, "d"] == Place(3, 15)
    assert document.values["b", 0] == Place(3, 5)


def test_anchors_and_merges_bring_values_and_the_place_they_were_written_at() -> None:
    document = parse(b"a: &x {k: 1, l: {m: 2}}\nb: *x\nc: {<<: *x, k: 3}\n", "f")
    assert document.data == {
        "a": {"k": 1, "l": {"m": 2}},
        "b": {"k": 1, "l": {"m": 2}},
        "c": {"k": 3, "l": {"m": 2}},
    }
    assert document.values["c", "l", "m"] == Place(1, 21)
    assert document.values["c", "k"] == Place(3, 16)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "f").values["a",] == Place(1, 4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f:1:1: the file is empty; start with `version: 1`"),
        (b"# only a remark\n", "f:1:1: the file is empty; start with `version: 1`"),
        (b"a: 1\nb: caf\xe9\n", "f:2:7: not UTF-8; save the file as UTF-8"),
        (b"a:\n\t- 1\n", "f:2:1: a tab; YAML is indented with spaces only"),
        (b"a: 1\nb: x\0y\n", "f:2:5: a control character; only printable text may stand here"),
        (b"a: *x\n", "f:1:4: not YAML: found undefined alias 'x'"),
        (b"%YAML 1.1\n---\na: 1\n", "f:1:1: this file is YAML 1.2"),
        (b"x" * (MOST_BYTES + 1), f"f: {MOST_BYTES + 1} bytes; a site file has at most {MOST_BYTES}"),
        (b"[" * 3000, "f:1:1: nested deeper than 40 levels"),
        (b"a: " + b"[" * 60 + b"]" * 60, "f:1:44: nested deeper than 40 levels"),
        (b"a: '\\\n\nb: 1", "f:3:5: not YAML: found unexpected end of stream, "
         "while scanning a quoted scalar that began on line 1"),
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_told_with_its_place(content: bytes, said: str) -> None:
    assert fault_of(content) == said


def test_aliases_cannot_blow_a_file_up() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 100000 values once aliases are expanded" in fault_of(
        "\n".join(lines).encode()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a: stands twice; the first is on line 1"),
        ("[1]: 2\n", "f:1:1: a key must be a word; put it in quotes"),
        ("a: &x [*x]\n", "f:1:4: a[0]: an alias inside the very thing it names"),
        ("a: !secret x\n", "f:1:4: a: the tag !secret is not known here; leave it out"),
        ("a: !!python/name:os.system {}\n",
         "f:1:4: a: the tag !!python/name:os.system is not known here; leave it out"),
        ("a: {<<: 3}\n", "f:1:9: a: `<<` takes a mapping or a list of mappings"),
    ],
)  # fmt: skip
def test_what_leaves_the_rest_readable_is_noted(text: str, said: str) -> None:
    assert [str(fault) for fault in parse(text.encode(), "f").faults] == [said]


def test_reused_anchors_are_allowed() -> None:
    assert parse(b"a: &x 1\nb: &x 2\nc: *x\n", "f").data == {"a": 1, "b": 2, "c": 2}


def assert_document_or_fault(content: bytes) -> None:
    faults: tuple[ConfigFault, ...] = ()
    values = 0
    try:
        values = len(parse(content, "f").values)
    except ConfigError as error:
        faults = error.faults
    assert bool(faults) != bool(values)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abx:-[]{}&*!<>|'\"\\%#?,. \n\t0123456789~@`\x00é大", max_size=60))
def test_any_text_is_a_document_or_a_fault(text: str) -> None:
    assert_document_or_fault(text.encode())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_fault(content: bytes) -> None:
    assert_document_or_fault(content)
