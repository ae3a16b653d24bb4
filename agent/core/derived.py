"""Points calculated from other points: sums, differences, rates, extremes, medians. No expressions.

A derived point knows no more than its sources: with one of them unknown it is bad and says which,
with one uncertain it is uncertain. Readings of one moment (one reply of a device) count together, so
that no value mixes a new reading with the one before of the same reply; what is derived from derived
points is calculated after them. Windows run on monotonic time, in bounded memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import floor, fsum, inf, isfinite
from statistics import median
from typing import Protocol

from agent.core.spec import DerivedHow, DerivedSpec
from agent.core.telemetry import is_measurement
from drivers.clock import Stamp
from drivers.reading import Quality, Reading

SLICES = 240
"""A window is kept in about this many parts, so that its memory does not grow with the poll rate; it
may reach back one part further than asked, never less."""

NOT_FULL = "window not full"
"""Why a window tells less than its whole length: since the start, or since a gap."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a calculation tells."""

    number: float | None
    """None: nothing can be told, for this reason."""
    reason: str = ""
    """Why it is uncertain or not there; empty when it is certain."""


class Calculation(Protocol):
    """A calculation over one source in time, with what it remembers."""

    def take(self, number: float | None, at_s: float, *, is_certain: bool) -> None:
        """Take the next number, None for unknown; `at_s` (monotonic seconds) never goes back."""

    def answer(self, at_s: float) -> Answer:
        """Return what holds at `at_s`, the time of the last number taken, which was known."""


class Extreme:
    """The least or greatest number within a window.

    Uncertain while the window holds a gap, an uncertain number, or the time before the start: what
    was not seen may have been more extreme.
    """

    def __init__(self, window_s: float, *, is_greatest: bool) -> None:
        self._window_s = window_s
        self._sign = 1.0 if is_greatest else -1.0
        self._kept: deque[tuple[int, float]] = deque()
        """(slice, greatest of it after sign), falling: the first one decides."""
        self._was_known = False
        self._gap_until_s = 0.0
        self._doubt_until_s = 0.0

    def take(self, number: float | None, at_s: float, *, is_certain: bool) -> None:
        """Take the next number; see Calculation."""
        if number is None or not self._was_known:
            self._gap_until_s = at_s + self._window_s
        if not is_certain:
            self._doubt_until_s = at_s + self._window_s
        self._was_known = number is not None
        kept, width_s = self._kept, self._window_s / SLICES
        oldest = floor((at_s - self._window_s) / width_s)
        while kept and kept[0][0] < oldest:
            kept.popleft()
        if number is None:
            return
        value, part = number * self._sign, floor(at_s / width_s)
        while kept and kept[-1][1] <= value:
            kept.pop()
        if not kept or kept[-1][0] != part:
            kept.append((part, value))

    def answer(self, at_s: float) -> Answer:
        """Return the extreme of the window."""
        number = self._kept[0][1] * self._sign
        if at_s < self._gap_until_s:
            return Answer(number, NOT_FULL)
        return Answer(number, "uncertain in window" if at_s < self._doubt_until_s else "")


class Rate:
    """Change over a window, per `per_s` seconds, between its ends.

    Nothing before half the window is known, since a short span makes noise large; then uncertain
    until it is whole. A gap does no harm as long as both ends are known and no more than two windows
    apart. A counter that goes back was set back: the window starts anew.
    """

    def __init__(self, window_s: float, per_s: float, *, is_counter: bool) -> None:
        self._window_s = window_s
        self._per_s = per_s
        self._is_counter = is_counter
        self._kept: deque[tuple[float, float, bool]] = deque()
        """(time, number, whether certain), at most one a slice, oldest first."""
        self._last = (0.0, -inf, False)
        self._was_set_back = False

    def take(self, number: float | None, at_s: float, *, is_certain: bool) -> None:
        """Take the next number; see Calculation."""
        if number is None:
            return
        kept, last = self._kept, self._last
        if self._is_counter and number < last[1]:
            kept.clear()
            self._was_set_back = True
        self._last = at_s, number, is_certain
        if not kept or at_s - kept[-1][0] >= self._window_s / SLICES:
            kept.append(self._last)
        # the newest one that is a whole window old is the window's far end
        while len(kept) > 1 and kept[1][0] <= at_s - self._window_s:
            kept.popleft()
        # the newest one kept is never older than a slice
        while kept[0][0] < at_s - 2 * self._window_s:
            kept.popleft()

    def answer(self, at_s: float) -> Answer:
        """Return the rate over the window."""
        since_s, first, was_certain = self._kept[0]
        until_s, last, is_certain = self._last
        span_s = until_s - since_s
        if span_s < self._window_s / 2:
            return Answer(None, "counter set back" if self._was_set_back else NOT_FULL)
        self._was_set_back = False
        number = (last - first) / span_s * self._per_s
        if span_s < self._window_s:
            return Answer(number, NOT_FULL)
        return Answer(number, "" if was_certain and is_certain else "uncertain in window")


class RunningMedian:
    """The median of the last `count` numbers; uncertain while there are fewer since a gap."""

    def __init__(self, count: int) -> None:
        self._kept: deque[tuple[float, bool]] = deque(maxlen=count)

    def take(self, number: float | None, at_s: float, *, is_certain: bool) -> None:
        """Take the next number; see Calculation."""
        if number is None:
            self._kept.clear()
        else:
            self._kept.append((number, is_certain))

    def answer(self, at_s: float) -> Answer:
        """Return the median."""
        number = median(each for each, _ in self._kept)
        if len(self._kept) != self._kept.maxlen:
            return Answer(number, NOT_FULL)
        are_certain = all(is_certain for _, is_certain in self._kept)
        return Answer(number, "" if are_certain else "uncertain in window")


class _Derived:
    """One derived point: the last known of its sources, and what it told last."""

    def __init__(self, spec: DerivedSpec) -> None:
        self.spec = spec
        self.latest: dict[str, Reading] = {}
        self.told_at: Stamp | None = None
        self._calculation = _calculation(spec)

    def take(self, reading: Reading, at_s: float) -> None:
        """Take a reading of a source."""
        self.latest[reading.point] = reading
        if self._calculation is not None:
            is_certain = reading.quality is Quality.GOOD
            self._calculation.take(_number(reading), at_s, is_certain=is_certain)

    def answer(self, at_s: float) -> Answer | None:
        """Return what holds now; None while nothing was heard of a source yet."""
        numbers: list[float] = []
        doubt = ""
        for source in self.spec.sources:
            reading = self.latest.get(source)
            if reading is None:
                return None
            number = _number(reading)
            if number is None:
                return Answer(None, f"{source}: {reading.reason or 'no number'}")
            if not doubt and reading.quality is not Quality.GOOD:
                doubt = f"{source}: {reading.reason or reading.quality}"
            numbers.append(number)
        if self._calculation is None:
            return Answer(_combined(self.spec.how, numbers), doubt)
        told = self._calculation.answer(at_s)
        return Answer(told.number, doubt or told.reason) if told.number is not None else told


class Derivation:
    """All derived points of a site. Told readings and times; asks nothing."""

    def __init__(self, specs: Iterable[DerivedSpec]) -> None:
        """Raises ValueError when a point is derived from itself, directly or by way of others."""
        self._derived = tuple(_Derived(each) for each in sources_first(tuple(specs)))
        self._users: dict[str, tuple[_Derived, ...]] = {}
        for each in self._derived:
            for source in each.spec.sources:
                self._users[source] = (*self._users.get(source, ()), each)
        self._heard_s: dict[str, float] = {}
        self._touched: set[str] = set()
        """Derived points with a source that was read since they were told last."""

    def with_derived(self, readings: Iterable[Reading], now_s: float) -> Iterator[Reading]:
        """Yield the readings, and after those of one moment what is derived from them.

        A stamp from the future counts as `now_s` (monotonic seconds); a reading older than one of its
        point already seen changes nothing.
        """
        users, at = self._users, None
        for reading in readings:
            if self._touched and at is not None and reading.at is not at and reading.at != at:
                yield from self.derive(_not_after(at, now_s))
            yield reading
            if reading.point in users:
                at = reading.at
                self.take(reading, _not_after(at, now_s).mono_s)
        if self._touched and at is not None:
            yield from self.derive(_not_after(at, now_s))

    def take(self, reading: Reading, at_s: float) -> None:
        """Take a reading of any point, the engine's own stale ones included."""
        users = self._users.get(reading.point)
        if users is None or at_s < self._heard_s.get(reading.point, at_s):
            return
        self._heard_s[reading.point] = at_s
        for each in users:
            each.take(reading, at_s)
            self._touched.add(each.spec.point)

    def derive(self, at: Stamp) -> Iterator[Reading]:
        """Yield the readings that follow from what was taken since the last call, sources first."""
        for each in self._derived:
            if each.spec.point in self._touched:
                reading = _reading(each, at)
                if reading is not None:
                    self.take(reading, reading.at.mono_s)
                    yield reading
        self._touched.clear()


def _reading(derived: _Derived, at: Stamp) -> Reading | None:
    # Sources are stamped by their own drivers: the later stamp decides, time does not go back.
    if derived.told_at is not None and derived.told_at.mono_s > at.mono_s:
        at = derived.told_at
    try:
        answer = derived.answer(at.mono_s)
    except Exception as fault:  # noqa: BLE001 - a bug in one calculation must not stop the others
        answer = Answer(None, f"calculation failed: {type(fault).__name__}")
    if answer is None:
        return None
    derived.told_at = at
    number, reason = answer.number, answer.reason
    if number is not None and not isfinite(number):
        number, reason = None, "not a finite number"
    quality = Quality.BAD if number is None else Quality.UNCERTAIN if reason else Quality.GOOD
    return Reading(
        point=derived.spec.point,
        value=number,
        quality=quality,
        unit=derived.spec.unit,
        at=at,
        reason=reason,
    )


def _not_after(at: Stamp, now_s: float) -> Stamp:
    return at if at.mono_s <= now_s else Stamp(now_s, at.wall_ms, at.clock)


def _number(reading: Reading) -> float | None:
    """Return the number a reading holds; a contact, a word, NaN or infinity is none."""
    value = reading.value
    if not is_measurement(value):
        return None
    number = float(value)
    return number if isfinite(number) else None


def _combined(how: DerivedHow, numbers: list[float]) -> float:
    match how:
        case DerivedHow.DIFFERENCE:
            return numbers[0] - numbers[1]
        case DerivedHow.MINIMUM:
            return min(numbers)
        case DerivedHow.MAXIMUM:
            return max(numbers)
        case DerivedHow.MEDIAN:
            return median(numbers)
    return fsum(numbers)


def _calculation(spec: DerivedSpec) -> Calculation | None:
    """Return the calculation of a point over time; None where it is over its sources as they are."""
    if spec.how is DerivedHow.RATE:
        return Rate(spec.window_s, spec.per_s, is_counter=spec.is_counter)
    if spec.how is DerivedHow.MEDIAN and spec.count:
        return RunningMedian(spec.count)
    if spec.how in (DerivedHow.MINIMUM, DerivedHow.MAXIMUM) and spec.window_s:
        return Extreme(spec.window_s, is_greatest=spec.how is DerivedHow.MAXIMUM)
    return None


def sources_first(specs: tuple[DerivedSpec, ...]) -> Iterator[DerivedSpec]:
    """Yield derived points so that each comes after those it follows from; ValueError for a circle."""
    left = {each.point: each for each in specs}
    while left:
        ready = [each for each in left.values() if not any(name in left for name in each.sources)]
        if not ready:
            raise ValueError(f"derived from themselves: {', '.join(sorted(left))}")
        for each in ready:
            del left[each.point]
            yield each
