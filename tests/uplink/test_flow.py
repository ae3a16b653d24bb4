"""The pure parts of sending: shares of the window, telemetry's pace, suspicion, the board."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.effects import AlarmState, AlarmView
from agent.core.spec import AlarmClass
from agent.uplink.board import StateBoard
from agent.uplink.errors import LinkLost
from agent.uplink.pauses import Pauses
from agent.uplink.poison import LARGE_BYTES, STRIKES, UNTOLD_STRIKES, Flight, PoisonWatch
from agent.uplink.window import QUEUEING_CAP_S, Shares, TelemetryPace
from drivers.reading import Reading
from tests.uplink.samples import alarm, batch, event, reading

HUNG_UP = LinkLost("closed", is_by_peer=True)
TOLD = LinkLost("packet too large", code=149, is_by_peer=True)
SILENT = LinkLost("no PUBACK")


@given(st.integers(1, 20))
def test_telemetry_and_states_leave_room_for_events_in_any_window(window: int) -> None:
    shares = Shares(window)
    assert 1 <= shares.telemetry <= shares.bulk <= window
    if window >= 5:
        assert shares.telemetry < shares.bulk < window


def test_a_long_round_trip_alone_does_not_slow_telemetry_down() -> None:
    pace = TelemetryPace(12)
    for _ in range(40):
        pace.on_ack(0.6)
    assert pace.limit == 12


def test_queueing_in_the_link_halves_what_telemetry_may_put_into_it() -> None:
    pace = TelemetryPace(12)
    for _ in range(40):
        pace.on_ack(0.02)
    for _ in range(10):
        pace.on_ack(0.02 + QUEUEING_CAP_S * 2)
    assert pace.limit == 1
    for _ in range(40):
        pace.on_ack(0.03)
    assert pace.limit == 12


def flight(seq: int, size: int = LARGE_BYTES) -> Flight:
    return Flight(record=batch(seq), size=size)


def condemned_after(watch: PoisonWatch, loss: LinkLost, one: Flight, most: int = 30) -> int | None:
    for count in range(1, most):
        if watch.on_loss(loss, [one], was_alone=watch.is_suspicious):
            return count
    return None


@pytest.mark.parametrize(
    ("loss", "size", "expected"),
    [
        pytest.param(TOLD, 10, STRIKES + 1, id="the broker says why"),
        pytest.param(HUNG_UP, LARGE_BYTES, UNTOLD_STRIKES + 1, id="large enough to believe it"),
        pytest.param(HUNG_UP, LARGE_BYTES - 1, None, id="too small: never"),
        pytest.param(SILENT, LARGE_BYTES, None, id="a silent link proves nothing"),
    ],
)
def test_blame_needs_proof(loss: LinkLost, size: int, expected: int | None) -> None:
    assert condemned_after(PoisonWatch(), loss, flight(1, size)) == expected


def test_a_crowd_proves_nothing() -> None:
    watch = PoisonWatch()
    crowd = [flight(1), flight(2)]
    assert not any(watch.on_loss(TOLD, crowd, was_alone=True) for _ in range(30))


def test_a_suspect_that_is_taken_after_all_is_forgotten() -> None:
    watch = PoisonWatch()
    for _ in range(STRIKES):
        watch.on_loss(TOLD, [flight(1)], was_alone=watch.is_suspicious)
    looks = []
    for settled in (batch(2), batch(1)):
        watch.on_settled(settled)
        looks.append(watch.is_suspicious)
    assert looks == [True, False]
    assert condemned_after(watch, TOLD, flight(1)) == STRIKES + 1


def test_a_link_lost_with_nothing_in_flight_blames_nobody() -> None:
    watch = PoisonWatch()
    assert not watch.on_loss(HUNG_UP, [], was_alone=False)
    assert not watch.is_suspicious


def test_an_event_and_a_batch_of_one_number_are_two_records() -> None:
    watch = PoisonWatch()
    watch.on_loss(HUNG_UP, [flight(1)], was_alone=False)
    watch.on_settled(event(1))
    assert watch.is_suspicious


def taken(board_watch: object) -> list[Reading | AlarmView]:
    found = []
    while (each := board_watch.take()) is not None:  # type: ignore[attr-defined]
        found.append(each)
    return found


def test_the_board_keeps_the_latest_only_and_shows_alarms_first() -> None:
    board = StateBoard()
    wakes: list[None] = []
    watch = board.watch(lambda: wakes.append(None))
    for value in (1.0, 2.0, 3.0):
        board.put_state(reading(value))
    board.put_state(reading(9.0, point="other"))
    board.put_alarm(alarm())
    assert len(watch) == 3
    assert len(wakes) == 5
    assert taken(watch) == [alarm(), reading(3.0), reading(9.0, point="other")]
    assert taken(watch) == []


def test_a_fire_that_is_up_is_shown_before_gas_and_that_before_any_other_alarm() -> None:
    board = StateBoard()
    watch = board.watch(lambda: None)
    real = replace(alarm(), is_test=False)
    calm = replace(real, rule="calm", state=AlarmState.NORMAL)
    drill = replace(real, rule="drill", is_test=True)
    leak = replace(real, rule="leak", alarm_class=AlarmClass.SUPERVISORY)
    gas = replace(real, rule="gas", alarm_class=AlarmClass.GAS)
    fire = replace(real, rule="fire")
    for view in (calm, drill, leak, gas, fire):
        board.put_state(reading(1.0))
        board.put_alarm(view)
    assert taken(watch) == [fire, gas, calm, drill, leak, reading(1.0)]
    assert taken(board.watch(lambda: None))[:2] == [fire, gas]


def test_a_fire_that_ended_before_it_was_shown_is_urgent_no_more_and_shown_once() -> None:
    board = StateBoard()
    watch = board.watch(lambda: None)
    fire = replace(alarm(), is_test=False)
    ended = replace(fire, state=AlarmState.NORMAL)
    looks = []
    for view in (fire, ended):
        board.put_alarm(view)
        looks.append(watch.is_urgent)
    assert looks == [True, False]
    assert taken(watch) == [ended]
    board.put_alarm(ended)
    board.put_alarm(fire)
    assert len(watch) == 1
    assert taken(watch) == [fire]


def test_each_uplink_sees_its_own_and_a_new_one_sees_all() -> None:
    board = StateBoard()
    first = board.watch(lambda: None)
    board.put_state(reading(1.0))
    assert taken(first) == [reading(1.0)]
    second = board.watch(lambda: None)
    assert taken(second) == [reading(1.0)]
    first.close()
    board.put_state(reading(2.0))
    assert taken(first) == []
    assert taken(second) == [reading(2.0)]


def test_a_state_taken_and_changed_again_is_shown_again() -> None:
    board = StateBoard()
    watch = board.watch(lambda: None)
    board.put_alarm(alarm())
    watch.take()
    board.put_alarm(replace(alarm(), is_silenced=True))
    shown = watch.take()
    assert isinstance(shown, AlarmView)
    assert shown.is_silenced


# -- pauses ------------------------------------------------------------------------------------------


def test_in_the_first_minute_of_an_outage_pauses_are_short_and_later_at_most_the_cap() -> None:
    pauses = Pauses(0.25, 10.0)
    now_s = 1000.0
    near: list[float] = []
    far: list[float] = []
    while now_s < 2000.0:
        pause_s = pauses.next_s(now_s)
        (near if now_s < 1000.0 + 60.0 else far).append(pause_s)
        now_s += pause_s
    assert max(near) <= 1.2, "back within 5 s after an outage of less than a minute"
    assert max(far) <= 10.0, "back within 12 s after longer ones"
    assert max(far) > 7.0
    assert len({round(each, 6) for each in far[-20:]}) > 10, "jitter: many boxes do not come as one"


def test_a_link_that_was_good_begins_the_pauses_anew() -> None:
    pauses = Pauses(0.25, 10.0)
    now_s = 0.0
    for _ in range(100):
        now_s += pauses.next_s(now_s)
    assert pauses.next_s(now_s) > 5.0
    pauses.reset()
    assert pauses.next_s(now_s) <= 0.25
    assert pauses.is_near(now_s + 59.0)
