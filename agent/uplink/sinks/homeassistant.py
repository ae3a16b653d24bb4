"""Home Assistant's MQTT integration: one device per box, announced by device discovery.

Formats: Home Assistant documentation, "MQTT", "MQTT Discovery" (device discovery payload) and the pages
of the platforms used (sensor, binary sensor, button, siren, event). Not run against the real software;
golden files in tests/uplink/golden.

States, alarms and presence are the native messages under this uplink's own root: Home Assistant is told
by templates how to read them. Telemetry has no place there, nor have events of the past.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from agent.core.effects import AlarmState, AlarmView, EventKind
from agent.core.spec import (
    AlarmClass,
    Label,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
)
from agent.outbox.records import Batch, EventRecord
from agent.uplink.codec import Json, StatusReason
from agent.uplink.desk import Answer, Asked
from agent.uplink.message import Arrival, Message
from agent.uplink.sinks.native import NativeSink
from agent.uplink.topics import Channel, TopicFault, Topics
from drivers.clock import Stamp
from drivers.reading import Reading

PREFIX = "homeassistant"
"""Home Assistant's default discovery prefix."""
SIREN_TEST_S = 10
"""How long an output sounds when asked from Home Assistant without a duration."""
DRILL_S = 600
VALID_MS = 60_000
"""A button pressed is a command for so long."""

_CONTACTS: dict[PointKind, str] = {
    PointKind.SMOKE: "smoke",
    PointKind.HEAT: "heat",
    PointKind.CALL_POINT: "safety",
    PointKind.GAS: "gas",
    PointKind.LEAK: "moisture",
    PointKind.FLOW: "running",
    PointKind.VALVE: "tamper",
    PointKind.PUMP: "running",
    PointKind.MAINS: "power",
    PointKind.DOOR: "door",
    PointKind.FEEDBACK: "running",
    PointKind.ONLINE: "connectivity",
    PointKind.HEALTH: "problem",
}
"""Device classes of binary sensors."""

_NUMBERS: dict[PointKind, tuple[str, tuple[str, ...]]] = {
    PointKind.PRESSURE: ("pressure", ("kPa", "Pa", "bar", "mbar")),
    PointKind.TEMPERATURE: ("temperature", ("°C",)),
    PointKind.HEAT: ("temperature", ("°C",)),
    PointKind.HUMIDITY: ("humidity", ("%",)),
    PointKind.LEVEL: ("distance", ("mm", "cm", "m")),
    PointKind.CURRENT: ("current", ("A", "mA")),
    PointKind.RESIDUAL_CURRENT: ("current", ("A", "mA")),
    PointKind.VOLTAGE: ("voltage", ("V", "mV")),
    PointKind.POWER: ("power", ("W", "kW")),
    PointKind.ENERGY: ("energy", ("Wh", "kWh")),
    PointKind.FREQUENCY: ("frequency", ("Hz",)),
    PointKind.DURATION: ("duration", ("s", "min", "h")),
}
"""Device classes of sensors, with the units Home Assistant takes for them (MPa is none of them)."""

_UNITS = {"%RH": "%", "1": ""}
"""Our units that Home Assistant writes otherwise."""

_SEVERE = (AlarmClass.FIRE, AlarmClass.GAS, AlarmClass.SUPERVISORY)
_BUTTONS: dict[str, tuple[str, str, dict[str, Json]]] = {
    "ack": ("Acknowledge all", "全部确认", {}),
    "silence": ("Silence", "消音", {}),
    "reset": ("Reset", "复位", {}),
    "snapshot": ("Refresh", "刷新", {}),
}
_NOT_AN_ID = re.compile(r"[^A-Za-z0-9_-]")


class HomeAssistantSink:
    """Announces a box and shows its states."""

    def __init__(
        self,
        topics: Topics,
        *,
        site: SiteSpec,
        boot: str,
        version: str,
        config_hash: str,
        allow: Sequence[str],
    ) -> None:
        """`allow` are the commands this uplink takes: what is not among them gets no button."""
        self._topics = topics
        self._site = site
        self._version = version
        self._allow = frozenset(allow)
        self._native = NativeSink(
            topics, site=site, boot=boot, version=version, config_hash=config_hash
        )
        self._object = identifier("plantroom", site.site, site.box)
        self._discovery = f"{PREFIX}/device/{self._object}/config"

    def will(self, at: Stamp) -> Message:
        """Return the native will, which the announced availability reads."""
        return self._native.will(at)

    def status(self, at: Stamp, reason: StatusReason) -> Sequence[Message]:
        """Return birth, heartbeat or farewell."""
        return self._native.status(at, reason)

    def meta(self, at: Stamp) -> Sequence[Message]:
        """Return the announcement, retained: Home Assistant may start later than the box."""
        announcement: Json = {
            "dev": {
                "ids": [self._object],
                "name": f"{self._site.site} {self._site.box}",
                "mf": "Plantroom",
                "mdl": "plantroom-agent",
                "sw": self._version,
            },
            "o": {"name": "plantroom-agent", "sw": self._version},
            "availability": [self._presence()],
            "qos": 1,
            "cmps": dict(self._components()),
        }
        return (_message(self._discovery, announcement, retain=True),)

    def event(self, record: EventRecord, *, is_replay: bool) -> Sequence[Message]:
        """Return what an output does by now, and alarms that are news.

        Home Assistant dates an event by its arrival: one of the past would look like one of now.
        """
        event = record.event
        if event.kind is EventKind.OUTPUT and event.to_state in ("active", "inactive"):
            topic = self._extra(event.subject)
            payload = b"ON" if event.to_state == "active" else b"OFF"
            return () if topic is None else (Message(topic=topic, payload=payload, retain=True),)
        if event.kind is not EventKind.ALARM or is_replay:
            return ()
        told: Json = {
            "event_type": event.to_state,
            "rule": event.rule,
            "class": event.alarm_class,
            "test": event.is_test,
            "zone": event.zone,
            "actor": event.actor,
            "ts": event.at.wall_ms,
        }
        return (_message(self._alarms, told),)

    def batch(self, batch: Batch, *, is_replay: bool) -> Sequence[Message]:
        """Return nothing: the states say what is now, and the past has no place there."""
        return ()

    def state(self, reading: Reading) -> Sequence[Message]:
        """Return a point's last reading."""
        return self._native.state(reading)

    def alarm(self, view: AlarmView) -> Sequence[Message]:
        """Return an alarm's state."""
        return self._native.alarm(view)

    def retained(self) -> frozenset[str]:
        """Return every topic on which something is left; cleared, the device is gone there."""
        outputs = [topic for each in self._site.outputs if (topic := self._extra(each.id))]
        native = self._native.retained() - {self._topics.meta}
        return frozenset({self._discovery, *outputs}) | native

    def hears(self) -> Sequence[str]:
        """Return the subscription to this box's commands: buttons speak the native contract."""
        return self._native.hears()

    def asked(self, arrival: Arrival) -> Asked | None:
        """Return a command."""
        return self._native.asked(arrival)

    def answer(self, answer: Answer) -> Sequence[Message]:
        """Return how it ended."""
        return self._native.answer(answer)

    # -- what is announced -------------------------------------------------------------------

    def _components(self) -> Iterator[tuple[str, Json]]:
        for point in self._site.points:
            if (topic := self._topic(Channel.STATE, point.id)) is not None:
                yield self._component("point", point.id, self._point(point, topic))
        for rule in self._site.rules:
            if (topic := self._topic(Channel.ALARM, rule.id)) is not None:
                yield self._component("alarm", rule.id, self._alarm(rule, topic))
        for output in self._site.outputs:
            if (topic := self._extra(output.id)) is not None:
                yield self._component("output", output.id, self._output(output, topic))
        yield self._component("event", "alarms", self._news())
        for name, (english, chinese, args) in _BUTTONS.items():
            if name in self._allow:
                button = self._button(name, args, Label(en=english, zh=chinese))
                yield self._component("button", name, button)
        if "drill" in self._allow:
            scope: Json = [*sorted({each.zone for each in self._site.points} - {""})]
            start: dict[str, Json] = {"on": True, "duration_s": DRILL_S, "scope": scope}
            label = Label(en=f"Drill, {DRILL_S // 60} min", zh=f"测试 {DRILL_S // 60} 分钟")
            yield self._component("button", "drill", self._button("drill", start, label))
            stop = self._button("drill", {"on": False}, Label(en="End drill", zh="结束测试"))
            yield self._component("button", "drill-end", stop)

    def _component(self, what: str, id_: str, body: dict[str, Json]) -> tuple[str, Json]:
        key = identifier(what, id_)
        return key, {**body, "unique_id": f"{self._object}_{key}"}

    def _point(self, spec: PointSpec, topic: str) -> dict[str, Json]:
        body: dict[str, Json] = {
            "name": _name(spec.label, spec.id),
            "state_topic": topic,
            "availability": [
                self._presence(),
                {
                    "topic": topic,
                    "value_template": "{{ 'online' if value_json.quality in "
                    "['good', 'uncertain'] else 'offline' }}",
                },
            ],
            "availability_mode": "all",
        }
        if spec.is_contact:
            on, off = ("OFF", "ON") if spec.kind is PointKind.HEALTH else ("ON", "OFF")
            body |= {
                "p": "binary_sensor",
                # Without a value it is unknown ("None"), never off.
                "value_template": "{{ 'None' if value_json.value is none else "
                f"('{on}' if value_json.value else '{off}') }}}}",
            }
            if spec.kind in _CONTACTS:
                body["device_class"] = _CONTACTS[spec.kind]
        else:
            unit = _UNITS.get(spec.unit, spec.unit)
            body |= {"p": "sensor", "value_template": "{{ value_json.value }}"}
            device_class, units = _NUMBERS.get(spec.kind, ("", ()))
            if unit in units:
                body["device_class"] = device_class
            if unit:
                is_total = spec.kind is PointKind.ENERGY
                body["unit_of_measurement"] = unit
                body["state_class"] = "total_increasing" if is_total else "measurement"
        if spec.kind in (PointKind.ONLINE, PointKind.HEALTH):
            body["entity_category"] = "diagnostic"
        return body

    def _alarm(self, spec: RuleSpec, topic: str) -> dict[str, Json]:
        body: dict[str, Json] = {
            "p": "binary_sensor",
            "name": _name(spec.label, spec.id),
            "state_topic": topic,
            "value_template": "{{ 'OFF' if value_json.state == 'normal' else 'ON' }}",
            "json_attributes_topic": topic,
            "device_class": "safety" if spec.alarm_class in _SEVERE else "problem",
        }
        if spec.id.startswith("fault."):
            body["entity_category"] = "diagnostic"
        return body

    def _output(self, spec: OutputSpec, topic: str) -> dict[str, Json]:
        body: dict[str, Json] = {"name": _name(spec.label, spec.id), "state_topic": topic}
        if spec.kind is not OutputKind.SIREN or "output" not in self._allow:
            return {**body, "p": "binary_sensor", "device_class": "running"}
        args = (
            f'{{"target": "{spec.id}", "on": {{{{ "true" if value == "ON" else "false" }}}}, '
            f'"duration_s": {{{{ duration | default({SIREN_TEST_S}) }}}}}}'
        )
        return {
            **body,
            "p": "siren",
            "support_duration": True,
            "support_volume_set": False,
            "command_topic": self._topics.of(Channel.CMD, "output"),
            "command_template": _command("output", args),
        }

    def _news(self) -> dict[str, Json]:
        return {
            "p": "event",
            "name": _name(Label(en="Alarms", zh="报警"), "alarms"),
            "state_topic": self._alarms,
            "event_types": [each.value for each in AlarmState],
        }

    def _button(self, name: str, args: dict[str, Json], label: Label) -> dict[str, Json]:
        return {
            "p": "button",
            "name": _name(label, name),
            "command_topic": self._topics.of(Channel.CMD, name),
            "command_template": _command(name, json.dumps(args)),
        }

    def _presence(self) -> Json:
        return {
            "topic": self._topics.status,
            "value_template": "{{ 'online' if value_json.online else 'offline' }}",
        }

    @property
    def _alarms(self) -> str:
        return f"{self._topics.root}/{self._site.site}/{self._site.box}/ha/alarms"

    def _extra(self, output: str) -> str | None:
        """Return the topic of an output's state, which the native contract has no channel for."""
        topic = self._topic(Channel.STATE, output)
        return None if topic is None else topic.replace(f"/{Channel.STATE}/", "/ha/")

    def _topic(self, channel: Channel, id_: str) -> str | None:
        try:
            return self._topics.of(channel, id_)
        except TopicFault:
            return None


def identifier(*parts: str) -> str:
    """Return an id of the letters Home Assistant takes: `[a-zA-Z0-9_-]`."""
    return "_".join(_NOT_AN_ID.sub("_", each) for each in parts)


def _command(name: str, args: str) -> str:
    """Return the template of a native command, made and dated by Home Assistant when it is given."""
    now = "(now().timestamp() * 1000) | int"
    return (
        f'{{"schema": "cmd/1", "id": "ha-{name}-{{{{ {now} }}}}", "ts": {{{{ {now} }}}}, '
        f'"expires": {{{{ {now} + {VALID_MS} }}}}, "actor": "homeassistant", "args": {args}}}'
    )


def _name(label: Label, id_: str) -> str:
    words = [each for each in (label.zh, label.en) if each]
    return " / ".join(words) or id_


def _message(topic: str, content: Json, *, retain: bool = False) -> Message:
    payload = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Message(topic=topic, payload=payload.encode("utf-8", "replace"), retain=retain)
