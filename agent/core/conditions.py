"""What a rule watches, looked at in three-valued logic: true, false, or unknown (Kleene).

Unknown is what a bad, stale or never read point gives, and so does a value of the wrong type or a
number that is none (NaN, infinity): no such value may pass for normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Protocol

from agent.core.spec import AllOf, AnyOf, Condition, Contact, Side, Threshold, Unheard
from drivers.reading import Reading

Truth = bool | None
"""None is unknown."""


class Watch(Protocol):
    """A condition with what it remembers between looks."""

    def look(self, latest: Mapping[str, Reading]) -> Truth:
        """Return whether the condition holds, given the latest reading of every point heard of."""

    def hold(self) -> None:
        """Take it that the condition held before: it is gone only past its deadband."""


def watch(condition: Condition) -> Watch:
    """Return a fresh watch of `condition`, remembering nothing yet."""
    match condition:
        case Threshold():
            return _ThresholdWatch(condition)
        case Contact():
            return _ContactWatch(condition)
        case Unheard():
            return _UnheardWatch(condition)
        case AllOf():
            return _AllWatch(tuple(watch(part) for part in condition.parts))
        case AnyOf():
            return _AnyWatch(tuple(watch(part) for part in condition.parts))


def points_of(condition: Condition) -> tuple[str, ...]:
    """Return the ids of the points `condition` looks at, each once, in the order written."""
    if isinstance(condition, AllOf | AnyOf):
        return tuple(dict.fromkeys(point for part in condition.parts for point in points_of(part)))
    return (condition.point,)


class _ThresholdWatch:
    """True beyond the limit; once true, true until back past the limit by the deadband."""

    __slots__ = ("_enters", "_is_above", "_is_held", "_leaves", "_point")

    def __init__(self, spec: Threshold) -> None:
        self._point = spec.point
        self._is_above = spec.side is Side.ABOVE
        self._enters = spec.limit
        self._leaves = spec.limit + (-spec.deadband if self._is_above else spec.deadband)
        self._is_held = False

    def look(self, latest: Mapping[str, Reading]) -> Truth:
        reading = latest.get(self._point)
        value = None if reading is None else reading.value
        # A bool is an int to Python, but no measurement.
        if isinstance(value, bool) or not isinstance(value, float | int) or not isfinite(value):
            return None
        limit = self._leaves if self._is_held else self._enters
        self._is_held = value > limit if self._is_above else value < limit
        return self._is_held

    def hold(self) -> None:
        self._is_held = True


class _ContactWatch:
    __slots__ = ("_is_active", "_point")

    def __init__(self, spec: Contact) -> None:
        self._point = spec.point
        self._is_active = spec.is_active

    def look(self, latest: Mapping[str, Reading]) -> Truth:
        reading = latest.get(self._point)
        value = None if reading is None else reading.value
        return value is self._is_active if isinstance(value, bool) else None

    def hold(self) -> None:
        """Remember nothing: a contact has no deadband."""


class _UnheardWatch:
    __slots__ = ("_point",)

    def __init__(self, spec: Unheard) -> None:
        self._point = spec.point

    def look(self, latest: Mapping[str, Reading]) -> Truth:
        reading = latest.get(self._point)
        value = None if reading is None else reading.value
        # A number that is none leaves every threshold unknown: without a fault that would be silence.
        return value is None or (isinstance(value, float) and not isfinite(value))

    def hold(self) -> None:
        """Remember nothing: being unheard has no deadband."""


class _AllWatch:
    """False if any part is, else unknown if any part is, else true. No parts tell nothing: unknown."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Watch, ...]) -> None:
        self._parts = parts

    def look(self, latest: Mapping[str, Reading]) -> Truth:
        # Every part is looked at, so that each remembers its own side of its deadband.
        seen = [part.look(latest) for part in self._parts]
        if False in seen:
            return False
        return None if None in seen or not seen else True

    def hold(self) -> None:
        for part in self._parts:
            part.hold()


class _AnyWatch:
    """True if any part is, else unknown if any part is, else false. No parts tell nothing: unknown."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Watch, ...]) -> None:
        self._parts = parts

    def look(self, latest: Mapping[str, Reading]) -> Truth:
        seen = [part.look(latest) for part in self._parts]
        if True in seen:
            return True
        return None if None in seen or not seen else False

    def hold(self) -> None:
        # Which of them held is not remembered: each that is still in its deadband counts.
        for part in self._parts:
            part.hold()
