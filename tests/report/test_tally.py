"""The figures of a month: what counts as good, as an alarm, as a response; and what nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.effects import Event, EventKind
from agent.core.spec import (
    AlarmClass,
    Contact,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
    Unheard,
)
from agent.local.terms import Lang, Words
from agent.report.dating import dated
from agent.report.figures import Month, Report, Times
from agent.report.pages import html, sections, table
from agent.report.tally import month_report
from drivers.clock import ClockState, Stamp

DAY_S = 86_400
MONTH = Month(name="2026-11", from_ms=10 * DAY_S * 1000, until_ms=40 * DAY_S * 1000)
MONTH_S = 30 * DAY_S
SITE = SiteSpec(
    site="riverside",
    box="plantroom-1",
    points=(
        PointSpec(id="smoke", kind=PointKind.SMOKE, device="pins"),
        PointSpec(id="jockey", kind=PointKind.PUMP, device="pins"),
    ),
    rules=(
        RuleSpec(id="fire", alarm_class=AlarmClass.FIRE, condition=Contact(point="smoke")),
        RuleSpec(
            id="jockey-runs", alarm_class=AlarmClass.TECHNICAL, condition=Contact(point="jockey")
        ),
        RuleSpec(id="fault.smoke", alarm_class=AlarmClass.FAULT, condition=Unheard(point="smoke")),
        RuleSpec(
            id="fault.pins", alarm_class=AlarmClass.FAULT, condition=Contact(point="pins.online")
        ),
    ),
)


def at(day: float, kind: EventKind = EventKind.ALARM, /, **more: object) -> Event:
    stamp = Stamp(0.0, round((10 + day) * DAY_S * 1000), ClockState.SYNCED)
    plain: dict[str, object] = {"kind": kind, "subject": "x", "at": stamp}
    return Event(**{**plain, **more})  # type: ignore[arg-type]


def started(day: float = -1.0) -> Event:
    return at(day, EventKind.SYSTEM, to_state="started")


def stopped(day: float) -> Event:
    return at(day, EventKind.SYSTEM, to_state="stopped")


def alarm(day: float, rule: str, before: str, after: str, **more: object) -> Event:
    classes = {each.id: each.alarm_class for each in SITE.rules}
    plain: dict[str, object] = {"rule": rule, "from_state": before, "to_state": after}
    return at(day, EventKind.ALARM, alarm_class=classes[rule], **{**plain, **more})


def report(*events: Event, now_day: float = 30.0, is_running: bool = True) -> Report:
    now_ms = round((10 + now_day) * DAY_S * 1000)
    journal = [("boot", event) for event in events]
    return month_report(dated(journal, now_ms), SITE, MONTH, now_ms, is_running=is_running)


def test_a_month_without_a_record_is_unknown_and_not_good() -> None:
    empty = report()
    assert (empty.points.good_s, empty.points.unknown_s) == (0, MONTH_S)
    assert empty.points.rate == 0
    assert empty.known_s == 0


def test_a_month_in_which_the_agent_ran_and_nothing_failed_is_good() -> None:
    quiet = report(started())
    assert quiet.points.rate == 1
    assert quiet.devices.rate == 1
    assert quiet.known_s == MONTH_S


def test_a_fault_counts_from_its_alarm_to_its_end_and_one_from_before_the_month_too() -> None:
    told = report(
        started(-5),
        alarm(-2, "fault.smoke", "normal", "active_unacked"),
        alarm(3, "fault.smoke", "active_unacked", "normal"),
        alarm(10, "fault.pins", "normal", "active_unacked"),
        alarm(11, "fault.pins", "active_unacked", "normal"),
    )
    assert told.points.bad_s == 3 * DAY_S
    assert told.points.rate == pytest.approx(27 / 30)
    assert told.devices.rate == pytest.approx(29 / 30)


def test_time_the_agent_did_not_run_is_unknown() -> None:
    told = report(started(), stopped(10), started(13))
    assert told.points.unknown_s == 3 * DAY_S
    assert told.known_s == 27 * DAY_S
    assert told.points.rate == pytest.approx(27 / 30)


def test_time_lost_in_a_crash_is_taken_back_from_what_seemed_good() -> None:
    opening = at(
        10,
        EventKind.STREAM,
        detail={
            "lane": "event",
            "previous_clean": False,
            "unknown_from_wall_ms": round(18 * DAY_S * 1000),
        },
    )
    told = report(started(), opening, started(10))
    assert told.points.unknown_s == 2 * DAY_S
    assert told.known_s == 28 * DAY_S


def test_a_crash_told_by_both_lanes_takes_its_time_once() -> None:
    lanes = (("event", 18), ("telemetry", 12))
    openings = (
        at(
            10,
            EventKind.STREAM,
            detail={
                "lane": lane,
                "previous_clean": False,
                "unknown_from_wall_ms": day * DAY_S * 1000,
            },
        )
        for lane, day in lanes
    )
    assert report(started(), *openings, started(10)).known_s == 28 * DAY_S


def suppression(day: float, rule: str, after: str) -> Event:
    return at(day, EventKind.SUPPRESSION, rule=rule, to_state=after)


def test_what_is_below_a_fault_is_in_fault_too() -> None:
    told = report(
        started(),
        suppression(3, "fault.smoke", "suppressed"),
        suppression(5, "fault.smoke", "unsuppressed"),
    )
    assert told.points.bad_s == 2 * DAY_S


@pytest.mark.parametrize("way", ["in good order", "by a crash"])
def test_a_restart_forgets_what_was_hidden_for_it_is_told_anew(way: str) -> None:
    crash = at(
        6,
        EventKind.STREAM,
        detail={
            "lane": "event",
            "previous_clean": False,
            "unknown_from_wall_ms": 15 * DAY_S * 1000,
        },
    )
    told = report(
        started(),
        suppression(3, "fault.smoke", "suppressed"),
        stopped(6) if way == "in good order" else crash,
        started(6),
        suppression(8, "fault.smoke", "suppressed"),
        suppression(9, "fault.smoke", "unsuppressed"),
    )
    assert told.points.bad_s == 4 * DAY_S


def test_of_a_box_that_is_dead_the_time_since_its_last_record_is_unknown() -> None:
    told = report(started(), at(12, EventKind.MODE, to_state="manual"), is_running=False)
    assert told.known_s == 12 * DAY_S
    assert told.points.unknown_s == 18 * DAY_S


def test_a_box_that_died_after_the_month_ran_through_it() -> None:
    told = report(started(), stopped(31), is_running=False, now_day=40.0)
    assert told.known_s == MONTH_S


def test_a_month_that_is_not_over_ends_now() -> None:
    assert report(started(), now_day=15).points.total_s == 15 * DAY_S


def test_inhibited_time_is_told_and_left_out_of_the_rate() -> None:
    told = report(
        started(),
        at(5, EventKind.INHIBIT, rule="fire", point="smoke", to_state="inhibited"),
        at(6, EventKind.INHIBIT, rule="fire", point="smoke", to_state="uninhibited"),
    )
    assert told.points.inhibited_s == DAY_S
    assert told.points.rate == 1
    assert told.inhibited_s == {"fire": DAY_S}


def test_alarms_responses_and_closing_codes() -> None:
    minute = 1 / 1440
    told = report(
        started(),
        alarm(1, "fire", "normal", "active_unacked"),
        alarm(1 + minute, "fire", "active_unacked", "active_acked", actor="anna"),
        alarm(1 + 2 * minute, "fire", "active_acked", "latched_acked"),
        alarm(1 + 5 * minute, "fire", "latched_acked", "normal", actor="anna", code="real"),
        alarm(2, "fire", "normal", "active_unacked"),
        alarm(2 + minute, "fire", "active_unacked", "latched_unacked"),
        alarm(2 + 3 * minute, "fire", "latched_unacked", "latched_acked", actor="anna"),
        alarm(2 + 4 * minute, "fire", "latched_acked", "normal", actor="anna", code="false", reason="dust"),
    )  # fmt: skip
    assert told.alarms[AlarmClass.FIRE] == 2
    assert told.to_ack == Times(count=2, median_s=120.0, p90_s=180.0, worst_s=180.0)
    assert told.to_reset == Times(count=2, median_s=270.0, p90_s=300.0, worst_s=300.0)
    assert told.closed == {"real": 1, "false": 1}
    assert told.false_rate == 0.5
    assert told.false_causes == {"dust": 1}


def test_tests_are_no_alarms_and_drills_are_counted_with_their_time() -> None:
    told = report(
        started(),
        at(1, EventKind.DRILL, to_state="started"),
        alarm(1.01, "fire", "normal", "active_unacked", is_test=True),
        alarm(1.02, "fire", "active_unacked", "normal", is_test=True, actor="anna", code="test"),
        at(1.25, EventKind.DRILL, to_state="ended"),
    )
    assert told.alarms[AlarmClass.FIRE] == 0
    assert (told.tests, told.drills, told.drill_s) == (1, 1, DAY_S / 4)
    assert told.to_ack is told.to_reset is None
    assert told.false_rate is None


def test_pump_starts_and_records_of_loss_are_counted() -> None:
    told = report(
        started(),
        at(-0.5, EventKind.PUMP, point="jockey", to_state="started", detail={"starts": 40}),
        at(1, EventKind.PUMP, point="jockey", to_state="started", detail={"starts": 1}),
        at(2, EventKind.PUMP, point="jockey", to_state="started", detail={"starts": 7}),
        alarm(3, "jockey-runs", "normal", "active_unacked"),
        at(4, EventKind.GAP),
        at(-0.5, EventKind.DAMAGE),
    )
    assert told.starts == {"jockey": 8}
    assert told.gaps == 1


def test_what_happened_before_and_after_the_month_is_not_in_it() -> None:
    told = report(
        started(-9),
        alarm(-1, "fire", "normal", "active_unacked"),
        alarm(31, "fire", "normal", "active_unacked"),
    )
    assert told.alarms[AlarmClass.FIRE] == 0


DAYS = st.lists(st.floats(-5, 35), max_size=12)


@given(DAYS, DAYS)
def test_the_parts_of_a_month_sum_to_the_month(faults: list[float], stops: list[float]) -> None:
    moves = ("active_unacked", "normal")
    events = [started(-9)]
    events += [
        alarm(day, "fault.smoke", moves[n % 2 - 1], moves[n % 2]) for n, day in enumerate(faults)
    ]
    events += [stopped(day) if n % 2 == 0 else started(day) for n, day in enumerate(stops)]
    events.sort(key=lambda event: event.at.wall_ms)
    told = report(*events)
    assert told.points.total_s == pytest.approx(MONTH_S)
    assert told.devices.total_s == pytest.approx(MONTH_S)
    assert 0 <= told.known_s <= MONTH_S + 1


@pytest.mark.parametrize("lang", list(Lang))
def test_it_is_written_in_both_languages_as_page_and_table(lang: Lang) -> None:
    told = report(
        started(),
        alarm(1, "fire", "normal", "active_unacked"),
        alarm(1.5, "fire", "active_unacked", "normal", actor="a", code="false", reason="<dust>"),
    )
    words = Words(lang)
    page = html(told, words)
    assert "&lt;dust&gt;" in page
    assert "<dust>" not in page
    assert words("report.good_rate") in page
    assert words("page.supplement") in page
    rows = table(told, words).splitlines()
    assert len(rows) > 10
    assert next(title for title, _ in sections(told, words)) == words("report.availability")
