"""How long an uplink does not listen after a message larger than any command. Pure.

The link ends at such a message, and the session with it, so that it does not come again. One that is
retained would end it again at each subscription, so each costs a longer time without commands; what
the box has to say goes out meanwhile.
"""

from __future__ import annotations

LONGEST_S = 3600.0
"""Once an hour somebody may cost the link a reconnect."""


class Deafness:
    """The times without commands of one uplink."""

    def __init__(self, first_s: float) -> None:
        """Start from `first_s`, doubled each time up to `LONGEST_S`."""
        self._first_s = first_s
        self._next_s = first_s
        self._until_s = float("-inf")

    def begin(self, now_s: float) -> float:
        """A message came that ends the link; return for how long nothing is listened to."""
        if now_s - self._until_s > LONGEST_S:  # it was well for long
            self._next_s = self._first_s
        lasts_s = self._next_s
        self._until_s = now_s + lasts_s
        self._next_s = min(2 * lasts_s, LONGEST_S)
        return lasts_s

    def left_s(self, now_s: float) -> float:
        """Return how long it still lasts; 0 when commands are listened to."""
        return max(0.0, self._until_s - now_s)
