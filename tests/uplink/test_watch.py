"""No message of any test goes unjudged, and a wrong one makes its test fail."""

from __future__ import annotations

import ast
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.simulate.subscriber import Heard
from agent.uplink.message import Message
from agent.uplink.sinks.native import NativeSink
from agent.uplink.spec import SinkName, UplinkSpec
from agent.uplink.topics import Topics
from drivers.clock import ManualClock
from drivers.reading import Reading
from tests.uplink.broker import Broker
from tests.uplink.commands import Room, payload
from tests.uplink.rig import running, until
from tests.uplink.samples import BOOT, SITE, alarm, batch, event, reading, stamp
from tests.uplink.watch import BARE, Watch

REPO = Path(__file__).parents[2]
SPEC = UplinkSpec(id="cloud", host="h")
SINK = NativeSink(
    Topics("plantroom/v1", SITE.site, SITE.box),
    site=SITE,
    boot=BOOT,
    version="0.1.0",
    config_hash="c0ffee",
)
GOOD = (
    SINK.will(stamp()),
    *SINK.meta(stamp()),
    *SINK.state(reading(1.0)),
    *SINK.alarm(alarm()),
    *SINK.event(event(1), is_replay=False),
    *SINK.batch(batch(1), is_replay=False),
)


def changed(message: Message, **fields: Any) -> Message:
    content = {**json.loads(message.payload), **fields}
    return replace(message, payload=json.dumps(content, separators=(",", ":")).encode())


def deep(message: Message) -> Message:
    content = json.loads(message.payload)
    content["readings"][0]["surprise"] = 1
    return replace(message, payload=json.dumps(content, separators=(",", ":")).encode())


STATE, EVENT, BATCH = SINK.state(reading(1.0))[0], GOOD[4], GOOD[5]
WRONG = {
    "a field that is not documented": changed(STATE, surprise=1),
    "one further down": deep(BATCH),
    "an ill-typed field": changed(STATE, ts="now"),
    "an unknown word": changed(STATE, quality="fine"),
    "a value that is not good": changed(STATE, quality="bad"),
    "another schema than the channel's": replace(STATE, topic=EVENT.topic, retain=False),
    "another than the property says": replace(STATE, schema="event/1"),
    "a state that is not retained": replace(STATE, retain=False),
    "an event that is retained": replace(EVENT, retain=True),
    "an event that expires": replace(EVENT, expiry_s=60),
    "no JSON": replace(EVENT, payload=b"hello"),
    "no object": replace(EVENT, payload=b"[]"),
    "a topic that is none": replace(EVENT, topic="plantroom/v1/box"),
    "an empty message that clears nothing": replace(STATE, payload=b"", retain=False),
    "the clearing of an event": replace(EVENT, payload=b"", retain=True),
}


@pytest.mark.parametrize("message", GOOD, ids=lambda each: each.schema)
def test_a_good_message_is_counted(message: Message) -> None:
    watch = Watch()
    watch.sent(SPEC, message)
    watch.verdict()
    assert watch.seen == {message.schema: 1}


@pytest.mark.parametrize("why", list(WRONG))
def test_a_wrong_message_is_a_fault(why: str) -> None:
    watch = Watch()
    watch.sent(SPEC, WRONG[why])
    with pytest.raises(AssertionError, match=WRONG[why].topic):
        watch.verdict()
    assert not watch.seen


def test_a_command_that_breaks_its_schema_is_a_fault() -> None:
    watch = Watch()
    watch.read("ack", payload(ManualClock()))
    assert watch.seen == {"cmd/1": 1}
    watch.read("ack", payload(ManualClock(), surprise=1))
    with pytest.raises(AssertionError, match="cmd/ack"):
        watch.verdict()


def test_what_is_heard_from_another_process_is_judged_too() -> None:
    watch = Watch()
    watch.heard(Heard("other/topic", b"?", False, False))
    watch.heard(Heard(STATE.topic, STATE.payload, False, False))
    assert watch.seen == {"state/1": 1}
    watch.heard(Heard(STATE.topic, b"{}", False, False))
    with pytest.raises(AssertionError, match="state"):
        watch.verdict()


async def test_all_that_an_uplink_says_is_judged_and_every_command_it_takes(
    broker: Broker, tmp_path: Path, contract_watch: Watch
) -> None:
    before = sum(contract_watch.seen.values())
    room = Room(tmp_path)
    async with running(broker.port, desk=room.desk) as rig:
        rig.board.put_state(reading(400.0))
        rig.board.put_alarm(alarm())
        rig.cursor.put(*(event(number) for number in range(1, 31)))
        await until(lambda: rig.uplink.stats().publishes == 2 + 2 + 30)
        await room.ask("ack")
    judged = sum(contract_watch.seen.values()) - before
    assert judged == 1 + 34 + 1, "the will, all messages, the command"


class Careless(NativeSink):
    """Says what the contract does not know."""

    def state(self, reading: Reading) -> list[Message]:
        return [changed(each, surprise=1) for each in super().state(reading)]


async def test_a_wrong_message_of_a_running_uplink_is_seen(
    broker: Broker, contract_watch: Watch
) -> None:
    sink = Careless(
        Topics("plantroom/v1", SITE.site, SITE.box),
        site=SITE,
        boot=BOOT,
        version="0.1.0",
        config_hash="c0ffee",
    )
    async with running(broker.port, sink=sink) as rig:
        rig.board.put_state(reading(400.0))
        await until(lambda: rig.uplink.stats().publishes == 3)
    assert "surprise" in contract_watch.faults.pop()
    assert not contract_watch.faults


async def test_a_fault_makes_its_test_fail(tmp_path: Path) -> None:
    """Run pytest with our conftest on two tests, one of which lets a wrong message out."""
    file = tmp_path / "test_two.py"
    file.write_text(
        "from agent.simulate.subscriber import Heard\n"
        "def test_wrong(contract_watch):\n"
        "    contract_watch.heard(Heard('plantroom/v1/a/b/state/c', b'{}', False, False))\n"
        "def test_right():\n"
        "    pass\n",
        "utf-8",
    )
    options = ("-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml")
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, str(file)),
        cwd=REPO,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(50):
        said, _ = await run.communicate()
    assert run.returncode == 1, said.decode()
    assert b"2 passed, 1 error" in said, said.decode()
    assert b"plantroom/v1/a/b/state/c" in said


def test_messages_leave_the_agent_in_one_place_only() -> None:
    places = [
        path.relative_to(REPO).as_posix()
        for path in sorted((REPO / "agent").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "publish"
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "_client"
    ]
    assert places == ["agent/uplink/client.py"], "and there stands Client.send, which is watched"


@pytest.mark.parametrize("module", sorted(BARE))
def test_where_nothing_is_judged_no_uplink_runs(module: str) -> None:
    names = {
        alias.name
        for node in ast.walk(ast.parse((REPO / module).read_text("utf-8")))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
    }
    assert not names & {"Uplink", "running", "run_agent", "agents", "Run", "Sender"}


def test_other_platforms_formats_are_left_to_their_golden_files() -> None:
    watch = Watch()
    home = replace(SPEC, sink=SinkName.HOME_ASSISTANT)
    watch.sent(home, Message(topic="homeassistant/x", payload=b"ON"))
    watch.verdict()
    assert watch.seen == {"homeassistant": 1}
