"""Notify socket, watchdog, journal, credentials and the unit."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from agent.supervise import Progress
from agent.systemd.credentials import CredentialUnreadable, read_credential
from agent.systemd.journal import JournalFormatter, _DroppingHandler, logging_to_journal
from agent.systemd.notify import Notifier, feed_watchdog, watchdog_period_s
from agent.systemd.unit import install_plan, render_unit
from drivers.clock import ManualClock

ROOT = Path(__file__).parents[2]


class Systemd:
    """The other end of the notify socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode("utf-8"))
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    name = f"@plantroom-test-{os.getpid()}" if request.param == "abstract" else f"{tmp_path}/n"
    server = Systemd(name)
    yield server
    server.socket.close()


def test_states_reach_systemd_as_documented(systemd: Systemd, clock: ManualClock) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": systemd.address})
    assert notifier.is_heard
    notifier.ready("值守中 armed")
    notifier.status("消防水泵房\nREADY=0")
    notifier.watchdog()
    notifier.reloading(clock)
    notifier.stopping()
    notifier.close()
    assert systemd.heard() == [
        "READY=1\nSTATUS=值守中 armed",
        "STATUS=消防水泵房 READY=0",
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=1000000000",
        "STOPPING=1",
    ]
    assert notifier.dropped == 0


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}])
def test_without_a_socket_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environ)
    notifier.ready()
    assert not notifier.is_heard
    assert notifier.dropped == 0


def test_a_systemd_that_does_not_listen_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Notifier(str(tmp_path / "gone"))
    for _ in range(3):
        gone.watchdog()
    assert gone.dropped == 3
    assert len(caplog.records) == 1
    gone.close()
    deaf = Systemd(str(tmp_path / "deaf"))
    notifier = Notifier(deaf.address)
    for _ in range(5000):
        notifier.status("x" * 200)
    assert notifier.dropped > 0
    notifier.close()
    deaf.socket.close()


@pytest.mark.parametrize(
    ("environ", "period_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_period_is_systemds(environ: dict[str, str], period_s: float | None) -> None:
    assert watchdog_period_s(environ, pid=7) == period_s


async def test_the_watchdog_is_fed_only_while_every_part_gets_on(
    systemd: Systemd, clock: ManualClock, unblocked_loop: BlockBuster
) -> None:
    progress = Progress(clock)
    pipeline = progress.register("pipeline", 3.0)
    outputs = progress.register("outputs", 3.0)
    notifier = Notifier(systemd.address)

    async def round_with(*beats: Callable[[], None]) -> list[str]:
        systemd.heard()
        clock.advance(2.0)
        for beat in beats:
            beat()
        await asyncio.sleep(0.05)
        return systemd.heard()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(feed_watchdog(progress, notifier, 0.02), name="watchdog")
        await asyncio.sleep(0)
        assert "WATCHDOG=1" in await round_with(pipeline, outputs)
        assert "WATCHDOG=1" in await round_with(pipeline)
        late = await round_with(pipeline)
        assert late[-1] == "STATUS=hangs: outputs silent for 4.0 s (window 3 s)"
        assert await round_with(pipeline) == [], "silent, and the status said once"
        back = await round_with(pipeline, outputs)
        assert back[:2] == ["STATUS=running", "WATCHDOG=1"]
        task.cancel()
    notifier.close()


async def test_without_a_watchdog_lateness_is_logged_all_the_same(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress(clock)
    progress.register("pipeline", 3.0)
    clock.advance(4.0)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(feed_watchdog(progress, Notifier(None)), name="watchdog")
        await asyncio.sleep(0.01)
        task.cancel()
    assert "pipeline silent for 4.0 s" in caplog.text


# -- journal -----------------------------------------------------------------------------------------


def droppers() -> list[_DroppingHandler]:
    return [each for each in logging.getLogger().handlers if isinstance(each, _DroppingHandler)]


@pytest.mark.parametrize(
    ("level", "priority"),
    [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)],
)
def test_levels_become_priorities(tmp_path: Path, level: str, priority: int) -> None:
    with (tmp_path / "log").open("w+") as stream:
        stat = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        with logging_to_journal(logging.DEBUG, stream=stream, environ=environ):
            getattr(logging.getLogger("agent.outputs"), level)("siren %s", "失败")
        stream.seek(0)
        assert stream.read() == f"<{priority}>part=agent.outputs siren 失败\n"
    assert droppers() == []


def test_every_line_of_a_traceback_has_its_priority_and_no_secret(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+") as stream:
        stat = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        with logging_to_journal(secrets=("hunter22", "no"), stream=stream, environ=environ):
            try:
                raise ValueError("mqtt://box:hunter22@broker")
            except ValueError:
                logging.getLogger("agent").exception("connecting with %s", "hunter22")
        stream.seek(0)
        lines = stream.read().splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)
    assert lines[0] == "<3>part=agent connecting with ***"
    assert lines[-1] == "<3>ValueError: mqtt://box:***@broker"


def test_people_are_told_time_and_level() -> None:
    record = logging.LogRecord("agent", logging.ERROR, __file__, 1, "siren %s", ("failed",), None)
    text = JournalFormatter(for_people=True).format(record)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ERROR    siren failed", text)


def test_a_journal_that_hangs_delays_nobody_and_what_is_lost_is_told() -> None:
    may_write = threading.Event()

    class Hung(io.StringIO):
        def write(self, text: str) -> int:
            may_write.wait(10)
            return super().write(text)

    stream = Hung()
    logger = logging.getLogger("agent")
    with logging_to_journal(stream=stream, environ={}, queue_records=10):
        for number in range(100):
            logger.info("line %d", number)
        may_write.set()
        (handler,) = droppers()
        while not handler.records.empty():
            threading.Event().wait(0.001)
        logger.info("the last")
    text = stream.getvalue()
    told = [int(each) for each in re.findall(r"(\d+) log records dropped", text)]
    assert handler.dropped >= 85
    assert sum(told) == handler.dropped
    assert text.splitlines()[-1].endswith("the last")


def test_a_hung_journal_does_not_keep_the_process_from_ending() -> None:
    may_write = threading.Event()

    class Hung(io.StringIO):
        def write(self, text: str) -> int:
            may_write.wait(20)
            return super().write(text)

    with logging_to_journal(stream=Hung(), environ={}, queue_records=1):
        for _ in range(10):
            logging.getLogger("agent").info("x")
    may_write.set()


def test_the_queue_type_is_what_the_listener_expects() -> None:
    handler = _DroppingHandler(queue.Queue(1))
    record = logging.LogRecord("agent", logging.INFO, __file__, 1, "x", None, None)
    handler.enqueue(record)
    handler.enqueue(record)
    assert handler.dropped == 1


# -- credentials -------------------------------------------------------------------------------------


def test_a_credential_is_read_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(" 12 34 \r\n")
    (tmp_path / "two").write_text("a\n\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_credential("pin", environ) == " 12 34 "
    assert read_credential("two", environ) == "a\n"
    assert read_credential("other", environ) is None
    assert read_credential("pin", {}) is None


@pytest.mark.parametrize("name", ["", ".", "..", "../etc/shadow", "/etc/shadow", "folder"])
def test_what_is_no_credential_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CredentialUnreadable):
        read_credential(name, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_an_unusable_credential_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"secret\xff")
    (tmp_path / "large").write_bytes(b"s" * 1_000_001)
    for name in ("bytes", "large"):
        with pytest.raises(CredentialUnreadable) as caught:
            read_credential(name, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert "secret" not in str(caught.value)


# -- unit --------------------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as installed, with a program that exists."""
    path = tmp_path / "plantroom.service"
    path.write_text(render_unit(Path(sys.executable).resolve()))
    return path


def test_systemd_finds_no_fault_in_the_unit(unit: Path, need: Callable[[str], str]) -> None:
    done = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_the_exposure_of_the_unit_is_at_most_2(unit: Path, need: Callable[[str], str]) -> None:
    done = subprocess.run(
        [need("systemd-analyze"), "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "WatchdogSec=10",
        "DeviceAllow=char-gpiochip rw",
        "SupplementaryGroups=gpio dialout",
        "LimitCORE=0",
    ],
)
def test_the_unit_keeps_what_safety_rests_on(unit: Path, line: str) -> None:
    assert line in unit.read_text().splitlines()


def test_the_unit_runs_the_given_program_as_the_given_user() -> None:
    text = render_unit(
        Path("/home/pi/.local/bin/plantroom"), user="pi", config=Path("/srv/site.yaml")
    )
    lines = text.splitlines()
    assert "ExecStart=/home/pi/.local/bin/plantroom run --config /srv/site.yaml" in lines
    assert "User=pi" in lines
    assert "Group=pi" in lines


@pytest.mark.parametrize(
    ("program", "user"),
    [
        ("plantroom", "plantroom"),
        ("/opt/my tools/plantroom", "plantroom"),
        ("/opt/%h/plantroom", "plantroom"),
        ("/opt/x\nExecStartPre=/bin/evil", "plantroom"),
        ("/opt/plantroom", "root\nUMask=0"),
        ("/opt/plantroom", ""),
    ],
)
def test_what_would_need_quoting_is_refused(program: str, user: str) -> None:
    with pytest.raises(ValueError, match=r"must be an absolute path|is not a user name"):
        render_unit(Path(program), user=user)


def test_the_install_plan_brings_user_device_rule_and_unit_in_this_order(tmp_path: Path) -> None:
    plan = install_plan(Path("/opt/plantroom/bin/plantroom"), user="alarm", root=tmp_path)
    assert [str(each.path.relative_to(tmp_path)) for each in plan.files] == [
        "etc/sysusers.d/plantroom.conf",
        "etc/udev/rules.d/60-plantroom.rules",
        "etc/systemd/system/plantroom.service",
    ]
    assert plan.commands[0][0] == "systemd-sysusers"
    assert plan.commands[-1] == ("systemctl", "restart", "plantroom.service")
    sysusers = plan.files[0].text
    assert "m alarm gpio" in sysusers
    assert "u alarm -" in sysusers


def test_the_user_file_is_understood_by_systemd(tmp_path: Path, need: Callable[[str], str]) -> None:
    (tmp_path / "etc").mkdir()
    plan = install_plan(Path("/opt/plantroom/bin/plantroom"), root=tmp_path)
    plan.files[0].path.parent.mkdir(parents=True)
    plan.files[0].path.write_text(plan.files[0].text)
    done = subprocess.run(
        [need("systemd-sysusers"), f"--root={tmp_path}", "plantroom.conf"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    groups = (tmp_path / "etc/group").read_text()
    assert re.search(r"^gpio:.*:plantroom$", groups, re.MULTILINE)
    assert re.search(r"^dialout:.*:plantroom$", groups, re.MULTILINE)


def test_each_file_of_the_plan_is_packed_into_the_wheel() -> None:
    packed = (ROOT / "pyproject.toml").read_text("utf-8")
    for path in (ROOT / "systemd").iterdir():
        assert f'"systemd/{path.name}" = "agent/data/{path.name}"' in packed
