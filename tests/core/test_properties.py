"""What must hold whatever happens. In words:

1. A fire or gas alarm never becomes normal without a person; a test ends with its drill.
2. Unknown never clears: an alarm leaves active only on a good value that does not meet its condition.
3. Every transition is exactly one event, and it goes on from where the last one ended.
4. Silence never hides a new alarm: when one is raised, its siren sounds.
5. An output is active exactly while an alarm demands it, and is told only when that changes.
6. What is shown is what is.
7. The events of the log, replayed, give the memory of the engine, over any number of restarts: alarms,
   inhibits and the drill, with the time that is left.
8. What was suppressed or inhibited raised nothing while it was, and what was up kept its outputs.
9. A drill never leaves as fire: whatever is told of an alarm raised in it says test until it is normal,
   and it moves no output unless that was asked for. What is real says so in the same drill.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.conditions import points_of
from agent.core.effects import AlarmState, Effect, Event, EventKind, Record, SetOutput
from agent.core.engine import Engine
from agent.core.memory import NO_ORDERS, AlarmMemory, Orders, apply_event, orders_after
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
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
from drivers.clock import Stamp
from tests.core.timeline import World

LIVES = int(os.environ.get("PLANTROOM_LIVES", "300"))

POINTS = ("smoke", "call", "gas", "heat", "bus")
SITE = SiteSpec(
    site="s",
    box="box",
    points=tuple(
        PointSpec(id=name, kind=PointKind.GENERIC, stale_after_s=9.0) for name in POINTS
    ),
    rules=(
        RuleSpec(
            id="fire-smoke", alarm_class=AlarmClass.FIRE, condition=Contact(point="smoke"),
            off_delay_s=3.0, suppressed_by=("bus-down",), group="g", realarm_s=7.0,
        ),
        RuleSpec(
            id="fire-any", alarm_class=AlarmClass.FIRE, on_delay_s=2.0,
            condition=AnyOf(parts=(Contact(point="smoke"), Contact(point="call"))),
        ),
        RuleSpec(
            id="fire-both", alarm_class=AlarmClass.FIRE,
            condition=AllOf(
                parts=(
                    Contact(point="smoke"),
                    Threshold(point="heat", side=Side.ABOVE, limit=57, deadband=3),
                )
            ),
        ),
        RuleSpec(
            id="gas-high", alarm_class=AlarmClass.GAS, on_delay_s=1.0, group="g",
            condition=Threshold(point="gas", side=Side.ABOVE, limit=25, deadband=5),
        ),
        RuleSpec(
            id="bus-down", alarm_class=AlarmClass.FAULT, on_delay_s=1.0, off_delay_s=1.0,
            condition=Contact(point="bus", is_active=False), needs_ack=False,
        ),
        RuleSpec(
            id="heat-high", alarm_class=AlarmClass.SUPERVISORY, on_delay_s=4.0, off_delay_s=2.0,
            condition=Threshold(point="heat", side=Side.ABOVE, limit=40, deadband=3),
            suppressed_by=("heat-fault",), realarm_s=5.0,
        ),
        RuleSpec(
            id="heat-fault", alarm_class=AlarmClass.FAULT, on_delay_s=1.0,
            condition=Unheard(point="heat"), suppressed_by=("bus-down",),
        ),
        RuleSpec(
            id="heat-latched", alarm_class=AlarmClass.TECHNICAL, is_latched=True,
            condition=Threshold(point="heat", side=Side.BELOW, limit=5),
            suppressed_by=("heat-fault", "gone"),
        ),
    ),
    outputs=(
        OutputSpec(id="siren", kind=OutputKind.SIREN),
        OutputSpec(id="buzzer", kind=OutputKind.BUZZER),
        OutputSpec(id="strobe", kind=OutputKind.STROBE),
        OutputSpec(id="cut", kind=OutputKind.CUT_OFF),
        OutputSpec(id="health", kind=OutputKind.HEALTH),
    ),
    linkages=(
        Linkage(id="all", outputs=("siren", "buzzer", "strobe")),
        Linkage(id="cut", outputs=("cut",), classes=(AlarmClass.FIRE,)),
        Linkage(id="heat-cut", outputs=("cut",), rules=("heat-high",)),
        Linkage(id="well", outputs=("health",), rules=("bus-down",)),
    ),
)  # fmt: skip
SCOPE_OF = {rule.id: frozenset(points_of(rule.condition)) for rule in SITE.rules}
CLASS_OF = {rule.id: rule.alarm_class for rule in SITE.rules}
LATCHING = (AlarmClass.FIRE, AlarmClass.GAS)
SINGLE = ("fire-smoke", "gas-high", "heat-high", "heat-latched", "bus-down")

DEGREES = (0.0, 22.0, 38.5, 41.0, 56.0, 60.0, None)
ACTIONS = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(("smoke", "call", "bus")), st.sampled_from((True, False, None))),
    st.tuples(st.just("read"), st.sampled_from(("gas", "heat")), st.sampled_from(DEGREES)),
    st.tuples(st.just("wait"), st.sampled_from((0.5, 1.0, 2.0, 4.0, 10.0)), st.none()),
    st.tuples(st.sampled_from(("ack", "silence", "reset")), st.sampled_from(("", *CLASS_OF)), st.none()),
    st.tuples(st.sampled_from(("restart", "late restart", "cut")), st.none(), st.none()),
    st.tuples(st.just("inhibit"), st.sampled_from((*CLASS_OF, *POINTS)), st.sampled_from((3.0, 20.0))),
    st.tuples(st.just("uninhibit"), st.sampled_from((*CLASS_OF, *POINTS)), st.none()),
    st.tuples(st.just("drill"), st.sampled_from((("smoke",), ("smoke", "call"), ("gas", "heat"), POINTS)),
              st.booleans()),
    st.tuples(st.just("end drill"), st.none(), st.none()),
)  # fmt: skip


@dataclass
class Watched(World):
    """A world in which every step is held against the words above."""

    states: dict[str, str] = field(default_factory=dict)
    replayed: dict[str, AlarmMemory] = field(default_factory=dict)
    orders: Orders = NO_ORDERS
    hidden: set[str] = field(default_factory=set)
    inhibited: set[str] = field(default_factory=set)
    tests: set[str] = field(default_factory=set)
    drilled: frozenset[str] | None = None
    """The points of the drill that runs."""
    is_dry: bool = True
    real: set[str] = field(default_factory=set)
    """What was not at rest when the drill began, until it is."""
    is_starting: bool = False
    raised: set[str] = field(default_factory=set)

    def do(self, effects: list[Effect]) -> list[Effect]:
        for effect in effects:
            if isinstance(effect, SetOutput) and not self.is_starting and self.outputs:
                assert self.outputs[effect.output] is not effect.is_active, "5: told without change"
        super().do(effects)
        for effect in effects:
            if isinstance(effect, Record):
                self.judge(effect.event)
                apply_event(self.replayed, effect.event)
                self.orders = orders_after(self.orders, effect.event)
        # An alarm may be raised and return in one call, if the call comes late.
        raised = [
            rule for rule in self.raised
            if self.states[rule].startswith("active") and not (self.is_dry and rule in self.tests)
        ]  # fmt: skip
        assert not raised or self.outputs["siren"], "4"
        self.raised.clear()
        self.real -= {
            each.rule
            for each in self.engine.alarms()
            if each.state is AlarmState.NORMAL and not each.is_pending
        }
        ranks = [type(effect).__name__ for effect in effects]
        order = ["SetOutput", "Record", "Telemeter", "ShowState", "ShowAlarm"]
        assert ranks == sorted(ranks, key=order.index)
        return effects

    def judge(self, event: Event) -> None:
        if event.kind is EventKind.DRILL:
            self.drill_changes(event)
        if event.kind is EventKind.INHIBIT:
            (self.inhibited.add if event.to_state == "inhibited" else self.inhibited.remove)(
                event.rule
            )
        if event.rule and event.kind not in (EventKind.ALARM, EventKind.SYSTEM):
            # silence and command tell of what was before them in the same call too
            assert event.is_test is (event.rule in self.tests) or event.kind is EventKind.COMMAND, (
                "9"
            )
        if event.kind is EventKind.SUPPRESSION:
            (self.hidden.add if event.to_state == "suppressed" else self.hidden.remove)(event.rule)
        if event.kind is not EventKind.ALARM:
            return
        assert self.states.get(event.rule, "normal") == event.from_state != event.to_state, "3"
        self.states[event.rule] = event.to_state
        is_over = event.code == "drill_ended"
        if event.to_state == "active_unacked" and event.from_state != "active_acked":
            is_test = (
                self.drilled is not None
                and SCOPE_OF[event.rule] <= self.drilled
                and event.rule not in self.real
            )
            (self.tests.add if is_test else self.tests.discard)(event.rule)
        assert event.is_test is (event.rule in self.tests), "9"
        assert not is_over or event.is_test, "9"
        if event.to_state == "normal":
            self.tests.discard(event.rule)
            if CLASS_OF[event.rule] in LATCHING:
                assert event.actor == "anna" or is_over, "1"
        if event.from_state.startswith("active") and not event.to_state.startswith("active"):
            assert event.rule not in SINGLE or event.value is not None or is_over, "2"
        if event.to_state == "active_unacked":
            assert event.rule not in self.hidden | self.inhibited, "8"
            self.raised.add(event.rule)

    def drill_changes(self, event: Event) -> None:
        self.drilled, self.real = None, set()
        if event.to_state == "started":
            self.drilled = frozenset(str(event.detail["scope"]).split())
            self.is_dry = not event.detail["with_linkage"]
            self.real = {
                each.rule
                for each in self.engine.alarms()
                if not each.is_test
                # at a start the drill is taken up before the first look
                and (
                    each.state is not AlarmState.NORMAL
                    or (each.is_pending and not self.is_starting)
                )
            }

    def check(self) -> None:
        views = {view.rule: view for view in self.engine.alarms()}
        assert {rule: view.state for rule, view in views.items()} == self.shown, "6"
        for rule, view in views.items():
            assert view.state.value == self.states.get(rule, "normal"), "3"
            assert view.is_suppressed is (rule in self.hidden)
        on = [
            view for view in views.values()
            if (view.state.is_active or view.state.value.startswith("latched"))
            and not (view.is_test and self.is_dry)
        ]  # fmt: skip
        seen = [view for view in on if not view.is_suppressed]
        assert self.outputs == {
            "siren": any(not view.is_silenced for view in seen),
            "buzzer": any(not view.is_silenced and not view.state.is_acked for view in seen),
            "strobe": bool(seen),
            "cut": any(CLASS_OF[view.rule] is AlarmClass.FIRE or view.rule == "heat-high" for view in on),
            "health": not any(view.rule == "bus-down" for view in on),
        }, "5"  # fmt: skip
        assert {rule for rule, view in views.items() if view.is_test} == self.tests, "9"
        assert {rule for rule, view in views.items() if view.is_inhibited} == self.inhibited, "8"
        snapshot = self.engine.snapshot(None)
        assert self.replayed == {memory.rule: memory for memory in snapshot.memories}, "7"
        assert known(self.orders, self.clock.stamp()) == known(
            snapshot.orders, self.clock.stamp()
        ), "7"

    def start_anew(self, memories: tuple[AlarmMemory, ...], orders: Orders) -> None:
        self.outputs.clear()
        self.hidden.clear()
        self.inhibited.clear()
        self.tests = {memory.rule for memory in memories if memory.is_test}
        self.drilled = None
        self.is_starting = True
        self.engine = Engine(self.site, memories, orders=orders)
        self.do(self.engine.start(self.clock.stamp()))
        self.is_starting = False

    def late_restart(self) -> None:
        """The snapshot is slow: a fire is read before it is merged."""
        snapshot = self.engine.snapshot(None)
        self.states.clear()
        self.start_anew((), NO_ORDERS)
        self.read({"smoke": True, "heat": 41.0})
        moved = set(self.states)
        self.do(self.engine.restore_orders(snapshot.orders, self.clock.stamp()))
        for memory in snapshot.memories:
            if memory.rule not in moved:
                self.states[memory.rule] = memory.state.value
                (self.tests.add if memory.is_test else self.tests.discard)(memory.rule)
            self.do(self.engine.restore(memory, self.clock.stamp()))


def known(orders: Orders, now: Stamp) -> list[tuple[object, ...]]:
    """What must be the same by either way; what is left of it now, in tenths of a second."""
    found: list[tuple[object, ...]] = [
        (each.rule, each.actor, each.reason, round(each.left.now_s(now), 1))
        for each in sorted(orders.inhibits.values(), key=lambda each: each.rule)
    ]
    if (drill := orders.drill) is not None:
        found.append(
            (drill.scope, drill.actor, drill.with_linkage, round(drill.left.now_s(now), 1))
        )
    return found


@settings(max_examples=LIVES, deadline=None)
@given(st.lists(ACTIONS, max_size=40))
def test_what_must_hold_whatever_happens(actions: list[tuple[str, object, object]]) -> None:
    world = Watched(SITE)
    world.check()
    for name, what, value in actions:
        match name, what, value:
            case "read", str(point), bool() | float() | None as read:
                world.values[point] = read
                world.read({point: read})
            case "wait", float(seconds), _:
                world.advance(seconds)
            case "restart", _, _:
                snapshot = world.engine.snapshot(None)
                world.start_anew(snapshot.memories, snapshot.orders)
            case "late restart", _, _:
                world.late_restart()
            case "cut", _, _:
                world.values.clear()  # every wire is silent from now on
            case "inhibit", str(target), float(seconds):
                world.command("inhibit", target, reason="work", duration_s=seconds)
            case "drill", tuple(scope), bool(with_linkage):
                world.command(
                    "drill", is_on=True, scope=scope, duration_s=9.0, with_linkage=with_linkage
                )
            case "end drill", _, _:
                world.command("drill", is_on=False)
            case command, str(target), _:
                world.command(command, target)
            case _:
                raise AssertionError(name)
        world.check()


def test_the_remembered_states_are_all_there_are() -> None:
    """A state added later must be thought of in `check` above."""
    assert len(AlarmState) == 6
