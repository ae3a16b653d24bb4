"""What a rule watches, looked at in three-valued logic: true, false, or unknown (Kleene).

Unknown is what a bad, stale or never read point gives, and so does a value of the wrong type or a
number that is none (NaN, infinity): no such value may pass for normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite

from agent.core.schedule import ScheduledWatch
from agent.core.spec import (
    AllOf,
    AnyOf,
    AtLeast,
    Condition,
    Contact,
    Faster,
    Flat,
    Leaking,
    Outside,
    Scheduled,
    Side,
    Starting,
    Threshold,
    Unheard,
    Verified,
)
from agent.core.starts import DAY_S, StartingWatch
from agent.core.trends import FasterWatch, FlatWatch, LeakWatch
from agent.core.voting import AtLeastWatch, VerifiedWatch
from agent.core.watching import Truth, Watch, contact_in, number_in
from drivers.clock import Stamp
from drivers.reading import Reading

_FILLING = 1.25
"""A window is full one reading after its time. Our choice: readings come four times in it, or more often."""


def watch(condition: Condition) -> Watch:
    """Return a fresh watch of `condition`, remembering nothing yet."""
    match condition:
        case Threshold():
            return _ThresholdWatch(condition)
        case Contact():
            return _ContactWatch(condition)
        case Unheard():
            return _UnheardWatch(condition)
        case Outside():
            return _OutsideWatch(condition)
        case Faster():
            return FasterWatch(condition)
        case Flat():
            return FlatWatch(condition)
        case Starting():
            return StartingWatch(condition)
        case Scheduled():
            return ScheduledWatch(condition)
    return _watch_over(condition, tuple(watch(part) for part in parts_of(condition)))


def _watch_over(
    condition: AllOf | AnyOf | AtLeast | Verified | Leaking, parts: tuple[Watch, ...]
) -> Watch:
    match condition:
        case AllOf():
            return _AllWatch(parts)
        case AnyOf():
            return _AnyWatch(parts)
        case AtLeast():
            points = tuple(points_of(part) for part in condition.parts)
            fills_s = tuple(filling_s(part) for part in condition.parts)
            return AtLeastWatch(condition, parts, points, fills_s)
        case Verified():
            return VerifiedWatch(condition, parts[0])
    return LeakWatch(condition, parts[0])


def parts_of(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions `condition` is made of; none for a single one."""
    match condition:
        case AllOf() | AnyOf() | AtLeast():
            return condition.parts
        case Verified():
            return (condition.part,)
        case Leaking():
            return (condition.quiet,)
    return ()


def filling_s(condition: Condition) -> float:
    """Return how long `condition` may be unknown though its points are read, since its window fills."""
    own_s = 0.0
    match condition:
        case Faster() | Leaking():
            own_s = condition.window_s
        case Flat():
            own_s = condition.for_s
        case Starting():
            own_s = DAY_S if condition.factor else condition.per_s
    return max(_FILLING * own_s, *(filling_s(part) for part in parts_of(condition)), 0.0)


def points_of(condition: Condition) -> tuple[str, ...]:
    """Return the ids of the points `condition` looks at, each once, in the order written."""
    own = () if isinstance(condition, Scheduled) else (getattr(condition, "point", ""),)
    below = (point for part in parts_of(condition) for point in points_of(part))
    return tuple(dict.fromkeys(point for point in (*own, *below) if point))


def streamed_points(condition: Condition) -> frozenset[str]:
    """Return the points of which `condition` wants every reading, the same value again too."""
    own = {condition.point} if isinstance(condition, Faster | Leaking | Flat) else set()
    return frozenset(own.union(*(streamed_points(part) for part in parts_of(condition))))


def is_timed(condition: Condition) -> bool:
    """Return whether the mere passing of time can make `condition` tell otherwise."""
    if isinstance(condition, Flat | Starting | Scheduled | Verified):
        return True
    if isinstance(condition, AtLeast) and condition.timeout_s:
        return True
    return any(is_timed(part) for part in parts_of(condition))


class _ThresholdWatch:
    """True beyond the limit; once true, true until back past the limit by the deadband."""

    __slots__ = ("_enters", "_is_above", "_is_held", "_leaves", "_point")

    def __init__(self, spec: Threshold) -> None:
        self._point = spec.point
        self._is_above = spec.side is Side.ABOVE
        self._enters = spec.limit
        self._leaves = spec.limit + (-spec.deadband if self._is_above else spec.deadband)
        self._is_held = False

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        value = number_in(latest.get(self._point))
        if value is None:
            return None
        limit = self._leaves if self._is_held else self._enters
        self._is_held = value > limit if self._is_above else value < limit
        return self._is_held

    def hold(self) -> None:
        self._is_held = True

    def due_s(self) -> float:
        return inf


class _OutsideWatch:
    """True beyond either limit; once true, true until back inside by the deadband."""

    __slots__ = ("_is_held", "_spec")

    def __init__(self, spec: Outside) -> None:
        self._spec = spec
        self._is_held = False

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        spec, value = self._spec, number_in(latest.get(self._spec.point))
        if value is None:
            return None
        inset = spec.deadband if self._is_held else 0.0
        self._is_held = not spec.low + inset <= value <= spec.high - inset
        return self._is_held

    def hold(self) -> None:
        self._is_held = True

    def due_s(self) -> float:
        return inf


class _ContactWatch:
    __slots__ = ("_is_active", "_point")

    def __init__(self, spec: Contact) -> None:
        self._point = spec.point
        self._is_active = spec.is_active

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        value = contact_in(latest.get(self._point))
        return None if value is None else value is self._is_active

    def hold(self) -> None:
        """Remember nothing: a contact has no deadband."""

    def due_s(self) -> float:
        return inf


class _UnheardWatch:
    __slots__ = ("_point",)

    def __init__(self, spec: Unheard) -> None:
        self._point = spec.point

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        reading = latest.get(self._point)
        value = None if reading is None else reading.value
        # A number that is none leaves every threshold unknown: without a fault that would be silence.
        return value is None or (isinstance(value, float) and not isfinite(value))

    def hold(self) -> None:
        """Remember nothing: being unheard has no deadband."""

    def due_s(self) -> float:
        return inf


class _AllWatch:
    """False if any part is, else unknown if any part is, else true. No parts tell nothing: unknown."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Watch, ...]) -> None:
        self._parts = parts

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        # Every part is looked at, so that each remembers its own side of its deadband.
        seen = [part.look(latest, at, at_s) for part in self._parts]
        if False in seen:
            return False
        return None if None in seen or not seen else True

    def hold(self) -> None:
        for part in self._parts:
            part.hold()

    def due_s(self) -> float:
        return min((part.due_s() for part in self._parts), default=inf)


class _AnyWatch:
    """True if any part is, else unknown if any part is, else false. No parts tell nothing: unknown."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Watch, ...]) -> None:
        self._parts = parts

    def look(self, latest: Mapping[str, Reading], at: Stamp, at_s: float) -> Truth:
        seen = [part.look(latest, at, at_s) for part in self._parts]
        if True in seen:
            return True
        return None if None in seen or not seen else False

    def hold(self) -> None:
        # Which of them held is not remembered: each that is still in its deadband counts.
        for part in self._parts:
            part.hold()

    def due_s(self) -> float:
        return min((part.due_s() for part in self._parts), default=inf)
