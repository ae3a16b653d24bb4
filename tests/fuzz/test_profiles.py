"""Whatever a profile file holds: a profile, or ProfileError with the places, and nothing else."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers.modbus.profile import Profile, decode_sample
from drivers.modbus.profiles import ProfileError, load_profile, parse_profile
from drivers.modbus.registers import Decoder

GOOD = """\
title: A meter
sources: ["https://example.org/manual.pdf, page 3"]
notes: two counters
serial: {unit: 1, baud: 9600, parity: E, stop_bits: 1}
max_registers: 60
timeout_ms: 300
quantities:
  - {name: voltage, area: input, address: 0, type: f32, unit: V, valid: {min: 0, max: 500}}
  - {name: state, area: holding, address: 7, type: u16, enum: {1: normal, 2: leak}, poll: fire}
  - {name: level, area: holding, address: 8, type: u16, scale: 0.01, loop: {low: 0, high: 10}}
  - {name: alarm, area: discrete, address: 3, type: bool, kind: leak}
coils: {valve: 2}
verify: [{quantity: voltage, min: 150, max: 300}]
samples:
  - request: "04 00 00 00 02"
    response: "04 04 43 66 33 33"
    values: {voltage: 230.2}
    synthetic: true
"""

PIECES = (
    b":", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"<<: *a\n", b"!!binary ", b"!!set ", b"!!omap ",
    b"!!python/object:os.system ", b"!!int ", b"!!float ", b"!!timestamp ", b"? ", b"? [a]\n: b\n", b"|\n",
    b">\n", b"\t", b"\n", b"\n\n  ", b"#", b"%YAML 9.9\n---\n", b"---\n", b"...\n", b"null", b"~", b"true",
    b".nan", b".inf", b"-.inf", b"1e999", b"0x7fffffffffffffffffff", b"9" * 5000, b"-1", b"65536",
    b"2026-02-31", b"12:61:61", b"'", b'"', b'"\\ud800"', b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xe9\x98\x80",
    b"0o9", b"1_000", b"=", b"@", b"`", b"1.5: x\n", b"null: x\n", b"{}: x\n", b"[]: x\n",
)  # fmt: skip

PLACE = re.compile(r"\d+: \S.*")
"""A line number and one line of text."""


def told(text: bytes, folder: Path) -> Profile | None:
    """Return the profile of a file; anything but ProfileError in words is a failure."""
    path = folder / "profile.yaml"
    path.write_bytes(text)
    faults: tuple[str, ...] = ()
    profile = None
    try:
        profile = load_profile(path)
    except ProfileError as error:
        faults = error.faults
    assert bool(faults) == (profile is None)
    for fault in faults:
        assert fault.startswith(f"{path}:"), fault
        assert PLACE.fullmatch(fault.removeprefix(f"{path}:")), fault
    if profile is None:
        return None
    for quantity in profile.quantities:
        Decoder(quantity)  # what is taken can be read
    for sample in profile.samples:
        decode_sample(profile, sample)
    return profile


def mutated(rng: random.Random, text: bytes) -> bytes:
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice([0, 0, 1, 3, 20]))
        match rng.randrange(4):
            case 0:
                text = text[:at] + rng.choice(PIECES) + text[end:]
            case 1:
                text = text[:at] + rng.randbytes(rng.randint(1, 4)) + text[end:]
            case 2:
                lines = text.splitlines(keepends=True)
                rng.shuffle(lines)
                text = b"".join(lines)
            case _:
                text = text[:at] + text[at:end] * 2 + text[end:]
    return text


def test_the_profile_that_is_broken_here_is_a_good_one(tmp_path: Path) -> None:
    assert told(GOOD.encode(), tmp_path) is not None


def test_random_bytes_are_no_profile(tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(200):
        assert told(rng.randbytes(rng.randint(0, 200)), tmp_path) is None


def test_a_file_with_bytes_changed_is_a_profile_or_told_what_is_wrong(tmp_path: Path) -> None:
    rng = random.Random(2)
    taken = sum(told(mutated(rng, GOOD.encode()), tmp_path) is not None for _ in range(200))
    assert 5 < taken < 150


NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 1, 247, 248, 255, 65535, 65536, 125, 126, 2**31]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["f32", "coil", "bool", "", "voltage", "1e5", "0x10", "04", "ü", "a" * 60]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(
        st.one_of(st.text(max_size=3), st.integers(), st.none()), st.integers(), max_size=2
    ),
)


def places(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in a document."""
    found = [way] if way else []
    children = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, child in children:
        found += places(child, (*way, key))
    return found


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_value_in_any_place_is_taken_or_told(tmp_path: Path, data: st.DataObject) -> None:
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load(GOOD)
    for _ in range(data.draw(st.integers(1, 2))):
        way = data.draw(st.sampled_from(places(document)))
        node = document
        for key in way[:-1]:
            node = node[key]
        if data.draw(st.booleans()):
            node[way[-1]] = data.draw(NASTY)
        elif isinstance(node, dict):
            node[data.draw(NASTY.filter(lambda each: not isinstance(each, list | dict)))] = 1
        else:
            node.append(node[0])
    out = io.StringIO()
    yaml.dump(document, out)
    told(out.getvalue().encode("utf-8", "surrogatepass"), tmp_path)


# fmt: off
ONE_FAULT = (
    ("a type its area cannot hold", "area: input, address: 0, type: f32", "area: coil, address: 0, type: f32",
     "profile.yaml:8: quantities[0]: type f32 in area coil"),
    ("a type nobody knows", "type: f32", "type: u128",
     "profile.yaml:8: quantities[0].type: Input should be"),
    ("a string of no length", "type: f32, unit: V, valid: {min: 0, max: 500}", "type: string, length: 0",
     "profile.yaml:8: quantities[0]: length 0: 1 to 125 registers"),
    ("reads of no register", "max_registers: 60", "max_registers: 0",
     "profile.yaml:5: max_registers: Input should be greater than or equal to 1"),
    ("reads of more than the protocol allows", "max_registers: 60", "max_registers: 126",
     "profile.yaml:5: max_registers: Input should be less than or equal to 125"),
    ("a field of no bits", "type: u16, enum: {1: normal, 2: leak}", "type: bits, bit_count: 0",
     "profile.yaml:9: quantities[1]: bits 0 + 0"),
    ("the broadcast address", "unit: 1", "unit: 0",
     "profile.yaml:4: serial.unit: Input should be greater than or equal to 1"),
    ("a reserved address", "unit: 1", "unit: 248",
     "profile.yaml:4: serial.unit: Input should be less than or equal to 247"),
    ("an address behind the last", "address: 0, type: f32", "address: 65535, type: f32",
     "profile.yaml:8: quantities[0]: address 65535: from 0, and all of it below 65536"),
    ("a quantity wider than a read", "max_registers: 60", "max_registers: 1",
     "profile.yaml:8: quantities[0]: voltage: takes 2 registers, one read gives 1"),
    ("addresses that overlap", "address: 7, type: u16, enum: {1: normal, 2: leak}", "address: 7, type: u32",
     "profile.yaml:10: quantities[2]: level at holding 8 begins inside state, which takes 7 to 8"),
    ("two quantities of one name", "name: level", "name: state",
     "profile.yaml:10: quantities[2].name: state is there twice"),
)
# fmt: on


@pytest.mark.parametrize(("name", "old", "new", "fault"), ONE_FAULT)
def test_each_impossible_thing_is_one_fault(name: str, old: str, new: str, fault: str) -> None:
    assert old in GOOD, name
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(old, new, 1), "profile.yaml", "meter")
    (only,) = caught.value.faults
    assert only.startswith(fault)
