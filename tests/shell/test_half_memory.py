"""The pipeline before all alarm memory has come, and time behind a backlog longer than one go."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.core.effects import (
    AlarmState,
    AlarmView,
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
    Unheard,
)
from agent.outbox.records import EventRecord, OutboxStats
from agent.pipeline import HEALTH_POINT, Inbox, Pipeline
from drivers.clock import ManualClock
from drivers.reading import Quality, Reading, Value

EVERY = TelemetryPolicy(mode=TelemetryMode.EVERY)


def contact(name: str, **more: object) -> PointSpec:
    plain = PointSpec(id=name, kind=PointKind.GENERIC, is_contact=True, telemetry=EVERY)
    return replace(plain, **more)  # type: ignore[arg-type]


def rule(name: str, point: str, **more: object) -> RuleSpec:
    plain = RuleSpec(id=name, alarm_class=AlarmClass.SUPERVISORY, condition=Contact(point=point))
    return replace(plain, **more)  # type: ignore[arg-type]


SITE = SiteSpec(
    site="s",
    box="b",
    points=(contact("smoke"), contact("heat"), contact(HEALTH_POINT, stale_after_s=1e9)),
    rules=(
        rule("fire", "smoke", alarm_class=AlarmClass.FIRE),
        rule("warm", "heat", is_latched=True),
        rule("fault.smoke", "smoke", condition=Unheard(point="smoke"), on_delay_s=5.0),
        rule(
            "fault.box.pipeline",
            HEALTH_POINT,
            condition=Contact(point=HEALTH_POINT, is_active=False),
        ),
    ),
    outputs=(
        OutputSpec(id="siren", kind=OutputKind.SIREN),
        OutputSpec(id="cut", kind=OutputKind.CUT_OFF),
    ),
    linkages=(
        Linkage(id="l", rules=("fire",), outputs=("siren",)),
        Linkage(id="m", rules=("warm",), outputs=("cut",)),
    ),
)


class Shell:
    """What the pipeline hands on, in order; outlets and writer in one."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.outputs: dict[str, bool] = {}
        self.events: list[Event] = []
        self.snapshots: list[AlarmSnapshot] = []
        self.beats = 0

    def set_output(self, effect: SetOutput) -> None:
        self.order.append("output")
        self.outputs[effect.output] = effect.is_active

    def show_state(self, reading: Reading) -> None:
        self.order.append("state")

    def show_alarm(self, alarm: AlarmView) -> None:
        self.order.append("alarm")

    def append(self, event: Event) -> EventRecord:
        self.order.append("event")
        self.events.append(event)
        return EventRecord(id="i", stream="now", seq=len(self.events), boot="b", event=event)

    def add(self, reading: Reading) -> None:
        self.order.append("telemetry")

    def stats(self) -> OutboxStats:
        raise NotImplementedError

    def beat(self) -> None:
        self.beats += 1

    def moves(self, rule_id: str) -> list[str]:
        return [
            each.to_state
            for each in self.events
            if each.kind is EventKind.ALARM and each.rule == rule_id
        ]


class Bench:
    def __init__(self, clock: ManualClock, most_readings: int = 1000) -> None:
        self.clock = clock
        self.shell = Shell()
        self.inbox = Inbox(most_readings)
        self.engine = Engine(SITE, is_memory_whole=False)
        self.pipeline = Pipeline(
            self.engine,
            self.inbox,
            clock,
            self.shell,
            self.shell,
            save_snapshot=self.shell.snapshots.append,
            beat=self.shell.beat,
        )
        self.pipeline.start()

    def reading(self, point: str, value: Value) -> Reading:
        return Reading(
            point=point, value=value, quality=Quality.GOOD, unit="", at=self.clock.stamp()
        )

    def post(self, point: str, value: Value) -> None:
        self.inbox.post([self.reading(point, value)])


def test_what_waits_is_heard_before_its_point_is_called_silent(clock: ManualClock) -> None:
    bench = Bench(clock)
    for _ in range(600):  # more than is judged in one go, over ten minutes
        clock.advance(1.0)
        bench.post("smoke", False)
    bench.pipeline.drain()
    assert bench.shell.moves("fault.smoke") == []


def test_no_snapshot_is_saved_before_memory_is_whole_and_then_one_with_all_of_it(
    clock: ManualClock,
) -> None:
    bench = Bench(clock)
    bench.post("smoke", True)
    bench.pipeline.drain()
    assert bench.shell.snapshots == []
    bench.pipeline.restore(
        [AlarmMemory(rule="warm", state=AlarmState.LATCHED_ACKED, since_wall_ms=5)]
    )
    bench.post("smoke", True)
    bench.pipeline.drain()
    (snapshot,) = bench.shell.snapshots
    assert {each.rule for each in snapshot.memories} == {"fire", "warm"}
    assert snapshot.position is not None
    assert snapshot.position.stream == "now"


def test_a_cut_off_is_told_to_restore_only_with_the_whole_memory(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.post("heat", False)
    bench.pipeline.drain()
    assert bench.shell.outputs == {"siren": False}
    bench.pipeline.restore([])
    assert bench.shell.outputs == {"siren": False, "cut": False}


async def test_time_passes_without_readings_and_each_round_beats(clock: ManualClock) -> None:
    bench = Bench(clock)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.pipeline.run(), name="pipeline")
        await bench.pipeline.next_round()
        clock.advance(40.0)
        bench.inbox.wake.set()
        await bench.pipeline.next_round()
        running.cancel()
    assert bench.shell.moves("fault.smoke") == ["active_unacked"]
    assert bench.shell.beats >= 2
