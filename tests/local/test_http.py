"""The page over real sockets: what is answered, who may command, and what holds when the agent does not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.core.effects import CommandName, Outcome
from agent.core.spec import Label
from agent.local.guard import HEADER
from agent.local.listeners import MOST_CONNECTIONS, Listener, UnixPlace
from agent.local.server import LocalServer, PageEnded
from agent.local.spec import LocalSpec
from tests.local.room import CALM, POINTS, VIEW, FakeAgent, Health, base, served

ACK = {"name": "ack", "target": "shed-smoke", "actor": "Li"}


async def get(server: LocalServer, path: str, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(base(server) + path, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


async def get_json(server: LocalServer, path: str) -> Any:
    status, text = await get(server, path)
    assert status == 200, text
    return json.loads(text)


async def post(server: LocalServer, body: object, **headers: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            base(server) + "/api/v1/commands",
            data=body if isinstance(body, bytes) else json.dumps(body),
            headers={"Content-Type": "application/json", **headers},
        ) as answer,
    ):
        return answer.status, json.loads(await answer.text())


OWN = {HEADER: "1"}


async def test_alive_and_ready_are_two_questions() -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        assert (await get(server, "/healthz"))[0] == 200
        status, text = await get(server, "/readyz")
        assert (status, json.loads(text)["not_ready"]) == (503, ["outbox is recovering"])
        agent.shown = CALM
        assert (await get(server, "/readyz"))[0] == 200


async def test_json_tells_points_alarms_outputs_events_and_status() -> None:
    async with served(FakeAgent()) as server:
        points = (await get_json(server, "/api/v1/points"))["points"]
        by_id = {each["point"]: each for each in points}
        assert by_id["hydrant.pressure"]["value"] == 420.0
        assert by_id["sprinkler.pressure"]["quality"] == "stale"
        assert by_id["old.temperature"]["value"] is None
        assert by_id["old.temperature"]["quality"] == "stale"
        assert by_id["broken.ratio"]["value"] is None
        alarms = await get_json(server, "/api/v1/alarms")
        assert [each["rule"] for each in alarms["alarms"]] == [
            "shed-smoke",
            "shed-heat",
            "hydrant-low",
            "bus-down",
            "filter-dirty",
            "meter-silent",
            "tank-low",
            "leak-room",
        ]
        assert alarms["highest"] == "fire"
        assert alarms["rules"] == 9
        outputs = (await get_json(server, "/api/v1/outputs"))["outputs"]
        assert {each["output"]: each["active"] for each in outputs}["valve"] is None
        status = await get_json(server, "/api/v1/status")
        assert status["alarms"]["standing"]["fault"] == 1
        assert status["outbox"]["unsent"] == {"cloud": 0, "duty-room": 9003}
        events = (await get_json(server, "/api/v1/events?limit=2"))["events"]
        assert [each["seq"] for each in events] == [5, 4]


@pytest.mark.parametrize("limit", ["0", "-1", "many", "999999", "", "²"])
async def test_a_senseless_limit_is_refused(limit: str) -> None:
    async with served(FakeAgent()) as server:
        assert (await get(server, f"/api/v1/events?limit={limit}"))[0] == 400


async def test_metrics_are_served_with_the_type_prometheus_expects() -> None:
    async with (
        served(FakeAgent()) as server,
        aiohttp.ClientSession() as session,
        session.get(base(server) + "/metrics") as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "plantroom_agent_responding 1.0" in await answer.text()


async def test_every_answer_carries_the_security_headers() -> None:
    async with served(FakeAgent()) as server, aiohttp.ClientSession() as session:
        for path in ("/", "/static/page.js", "/metrics", "/healthz", "/nowhere"):
            async with session.get(base(server) + path) as answer:
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cache-Control"] == "no-store"


# -- commands ---------------------------------------------------------------------------------------


async def test_a_command_reaches_the_agent_with_its_actor_and_origin() -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        status, body = await post(server, ACK | {"id": "one"}, **OWN)
        assert (status, body["ok"], body["id"]) == (200, True, "one")
    (command,) = agent.commands
    assert (command.name, command.target, command.actor, command.origin) == (
        CommandName.ACK,
        "shed-smoke",
        "Li",
        "page",
    )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unknown_rule", 404),
        ("condition_holds", 409),
        ("unacknowledged", 409),
        ("bad_argument", 400),
        ("rule_failed", 500),
    ],
)
async def test_a_refusal_by_the_core_keeps_its_code(code: str, status: int) -> None:
    agent = FakeAgent()
    agent.outcome = Outcome(ok=False, code=code, message="no")
    async with served(agent) as server:
        answered, body = await post(server, ACK, **OWN)
        assert (answered, body["code"]) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        {"name": "open-the-door"},
        {"name": "ack", "force": True},
        {"name": "ack", "target": 5},
        {"name": "ack", "target": "x" * 201},
        {"name": "ack", "actor": "a\nb"},
        {"name": "reset", "code": "because"},
        {"name": "ack", "id": "a b"},
        rb'{"name": "ack", "actor": "\ud800"}',
    ],
)
async def test_what_is_no_command_never_reaches_the_agent(body: object) -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        status, answer = await post(server, body, **OWN)
        assert (status, answer["code"]) == (400, "bad_argument")
    assert not agent.commands


async def test_a_body_that_is_too_large_is_refused() -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        assert (await post(server, {"name": "ack", "reason": "x" * 20_000}, **OWN))[0] == 413
    assert not agent.commands


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example", HEADER: "1"},
        {"Origin": "null", HEADER: "1"},
        {"Sec-Fetch-Site": "cross-site", HEADER: "1"},
        {"Host": "evil.example", HEADER: "1"},
        {"Host": "evil.example", "Origin": "http://evil.example", HEADER: "1"},
    ],
)
async def test_a_command_from_a_strangers_page_is_refused(headers: dict[str, str]) -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        status, body = await post(server, ACK, **headers)
        assert (status, body["code"]) == (403, "forbidden")
    assert not agent.commands


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[", ""])
@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/metrics", "/live"])
async def test_a_rebound_name_reads_nothing(host: str, path: str) -> None:
    async with served(FakeAgent()) as server:
        status, text = await get(server, path, Host=host)
        assert status in (400, 403)
        assert "hydrant" not in text


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "[::1]:80", "LOCALHOST"])
async def test_the_names_of_this_machine_are_served(host: str) -> None:
    async with served(FakeAgent()) as server:
        assert (await get(server, "/healthz", Host=host))[0] == 200


async def test_a_page_open_to_the_network_is_for_reading_only() -> None:
    agent = FakeAgent()
    async with served(agent, LocalSpec(host="0.0.0.0", port=0)) as server:
        assert (await post(server, ACK, **OWN))[0] == 403
        status, text = await get(server, "/")
        assert status == 200
        assert "<form" not in text
        assert "<button" not in text
    assert not agent.commands


# -- the Unix socket ----------------------------------------------------------------------------------


async def over_socket(path: Path, method: str, url: str, **more: Any) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.request(method, f"http://plantroom{url}", **more) as answer,
    ):
        return answer.status, await answer.text()


async def test_the_unix_socket_serves_the_same_and_takes_commands(tmp_path: Path) -> None:
    agent, path = FakeAgent(), tmp_path / "p.sock"
    async with served(agent, LocalSpec(port=None, socket=path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await over_socket(path, "GET", "/api/v1/status"))[0] == 200
        assert (await over_socket(path, "POST", "/api/v1/commands", json=ACK))[0] == 200
    assert agent.commands[0].origin == "cli"
    assert not path.exists()


async def test_a_dead_processs_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with served(FakeAgent(), LocalSpec(port=None, socket=path)):
        assert (await over_socket(path, "GET", "/healthz"))[0] == 200


async def test_a_living_processs_socket_and_a_plain_file_are_left_alone(tmp_path: Path) -> None:
    living, plain = tmp_path / "living.sock", tmp_path / "plain"
    plain.write_text("keep me")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(living))
        other.listen()
        for path, word in ((living, "another process"), (plain, "not a socket")):
            health = Health()
            server = LocalServer(
                LocalSpec(port=None, socket=path),
                FakeAgent(),
                asyncio.get_running_loop(),
                on_health=health,
            )
            server.start()
            try:
                assert word in await health.until(ok=False)
            finally:
                assert await server.stop()
            assert path.exists()
    assert plain.read_text() == "keep me"


async def test_a_socket_file_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    path, told = tmp_path / "p.sock", list[str]()
    opened = asyncio.Event()

    def hear(_: str, why: str) -> None:
        told.append(why)
        if not why:
            opened.set()

    listener = Listener(UnixPlace(path), asyncio.Protocol, hear, watch_s=0.02)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(listener.run(), name="listener")
        for _ in range(2):
            async with asyncio.timeout(2):
                await opened.wait()
            opened.clear()
            assert path.is_socket()
            path.unlink()
        async with asyncio.timeout(2):
            await opened.wait()
        running.cancel()
    assert told == ["", "its file was removed", "", "its file was removed", ""]
    assert not path.exists()


async def test_with_nowhere_to_listen_the_page_is_well_and_ends() -> None:
    agent = FakeAgent()
    async with served(agent, LocalSpec(port=None)) as server:
        assert server.port is None


async def test_a_port_that_is_taken_is_a_fault_and_taken_up_once_free() -> None:
    health, agent = Health(), FakeAgent(CALM)
    agent.loop = asyncio.get_running_loop()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = LocalServer(
            LocalSpec(port=port), agent, agent.loop, on_health=health, retry_first_s=0.05
        )
        server.start()
        assert "in use" in await health.until(ok=False)
        assert server.port is None
    try:
        await health.until(ok=True)
        assert server.port == port
        assert (await get(server, "/healthz"))[0] == 200
    finally:
        assert await server.stop()
    assert health.told == [(False, health.told[0][1]), (True, "")]


async def test_a_host_that_is_a_name_is_a_fault() -> None:
    health = Health()
    server = LocalServer(
        LocalSpec(host="page.example"), FakeAgent(), asyncio.get_running_loop(), on_health=health
    )
    server.start()
    try:
        assert "not an address" in await health.until(ok=False)
    finally:
        assert await server.stop()


# -- the agent hangs, the page hangs ------------------------------------------------------------------


class HungAgent:
    """An agent whose loop runs in a thread of its own, so that a test can hang it."""

    def __init__(self) -> None:
        self.agent = FakeAgent()
        self.loop = self.agent.loop = asyncio.new_event_loop()
        self.release = threading.Event()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def hang(self) -> None:
        self.loop.call_soon_threadsafe(self.release.wait)

    def end(self) -> None:
        self.release.set()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()


async def test_a_loop_that_hangs_is_said_to_hang_and_a_late_command_is_not_carried_out() -> None:
    hung = HungAgent()
    server = LocalServer(LocalSpec(port=0), hung.agent, hung.loop, answer_s=0.2)
    hung.loop.call_soon_threadsafe(server.start)
    try:
        async with asyncio.timeout(5):
            while server.port is None:  # noqa: ASYNC110 - the health call is on the other loop
                await asyncio.sleep(0.01)
        assert (await get(server, "/healthz"))[0] == 200
        hung.hang()
        status, text = await get(server, "/healthz")
        assert (status, json.loads(text)["message"]) == (503, "loop does not answer")
        assert (await get(server, "/readyz"))[0] == 503
        status, text = await get(server, "/?lang=zh")
        assert status == 503
        assert "无应答" in text
        assert "当前无报警" not in text
        assert "plantroom_agent_responding 0.0" in (await get(server, "/metrics"))[1]
        status, body = await post(server, ACK, **OWN)
        assert (status, body["code"]) == (503, "no_answer")
        hung.release.set()
        async with asyncio.timeout(5):
            while (await get(server, "/healthz"))[0] != 200:  # noqa: ASYNC110 - as a prober would
                await asyncio.sleep(0.02)
        assert hung.agent.commands == []
        stopped = asyncio.run_coroutine_threadsafe(server.stop(), hung.loop)
        assert await asyncio.wrap_future(stopped)
    finally:
        hung.end()


async def test_requests_that_come_together_ask_the_agent_once() -> None:
    agent = FakeAgent()
    gate = asyncio.Event()
    real_view = agent.view

    async def slow_view() -> Any:
        await gate.wait()
        return await real_view()

    agent.view = slow_view  # type: ignore[method-assign]
    async with served(agent) as server, asyncio.TaskGroup() as group:
        tasks = [group.create_task(get(server, "/healthz"), name=f"ask {n}") for n in range(10)]
        await asyncio.sleep(0.3)
        gate.set()
        for task in tasks:
            assert (await task)[0] == 200
    assert agent.views == 1


async def test_an_error_behind_the_door_is_an_answer_and_not_the_end() -> None:
    agent = FakeAgent()
    agent.error = KeyError("bug")
    async with served(agent) as server:
        status, text = await get(server, "/api/v1/points")
        assert (status, json.loads(text)["code"]) == (503, "no_answer")
        agent.error = None
        assert (await get(server, "/api/v1/points"))[0] == 200


class Blocking(Label):
    """A label that blocks the thread that reads it, as a bug in a handler would."""

    def __getattribute__(self, name: str) -> Any:
        if name == "en" and threading.current_thread().name == "plantroom-page":
            Blocking.entered.set()
            Blocking.release.wait(30)
        return super().__getattribute__(name)

    entered = threading.Event()
    release = threading.Event()


async def test_a_handler_that_blocks_touches_neither_the_agents_loop_nor_its_end() -> None:
    Blocking.entered.clear()
    Blocking.release.clear()
    spec = dataclasses.replace(POINTS[0].spec, label=Blocking(en="slow"))
    agent = FakeAgent(
        dataclasses.replace(VIEW, points=(dataclasses.replace(POINTS[0], spec=spec),))
    )
    agent.loop = loop = asyncio.get_running_loop()
    health = Health()
    server = LocalServer(LocalSpec(port=0), agent, loop, on_health=health, pulse_s=0.2)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.run(), name="page")
            await health.until(ok=True)
            asked = group.create_task(swallow(get(server, "/api/v1/points")), name="ask")
            while not Blocking.entered.is_set():  # noqa: ASYNC110 - set by a thread
                await asyncio.sleep(0.01)
            worst_s, last_s = 0.0, loop.time()
            for _ in range(30):
                await asyncio.sleep(0.01)
                now_s = loop.time()
                worst_s, last_s = max(worst_s, now_s - last_s), now_s
            assert worst_s < 0.5, "the agent's loop was held up"
            assert await health.until(ok=False) == "page hangs"
            Blocking.release.set()
            await health.until(ok=True)
            await asked
            Blocking.entered.clear()
            Blocking.release.clear()
            asked = group.create_task(swallow(get(server, "/api/v1/points")), name="ask again")
            while not Blocking.entered.is_set():  # noqa: ASYNC110 - set by a thread
                await asyncio.sleep(0.01)
            before_s = loop.time()
            assert not await server.stop(0.2)
            assert loop.time() - before_s < 1.0
            Blocking.release.set()
            await running
    finally:
        Blocking.release.set()
        assert await server.stop(5)


async def swallow(call: Any) -> None:
    """Await a request whose end does not matter."""
    with contextlib.suppress(aiohttp.ClientError):
        await call


async def test_a_page_that_died_is_told_and_can_be_started_again() -> None:
    agent = FakeAgent()
    agent.loop = asyncio.get_running_loop()
    health = Health()
    server = LocalServer(LocalSpec(port=0), agent, agent.loop, on_health=health)
    server.start()
    await health.until(ok=True)
    assert await server.stop()
    assert not server.is_running
    server.start()
    assert health.told[-1] == (True, "")
    health.told.clear()
    await health.until(ok=True)
    assert await server.stop()


async def test_stopping_right_after_starting_ends_the_thread() -> None:
    for _ in range(5):
        server = LocalServer(LocalSpec(port=0), FakeAgent(), asyncio.get_running_loop())
        server.start()
        assert await server.stop()
        assert await server.stop(), "stopping twice is stopping"


async def test_a_page_whose_thread_ends_by_itself_is_told_and_raised(tmp_path: Path) -> None:
    health = Health()
    wrong: Any = str(tmp_path / "p.sock")  # not a Path: a bug, as a thread may meet one
    spec = LocalSpec(port=None, socket=wrong)
    server = LocalServer(spec, FakeAgent(), asyncio.get_running_loop(), on_health=health)
    async with asyncio.timeout(5):
        with pytest.raises(PageEnded):
            await server.run()
    assert health.told[-1][0] is False
    assert not server.is_running


# -- limits -------------------------------------------------------------------------------------------


async def test_more_connections_than_allowed_are_closed_and_the_rest_served() -> None:
    async with served(FakeAgent()) as server:
        assert server.port is not None
        held = [
            await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MOST_CONNECTIONS)
        ]
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            async with asyncio.timeout(2):
                assert await reader.read() == b""
            writer.close()
            held.pop()[1].close()
            async with asyncio.timeout(2):
                while True:
                    try:
                        if (await get(server, "/healthz"))[0] == 200:
                            break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.01)
        finally:
            for _, each in held:
                each.close()


async def test_a_connection_that_asks_nothing_is_closed_and_one_that_asked_is_kept() -> None:
    agent = FakeAgent()
    agent.loop = asyncio.get_running_loop()
    health = Health()
    server = LocalServer(
        LocalSpec(port=0), agent, agent.loop, on_health=health, first_request_s=0.2
    )
    server.start()
    try:
        await health.until(ok=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HT")
        async with (
            aiohttp.ClientSession() as session,
            session.get(base(server) + "/api/v1/stream") as stream,
        ):
            async with asyncio.timeout(2):
                assert await reader.read() == b""
            writer.close()
            await asyncio.sleep(0.2)
            assert await read_event(stream.content)
    finally:
        assert await server.stop()


# -- the stream ---------------------------------------------------------------------------------------


async def read_event(content: aiohttp.StreamReader) -> tuple[str, Any]:
    name, data = "", None
    async with asyncio.timeout(5):
        while line := (await content.readline()).decode().strip() or not data:
            if isinstance(line, str):
                key, _, value = line.partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    data = json.loads(value)
    return name, data


async def test_the_stream_tells_all_at_first_and_then_only_what_changed() -> None:
    agent = FakeAgent(CALM)
    async with (
        served(agent) as server,
        aiohttp.ClientSession() as session,
        session.get(base(server) + "/api/v1/stream") as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"
        first = dict([await read_event(answer.content) for _ in range(3)])
        assert set(first) == {"agent", "alarms", "state"}
        assert first["alarms"]["alarms"] == []
        looks = agent.views
        while agent.views < looks + 1:  # noqa: ASYNC110 - counted by the agent
            await asyncio.sleep(0.02)
        agent.shown = dataclasses.replace(CALM, alarms=VIEW.alarms)
        name, data = await read_event(answer.content)
        assert (name, data["highest"]) == ("alarms", "fire")
        agent.error = RuntimeError("gone")
        name, data = await read_event(answer.content)
        assert (name, data["answers"]) == ("agent", False)


async def test_a_stream_that_cannot_tell_says_so_and_leaves_the_page_alone() -> None:
    agent = FakeAgent(dataclasses.replace(CALM, alarms="not what was promised"))  # type: ignore[arg-type]
    async with (
        served(agent) as server,
        aiohttp.ClientSession() as session,
        session.get(base(server) + "/api/v1/stream") as answer,
    ):
        name, data = await read_event(answer.content)
        assert (name, data["answers"]) == ("agent", False)
        assert (await get(server, "/api/v1/alarms"))[0] == 500
        agent.shown = CALM
        name, data = await read_event(answer.content)
        assert (name, data["answers"]) == ("agent", True)
        assert (await get(server, "/healthz"))[0] == 200


async def test_nobody_listening_means_nobody_asks() -> None:
    agent = FakeAgent(CALM)
    async with served(agent):
        await asyncio.sleep(1.2)
        assert agent.views == 0


# -- the page -------------------------------------------------------------------------------------------


async def submit(server: LocalServer, do: str, **fields: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        async with session.get(base(server) + "/?lang=en") as page:
            found = re.search(r'name="token" value="([^"]+)"', await page.text())
        assert found
        form = {"token": found[1], "do": do, "lang": "en"} | fields
        async with session.post(base(server) + "/commands", data=form) as answer:
            return answer.status, await answer.text()


async def test_a_button_of_the_form_is_a_command_and_the_page_tells_how_it_ended() -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        status, text = await submit(server, "reset:shed-heat", actor="Li", code="false")
        assert status == 200
        assert "Reset: done" in text
        agent.outcome = Outcome(ok=False, code="condition_holds", message="")
        status, text = await submit(server, "reset:")
        assert status == 409
        assert "the cause is still there" in text
    first = agent.commands[0]
    assert (first.name, first.target, first.actor, first.code) == (
        "reset",
        "shed-heat",
        "Li",
        "false",
    )


async def test_a_form_without_this_pages_token_is_refused() -> None:
    agent = FakeAgent()
    async with served(agent) as server:
        assert (await submit(server, "ack:", token="guess"))[0] == 403
        assert (await submit(server, "ack:", token="猜"))[0] == 403
        assert (await submit(server, "explode:"))[0] == 400
    assert not agent.commands


@pytest.mark.parametrize(
    ("path", "accept", "lang"),
    [
        ("/", "", "en"),
        ("/", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("/", "fr, en;q=0.2, zh-TW;q=0.7", "zh-CN"),
        ("/?lang=zh", "en", "zh-CN"),
        ("/?lang=en", "zh", "en"),
        ("/?lang=xx", "zh;q=nonsense", "en"),
    ],
)
async def test_the_page_speaks_the_readers_language(path: str, accept: str, lang: str) -> None:
    async with served(FakeAgent()) as server:
        headers = {"Accept-Language": accept} if accept else {}
        assert f'<html lang="{lang}">' in (await get(server, path, **headers))[1]
