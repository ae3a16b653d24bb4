"""Several signals before it counts: votes with voters in fault, and alarm verification."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.conditions import filling_s, is_timed, points_of, streamed_points, watch
from agent.core.spec import (
    AllOf,
    AnyOf,
    AtLeast,
    Condition,
    Contact,
    Faster,
    Flat,
    Leaking,
    Scheduled,
    Side,
    Starting,
    Threshold,
    Verified,
)
from agent.core.watching import Truth
from drivers.clock import ClockState, Stamp
from tests.core.test_trends import Room

VOTERS = ("a", "b", "c")
TWO_OF_THREE = AtLeast(count=2, parts=tuple(Contact(point=name) for name in VOTERS), timeout_s=60.0)


def table(count: int, seen: tuple[Truth, ...]) -> Truth:
    """The table of agent/core/voting.py, without the timeout."""
    yes, no = seen.count(True), seen.count(False)
    known = yes + no
    if known and yes >= min(count, known):
        return True
    if not known or len(seen) - no >= count:
        return None
    return False


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("seen", list(product((True, False, None), repeat=3)))
def test_every_vote_of_three(count: int, seen: tuple[Truth, ...]) -> None:
    room = Room(watch(AtLeast(count=count, parts=TWO_OF_THREE.parts)))
    for name, value in zip(VOTERS, seen, strict=True):
        told = room.read(name, value, 0)
    assert told is table(count, seen)
    assert room.watch.due_s() == float("inf")


def test_one_voter_alone_becomes_the_full_alarm_when_it_stands_long_enough() -> None:
    room = Room(watch(TWO_OF_THREE))
    for name in VOTERS:
        room.read(name, False, 0)
    assert room.read("a", True, 10) is False
    assert room.watch.due_s() == 1070.0
    assert room.look(69.9) is False
    assert room.look(70) is True
    assert room.watch.due_s() == float("inf")
    assert room.read("a", False, 80) is False
    assert room.read("b", True, 90) is False
    assert room.watch.due_s() == 1150.0


def test_a_single_voter_that_fails_does_not_begin_its_wait_anew() -> None:
    room = Room(watch(TWO_OF_THREE))
    for name in VOTERS:
        room.read(name, False, 0)
    room.read("a", True, 10)
    assert room.read("a", None, 30) is False
    assert room.look(70) is False
    assert room.read("a", True, 75) is True


def test_after_a_start_a_voter_nobody_has_heard_of_is_waited_for_and_one_in_fault_is_not() -> None:
    room = Room(watch(AtLeast(count=2, parts=TWO_OF_THREE.parts)))
    assert room.read("a", True, 0) is None
    assert room.read("b", None, 1) is None
    assert room.read("c", None, 30) is True


def test_the_wait_of_a_voter_that_failed_is_not_handed_to_another() -> None:
    room = Room(watch(TWO_OF_THREE))
    for name in VOTERS:
        room.read(name, False, 0)
    room.read("a", True, 10)
    room.read("a", None, 30)
    assert room.read("b", True, 86_400) is None
    assert room.watch.due_s() == 1000.0 + 86_460
    assert room.look(86_460) is True


def test_a_full_alarm_of_one_voter_is_over_only_when_that_one_is_known_to_be() -> None:
    room = Room(watch(TWO_OF_THREE))
    for name in VOTERS:
        room.read(name, False, 0)
    room.read("a", True, 10)
    assert room.look(70) is True
    assert room.read("a", None, 80) is None
    assert room.read("b", True, 90) is True
    assert room.read("b", False, 100) is None
    assert room.read("a", False, 110) is False


def test_a_full_alarm_of_one_voter_outlasts_a_restart() -> None:
    room = Room(watch(TWO_OF_THREE))
    room.watch.hold()
    assert room.look(0) is None
    assert [room.read(name, False, 1) for name in "bc"] == [None, None]
    assert room.read("a", True, 2) is True
    assert room.read("a", False, 3) is False


def test_a_wait_that_is_long_over_hides_no_verification() -> None:
    verified = tuple(Verified(part=part, window_s=60.0, blank_s=5.0) for part in TWO_OF_THREE.parts)
    room = Room(watch(AtLeast(count=2, parts=verified[:2], timeout_s=60.0)))
    room.read("a", False, 0)
    room.read("b", False, 0)
    room.read("a", True, 10)
    room.look(15)
    room.read("a", None, 30)
    assert room.read("b", True, 500) is False
    assert room.watch.due_s() == 1505.0
    assert room.look(505) is True


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(VOTERS), st.sampled_from([True, False, None])), max_size=30),
)
def test_any_run_of_a_vote_leaves_out_what_failed_and_waits_for_what_was_never_read(
    count: int, readings: list[tuple[str, Truth]]
) -> None:
    room = Room(watch(AtLeast(count=count, parts=TWO_OF_THREE.parts)))
    latest: dict[str, Truth] = {}
    for at_s, (name, value) in enumerate(readings):
        latest[name] = value
        told = room.read(name, value, at_s)
        yes, no, failed = (list(latest.values()).count(each) for each in (True, False, None))
        if yes and yes >= min(count, 3 - failed):
            assert told is True
        else:
            assert told is (None if 3 - no >= count else False)


def test_a_voter_in_its_deadband_after_a_restart_still_counts() -> None:
    hot = Threshold(point="t", side=Side.ABOVE, limit=57.0, deadband=3.0)
    room = Room(watch(AtLeast(count=2, parts=(hot, Contact(point="a")))))
    room.watch.hold()
    room.read("t", 55.0, 0)
    assert room.read("a", True, 0) is True


def test_without_a_time_out_one_voter_is_no_alarm_after_a_restart_either() -> None:
    room = Room(watch(AtLeast(count=2, parts=TWO_OF_THREE.parts)))
    room.watch.hold()
    assert room.read("a", True, 0) is None
    assert room.watch.due_s() == float("inf")
    assert [room.read(name, False, 1) for name in "bc"] == [None, False]
    assert room.read("b", True, 2) is True
    assert room.read("b", False, 3) is False


def test_what_a_vote_looks_at_and_whether_time_matters() -> None:
    assert points_of(TWO_OF_THREE) == VOTERS
    assert is_timed(TWO_OF_THREE)
    assert not is_timed(AtLeast(count=2, parts=TWO_OF_THREE.parts))
    assert streamed_points(TWO_OF_THREE) == frozenset()


VERIFIED = Verified(part=Contact(point="smoke"), window_s=60.0, blank_s=5.0)


def test_a_signal_that_stands_after_the_blanking_time_is_confirmed() -> None:
    room = Room(watch(VERIFIED))
    assert room.read("smoke", True, 0) is False
    assert room.watch.due_s() == 1005.0
    assert room.look(4.9) is False
    assert room.look(5) is True
    assert room.watch.due_s() == float("inf")
    assert room.read("smoke", False, 6) is False
    assert room.read("smoke", True, 7) is False  # a first signal again


def test_a_second_signal_within_the_window_confirms_and_one_after_it_is_a_first_one() -> None:
    room = Room(watch(VERIFIED))
    room.read("smoke", True, 0)
    assert room.read("smoke", False, 2) is False
    assert room.watch.due_s() == float("inf")
    assert room.read("smoke", True, 60) is True
    room = Room(watch(VERIFIED))
    room.read("smoke", True, 0)
    room.read("smoke", False, 2)
    assert room.read("smoke", True, 60.1) is False
    assert room.look(65.1) is True


def test_a_signal_again_within_the_blanking_time_does_not_count() -> None:
    room = Room(watch(VERIFIED))
    room.read("smoke", True, 0)
    room.read("smoke", False, 1)
    assert room.read("smoke", True, 2) is False
    assert room.look(5) is True


def test_unknown_neither_confirms_nor_clears() -> None:
    room = Room(watch(VERIFIED))
    assert room.read("smoke", None, 0) is None
    assert room.read("smoke", True, 1) is False
    assert room.read("smoke", None, 3) is None
    assert room.read("smoke", True, 20) is True
    assert room.read("smoke", None, 21) is None
    assert room.read("smoke", True, 22) is True


def test_what_was_confirmed_before_a_restart_is_confirmed() -> None:
    room = Room(watch(VERIFIED))
    room.watch.hold()
    assert room.read("smoke", True, 0) is True


class Utc:
    """A wall clock without summer time."""

    def minute_of_week(self, wall_ms: int) -> tuple[int, int]:
        minutes = wall_ms // 60_000
        return (minutes // 1440 + 3) % 7, minutes % 1440  # 1970-01-01 was a Thursday


def test_a_schedule_has_no_point() -> None:
    night = Scheduled(calendar=Utc(), days=frozenset(range(7)), from_min=1320, to_min=360)
    assert points_of(night) == ()
    assert is_timed(Verified(part=night, window_s=60.0, blank_s=0.0))


NIGHT = Scheduled(calendar=Utc(), days=frozenset(range(7)), from_min=1320, to_min=360)


@pytest.mark.parametrize(
    "condition",
    [
        AllOf(parts=(NIGHT, Contact(point="a"))),
        AnyOf(parts=(NIGHT, Contact(point="a"))),
        AtLeast(count=2, parts=(NIGHT, Contact(point="a")), timeout_s=600.0),
        Verified(part=NIGHT, window_s=60.0, blank_s=5.0),
        Leaking(point="p", limit=20.0, window_s=3600.0, quiet=NIGHT),
    ],
)
def test_what_is_made_of_a_schedule_is_due_with_it(condition: Condition) -> None:
    seen = watch(condition)
    assert seen.due_s() == float("inf")
    at = Stamp(50.0, 12 * 3_600_000 + 15_000, ClockState.UNSYNCED)
    assert seen.look({}, at, 50.0) is None
    assert seen.due_s() == 95.0
    assert is_timed(condition)


# -- voters whose window fills ---------------------------------------------------------------------

RISES = Faster(point="t", side=Side.ABOVE, limit=8.0, per_s=60.0, window_s=60.0)
WITH_RATE = AtLeast(count=2, parts=(Contact(point="a"), Contact(point="b"), RISES))


def test_a_rate_whose_window_fills_makes_nobody_alarm_alone() -> None:
    room = Room(watch(WITH_RATE))
    room.read("t", 20.0, 0)
    room.read("b", None, 0)
    assert room.read("a", True, 1) is None, "one of the two that can tell"
    for at_s in range(2, 30):
        assert room.read("t", 20.0, at_s) is None
    assert room.read("t", 20.0, 31) is None, "the rate is known and does not rise; b might"
    assert room.read("b", True, 32) is True


def test_a_rate_that_is_not_known_after_its_window_is_in_fault() -> None:
    room = Room(watch(WITH_RATE))
    room.read("b", None, 0)
    room.read("t", 20.0, 0)
    assert room.read("a", True, 74.9) is None
    assert room.look(75.0) is True, "read once in a window: no rate"


def test_a_rate_that_was_lost_is_in_fault_and_fills_its_window_anew_when_it_is_back() -> None:
    room = Room(watch(WITH_RATE))
    room.read("b", None, 0)
    room.read("t", 20.0, 0)
    assert room.read("t", None, 5) is None
    assert room.read("a", True, 6) is True
    assert room.read("t", 20.0, 200) is None, "not over, and no longer decided by one"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Contact(point="a"), 0.0),
        (RISES, 75.0),
        (AllOf(parts=(Contact(point="a"), RISES)), 75.0),
        (Flat(point="t", for_s=100.0), 125.0),
        (Starting(point="a", limit=3, per_s=3600.0), 4500.0),
        (Starting(point="a", limit=3, factor=2.0), 108_000.0),
        (
            Leaking(point="t", limit=5, window_s=1800.0, quiet=Contact(point="a", is_active=False)),
            2250.0,
        ),
    ],
)
def test_how_long_a_window_fills(condition: Condition, expected: float) -> None:
    assert filling_s(condition) == expected
