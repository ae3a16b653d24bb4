"""Where an uplink stands, on disk: what is acknowledged and what is not, however it lies."""

from __future__ import annotations

import json
import zlib
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.files import Files
from agent.outbox.positions import Place, PositionFile
from agent.outbox.records import Lane
from agent.outbox.spans import Spans

NUMBERS = st.integers(0, 40)


@given(st.lists(st.tuples(st.booleans(), NUMBERS, NUMBERS)), NUMBERS, NUMBERS)
def test_spans_hold_what_a_set_of_numbers_holds(
    steps: list[tuple[bool, int, int]], first: int, stop: int
) -> None:
    spans, numbers = Spans(), set[int]()
    for is_added, low, high in steps:
        if is_added:
            spans.add(low, high)
            numbers |= set(range(low, high))
        else:
            spans.remove(low, high)
            numbers -= set(range(low, high))
    assert [each for low, high in spans for each in range(low, high)] == sorted(numbers)
    found = list(spans)
    assert all(low < high for low, high in found)
    assert all(a[1] < b[0] for a, b in pairwise(found)), "spans touch"
    assert bool(spans) is bool(numbers)
    asked = set(range(first, stop))
    inside = {each for low, high in spans.within(first, stop) for each in range(low, high)}
    outside = {each for low, high in spans.holes(first, stop) for each in range(low, high)}
    assert (inside, outside) == (asked & numbers, asked - numbers)


@given(NUMBERS, st.sets(NUMBERS), NUMBERS)
def test_a_place_has_what_was_acknowledged(position: int, beyond: set[int], number: int) -> None:
    done = {each for each in beyond if each > position + 1}
    spans = Spans((each, each + 1) for each in done)
    place = Place(position, tuple((first, stop - 1) for first, stop in spans))
    assert place.has(number) is (number <= position or number in done)


def test_a_place_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    many = tuple((first, first + 2) for first in range(1_000_020, 1_003_000, 4))
    places = {
        "cloud": {Lane.EVENT: Place(7), Lane.TELEMETRY: Place(12, ((14, 14), (20, 31)))},
        "duty-room": {Lane.EVENT: Place(1_000_000, many), Lane.TELEMETRY: Place()},
    }
    for _ in range(3):
        PositionFile(tmp_path, Files()).save(places)
        assert PositionFile(tmp_path, Files()).load() == places
    assert places["cloud"][Lane.TELEMETRY].top == 31
    assert not places["cloud"][Lane.TELEMETRY].has(19)


def test_positions_written_before_there_were_places_are_read(tmp_path: Path) -> None:
    body = json.dumps([3, {"cloud": {"event": 7, "telemetry": 12}}], separators=(",", ":")).encode()
    block = b"%08x %s\n" % (zlib.crc32(body), body)
    (tmp_path / "cursors.bin").write_bytes((block + b"\n" * (4096 - len(block))) * 2)
    found = PositionFile(tmp_path, Files()).load()
    assert found == {"cloud": {Lane.EVENT: Place(7), Lane.TELEMETRY: Place(12)}}
