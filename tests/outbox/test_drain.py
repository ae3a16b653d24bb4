"""A backlog on its way out, in small; `benchmarks.outbox_drain` has it at full size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.outbox.records import EventRecord
from agent.uplink.completeness import Ledger
from agent.uplink.decode import EventSeen
from benchmarks.event_log import Known, Place, disagreements, journal_of
from benchmarks.figures import quantile
from benchmarks.outbox_drain import Run, drain
from tests.outbox.room import event, make, running, take_events

NEAR = Run(name="near", rtt_s=0.0, records=400, record_readings=20, mark=0.0)
FAR = Run(name="far", rtt_s=0.2, records=100, record_readings=200, mark=0.0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("run", [NEAR, FAR], ids=lambda run: run.name)
async def test_a_backlog_arrives_once_as_the_consumer_proves_and_events_overtake_it(
    need: Callable[[str], str], tmp_path: Path, run: Run
) -> None:
    need("mosquitto")
    drained = await drain(tmp_path, run)
    assert drained.due.batches == run.records
    assert drained.proven.is_whole(drained.due), drained
    assert drained.proven.events == len(drained.waits_s) + 4, "and the openings of two runs"
    assert not drained.unanswered
    # the mark of 1 s is for a quiet machine; behind the whole backlog they would wait longer
    assert quantile(drained.waits_s, 0.5) < 2.0


async def taken(directory: Path) -> list[EventRecord]:
    async with running(make(directory)) as outbox:
        for number in range(5):
            outbox.append(event(f"e{number}"))
        return await take_events(outbox.cursor("cloud"), 7)


def compared(directory: Path, heard: list[EventRecord]) -> list[str]:
    ledger = Ledger()
    known: dict[Place, Known] = {}
    for each in heard:
        ledger.hear(EventSeen(record=each, is_replay=True))
        known[each.stream, each.seq] = Known(each.id, each.is_durable)
    return disagreements(journal_of(directory / "box"), known, ledger.proofs())


async def test_event_log_and_consumer_agree_on_what_was_sent_and_on_what_is_still_to_come(
    tmp_path: Path,
) -> None:
    heard = await taken(tmp_path)
    assert compared(tmp_path, heard) == []
    assert compared(tmp_path, heard[:-1]) == [], "the last may still be on its way"


async def test_what_only_one_of_event_log_and_consumer_knows_is_found(tmp_path: Path) -> None:
    heard = await taken(tmp_path)
    (unheard,) = compared(tmp_path, [*heard[:3], *heard[4:]])
    assert "not heard" in unheard
    made_up = replace(heard[-1], seq=heard[-1].seq + 1)
    (unkept,) = compared(tmp_path, [*heard, made_up])
    assert "not in the event log" in unkept
    assert not compared(tmp_path, [*heard, replace(made_up, is_durable=False)])
    (other,) = compared(tmp_path, [*heard[:-1], replace(heard[-1], id="another")])
    assert "another as heard" in other
