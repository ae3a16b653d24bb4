"""What is told of an output beside that it was switched (agent.outputs tells that)."""

from __future__ import annotations

from agent.core.alarm import Alarm
from agent.core.cause import Cause
from agent.core.effects import Event, EventKind
from agent.core.output import Output
from agent.core.spec import AlarmClass

WAITING, BLOCKED = "waiting", "blocked"
"""What an output event says in `to` beside what the output did; see also agent.core.memory."""


def output_event(
    output: Output,
    before: str,
    after: str,
    cause: Cause,
    *,
    code: str,
    rule: str = "",
    alarm: Alarm | None = None,
) -> Event:
    """Return an event of an output that `rule`, with that alarm if it has one, is the reason of."""
    return Event(
        kind=EventKind.OUTPUT,
        subject=output.spec.id,
        at=cause.at,
        alarm_class=AlarmClass.TECHNICAL if alarm is None else alarm.spec.alarm_class,
        rule=rule,
        from_state=before,
        to_state=after,
        actor=cause.actor,
        reason=cause.reason,
        code=code,
        zone=output.spec.zone,
        is_test=alarm is not None and alarm.is_test,
    )
