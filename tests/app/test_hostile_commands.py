"""A flood of hostile commands against the whole agent: nothing moves, nothing changes, good ones pass.

A fire stands and its siren sounds; nobody may end either from afar. The good ones suspend the watching
of another rule and take it up again: each leaves exactly one event of its own, so that twice would show.
`python -m benchmarks.uplink_brokers` sends ten thousand of the ones and a thousand of the others.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from agent.config.load import LoadedSite
from agent.core.effects import Event, EventKind
from agent.local.view import AgentView
from agent.simulate.broker import run_broker
from agent.uplink.spec import CommandsSpec, Protocol
from tests.app.room import CUT_OFF, SIREN, SMOKE, Run, running, site_in
from tests.app.test_cloud_commands import HOME, uplink
from tests.uplink.commands import payload

ALLOWED = ("ack", "silence", "reset", "inhibit", "uninhibit", "drill", "snapshot")
"""All that a site can allow but `output`, which it does not by default."""

KINDS = 27
AT_ONCE, MOST_BEHIND = 10, 20
OF_5 = 1
"""The last of them is for MQTT 5: on 3.1.1 a retained one that arrives live cannot be told from others."""
REFUSED_BY_RULES = frozenset(
    {
        ("reset", "condition_holds"),
        ("inhibit", "no_end"),
        ("inhibit", "unknown_rule"),
        ("drill", "too_long"),
        ("ack", "unknown_rule"),
    }
)
"""Well-formed and refused by the alarms themselves: each is an event. What bounds them is the rate of
good commands (docs/uplinks.md, per_minute); everything else is bounded by the desk."""

Bad = tuple[str, bytes, bool]
"""Name, payload, whether retained."""


def as_asked(site: LoadedSite, per_minute: int, protocol: Protocol) -> LoadedSite:
    commands = CommandsSpec(allow=ALLOWED, per_minute=per_minute)
    return replace(
        site,
        uplinks=tuple(replace(each, commands=commands, protocol=protocol) for each in site.uplinks),
    )


def hostile(run: Run, number: int, protocol: Protocol) -> Bad:
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
        ("ack", payload(clock, id_, args={"target": "smoke"}, schema="cmd/2")),
        ("silence", b"x" * 100_000),
        ("silence", payload(clock, id_, args={"target": "smoke"})),
    )
    assert len(kinds) == KINDS
    which = number % (KINDS if protocol is Protocol.V5 else KINDS - OF_5)
    return *kinds[which], which == KINDS - 1


def good(run: Run, number: int) -> tuple[str, bytes]:
    name = "uninhibit" if number % 2 else "inhibit"
    args: dict[str, Any] = {"target": "heat"}
    if name == "inhibit":
        args |= {"duration_s": 600, "reason": "painting"}
    return name, payload(run.clock, f"good-{number}", valid_s=290.0, args=args)


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
    events = [each.event for each in await run.agent.events(20_000)]
    return [each for each in reversed(events) if each.kind is kind]


@dataclass
class Siege:
    """What came of it."""

    good: int
    answers: Counter[str] = field(default_factory=Counter)
    """Times that each good one was answered as done."""
    done: Counter[str] = field(default_factory=Counter)
    """Events of commands that were carried out, by id."""
    changes: Counter[str] = field(default_factory=Counter)
    """Events of what they changed."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Events of refusals, by command and code."""
    moved: bool = False
    changed: bool = False
    connects: int = 0
    log_lines: int = 0

    @property
    def by_desk(self) -> int:
        return sum(n for asked, n in self.refused.items() if asked not in REFUSED_BY_RULES)

    def judge(self) -> None:
        """Fail where something moved or changed, or a good one was not done exactly once."""
        assert not self.moved, "an output moved"
        assert not self.changed, "something changed"
        assert self.connects == 1, "the link was lost"
        each_once = Counter({f"good-{number}": 1 for number in range(self.good)})
        assert self.done == each_once
        assert self.answers == each_once
        assert self.changes["inhibited"] == (self.good + 1) // 2
        assert self.changes["uninhibited"] == self.good // 2


@contextmanager
def counted_log() -> Iterator[list[str]]:
    """Everything that would be in the journal."""
    lines: list[str] = []

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Counting(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


async def flood(
    run: Run, client: aiomqtt.Client, siege: Siege, most: int, protocol: Protocol
) -> None:
    """Send everything, in order, some at once; good ones not faster than the disk remembers them."""
    every = most // max(1, siege.good)
    asked = 0

    def is_near() -> bool:
        return len(siege.answers) >= asked - MOST_BEHIND

    for start in range(0, most, AT_ONCE):
        async with asyncio.TaskGroup() as sending:
            for number in range(start, min(start + AT_ONCE, most)):
                wanted = [hostile(run, number, protocol)]
                if siege.good and number % every == 0 and number // every < siege.good:
                    asked += 1
                    wanted += [(*good(run, number // every), False)] * 2  # the second is a replay
                for name, body, is_retained in wanted:
                    topic = f"{HOME}/cmd/{name}"
                    sending.create_task(client.publish(topic, body, qos=1, retain=is_retained))
        await run.until(is_near, 60)


async def besiege(
    folder: Path,
    *,
    most: int,
    good_ones: int,
    per_minute: int = 10**6,
    protocol: Protocol = Protocol.V5,
    limit_s: float = 100.0,
) -> Siege:
    """Send so many hostile commands, with good ones, each of these twice, in between."""
    siege = Siege(good_ones)
    async with run_broker() as broker:
        site = site_in(folder, uplink(broker.port, "{allow: [ack]}"))
        run = Run(as_asked(site, per_minute, protocol))
        async with (
            running(run, limit_s=limit_s),
            aiomqtt.Client(
                "127.0.0.1", broker.port, timeout=30, protocol=aiomqtt.ProtocolVersion.V5
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):
            client.pending_calls_threshold = 2 * AT_ONCE
            await client.subscribe(f"{HOME}/res/+", qos=1)

            async def hear() -> None:
                async for message in client.messages:
                    assert isinstance(message.payload, bytes)
                    answer = json.loads(message.payload)
                    if answer["code"] == "done":
                        siege.answers[answer["id"]] += 1

            hearing = tasks.create_task(hear(), name="hear answers")
            while not (await run.view()).uplinks[0].hears_commands:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            run.pins.drive(SMOKE, False)
            await run.until(lambda: run.pins.level(SIREN))
            await run.until_alarm("smoke", "active_unacked")
            before = await settled(run)
            moves = {pin: run.pins.history(pin) for pin in (SIREN, CUT_OFF)}
            with counted_log() as lines:
                await flood(run, client, siege, most, protocol)
                await run.until(lambda: len(siege.answers) >= good_ones, limit_s)
                await asyncio.sleep(1.0)  # what is still on its way would act by now
                siege.log_lines = len(lines)
            siege.moved = {pin: run.pins.history(pin) for pin in moves} != moves
            siege.changed = essence(await run.view()) != before
            siege.connects = (await run.view()).uplinks[0].connects
            for each in await events_of(run, EventKind.COMMAND):
                if each.code == "done":
                    siege.done[str(each.detail["id"])] += 1
                else:
                    siege.refused[each.to_state, each.code] += 1
            siege.changes.update(each.to_state for each in await events_of(run, EventKind.INHIBIT))
            hearing.cancel()
    return siege


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("protocol", "most", "good_ones"),
    [
        pytest.param(Protocol.V5, 1_000, 50, id="mqtt-5"),
        pytest.param(Protocol.V311, 260, 20, id="mqtt-3.1.1"),
    ],
)
async def test_hostile_commands_move_no_pin_and_good_ones_are_carried_out_once(
    need: Callable[[str], str], tmp_path: Path, protocol: Protocol, most: int, good_ones: int
) -> None:
    need("mosquitto")
    siege = await besiege(tmp_path, most=most, good_ones=good_ones, protocol=protocol)
    siege.judge()
    assert 0 < siege.by_desk < 60, siege.refused
    kinds = KINDS if protocol is Protocol.V5 else KINDS - OF_5
    assert all(siege.refused[each] <= most // kinds + 1 for each in REFUSED_BY_RULES)
    assert siege.log_lines < 50


async def test_at_a_sites_own_rate_a_flood_leaves_a_bounded_number_of_events(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("mosquitto")
    siege = await besiege(tmp_path, most=1_000, good_ones=0, per_minute=60)
    siege.judge()
    # At once and a minute: 20 and 60 refusals, 10 and 60 that the alarms themselves refuse.
    assert sum(siege.refused.values()) < 30 + 120
    assert {code for _, code in siege.refused} >= {"not_on_spot", "bad_argument", "expired"}
    assert siege.log_lines < 50
