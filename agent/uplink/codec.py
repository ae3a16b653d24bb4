"""Payloads: from the agent's values to the JSON of contract v1 (docs/schemas/, docs/asyncapi.yaml).

Pure. UTF-8 JSON without spaces. What is not a finite number never leaves as one: it goes out as
null with quality `bad`, since neither JSON nor a reader has a place for it. Readers: decode.py.
"""

from __future__ import annotations

import json
import math
from enum import StrEnum
from json.encoder import encode_basestring as quoted
from typing import TypeAlias, TypeVar

from agent.core.conditions import points_of
from agent.core.effects import AlarmView, Outcome
from agent.core.spec import (
    Label,
    OutputSpec,
    PointSpec,
    RuleSpec,
    SiteSpec,
)
from agent.outbox.records import Batch, EventRecord
from drivers.clock import Stamp
from drivers.reading import Quality, Reading, Value

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class Schema(StrEnum):
    """The name and version every payload opens with."""

    STATUS = "status/1"
    META = "meta/1"
    STATE = "state/1"
    ALARM = "alarm/1"
    TELE = "tele/1"
    EVENT = "event/1"
    CMD = "cmd/1"
    RES = "res/1"

    @property
    def file(self) -> str:
        """The JSON Schema's file in docs/schemas/."""
        return f"{self.value.replace('/', '-')}.json"


class StatusReason(StrEnum):
    """Why a status was published."""

    CONNECTED = "connected"
    """Birth: the connection is new."""
    HEARTBEAT = "heartbeat"
    STOPPED = "stopped"
    """The agent said goodbye."""
    LOST = "lost"
    """The will: the broker lost the box. Its `ts` is the time of connecting."""


class WireClass(StrEnum):
    """`class` of an event: an alarm class, or `test` in a drill (`rule_class` keeps the class)."""

    FIRE = "fire"
    GAS = "gas"
    SUPERVISORY = "supervisory"
    FAULT = "fault"
    TECHNICAL = "technical"
    TEST = "test"


def status(at: Stamp, *, is_online: bool, boot: str, version: str, reason: StatusReason) -> bytes:
    """Return birth, heartbeat, farewell or will."""
    return _pack(
        {
            "schema": Schema.STATUS,
            "online": is_online,
            "ts": at.wall_ms,
            "boot": boot,
            "clock": at.clock,
            "version": version,
            "reason": reason,
        }
    )


def state(reading: Reading, boot: str) -> bytes:
    """Return the last reading of a point."""
    value, quality = _safe(reading.value, reading.quality)
    return _pack(
        {
            "schema": Schema.STATE,
            "point": reading.point,
            "ts": reading.at.wall_ms,
            "mono_ms": reading.at.mono_ms,
            "boot": boot,
            "clock": reading.at.clock,
            "value": value,
            "unit": reading.unit,
            "quality": quality,
            "reason": reading.reason if quality is reading.quality else _NOT_FINITE,
        }
    )


def alarm(view: AlarmView, boot: str) -> bytes:
    """Return the current state of an alarm; `ts` is when it came into that state."""
    value, quality = _safe(view.value, view.quality)
    return _pack(
        {
            "schema": Schema.ALARM,
            "rule": view.rule,
            "ts": view.since.wall_ms,
            "mono_ms": view.since.mono_ms,
            "boot": boot,
            "clock": view.since.clock,
            "class": view.alarm_class,
            "state": view.state,
            "acked": view.state.is_acked,
            "point": view.point,
            "value": value,
            "unit": view.unit,
            "quality": quality,
            "zone": view.zone,
            "suppressed": view.is_suppressed,
            "silenced": view.is_silenced,
            "latched": view.is_latched,
            "pending": view.is_pending,
            "unknown": view.is_unknown,
            "actor": view.actor,
            "inhibited": view.is_inhibited,
            "inhibited_left_s": view.inhibited_left_s,
            "inhibited_by": view.inhibited_by,
            "test": view.is_test,
            "first_out": view.is_first_out,
            "chattering": view.is_chattering,
            "group": view.group,
        }
    )


def tele(batch: Batch, *, is_replay: bool) -> bytes:
    """Return a batch of readings; `clock` holds for all of them."""
    # By hand, since a box spends much of its time here: of a point only time and value are new, and
    # what came in one answer has one time.
    rows: list[str] = []
    at: Stamp | None = None
    when = ""
    for reading in batch.readings:
        if reading.at is not at:
            at = reading.at
            when = f'"ts":{at.wall_ms},"mono_ms":{at.mono_ms},"value":'
        value, quality = _safe(reading.value, reading.quality)
        figure = repr(value) if type(value) in _FIGURES else _text(value)
        rows.append(
            f'{{"point":{quoted(reading.point)},{when}{figure},'
            f'"unit":{quoted(reading.unit)},"quality":{quoted(quality)}}}'
        )
    head = _text(
        {
            "schema": Schema.TELE,
            "stream": batch.stream,
            "seq": batch.seq,
            "boot": batch.boot,
            "clock": batch.clock,
            "replay": is_replay,
        }
    )
    return _bytes(f'{head[:-1]},"readings":[{",".join(rows)}]}}')


def event(record: EventRecord, *, is_replay: bool) -> bytes:
    """Return an event. Empty texts mean "does not apply"; `detail` only where the event has one."""
    it = record.event
    value, quality = _safe(it.value, it.quality)
    payload: dict[str, Json] = {
        "schema": Schema.EVENT,
        "id": record.id,
        "stream": record.stream,
        "seq": record.seq,
        "boot": record.boot,
        "ts": it.at.wall_ms,
        "mono_ms": it.at.mono_ms,
        "clock": it.at.clock,
        "replay": is_replay,
        "durable": record.is_durable,
        "kind": it.kind,
        "class": WireClass.TEST if it.is_test else WireClass(it.alarm_class.value),
        "rule_class": it.alarm_class,
        "rule": it.rule,
        "point": it.point,
        "from": it.from_state,
        "to": it.to_state,
        "acked": it.is_acked,
        "value": value,
        "unit": it.unit,
        "quality": quality,
        "actor": it.actor,
        "reason": it.reason,
        "code": it.code,
        "zone": it.zone,
        "plan": it.plan,
    }
    if it.detail:
        payload["detail"] = {name: _safe(fact, None)[0] for name, fact in it.detail.items()}
    return _pack(payload)


def meta(site: SiteSpec, at: Stamp, *, boot: str, version: str, config_hash: str) -> bytes:
    """Return the box's description of itself: what it watches, judges and switches."""
    return _pack(
        {
            "schema": Schema.META,
            "ts": at.wall_ms,
            "boot": boot,
            "clock": at.clock,
            "site": site.site,
            "box": site.box,
            "versions": {"agent": version, "contract": "1"},
            "config_hash": config_hash,
            "points": [_point(each) for each in site.points],
            "rules": [_rule(each) for each in site.rules],
            "outputs": [_output(each) for each in site.outputs],
            "labels": {name: _label(label) for name, label in site.labels.items()},
        }
    )


def res(id_: str, outcome: Outcome, at: Stamp) -> bytes:
    """Return how a command ended."""
    return _pack(
        {
            "schema": Schema.RES,
            "id": id_,
            "ok": outcome.ok,
            "code": outcome.code,
            "message": outcome.message,
            "ts": at.wall_ms,
        }
    )


def _point(spec: PointSpec) -> Json:
    return {
        "id": spec.id,
        "kind": spec.kind,
        "unit": spec.unit,
        "zone": spec.zone,
        "device": spec.device,
        "contact": spec.is_contact,
        "stale_after_s": spec.stale_after_s,
        "label": _label(spec.label),
    }


def _rule(spec: RuleSpec) -> Json:
    return {
        "id": spec.id,
        "class": spec.alarm_class,
        "points": list(points_of(spec.condition)),
        "on_delay_s": spec.on_delay_s,
        "off_delay_s": spec.off_delay_s,
        "latched": spec.is_latched,
        "group": spec.group,
        "zone": spec.zone,
        "label": _label(spec.label),
    }


def _output(spec: OutputSpec) -> Json:
    return {"id": spec.id, "kind": spec.kind, "zone": spec.zone, "label": _label(spec.label)}


def _label(label: Label) -> Json:
    return {"en": label.en, "zh": label.zh}


_NOT_FINITE = "not finite"


_Q = TypeVar("_Q", Quality, Quality | None)


def _safe(value: Value | None, quality: _Q) -> tuple[Value | None, _Q]:
    if isinstance(value, float) and not math.isfinite(value):
        return None, Quality.BAD
    return value, quality


def _pack(payload: Json) -> bytes:
    return _bytes(_text(payload))


def _text(payload: Json) -> str:
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _bytes(text: str) -> bytes:
    # A lone surrogate (a broken name read from somewhere) must not stop a record.
    return text.encode("utf-8", errors="replace")


_FIGURES = frozenset({int, float})
"""Types that JSON writes as Python does, once they are finite; not bool."""
