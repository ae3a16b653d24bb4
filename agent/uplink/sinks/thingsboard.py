"""ThingsBoard's gateway API: the box and its devices as devices behind one gateway.

Formats: ThingsBoard documentation, "MQTT Gateway API Reference" (v1/gateway/connect, disconnect,
telemetry, attributes, rpc). The device with this uplink's token must have "Is gateway" on. Not run
against the real software; golden files in tests/uplink/golden.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from agent.core.effects import AlarmView
from agent.core.spec import SiteSpec
from agent.outbox.records import Batch, EventRecord
from agent.uplink import codec
from agent.uplink.codec import Json, Schema, StatusReason
from agent.uplink.desk import Answer, Asked
from agent.uplink.message import Arrival, Message
from drivers.clock import Stamp
from drivers.reading import Quality, Reading

CONNECT = "v1/gateway/connect"
DISCONNECT = "v1/gateway/disconnect"
TELEMETRY = "v1/gateway/telemetry"
ATTRIBUTES = "v1/gateway/attributes"
RPC = "v1/gateway/rpc"

TYPE = "plantroom"
"""The device profile; ThingsBoard makes it where it is not there."""


class ThingsBoardSink:
    """Readings as telemetry of their device, alarms and events as telemetry of the box."""

    def __init__(self, *, site: SiteSpec, boot: str, version: str, config_hash: str) -> None:
        self._site = site
        self._boot = boot
        self._version = version
        self._config_hash = config_hash
        self._box = f"{site.site}.{site.box}"
        self._device_of = {each.id: each.device for each in site.points}

    def will(self, at: Stamp) -> None:
        """Return nothing: ThingsBoard has no wills and watches the connection itself."""

    def status(self, at: Stamp, reason: StatusReason) -> Sequence[Message]:
        """Return attributes of the box; on connecting its devices, on stopping their leave."""
        is_online = reason is not StatusReason.STOPPED
        facts: Json = {
            "online": is_online,
            "boot": self._boot,
            "clock": at.clock,
            "version": self._version,
            "statusReason": reason,
            "statusTs": at.wall_ms,
        }
        told = _message(ATTRIBUTES, {self._box: facts})
        if reason is StatusReason.CONNECTED:
            return (*(self._connect(each) for each in self._devices()), told)
        if reason is StatusReason.STOPPED:
            leaves = [_message(DISCONNECT, {"device": each}) for each in self._devices()]
            return (told, *leaves)
        return (told,)

    def meta(self, at: Stamp) -> Sequence[Message]:
        """Return what never changes in a run, as attributes by device."""
        by_device: dict[str, dict[str, Json]] = defaultdict(dict)
        for point in self._site.points:
            device, key = self._place(point.id)
            by_device[device][f"{key}.kind"] = point.kind
            by_device[device][f"{key}.unit"] = point.unit
            by_device[device][f"{key}.zone"] = point.zone
            by_device[device][f"{key}.label"] = point.label.en or point.label.zh or point.id
        by_device[self._box]["configHash"] = self._config_hash
        # One message a device: a site of hundreds of points would be too large for one.
        return [_message(ATTRIBUTES, {device: facts}) for device, facts in by_device.items()]

    def event(self, record: EventRecord, *, is_replay: bool) -> Sequence[Message]:
        """Return the native event as one value of the box, dated when it happened."""
        content: Json = json.loads(codec.event(record, is_replay=is_replay))
        values: Json = {"event": content}
        return (self._telemetry(record.event.at.wall_ms, values),)

    def batch(self, batch: Batch, *, is_replay: bool) -> Sequence[Message]:
        """Return readings by device with their own times, and the batch's number at the box.

        A value is always sent with its quality; without a value only the quality is.
        """
        rows: defaultdict[str, list[Json]] = defaultdict(list)
        native = json.loads(codec.tele(batch, is_replay=is_replay))
        for reading in native["readings"]:
            device, key = self._place(reading["point"])
            values: dict[str, Json] = {f"{key}.quality": reading["quality"]}
            if reading["value"] is not None and reading["quality"] in (
                Quality.GOOD,
                Quality.UNCERTAIN,
            ):
                values[key] = reading["value"]
            rows[device].append({"ts": reading["ts"], "values": values})
        number: Json = {
            "telemetry.stream": batch.stream,
            "telemetry.seq": batch.seq,
            "telemetry.replay": is_replay,
            "telemetry.clock": batch.clock,
        }
        rows[self._box].append({"ts": batch.readings[-1].at.wall_ms, "values": number})
        content: dict[str, Json] = {**rows}
        return (_message(TELEMETRY, content),)

    def state(self, reading: Reading) -> Sequence[Message]:
        """Return nothing: telemetry is the state there."""
        return ()

    def alarm(self, view: AlarmView) -> Sequence[Message]:
        """Return an alarm's state as telemetry of the box."""
        values: Json = {
            f"alarm.{view.rule}": view.state,
            f"alarm.{view.rule}.class": view.alarm_class,
        }
        return (self._telemetry(view.since.wall_ms, values),)

    def retained(self) -> frozenset[str]:
        """Return nothing: ThingsBoard keeps no retained messages."""
        return frozenset()

    def hears(self) -> Sequence[str]:
        """Return where ThingsBoard asks."""
        return (RPC,)

    def asked(self, arrival: Arrival) -> Asked | None:
        """Return the command in a server-side RPC to the box.

        `method` is the command's name, `params` its id, ts, expires, actor and args: an RPC without
        them has no freshness, and is refused as any other command would be.
        """
        try:
            content = json.loads(arrival.payload)
            device, call = content["device"], content["data"]
            number, method, params = call["id"], call["method"], call.get("params")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if device != self._box or not isinstance(method, str) or not isinstance(number, int | str):
            return None
        body = {"schema": Schema.CMD, **params} if isinstance(params, dict) else {}
        return Asked(
            name=method,
            payload=json.dumps(body).encode(),
            is_retained=arrival.is_retained,
            ticket=json.dumps(number),
        )

    def answer(self, answer: Answer) -> Sequence[Message]:
        """Return how it ended, as the answer to the RPC."""
        if not answer.asked.ticket:
            return ()
        result: Json = json.loads(codec.res(answer.id, answer.outcome, answer.at))
        content: Json = {
            "device": self._box,
            "id": json.loads(answer.asked.ticket),
            "data": result,
        }
        return (_message(RPC, content),)

    def _devices(self) -> list[str]:
        devices = sorted({self._place(each.id)[0] for each in self._site.points} - {self._box})
        return [self._box, *devices]

    def _connect(self, device: str) -> Message:
        return _message(CONNECT, {"device": device, "type": TYPE})

    def _place(self, point: str) -> tuple[str, str]:
        """Return the device a point belongs to, and its key there."""
        device = self._device_of.get(point, "")
        if not device:
            return self._box, point
        return f"{self._box}.{device}", point.removeprefix(f"{device}.")

    def _telemetry(self, ts_ms: int, values: Json) -> Message:
        return _message(TELEMETRY, {self._box: [{"ts": ts_ms, "values": values}]})


def _message(topic: str, content: Json) -> Message:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Message(topic=topic, payload=text.encode("utf-8", "replace"))
