"""A random life of a plant room, step by step beside a model that knows nothing of the agent.

The words of what must hold stand in tests/core/model.py; tests/core/witness.py holds each step against
them. No two things happen in the same moment here
(no delay is a multiple of the steps): which goes first then is told by tests/core/test_engine.py.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.core.effects import AlarmState, AlarmView, Event, EventKind
from agent.core.engine import Engine
from agent.core.memory import AlarmSnapshot, apply_event, orders_after
from agent.core.spec import (
    AlarmClass,
    Condition,
    Contact,
    Linkage,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    Side,
    SiteSpec,
    Threshold,
    Unheard,
)
from drivers.clock import ClockState, ManualClock
from tests.core.model import Known, Model, Written
from tests.core.timeline import POLL_S, World
from tests.core.witness import Witness

STEPS = int(os.environ.get("PLANTROOM_MODEL_STEPS", "2000"))
STEPS_OF_A_LIFE = 100
STALE_S = 9.13

EVERYTHING = ("siren", "buzzer", "strobe")
RULES = (
    Written("smoke", "fire", "smoke", "contact", off_s=3.31, parents=("bus-down",), outputs=(*EVERYTHING, "cut")),
    Written("call", "fire", "call", "contact", on_s=2.17, outputs=(*EVERYTHING, "cut")),
    Written("gas-high", "gas", "gas", "above", limit=25, deadband=5, on_s=1.19, outputs=EVERYTHING),
    Written("bus-down", "fault", "bus", "open", on_s=1.23, off_s=1.27, ending="alone", outputs=("buzzer",)),
    Written("heat-fault", "fault", "heat", "unheard", on_s=1.37, parents=("bus-down",), outputs=("buzzer",)),
    Written("heat-high", "supervisory", "heat", "above", limit=40, deadband=3, on_s=4.41, off_s=2.43,
            parents=("heat-fault",), outputs=("buzzer", "strobe", "fan")),
    Written("frost", "technical", "heat", "below", limit=5, deadband=1, ending="latched",
            parents=("heat-fault",), outputs=("strobe",)),
    Written("door", "technical", "door", "contact", off_s=0.71, outputs=()),
)  # fmt: skip
KINDS = {"siren": "siren", "buzzer": "buzzer", "strobe": "strobe", "cut": "cut-off", "fan": "relay"}
QUIET: dict[str, Known] = {
    "smoke": False,
    "call": False,
    "gas": 0.0,
    "bus": True,
    "heat": 21.0,
    "door": False,
}
ZONES = {"smoke": "hall", "call": "hall", "gas": "hall", "heat": "hall", "door": "yard"}
SAYS: dict[str, tuple[Known, ...]] = {
    "smoke": (True, True, False, False, None),
    "call": (True, True, False, False, None),
    "gas": (26.0, 26.0, 21.0, 0.0, None),
    "bus": (False, False, True, True, None),
    "heat": (41.0, 38.0, 21.0, 4.5, 5.5, None),
    "door": (True, True, False, False, None),
}
WHERE = st.sampled_from(range(6))
"""Which of the points that this life is about."""
COMMANDS = ("ack", "silence", "reset")
ACTORS = st.sampled_from(("anna", "bo"))


def condition_of(written: Written) -> Condition:
    match written.kind:
        case "contact" | "open":
            return Contact(point=written.point, is_active=written.kind == "contact")
        case "unheard":
            return Unheard(point=written.point)
        case side:
            return Threshold(
                point=written.point, side=Side(side), limit=written.limit, deadband=written.deadband
            )


def site_of(rules: tuple[Written, ...]) -> SiteSpec:
    points = dict.fromkeys(written.point for written in rules)
    return SiteSpec(
        site="s",
        box="box",
        points=tuple(
            PointSpec(
                id=point,
                kind=PointKind.GENERIC,
                stale_after_s=STALE_S,
                zone=ZONES.get(point, ""),
            )
            for point in points
        ),
        rules=tuple(
            RuleSpec(
                id=each.id,
                alarm_class=AlarmClass(each.klass),
                condition=condition_of(each),
                on_delay_s=each.on_s,
                off_delay_s=each.off_s,
                is_latched=each.ending == "latched",
                needs_ack=each.ending != "alone",
                suppressed_by=each.parents,
            )
            for each in rules
        ),
        outputs=tuple(OutputSpec(id=name, kind=OutputKind(kind)) for name, kind in KINDS.items()),
        linkages=tuple(
            Linkage(id=each.id, rules=(each.id,), outputs=each.outputs)
            for each in rules
            if each.outputs
        ),
    )


class Life(RuleBasedStateMachine):
    """What happens to a plant room."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(site_of(RULES))
        self.model = Model(
            RULES, KINDS, ZONES, STALE_S, POLL_S, self._wall, now_s=self.world.clock.mono_s()
        )
        self.witness = Witness({each.id: each for each in RULES}, ZONES)
        self.model.start()
        self.before = self._views()
        self.witness.begins_anew(self.before.values())
        self.saved = self.world.engine.snapshot(None)
        self.model.save()
        self.log: list[Event] = []
        """What was told since the snapshot."""
        self.coming: tuple[AlarmSnapshot | None, tuple[Event, ...]] | None = None
        """The memory that comes late: what was known at the start, and the log of then."""
        self.about = list(QUIET)
        self.order = ""
        self.code = ""
        for point, value in QUIET.items():
            self._read(point, value)

    # -- what is read, and time --------------------------------------------------------------------

    @initialize(about=st.lists(st.sampled_from(tuple(QUIET)), min_size=1, max_size=6, unique=True))
    def begins(self, about: list[str]) -> None:
        """Most of a life is about a few points: what can happen between them happens."""
        self.about = about

    @rule(where=WHERE, says=st.sampled_from(range(6)))
    def reads(self, where: int, says: int) -> None:
        point = self._point(where)
        self._read(point, SAYS[point][says % len(SAYS[point])])

    @rule(where=WHERE)
    def silent(self, where: int) -> None:
        point = self._point(where)
        self.world.values.pop(point, None)
        self.model.silent(point)

    @rule(seconds=st.sampled_from((0.5, 1.0, 1.5, 2.5, 5.0, 12.0)))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)
        self.model.advance(seconds)

    @rule(seconds=st.sampled_from((2.5, 12.0, 3600.0)), is_polled=st.booleans())
    def monotonic_clock_jumps(self, seconds: float, is_polled: bool) -> None:
        """The machine slept, or the loop hung: nobody looked for so long."""
        self.world.clock.advance(seconds)
        if is_polled:
            self.world.read(self.world.values)
        self.world.tick()
        self.model.hang(seconds, is_polled=is_polled)

    @rule(seconds=st.sampled_from((-3600.0, 3600.0, -20 * 365 * 86_400.0, 86_400.0)))
    def wall_clock_jumps(self, seconds: float) -> None:
        self.world.clock.step_wall(seconds)  # only what is left over a restart may follow it

    @rule(seconds=st.sampled_from((0.0, 86_400.0)))
    def clock_is_set(self, seconds: float) -> None:
        if self.world.clock.state is ClockState.UNSYNCED:
            self.world.clock.step_wall(seconds)
            self.world.clock.state = ClockState.SYNCED
        self.world.tick()
        self.model.clock_is_set()

    # -- what people do ----------------------------------------------------------------------------

    @rule(name=st.sampled_from(COMMANDS), where=st.none() | WHERE, actor=ACTORS)
    def person(self, name: str, where: int | None, actor: str) -> None:
        whom = "" if where is None else self._rules(where)[0]
        self._order(name, whom, actor)
        assert self.code == self.model.command(name, whom, actor)

    @rule(
        where=WHERE,
        is_point=st.booleans(),
        actor=ACTORS,
        seconds=st.sampled_from((3.77, 7.93, 31.61, 3601.57)),
    )
    def inhibit(self, where: int, is_point: bool, actor: str, seconds: float) -> None:
        whom = self._point(where) if is_point else self._rules(where)[-1]
        self._inhibit(whom, actor, "works", seconds)

    @rule(where=WHERE, actor=ACTORS)
    def uninhibit(self, where: int, actor: str) -> None:
        whom = self._point(where)
        self._order("uninhibit", whom, actor)
        assert self.code == self.model.uninhibit(whom)

    @rule(
        where=st.lists(WHERE, max_size=2),
        actor=ACTORS,
        seconds=st.sampled_from((5.87, 17.89, 3602.53)),
        with_linkage=st.booleans(),
    )
    def start_drill(self, where: list[int], actor: str, seconds: float, with_linkage: bool) -> None:
        scope = tuple(self._point(each) for each in where) or ("hall",)
        self._drill(scope, actor, seconds, with_linkage=with_linkage)

    @rule(actor=ACTORS)
    def stop_drill(self, actor: str) -> None:
        self._order("drill", "", actor, is_on=False)
        assert self.code == self.model.stop_drill()

    @rule(
        whom=st.sampled_from(("", "attic", "smoke", "bus")),
        reason=st.sampled_from(("works", "works", " ")),
        seconds=st.sampled_from((None, 0.0, -5.0, inf, nan, 8 * 86_400.0, 31.61)),
        order=st.sampled_from(("inhibit", "uninhibit", "drill", *COMMANDS)),
    )
    def person_errs(self, whom: str, reason: str, seconds: float | None, order: str) -> None:
        """Orders of which most make no sense."""
        if order == "inhibit":
            self._inhibit(whom, "bo", reason, seconds)
        elif order == "drill":
            self._drill(("hall", whom) if whom else (), "bo", seconds, with_linkage=True)
        elif order == "uninhibit":
            self._order("uninhibit", whom, "bo")
            assert self.code == self.model.uninhibit(whom)
        else:
            self._order(order, whom or "attic", "bo")
            assert self.code == self.model.command(order, whom or "attic", "bo")

    # -- restarts ----------------------------------------------------------------------------------

    @precondition(lambda self: self.coming is None)
    @rule()
    def snapshot(self) -> None:
        self.saved = self.world.engine.snapshot(None)
        self.log.clear()
        self.model.save()

    @rule(
        knows=st.sampled_from(("all", "all", "snapshot", "nothing")),
        outage_s=st.sampled_from((0.0, 0.0, 4.03, 3599.01)),
        boot=st.sampled_from(("", "", "with a clock", "without a clock")),
    )
    def restart(self, knows: str, outage_s: float, boot: str) -> None:
        """The process, or the whole box (its monotonic clock begins anew), with the memory in time or late."""
        world, model = self.world, self.model
        stamp = world.clock.stamp()
        is_without = boot == "without a clock"
        world.clock = ManualClock(
            7.5 if boot else stamp.mono_s + outage_s,
            # a box without a clock goes on from the time it was last told
            stamp.wall_ms + (17 if is_without else round(outage_s * 1000)),
            ClockState.UNSYNCED if is_without else stamp.clock,
        )
        model.now_s = world.clock.mono_s()
        log = tuple(self.log)
        if knows == "all":
            made = _replayed(self.saved, log)
            engine = Engine(world.site, made.memories, orders=made.orders, delays=made.delays)
        elif knows == "snapshot":
            made = self.saved
            engine = Engine(
                world.site, made.memories, orders=made.orders, delays=made.delays,
                is_memory_whole=False,
            )  # fmt: skip
        else:
            engine = Engine(world.site, is_memory_whole=False)
        self.coming = None if knows == "all" else (self.saved if knows == "snapshot" else None, log)
        world.engine = engine
        world.outputs.clear()
        self.witness.begins_anew(world.engine.alarms())
        self.before = self._views()
        world.do(world.engine.start(world.clock.stamp()))
        world.tick()
        model.restart(knows)

    @precondition(lambda self: self.coming is not None)
    @rule()
    def late_memory_comes(self) -> None:
        assert self.coming is not None
        early, log = self.coming
        self.coming = None
        world, stamp = self.world, self.world.clock.stamp()
        whole = _replayed(self.saved, log)
        world.do(world.engine.restore_orders(whole.orders, stamp))
        known = {} if early is None else {each.rule: each for each in early.memories}
        comes = {each.rule: each for each in whole.memories}
        ended = [
            replace(each, state=AlarmState.NORMAL, is_silenced=False)
            for rule, each in known.items()
            if rule not in comes
        ]
        news = [each for rule, each in comes.items() if known.get(rule) != each]
        for memory in (*ended, *news):
            world.do(world.engine.restore(memory, stamp))
        world.do(world.engine.memory_is_whole())
        world.tick()
        self.model.memory_comes()
        self._settle(is_merge=True)

    # -- what must hold ----------------------------------------------------------------------------

    @invariant()
    def alarms_are_as_on_paper(self) -> None:
        assert self.world.alarms() == {
            name: paper.name for name, paper in self.model.papers.items() if paper.state
        }

    @invariant()
    def the_axes_beside_are_as_on_paper(self) -> None:
        now_s = self.world.clock.mono_s()
        for view in self.world.engine.alarms():
            paper = self.model.papers[view.rule]
            assert view.is_silenced is paper.is_silenced, view.rule
            assert view.is_suppressed is paper.is_hidden, view.rule
            assert view.is_unknown is (paper.truth is None), view.rule
            assert view.is_pending is (paper.waits == "on"), view.rule
            assert view.is_test is paper.is_test, view.rule
            assert view.actor == paper.seen_by, view.rule
            assert view.is_inhibited is (paper.inhibit is not None), view.rule
            if paper.inhibit is not None:
                assert view.inhibited_left_s == pytest.approx(
                    paper.inhibit.until_s - now_s, abs=1e-6
                )
                assert view.inhibited_by == paper.inhibit.actor

    @invariant()
    def the_drill_is_as_on_paper(self) -> None:
        orders, drill = self.world.engine.standing_orders(), self.model.drill
        assert orders.drill_scope == (drill.scope if drill else ())
        left_s = drill.order.until_s - self.world.clock.mono_s() if drill else None
        assert orders.drill_left_s == (None if left_s is None else pytest.approx(left_s, abs=1e-6))

    @invariant()
    def every_transition_is_one_event_and_the_words_hold(self) -> None:
        self._settle()

    @invariant()
    def outputs_are_as_on_paper(self) -> None:
        assert self.world.active_outputs() == self.model.active()

    # -- the ways of the machine -------------------------------------------------------------------

    def _point(self, where: int) -> str:
        return self.about[where % len(self.about)]

    def _rules(self, where: int) -> list[str]:
        return [each.id for each in RULES if each.point == self._point(where)]

    def _read(self, point: str, value: Known) -> None:
        self.world.values[point] = value
        self.world.read({point: value})
        self.model.read(point, value)

    def _order(self, name: str, whom: str, actor: str, **more: object) -> None:
        self.order = name
        self.code = self.world.command(name, whom, actor, **more).code

    def _inhibit(self, whom: str, actor: str, reason: str, seconds: float | None) -> None:
        self._order("inhibit", whom, actor, reason=reason, duration_s=seconds)
        assert self.code == self.model.inhibit(whom, actor, reason, seconds)

    def _drill(
        self, scope: tuple[str, ...], actor: str, seconds: float | None, *, with_linkage: bool
    ) -> None:
        said = {"is_on": True, "scope": scope, "with_linkage": with_linkage}
        self._order("drill", "", actor, duration_s=seconds, **said)
        assert self.code == self.model.start_drill(scope, actor, seconds, with_linkage=with_linkage)

    def _wall(self) -> tuple[int, bool]:
        stamp = self.world.clock.stamp()
        return stamp.wall_ms, stamp.clock is ClockState.SYNCED

    def _views(self) -> dict[str, AlarmView]:
        return {view.rule: view for view in self.world.engine.alarms()}

    def _settle(self, *, is_merge: bool = False) -> None:
        """Hold what was told against the paper and the words, and put it on the log."""
        world, events = self.world, self.world.events
        told = [_told(event) for event in events if event.kind in TOLD]
        told += [
            ("delay", event.rule, "", event.to_state, "")
            for event in events
            if event.kind is EventKind.SYSTEM
        ]
        assert sorted(told) == sorted(self.model.told)
        ordered = [event.code for event in events if event.kind is EventKind.COMMAND]
        assert ordered == ([self.code] if self.order else [])
        after = self._views()
        self.witness.sees(
            events, self.before, after, world.active_outputs(), order=self.order, is_merge=is_merge
        )
        self.before, self.order = after, ""
        self.log += events
        events.clear()
        self.model.told.clear()


TOLD = (
    EventKind.ALARM,
    EventKind.SILENCE,
    EventKind.SUPPRESSION,
    EventKind.INHIBIT,
    EventKind.DRILL,
)


def _told(event: Event) -> tuple[str, ...]:
    subject = event.rule or event.subject
    is_test = "test" if event.is_test else ""
    return event.kind.value, subject, event.from_state, event.to_state, is_test


def _replayed(saved: AlarmSnapshot, log: tuple[Event, ...]) -> AlarmSnapshot:
    """What the disk says: the snapshot and the log after it."""
    memories = {each.rule: each for each in saved.memories}
    orders = saved.orders
    for event in log:
        apply_event(memories, event)
        orders = orders_after(orders, event)
    return replace(saved, memories=tuple(memories.values()), orders=orders)


@pytest.mark.timeout(400 + STEPS // 50)  # a divergence is made short, which takes its time
def test_the_core_lives_as_the_model_does() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=STEPS // STEPS_OF_A_LIFE,
            stateful_step_count=STEPS_OF_A_LIFE,
            deadline=None,
        ),
    )


@pytest.mark.parametrize("name", ["model.py", "model_memory.py"])
def test_the_model_knows_nothing_of_the_agent(name: str) -> None:
    written = Path(__file__).with_name(name).read_text(encoding="utf-8")
    imported = set(re.findall(r"^\s*(?:from|import) (\S+)", written, flags=re.MULTILINE))
    assert imported <= {*sys.stdlib_module_names, "collections.abc", "tests.core.model_memory"}
