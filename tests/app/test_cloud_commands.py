"""A command from the cloud goes through the whole agent, and leaves the same tracks as one at the box."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt

from agent.core.effects import Event, EventKind
from agent.simulate.broker import run_broker
from tests.app.room import CUT_OFF, HEAT, SIREN, SMOKE, Run, running, site_in
from tests.uplink.commands import payload

HOME = "plantroom/v1/riverside/plantroom-1"


def uplink(port: int, commands: str) -> tuple[str, str]:
    line = f"  - {{id: cloud, host: 127.0.0.1, port: {port}, commands: {commands}}}\n"
    return "faults: {after_s: 1}", f"uplinks:\n{line}faults: {{after_s: 1}}"


async def commands_of(run: Run) -> list[Event]:
    assert run.agent is not None
    events = [each.event for each in await run.agent.events(200)]
    return [each for each in reversed(events) if each.kind is EventKind.COMMAND]


class Asker:
    """Asks one thing after the other and waits for each answer."""

    def __init__(self, client: aiomqtt.Client, run: Run) -> None:
        self._client = client
        self._run = run
        self._asked = 0

    async def __call__(self, name: str, **args: Any) -> dict[str, Any]:
        self._asked += 1
        body = payload(self._run.clock, f"c{self._asked}", args=args)
        await self._client.publish(f"{HOME}/cmd/{name}", body, qos=1)
        async with asyncio.timeout(10):
            message = await anext(aiter(self._client.messages))
        assert isinstance(message.payload, bytes)
        answer: dict[str, Any] = json.loads(message.payload)
        return answer


async def test_the_cloud_acknowledges_and_silences_and_never_gives_power_back(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    async with run_broker() as broker:
        site = site_in(tmp_path, uplink(broker.port, "{allow: [ack, silence, reset, snapshot]}"))
        run = Run(site)
        async with running(run), aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.subscribe(f"{HOME}/res/+", qos=1)
            assert run.agent is not None
            while not (await run.agent.view()).uplinks[0].hears_commands:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            ask = Asker(client, run)
            await run.until(lambda: run.pins.level(CUT_OFF))
            run.pins.drive(SMOKE, False)
            run.pins.drive(HEAT, False)
            await run.until(lambda: run.pins.level(SIREN) and not run.pins.level(CUT_OFF))
            assert (await ask("ack", target="heat"))["ok"]
            assert (await ask("ack", target="smoke"))["ok"]
            assert (await ask("silence", target="smoke"))["ok"]
            await run.until(lambda: not run.pins.level(SIREN))
            run.pins.drive(SMOKE, True)
            run.pins.drive(HEAT, True)
            await run.until_alarm("heat", "latched_acked")
            assert (await ask("reset", target="heat"))["ok"], "the cut-off is restored by hand"
            assert (await ask("output", target="cut-off", on=False))["code"] == "not_allowed"
            assert (await ask("restore", target="cut-off"))["code"] == "not_on_spot"
            assert (await ask("snapshot"))["ok"]
            assert not run.pins.level(CUT_OFF), "stays cut"
            told = await commands_of(run)
            assert [(each.to_state, each.code) for each in told] == [
                ("ack", "done"),
                ("ack", "done"),
                ("silence", "done"),
                ("reset", "done"),
                ("output", "not_allowed"),
                ("restore", "not_on_spot"),
                ("snapshot", "done"),
            ]
            assert {each.actor for each in told if each.code == "done"} == {"duty officer"}
            identity = f"cloud@127.0.0.1:{broker.port}"
            assert {each.detail["identity"] for each in told} == {identity}
