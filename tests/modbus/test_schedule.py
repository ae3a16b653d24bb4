"""Whose turn it is, with the time told."""

from __future__ import annotations

import pytest

from drivers.modbus.presence import DeviceState, Presence, Share
from drivers.modbus.schedule import Poll, Schedule
from drivers.modbus.spec import PollClass


def poll(name: str, poll_class: PollClass, period_s: float, due_s: float = 0.0) -> Poll[str]:
    return Poll(name, poll_class, period_s, due_s)


def schedule_of(*polls: Poll[str]) -> Schedule[str]:
    schedule: Schedule[str] = Schedule()
    for each in polls:
        schedule.put(each)
    return schedule


def test_fire_goes_before_normal_before_slow() -> None:
    schedule = schedule_of(
        poll("slow", PollClass.SLOW, 30), poll("normal", PollClass.NORMAL, 2), poll("fire", PollClass.FIRE, 1)
    )  # fmt: skip
    order = [taken.what for _ in range(3) if (taken := schedule.take(0.0))]
    assert order == ["fire", "normal", "slow"]
    assert schedule.take(0.0) is None


def test_within_a_class_the_longest_due_goes_first() -> None:
    schedule = schedule_of(poll("b", PollClass.NORMAL, 2, 1.0), poll("a", PollClass.NORMAL, 2, 0.5))
    taken = schedule.take(1.0)
    assert taken is not None
    assert taken.what == "a"


def test_nothing_is_taken_before_its_time() -> None:
    schedule = schedule_of(poll("a", PollClass.FIRE, 1, 5.0))
    assert schedule.take(4.99) is None
    assert schedule.next_due_s() == 5.0


def test_the_beat_is_kept_whatever_the_polls_take() -> None:
    schedule = schedule_of(poll("a", PollClass.FIRE, 1.0, 10.0))
    taken_at = []
    now_s = 10.0
    for _ in range(50):
        each = schedule.take(now_s)
        assert each is not None
        taken_at.append(each.due_s)
        assert schedule.done(each, now_s + 0.3) == 0
        due_s = schedule.next_due_s()
        assert due_s is not None
        now_s = due_s + 0.01
    assert taken_at == [10.0 + each for each in range(50)]


@pytest.mark.parametrize("phase_s", [0.0, 0.02, 0.98])
def test_with_a_phase_the_first_turn_is_at_once_and_the_others_fall_on_the_beat(
    phase_s: float,
) -> None:
    schedule: Schedule[str] = Schedule(phase_s)
    each = poll("a", PollClass.FIRE, 1.0)
    schedule.begin(each, 10.7)
    assert schedule.take(10.7) is each
    assert schedule.done(each, 10.71) == 0
    assert 10.7 < each.due_s <= 11.7
    first_s = each.due_s
    for number in range(50):
        assert each.due_s == pytest.approx(first_s + number)
        assert (each.due_s - phase_s) % 1.0 == pytest.approx(0.0, abs=1e-6) or (
            each.due_s - phase_s
        ) % 1.0 == pytest.approx(1.0, abs=1e-6)
        assert schedule.take(each.due_s) is each
        assert schedule.done(each, each.due_s + 0.1) == 0


def test_a_first_turn_that_lasts_over_its_beat_is_followed_at_once_and_counts_none_as_late() -> (
    None
):
    schedule: Schedule[str] = Schedule(0.0)
    each = poll("a", PollClass.FIRE, 1.0)
    schedule.begin(each, 10.9)
    assert schedule.take(10.9) is each
    assert schedule.done(each, 11.2) == 0
    assert each.due_s == pytest.approx(11.0)
    assert schedule.take(11.2) is each
    assert schedule.done(each, 11.3) == 0
    assert each.due_s == pytest.approx(12.0)


def test_ports_with_one_phase_are_due_together_whenever_their_devices_came() -> None:
    dues_s = set()
    for came_s in (10.03, 10.4, 10.99):
        schedule: Schedule[str] = Schedule(0.02)
        each = poll("a", PollClass.NORMAL, 2.0)
        schedule.begin(each, came_s)
        assert schedule.take(came_s) is each
        schedule.done(each, came_s)
        dues_s.add(round(each.due_s, 9))
    assert dues_s == {12.02}


@pytest.mark.parametrize(("ended_s", "missed", "next_s"), [(0.9, 0, 1), (1.0, 1, 2), (3.5, 3, 4)])
def test_turns_that_were_missed_are_skipped_and_counted(
    ended_s: float, missed: int, next_s: float
) -> None:
    schedule = schedule_of(poll("a", PollClass.FIRE, 1.0))
    each = schedule.take(0.0)
    assert each is not None
    assert schedule.done(each, ended_s) == missed
    assert schedule.next_due_s() == next_s


def test_a_line_full_of_fire_points_still_reads_the_others() -> None:
    schedule = schedule_of(
        *(poll(f"fire{each}", PollClass.FIRE, 0.1) for each in range(20)),
        poll("normal", PollClass.NORMAL, 1.0),
        poll("slow", PollClass.SLOW, 5.0),
    )
    taken = []
    now_s = 0.0
    for _ in range(600):
        now_s += 0.05
        each = schedule.take(now_s)
        assert each is not None
        taken.append(each.what)
        schedule.done(each, now_s)
    assert taken.count("normal") >= 12
    assert taken.count("slow") >= 2
    assert len([each for each in taken if each.startswith("fire")]) > 400


def test_a_removed_poll_is_not_taken_until_it_is_put_again() -> None:
    each = poll("a", PollClass.FIRE, 1.0)
    schedule = schedule_of(each)
    schedule.remove(each)
    assert schedule.take(9.0) is None
    assert schedule.next_due_s() is None
    schedule.put(each)
    schedule.put(each)
    assert schedule.take(9.0) is each
    assert schedule.take(9.0) is None


def test_what_met_silence_is_tried_again_when_nobody_else_is_due() -> None:
    silent, other = poll("silent", PollClass.NORMAL, 3), poll("other", PollClass.NORMAL, 3, 5.0)
    schedule = schedule_of(other)
    schedule.put_aside(silent)
    assert schedule.next_due_s() == 0.0
    assert schedule.take(1.0, may_try_again=False) is silent
    assert schedule.take(1.0) is None


def test_what_met_silence_lets_the_others_go_first_until_they_had_their_turn() -> None:
    silent = [poll(f"silent {each}", PollClass.NORMAL, 3) for each in range(2)]
    others = [poll(f"other {each}", PollClass.NORMAL, 3, 0.1 * each) for each in range(4)]
    schedule = schedule_of(*others)
    for each in silent:
        schedule.put_aside(each)
    assert [schedule.take(1.0, may_try_again=False) for _ in range(2)] == others[:2]
    assert schedule.take(1.0) is silent[0]
    assert [schedule.take(1.0, may_try_again=False) for _ in range(3)] == [*others[2:], silent[1]]


def test_another_try_of_a_fire_point_waits_for_fire_points_alone() -> None:
    silent = poll("silent", PollClass.FIRE, 1)
    schedule = schedule_of(poll("fire", PollClass.FIRE, 1), poll("normal", PollClass.NORMAL, 2))
    schedule.put_aside(silent)
    taken = [schedule.take(0.5, may_try_again=False) for _ in range(3)]
    assert [each.what for each in taken if each] == ["fire", "silent", "normal"]


def test_a_poll_that_waits_aside_can_be_taken_out_and_put_again() -> None:
    each = poll("a", PollClass.SLOW, 30)
    schedule = schedule_of()
    schedule.put_aside(each)
    schedule.remove(each)
    assert schedule.take(9.0) is None
    schedule.put_aside(each)
    schedule.put(each)
    assert schedule.take(9.0) is each
    assert schedule.take(9.0) is None
    assert schedule.next_due_s() is None


def state() -> DeviceState:
    return DeviceState("d", "b", offline_failures=3, offline_after_s=3.0)


def test_offline_takes_failures_and_time() -> None:
    device = state()
    assert device.answered(0)
    assert not device.failed(10.0, 10.5, "timeout")
    device.suspect(10.5)
    assert not device.failed(11.0, 11.5, "timeout")
    assert not device.failed(12.0, 12.5, "timeout")  # enough failures, not enough time
    assert device.failed(13.0, 13.5, "timeout")
    assert (device.online, device.presence) == (False, Presence.OFFLINE)
    assert not device.failed(20.0, 20.5, "timeout")  # told once
    assert device.answered(1)
    assert (device.online, device.presence) == (True, Presence.LIVE)


def test_time_alone_makes_nobody_offline() -> None:
    device = state()
    device.answered(0)
    assert not device.failed(10.0, 99.0, "timeout")
    assert device.online is True


def test_a_device_nobody_heard_of_is_neither_online_nor_offline() -> None:
    device = state()
    assert device.online is None
    device.failed(0.0, 0.5, "timeout")
    assert device.online is None


def test_pauses_between_questions_grow_to_ten_seconds() -> None:
    device = state()
    pauses = []
    now_s = 0.0
    for _ in range(10):
        device.failed(now_s, now_s, "timeout")
        pauses.append(device.ask_due_s - now_s)
        now_s = device.ask_due_s
    assert 0.4 <= pauses[0] <= 0.5
    assert 8.0 <= pauses[-1] <= 10.0


def test_a_share_is_kept_over_time() -> None:
    share = Share(0.03, 0.0)
    spent = 0.0
    now_s = 0.0
    while now_s < 1000.0:
        if share.has_left(now_s):
            share.spend(1.0)
            spent += 1.0
            now_s += 1.0
        else:
            assert share.free_at_s(now_s) > now_s
            now_s = share.free_at_s(now_s)
    assert 25 <= spent <= 35
