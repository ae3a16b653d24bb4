"""Alarm memory over a restart: the snapshot at the start if it comes in time, the rest when it comes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from agent.app.health import Health
from agent.core.effects import AlarmState
from agent.core.memory import NO_ORDERS, AlarmSnapshot, LogPosition, apply_event, orders_after
from agent.outbox.outbox import Outbox
from agent.pipeline import Pipeline

_log = logging.getLogger(__name__)

MEMORY_LIMIT_S = 1.0
"""Start does not wait longer for the alarm memory (design section 3)."""

HELD_TOLD_S = 5.0
"""So long after the start people are told why what cuts stays cut: recovery takes 2 s (design section 10)."""


async def load_memory(outbox: Outbox) -> AlarmSnapshot | None:
    """Return the alarm memory, or None when it did not come in time (it is merged later)."""
    try:
        async with asyncio.timeout(MEMORY_LIMIT_S):
            return await outbox.load_snapshot()
    except TimeoutError:
        _log.error("alarm memory did not come within %.1f s; merged later", MEMORY_LIMIT_S)
        return None
    except Exception:  # noqa: BLE001 - damage must never refuse the start (design section 7)
        _log.exception("alarm memory cannot be read; what the log knows is merged later")
        return None


async def merge_memory(
    outbox: Outbox, early: AlarmSnapshot | None, pipeline: Pipeline, health: Health
) -> None:
    """Bring in what the log knows beyond the snapshot, once the log has been recovered, and say so.

    With it the memory is whole: what cuts or shuts may restore. While the log cannot be recovered it
    stays as it is, and the outbox is a fault.
    """
    snapshot, fault = early, ""
    telling = asyncio.get_running_loop().call_later(
        HELD_TOLD_S,
        _log.error,
        "the event log is not recovered: no cut-off and no valve is told to restore",
    )
    try:
        try:
            snapshot = early if early is not None else await outbox.load_snapshot()
        except Exception as error:  # noqa: BLE001 - as above; it is a fault, not an end
            fault = f"alarm memory cannot be read: {type(error).__name__}"
        records = await outbox.recovered()
    finally:
        telling.cancel()
    before = {memory.rule: memory for memory in snapshot.memories} if snapshot else {}
    memories = dict(before)
    orders = snapshot.orders if snapshot else NO_ORDERS
    position = snapshot.position if snapshot else None
    for record in records:
        apply_event(memories, record.event)
        orders = orders_after(orders, record.event)
        position = LogPosition(stream=record.stream, seq=record.seq)
    if early is not None:
        ended = [
            replace(each, state=AlarmState.NORMAL, is_silenced=False)
            for rule, each in before.items()
            if rule not in memories
        ]
        news = [each for rule, each in memories.items() if before.get(rule) != each]
        pipeline.restore([*ended, *news], orders, position)
    else:
        pipeline.restore(list(memories.values()), orders, position)
    fault = fault or outbox.stats().fault
    health.tell("box.outbox", not fault, fault)
