"""Growing pauses between attempts, with jitter so that many boxes do not return as one."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays that grow from `first_s` by `factor` up to `cap_s`."""

    def __init__(
        self,
        first_s: float,
        cap_s: float,
        *,
        factor: float = 2.0,
        jitter: float = 0.2,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` 0.2 spreads each delay evenly over 80 to 100 % of its value."""
        if not 0 < first_s <= cap_s or factor < 1 or not 0 <= jitter < 1:
            raise ValueError("need 0 < first_s <= cap_s, factor >= 1, 0 <= jitter < 1")
        self._first_s = first_s
        self._cap_s = cap_s
        self._factor = factor
        self._jitter = jitter
        self._random_unit = random_unit
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the pause before the next attempt, and let the following one be longer."""
        delay_s = self._next_s
        self._next_s = min(self._cap_s, delay_s * self._factor)
        return delay_s * (1 - self._jitter * self._random_unit())

    def reset(self) -> None:
        """Start again from the first pause: something succeeded."""
        self._next_s = self._first_s
