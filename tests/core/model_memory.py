"""What the model of tests/core/model.py orders for a time, and what stands on its disk. Nothing of the agent.

What a person ordered for a time ends by itself. Over a restart the time between counts where the clock
on the wall was set before and is set after, and never makes an order longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple


class Moment(NamedTuple):
    """On both clocks."""

    mono_s: float
    wall_ms: int
    is_set: bool


class Left(NamedTuple):
    """So much was left at that moment."""

    seconds: float
    at: Moment

    def now_s(self, now: Moment) -> float:
        """What is left in a later run."""
        passed_ms = now.wall_ms - self.at.wall_ms if self.at.is_set and now.is_set else 0
        return max(0.0, self.seconds - max(0, passed_ms) / 1000)


@dataclass
class Order:
    """An inhibit of one rule, or a drill's time."""

    actor: str
    until_s: float
    came_from: Left | None = None
    """What the disk said of it at the start; None: ordered since."""
    is_counted: bool = True

    @classmethod
    def taken_up(cls, actor: str, left: Left, now: Moment) -> Order:
        return cls(actor, now.mono_s + left.now_s(now), left, now.is_set)

    def clock_is_set(self, now: Moment) -> None:
        if self.came_from is not None and not self.is_counted:
            self.is_counted = True
            if self.came_from.at.is_set:
                self.until_s = min(self.until_s, now.mono_s + self.came_from.now_s(now))

    def noted(self, at: Moment) -> tuple[str, Left]:
        return self.actor, Left(max(0.0, self.until_s - at.mono_s), at)


@dataclass
class Drill:
    """Some points and zones are tests for a time."""

    scope: tuple[str, ...]
    with_linkage: bool
    order: Order
    covered: set[str] = field(default_factory=set)
    """Rules in it."""
    real: set[str] = field(default_factory=set)
    """Those of them that were up or on their way when it began, until they are at rest."""

    def noted(self, at: Moment) -> tuple[tuple[str, ...], bool, str, Left]:
        return self.scope, self.with_linkage, *self.order.noted(at)


class Kept(NamedTuple):
    """One alarm as the disk has it."""

    state: str = ""
    is_seen: bool = False
    seen_by: str = ""
    is_silenced: bool = False
    is_test: bool = False
    serial: int = 0


@dataclass
class Disk:
    """Snapshot and log together: what a restart can know."""

    alarms: dict[str, Kept] = field(default_factory=dict)
    """Those that are not normal."""
    inhibits: dict[str, tuple[str, Left]] = field(default_factory=dict)
    drill: tuple[tuple[str, ...], bool, str, Left] | None = None
    delays: tuple[str, ...] = ()
    """Rules whose delay ran when the snapshot was written."""

    def copy(self) -> Disk:
        return replace(self, alarms=dict(self.alarms), inhibits=dict(self.inhibits))

    def moved(self, rule: str, kept: Kept) -> None:
        self.alarms.pop(rule, None)
        if kept.state:
            self.alarms[rule] = kept

    def as_told(self, rule: str, kept: Kept, *, is_ack: bool) -> Kept:
        """What the log says of a move in a run that does not know all of it yet.

        A move tells the state, and an acknowledgement by whom. Silence, and who had seen it before, stay as
        the log has them: what that run believed of them may be older. So does that nobody had seen it.
        """
        before = self.alarms.get(rule, Kept())
        seen_by = kept.seen_by if is_ack else before.seen_by
        is_seen = kept.is_seen and (is_ack or not before.state or before.is_seen)
        return kept._replace(is_silenced=before.is_silenced, seen_by=seen_by, is_seen=is_seen)

    def silenced(self, rule: str, is_silenced: bool) -> None:
        if rule in self.alarms:
            self.alarms[rule] = self.alarms[rule]._replace(is_silenced=is_silenced)
