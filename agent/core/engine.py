"""The core's one door: readings, ticks and commands in, effects out. Told the time, asks nothing."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from agent.core.agenda import Agenda
from agent.core.alarm import Alarm
from agent.core.board import Board
from agent.core.cause import Cause
from agent.core.commands import obey
from agent.core.conditions import is_timed, points_of, streamed_points
from agent.core.derived import Derivation, sources_first
from agent.core.effects import (
    AlarmState,
    AlarmView,
    Command,
    Effect,
    OrdersView,
    Outcome,
    ShowState,
    Telemeter,
)
from agent.core.gathering import Gathering
from agent.core.keys import Key, is_news
from agent.core.memory import (
    NO_ORDERS,
    AlarmMemory,
    AlarmSnapshot,
    DelayMemory,
    LogPosition,
    Orders,
)
from agent.core.pump_starts import PumpContact, pump_contacts
from agent.core.spec import AlarmClass, PointSpec, SiteSpec
from agent.core.telemetry import StateGate, TelemetryGate
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading

LONG_DELAY_S = 60.0
"""Shorter delays are not worth a write to the disk."""


class _Point:
    """A point: when it was last heard, and where its readings go."""

    __slots__ = (
        "alarms",
        "blank_until_s",
        "good",
        "heard_s",
        "is_streamed",
        "is_watched",
        "key",
        "pump",
        "scheduled_s",
        "spec",
        "stale_after_s",
        "state",
        "telemetry",
    )

    def __init__(self, spec: PointSpec) -> None:
        self.spec = spec
        self.stale_after_s = spec.stale_after_s
        self.telemetry = TelemetryGate(spec.telemetry)
        self.state = StateGate(spec)
        self.alarms: tuple[Alarm, ...] = ()
        """Those that watch it."""
        self.is_watched = False
        """By an alarm, or it is a key or a pump."""
        self.key: Key | None = None
        """What pressing it asks for."""
        self.pump: PumpContact | None = None
        """Counts its starts."""
        self.is_streamed = False
        """One of these wants every reading of it, the same value again too."""
        self.heard_s = -inf
        """Monotonic time of its last reading from a driver, or of the start before that."""
        self.blank_until_s = -inf
        """What is read of it before then counts for nothing: its supply was taken away."""
        self.good: Reading | None = None
        """Its last reading with quality good."""
        self.scheduled_s = inf
        """Kept by agent.core.agenda: infinite while nobody waits for it (before start, when stale)."""


class _Later:
    """An alarm whose condition may tell otherwise though nothing was read."""

    __slots__ = ("alarm", "scheduled_s")

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.scheduled_s = inf
        """Kept by agent.core.agenda."""


class Engine:
    """The alarms of one site. One owner calls it; no call waits for anything.

    Hand in all readings that wait before a tick: a tick takes what it was not told for silence.
    """

    def __init__(
        self,
        site: SiteSpec,
        memories: Iterable[AlarmMemory] = (),
        *,
        orders: Orders = NO_ORDERS,
        delays: Iterable[DelayMemory] = (),
        is_memory_whole: bool = True,
    ) -> None:
        """`memories` are known before the start.

        While more may come (`is_memory_whole` False), nothing that cuts or shuts is told to restore:
        an alarm that is not remembered yet may hold it. `memory_is_whole` ends that.
        """
        self.unknown_readings = 0
        """Readings of points this site does not have; ignored."""
        self.late_readings = 0
        """Readings older than one already seen of their point; stored, not evaluated."""
        self._site = site
        self._orders = orders
        self._delays = tuple(delays)
        self._told = Stamp(0.0, 0, ClockState.UNSYNCED)
        """The time of the last call."""
        self._awaits_clock = True
        """The clock was not seen set since orders of an earlier run were taken up."""
        self._latest: dict[str, Reading] = {}
        self._timers: Agenda[Alarm] = Agenda()
        self._silences: Agenda[_Point] = Agenda()
        self._looks: Agenda[_Later] = Agenda()
        self._derivation = Derivation(site.derived) if site.derived else None
        self._derived = tuple(sources_first(site.derived))
        self._points = {spec.id: _Point(spec) for spec in site.points}
        self._board = Board(site, self._latest, self._timers, is_memory_whole=is_memory_whole)
        self._board.reset_lines.blank = self._blank
        self._in_order = sorted(self._board.alarms.values(), key=lambda alarm: alarm.order)
        watching: dict[str, list[Alarm]] = {}
        for alarm in self._in_order:
            for point in points_of(alarm.spec.condition):
                watching.setdefault(point, []).append(alarm)
        for name, alarms in watching.items():
            if name in self._points:
                self._points[name].alarms = tuple(alarms)
                self._points[name].is_watched = True
                self._points[name].is_streamed = any(
                    name in streamed_points(each.spec.condition) for each in alarms
                )
        for key in site.keys:
            if key.point in self._points:
                self._points[key.point].key = Key(key)
                self._points[key.point].is_watched = True
        for name, pump in pump_contacts(site.points, self._board.appointments).items():
            self._points[name].pump = pump
            self._points[name].is_watched = True
        self._timed = {
            alarm.spec.id: _Later(alarm)
            for alarm in self._in_order
            if is_timed(alarm.spec.condition)
        }
        for memory in memories:
            self._board.recall(memory)

    def start(self, now: Stamp) -> list[Effect]:
        """Return the effects of the start: every output set, every alarm shown, delays begun."""
        out = self._gathering(now)
        for point in self._points.values():
            point.heard_s = max(point.heard_s, now.mono_s)
            self._silences.call(point, point.heard_s + point.stale_after_s)
        cause = Cause(at=now, at_s=now.mono_s)
        self._board.start(self._orders, self._delays, cause, out)
        for alarm in self._in_order:
            self._look(alarm, alarm.point, cause, out)
        self._board.self_tests.look(cause, out)
        self._board.show_signs(cause, out)
        self._board.set_every_output(cause, out)
        return out.in_order()

    def on_readings(self, readings: Iterable[Reading], now: Stamp) -> list[Effect]:
        """Return the effects of new readings, in the order given; what is derived from them follows."""
        out = self._gathering(now)
        if self._derivation is not None:
            readings = self._derivation.with_derived(readings, now.mono_s)
        self._take_in(readings, now, out)
        return out.in_order()

    def _take_in(self, readings: Iterable[Reading], now: Stamp, out: Gathering) -> None:
        now_s = now.mono_s
        points, latest, telemetry = self._points, self._latest, out.telemetry
        appointments = self._board.appointments
        for reading in readings:
            name = reading.point
            point = points.get(name)
            if point is None:
                self.unknown_readings += 1
                continue
            # A stamp from the future would make every later reading look old: it counts as now.
            at_s = reading.at.mono_s
            if not at_s <= now_s:
                at_s = now_s
            heard_s = point.heard_s
            before = latest.get(name)
            if (at_s < heard_s and before is not None) or at_s < point.blank_until_s:
                self._pass_over(point, reading, at_s, out)
                continue
            due_s = appointments.next_s()
            if due_s is not None and due_s <= at_s:
                appointments.keep(Cause(at=reading.at, at_s=at_s), out)
            if point.scheduled_s == inf:
                self._silences.call(point, at_s + point.stale_after_s)
            elif at_s - heard_s > point.stale_after_s:
                self._go_stale(point, heard_s + point.stale_after_s, now, out)
                before = latest[name]
            point.heard_s = at_s
            if reading.quality is Quality.GOOD:
                point.good = reading
            if point.telemetry.passes(reading, at_s):
                telemetry.append(Telemeter(reading=reading))
            if point.state.passes(reading, at_s):
                out.states.append(ShowState(reading=reading))
            if not point.is_watched or (
                not point.is_streamed
                and before is not None
                and before.value == reading.value
                and type(before.value) is type(reading.value)
            ):
                latest[name] = reading  # conditions look at the value only
            else:
                self._take_up(point, reading, Cause(at=reading.at, at_s=at_s), out)

    def on_tick(self, now: Stamp) -> list[Effect]:
        """Return the effects of the passing of time: delays over, points gone silent."""
        out = self._gathering(now)
        now_s = now.mono_s
        gone: list[tuple[float, _Point]] = []
        for point in self._silences.due(now_s):
            at_s = point.heard_s + point.stale_after_s
            if at_s > now_s:
                self._silences.call(point, at_s)
            else:
                gone.append((at_s, point))
        # Silence first and in its order: a delay must not clear an alarm past the moment from
        # which nothing was known.
        for at_s, point in sorted(gone, key=lambda each: each[0]):
            self._go_stale(point, at_s, now, out)
            if self._derivation is not None:
                silent = Stamp(at_s, now.wall_ms - round((now.mono_s - at_s) * 1000), now.clock)
                self._take_in(self._derivation.derive(silent), now, out)
        cause = Cause(at=now, at_s=now_s)
        for later in sorted(self._looks.due(now_s), key=lambda each: each.alarm.order):
            self._look_later(later.alarm, cause, out)
        for alarm in sorted(self._timers.due(now_s), key=lambda each: each.order):
            self._board.run_out(alarm, cause, out)
        if now.clock is ClockState.SYNCED and self._awaits_clock:
            self._awaits_clock = False
            self._board.clock_was_set(now)
        self._board.appointments.keep(cause, out)
        self._board.show_signs(cause, out)
        return out.in_order()

    def on_command(self, command: Command, now: Stamp) -> tuple[Outcome, list[Effect]]:
        """Return how a person's wish ended and its effects; an event tells of it either way."""
        out = self._gathering(now)
        outcome = obey(self._board, command, now, self._site.box, out)
        self._board.show_signs(Cause(at=now, at_s=now.mono_s), out)
        return outcome, out.in_order()

    def restore(self, memory: AlarmMemory, now: Stamp) -> list[Effect]:
        """Return the effects of a memory that came late. What moved since the start is newer and stays.

        A memory in `normal` takes back an older one of that rule, known before the start.
        """
        out = self._gathering(now)
        self._board.merge(memory, Cause(at=now, at_s=now.mono_s), out)
        return out.in_order()

    def restore_orders(self, orders: Orders, now: Stamp) -> list[Effect]:
        """Return the effects of all orders the log knows: some may be new, some have ended.

        Call it before `restore`: a drill has to be known before its alarms.
        """
        out = self._gathering(now)
        cause = Cause(at=now, at_s=now.mono_s)
        self._board.take_back(orders, cause, out)
        self._board.take_up(orders, cause, out)
        self._board.show_signs(cause, out)
        self._awaits_clock = True
        return out.in_order()

    def memory_is_whole(self) -> list[Effect]:
        """Return the effects of knowing that no memory comes any more: what need not cut restores."""
        out = Gathering(self._told.mono_s)
        self._board.memory_is_whole(Cause(at=self._told, at_s=self._told.mono_s), out)
        return out.in_order()

    def next_deadline_s(self) -> float | None:
        """Return the monotonic time from which `on_tick` is worth calling; None: not at all."""
        times = [
            each
            for each in (
                self._timers.next_s(),
                self._silences.next_s(),
                self._looks.next_s(),
                self._board.appointments.next_s(),
            )
            if each is not None
        ]
        return min(times, default=None)

    def snapshot(self, position: LogPosition | None) -> AlarmSnapshot:
        """Return the memory of all alarms that are not normal and of orders, true up to `position`."""
        alarms, now = self._board.alarms.values(), self._told
        return AlarmSnapshot(
            memories=tuple(
                each.remember() for each in alarms if each.state is not AlarmState.NORMAL
            ),
            position=position,
            orders=Orders(
                inhibits=self._board.inhibits.memories(now),
                drill=self._board.drills.memory(now),
                cut=self._board.linkages.cut(),
                is_manual=self._board.linkages.is_manual,
                running=self._board.linkages.running(),
            ),
            delays=tuple(
                DelayMemory(rule=each.spec.id, left_s=each.left_s(now.mono_s))
                for each in alarms
                if each.situation.is_timed
            ),
        )

    def counts_down(self) -> bool:
        """Return whether something runs whose remaining time a restart should know: orders, long delays."""
        orders = self._board.inhibits.is_any or self._board.drills.is_running
        return orders or any(
            each.situation.is_timed and each.left_s(self._told.mono_s) > LONG_DELAY_S
            for each in self._board.alarms.values()
        )

    def alarms(self) -> tuple[AlarmView, ...]:
        """Return every alarm, normal ones too, in the order of the rules."""
        return tuple(alarm.view(self._told.mono_s) for alarm in self._board.alarms.values())

    def reading(self, point: str) -> Reading | None:
        """Return the last reading of a point, the engine's own stale one included."""
        return self._latest.get(point)

    def last_good(self, point: str) -> Reading | None:
        """Return the last reading of a point with quality good, None before the first."""
        known = self._points.get(point)
        return None if known is None else known.good

    def standing_orders(self) -> OrdersView:
        """Return what people ordered and stands, beside inhibits, which their alarms tell."""
        linkages, drills = self._board.linkages, self._board.drills
        return OrdersView(
            is_manual=linkages.is_manual,
            cut=linkages.cut(),
            drill_left_s=drills.left_s(self._told.mono_s),
            drill_scope=drills.scope,
            is_testing=linkages.is_testing(self._told.mono_s),
        )

    def transitions(self) -> dict[tuple[AlarmClass, str], int]:
        """Return how many alarms entered each state since this engine was made, by class and state."""
        return dict(self._board.transitions)

    def _gathering(self, now: Stamp) -> Gathering:
        self._told = now
        return Gathering(now.mono_s)

    def _take_up(self, point: _Point, reading: Reading, cause: Cause, out: Gathering) -> None:
        """Make `reading` the latest of its point and look at every rule that watches the point."""
        for alarm in point.alarms:
            self._run_out_before(alarm, cause, out)
        before = self._latest.get(reading.point)
        self._latest[reading.point] = reading
        for alarm in point.alarms:
            self._look(alarm, reading.point, cause, out)
        if point.pump is not None:
            point.pump.look(before, reading, cause, out)
        if point.key is not None:
            command = point.key.read(reading)
            modes = self._board.linkages
            if command is not None and is_news(
                command, is_manual=modes.is_manual, is_mode_known=modes.is_mode_known
            ):
                obey(self._board, command, cause.at, self._site.box, out)
                self._board.show_signs(cause, out)

    def _look(self, alarm: Alarm, point: str, cause: Cause, out: Gathering) -> None:
        try:
            truth = alarm.watch.look(self._latest, cause.at, cause.at_s)
        except Exception as fault:  # noqa: BLE001 - a bug in one rule must not stop the others
            alarm.point = point
            self._board.fail(alarm, f"{type(fault).__name__}: {fault}", cause, out)
            return
        if alarm.is_failed:
            self._board.recover(alarm, cause, out)
        if truth is not alarm.truth:
            alarm.point = point
            self._board.learn(alarm, truth, cause, out)
        later = self._timed.get(alarm.spec.id)
        if later is not None and cause.at_s < (due_s := alarm.watch.due_s()) < inf:
            self._looks.call(later, due_s)

    def _look_later(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Look at an alarm because its time has come; a delay over by now was over before that."""
        self._run_out_before(alarm, cause, out)
        self._look(alarm, alarm.point, cause, out)

    def _run_out_before(self, alarm: Alarm, cause: Cause, out: Gathering) -> None:
        """Decide what was over before this moment by what was known before it.

        In the very same moment an on-delay is over, and an off-delay is not: the cautious side of both.
        """
        deadline_s = alarm.deadline_s
        if deadline_s < cause.at_s or (deadline_s == cause.at_s and alarm.is_pending):
            self._board.run_out(alarm, cause, out)

    def _go_stale(self, point: _Point, at_s: float, now: Stamp, out: Gathering) -> None:
        spec = point.spec
        reading = Reading(
            point=spec.id,
            value=None,
            quality=Quality.STALE,
            unit=spec.unit,
            at=now,
            reason=f"no reading for {point.stale_after_s:g} s",
        )
        if point.telemetry.passes(reading, at_s):
            out.telemetry.append(Telemeter(reading=reading))
        if point.state.passes(reading, at_s):
            out.states.append(ShowState(reading=reading))
        self._take_up(point, reading, Cause(at=now, at_s=at_s), out)
        if self._derivation is not None:
            self._derivation.take(reading, at_s)

    def _blank(self, points: tuple[str, ...], until_s: float) -> None:
        """Let nothing count that is read of `points`, or derived from them, until then."""
        names = set(points)
        for derived in self._derived:
            if names.intersection(derived.sources):
                names.add(derived.point)
        for name in names.intersection(self._points):
            point = self._points[name]
            point.blank_until_s = max(point.blank_until_s, until_s)

    def _pass_over(self, point: _Point, reading: Reading, at_s: float, out: Gathering) -> None:
        """Judge nothing by a reading that is late, or of a detector without supply."""
        if at_s < point.blank_until_s:
            point.heard_s = max(point.heard_s, at_s)
            return
        self.late_readings += 1
        if not point.telemetry.is_closed:
            out.telemetry.append(Telemeter(reading=reading))
