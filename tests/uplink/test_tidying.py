"""What a site does not have any more does not stand at the broker for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.uplink.notes import Note
from agent.uplink.tidying import forget_removed, note_path
from tests.uplink.broker import Broker
from tests.uplink.conftest import MakeBroker
from tests.uplink.rig import running, until, witness
from tests.uplink.samples import SITE, alarm, reading

HOME = "plantroom/v1/riverside/b1"
WITHOUT = replace(SITE, points=SITE.points[1:])
"""The site after the pressure sensor was taken out."""
GONE = f"{HOME}/state/{SITE.points[0].id}"


def note(folder: Path) -> Note:
    return Note(folder / "uplinks" / "retained-cloud.json")


async def test_the_state_of_a_removed_point_is_cleared_and_nothing_else(
    broker: Broker, tmp_path: Path
) -> None:
    async with running(broker.port, note=note(tmp_path)) as rig:
        rig.board.put_state(reading(400.0))
        rig.board.put_alarm(alarm())
        await until(lambda: rig.uplink.stats().publishes == 4)
    async with running(broker.port, note=note(tmp_path), site=WITHOUT) as rig:
        await until(lambda: rig.is_up)
        async with witness(broker.port) as late:
            await until(lambda: len(late.heard) == 3)
            assert {each.address.channel.value for each in late.heard} == {
                "status", "meta", "alarm",
            }  # fmt: skip


async def test_once_cleared_it_is_not_cleared_again(broker: Broker, tmp_path: Path) -> None:
    async with running(broker.port, note=note(tmp_path)) as rig:
        await until(lambda: rig.is_up)
    for expected in (3, 2, 2):  # birth, description, and once the clearing
        async with running(broker.port, note=note(tmp_path), site=WITHOUT) as rig:
            await until(lambda: rig.is_up)
            assert rig.uplink.stats().publishes == expected


async def test_it_is_noted_before_it_is_published(broker: Broker, tmp_path: Path) -> None:
    """Killed at any moment, the next run knows all that may stand there."""
    async with running(broker.port, note=note(tmp_path)) as rig:
        await until(lambda: rig.is_up)
        table = await note(tmp_path).load()
        assert table is not None
        assert GONE in table["topics"]


async def test_a_clearing_the_broker_refuses_is_tried_on_the_next_connection(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic readwrite {HOME}/#\n", "utf-8")
    broker = make_broker(f"acl_file {rules}")
    async with running(broker.port, note=note(tmp_path)) as rig:
        rig.board.put_state(reading(400.0))
        await until(lambda: rig.uplink.stats().publishes == 3)
    rules.write_text(f"topic deny {GONE}\ntopic readwrite {HOME}/#\n", "utf-8")
    broker.reload()
    async with running(broker.port, note=note(tmp_path), site=WITHOUT) as rig:
        await until(lambda: rig.uplink.stats().publish_failures == 1)
    rules.write_text(f"topic readwrite {HOME}/#\ntopic read plantroom/#\n", "utf-8")
    broker.reload()
    async with running(broker.port, note=note(tmp_path), site=WITHOUT) as rig:
        await until(lambda: rig.is_up)
        async with witness(broker.port) as late:
            await until(lambda: len(late.heard) == 2)
            assert {each.address.channel.value for each in late.heard} == {"status", "meta"}


@pytest.mark.parametrize("damage", ["a folder in its place", "broken", "unwritable"])
async def test_a_note_that_cannot_be_kept_holds_nothing_up(
    broker: Broker, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "uplinks" / "retained-cloud.json"
    if damage == "unwritable":
        path.parent.write_text("a file where the folder belongs", "utf-8")
    elif damage == "broken":
        path.parent.mkdir()
        path.write_bytes(b"no such note")
    else:
        path.mkdir(parents=True)
    async with running(broker.port, note=note(tmp_path)) as rig:
        await until(lambda: rig.is_up)


# -- uplinks that were taken out


async def noted(folder: Path, uplink: str, *topics: str) -> Path:
    path = note_path(folder, uplink)
    assert await Note(path).save({"topics": list(topics)})
    return path


async def test_the_note_of_an_uplink_that_was_taken_out_goes_and_its_topics_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stays = await noted(tmp_path, "cloud", f"{HOME}/status/box")
    gone = await noted(tmp_path, "old-cloud", f"{HOME}/status/box", GONE)
    other = tmp_path / "commands.json"
    other.write_text("ids", "utf-8")
    await forget_removed(tmp_path, ["cloud", "new-cloud"])
    assert sorted(tmp_path.iterdir()) == sorted([stays, other])
    assert not gone.exists()
    (told,) = caplog.messages
    assert "old-cloud" in told
    assert GONE in told


async def test_where_nothing_was_taken_out_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await forget_removed(tmp_path / "not there yet", ["cloud"])
    await noted(tmp_path, "cloud", GONE)
    await forget_removed(tmp_path, ["cloud"])
    assert not caplog.messages


async def test_a_note_that_cannot_be_removed_holds_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "retained-old.json").mkdir()
    await forget_removed(tmp_path, [])
    assert "stay in" in caplog.text
