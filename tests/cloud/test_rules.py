"""The sample broker with three boxes and client certificates: every cell that is not a box's own is denied."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.uplink.connection import Connection
from agent.uplink.dial import Dialler
from agent.uplink.errors import LinkLost, Refused, Unreachable, UplinkError
from agent.uplink.message import Arrival, Message
from agent.uplink.spec import TlsSpec, UplinkSpec
from drivers.tasks import TaskGroup
from tests.uplink.broker import free_port
from tests.uplink.rig import until

CLOUD = Path(__file__).parents[2] / "config" / "cloud"
BOXES = (("riverside", "b1"), ("riverside", "b2"), ("harbour", "b1"))
"""Two of one site, and two of one name."""
SPOKEN = ("status/box", "meta/box", "state/a.b", "alarm/r", "tele/batch", "event/r", "res/ack")
ALL = (*SPOKEN, "cmd/ack")


class Sample:
    """The folder of the sample, set up as its README says, with its broker running."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def spec(self, name: str) -> UplinkSpec:
        certs = self.folder / "certs"
        tls = TlsSpec(
            ca_file=certs / "ca.crt",
            cert_file=certs / f"{name}.crt",
            key_file=certs / f"{name}.key",
        )
        return UplinkSpec(id=name, host="127.0.0.1", port=self.port, tls=tls)

    @asynccontextmanager
    async def connected(self, name: str, client_id: str = "") -> AsyncIterator[Connection]:
        connection = await Connection.open(
            self.spec(name), Dialler(), client_id=client_id or name, will=None
        )
        try:
            yield connection
        finally:
            await connection.abandon()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("openssl") is None:
        missing = "mosquitto and openssl are needed (make test installs them on Debian)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("cloud")
    for each in CLOUD.glob("*.sh"):
        shutil.copy(each, folder)

    def run(*words: str) -> None:
        subprocess.run(["sh", *words], cwd=folder, check=True, capture_output=True)

    run("authority.sh", "127.0.0.1")
    for user in ("cloud", "dispatcher"):
        run("add-user.sh", user)
    for site, box in BOXES:
        run("add-box.sh", site, box)
    port = free_port()
    lines = (CLOUD / "mosquitto.conf").read_text("utf-8")
    lines = re.sub(r"(?m)^listener 8883$", f"listener {port} 127.0.0.1", lines)
    if os.geteuid() == 0:
        lines += "user root\n"
    (folder / "mosquitto.conf").write_text(lines, "utf-8")
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [program, "-c", "mosquitto.conf"], cwd=folder, stdout=log, stderr=log
    )
    made = Sample(folder, port)
    try:
        asyncio.run(_until_there(made))
        yield made
    finally:
        process.kill()
        process.wait(5)
        log.close()


async def _until_there(sample: Sample) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                async with sample.connected("cloud"):
                    return
            except UplinkError:
                await asyncio.sleep(0.05)


def name_of(site: str, box: str) -> str:
    return f"{site}@{box}"


async def listen(connection: Connection, heard: list[Arrival]) -> None:
    async for arrival in connection.messages():
        heard += [arrival]


@pytest.mark.parametrize(("site", "box"), BOXES, ids=[name_of(*each) for each in BOXES])
async def test_a_box_speaks_on_its_own_topics_only(sample: Sample, site: str, box: str) -> None:
    async with sample.connected(name_of(site, box)) as connection, TaskGroup() as tasks:
        task = tasks.create_task(listen(connection, []))
        denied = 0
        for other_site, other in BOXES:
            for each in ALL:
                topic = f"plantroom/v1/{other_site}/{other}/{each}"
                is_own = (other_site, other) == (site, box) and each in SPOKEN
                try:
                    await connection.publish(Message(topic=topic, payload=b"{}"))
                    assert is_own, f"{topic} was taken from {site}/{box}"
                except Refused as refused:
                    denied += refused.code == 135
                    if is_own:
                        raise
        assert denied == 2 * len(ALL) + 1
        for topic in ("plantroom/v1/riverside/b9/event/r", "other", "$SYS/x"):
            with pytest.raises((Refused, LinkLost)):
                await connection.publish(Message(topic=topic, payload=b"{}"))
        task.cancel()


@pytest.mark.parametrize(("site", "box"), BOXES, ids=[name_of(*each) for each in BOXES])
async def test_a_box_hears_its_own_commands_only(sample: Sample, site: str, box: str) -> None:
    heard: list[Arrival] = []
    async with (
        sample.connected(name_of(site, box)) as connection,
        sample.connected("dispatcher") as dispatcher,
        TaskGroup() as tasks,
    ):
        listening = tasks.create_task(listen(connection, heard))
        also = tasks.create_task(listen(dispatcher, []))
        for pattern in ("#", "plantroom/v1/+/+/cmd/+", f"plantroom/v1/{site}/{box}/cmd/+"):
            try:
                await connection.subscribe(pattern)
            except Refused:
                assert pattern != f"plantroom/v1/{site}/{box}/cmd/+"
        speaking = []
        for other_site, other in BOXES:
            if (other_site, other) != (site, box):
                speaking.append(await _say_everything(sample, other_site, other))
            topic = f"plantroom/v1/{other_site}/{other}/cmd/ack"
            await dispatcher.publish(Message(topic=topic, payload=b"{}"))
        assert speaking == [len(SPOKEN), len(SPOKEN)]
        await until(lambda: bool(heard))
        await asyncio.sleep(0.2)
        assert {each.topic for each in heard} == {f"plantroom/v1/{site}/{box}/cmd/ack"}
        listening.cancel()
        also.cancel()


async def _say_everything(sample: Sample, site: str, box: str) -> int:
    async with sample.connected(name_of(site, box)) as connection, TaskGroup() as tasks:
        task = tasks.create_task(listen(connection, []))
        for each in SPOKEN:
            await connection.publish(
                Message(topic=f"plantroom/v1/{site}/{box}/{each}", payload=b"{}")
            )
        task.cancel()
    return len(SPOKEN)


async def test_no_box_takes_anothers_name(sample: Sample) -> None:
    victim, thief = name_of(*BOXES[0]), name_of(*BOXES[1])
    async with sample.connected(victim) as connection, TaskGroup() as tasks:
        task = tasks.create_task(listen(connection, []))
        async with sample.connected(thief, client_id=victim) as other:
            message = Message(topic="plantroom/v1/riverside/b1/event/r", payload=b"{}")
            with pytest.raises((Refused, LinkLost)):
                await other.publish(message)
        await connection.publish(message)
        assert not task.done(), "still linked"
        task.cancel()


async def test_without_a_certificate_nobody_is_let_in(sample: Sample) -> None:
    bare = UplinkSpec(
        id="x",
        host="127.0.0.1",
        port=sample.port,
        tls=TlsSpec(ca_file=sample.folder / "certs" / "ca.crt"),
    )
    with pytest.raises((Unreachable, LinkLost)):
        await Connection.open(bare, Dialler(), client_id="x", will=None, timeout_s=3)


async def test_tls_older_than_1_2_is_refused(sample: Sample) -> None:
    context = ssl.create_default_context(cafile=str(sample.folder / "certs" / "ca.crt"))
    context.load_cert_chain(
        sample.folder / "certs" / "cloud.crt", sample.folder / "certs" / "cloud.key"
    )
    context.set_ciphers("ALL:@SECLEVEL=0")  # else our own library refuses before the broker can
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await asyncio.open_connection("127.0.0.1", sample.port, ssl=context)


async def test_the_cloud_hears_everything_and_says_nothing(sample: Sample) -> None:
    heard: list[Arrival] = []
    async with sample.connected("cloud") as connection, TaskGroup() as tasks:
        task = tasks.create_task(listen(connection, heard))
        await connection.subscribe("plantroom/v1/#")
        await _say_everything(sample, *BOXES[0])
        await until(lambda: len({each.topic for each in heard}) >= len(SPOKEN))
        with pytest.raises(Refused):
            await connection.publish(
                Message(topic="plantroom/v1/riverside/b1/cmd/ack", payload=b"{}")
            )
        task.cancel()
