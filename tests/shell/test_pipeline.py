"""The pipeline: one owner of the engine, outputs first, nothing dropped without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agent.core.effects import (
    AlarmState,
    AlarmView,
    Command,
    CommandName,
    Event,
    EventKind,
    SetOutput,
)
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, AlarmSnapshot
from agent.core.spec import (
    AlarmClass,
    Contact,
    Linkage,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
    TelemetryMode,
    TelemetryPolicy,
)
from agent.outbox.records import EventRecord, OutboxStats
from agent.pipeline import HEALTH_POINT, Inbox, Pipeline
from drivers.clock import ManualClock, SystemClock
from drivers.reading import Quality, Reading, Value

SITE = SiteSpec(
    site="riverside",
    box="box",
    points=(
        PointSpec(
            id="smoke",
            kind=PointKind.SMOKE,
            is_contact=True,
            telemetry=TelemetryPolicy(mode=TelemetryMode.EVERY),
        ),
        PointSpec(id=HEALTH_POINT, kind=PointKind.HEALTH, is_contact=True, stale_after_s=1e9),
    ),
    rules=(
        RuleSpec(id="fire", alarm_class=AlarmClass.FIRE, condition=Contact(point="smoke")),
        RuleSpec(
            id="overflow",
            alarm_class=AlarmClass.FAULT,
            condition=Contact(point=HEALTH_POINT, is_active=False),
            needs_ack=False,
        ),
    ),
    outputs=(OutputSpec(id="siren", kind=OutputKind.SIREN),),
    linkages=(Linkage(id="all", outputs=("siren",), classes=(AlarmClass.FIRE,)),),
)


class Shell:
    """Everything the pipeline hands on, in the order it came."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.telemetry: list[Reading] = []
        self.snapshots: list[AlarmSnapshot] = []

    def set_output(self, effect: SetOutput) -> None:
        self.said.append(("output", f"{effect.output} {effect.is_active}"))

    def show_state(self, reading: Reading) -> None:
        self.said.append(("state", reading.point))

    def show_alarm(self, alarm: AlarmView) -> None:
        self.said.append(("alarm", alarm.rule))

    def append(self, event: Event) -> EventRecord:
        self.said.append(("event", event.subject))
        self.events.append(event)
        return EventRecord(id="x", stream="s", seq=len(self.events), boot="b", event=event)

    def add(self, reading: Reading) -> None:
        self.said.append(("telemetry", reading.point))
        self.telemetry.append(reading)

    def stats(self) -> OutboxStats:
        raise NotImplementedError

    def alarms_to(self, state: AlarmState) -> list[str]:
        return [
            each.rule
            for each in self.events
            if each.kind is EventKind.ALARM and each.to_state == state
        ]


def reading(value: Value, clock: ManualClock | SystemClock, point: str = "smoke") -> Reading:
    return Reading(point=point, value=value, quality=Quality.GOOD, unit="", at=clock.stamp())


def make(
    clock: ManualClock | SystemClock, inbox: Inbox, memories: Sequence[AlarmMemory] = ()
) -> tuple[Pipeline, Shell, list[int]]:
    shell = Shell()
    beats: list[int] = []
    pipeline = Pipeline(
        Engine(SITE, memories),
        inbox,
        clock,
        shell,
        shell,
        save_snapshot=shell.snapshots.append,
        beat=lambda: beats.append(1),
    )
    return pipeline, shell, beats


@asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pipeline.run(), name="pipeline")
        try:
            yield
        finally:
            task.cancel()


async def test_outputs_go_first_then_events_then_telemetry(clock: ManualClock) -> None:
    inbox = Inbox()
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    shell.said.clear()
    inbox.post([reading(True, clock)])
    pipeline.drain()
    kinds = [kind for kind, _ in shell.said]
    assert shell.said[0] == ("output", "siren True")
    assert kinds.index("event") < kinds.index("telemetry") < kinds.index("state")


async def test_an_alarm_event_has_the_snapshot_saved_once_a_round(clock: ManualClock) -> None:
    inbox = Inbox()
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    pipeline.restore([])  # memory is whole
    for value in (True, False, True):
        inbox.post([reading(value, clock)])
    pipeline.drain()
    (snapshot,) = shell.snapshots
    assert [each.rule for each in snapshot.memories] == ["fire"]
    assert snapshot.position is not None
    assert snapshot.position.seq == len(shell.events)


async def test_a_full_inbox_drops_the_oldest_and_a_fault_says_so_until_it_is_empty(
    clock: ManualClock,
) -> None:
    inbox = Inbox(most_readings=10)
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    for _ in range(25):
        inbox.post([reading(False, clock)])
    inbox.post([reading(True, clock)])
    assert inbox.dropped_readings == 16
    pipeline.drain()
    assert "fire" in shell.alarms_to(AlarmState.ACTIVE_UNACKED), "the newest must be judged"
    assert "overflow" in shell.alarms_to(AlarmState.ACTIVE_UNACKED)
    inbox.post([reading(True, clock)])
    pipeline.drain()
    assert "overflow" in shell.alarms_to(AlarmState.NORMAL)


async def test_one_block_larger_than_the_inbox_is_judged_all_the_same(clock: ManualClock) -> None:
    inbox = Inbox(most_readings=3)
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    inbox.post([reading(False, clock)] * 5)
    pipeline.drain()
    assert len(shell.telemetry) == 5
    assert inbox.dropped_readings == 0


async def test_what_waits_is_not_taken_for_silence(clock: ManualClock) -> None:
    """500 readings fill a round; the one behind them says that the point was heard of all along."""
    inbox = Inbox()
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    inbox.post([reading(False, clock)] * 500)
    heard = clock.advance(29.0)
    inbox.post([Reading(point="smoke", value=False, quality=Quality.GOOD, unit="", at=heard)])
    clock.advance(2.0)
    pipeline.drain()
    assert all(each.quality is Quality.GOOD for each in shell.telemetry)


async def test_a_command_is_carried_out_at_once(clock: ManualClock) -> None:
    inbox = Inbox()
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    inbox.post([reading(True, clock)])
    pipeline.drain()
    command = Command(id="1", name=CommandName.ACK, actor="Li", origin="cli", target="fire")
    assert pipeline.command(command).ok
    assert "fire" in shell.alarms_to(AlarmState.ACTIVE_ACKED)


async def test_late_memory_brings_back_a_latch_and_its_siren(clock: ManualClock) -> None:
    inbox = Inbox()
    pipeline, shell, _ = make(clock, inbox)
    pipeline.start()
    memory = AlarmMemory(rule="fire", state=AlarmState.LATCHED_UNACKED, since_wall_ms=1)
    pipeline.restore([memory])
    assert ("output", "siren True") in shell.said


async def test_it_wakes_for_readings_and_beats_while_nothing_comes() -> None:
    clock = SystemClock()
    inbox = Inbox()
    pipeline, shell, beats = make(clock, inbox)
    pipeline.start()
    async with running(pipeline):
        async with asyncio.timeout(5):
            inbox.post([reading(True, clock)])
            await pipeline.next_round()
            assert "fire" in shell.alarms_to(AlarmState.ACTIVE_UNACKED)
            await pipeline.next_round()
    assert len(beats) >= 2
    assert pipeline.readings == 1
