"""What Home Assistant and ThingsBoard are told, held against golden files; and both at a real broker.

Neither platform itself was run: the golden files are what their documentation describes. Made anew by
`python -m tests.uplink.test_sinks`; look at the difference before you commit it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.core.effects import EventKind, Outcome
from agent.core.spec import Label, PointKind, PointSpec
from agent.uplink.codec import StatusReason
from agent.uplink.desk import Answer, Asked
from agent.uplink.message import Arrival, Message
from agent.uplink.request import read_request
from agent.uplink.sinks import Sink
from agent.uplink.sinks.choosing import make_sink
from agent.uplink.sinks.homeassistant import HomeAssistantSink, identifier
from agent.uplink.spec import CommandsSpec, Protocol, SinkName, UplinkSpec
from drivers.reading import Quality
from tests.uplink.broker import Broker
from tests.uplink.commands import CUTTING, EVERYTHING, Room, payload
from tests.uplink.rig import running, until
from tests.uplink.samples import BOOT, T0, alarm, batch, event, reading, stamp
from tests.uplink.test_commands import cloud

GOLDEN = Path(__file__).parent / "golden"
SITE = replace(
    CUTTING,
    points=(
        *CUTTING.points,
        PointSpec(id="shed.air", kind=PointKind.HUMIDITY, unit="%RH", device="air", zone="shed"),
        PointSpec(id="meter.energy", kind=PointKind.ENERGY, unit="kWh", device="meter"),
        PointSpec(id="box.outbox", kind=PointKind.HEALTH, is_contact=True),
        PointSpec(id="lift.floor", kind=PointKind.LIFT, label=Label(en="Floor", zh="楼层")),
    ),
)


def sink_of(name: SinkName, allow: Sequence[str] = EVERYTHING) -> Sink:
    commands = CommandsSpec(allow=tuple(allow))
    spec = UplinkSpec(id="x", host="h", sink=name, root="plantroom/x", commands=commands)
    return make_sink(spec, site=SITE, boot=BOOT, config_hash="c0ffee")


def everything(sink: Sink) -> dict[str, list[Message]]:
    """What a sink says on each occasion."""
    will = sink.will(stamp())
    output = event(2, subject="siren", kind=EventKind.OUTPUT)
    output = replace(output, event=replace(output.event, to_state="active"))
    dark = batch(4, values=(1.0,))
    dark = replace(
        dark, readings=(reading(None, quality=Quality.BAD), reading(7.5, point="shed.air"))
    )
    asked = Asked(name="ack", payload=b"", ticket="7")
    outcome = Outcome(ok=True, code="done", message="shed-fire acknowledged")
    return {
        "will": [] if will is None else [will],
        "birth": list(sink.status(stamp(), StatusReason.CONNECTED)),
        "description": list(sink.meta(stamp())),
        "heartbeat": list(sink.status(stamp(), StatusReason.HEARTBEAT)),
        "state": list(sink.state(reading(412.5))),
        "state without a value": list(sink.state(reading(None, quality=Quality.STALE))),
        "alarm": list(sink.alarm(alarm())),
        "event": list(sink.event(event(1), is_replay=False)),
        "event of the past": list(sink.event(event(1), is_replay=True)),
        "output": list(sink.event(output, is_replay=True)),
        "telemetry": list(sink.batch(batch(3), is_replay=True)),
        "telemetry with a bad reading": list(sink.batch(dark, is_replay=False)),
        "answer": list(sink.answer(Answer(asked=asked, id="c1", outcome=outcome, at=stamp()))),
        "farewell": list(sink.status(stamp(), StatusReason.STOPPED)),
    }


def _content(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode()


def written(name: SinkName) -> dict[str, Any]:
    return {
        occasion: [
            {"topic": each.topic, "retain": each.retain, "payload": _content(each.payload)}
            for each in messages
        ]
        for occasion, messages in everything(sink_of(name)).items()
    }


PLATFORMS = [SinkName.HOME_ASSISTANT, SinkName.THINGSBOARD]


@pytest.mark.parametrize("name", PLATFORMS)
def test_what_is_said_is_what_the_golden_file_says(name: SinkName) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert written(name) == golden


@pytest.mark.parametrize("name", list(SinkName))
def test_what_stays_at_the_broker_is_named_for_tidying(name: SinkName) -> None:
    sink = sink_of(name)
    left = {
        each.topic for messages in everything(sink).values() for each in messages if each.retain
    }
    assert left <= sink.retained()


# -- Home Assistant --------------------------------------------------------------------------------


def announced(allow: Sequence[str] = EVERYTHING) -> dict[str, Any]:
    (message,) = sink_of(SinkName.HOME_ASSISTANT, allow).meta(stamp())
    found: dict[str, Any] = json.loads(message.payload)
    return found


def test_the_announcement_holds_what_home_assistant_requires() -> None:
    content = announced()
    assert content["o"]["name"]
    assert content["dev"]["ids"]
    ids = [each["unique_id"] for each in content["cmps"].values()]
    assert len(set(ids)) == len(ids)
    for key, body in content["cmps"].items():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", key)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", body["unique_id"])
        assert body["p"] in ("sensor", "binary_sensor", "button", "siren", "event")
        if body["p"] == "button":
            assert body["command_topic"].startswith("plantroom/x/riverside/b1/cmd/")
        else:
            assert "state_topic" in body
        assert body.get("unit_of_measurement") != "MPa"


def test_what_the_site_does_not_allow_has_no_button() -> None:
    platforms = {key: each["p"] for key, each in announced(["ack", "silence"])["cmps"].items()}
    assert [key for key, each in platforms.items() if each == "button"] == [
        "button_ack", "button_silence",
    ]  # fmt: skip
    assert platforms["output_siren"] == "binary_sensor"
    assert announced()["cmps"]["output_siren"]["p"] == "siren"


def rendered(template: str, now_ms: int, **values: str) -> bytes:
    """A command template as Home Assistant fills it in; only what these templates use."""
    text = template.replace("{{ (now().timestamp() * 1000) | int }}", str(now_ms))
    text = text.replace("{{ (now().timestamp() * 1000) | int + 60000 }}", str(now_ms + 60_000))
    text = text.replace("{{ duration | default(10) }}", values.get("duration", "10"))
    is_on = "true" if values.get("value") == "ON" else "false"
    text = text.replace('{{ "true" if value == "ON" else "false" }}', is_on)
    assert "{{" not in text
    return text.encode()


def test_every_button_and_the_siren_give_a_sound_command() -> None:
    templates = {
        key: body for key, body in announced()["cmps"].items() if "command_template" in body
    }
    assert len(templates) == 7
    for body in templates.values():
        name = body["command_topic"].rpartition("/")[2]
        request = read_request(name, rendered(body["command_template"], T0, value="ON"))
        assert request.expires_ms - request.ts_ms == 60_000
        assert request.actor == "homeassistant"
        assert read_request(name, rendered(body["command_template"], T0 + 1)).id != request.id
    siren = templates["output_siren"]["command_template"]
    on = read_request("output", rendered(siren, T0, value="ON", duration="5"))
    off = read_request("output", rendered(siren, T0, value="OFF"))
    assert (on.target, on.is_on, on.duration_s) == ("siren", True, 5.0)
    assert off.is_on is False


def test_ids_keep_to_the_letters_home_assistant_takes() -> None:
    assert identifier("point", "b1.hydrant.pressure") == "point_b1_hydrant_pressure"


async def test_native_and_home_assistant_speak_at_once_each_under_its_root(
    broker: Broker, tmp_path: Path
) -> None:
    room = Room(tmp_path)
    spec = UplinkSpec(
        id="home",
        host="127.0.0.1",
        port=broker.port,
        sink=SinkName.HOME_ASSISTANT,
        root="plantroom/ha",
        client_id="b1-home",
        commands=CommandsSpec(allow=EVERYTHING),
    )
    home = make_sink(spec, site=SITE, boot=BOOT, config_hash="c0ffee")
    assert isinstance(home, HomeAssistantSink)
    async with (
        running(broker.port, clock=room.clock, spec=spec, sink=home, desk=room.desk) as house,
        running(broker.port) as native,
    ):
        await until(lambda: house.is_listening and native.is_up)
        for rig in (house, native):
            rig.board.put_state(reading(400.0))
            rig.cursor.put(batch(1), event(1))
        await until(lambda: house.cursor.unsent() == 0 and native.cursor.unsent() == 0)
        async with cloud(broker.port) as asker:
            (message,) = home.meta(stamp())
            button = json.loads(message.payload)["cmps"]["button_ack"]
            now_ms = room.clock.stamp().wall_ms
            pressed = rendered(button["command_template"], now_ms)
            await asker.send(button["command_topic"], pressed)
            await until(lambda: len(room.done) == 1)
        assert (room.done[0].name, room.done[0].actor) == ("ack", "homeassistant")


# -- ThingsBoard -----------------------------------------------------------------------------------


def rpc(params: Any, *, device: str = "riverside.b1", method: str = "ack") -> Arrival:
    body = {"device": device, "data": {"id": 7, "method": method, "params": params}}
    return Arrival(topic="v1/gateway/rpc", payload=json.dumps(body).encode(), is_retained=False)


def test_an_rpc_is_a_command_and_its_answer_names_the_call(tmp_path: Path) -> None:
    sink = sink_of(SinkName.THINGSBOARD)
    room = Room(tmp_path)
    params = json.loads(payload(room.clock))
    del params["schema"]
    asked = sink.asked(rpc(params))
    assert asked is not None
    assert read_request(asked.name, asked.payload).id == "c1"
    outcome = Outcome(ok=True, code="done", message="")
    (answer,) = sink.answer(Answer(asked=asked, id="c1", outcome=outcome, at=stamp()))
    content = json.loads(answer.payload)
    assert (answer.topic, content["device"], content["id"]) == (
        "v1/gateway/rpc", "riverside.b1", 7,
    )  # fmt: skip
    assert content["data"]["ok"] is True


@pytest.mark.parametrize(
    "arrival",
    [
        rpc({}, device="riverside.b2"),
        rpc({}, method=7),  # type: ignore[arg-type]
        Arrival(topic="v1/gateway/rpc", payload=b"{", is_retained=False),
        Arrival(topic="v1/gateway/rpc", payload=b"[]", is_retained=False),
        Arrival(topic="v1/gateway/rpc", payload=b'{"device":"riverside.b1"}', is_retained=False),
        Arrival(
            topic="v1/gateway/rpc",
            payload=b'{"device":"riverside.b1","id":7,"data":{"ok":true}}',
            is_retained=False,
        ),
    ],
)
def test_what_is_no_call_to_this_box_is_passed_over(arrival: Arrival) -> None:
    assert sink_of(SinkName.THINGSBOARD).asked(arrival) is None


async def test_an_rpc_without_freshness_is_refused_and_one_with_it_is_carried_out(
    broker: Broker, tmp_path: Path
) -> None:
    room = Room(tmp_path)
    spec = UplinkSpec(
        id="tb",
        host="127.0.0.1",
        port=broker.port,
        sink=SinkName.THINGSBOARD,
        protocol=Protocol.V311,
        username="token",
    )
    sink = make_sink(spec, site=SITE, boot=BOOT, config_hash="c0ffee")
    async with running(broker.port, clock=room.clock, spec=spec, sink=sink, desk=room.desk) as rig:
        await until(lambda: rig.is_listening)
        rig.cursor.put(batch(1), event(1))
        await until(lambda: rig.cursor.unsent() == 0)
        async with cloud(broker.port) as asker:
            await asker.send("v1/gateway/rpc", rpc({"target": "shed-fire"}).payload)
            await until(lambda: len(room.events) == 1)
            assert room.events[0].code == "bad_argument"
            params = json.loads(payload(room.clock))
            del params["schema"]
            await asker.send("v1/gateway/rpc", rpc(params).payload)
            await until(lambda: len(room.done) == 1)


if __name__ == "__main__":
    for each in PLATFORMS:
        text = json.dumps(written(each), indent=1, ensure_ascii=False)
        (GOLDEN / f"{each}.json").write_text(text + "\n", "utf-8")
