"""A random life of a plant room, step by step beside a model that knows nothing of the agent.

The words of what must hold stand in tests/core/model.py. No two things happen in the same moment here
(no delay is a multiple of the steps): which goes first then is told by tests/core/test_engine.py.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from agent.core.effects import EventKind
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
from tests.core.model import Known, Model, Written
from tests.core.timeline import POLL_S, World

STEPS = int(os.environ.get("PLANTROOM_MODEL_STEPS", "2000"))
STEPS_OF_A_LIFE = 40
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
CONTACTS = ("smoke", "call", "bus", "door")
NUMBERS = ("gas", "heat")
AMOUNTS = (0.0, 4.5, 5.5, 21.0, 26.0, 38.0, 41.0, None)
COMMANDS = ("ack", "silence", "reset")
WHOM = ("nobody", *(each.id for each in RULES))


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
            PointSpec(id=point, kind=PointKind.GENERIC, stale_after_s=STALE_S) for point in points
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
        self.model = Model(RULES, KINDS, STALE_S, POLL_S, now_s=self.world.clock.mono_s())
        self.model.start()
        for point, value in QUIET.items():
            self._read(point, value)

    @rule(point=st.sampled_from(CONTACTS), value=st.sampled_from((True, True, False, False, None)))
    def contact(self, point: str, value: bool | None) -> None:
        self._read(point, value)

    @rule(point=st.sampled_from(NUMBERS), value=st.sampled_from(AMOUNTS))
    def number(self, point: str, value: float | None) -> None:
        self._read(point, value)

    @rule(point=st.sampled_from((*CONTACTS, *NUMBERS)))
    def silent(self, point: str) -> None:
        self.world.values.pop(point, None)
        self.model.silent(point)

    @rule(seconds=st.sampled_from((0.5, 1.0, 1.5, 2.5, 5.0, 12.0)))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)
        self.model.advance(seconds)

    @rule(name=st.sampled_from(COMMANDS), whom=st.sampled_from(WHOM))
    def person(self, name: str, whom: str) -> None:
        assert self.world.command(name, whom).code == self.model.command(name, whom)

    @rule(name=st.sampled_from(COMMANDS))
    def person_at_the_key(self, name: str) -> None:
        assert self.world.command(name).code == self.model.command(name, "")

    @rule(seconds=st.sampled_from((-3600.0, 3600.0, -20 * 365 * 86_400.0, 86_400.0)))
    def clock_jumps(self, seconds: float) -> None:
        self.world.clock.step_wall(seconds)  # the model knows no wall clock: nothing may change

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self.model.restart()

    @invariant()
    def alarms_are_as_on_paper(self) -> None:
        assert self.world.alarms() == {
            name: paper.name for name, paper in self.model.papers.items() if paper.state
        }

    @invariant()
    def the_axes_beside_are_as_on_paper(self) -> None:
        for view in self.world.engine.alarms():
            paper = self.model.papers[view.rule]
            assert view.is_silenced is paper.is_silenced, view.rule
            assert view.is_suppressed is paper.is_hidden, view.rule
            assert view.is_unknown is (paper.truth is None), view.rule
            assert view.is_pending is (paper.waits == "on"), view.rule

    @invariant()
    def every_transition_is_one_event(self) -> None:
        told = [
            (event.rule, event.from_state, event.to_state)
            for event in self.world.events
            if event.kind is EventKind.ALARM
        ]
        assert sorted(told) == sorted(self.model.told)
        self.world.events.clear()
        self.model.told.clear()

    @invariant()
    def outputs_are_as_on_paper(self) -> None:
        assert self.world.active_outputs() == self.model.active()

    def _read(self, point: str, value: Known) -> None:
        self.world.values[point] = value
        self.world.read({point: value})
        self.model.read(point, value)


def test_the_core_lives_as_the_model_does() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=STEPS // STEPS_OF_A_LIFE,
            stateful_step_count=STEPS_OF_A_LIFE,
            deadline=None,
        ),
    )


def test_the_model_knows_nothing_of_the_agent() -> None:
    written = Path(__file__).with_name("model.py").read_text(encoding="utf-8")
    imported = re.findall(r"^\s*(?:from|import) (\w+)", written, flags=re.MULTILINE)
    assert set(imported) <= sys.stdlib_module_names
