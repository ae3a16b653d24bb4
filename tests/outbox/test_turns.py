"""Whose turn it is on the writer thread: nothing that is due waits for ever, and events wait least."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox.contract import WINDOW
from agent.outbox.files import Files
from agent.outbox.turns import EVENTS, Turns
from drivers.tasks import TaskGroup
from tests.outbox.room import event, make, reading, running, take_events, until

NAMES = (EVENTS, "telemetry", "positions", "snapshot", "room")


@given(st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.booleans()), max_size=60))
def test_what_is_due_all_the_time_has_its_turn_soon_whatever_else_is_due(
    rounds: list[tuple[set[str], bool]],
) -> None:
    turns = Turns()
    waits = dict.fromkeys(NAMES, 0)
    for names, is_pressing in rounds:
        if not names:
            continue
        due = [each for each in NAMES if each in names]
        name = turns.next(due, is_pressing=is_pressing)
        assert name in due
        for each in NAMES:
            waits[each] = waits[each] + 1 if each in names and each != name else 0
        assert waits[EVENTS] <= 3
        # each of the others once, with events and positions in front of it
        assert max(waits.values()) <= 4 * (len(NAMES) - 1)


def test_positions_go_out_of_turn_but_not_twice_running_while_an_uplink_waits_for_them() -> None:
    turns = Turns()
    due = [EVENTS, "telemetry", "positions", "room"]
    found = [turns.next(due, is_pressing=True) for _ in range(8)]
    assert found[::2] == ["positions"] * 4
    assert found[1::2] == [EVENTS, "telemetry", EVENTS, "room"]


class SlowDisk(Files):
    def sync_data(self, fd: int) -> None:
        super().sync_data(fd)
        time.sleep(0.03)


async def test_telemetry_gets_to_disk_while_a_backlog_of_events_leaves_faster_than_the_disk(
    tmp_path: Path,
) -> None:
    box = make(tmp_path, commit_interval_s=0.4, batch_readings=1, files=SlowDisk())
    async with running(box, close_s=None), TaskGroup() as tasks:
        cursor = box.cursor("cloud")
        await take_events(cursor, 2)
        for _ in range(3000):
            box.append(event())
        await until(lambda: not box._events.queue.has_unwritten)

        async def send() -> None:
            while True:
                for each in await cursor.take_events(WINDOW - cursor.unsaved()):
                    cursor.done(each)
                await asyncio.sleep(0)

        async def happen() -> None:
            while True:
                box.append(event())
                await asyncio.sleep(0.02)

        working = [
            tasks.create_task(send(), name="send"),
            tasks.create_task(happen(), name="happen"),
        ]
        await asyncio.sleep(0.3)
        box.add(reading())
        await until(lambda: not box._telemetry.queue.has_unwritten, 2)
        assert cursor.unsent() > 1000
        for each in working:
            each.cancel()
