"""Pauses between connections: short in the first minute of an outage, then up to the cap. Pure."""

from __future__ import annotations

from drivers.backoff import Backoff

NEAR_CAP_S = 1.2
"""Longest pause in the first minute of an outage: a live state within 2 s of the broker's return."""
NEAR_S = 60.0


class Pauses:
    """How long to wait before the next attempt.

    A broker that restarts is found again within two seconds; one that is away for longer is not
    stormed by many boxes.
    """

    def __init__(self, first_s: float, cap_s: float) -> None:
        """Start from `first_s`; `cap_s` is the longest."""
        near_s = min(NEAR_CAP_S, cap_s)
        self._near = Backoff(min(first_s, near_s), near_s)
        self._far = Backoff(near_s, cap_s)
        self._since_s: float | None = None

    def is_near(self, now_s: float) -> bool:
        """Whether this is not an outage, or the first minute of one."""
        return self._since_s is None or now_s - self._since_s < NEAR_S

    def next_s(self, now_s: float) -> float:
        """Return the next pause; the first one begins the outage."""
        if self._since_s is None:
            self._since_s = now_s
        if self.is_near(now_s):
            return self._near.next_s()
        return self._far.next_s()

    def reset(self) -> None:
        """The outage is over."""
        self._near.reset()
        self._far.reset()
        self._since_s = None
