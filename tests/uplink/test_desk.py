"""What a desk carries out, what it refuses, and what it remembers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.effects import EventKind, Outcome
from agent.uplink.desk import BURST, REFUSAL_BURST, Asked, holding_rules
from agent.uplink.request import MOST_BYTES
from agent.uplink.spec import CommandsSpec
from agent.uplink.taken import TakenCommands
from drivers.clock import ClockState
from tests.uplink.commands import CUTTING, IDENTITY, Room, payload


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


async def test_a_command_goes_through_the_one_door_and_its_outcome_comes_back(room: Room) -> None:
    room.outcome = Outcome(ok=False, code="not_active", message="there is nothing to do it to")
    answer = await room.ask("ack", payload(room.clock, args={"target": "shed-fire"}))
    assert answer is not None
    assert (answer.id, answer.outcome) == ("c1", room.outcome)
    (done,) = room.done
    assert (done.name, done.target, done.actor) == ("ack", "shed-fire", "duty officer")
    assert (done.origin, done.identity, done.is_on_the_spot) == ("mqtt", IDENTITY, False)


async def test_a_snapshot_shows_everything_anew_and_leaves_its_event(room: Room) -> None:
    assert await room.code("snapshot") == "done"
    assert (room.shown, room.done) == (1, [])
    (event,) = room.events
    assert (event.kind, event.to_state, event.code) == (EventKind.COMMAND, "snapshot", "done")
    assert (event.actor, event.detail["identity"]) == ("duty officer", IDENTITY)


async def test_refusals_say_why_and_leave_an_event_each(tmp_path: Path) -> None:
    room = Room(tmp_path, site=CUTTING, spec=CommandsSpec(allow=("ack", "reset", "drill")))
    now = room.clock.stamp().wall_ms
    cases = (
        ("retained", "ack", payload(room.clock), True),
        ("not_on_spot", "restore", payload(room.clock), False),
        ("bad_argument", "explode", payload(room.clock), False),
        ("not_allowed", "output", payload(room.clock, args={"target": "siren"}), False),
        ("not_allowed", "drill", payload(room.clock, args={"with_linkage": True}), False),
        ("too_large", "ack", b" " * (MOST_BYTES + 1), False),
        ("bad_argument", "ack", b"{}", False),
        ("expired", "ack", payload(room.clock, ts_ms=now - 61_000), False),
        ("expired", "ack", payload(room.clock, ts_ms=now + 61_000), False),
        ("too_long", "ack", payload(room.clock, valid_s=301), False),
        ("bad_argument", "ack", payload(room.clock, valid_s=0), False),
        ("bad_argument", "ack", payload(room.clock, valid_s=-5), False),
        ("not_on_spot", "reset", payload(room.clock, args={"target": "shed-fire"}), False),
        ("not_on_spot", "reset", payload(room.clock), False),
    )
    for number, (code, name, body, is_retained) in enumerate(cases):
        answer = await room.ask(name, body, is_retained=is_retained)
        assert answer is not None
        assert answer.outcome.code == code, number
        assert answer.id == ("c1" if body.startswith(b'{"schema"') else "")
        assert room.events[-1].code == code
        assert room.events[-1].detail["identity"] == IDENTITY
    assert len(room.events) == len(cases)
    assert not room.done
    assert await room.code("ack") == "done", "the rest goes on"


def test_only_rules_that_hold_a_cut_off_or_valve_are_kept_from_the_cloud() -> None:
    assert holding_rules(CUTTING) == {"shed-fire"}
    by_hand = [replace(each, is_restored_by_hand=True) for each in CUTTING.outputs]
    assert not holding_rules(replace(CUTTING, outputs=tuple(by_hand))), "a reset restores nothing"


async def test_a_command_sent_twice_is_carried_out_once(room: Room) -> None:
    assert await room.code("ack") == "done"
    again = await room.ask("ack")
    assert again is not None
    assert (again.outcome.ok, again.outcome.code) == (True, "repeated")
    assert "done" in again.outcome.message
    assert len(room.done) == 1


async def test_a_command_sent_again_after_a_restart_is_carried_out_once(room: Room) -> None:
    body = payload(room.clock, args={"target": "shed-fire"})
    assert await room.code("reset", body) == "done"
    room.clock.advance(30)
    room.start()
    again = await room.ask("reset", body)
    assert again is not None
    assert (again.outcome.ok, again.outcome.code) == (True, "repeated")
    assert len(room.done) == 1


async def test_a_command_the_agent_died_in_is_not_carried_out_again(room: Room) -> None:
    body = payload(room.clock, args={"target": "shed-fire"})
    known: list[bool] = []

    async def die(*_: object) -> Outcome:
        known.append(True)
        raise ConnectionAbortedError

    room.submit = die  # type: ignore[method-assign, assignment]
    room.start()
    with pytest.raises(ConnectionAbortedError):
        await room.ask("reset", body)
    del room.submit
    room.start()
    again = await room.ask("reset", body)
    assert again is not None
    assert (again.outcome.ok, again.outcome.code) == (False, "repeated")
    assert known == [True]
    assert not room.done


@pytest.mark.parametrize("damage", ["gone", "broken"])
async def test_without_its_memory_it_takes_nothing_that_may_have_been_done(
    room: Room, damage: str
) -> None:
    body = payload(room.clock, args={"target": "shed-fire"}, valid_s=200)
    assert await room.code("reset", body) == "done"
    path = room.folder / "uplinks" / "commands.json"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])
    room.clock.advance(10)
    room.start()
    assert await room.code("reset", body) == "expired"
    assert len(room.done) == 1
    assert await room.code("reset", payload(room.clock, "c2")) == "done"


async def test_a_new_box_takes_its_first_command_however_long_it_was_under_way(room: Room) -> None:
    body = payload(room.clock, args={"target": "shed-fire"})
    room.clock.advance(5)
    assert await room.code("reset", body) == "done"


async def test_a_clock_that_is_set_later_lets_nothing_in_that_is_older_than_the_start(
    room: Room,
) -> None:
    room.clock.state = ClockState.UNSYNCED
    room.start()
    room.clock.advance(30)
    assert await room.code("ack") == "done"
    room.clock.state = ClockState.SYNCED
    now_ms = room.clock.stamp().wall_ms
    for before_ms, code in ((31_000, "expired"), (29_000, "done")):
        body = payload(room.clock, f"c{before_ms}", ts_ms=now_ms - before_ms, valid_s=200)
        assert await room.code("reset", body) == code


async def test_two_uplinks_that_hear_their_first_command_at_once_both_know_what_was_taken(
    room: Room,
) -> None:
    body = payload(room.clock, args={"target": "shed-fire"})
    assert await room.code("reset", body) == "done"
    room.start()  # after it the memory is on the disk only
    taken = TakenCommands(room.folder / "uplinks" / "commands.json")
    desks = [room.make_desk(room.clock, taken) for _ in range(2)]
    asked = Asked(name="reset", payload=body)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(each.take(asked, room.show_all)) for each in desks]
    answers = [each.result() for each in both]
    assert [each.outcome.code for each in answers if each is not None] == ["repeated"] * 2
    assert len(room.done) == 1


async def test_what_the_disk_cannot_remember_is_refused_unless_it_is_harmless(
    room: Room,
) -> None:
    (room.folder / "uplinks").write_text("a file where the folder belongs", "utf-8")
    assert await room.code("reset", payload(room.clock, "c2")) == "not_recorded"
    assert await room.code("ack", payload(room.clock, "c3")) == "done"
    assert [each.name for each in room.done] == ["ack"]
    assert await room.code("reset", payload(room.clock, "c2")) == "not_recorded", "may be retried"


async def test_without_a_clock_only_what_is_harmless_is_done(room: Room) -> None:
    room.clock.state = ClockState.UNSYNCED
    for name, code in (
        ("ack", "done"),
        ("silence", "done"),
        ("snapshot", "done"),
        ("reset", "clock_unsynced"),
        ("inhibit", "clock_unsynced"),
        ("output", "clock_unsynced"),
        ("drill", "clock_unsynced"),
        ("mode", "clock_unsynced"),
    ):
        # Made by somebody who knows the time: here it is years later.
        body = payload(room.clock, name, ts_ms=room.clock.stamp().wall_ms + 10**11)
        assert await room.code(name, body) == code
    assert [each.name for each in room.done] == ["ack", "silence"]


async def test_more_than_the_rate_is_refused_and_comes_again_later(room: Room) -> None:
    for number in range(BURST):
        assert await room.code("ack", payload(room.clock, f"c{number}")) == "done"
    assert await room.code("ack", payload(room.clock, "late")) == "too_fast"
    room.clock.advance(1.5)
    assert await room.code("ack", payload(room.clock, "late")) == "done"


async def test_a_flood_of_refusals_costs_few_events_and_is_told_in_numbers(room: Room) -> None:
    answers = [await room.ask("ack", b"nonsense") for _ in range(1000)]
    assert len([each for each in answers if each is not None]) == REFUSAL_BURST
    assert len(room.events) == REFUSAL_BURST
    assert await room.code("ack") == "done", "a good one is not held up by bad ones"
    room.desk.tell_untold()
    assert room.events[-1].detail["untold"] == 1000 - REFUSAL_BURST
    room.desk.tell_untold()
    assert len(room.events) == REFUSAL_BURST + 1


async def test_ids_are_forgotten_when_their_command_could_not_come_any_more(room: Room) -> None:
    for number in range(50):
        assert await room.code("ack", payload(room.clock, f"c{number}")) == "done"
        room.clock.advance(60)
    size = (room.folder / "uplinks" / "commands.json").stat().st_size
    assert size < 1500
