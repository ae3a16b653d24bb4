from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.outbox.lines import encode_line, scan

RECORDS = 12
LINES = [encode_line(n, {"n": n, "text": "x" * (7 * n % 40)}) for n in range(1, RECORDS + 1)]
FILE = b"".join(LINES) + b"\n" * 200
STARTS = [sum(len(each) for each in LINES[:n]) for n in range(RECORDS + 1)]


def hit(start: int, stop: int) -> set[int]:
    """Return the numbers of the records that own bytes of a range (a newline is its record's)."""
    return {n + 1 for n in range(RECORDS) if STARTS[n] < stop and start < STARTS[n + 1]}


def test_a_whole_file_gives_back_every_record_and_no_damage() -> None:
    found = scan(FILE)
    assert [line.number for line in found.lines] == list(range(1, RECORDS + 1))
    assert [line.document()["n"] for line in found.lines] == list(range(1, RECORDS + 1))
    assert found.damaged == ()
    assert found.end == len(FILE) - 200


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
@settings(max_examples=400)
@example(STARTS[3] - 1, 0x40)
def test_one_changed_byte_costs_at_most_the_record_it_is_in(at: int, change: int) -> None:
    data = bytearray(FILE)
    data[at] ^= change
    found = {line.number for line in scan(bytes(data)).lines}
    assert set(range(1, RECORDS + 1)) - found <= hit(at, at + 1)


@given(st.integers(0, STARTS[-1] - 1), st.integers(1, 300), st.sampled_from([b"\0", b"\xff", b"{"]))
@settings(max_examples=300)
def test_a_run_of_foreign_bytes_costs_only_what_it_covers_and_is_found(
    start: int, length: int, filler: bytes
) -> None:
    stop = min(len(FILE), start + length)
    data = FILE[:start] + filler * (stop - start) + FILE[stop:]
    found = scan(data)
    covered = hit(start, stop)
    # a run that ends right before a record's first byte swallows the newline only
    lost = set(range(1, RECORDS + 1)) - {line.number for line in found.lines}
    assert lost <= covered
    assert bool(found.damaged) == (data != FILE)


@given(st.integers(0, len(FILE)))
def test_a_cut_file_keeps_every_record_before_the_cut(length: int) -> None:
    found = {line.number for line in scan(FILE[:length]).lines}
    assert found >= {n + 1 for n in range(RECORDS) if STARTS[n + 1] <= length}


@given(st.binary(max_size=400))
def test_garbage_is_never_taken_for_a_record_nor_raises(data: bytes) -> None:
    assert scan(data).lines == ()


def test_filler_in_front_of_a_record_is_a_hole_and_at_the_end_is_none() -> None:
    first, second, third = (encode_line(number, {"n": number}) for number in (1, 2, 3))
    found = scan(first + b"\n" * len(second) + third + b"\n" * 100)
    assert [each.number for each in found.lines] == [1, 3]
    assert [(each.after, each.before) for each in found.damaged] == [(1, 3)]
    assert scan(first + second + third + b"\n" * 100).damaged == ()
    assert scan(b"\n" * 4096).damaged == ()
