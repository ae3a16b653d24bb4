"""Power cuts from the log of what the store wrote; `benchmarks.outbox_cuts` makes them by the thousand."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator

import pytest

from agent.core.effects import EventKind
from agent.outbox.records import EventRecord
from benchmarks.outbox_cuts import (
    Acknowledged,
    Score,
    record_run,
    record_stock,
    try_cuts,
    try_stock_cuts,
)
from benchmarks.outbox_writes import Act, Model, Op, Sync, left_after

STATES, CONTROLS = 75, 15


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """A thousand starts each tell what they found; the verdicts tell it again."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_cut_loses_what_was_accepted_nor_hides_a_gap_nor_refuses_a_start(
    seed: int,
) -> None:
    ops = await record_run(seed)
    gone = [each for each in ops if each.act is Act.UNLINK and "telemetry/seg-" in each.path]
    assert gone, "the run has to drop something"
    for model in Model:
        score = Score()
        await try_cuts(ops, model, STATES, seed, score)
        assert score.states == STATES
        assert score.bad == 0, score.worst


@pytest.mark.parametrize("left_out", Sync)
async def test_without_any_one_of_its_syncs_the_store_is_caught(left_out: Sync) -> None:
    ops = await record_run(3, left_out)
    score = Score()
    await try_cuts(ops, Model.CACHE, CONTROLS, 3, score)
    assert score.bad


@pytest.mark.parametrize("model", Model)
def test_stock_tinydb_is_caught_by_the_same_cuts(model: Model) -> None:
    score = Score()
    try_stock_cuts(record_stock(0), model, 100, 0, score)
    assert score.refused


def test_what_was_synced_is_in_every_state_and_what_was_not_in_some() -> None:
    ops = [
        Op(Act.CREATE, file=1, path="a"),
        Op(Act.WRITE, file=1, data=b"s" * 1024),
        Op(Act.SYNC, file=1),
        Op(Act.SYNC_DIRECTORY),
        Op(Act.WRITE, file=1, offset=1024, data=b"u" * 1024),
        Op(Act.CREATE, file=2, path="b"),
    ]
    states = [left_after(ops, 6, Model.CACHE, random.Random(seed)) for seed in range(60)]
    assert all(each["a"].startswith(b"s" * 1024) for each in states)
    assert {each["a"][1024:].strip(b"\0") for each in states} >= {b"", b"u" * 512, b"u" * 1024}
    assert {"b" in each for each in states} == {True, False}


async def test_the_recorded_run_really_has_acknowledgements_and_overflow_in_it() -> None:
    ops = await record_run(4)
    taken = [each.mark.record for each in ops if isinstance(each.mark, Acknowledged)]
    assert len(taken) > 50
    events = [each for each in taken if isinstance(each, EventRecord)]
    kinds = {each.event.kind for each in events}
    assert {EventKind.ALARM, EventKind.STREAM, EventKind.GAP} <= kinds
