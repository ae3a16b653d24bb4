"""The latest of each point and alarm, and what each uplink has not shown yet.

Bounded by the number of points and rules: a newer value replaces the older one, whether an uplink
has taken it or not. Everything happens on one loop; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.core.effects import AlarmState, AlarmView
from agent.core.spec import AlarmClass
from drivers.reading import Reading

URGENT = (AlarmClass.FIRE, AlarmClass.GAS)
"""Classes whose alarms are shown before anything else leaves, the first one first (GB 26875.1-2011 4.1.2.3)."""


class StateBoard:
    """Takes what the pipeline shows (ShowState, ShowAlarm) and hands it to every uplink."""

    def __init__(self) -> None:
        self._states: dict[str, Reading] = {}
        self._alarms: dict[str, AlarmView] = {}
        self._watches: list[Watch] = []

    def put_state(self, reading: Reading) -> None:
        """Make this the state of its point; never blocks."""
        self._states[reading.point] = reading
        for watch in self._watches:
            watch.mark_state(reading.point)

    def put_alarm(self, view: AlarmView) -> None:
        """Make this the state of its alarm; never blocks."""
        self._alarms[view.rule] = view
        for watch in self._watches:
            watch.mark_alarm(view.rule)

    def watch(self, wake: Callable[[], None]) -> Watch:
        """Return a view with everything marked as not shown; `wake` is called on every change."""
        watch = Watch(self._states, self._alarms, wake, self._watches.remove)
        self._watches.append(watch)
        return watch


class Watch:
    """What one connection has not shown yet: urgent alarms, other alarms, states; each the longest waiting first."""

    def __init__(
        self,
        states: dict[str, Reading],
        alarms: dict[str, AlarmView],
        wake: Callable[[], None],
        leave: Callable[[Watch], None],
    ) -> None:
        self._states = states
        self._alarms = alarms
        self._wake = wake
        self._leave = leave
        self._dirty_states = dict.fromkeys(states)
        self._urgent: dict[AlarmClass, dict[str, None]] = {each: {} for each in URGENT}
        self._dirty_alarms: dict[str, None] = {}
        for rule in alarms:
            self._mark(rule)

    def mark_state(self, point: str) -> None:
        """Note that a point has something new to show."""
        self._dirty_states[point] = None
        self._wake()

    def mark_alarm(self, rule: str) -> None:
        """Note that an alarm has something new to show."""
        self._mark(rule)
        self._wake()

    def mark_all(self) -> None:
        """Note that everything is to be shown anew."""
        self._dirty_states.update(dict.fromkeys(self._states))
        for rule in self._alarms:
            self._mark(rule)
        self._wake()

    @property
    def is_urgent(self) -> bool:
        """Whether an alarm of an urgent class that is up, and no test, has not been shown as it is."""
        return any(self._urgent.values())

    def take(self) -> Reading | AlarmView | None:
        """Return the next to show, as it is now, and count it as shown; None when all is shown."""
        for rules in (*self._urgent.values(), self._dirty_alarms):
            for rule in rules:
                del rules[rule]
                return self._alarms[rule]
        for point in self._dirty_states:
            del self._dirty_states[point]
            return self._states[point]
        return None

    def __len__(self) -> int:
        alarms = len(self._dirty_alarms) + sum(map(len, self._urgent.values()))
        return len(self._dirty_states) + alarms

    def close(self) -> None:
        """Stop watching."""
        self._leave(self)

    def _mark(self, rule: str) -> None:
        # A rule waits in one place only, that of what it is now: it may have become urgent or calm.
        view = self._alarms[rule]
        for rules in self._urgent.values():
            rules.pop(rule, None)
        is_up = view.state is not AlarmState.NORMAL and not view.is_test
        if is_up and view.alarm_class in self._urgent:
            self._dirty_alarms.pop(rule, None)
            self._urgent[view.alarm_class][rule] = None
        else:
            self._dirty_alarms[rule] = None
