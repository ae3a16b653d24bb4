"""Payloads: round trips, the published schemas, and what must never leave."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from agent.core.effects import AlarmState, EventKind, Outcome
from agent.core.spec import AlarmClass, OutputKind, PointKind
from agent.uplink import codec
from agent.uplink.codec import Schema, StatusReason, WireClass
from agent.uplink.decode import (
    AlarmSeen,
    BatchSeen,
    CommandSeen,
    EventSeen,
    MetaSeen,
    PayloadFault,
    ResultSeen,
    StateSeen,
    StatusSeen,
    decode,
)
from agent.uplink.message import Message
from agent.uplink.sinks.native import NativeSink
from agent.uplink.topics import Topics, take_apart
from drivers.clock import ClockState, ManualClock, Stamp
from drivers.reading import Quality, Value
from tests.uplink.commands import payload as command
from tests.uplink.contract import VALIDATORS, judge, load
from tests.uplink.samples import BOOT, SITE, alarm, batch, event, reading, stamp

SINK = NativeSink(
    Topics("plantroom/v1", SITE.site, SITE.box),
    site=SITE,
    boot=BOOT,
    version="0.1.0",
    config_hash="c0ffee",
)


def seen(message: Message) -> Any:
    judge(message)
    return decode(take_apart("plantroom/v1", message.topic), message.payload)


values = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
stamps = st.builds(
    lambda ms, wall, clock: Stamp(ms / 1000, wall, clock),
    st.integers(0, 2**40),
    st.integers(0, 2**42),
    st.sampled_from(ClockState),
)


@given(values, st.sampled_from([Quality.GOOD, Quality.UNCERTAIN]), stamps)
def test_a_state_comes_back_as_it_went(value: Value, quality: Quality, at: Stamp) -> None:
    sent = replace(reading(value, quality=quality), at=at)
    (message,) = SINK.state(sent)
    heard = seen(message)
    assert isinstance(heard, StateSeen)
    assert heard.reading == sent
    assert type(heard.reading.value) is type(value)


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.STALE])
def test_no_value_stays_no_value(quality: Quality) -> None:
    sent = reading(None, quality=quality, reason="timeout")
    (message,) = SINK.state(sent)
    assert seen(message) == StateSeen(reading=sent, boot=BOOT)


@given(
    st.lists(
        st.tuples(
            st.text(max_size=8),
            values,
            st.text(max_size=4),
            st.sampled_from(Quality),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_batch_is_written_as_the_json_library_would_write_it(
    told: list[tuple[str, Value, str, Quality, int]],
) -> None:
    moments = [replace(stamp(), mono_s=number * 0.0015, wall_ms=number - 5) for number in range(3)]
    readings = tuple(
        replace(
            reading(value),
            point=point,
            value=None if quality in (Quality.BAD, Quality.STALE) else value,
            unit=unit,
            quality=quality,
            at=moments[at],
        )
        for point, value, unit, quality, at in told
    )
    sent = codec.tele(replace(batch(1), readings=readings), is_replay=False)
    body = json.loads(sent)
    assert sent == json.dumps(
        body, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode("utf-8", errors="replace")
    assert body["readings"] == [
        {
            "point": each.point,
            "ts": each.at.wall_ms,
            "mono_ms": each.at.mono_ms,
            "value": each.value,
            "unit": each.unit,
            "quality": each.quality.value,
        }
        for each in readings
    ]


@given(st.lists(values, min_size=1, max_size=5), st.integers(1, 2**31), st.booleans())
def test_a_batch_comes_back_as_it_went(held: list[Value], seq: int, is_replay: bool) -> None:
    sent = replace(batch(seq), readings=tuple(reading(value) for value in held))
    (message,) = SINK.batch(sent, is_replay=is_replay)
    assert seen(message) == BatchSeen(batch=sent, is_replay=is_replay)


DETAILS: dict[EventKind, dict[str, str | int | float | bool | None]] = {
    EventKind.STREAM: {
        "lane": "telemetry",
        "stream": "t2",
        "previous": "t1",
        "previous_last_seq": 812,
        "previous_clean": False,
        "unknown_from_wall_ms": 1_750_000_000_000,
    },
    EventKind.GAP: {
        "lane": "telemetry",
        "stream": "t1",
        "first_seq": 3,
        "last_seq": 9,
        "count": 7,
        "reason": "overflow",
    },
    EventKind.DAMAGE: {
        "lane": "event",
        "stream": None,
        "first_seq": None,
        "last_seq": None,
        "count": None,
        "reason": "checksum",
        "file": "events-3",
    },
    EventKind.CLOCK: {"boot_offset_ms": 1_749_999_000_000, "step_ms": -3},
    EventKind.COMMAND: {"id": "c-1", "origin": "mqtt", "identity": "cloud"},
    EventKind.INHIBIT: {"seconds": 3600.0},
    EventKind.DRILL: {"scope": "hall shed.smoke", "seconds": 0.0, "with_linkage": False},
    EventKind.PUMP: {"starts": 3},
}


@pytest.mark.parametrize("is_test", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind not in DETAILS])
def test_an_event_comes_back_as_it_went(kind: EventKind, is_test: bool) -> None:
    sent = event(7, kind=kind, is_test=is_test)
    (message,) = SINK.event(sent, is_replay=True)
    assert seen(message) == EventSeen(record=sent, is_replay=True)


@pytest.mark.parametrize(("is_test", "called"), [(False, "fire"), (True, "test")])
def test_a_drill_leaves_as_test_and_says_which_class_it_would_have_had(
    is_test: bool, called: str
) -> None:
    (message,) = SINK.event(event(7, is_test=is_test), is_replay=False)
    content = json.loads(message.payload)
    assert (content["class"], content["rule_class"]) == (called, "fire")


@pytest.mark.parametrize("kind", list(DETAILS))
def test_the_detail_of_book_keeping_events_is_documented_and_comes_back(kind: EventKind) -> None:
    sent = event(7, kind=kind, detail=DETAILS[kind])
    (message,) = SINK.event(sent, is_replay=False)
    assert seen(message) == EventSeen(record=sent, is_replay=False)
    content = json.loads(message.payload)
    content["detail"] = {}
    with pytest.raises(ValidationError):
        VALIDATORS[Schema.EVENT].validate(content)


@pytest.mark.parametrize("state", list(AlarmState))
def test_an_alarm_comes_back_as_it_went(state: AlarmState) -> None:
    (message,) = SINK.alarm(alarm(state))
    assert seen(message) == AlarmSeen(alarm=alarm(state), boot=BOOT)


@pytest.mark.parametrize("reason", [r for r in StatusReason if r is not StatusReason.LOST])
def test_birth_heartbeat_and_farewell_share_the_wills_topic_and_retention(
    reason: StatusReason,
) -> None:
    (message,) = SINK.status(stamp(), reason)
    will = SINK.will(stamp())
    heard = seen(message)
    assert isinstance(heard, StatusSeen)
    assert heard.is_online is (reason is not StatusReason.STOPPED)
    assert (message.topic, message.retain) == (will.topic, will.retain)
    assert not seen(will).is_online


def test_meta_tells_what_the_box_watches() -> None:
    (message,) = SINK.meta(stamp())
    heard = seen(message)
    assert isinstance(heard, MetaSeen)
    assert heard.points == SITE.points
    assert (heard.rules, heard.outputs) == (("shed-fire",), ("siren",))
    rule = json.loads(message.payload)["rules"][0]
    assert rule["points"] == ["shed.smoke", "hydrant.pressure"]
    assert "消火栓压力".encode() in message.payload, "UTF-8, not escapes"


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_leaves_as_bad_and_never_as_good(wrong: float) -> None:
    for message in (
        *SINK.state(reading(wrong)),
        *SINK.batch(replace(batch(1), readings=(reading(wrong),)), is_replay=False),
        *SINK.alarm(replace(alarm(), value=wrong)),
        *SINK.event(replace(event(1), event=replace(event(1).event, value=wrong)), is_replay=False),
    ):
        judge(message)
        assert b'"value":null' in message.payload
        assert b'"quality":"bad"' in message.payload


def test_an_event_about_something_no_topic_can_bear_goes_out_under_the_box() -> None:
    (message,) = SINK.event(event(1, subject="Shed / Fire"), is_replay=False)
    assert message.topic.endswith("/event/box")


def enums_in(node: Any) -> list[tuple[str, tuple[Any, ...]]]:
    found = []
    if isinstance(node, dict):
        for name, part in node.items():
            if isinstance(part, dict) and isinstance(part.get("enum"), list):
                found.append((name, tuple(part["enum"])))
            found += enums_in(part)
    elif isinstance(node, list):
        for part in node:
            found += enums_in(part)
    return found


def words(enum: type[StrEnum]) -> tuple[str, ...]:
    return tuple(each.value for each in enum)


ENUMS: dict[tuple[Schema, str], list[tuple[Any, ...]]] = {
    (Schema.STATUS, "reason"): [words(StatusReason), ("stopped", "lost")],
    (Schema.STATUS, "clock"): [words(ClockState)],
    (Schema.STATE, "quality"): [words(Quality), ("bad", "stale")],
    (Schema.TELE, "quality"): [words(Quality), ("bad", "stale")],
    (Schema.ALARM, "class"): [words(AlarmClass)],
    (Schema.ALARM, "state"): [words(AlarmState)],
    (Schema.ALARM, "quality"): [(*words(Quality), None)],
    (Schema.EVENT, "kind"): [words(EventKind)],
    (Schema.EVENT, "class"): [words(WireClass)],
    (Schema.EVENT, "rule_class"): [words(AlarmClass)],
    (Schema.EVENT, "quality"): [(*words(Quality), None)],
    (Schema.META, "kind"): [words(PointKind), words(OutputKind)],
    (Schema.META, "class"): [words(AlarmClass)],
}


@pytest.mark.parametrize(("schema", "name"), list(ENUMS))
def test_the_published_words_are_the_codes_words(schema: Schema, name: str) -> None:
    assert [found for each, found in enums_in(load(schema)) if each == name] == ENUMS[schema, name]


def test_a_drill_is_the_only_class_more_than_the_alarm_classes() -> None:
    assert words(WireClass) == (*words(AlarmClass), "test")


@pytest.mark.parametrize("schema", list(Schema))
def test_every_schema_is_one_and_names_itself(schema: Schema) -> None:
    content = load(schema)
    Draft202012Validator.check_schema(content)
    assert content["$id"] == schema.file
    assert content["properties"]["schema"]["const"] == schema


def test_commands_and_results_have_their_contract() -> None:
    VALIDATORS[Schema.CMD].validate(
        {
            "schema": "cmd/1",
            "id": "c-1",
            "ts": 1,
            "expires": 2,
            "actor": "duty",
            "args": {"target": "shed-fire"},
        }
    )
    with pytest.raises(ValidationError):
        VALIDATORS[Schema.CMD].validate({"schema": "cmd/1", "id": "c-1"})
    VALIDATORS[Schema.RES].validate(
        {"schema": "res/1", "id": "c-1", "ok": True, "code": "done", "message": "", "ts": 1}
    )


def test_a_command_and_its_result_are_read_by_whoever_watches() -> None:
    home = f"plantroom/v1/{SITE.site}/{SITE.box}"
    clock = ManualClock()
    asked = decode(
        take_apart("plantroom/v1", f"{home}/cmd/ack"),
        command(clock, "c7", args={"target": "shed-fire"}),
    )
    now_ms = clock.stamp().wall_ms
    assert asked == CommandSeen(
        id="c7",
        ts_ms=now_ms,
        expires_ms=now_ms + 60_000,
        actor="duty officer",
        args={"target": "shed-fire"},
    )
    outcome = Outcome(ok=False, code="too_fast", message="ask again later")
    answer = decode(
        take_apart("plantroom/v1", f"{home}/res/ack"), codec.res("c7", outcome, clock.stamp())
    )
    assert answer == ResultSeen(
        id="c7", is_ok=False, code="too_fast", message="ask again later", ts_ms=now_ms
    )


@pytest.mark.parametrize("channel", ["cmd", "res"])
def test_what_is_no_command_or_result_is_refused_with_a_reason(channel: str) -> None:
    topic = f"plantroom/v1/{SITE.site}/{SITE.box}/{channel}/ack"
    for content in (b"no", b"{}", b'{"schema":"%s/1"}' % channel.encode(), b'{"schema":"tele/1"}'):
        with pytest.raises(PayloadFault, match=f"{channel}/ack"):
            decode(take_apart("plantroom/v1", topic), content)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"schema":"state/2"}',
        b'{"schema":"event/1"}',
        codec.state(reading(), BOOT).replace(b'"good"', b'"fine"'),
        codec.state(reading(), BOOT).replace(b'"good"', b'"bad"'),
        codec.state(reading(), BOOT).replace(b"412.5", b"[1]"),
        codec.state(reading(), BOOT).replace(b'"ts":', b'"tz":'),
        codec.state(reading(), BOOT).replace(b'"mono_ms":1000000', b'"mono_ms":true'),
    ],
)
def test_a_payload_that_breaks_the_contract_is_refused_with_a_reason(payload: bytes) -> None:
    with pytest.raises(PayloadFault, match="state/hydrant"):
        decode(take_apart("plantroom/v1", SINK.state(reading())[0].topic), payload)


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_garbage_is_never_more_than_a_payload_fault(payload: bytes) -> None:
    with pytest.raises(PayloadFault):
        decode(take_apart("plantroom/v1", "plantroom/v1/a/b/event/c"), payload)
