"""`plantroom tail` at a real broker: what it prints, what it finds missing, how it ends."""

from __future__ import annotations

import ast
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.cli.tail import line_of
from agent.uplink import consumer
from tests.uplink.broker import Broker, free_port
from tests.uplink.conftest import broker, make_broker
from tests.uplink.rig import running, until
from tests.uplink.samples import alarm, batch, event, reading

__all__ = ["broker", "make_broker"]


class Tail:
    """The command as a process, and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The JSON objects of one kind."""
        return [each for line in self.lines if (each := json.loads(line))["is"] == kind]

    async def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def tailing(port: int, *options: str) -> AsyncIterator[Tail]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "tail", "--broker", f"127.0.0.1:{port}", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    made = Tail(process)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(made.read())
        try:
            await until(lambda: bool(made.lines), 20)
            yield made
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_all_there_is_told_and_the_verdict_is_good(broker: Broker) -> None:
    async with tailing(broker.port, "--json") as tail, running(broker.port) as rig:
        rig.board.put_state(reading(400.0))
        rig.board.put_alarm(alarm())
        rig.cursor.put(*(batch(n) for n in range(1, 31)), *(event(n) for n in range(1, 4)))
        await until(lambda: len(tail.of("message")) == 37, 20)
        assert await tail.end() == 0
    proofs = {each["lane"]: each for each in tail.of("proof")}
    assert (proofs["telemetry"]["heard"], proofs["event"]["heard"]) == (30, 3)
    assert not tail.of("gap")
    assert not tail.of("strange")


async def test_what_is_missing_and_what_came_twice_is_told(broker: Broker) -> None:
    async with tailing(broker.port, "--json") as tail, running(broker.port) as rig:
        rig.cursor.put(*(batch(n) for n in range(1, 61) if n not in (5, 6)))
        await until(lambda: rig.cursor.unsent() == 0)
        rig.cursor.rewind()
        rig.cursor.put(batch(60))  # as the outbox does after a lost acknowledgement
        await until(lambda: bool(tail.of("gap")), 20)
        await until(lambda: any(not each["new"] for each in tail.of("message")), 20)
        assert await tail.end() == 1
    (gap,) = tail.of("gap")
    assert (gap["what"], gap["first"], gap["last"], gap["box"]) == ("missing", 5, 6, "b1")
    (proof,) = tail.of("proof")
    assert (proof["doubles"], proof["missing"]) == (1, [[5, 6]])


async def test_people_read_one_line_a_message(broker: Broker) -> None:
    async with tailing(broker.port, "--for", "600") as tail, running(broker.port) as rig:
        rig.board.put_state(reading(400.0))
        rig.cursor.put(*(batch(n) for n in (1, *range(3, 30))), event(1))
        await until(lambda: any(line.startswith("!!") for line in tail.lines), 20)
        assert await tail.end() == 1
    text = "\n".join(tail.lines)
    assert "riverside/b1 status/box: online (connected)" in text
    assert "event/shed-fire: alarm normal -> active_unacked class=fire #1" in text
    assert "state/hydrant.pressure: 400.0 kPa good" in text
    assert "telemetry stream t1: 2 to 2 missing" in text
    assert "== riverside/b1 telemetry t1: 28 heard, 0 doubles, 1 missing, 0 declared lost" in text


async def test_a_broker_that_is_away_is_waited_for(
    need: Callable[[str], str], make_broker: Callable[..., Broker]
) -> None:
    away = make_broker()
    away.stop()
    async with tailing(away.port, "--json") as tail:
        assert "refused" in tail.of("link")[0]["why"].lower()
        away.start()
        await until(lambda: tail.of("link")[-1]["up"], 20)
        assert await tail.end() == 0


async def test_without_a_link_all_the_time_nothing_is_proven() -> None:
    async with tailing(free_port()) as tail:
        await until(lambda: any("no link" in line for line in tail.lines), 20)
        assert await tail.end() == 4


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--broker", "host:port"), 2, "HOST:PORT"),
        (("--broker", "h", "--protocol", "4"), 2, "5 or 3.1.1"),
        (("--config", "no-such-file.yaml"), 2, "name a broker"),
    ],
)
async def test_bad_options_are_told_in_a_line(
    options: tuple[str, ...], code: int, words: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "tail", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == code
    assert words in said.decode()
    assert "Traceback" not in said.decode()
    assert free_port()


def test_the_consumer_is_one_file_of_the_standard_library() -> None:
    path = Path(consumer.__file__)
    roots = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    assert roots <= sys.stdlib_module_names
    sample = Path(__file__).parents[2] / "config" / "cloud" / "plantroom_consumer.py"
    assert sample.read_text("utf-8") == path.read_text("utf-8")


def test_a_retained_message_taken_away_is_no_strange_one() -> None:
    heard = consumer.Consumer().hear("plantroom/v1/riverside/b1/state/old", b"")
    assert (heard.channel, heard.name, heard.content) == ("state", "old", {})
    assert line_of(heard).endswith("riverside/b1 state/old: taken away")


def test_the_consumer_refuses_what_is_none_of_the_contract() -> None:
    made = consumer.Consumer()
    home = "plantroom/v1/riverside/b1"
    for topic, payload in (
        ("other/topic", b"{}"),
        (f"{home}/event", b"{}"),
        (f"{home}/event/r", b"nonsense"),
        (f"{home}/event/r", b"[]"),
        (f"{home}/event/r", b""),
        (f"{home}/event/r", b'{"schema":"event/1"}'),
        (f"{home}/tele/batch", b'{"schema":"tele/1","stream":"t","seq":true}'),
        (f"{home}/tele/batch", b"[" * 100_000),
    ):
        with pytest.raises(consumer.NotTheContract):
            made.hear(topic, payload)
    assert not made.ledgers
