"""Judges what a core tells of a random life, rule by rule, without model: the words of tests/core/model.py.

It is shown every event of a step with what people see and what is switched after it, and knows who did
what in that step. It holds no alarm states of its own but those it was told of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.effects import AlarmView, Event, EventKind
from agent.outbox.records import EventRecord
from agent.uplink import codec
from drivers.reading import Quality
from tests.core.model import Written

NORMAL = "normal"
UNKNOWN = (Quality.BAD, Quality.STALE, None)


@dataclass
class Witness:
    """What was told so far."""

    rules: Mapping[str, Written]
    zones: Mapping[str, str]
    states: dict[str, str] = field(default_factory=dict)
    """What was told last of each rule."""
    scope: frozenset[str] = frozenset()
    """Of the drill that runs."""
    is_dry: bool = True
    were_at_rest: frozenset[str] = frozenset()
    """Rules that were at rest when the drill began."""

    def begins_anew(self, views: Iterable[AlarmView]) -> None:
        """A start: what is shown now is what was remembered."""
        self.states = {view.rule: view.state.value for view in views}
        self.scope, self.were_at_rest = frozenset(), frozenset()

    def sees(
        self,
        events: Iterable[Event],
        before: Mapping[str, AlarmView],
        after: Mapping[str, AlarmView],
        active: Iterable[str],
        *,
        order: str = "",
        is_merge: bool = False,
    ) -> None:
        """Judge a step in which a person ordered `order`, or nobody did anything.

        `is_merge`: memory came late. What it restored was told in the run before.
        """
        if is_merge:
            for event in events:
                if event.kind is EventKind.DRILL:
                    self._drill(event, {})
            self.states = {rule: view.state.value for rule, view in after.items()}
            # what is remembered now was up before any drill of this run
            self.were_at_rest -= {rule for rule, state in self.states.items() if state != NORMAL}
            return
        raised: dict[str, bool] = {}
        ended_by_drill: set[str] = set()
        for event in events:
            if event.kind is EventKind.DRILL:
                self._drill(event, before)
            elif event.kind is EventKind.ALARM:
                self._one_event_a_transition(event)
                self._fire_needs_a_person(event, order)
                self._unknown_moves_nothing(event, ended_by_drill)
                self._a_drill_is_no_fire(event)
                if event.code == "drill_ended":
                    ended_by_drill.add(event.rule)
                if event.to_state == "active_unacked":
                    raised[event.rule] = event.is_test and self.is_dry
        assert self.states == {rule: view.state.value for rule, view in after.items()}, (
            "what is shown was not told"
        )
        self._is_heard(raised, after, set(active))

    def _one_event_a_transition(self, event: Event) -> None:
        assert event.from_state != event.to_state, event
        assert event.from_state == self.states[event.rule], event
        self.states[event.rule] = event.to_state

    def _fire_needs_a_person(self, event: Event, order: str) -> None:
        if self.rules[event.rule].klass not in ("fire", "gas") or event.to_state != NORMAL:
            return
        is_drill_over = event.is_test and event.code == "drill_ended"
        assert is_drill_over or (order == "reset" and event.actor), event

    def _unknown_moves_nothing(self, event: Event, ended_by_drill: set[str]) -> None:
        if self.rules[event.rule].kind == "unheard" or event.code == "drill_ended":
            return
        went = event.from_state.startswith("active") and not event.to_state.startswith("active")
        came = event.to_state == "active_unacked" and not event.from_state.startswith("active")
        # what cannot be told at the end of a drill becomes real: the cautious side
        if went or (came and event.rule not in ended_by_drill):
            assert event.quality not in UNKNOWN, event

    def _drill(self, event: Event, before: Mapping[str, AlarmView]) -> None:
        if event.to_state == "started":
            self.scope = frozenset(str(event.detail["scope"]).split())
            self.is_dry = event.detail["with_linkage"] is False
            self.were_at_rest = frozenset(
                rule
                for rule, view in before.items()
                if view.state.value == NORMAL and not view.is_pending
            )
        else:
            self.scope = frozenset()

    def _a_drill_is_no_fire(self, event: Event) -> None:
        point = self.rules[event.rule].point
        is_inside = point in self.scope or self.zones.get(point) in self.scope
        is_raised = event.to_state == "active_unacked"
        if is_raised and not event.from_state.startswith("active"):
            if not is_inside:
                assert not event.is_test, event
            elif event.rule in self.were_at_rest:
                assert event.is_test, event
        said = json.loads(
            codec.event(
                EventRecord(id="i", stream="s", seq=1, boot="b", event=event), is_replay=False
            )
        )
        assert (said["class"] == "test") is event.is_test, said
        assert event.is_test or said["class"] == self.rules[event.rule].klass, said

    def _is_heard(
        self, raised: Mapping[str, bool], after: Mapping[str, AlarmView], active: set[str]
    ) -> None:
        """No silence from before hides a new alarm, unless a drill moves nothing."""
        for rule, is_dry in raised.items():
            view = after[rule]
            is_up = view.state.value == "active_unacked" and not view.is_suppressed
            if is_up and not is_dry and not view.is_silenced:
                wanted = {"siren", "buzzer"} & set(self.rules[rule].outputs)
                assert wanted <= active, f"{rule} is not heard"
            assert not (view.state.value == "active_unacked" and view.is_silenced), (
                f"{rule} is new and silenced"
            )
