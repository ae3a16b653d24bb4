"""`plantroom simulate`: a site without its wires, as libmodbus, `read` and the agent itself see it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli.simulate import read_rates
from agent.simulate.faults import FaultKind
from tests.cli.plant import SITE, aside, invoke, start

CONTACTS = """\
inputs:
  - {id: hall.smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
  - {id: hall.leak, bus: pins, pin: 27, kind: leak, contact: normally-open}
  - {id: hall.door, bus: pins, pin: 22, kind: door, contact: normally-closed, pair_pin: 5}
counters: [{id: hall.water, bus: pins, pin: 6, max_hz: 8, unit: L}]
uplinks: [{id: cloud, host: broker.invalid, username: u, password: {env: NOT_SET}}]
"""
WHOLE = SITE.replace("buses:\n", "buses:\n  - {id: pins, type: gpio}\n") + CONTACTS


@dataclass(slots=True)
class Simulation:
    """A running `plantroom simulate` and what it said at its start."""

    process: asyncio.subprocess.Process
    command: list[str]
    """The `plantroom run` it proposes."""
    said: list[str]

    @property
    def sets(self) -> list[str]:
        return [
            word
            for flag, value in zip(self.command, self.command[1:], strict=False)
            if flag == "--set"
            for word in (flag, value)
        ]

    def value(self, path: str) -> str:
        return next(word.partition("=")[2] for word in self.sets if word.startswith(f"{path}="))

    async def end(self) -> str:
        """Ask it to end, as Ctrl-C does; return its last line."""
        self.process.send_signal(2)
        async with asyncio.timeout(10):
            out, err = await self.process.communicate()
        assert (self.process.returncode, err) == (0, b"")
        return out.decode().splitlines()[-1]


@asynccontextmanager
async def simulation(path: Path, *options: str) -> AsyncIterator[Simulation]:
    process = await start("simulate", str(path), *options)
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(20):
            while not said or not said[-1].startswith("plantroom run"):
                line = await process.stdout.readline()
                if not line:
                    _, err = await process.communicate()
                    raise AssertionError(err.decode())
                said.append(line.decode().rstrip())
        yield Simulation(process, shlex.split(said[-1]), said)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def mbpoll(program: str, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        program, "-0", "-1", "-q", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(10):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(
        WHOLE.replace("retries: 0}\ndevices", "retries: 0, parity: E}\ndevices"), "utf-8"
    )
    return path


async def test_libmodbus_and_read_find_the_site_on_tcp_and_on_the_pty(
    path: Path, need: Callable[[str], str]
) -> None:
    program = need("mbpoll")
    async with simulation(path) as running:
        port, pty = running.value("buses.meters.port"), running.value("buses.rs485.port")
        assert running.value("buses.rs485.parity") == "N"  # a pty has no parity bit
        tcp = await mbpoll(
            program, "-p", port, "-a", "1", "-t", "3", "-r", "1", "-c", "2", "127.0.0.1"
        )
        celsius, percent = (int(each) for each in re.findall(r"\[\d\]: \t(\d+)", tcp))
        assert 225 <= celsius <= 235
        assert 470 <= percent <= 490
        serial = ("-m", "rtu", "-b", "9600", "-P", "none", "-a", "3", "-t", "0", "-r", "1")
        assert "Written 1 references." in await mbpoll(program, *serial, pty, "1")
        assert "[1]: \t1" in await mbpoll(program, *serial, pty)

        read = ("read", "--config", str(path), *running.sets, "--json")
        meters = await aside(*read, "--bus", "meters")
        line = await aside(*read, "--bus", "rs485")
        last = await running.end()
    assert (meters.code, line.code) == (0, 0), meters.err + line.err
    points = {each["point"]: each for each in json.loads(meters.out)["points"]}
    assert points["tank.level"]["value"] == pytest.approx(2100, rel=0.02)
    relays = {each["point"]: each["value"] for each in json.loads(line.out)["points"]}
    assert relays["relays.relay-2"] is True
    assert last == "played 6 requests, no faults"


async def test_faults_are_played_and_no_wrong_value_is_good(path: Path) -> None:
    faults = [
        f"--faults={kind}=0.14" for kind in ("wrong-count", "wrong-unit", "exception", "late")
    ]
    async with simulation(
        path, *faults, "--faults", "wrong-function=0.14", "--seed", "3"
    ) as running:
        read = ("read", "--config", str(path), *running.sets, "--bus", "meters", "--json")
        codes = set()
        for _ in range(4):
            said = await aside(*read)
            codes.add(said.code)
            for each in json.loads(said.out)["points"]:
                if each["quality"] == "good" and each["point"] == "air.temperature":
                    assert 22 < each["value"] < 24
        last = await running.end()
    assert codes - {0}
    assert "no faults" not in last


@pytest.mark.process
async def test_the_agent_runs_against_it_with_the_line_it_prints(path: Path) -> None:
    async with simulation(path, "--active", "hall.leak") as running:
        words = [*running.command[1:], "--set", "uplinks=[]", "--set", "local.port=null"]
        agent = await start(*words)
        socket = Path(words[words.index("--run-dir") + 1]) / "plantroom.sock"
        try:
            assert running.process.stdout is not None
            async with asyncio.timeout(20):
                held = await running.process.stdout.readline()
                assert held.startswith(b"contacts are held at an agent")
                points = await _points(socket)
        finally:
            if agent.returncode is None:
                agent.terminate()
            async with asyncio.timeout(10):
                await agent.communicate()
        async with asyncio.timeout(10):
            assert await running.process.stdout.readline() == b"the agent is gone\n"
        await running.end()
    assert points["hall.smoke"] is False
    assert points["hall.door"] is False
    assert points["hall.leak"] is True
    assert points["relays.relay-1"] is False
    assert points["air.temperature"] == pytest.approx(23, abs=1)
    assert points["hall.water"]  # pulses of the simulated meter


async def _points(socket: Path) -> dict[str, object]:
    """Return the agent's points once every one of the site has a value."""
    from agent.local.client import AgentClient, AgentUnreachable

    wanted = {"hall.smoke", "hall.leak", "hall.door", "relays.relay-1", "air.temperature"}
    while True:
        try:
            async with AgentClient(socket) as client:
                body = await client.get("/api/v1/points")
        except AgentUnreachable:
            await asyncio.sleep(0.05)
            continue
        values = {each["point"]: each.get("value") for each in body["points"]}
        if (
            all(values.get(each) is not None for each in wanted)
            and values["hall.leak"]
            and values.get("hall.water")
        ):
            return values
        await asyncio.sleep(0.05)


def test_kinds_of_faults_are_words_with_dashes() -> None:
    words = [f"{kind.replace(' ', '-')}=0.01" for kind in FaultKind]
    assert read_rates(words) == dict.fromkeys(FaultKind, 0.01)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--faults", "lat=0.1"), "did you mean 'late'"),
        (("--faults", "late"), "say KIND=RATE"),
        (("--faults", "late=2"), "rates are 0 to 1"),
        (("--faults", "late=nan"), "rates are 0 to 1"),
        (("--active", "hall.smok"), "did you mean 'hall.smoke'"),
    ],
)
def test_what_makes_no_sense_exits_2(path: Path, words: tuple[str, ...], what: str) -> None:
    said = invoke("simulate", str(path), *words)
    assert said.code == 2
    assert what in said.err


def test_a_fault_no_bus_can_have_is_refused_and_not_left_out_in_silence(path: Path) -> None:
    path.write_text(
        "version: 1\nsite: a\nbox: b\nbuses: [{id: t, type: modbus-tcp, host: h}]\n", "utf-8"
    )
    said = invoke("simulate", str(path), "--faults", "bad-crc=0.1")
    assert said.code == 2
    assert "bad crc" in said.err


def test_a_faulty_site_file_exits_78(path: Path) -> None:
    path.write_text("version: 1\n", "utf-8")
    assert invoke("simulate", str(path)).code == 78
