"""What a subscriber can prove from stream, seq, opening, gap and damage events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.effects import EventKind
from agent.outbox.records import Lane
from agent.uplink.completeness import REORDER, Ledger, Span, StreamProof
from agent.uplink.decode import BatchSeen, EventSeen
from tests.uplink.samples import batch, event

Facts = dict[str, str | int | float | bool | None]


def tele(seq: int, stream: str = "t1") -> BatchSeen:
    return BatchSeen(batch=batch(seq, stream=stream), is_replay=False)


def told(seq: int, kind: EventKind, facts: Facts) -> EventSeen:
    return EventSeen(record=event(seq, kind=kind, detail=facts), is_replay=False)


def opening(seq: int, *, last: int, clean: bool = True, unknown_ms: int | None = None) -> EventSeen:
    return told(
        seq,
        EventKind.STREAM,
        {
            "lane": "telemetry",
            "stream": "t2",
            "previous": "t1",
            "previous_last_seq": last,
            "previous_clean": clean,
            "unknown_from_wall_ms": unknown_ms,
        },
    )


def proof_of(ledger: Ledger, stream: str = "t1") -> StreamProof:
    return next(each for each in ledger.proofs() if each.stream == stream)


def test_all_there_is_complete() -> None:
    ledger = Ledger()
    assert all(ledger.hear(tele(seq)) for seq in range(1, 51))
    assert ledger.is_complete
    assert proof_of(ledger).heard == 50


def test_a_double_is_told_and_counted_and_harms_nothing() -> None:
    ledger = Ledger()
    ledger.hear(tele(1))
    assert not ledger.hear(tele(1))
    assert proof_of(ledger).doubles == 1
    assert ledger.is_complete


def test_a_hole_behind_the_reordering_window_is_missing_and_inside_it_pending() -> None:
    ledger = Ledger()
    for seq in range(1, 100):
        if seq not in (10, 11, 95):
            ledger.hear(tele(seq))
    proof = proof_of(ledger)
    assert proof.missing == (Span(10, 11),)
    assert proof.pending == (Span(95, 95),)
    assert not ledger.is_complete
    assert 99 - REORDER < 95, "the case is inside the window"


def test_the_next_streams_opening_proves_a_lost_tail() -> None:
    ledger = Ledger()
    for seq in range(1, 4):
        ledger.hear(tele(seq))
    assert ledger.is_complete, "without the opening nobody can know"
    ledger.hear(opening(1, last=5))
    proof = proof_of(ledger)
    assert proof.missing == (Span(4, 5),)
    assert (proof.is_closed, proof.is_clean) == (True, True)


def test_a_stream_of_which_nothing_arrived_is_missing_as_a_whole() -> None:
    ledger = Ledger()
    ledger.hear(opening(1, last=3))
    assert proof_of(ledger).missing == (Span(1, 3),)


def test_an_unclean_end_names_the_time_from_which_data_is_unknown() -> None:
    ledger = Ledger()
    ledger.hear(tele(1))
    ledger.hear(opening(1, last=1, clean=False, unknown_ms=1_750_000_000_123))
    proof = proof_of(ledger)
    assert proof.is_clean is False
    assert proof.unknown_from_ms == 1_750_000_000_123


@pytest.mark.parametrize("kind", [EventKind.GAP, EventKind.DAMAGE])
def test_what_the_box_declares_lost_is_declared_and_not_missing(kind: EventKind) -> None:
    ledger = Ledger()
    for seq in (*range(1, 10), *range(20, 60)):
        ledger.hear(tele(seq))
    ledger.hear(
        told(1, kind, {"lane": "telemetry", "stream": "t1", "first_seq": 8, "last_seq": 19})
    )
    proof = proof_of(ledger)
    assert proof.missing == ()
    assert proof.declared == (Span(10, 19),), "8 and 9 did arrive"
    assert not ledger.is_complete


def test_a_late_joiner_judges_from_what_it_first_heard() -> None:
    late, early = Ledger(is_from_start=False), Ledger()
    for ledger in (late, early):
        for seq in range(500, 540):
            ledger.hear(tele(seq))
    assert late.is_complete
    assert proof_of(early).missing == (Span(1, 499),)


def test_lanes_do_not_mix_even_under_one_stream_id() -> None:
    ledger = Ledger()
    ledger.hear(tele(1, stream="same"))
    ledger.hear(EventSeen(record=event(1, stream="same"), is_replay=False))
    assert [each.lane for each in ledger.proofs()] == [Lane.TELEMETRY, Lane.EVENT]
    assert all(each.doubles == 0 for each in ledger.proofs())


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(0, 70))
def test_agrees_with_plain_sets_in_any_order(heard: list[int], last: int) -> None:
    ledger = Ledger()
    fresh = sum(ledger.hear(tele(seq)) for seq in heard)
    ledger.hear(opening(1, last=last))
    proof = proof_of(ledger)
    expected = set(range(1, max([last, *heard]) + 1)) - set(heard)
    missing = {n for span in proof.missing for n in range(span.first, span.last + 1)}
    assert missing == expected
    assert fresh == proof.heard == len(set(heard))
    assert proof.doubles == len(heard) - len(set(heard))


def test_damage_that_cannot_be_told_apart_excuses_nothing() -> None:
    ledger = Ledger()
    for seq in (1, *range(3, 40)):
        ledger.hear(tele(seq))
    ledger.hear(
        told(
            1,
            EventKind.DAMAGE,
            {"lane": "telemetry", "stream": None, "first_seq": None, "last_seq": None},
        )
    )
    assert proof_of(ledger).missing == (Span(2, 2),)
