"""Making room: what must go is told first, then taken off the disk, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from agent.core.effects import Event, EventKind
from agent.outbox.disk import Disk, Survey
from agent.outbox.events import is_expendable
from agent.outbox.gaps import OVERFLOW, PURGED, Gaps
from agent.outbox.manifest import Segment
from agent.outbox.queue import LaneQueue
from agent.outbox.records import Batch, EventRecord, Lane
from agent.outbox.retention import Plan, Room, events_per_class, plan
from agent.outbox.spec import OutboxSpec

Step = tuple[Callable[[], Any], Callable[[Any], None]]


class RoomMaker:
    """Keeps both lanes within their bytes. Loop thread only; its steps run on the writer thread."""

    def __init__(
        self,
        spec: OutboxSpec,
        disk: Disk,
        events: LaneQueue[EventRecord],
        telemetry: LaneQueue[Batch],
        gaps: Gaps,
        *,
        is_owed: bool,
        done: Callable[[Lane], int],
        tell_gaps: Callable[[], None],
        append: Callable[[Event], EventRecord],
    ) -> None:
        """`is_owed`: there are uplinks, so that what goes unsent is a gap. `done`: acknowledged up to."""
        self._room = Room(
            max_bytes=spec.max_bytes,
            event_bytes=int(spec.max_bytes * spec.event_share),
            events_per_class=events_per_class(spec),
        )
        self._disk = disk
        self._events = events
        self._telemetry = telemetry
        self._gaps = gaps
        self._is_owed = is_owed
        self._done = done
        self._tell_gaps = tell_gaps
        self._append = append
        self._is_told_anew = False
        """Whether what tells of loss in the plan's last resort was told anew."""
        self._plan = Plan()
        self._plan_key = 0
        self._survey: Survey | None = None
        self._surveyed: frozenset[int] = frozenset()

    @property
    def is_busy(self) -> bool:
        """Whether something is on its way out."""
        return bool(self._plan) or self._survey is not None

    def purge(self, lane: Lane, *, unsent_too: bool) -> int:
        """Have what a lane holds on disk told as a gap and dropped; return how many records go.

        Events nobody has acknowledged stay unless `unsent_too`. The file in use was sealed before.
        """
        done = self._done(lane) if self._is_owed else self._disk_last(lane)
        going = tuple(
            each
            for each in self._disk.segments(lane)
            if each.is_sealed and (unsent_too or each.last <= done)
        )
        if lane is Lane.EVENT:
            self._plan = Plan(last_resort=going)
            self._is_told_anew = False
        else:
            self._plan = Plan(telemetry=going)
        self._tell_dropped(lane, going, PURGED)
        return sum(each.records for each in going)

    def _disk_last(self, lane: Lane) -> int:
        return max((each.last for each in self._disk.segments(lane)), default=0)

    def next_step(self) -> Step | None:
        """Return what to do on the writer thread and whom to tell; None while there is nothing to do.

        What goes is told as a gap first, and goes once that event is on disk.
        """
        if self._survey is not None:
            if self._events.written < self._plan_key:
                return None
            segment = self._survey.segment
            return partial(self._disk.compact, segment), self._made_room
        if not self._plan:
            self._plan = plan(
                self._room,
                self._disk.segments(Lane.EVENT),
                self._disk.segments(Lane.TELEMETRY),
                events_done=self._done(Lane.EVENT) if self._is_owed else self._events.last_key,
                surveyed=self._surveyed,
            )
            if not self._plan:
                return None
            self._is_told_anew = False
            self._tell_dropped(Lane.EVENT, self._plan.events + self._plan.last_resort)
            self._tell_dropped(Lane.TELEMETRY, self._plan.telemetry)
        plan_now = self._plan
        if plan_now.survey is not None and not plan_now.events and not plan_now.telemetry:
            look = partial(self._disk.survey, plan_now.survey, self._done(Lane.EVENT))
            return look, self._surveyed_segment
        if self._is_owed and plan_now.last_resort and not self._is_told_anew:
            look_in = partial(self._disk.told_in, plan_now.last_resort, self._done(Lane.EVENT))
            return look_in, self._tell_anew
        if self._events.written < self._plan_key:
            return None
        drop = partial(self._disk.drop, plan_now.events, plan_now.telemetry, plan_now.last_resort)
        return drop, self._made_room

    def _tell_dropped(self, lane: Lane, segments: Sequence[Segment], why: str = OVERFLOW) -> None:
        done = self._done(lane)
        for segment in segments:
            # what is told as lost must not arrive from memory
            if lane is Lane.EVENT:
                self._events.discard(segment.first, segment.last, lambda _: True)
            else:
                self._telemetry.discard(segment.first, segment.last, lambda _: True)
            if self._is_owed and segment.last > done:
                for span in segment.spans:
                    self._gaps.note(
                        lane, span.stream, span.first_seq, span.last_seq, span.records, why
                    )
        self._tell_gaps()
        self._plan_key = self._events.last_key

    def _tell_anew(self, events: Sequence[Event]) -> None:
        """Tell again what only events that go told of: gaps merged, streams and damage one by one."""
        self._is_told_anew = True
        for each in events:
            if each.kind is EventKind.GAP:
                self._gaps.retell(each)
            else:
                self._append(each)
        self._tell_gaps()
        self._plan_key = self._events.last_key

    def _surveyed_segment(self, survey: Survey) -> None:
        self._plan = Plan()
        self._surveyed |= {survey.segment.number}
        if not survey.is_worth_it:
            return
        self._survey = survey
        segment = survey.segment
        self._events.discard(
            segment.first, segment.last, lambda record: is_expendable(record.event)
        )
        if self._is_owed:
            for stream, first_seq, last_seq, count in survey.ranges:
                self._gaps.note(Lane.EVENT, stream, first_seq, last_seq, count)
        self._tell_gaps()
        self._plan_key = self._events.last_key

    def _made_room(self, _: object) -> None:
        self._plan = Plan()
        self._survey = None
