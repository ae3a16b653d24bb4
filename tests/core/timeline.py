"""Plays a timeline against the core: readings, silence, commands, restarts; what alarms and outputs do.

A point once read goes on being read every second with the same value until the timeline says
otherwise; `silent` stops it, `bad` makes its readings bad. Ticks come when the engine asks for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from agent.config.builtin import NEVER_S
from agent.config.conditions import condition_spec
from agent.config.model_conditions import ConditionModel
from agent.core.effects import (
    AlarmState,
    Command,
    CommandName,
    Effect,
    Event,
    Outcome,
    Record,
    SetOutput,
    ShowAlarm,
)
from agent.core.engine import Engine
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
    Condition,
    Contact,
    Pattern,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
    Unheard,
)
from agent.outputs import state_point
from drivers.clock import ManualClock
from drivers.reading import Quality, Reading, Value
from tests.core.switched import switched
from tests.core.templated import ready_rules

POLL_S = 1.0
"""How often points are read, and so long after a step; a long timeline may say `poll_s`, below half of
the time after which a point is stale."""


def load(path: Path) -> dict[str, Any]:
    loaded = YAML(typ="safe").load(path)
    assert isinstance(loaded, dict)
    return loaded


def condition_from(written: dict[str, Any]) -> Condition:
    """`{contact: p}`, `{contact_open: p}`, `{unheard: p}`, or any condition of a site file."""
    match written:
        case {"contact": str(point)}:
            return Contact(point=point)
        case {"contact_open": str(point)}:
            return Contact(point=point, is_active=False)
        case {"unheard": str(point)}:
            return Unheard(point=point)
        case {"all": list(parts)}:
            return AllOf(parts=tuple(condition_from(part) for part in parts))
        case {"any": list(parts)}:
            return AnyOf(parts=tuple(condition_from(part) for part in parts))
    model = TypeAdapter(ConditionModel).validate_json(json.dumps(written), by_alias=True)
    return condition_spec(model, "Asia/Shanghai")


def _rules(rule: dict[str, Any], points: dict[str, str]) -> tuple[RuleSpec, ...]:
    if "template" in rule:
        return ready_rules(rule, points)
    return (
        RuleSpec(
            id=rule["id"],
            alarm_class=AlarmClass(rule["class"]),
            condition=condition_from(rule["when"]),
            on_delay_s=rule.get("on_delay_s", 0.0),
            off_delay_s=rule.get("off_delay_s", 0.0),
            is_latched=rule.get("latched", False),
            needs_ack=rule.get("needs_ack", True),
            suppressed_by=tuple(rule.get("suppressed_by", ())),
            zone=rule.get("zone", ""),
            group=rule.get("group", ""),
            realarm_s=rule.get("realarm_s", 0.0),
            is_call_point=rule.get("call_point", False),
        ),
    )


def site_from(written: dict[str, Any]) -> SiteSpec:
    """Points are named with what they are; outputs, linkages and keys are as in a site file."""
    made = switched(written)
    moved = tuple(state_point(each.id) for each in made.outputs if each.has_feedback)
    points = {**written["points"], **dict.fromkeys(moved, "contact")}
    return SiteSpec(
        site="hall-a",
        box="box-1",
        points=tuple(
            PointSpec(
                id=name,
                kind=PointKind.GENERIC,
                is_contact=kind.endswith("contact"),
                stale_after_s=NEVER_S if name in moved else 30.0,
            )
            for name, kind in points.items()
        ),
        rules=(
            *(made for rule in written["rules"] for made in _rules(rule, written["points"])),
            *made.rules,
        ),
        outputs=made.outputs,
        linkages=made.linkages,
        keys=made.keys,
    )


@dataclass
class World:
    """An engine with its clock, and what its effects made of the world."""

    site: SiteSpec
    clock: ManualClock = field(default_factory=ManualClock)
    poll_s: float = POLL_S
    outputs: dict[str, bool] = field(default_factory=dict)
    patterns: dict[str, Pattern] = field(default_factory=dict)
    shown: dict[str, AlarmState] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    values: dict[str, Value | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._followed = {state_point(each.id) for each in self.site.outputs if each.has_feedback}
        self.engine = Engine(self.site)
        self.do(self.engine.start(self.clock.stamp()))

    def do(self, effects: list[Effect]) -> list[Effect]:
        self.effects.extend(effects)
        moved: dict[str, Value | None] = {}
        for effect in effects:
            match effect:
                case SetOutput():
                    self.outputs[effect.output] = effect.is_active
                    self.patterns[effect.output] = effect.pattern
                    moved[state_point(effect.output)] = effect.is_active
                case Record():
                    self.events.append(effect.event)
                case ShowAlarm():
                    self.shown[effect.alarm.rule] = effect.alarm.state
                case _:
                    pass
        # As the workers of outputs do: what one with a feedback point was made to be is read too.
        moved = {point: is_active for point, is_active in moved.items() if point in self._followed}
        if moved:
            self.read(moved)
        return effects

    def reading(self, point: str, value: Value | None) -> Reading:
        quality = Quality.BAD if value is None else Quality.GOOD
        reason = "timeout" if value is None else ""
        return Reading(
            point=point, value=value, quality=quality, unit="", at=self.clock.stamp(), reason=reason
        )

    def read(self, values: dict[str, Value | None]) -> list[Effect]:
        """Hand in one reading of each point; None is a bad one."""
        readings = [self.reading(point, value) for point, value in values.items()]
        return self.do(self.engine.on_readings(readings, self.clock.stamp()))

    def tick(self) -> list[Effect]:
        return self.do(self.engine.on_tick(self.clock.stamp()))

    def advance(self, seconds: float) -> None:
        """Let time pass; points that are being read go on being read, ticks come when asked for."""
        end_s = self.clock.mono_s() + seconds
        next_poll_s = self.clock.mono_s() + self.poll_s
        while (now_s := self.clock.mono_s()) < end_s:
            deadline_s = self.engine.next_deadline_s()
            # A deadline that has passed without being met would stop the clock here: the test fails.
            assert deadline_s is None or deadline_s > now_s, "a tick that was asked for did nothing"
            until_s = min(end_s, next_poll_s, end_s if deadline_s is None else deadline_s)
            self.clock.advance(until_s - now_s)
            if until_s >= next_poll_s:
                next_poll_s += self.poll_s
                self.read(self.values)
            self.tick()

    def command(self, name: str, target: str = "", actor: str = "anna", **more: Any) -> Outcome:
        said = {"origin": "page", **more}
        wish = Command(id="c1", name=CommandName(name), actor=actor, target=target, **said)
        outcome, effects = self.engine.on_command(wish, self.clock.stamp())
        self.do(effects)
        return outcome

    def restart(self) -> None:
        """Start anew from the snapshot of now; nothing has been read yet, outputs are undefined."""
        snapshot = self.engine.snapshot(None)
        self.outputs.clear()
        self.engine = Engine(
            self.site, snapshot.memories, orders=snapshot.orders, delays=snapshot.delays
        )
        self.do(self.engine.start(self.clock.stamp()))

    def alarms(self) -> dict[str, str]:
        """The alarms that are not normal."""
        return {
            each.rule: each.state.value
            for each in self.engine.alarms()
            if each.state is not AlarmState.NORMAL
        }

    def active_outputs(self) -> list[str]:
        return sorted(name for name, is_active in self.outputs.items() if is_active)


_FLAGS = {
    "tests": "is_test",
    "inhibited": "is_inhibited",
    "suppressed": "is_suppressed",
    "silenced": "is_silenced",
    "unknown": "is_unknown",
    "chattering": "is_chattering",
    "first": "is_first_out",
}
"""What a step may say of alarms beside their states."""

_ARGUMENTS = (
    "code", "reason", "duration_s", "is_on", "scope", "with_linkage", "mode", "origin", "actor",
)  # fmt: skip
"""What a step may say of its command."""

_STEP = {
    "at", "read", "restart", "command", "answer", "alarms", "on", "told", "untold", "sounds",
    *_FLAGS, *_ARGUMENTS,
}  # fmt: skip


def play(written: dict[str, Any]) -> World:
    """Play a whole timeline, checking after each step."""
    world = World(site_from(written), poll_s=written.get("poll_s", POLL_S))
    start_s = world.clock.mono_s()
    alarms: dict[str, str] = {}
    active: list[str] = []
    told = 0
    for step in written["steps"]:
        where = f"at {step['at']} s"
        assert not step.keys() - _STEP, where
        world.advance(start_s + step["at"] - world.clock.mono_s())
        _take(world, step)
        alarms = step.get("alarms", alarms)
        active = sorted(step.get("on", active))
        assert world.alarms() == alarms, where
        assert world.active_outputs() == active, where
        for word, flag in _FLAGS.items():
            named = [each.rule for each in world.engine.alarms() if getattr(each, flag)]
            assert sorted(step.get(word, named)) == sorted(named), where
        assert all(world.shown[each.rule] is each.state for each in world.engine.alarms()), (
            f"{where}: an alarm is shown otherwise than it is"
        )
        for output, pattern in step.get("sounds", {}).items():
            assert world.patterns[output].value == pattern, where
        lines = [_line(event) for event in world.events[told:]]
        for words in step.get("told", ()):
            assert any(f"{line} ".startswith(f"{words} ") for line in lines), f"{where}: {lines}"
        for words in step.get("untold", ()):
            assert not any(f"{line} ".startswith(f"{words} ") for line in lines), (
                f"{where}: {lines}"
            )
        told = len(world.events)
    return world


def _line(event: Event) -> str:
    """An event in words: what kind, about what, what it became, and why if there is a code."""
    return f"{event.kind.value} {event.subject} {event.to_state} {event.code}".rstrip()


def _take(world: World, step: dict[str, Any]) -> None:
    fresh: dict[str, Value | None] = {}
    for point, value in step.get("read", {}).items():
        if value == "silent":
            world.values.pop(point, None)
        else:
            fresh[point] = world.values[point] = None if value == "bad" else value
    if fresh:
        world.read(fresh)
    if step.get("restart"):
        world.restart()
    if "command" in step:
        name, _, target = step["command"].partition(" ")
        said = {key: step[key] for key in _ARGUMENTS if key in step}
        if "scope" in said:
            said["scope"] = tuple(said["scope"])
        outcome = world.command(name, target, **said)
        assert outcome.code == step.get("answer", "done"), f"at {step['at']} s: {outcome.message}"
