from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.uuid7 import Uuid7, stream_id


@given(st.lists(st.integers(min_value=0, max_value=2**48 - 2), min_size=1, max_size=50))
def test_ids_rise_whatever_the_wall_clock_does(walls_ms: list[int]) -> None:
    ids = Uuid7()
    made = [ids.next(wall_ms) for wall_ms in walls_ms]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_has_the_layout_of_rfc_9562() -> None:
    made = uuid.UUID(Uuid7().next(0x017F22E279B0))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 0x017F22E279B0


def test_many_ids_within_one_millisecond_differ_and_rise() -> None:
    ids = Uuid7()
    made = [ids.next(1_750_000_000_000) for _ in range(5000)]
    assert made == sorted(set(made))


def test_stream_ids_are_short_and_differ() -> None:
    made = {stream_id() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(each) for each in made} == {12}
