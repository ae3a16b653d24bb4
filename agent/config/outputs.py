"""From the models of outputs, linkages and keys to what the core is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from agent.config.calendar import WallCalendar
from agent.config.check_outputs import is_energised_when_active
from agent.config.check_switching import START_PULSE_S, is_restored_by_hand, longest_test_s
from agent.config.conditions import condition_spec, minutes_of
from agent.config.model_conditions import DAYS
from agent.config.model_outputs import OutputModel, SelfTestModel
from agent.config.model_site import SiteModel
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
    Contact,
    KeySpec,
    Label,
    Linkage,
    OutputSpec,
    Pattern,
    RuleSpec,
    SelfTest,
)
from agent.outputs import state_point


def output_specs(site: SiteModel) -> tuple[OutputSpec, ...]:
    """Return the outputs of a site."""
    return tuple(_output(each, site.timezone) for each in site.outputs)


def linkage_specs(site: SiteModel) -> tuple[Linkage, ...]:
    """Return the linkages of a site."""
    return tuple(
        Linkage(
            id=link.id,
            outputs=link.outputs,
            rules=link.rules,
            classes=link.classes,
            zones=link.zones,
            needs=link.needs,
            delay_s=link.delay_s,
            acts_in_manual=link.in_manual,
        )
        for link in site.linkage
    )


def key_specs(site: SiteModel) -> tuple[KeySpec, ...]:
    """Return the keys of the box."""
    return tuple(
        KeySpec(point=key.point, command=key.command, target=key.output or "", actor=key.actor)
        for key in site.keys
    )


def output_rules(site: SiteModel) -> Iterator[RuleSpec]:
    """Yield the rules that outputs bring along: interlocks, and faults of what should follow them."""
    for output in site.outputs:
        if output.interlock is not None:
            yield RuleSpec(
                id=interlock_rule(output.id),
                alarm_class=AlarmClass.TECHNICAL,
                condition=condition_spec(output.interlock, site.timezone),
                needs_ack=False,
                zone=output.zone or "",
                label=_named(output, "is interlocked", "被联锁"),
            )
        if output.feedback is not None:
            moved, follows = state_point(output.id), output.feedback.point
            # A pump runs on when its start pulse is over: only that it does not start is a fault, which
            # must be seen after the pulse too.
            is_pump = output.role is not None
            yield RuleSpec(
                id=f"fault.{output.id}.feedback",
                alarm_class=AlarmClass(site.faults.alarm_class),
                condition=AnyOf(
                    parts=tuple(
                        AllOf(
                            parts=(
                                Contact(point=moved, is_active=is_active),
                                Contact(point=follows, is_active=not is_active),
                            )
                        )
                        for is_active in ((True,) if is_pump else (True, False))
                    )
                ),
                on_delay_s=output.feedback.within_s,
                needs_ack=is_pump or site.faults.ack == "required",
                zone=output.zone or "",
                label=_named(output, "is not followed by its feedback", "反馈不一致"),
                suppressed_by=(f"fault.{output.id}.health",),
            )


def interlock_rule(output: str) -> str:
    """Return the id of the rule that an interlock becomes."""
    return f"interlock.{output}"


def _named(output: OutputModel, en: str, zh: str) -> Label:
    label = output.label.spec()
    return Label(en=f"{label.en or output.id} {en}", zh=f"{label.zh or label.en or output.id}{zh}")


def _output(output: OutputModel, timezone: str) -> OutputSpec:
    is_pump = output.role is not None
    return OutputSpec(
        id=output.id,
        kind=output.kind,
        zone=output.zone or "",
        label=output.label.spec(),
        is_energised_when_active=is_energised_when_active(output),
        pulse_s=(output.pulse_ms or 0) / 1000,
        max_on_s=START_PULSE_S if is_pump else output.max_on_s,
        is_start_pulse=is_pump,
        min_off_s=output.min_off_s,
        stagger_s=output.stagger_s,
        interlock="" if output.interlock is None else interlock_rule(output.id),
        is_restored_by_hand=is_restored_by_hand(output),
        has_feedback=output.feedback is not None,
        test_max_s=longest_test_s(output),
        self_test=None if output.self_test is None else _self_test(output.self_test, timezone),
        shows=output.shows,
        resets=() if output.reset_line is None else output.reset_line.points,
        reset_pulse_s=0.0 if output.reset_line is None else output.reset_line.pulse_s,
        blank_s=0.0 if output.reset_line is None else output.reset_line.blank_s,
        patterns=_patterns(output),
    )


def _self_test(test: SelfTestModel, timezone: str) -> SelfTest:
    return SelfTest(
        calendar=WallCalendar(ZoneInfo(timezone)),
        days=frozenset(DAYS.index(day) for day in test.days),
        minute=minutes_of(test.at),
        for_s=test.for_s,
    )


def _patterns(output: OutputModel) -> tuple[tuple[AlarmClass, Pattern], ...]:
    if output.patterns is None:
        return ()
    named = ((each, getattr(output.patterns, each.value)) for each in AlarmClass)
    return tuple((each, how) for each, how in named if how is not Pattern.STEADY)
