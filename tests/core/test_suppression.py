"""Suppression by parents at its edges: which children it takes in, and what it lets go at once."""

from __future__ import annotations

from agent.core.spec import AlarmClass, Contact, RuleSpec
from tests.core.test_engine import point, rule, site, told
from tests.core.test_standing import view
from tests.core.timeline import World


def under(name: str, *parents: str, **more: object) -> RuleSpec:
    return rule(name, Contact(point=name), suppressed_by=parents, **more)


def world(*rules: RuleSpec) -> World:
    return World(site(*rules, points=tuple(point(each.id) for each in rules)))


def test_a_parent_takes_in_all_its_children_though_another_has_taken_in_the_first() -> None:
    made = world(under("one", "a", "b"), under("two", "a", "c"), *map(under, "abc"))
    made.read({"b": True})
    assert [view(made, name).is_suppressed for name in ("one", "two")] == [True, False]
    made.read({"a": True})
    assert [view(made, name).is_suppressed for name in ("one", "two")] == [True, True]
    made.command("ack")
    made.read({"a": False})
    assert [view(made, name).is_suppressed for name in ("one", "two")] == [True, False]


def test_what_asks_without_a_delay_is_raised_with_the_end_of_its_suppression() -> None:
    made = world(under("child", "a", alarm_class=AlarmClass.TECHNICAL), under("a", needs_ack=False))
    made.read({"a": True})
    made.read({"child": True})
    assert made.alarms() == {"a": "active_unacked"}
    assert told(made.read({"a": False})) == [
        ("a", "active_unacked", "normal"),
        ("child", "suppressed", "unsuppressed"),
        ("child", "normal", "active_unacked"),
    ]
