"""What a view amounts to: which alarms stand, what a point's reading is worth by now. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent.core.effects import AlarmState, AlarmView
from agent.core.spec import AlarmClass
from agent.local.view import AgentView, PointView
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading

STALE_GRACE_S = 5.0
"""How much later than the core the page calls a point stale by itself: some ticks of the core (1 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The alarms of a view, sorted for people."""

    standing: tuple[AlarmView, ...]
    """Not normal and not suppressed; most urgent class first, then oldest first (first-out)."""
    suppressed: tuple[AlarmView, ...]
    """Not normal, hidden by a parent fault."""
    pending: tuple[AlarmView, ...]
    """Normal, and the on-delay is running."""
    unknown: tuple[AlarmView, ...]
    """Normal so far as known, but the condition cannot be told."""
    tests: tuple[AlarmView, ...] = ()
    """Not normal, in a drill: no alarm, and never counted as one."""
    inhibited: tuple[AlarmView, ...] = ()
    """Taken out by a person, and at rest or hidden by it."""

    @property
    def highest(self) -> AlarmClass | None:
        """The most urgent class that stands."""
        return self.standing[0].alarm_class if self.standing else None

    @property
    def oldest(self) -> AlarmView | None:
        """The alarm that has stood longest within the most urgent class."""
        return self.standing[0] if self.standing else None

    @property
    def unacked(self) -> int:
        """How many standing alarms nobody has acknowledged."""
        return sum(not alarm.state.is_acked for alarm in self.standing)

    def count(self, alarm_class: AlarmClass) -> int:
        """Return how many alarms of a class stand."""
        return sum(alarm.alarm_class is alarm_class for alarm in self.standing)


def summarise(view: AgentView) -> Summary:
    """Return the alarms of a view, sorted for people."""
    ordered = sorted(
        view.alarms, key=lambda alarm: (alarm.alarm_class.rank, alarm.since.wall_ms, alarm.rule)
    )
    tests = [each for each in ordered if each.is_test and each.state is not AlarmState.NORMAL]
    real = [alarm for alarm in ordered if alarm not in tests]
    abnormal = [alarm for alarm in real if alarm.state is not AlarmState.NORMAL]
    quiet = [alarm for alarm in real if alarm.state is AlarmState.NORMAL]
    inhibited = [alarm for alarm in quiet if alarm.is_inhibited]
    quiet = [alarm for alarm in quiet if not alarm.is_inhibited]
    return Summary(
        standing=tuple(alarm for alarm in abnormal if not alarm.is_suppressed),
        suppressed=tuple(alarm for alarm in abnormal if alarm.is_suppressed),
        pending=tuple(alarm for alarm in quiet if alarm.is_pending),
        unknown=tuple(alarm for alarm in quiet if alarm.is_unknown and not alarm.is_pending),
        tests=tuple(tests),
        inhibited=tuple(inhibited),
    )


def quality_of(point: PointView, now: Stamp) -> Quality | None:
    """Return what a point's reading is worth now, None before the first.

    The core calls readings stale; should it ever fail to, an old or impossible value is still not
    called good here.
    """
    reading = point.reading
    if reading is None:
        return None
    if reading.is_known:
        if reading_age_s(reading, now) > point.spec.stale_after_s + STALE_GRACE_S:
            return Quality.STALE
        if isinstance(reading.value, float) and not math.isfinite(reading.value):
            return Quality.BAD
    return reading.quality


def reading_age_s(reading: Reading, now: Stamp) -> float:
    """Return how old a reading is, in seconds; readings never outlive the process."""
    return max(0.0, now.mono_s - reading.at.mono_s)


def age_s(since: Stamp, now: Stamp) -> float | None:
    """Return how long ago something was, in seconds, None when no clock can tell.

    What was restored after a restart carries a monotonic time of another boot, so wall clocks are
    compared as long as both were synced.
    """
    if since.clock is ClockState.SYNCED and now.clock is ClockState.SYNCED:
        passed_s = (now.wall_ms - since.wall_ms) / 1000
    else:
        passed_s = now.mono_s - since.mono_s
    return passed_s if passed_s >= 0 else None


def is_blind(view: AgentView, summary: Summary) -> bool:
    """Whether the absence of alarms would prove little.

    So it is when the agent is not ready, nothing is watched, a condition cannot be told, a rule was
    taken out, a drill runs, a point has no good value, or an output is not as it should be.
    """
    return (
        bool(view.not_ready)
        or not view.alarms
        or bool(summary.unknown or summary.inhibited)
        or view.orders.drill_left_s is not None
        or bool(view.orders.cut)
        or any(quality_of(point, view.at) is not Quality.GOOD for point in view.points)
        or any(output.fault or output.is_active != output.is_demanded for output in view.outputs)
    )
