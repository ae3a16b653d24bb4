"""What a month of events amounts to. Pure: events in order and the bounds of the month in, figures out.

What the journal does not tell is unknown, never good: the time before its first event, the time the
agent was not running, the time after a crash from which nothing was kept, the time of a run that
never knew the date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from agent.core.effects import Event, EventKind
from agent.core.spec import AlarmClass, SiteSpec
from agent.report.dating import Dated
from agent.report.figures import Month, Report, Share, Times

ONLINE_PREFIX = "fault."
"""A point or device is healthy while its built-in fault rule is (agent.config.builtin)."""

EVENT_LANE = "event"
"""The opening record of this lane counts; that of the telemetry lane tells of the same crash."""


@dataclass(slots=True)
class _Span:
    """Good or bad since when, of one watched thing."""

    is_bad: bool = False
    is_hidden: bool = False
    """Something above it is bad: a device on a bus that is down is not online."""
    is_inhibited: bool = False
    good_s: float = 0.0
    bad_s: float = 0.0
    inhibited_s: float = 0.0
    unknown_s: float = 0.0

    def pass_s(self, seconds: float, *, is_known: bool) -> None:
        if self.is_inhibited:
            self.inhibited_s += seconds
        elif not is_known:
            self.unknown_s += seconds
        elif self.is_bad or self.is_hidden:
            self.bad_s += seconds
        else:
            self.good_s += seconds


@dataclass(slots=True)
class _Tally:
    """What is being added up."""

    now_ms: int
    is_known: bool = False
    known_s: float = 0.0
    points: dict[str, _Span] = field(default_factory=dict)
    devices: dict[str, _Span] = field(default_factory=dict)
    raised_ms: dict[str, int] = field(default_factory=dict)
    alarms: Counter[AlarmClass] = field(default_factory=Counter)
    tests: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    to_ack: list[float] = field(default_factory=list)
    to_reset: list[float] = field(default_factory=list)
    drills: int = 0
    drill_s: float = 0.0
    is_drill: bool = False
    inhibited: set[str] = field(default_factory=set)
    inhibited_s: dict[str, float] = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)
    gaps: int = 0

    def spans_of(self, rule: str) -> list[_Span]:
        """Return what a built-in fault rule watches: a point, a device, or nothing that is told."""
        watched = rule.removeprefix(ONLINE_PREFIX)
        if watched == rule:
            return []
        return [spans[watched] for spans in (self.points, self.devices) if watched in spans]

    def show_all(self) -> None:
        """Take it that nothing is hidden by what is above it, until an event says so."""
        for span in (*self.points.values(), *self.devices.values()):
            span.is_hidden = False


def month_report(
    events: Iterable[Dated],
    site: SiteSpec,
    month: Month,
    now_ms: int,
    *,
    is_running: bool = True,
) -> Report:
    """Return the figures of a month; `events` are all there are, oldest first.

    Those before the month tell what stood when it began. What lies ahead of `now_ms` is no time yet.
    Of a box whose agent is not running, what lies behind the last event is unknown.
    """
    until_ms = min(month.until_ms, max(now_ms, month.from_ms))
    tally = _Tally(now_ms=month.from_ms)
    tally.points = {point: _Span() for point in _watched_points(site)}
    sources = {point.device for point in site.points if point.device}
    tally.devices = {source: _Span() for source in sources}
    for each in events:
        event = each.event
        if event.at.wall_ms >= until_ms:
            break
        _pass(tally, event.at.wall_ms)
        _take(tally, event, is_inside=event.at.wall_ms >= month.from_ms)
        tally.is_known &= each.is_dated
    else:
        tally.is_known &= is_running
    _pass(tally, until_ms)
    return Report(
        month=month,
        site=site.site,
        box=site.box,
        known_s=tally.known_s,
        points=_sum(tally.points.values()),
        devices=_sum(tally.devices.values()),
        alarms={each: tally.alarms[each] for each in AlarmClass},
        tests=tally.tests,
        closed=dict(tally.closed),
        false_causes=dict(tally.causes.most_common()),
        to_ack=_times(tally.to_ack),
        to_reset=_times(tally.to_reset),
        drills=tally.drills,
        drill_s=tally.drill_s,
        inhibited_s=dict(sorted(tally.inhibited_s.items(), key=lambda each: -each[1])),
        starts=dict(tally.starts.most_common()),
        gaps=tally.gaps,
    )


def _watched_points(site: SiteSpec) -> list[str]:
    """Return the points that have a fault rule of their own: those whose health can be told."""
    rules = {rule.id for rule in site.rules}
    return [point.id for point in site.points if f"{ONLINE_PREFIX}{point.id}" in rules]


def _pass(tally: _Tally, at_ms: int) -> None:
    """Let the time up to `at_ms` pass; a clock that went back passes none."""
    seconds = (at_ms - tally.now_ms) / 1000
    if seconds <= 0:
        return
    tally.now_ms = at_ms
    if tally.is_known:
        tally.known_s += seconds
    for span in (*tally.points.values(), *tally.devices.values()):
        span.pass_s(seconds, is_known=tally.is_known)
    for rule in tally.inhibited:
        tally.inhibited_s[rule] = tally.inhibited_s.get(rule, 0.0) + seconds
    if tally.is_drill:
        tally.drill_s += seconds


def _take(tally: _Tally, event: Event, *, is_inside: bool) -> None:
    match event.kind:
        case EventKind.ALARM:
            _take_health(tally, event)
            _take_alarm(tally, event, is_inside=is_inside)
        case EventKind.SUPPRESSION:
            for span in tally.spans_of(event.rule):
                span.is_hidden = event.to_state == "suppressed"
        case EventKind.SYSTEM if event.to_state in ("started", "stopped"):
            tally.is_known = event.to_state == "started"
            # What a parent fault hides is not remembered over a stop: the next start tells it anew.
            if not tally.is_known:
                tally.show_all()
        case EventKind.STREAM if event.detail.get("lane") == EVENT_LANE:
            _take_opening(tally, event)
        case EventKind.GAP | EventKind.DAMAGE if is_inside:
            tally.gaps += 1
        case EventKind.INHIBIT:
            _take_inhibit(tally, event)
        case EventKind.PUMP if is_inside:
            starts = event.detail.get("starts")
            tally.starts[event.point] += starts if isinstance(starts, int) else 1
        case EventKind.DRILL:
            tally.is_drill = event.to_state == "started"
            tally.drills += is_inside and tally.is_drill
        case _:
            pass


def _take_opening(tally: _Tally, event: Event) -> None:
    """A stream that opens after a crash says from when on nothing is known: that time is taken back."""
    tally.show_all()
    since_ms = event.detail.get("unknown_from_wall_ms")
    if event.detail.get("previous_clean") is not False or not isinstance(since_ms, int):
        return
    lost_s = min(max(0.0, (event.at.wall_ms - since_ms) / 1000), tally.known_s)
    if not tally.is_known or lost_s <= 0:
        return
    tally.known_s -= lost_s
    for span in (*tally.points.values(), *tally.devices.values()):
        taken_s = min(lost_s, span.good_s)
        span.good_s -= taken_s
        span.unknown_s += taken_s


def _take_health(tally: _Tally, event: Event) -> None:
    for span in tally.spans_of(event.rule):
        span.is_bad = event.to_state.startswith("active")


def _take_alarm(tally: _Tally, event: Event, *, is_inside: bool) -> None:
    rule, at_ms = event.rule, event.at.wall_ms
    is_new = event.to_state == "active_unacked" and not event.from_state.startswith("active")
    if is_new:
        tally.raised_ms[rule] = at_ms
    if not is_inside:
        return
    if is_new and event.is_test:
        tally.tests += 1
    elif is_new:
        tally.alarms[event.alarm_class] += 1
    raised_ms = tally.raised_ms.get(rule)
    if not event.is_test and raised_ms is not None and event.actor:
        _take_answer(tally, event, raised_ms)


def _take_answer(tally: _Tally, event: Event, raised_ms: int) -> None:
    """A person answered an alarm."""
    at_ms = event.at.wall_ms
    waited_s = max(0.0, (at_ms - raised_ms) / 1000)
    if event.to_state in ("active_acked", "latched_acked") and event.from_state.endswith("unacked"):
        tally.to_ack.append(waited_s)
    elif event.to_state == "normal":
        if event.code:
            tally.closed[event.code] += 1
            if event.code == "false":
                tally.causes[event.reason or "?"] += 1
        if event.from_state.startswith("latched"):
            tally.to_reset.append(waited_s)


def _take_inhibit(tally: _Tally, event: Event) -> None:
    is_out = event.to_state == "inhibited"
    (tally.inhibited.add if is_out else tally.inhibited.discard)(event.rule)
    watched = event.rule.removeprefix(ONLINE_PREFIX)
    for name in (watched, event.point):
        if name in tally.points:
            tally.points[name].is_inhibited = is_out


def _sum(spans: Iterable[_Span]) -> Share:
    good_s = bad_s = inhibited_s = unknown_s = 0.0
    for span in spans:
        good_s += span.good_s
        bad_s += span.bad_s
        inhibited_s += span.inhibited_s
        unknown_s += span.unknown_s
    return Share(good_s=good_s, bad_s=bad_s, inhibited_s=inhibited_s, unknown_s=unknown_s)


def _times(seconds: list[float]) -> Times | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    # the smallest that nine tenths do not exceed (nearest rank)
    rank = -(-9 * len(ordered) // 10) - 1
    return Times(
        count=len(ordered), median_s=median(ordered), p90_s=ordered[rank], worst_s=ordered[-1]
    )
