"""The verdict: clean when all arrived, and not when anything is lost, wrong, doubled or missing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.core.effects import AlarmState, Event, EventKind, Outcome
from agent.core.spec import AlarmClass
from agent.outbox.records import Batch, EventRecord
from agent.simulate.ledger import Entry, Ledger, Place, encode_counter
from agent.simulate.report import Report, latency_of
from agent.simulate.scenario import RAISED, ExpectedAlarm, ExpectedPin, Played, Step, StepName
from agent.simulate.witness import Witness, reconcile
from agent.uplink import codec
from drivers.clock import ClockState, ManualClock, Stamp
from drivers.reading import Quality, Reading

ROOT = "plantroom/v1"
TOPIC = f"{ROOT}/site/box"
PLACE = Place("meters", 1, 100)
OTHER = Place("rs485", 1, 100)
PLACES = {"hydrant.counter": PLACE, "shed-air.counter": OTHER}


class Run:
    """A run of the demo in miniature: one alarm, one output, five counter readings in two batches."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = Ledger(self.clock)
        self.witness = Witness(ROOT)
        self.batches: list[Batch] = []
        self.events: list[EventRecord] = []
        self.ledger.moved(23, False)
        step = Step(
            name=StepName.SMOKE,
            at_s=0,
            expects=(
                ExpectedAlarm(about="smoke", within_s=2.0),
                ExpectedPin(pin=23, high=True, within_s=1.0),
            ),
        )
        self.clock.advance(1)
        self.played = [Played(step=step, at=self.clock.stamp())]
        self.ledger.driven(17, True)
        self.clock.advance(0.008)
        self.ledger.moved(23, True)
        self.add_event(AlarmState.ACTIVE_UNACKED)
        self.add_event(AlarmState.ACTIVE_ACKED)
        self.add_batch([self.answer(each) for each in range(3)])
        self.add_batch([self.answer(each) for each in range(3, 5)])

    def answer(self, count: int, fault: str = "") -> Reading:
        """Let a counter value leave the simulator, and return the agent's reading of it."""
        self.clock.advance(0.1)
        value = encode_counter(1, 100, count)
        self.ledger.read(PLACE, value, fault)
        return self.reading(value)

    def reading(self, value: int, point: str = "hydrant.counter") -> Reading:
        return Reading(
            point=point, value=value, quality=Quality.GOOD, unit="", at=self.clock.stamp()
        )

    def add_batch(self, readings: list[Reading]) -> None:
        self.batches.append(
            Batch(
                stream="t1",
                seq=len(self.batches) + 1,
                boot="b",
                clock=ClockState.SYNCED,
                readings=tuple(readings),
            )
        )

    def add_event(self, state: AlarmState) -> None:
        event = Event(
            kind=EventKind.ALARM,
            subject="smoke",
            rule="smoke",
            point="hall.smoke",
            at=self.clock.stamp(),
            alarm_class=AlarmClass.FIRE,
            to_state=state,
        )
        number = len(self.events) + 1
        self.events.append(
            EventRecord(id=f"id-{number}", stream="e1", seq=number, boot="b", event=event)
        )

    def hear(self, record: Batch | EventRecord, *, is_replay: bool = False) -> None:
        at = self.clock.advance(0.002)
        if isinstance(record, Batch):
            payload = codec.tele(record, is_replay=is_replay)
            self.witness.take(f"{TOPIC}/tele/batch", payload, at)
        else:
            payload = codec.event(record, is_replay=is_replay)
            self.witness.take(f"{TOPIC}/event/smoke", payload, at)

    def hear_all(self) -> None:
        self.hear_only(*self.events, *self.batches)

    def hear_only(self, *records: Batch | EventRecord) -> None:
        for each in records:
            self.hear(each)

    def verdict(self, *, gaps: int = 0, forgotten: int = 0) -> Report:
        entries: tuple[Entry, ...] = self.ledger.entries
        return reconcile(
            entries,
            self.witness,
            PLACES,
            self.played,
            witness_gaps=gaps,
            forgotten=forgotten,
        )


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_run_where_all_arrived_is_clean_and_measured(run: Run) -> None:
    run.hear_all()
    report = run.verdict()
    assert report.is_clean, report.examples
    assert (report.readings.delivered, report.readings.lost, report.readings.duplicated) == (
        5,
        0,
        0,
    )
    assert (report.batches.delivered, report.events.delivered) == (2, 2)
    assert (report.alarms_raised, report.outputs_switched) == (1, 1)
    assert report.latency_contact_to_output.samples == 1
    assert report.latency_contact_to_output.max_ms == pytest.approx(8)
    assert report.latency_register_to_subscriber.samples == 5
    assert report.latency_register_to_subscriber.p50_ms > 0
    told = json.loads(report.to_json())
    assert told["ok"] is True
    assert told["readings"] == {"delivered": 5, "lost": 0, "duplicated": 0}
    assert [each["is_seen"] for each in told["alarms"] + told["outputs"]] == [True, True]


def test_a_planted_drop_of_a_batch_fails_it_as_batch_and_as_readings(run: Run) -> None:
    run.hear_only(*run.events, run.batches[1])
    report = run.verdict()
    assert not report.is_clean
    assert (report.batches.lost, report.readings.lost) == (1, 3)
    assert any("t1/1-1" in each for each in report.examples)
    assert json.loads(report.to_json())["ok"] is False


def test_a_drop_of_the_last_batch_shows_in_the_readings_though_no_number_is_missing(
    run: Run,
) -> None:
    run.hear_only(*run.events, run.batches[0])
    report = run.verdict()
    assert (report.batches.lost, report.readings.lost) == (0, 2)
    assert not report.is_clean


def test_one_reading_left_out_of_a_batch_is_lost(run: Run) -> None:
    run.batches[0] = replace(run.batches[0], readings=run.batches[0].readings[1:])
    run.hear_all()
    report = run.verdict()
    assert (report.readings.lost, report.is_clean) == (1, False)
    assert any("count 0" in each for each in report.examples)


def test_a_planted_drop_of_an_event_fails_it(run: Run) -> None:
    run.hear_only(run.events[1], *run.batches)
    report = run.verdict()
    assert (report.events.lost, report.is_clean) == (1, False)


def test_a_batch_sent_twice_is_counted_and_legal(run: Run) -> None:
    run.hear_all()
    run.hear(run.batches[0], is_replay=True)
    run.hear(run.events[0], is_replay=True)
    report = run.verdict()
    assert (report.batches.duplicated, report.events.duplicated) == (1, 1)
    assert report.readings.duplicated == 0
    assert report.is_clean


def test_a_reading_in_two_batches_is_a_double_and_fails_it(run: Run) -> None:
    run.add_batch([run.batches[0].readings[0]])
    run.hear_all()
    report = run.verdict()
    assert (report.readings.duplicated, report.is_clean) == (1, False)


@pytest.mark.parametrize(
    ("point", "value"),
    [
        ("hydrant.counter", encode_counter(1, 100, 77)),
        ("shed-air.counter", encode_counter(1, 100, 0)),
        ("hydrant.counter", encode_counter(2, 100, 0)),
        ("hydrant.counter", -5),
    ],
)
def test_a_value_that_never_left_for_that_point_is_wrong(run: Run, point: str, value: int) -> None:
    run.add_batch([run.reading(value, point)])
    run.hear_all()
    report = run.verdict()
    assert (report.wrong_readings, report.readings.lost, report.is_clean) == (1, 0, False)


@pytest.mark.parametrize(
    ("fault", "wrong"), [("late", 0), ("transaction zero", 0), ("bad crc", 1), ("wrong unit", 1)]
)
def test_a_spoilt_answer_need_not_arrive_and_must_not_if_it_was_untrue(
    run: Run, fault: str, wrong: int
) -> None:
    reading = run.answer(90, fault)
    run.hear_all()
    assert run.verdict().is_clean
    run.add_batch([reading])
    run.hear(run.batches[-1])
    assert run.verdict().wrong_readings == wrong


def test_a_bad_reading_is_not_a_delivery(run: Run) -> None:
    lost = run.batches[0].readings[0]
    bad = replace(lost, value=None, quality=Quality.BAD, reason="timeout")
    run.batches[0] = replace(run.batches[0], readings=(bad, *run.batches[0].readings[1:]))
    run.hear_all()
    assert run.verdict().readings.lost == 1


def test_an_expected_alarm_that_came_too_late_or_never_fails_it(run: Run) -> None:
    late = run.played[0].at.mono_s + 2.5
    event = run.events[0].event
    run.events[0] = replace(
        run.events[0], event=replace(event, at=Stamp(late, event.at.wall_ms, ClockState.SYNCED))
    )
    run.hear_all()
    report = run.verdict()
    assert [each.is_seen for each in report.alarms] == [False]
    assert not report.is_clean


def test_an_event_delivered_after_an_outage_counts_by_its_own_stamp(run: Run) -> None:
    run.clock.advance(60)
    for each in run.events:
        run.hear(each, is_replay=True)
    for batch in run.batches:
        run.hear(batch, is_replay=True)
    report = run.verdict()
    assert report.is_clean, report.examples
    assert report.latency_register_to_subscriber.samples == 0


@pytest.mark.parametrize(
    ("moves", "is_seen"),
    [
        ([], False),
        ([(0.5, True)], True),
        ([(1.5, True)], False),
        ([(-0.5, True)], True),
        ([(-0.5, True), (-0.2, False)], False),
        ([(-0.5, True), (0.5, False)], True),
    ],
)
def test_an_output_must_be_seen_on_its_level_in_time(
    moves: list[tuple[float, bool]], is_seen: bool
) -> None:
    clock = ManualClock()
    ledger = Ledger(clock)
    ledger.moved(23, False)
    clock.advance(10)
    step = Step(
        name=StepName.SMOKE, at_s=0, expects=(ExpectedPin(pin=23, high=True, within_s=1.0),)
    )
    played = Played(step=step, at=Stamp(clock.mono_s() + 1, 0))
    for after_s, high in moves:
        clock.advance(played.at.mono_s + after_s - clock.mono_s())
        ledger.moved(23, high)
    report = reconcile(ledger.entries, Witness(ROOT), {}, [played])
    assert [each.is_seen for each in report.outputs] == [is_seen]


def test_garbled_messages_and_a_deaf_witness_fail_it(run: Run) -> None:
    run.hear_all()
    assert run.verdict(gaps=1).is_clean is False
    run.witness.take(f"{TOPIC}/tele/batch", b"{}", run.clock.stamp())
    run.witness.take("elsewhere", b"", run.clock.stamp())
    report = run.verdict()
    assert (report.unreadable_messages, report.is_clean) == (2, False)


def test_commands_and_their_answers_are_no_fault_of_a_run() -> None:
    run = Run()
    run.hear_all()
    at = run.clock.stamp()
    asked = (
        b'{"schema":"cmd/1","id":"c1","ts":1,"expires":2,"actor":"Li","args":{"target":"smoke"}}'
    )
    run.witness.take(f"{TOPIC}/cmd/ack", asked, at)
    outcome = Outcome(ok=True, code="done", message="")
    run.witness.take(f"{TOPIC}/res/ack", codec.res("c1", outcome, at), at)
    report = run.verdict()
    assert (report.unreadable_messages, report.is_clean) == (0, True)
    assert run.witness.other == 2


def test_a_run_that_delivered_nothing_is_not_clean() -> None:
    assert not reconcile((), Witness(ROOT), {}).is_clean


def test_what_the_ledger_forgot_is_passed_over_not_called_wrong(run: Run) -> None:
    kept = run.ledger.entries[-2:]
    run.hear_all()
    report = reconcile(kept, run.witness, PLACES, forgotten=6)
    assert (report.wrong_readings, report.readings.delivered, report.readings.lost) == (0, 2, 0)


def test_a_witness_that_forgets_still_proves_what_it_can(run: Run) -> None:
    run.witness = Witness(ROOT, kept=2)
    run.hear_all()
    for count in range(10, 13):
        run.add_batch([run.answer(count)])
        run.hear(run.batches[-1])
    report = run.verdict()
    # Two of the last batches are kept, and whatever left after the older one arrived is judged.
    assert (report.readings.lost, report.wrong_readings, report.readings.duplicated) == (0, 0, 0)
    assert (report.batches.delivered, report.batches.lost) == (5, 0)
    assert report.witness_forgotten == 5
    run.answer(13)
    assert run.verdict().readings.lost == 1


def test_percentiles_are_by_nearest_rank() -> None:
    latency = latency_of([float(each) for each in range(1, 101)])
    assert (latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.max_ms) == (50, 95, 99, 100)
    assert latency_of([]).samples == 0


def test_only_becoming_active_counts_as_raised() -> None:
    assert frozenset({AlarmState.ACTIVE_UNACKED}) == RAISED
