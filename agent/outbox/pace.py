"""How fast telemetry comes in now, and what that says: days of outage that fit, bytes written today. Pure."""

from __future__ import annotations

from collections import deque

WINDOW_S = 600.0
"""The present rate is that of the last ten minutes: long enough for points told once a minute."""
_SLICES = 20
_DAY_MS = 86_400_000


class Pace:
    """Readings and bytes over the last `WINDOW_S`, in slices."""

    def __init__(self, now_s: float) -> None:
        self._slices: deque[tuple[float, int, int]] = deque()
        self._since_s = now_s
        self._began_s = now_s
        self._readings = 0
        self._bytes = 0

    def note(self, now_s: float, readings: int, size: int) -> None:
        """Count what was sealed; `size` is what it will take on disk, about."""
        self._turn(now_s)
        self._readings += readings
        self._bytes += size

    def readings_per_s(self, now_s: float) -> float:
        """Return how many readings come in a second."""
        return self._total(now_s)[0] / self._span_s(now_s)

    def bytes_per_s(self, now_s: float) -> float:
        """Return how many bytes a second they would take on disk."""
        return self._total(now_s)[1] / self._span_s(now_s)

    def _total(self, now_s: float) -> tuple[int, int]:
        self._turn(now_s)
        readings = self._readings + sum(each[1] for each in self._slices)
        return readings, self._bytes + sum(each[2] for each in self._slices)

    def _span_s(self, now_s: float) -> float:
        return max(1.0, min(WINDOW_S, now_s - self._began_s))

    def _turn(self, now_s: float) -> None:
        if now_s - self._since_s >= WINDOW_S / _SLICES:
            self._slices.append((self._since_s, self._readings, self._bytes))
            self._since_s, self._readings, self._bytes = now_s, 0, 0
        while self._slices and now_s - self._slices[0][0] > WINDOW_S:
            self._slices.popleft()


class DayCount:
    """What was written since midnight UTC, or since the start when that was later."""

    def __init__(self) -> None:
        self._day = -1
        self._before = 0

    def today(self, total: int, wall_ms: int) -> int:
        """Return how much of a total that only grows belongs to the day of `wall_ms`."""
        day = wall_ms // _DAY_MS
        if day != self._day:
            self._before = 0 if self._day < 0 else total
            self._day = day
        return total - self._before


def outage_days(room_bytes: int, held_bytes: int, bytes_per_s: float) -> float | None:
    """Return for how many days of outage there is room left; None while no rate is known."""
    if bytes_per_s <= 0:
        return None
    return max(0, room_bytes - held_bytes) / bytes_per_s / 86_400
