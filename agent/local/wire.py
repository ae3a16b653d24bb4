"""The view as JSON, with the names of the MQTT contract (docs/design.md section 8) where they meet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.effects import AlarmView, Outcome
from agent.core.spec import AlarmClass, Label
from agent.local.summary import Summary, quality_of, summarise
from agent.local.view import AgentView, OutputView, PointView
from agent.outbox.records import EventRecord, OutboxStats
from agent.uplink.stats import UplinkStats
from drivers.base import BusStats
from drivers.clock import Stamp

Json = dict[str, Any]


def dumps(body: Mapping[str, Any]) -> str:
    """Return compact JSON, words of every language as they are; NaN is refused, never sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def status_json(view: AgentView) -> Json:
    """Return what the agent is and how it does, without points, alarms and outputs."""
    summary = summarise(view)
    return {
        "schema": "status/1",
        "site": view.site.site,
        "box": view.site.box,
        "version": view.version,
        "boot": view.boot,
        **_stamp(view.at),
        "started": view.started.wall_ms,
        "uptime_s": round(view.at.mono_s - view.started.mono_s, 3),
        "ready": not view.not_ready,
        "not_ready": list(view.not_ready),
        "alarms": _counts(summary),
        "orders": {
            "mode": "manual" if view.orders.is_manual else "auto",
            "cut": sorted(view.orders.cut),
            "drill_left_s": view.orders.drill_left_s,
            "drill_scope": list(view.orders.drill_scope),
        },
        "points": len(view.points),
        "outputs": len(view.outputs),
        "readings": view.readings,
        "dropped_readings": view.dropped_readings,
        "loop_lag_s": view.loop_lag_s,
        "config_ok": view.config_ok,
        "config_loaded": view.config_loaded_wall_ms,
        "buses": [_bus(bus) for bus in view.buses],
        "uplinks": [_uplink(uplink) for uplink in view.uplinks],
        "outbox": None if view.outbox is None else _outbox(view.outbox),
    }


def alarms_json(view: AgentView) -> Json:
    """Return every rule that is not at rest, sorted for people, and the counts of the banner.

    `rules` in the answer is how many rules there are, so that an empty list is told from no rules.
    """
    summary = summarise(view)
    return {
        **_stamp(view.at),
        "rules": len(view.alarms),
        **_counts(summary),
        "alarms": [
            _alarm(alarm)
            for alarm in (
                *summary.standing,
                *summary.tests,
                *summary.inhibited,
                *summary.suppressed,
                *summary.pending,
                *summary.unknown,
            )
        ],
    }


def points_json(view: AgentView) -> Json:
    """Return every point with its last reading."""
    return {**_stamp(view.at), "points": [_point(point, view.at) for point in view.points]}


def outputs_json(view: AgentView) -> Json:
    """Return every output, asked and read back."""
    return {**_stamp(view.at), "outputs": [_output(output) for output in view.outputs]}


def events_json(records: Sequence[EventRecord]) -> Json:
    """Return events as on the wire, newest first."""
    return {"events": [_event(record) for record in records]}


def outcome_json(command_id: str, outcome: Outcome) -> Json:
    """Return how a command ended."""
    return {
        "schema": "res/1",
        "id": command_id,
        "ok": outcome.ok,
        "code": outcome.code,
        "message": outcome.message,
    }


def _stamp(at: Stamp) -> Json:
    return {"ts": at.wall_ms, "mono_ms": at.mono_ms, "clock": at.clock}


def _label(label: Label) -> Json:
    return {"en": label.en, "zh": label.zh}


def _counts(summary: Summary) -> Json:
    return {
        "highest": summary.highest,
        "standing": {each: summary.count(each) for each in AlarmClass},
        "unacked": summary.unacked,
        "suppressed": len(summary.suppressed),
        "pending": len(summary.pending),
        "unknown": len(summary.unknown),
        "tests": len(summary.tests),
        "inhibited": len(summary.inhibited),
    }


def _alarm(alarm: AlarmView) -> Json:
    return {
        "rule": alarm.rule,
        "class": alarm.alarm_class,
        "state": alarm.state,
        "since": alarm.since.wall_ms,
        "clock": alarm.since.clock,
        "point": alarm.point,
        "value": _finite(alarm.value),
        "unit": alarm.unit,
        "quality": alarm.quality,
        "zone": alarm.zone,
        "acked": alarm.state.is_acked,
        "suppressed": alarm.is_suppressed,
        "silenced": alarm.is_silenced,
        "latched": alarm.is_latched,
        "pending": alarm.is_pending,
        "unknown": alarm.is_unknown,
        "actor": alarm.actor,
        "inhibited": alarm.is_inhibited,
        "inhibited_left_s": alarm.inhibited_left_s,
        "inhibited_by": alarm.inhibited_by,
        "test": alarm.is_test,
        "first_out": alarm.is_first_out,
        "chattering": alarm.is_chattering,
        "group": alarm.group,
    }


def _point(point: PointView, now: Stamp) -> Json:
    spec, reading = point.spec, point.reading
    quality = quality_of(point, now)
    usable = reading is not None and quality not in ("bad", "stale")
    return {
        "point": spec.id,
        "kind": spec.kind,
        "unit": spec.unit,
        "zone": spec.zone,
        "device": spec.device,
        "label": _label(spec.label),
        "value": _finite(reading.value) if reading is not None and usable else None,
        "quality": quality,
        "reason": "" if reading is None else reading.reason,
        "ts": None if reading is None else reading.at.wall_ms,
        "mono_ms": None if reading is None else reading.at.mono_ms,
        "last_good": point.last_good_wall_ms,
    }


def _output(output: OutputView) -> Json:
    spec = output.spec
    return {
        "output": spec.id,
        "kind": spec.kind,
        "zone": spec.zone,
        "label": _label(spec.label),
        "demanded": output.is_demanded,
        "active": output.is_active,
        "fault": output.fault,
        "failures": output.failures,
    }


def _bus(bus: BusStats) -> Json:
    return {
        "bus": bus.id,
        "kind": bus.kind,
        "online": bus.online,
        "late_polls": bus.late_polls,
        "devices": [
            {
                "device": device.id,
                "online": device.online,
                "requests": device.requests,
                "failures": dict(device.failures),
                "last_success": device.last_success_wall_ms,
            }
            for device in bus.devices
        ],
    }


def _uplink(uplink: UplinkStats) -> Json:
    return {
        "uplink": uplink.id,
        "broker": uplink.broker,
        "connected": uplink.is_connected,
        "reason": uplink.reason,
        "connects": uplink.connects,
        "publishes": uplink.publishes,
        "publish_failures": uplink.publish_failures,
        "last_puback": uplink.last_puback_wall_ms,
        "hears_commands": uplink.hears_commands,
        "certificate_ends": uplink.certificate_ends_wall_ms,
    }


def _outbox(outbox: OutboxStats) -> Json:
    return {
        "writable": outbox.is_writable,
        "fault": outbox.fault,
        "lanes": [
            {
                "lane": lane.lane,
                "records": lane.records,
                "bytes": lane.bytes_on_disk,
                "oldest": lane.oldest_wall_ms,
                "dropped": dict(lane.dropped),
                "stream": lane.stream,
                "last_seq": lane.last_seq,
            }
            for lane in outbox.lanes
        ],
        "commits": outbox.commits,
        "bytes_written": outbox.bytes_written,
        "bytes_today": outbox.bytes_today,
        "outage_days": outbox.outage_days,
        "write_failures": outbox.write_failures,
        "beyond_window": outbox.beyond_window,
        "unsent": dict(outbox.unsent_by_uplink),
    }


def _event(record: EventRecord) -> Json:
    event = record.event
    return {
        "schema": "event/1",
        "id": record.id,
        "stream": record.stream,
        "seq": record.seq,
        "boot": record.boot,
        **_stamp(event.at),
        "durable": record.is_durable,
        "kind": event.kind,
        "subject": event.subject,
        "class": "test" if event.is_test else event.alarm_class,
        "rule_class": event.alarm_class,
        "rule": event.rule,
        "point": event.point,
        "from": event.from_state,
        "to": event.to_state,
        "acked": event.is_acked,
        "value": _finite(event.value),
        "unit": event.unit,
        "quality": event.quality,
        "actor": event.actor,
        "reason": event.reason,
        "code": event.code,
        "zone": event.zone,
        "plan": event.plan,
        "detail": {key: _finite(value) for key, value in event.detail.items()},
    }


def _finite(value: bool | float | str | None) -> bool | float | str | None:
    """Return the value; None for NaN and infinities, which JSON cannot carry (RFC 8259, section 6)."""
    if isinstance(value, float) and value - value != 0.0:
        return None
    return value
