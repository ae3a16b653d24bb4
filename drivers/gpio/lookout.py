"""The thread that looks whether anything on a chip has moved, so that the loop can sleep while nothing has.

Twenty times a second a level is as it was. To find that out on the event loop costs its wake-up, its
selector, a timer, a future and a task, all of them cold by then: three times what this costs.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

from drivers.errors import DriverError

_BOUNDS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, float("inf"))


class Looks:
    """How many looks there were, how long they took and how many were left out. Written by one thread."""

    def __init__(self) -> None:
        self.late = 0
        self.sum_s = 0.0
        self._counts = [0] * len(_BOUNDS_S)

    def count(self, duration_s: float) -> None:
        """Note one look."""
        self._counts[bisect_left(_BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s

    def buckets_s(self) -> tuple[tuple[float, int], ...]:
        """Return a cumulative histogram as drivers.base.BusStats has it."""
        return tuple(zip(_BOUNDS_S, accumulate(self._counts), strict=True))


class Lookout:
    """Asks `is_due` every so often on a thread of its own, and calls `wake` when it is."""

    def __init__(
        self,
        name: str,
        period_s: float,
        is_due: Callable[[], bool],
        wake: Callable[[], None],
        *,
        mono_s: Callable[[], float],
        looks: Looks,
    ) -> None:
        """Start. `is_due` and `wake` are called on the thread; what cannot be read is due."""
        self._period_s = period_s
        self._is_due = is_due
        self._wake = wake
        self._mono_s = mono_s
        self._looks = looks
        self._is_over = False
        self._bug: Exception | None = None
        # A daemon: a pin whose read hangs must not hold up the end of the process.
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def end(self) -> None:
        """Call nobody any more; the thread is gone within a period. Waits for nothing."""
        self._is_over = True

    def check(self) -> None:
        """Raise what ended the thread, if anything has: a bug of the driver."""
        if self._bug is not None:
            raise self._bug

    def _run(self) -> None:
        try:
            self._look_for_ever()
        except Exception as error:  # noqa: BLE001 - raised again on the loop
            if not self._is_over:  # the chip may have been closed under it
                self._bug = error
                self._wake()

    def _look_for_ever(self) -> None:
        next_s = self._mono_s() + self._period_s
        while True:
            # Monotonic, also where a lock's time-out is not (Python built on glibc before 2.30).
            time.sleep(max(0.0, next_s - self._mono_s()))
            if self._is_over:
                return
            started_s = self._mono_s()
            try:
                is_due = self._is_due()
            except DriverError:
                is_due = True
            if is_due and not self._is_over:
                self._wake()
            self._looks.count(self._mono_s() - started_s)
            late = max(0, int((started_s - next_s) / self._period_s))
            self._looks.late += late
            next_s += (late + 1) * self._period_s
