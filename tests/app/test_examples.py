"""docs/mqtt-examples.md comes from a run of the whole agent, and a new run still speaks like it.

Made anew by `python -m tests.app.test_examples`. Every message of the run is held against its schema.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.simulate.broker import run_broker
from tests.app.room import HEAT, SIREN, SMOKE, Run, running, site_in
from tests.app.test_cloud_commands import HOME, uplink
from tests.uplink.commands import payload
from tests.uplink.contract import DOCS, hold

PAGE = DOCS / "mqtt-examples.md"
ALLOWED = "{allow: [ack, silence, reset, inhibit, uninhibit, drill, snapshot]}"
Said = tuple[str, dict[str, Any]]

HEAD = """# What a box says: messages of a real run

Taken from a run of the whole agent against mosquitto, on mock pins, by `python -m tests.app.test_examples`;
a test holds this page against a new run and against [schemas/](schemas). One message of each kind;
`meta/box` is cut to its first point, rule and output. What the fields mean: [uplinks.md](uplinks.md).
"""

SHOWN: tuple[tuple[str, str, Callable[[dict[str, Any]], bool]], ...] = (
    ("birth", "status/box", lambda it: it["reason"] == "connected"),
    ("the description", "meta/box", lambda _: True),
    ("a contact that was opened", "state/hall.smoke", lambda it: it["value"] is True),
    ("a standing alarm", "alarm/smoke", lambda it: it["state"] == "active_unacked"),
    ("readings", "tele/batch", lambda _: True),
    ("the opening of a stream", "event/plantroom-1", lambda it: it["kind"] == "stream"),
    ("an alarm", "event/smoke", lambda it: it["kind"] == "alarm"),
    ("an output", "event/siren", lambda it: it["kind"] == "output"),
    ("a command", "cmd/ack", lambda _: True),
    ("its answer", "res/ack", lambda it: it["ok"]),
    ("its event", "event/smoke", lambda it: it["kind"] == "command"),
    ("a command that is refused", "res/restore", lambda it: not it["ok"]),
)


class Listener:
    """Hears everything below the root with a plain client, and asks."""

    def __init__(self, client: aiomqtt.Client, run: Run) -> None:
        self._client = client
        self._run = run
        self.said: list[Said] = []

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            topic = str(message.topic).removeprefix(f"{HOME}/")
            self.said.append((topic, json.loads(message.payload)))

    def has(self, topic: str, is_it: Callable[[dict[str, Any]], bool]) -> bool:
        return any(each == topic and is_it(content) for each, content in self.said)

    async def hears(self, topic: str, is_it: Callable[[dict[str, Any]], bool]) -> None:
        try:
            await self._run.until(lambda: self.has(topic, is_it), 15)
        except TimeoutError:
            heard = sorted({each for each, _ in self.said})
            raise AssertionError(f"nothing such on {topic}; heard {heard}") from None

    async def ask(self, name: str, id_: str, **args: Any) -> dict[str, Any]:
        body = payload(self._run.clock, id_, args=args)
        await self._client.publish(f"{HOME}/cmd/{name}", body, qos=1)
        await self.hears(f"res/{name}", lambda it: it["id"] == id_)
        return next(it for topic, it in self.said if topic == f"res/{name}" and it["id"] == id_)


async def play(folder: Path) -> list[Said]:
    """Run the agent through an afternoon and return everything that was said."""
    async with run_broker() as broker:
        run = Run(site_in(folder, uplink(broker.port, ALLOWED)))
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe("plantroom/v1/#", qos=1)
            made = Listener(client, run)
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(made.listen())
                async with running(run):
                    await _afternoon(run, made)
                await made.hears("status/box", lambda it: it["reason"] == "stopped")
                listening.cancel()
    return made.said


async def _afternoon(run: Run, made: Listener) -> None:
    assert run.agent is not None
    while not (await run.agent.view()).uplinks[0].hears_commands:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    run.pins.drive(SMOKE, False)
    await run.until(lambda: run.pins.level(SIREN))
    await made.hears("alarm/smoke", lambda it: it["state"] == "active_unacked")
    assert (await made.ask("ack", "2f1c-1", target="smoke"))["ok"]
    assert (await made.ask("silence", "2f1c-2", target="smoke"))["ok"]
    run.pins.drive(SMOKE, True)
    await made.hears("alarm/smoke", lambda it: it["state"] == "latched_acked")
    assert (await made.ask("reset", "2f1c-3", target="smoke", code="test"))["ok"]
    inhibited = await made.ask("inhibit", "2f1c-4", target="heat", duration_s=60, reason="painting")
    assert inhibited["ok"], inhibited
    run.pins.drive(HEAT, False)
    assert (await made.ask("uninhibit", "2f1c-5", target="heat"))["ok"]
    run.pins.drive(HEAT, True)
    drill = {"on": True, "duration_s": 60, "scope": ["hall.smoke"], "reason": "monthly test"}
    assert (await made.ask("drill", "2f1c-6", **drill))["ok"]
    run.pins.drive(SMOKE, False)
    await made.hears("event/smoke", lambda it: it["class"] == "test")
    run.pins.drive(SMOKE, True)
    assert (await made.ask("drill", "2f1c-7", on=False))["ok"]
    assert (await made.ask("restore", "2f1c-8", target="cut-off"))["code"] == "not_on_spot"
    assert (await made.ask("snapshot", "2f1c-9"))["ok"]
    for _, topic, is_it in SHOWN:
        await made.hears(topic, is_it)


def page_of(said: list[Said]) -> str:
    parts = [HEAD]
    for what, topic, is_it in SHOWN:
        content = next(it for each, it in said if each == topic and is_it(it))
        if topic == "meta/box":
            shorts = {name: content[name][:1] for name in ("points", "rules", "outputs")}
            content = {**content, **shorts}
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        parts.append(
            f"## {what[0].upper()}{what[1:]}\n\n`{HOME}/{topic}`\n\n```json\n{text}\n```\n"
        )
    return "\n".join(parts)


def examples_of(page: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for part in page.split("\n## ")[1:]:
        topic = part.split("`")[1].removeprefix(f"{HOME}/")
        found.append((topic, json.loads(part.split("```json\n")[1].split("\n```")[0])))
    return found


def shape_of(content: Any) -> Any:
    """Which fields, to the last level."""
    if isinstance(content, dict):
        return {name: shape_of(each) for name, each in sorted(content.items())}
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return [shape_of(content[0])]
    return None


async def test_every_message_of_a_run_keeps_its_schema_and_the_page_is_like_it(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    said = await play(tmp_path)
    for topic, content in said:
        assert hold(content).split("/")[0] == topic.split("/")[0]
    shown = examples_of(PAGE.read_text("utf-8"))
    now = examples_of(page_of(said))
    assert [topic for topic, _ in shown] == [topic for topic, _ in now]
    for (topic, old), (_, new) in zip(shown, now, strict=True):
        assert shape_of(old) == shape_of(new), f"{topic}: make the page anew"


@pytest.mark.parametrize("number", range(len(SHOWN)), ids=[what for what, _, _ in SHOWN])
def test_each_example_keeps_its_schema(number: int) -> None:
    _, content = examples_of(PAGE.read_text("utf-8"))[number]
    hold(content)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_in:
        PAGE.write_text(page_of(asyncio.run(play(Path(made_in)))), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
