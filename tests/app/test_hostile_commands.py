"""A flood of hostile commands against the whole agent: nothing moves, nothing changes, good ones pass.

A fire stands and its siren sounds; nobody may end either from afar. The good ones suspend the watching
of another rule and take it up again: each leaves exactly one event of its own, so that twice would show.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiomqtt

from agent.config.load import LoadedSite
from agent.core.effects import Event, EventKind
from agent.local.view import AgentView
from agent.simulate.broker import run_broker
from agent.uplink.spec import CommandsSpec
from tests.app.room import CUT_OFF, SIREN, SMOKE, Run, running, site_in
from tests.app.test_cloud_commands import HOME, uplink
from tests.uplink.commands import payload

HOSTILE, GOOD = 1_000, 50
ALLOWED = ("ack", "silence", "reset", "inhibit", "uninhibit", "drill", "snapshot")
"""All that a site can allow but `output`, which it does not by default."""

KINDS = 24
REFUSED_BY_RULES = frozenset(
    {
        ("reset", "condition_holds"),
        ("inhibit", "no_end"),
        ("inhibit", "unknown_rule"),
        ("drill", "too_long"),
        ("ack", "unknown_rule"),
    }
)
"""Well-formed and refused by the alarms themselves: each is an event. What bounds them on a site is the
rate of good commands, lifted here; everything else is bounded by the desk."""


def unhurried(site: LoadedSite) -> LoadedSite:
    """The site without a limit of good commands a minute: this is not about the rate."""
    commands = CommandsSpec(allow=ALLOWED, per_minute=10**6)
    return replace(site, uplinks=tuple(replace(each, commands=commands) for each in site.uplinks))


def hostile(run: Run, number: int) -> tuple[str, bytes]:
    """One of many kinds: malformed, oversized, expired, from the future, not allowed, impossible."""
    clock, id_ = run.clock, f"bad-{number}"
    now = clock.stamp().wall_ms
    on = {"target": "cut-off", "on": True}
    kinds: tuple[tuple[str, bytes], ...] = (
        ("output", payload(clock, id_, args={"target": "siren", "on": False})),
        ("output", payload(clock, id_, args=on)),
        ("output", payload(clock, id_, args={**on, "duration_s": 10**9})),
        ("restore", payload(clock, id_, args={"target": "cut-off"})),
        ("mode", payload(clock, id_, args={"mode": "manual"})),
        ("silence", payload(clock, id_, ts_ms=now - 10**7, args={"target": "smoke"})),
        ("reset", payload(clock, id_, ts_ms=now + 10**9, args={"target": "smoke"})),
        ("reset", payload(clock, id_, args={"target": "smoke", "code": "test"})),
        ("inhibit", payload(clock, id_, args={"target": "smoke", "reason": "for ever"})),
        (
            "inhibit",
            payload(clock, id_, args={"target": "nobody", "duration_s": 60, "reason": "x"}),
        ),
        ("drill", payload(clock, id_, args={"on": True, "duration_s": 10**8, "scope": ["hall"]})),
        ("drill", payload(clock, id_, args={"on": "yes"})),
        ("silence", payload(clock, id_, valid_s=10**7, args={"target": "smoke"})),
        ("silence", payload(clock, id_, args={"target": "smoke", "force": True})),
        ("silence", payload(clock, "x" * 70, args={"target": "smoke"})),
        ("silence", payload(clock, id_, actor="", args={"target": "smoke"})),
        ("ack", payload(clock, id_, args={"target": "../../smoke"})),
        ("ack", payload(clock, id_, args={"target": "smoke", "reason": "x" * 20_000})),
        ("ack", b"[" * 5000),
        ("ack", b"\xff\xfe\x00"),
        ("silence", b'{"schema":"cmd/1","id":"a","id":"b"}'),
        ("silence", payload(clock, id_, args={"target": "smoke"})[:-3]),
        ("no-such", payload(clock, id_)),
        ("../ack", payload(clock, id_)),
    )
    assert len(kinds) == KINDS
    return kinds[number % KINDS]


def good(run: Run, number: int) -> tuple[str, bytes]:
    name = "uninhibit" if number % 2 else "inhibit"
    args: dict[str, Any] = {"target": "heat"}
    if name == "inhibit":
        args |= {"duration_s": 600, "reason": "painting"}
    return name, payload(run.clock, f"good-{number}", args=args)


def essence(view: AgentView) -> object:
    """What a command could have changed."""
    return (
        [replace(each, since=view.started) for each in view.alarms],
        [(each.spec.id, each.is_demanded, each.is_active, each.fault) for each in view.outputs],
        view.orders,
        view.config_ok,
    )


async def settled(run: Run) -> object:
    """Return the essence once it has not changed for two seconds: a bus that nobody serves is a fault."""
    loop = asyncio.get_running_loop()
    known, since_s = essence(await run.view()), loop.time()
    while loop.time() - since_s < 2.0:
        await asyncio.sleep(0.05)
        if (now := essence(await run.view())) != known:
            known, since_s = now, loop.time()
    return known


async def events_of(run: Run, kind: EventKind) -> list[Event]:
    assert run.agent is not None
    events = [each.event for each in await run.agent.events(5_000)]
    return [each for each in reversed(events) if each.kind is kind]


async def test_hostile_commands_move_no_pin_and_good_ones_are_carried_out_once(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    answers: Counter[str] = Counter()
    async with run_broker() as broker:
        run = Run(unhurried(site_in(tmp_path, uplink(broker.port, "{allow: [ack]}"))))
        async with (
            running(run, limit_s=90),
            aiomqtt.Client("127.0.0.1", broker.port, timeout=30) as client,
            asyncio.TaskGroup() as tasks,
        ):
            await client.subscribe(f"{HOME}/res/+", qos=1)

            async def hear() -> None:
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    answer = json.loads(message.payload)
                    if answer["code"] == "done":
                        answers[answer["id"]] += 1

            hearing = tasks.create_task(hear(), name="hear answers")
            assert run.agent is not None
            while not (await run.view()).uplinks[0].hears_commands:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            run.pins.drive(SMOKE, False)
            await run.until(lambda: run.pins.level(SIREN))
            await run.until_alarm("smoke", "active_unacked")
            before = await settled(run)
            moves = {pin: run.pins.history(pin) for pin in (SIREN, CUT_OFF)}

            for number in range(HOSTILE):
                name, body = hostile(run, number)
                await client.publish(f"{HOME}/cmd/{name}", body, qos=1)
                if number % (HOSTILE // GOOD) == 0:
                    name, body = good(run, number // (HOSTILE // GOOD))
                    for _ in range(2):  # the second is a replay
                        await client.publish(f"{HOME}/cmd/{name}", body, qos=1)

            await run.until(lambda: len(answers) == GOOD, 60)
            await asyncio.sleep(1.0)  # what is still on its way would act by now
            assert {pin: run.pins.history(pin) for pin in moves} == moves, "an output moved"
            assert run.pins.level(SIREN), "the fire still sounds"
            assert essence(await run.view()) == before
            assert (await run.view()).uplinks[0].connects == 1

            done = [each for each in await events_of(run, EventKind.COMMAND) if each.code == "done"]
            assert sorted(str(each.detail["id"]) for each in done) == sorted(
                f"good-{number}" for number in range(GOOD)
            )
            assert answers == Counter({f"good-{number}": 1 for number in range(GOOD)})
            carried_out = Counter(each.to_state for each in await events_of(run, EventKind.INHIBIT))
            assert carried_out == {"inhibited": GOOD // 2, "uninhibited": GOOD // 2}
            refused = Counter(
                (each.to_state, each.code)
                for each in await events_of(run, EventKind.COMMAND)
                if each.code != "done"
            )
            by_desk = sum(
                count for asked, count in refused.items() if asked not in REFUSED_BY_RULES
            )
            assert 0 < by_desk < 60, refused
            assert all(refused[each] <= HOSTILE // KINDS + 1 for each in REFUSED_BY_RULES), refused
            hearing.cancel()
