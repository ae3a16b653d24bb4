"""Whose turn it is on the writer thread, so that no kind of step is starved by another. Pure."""

from __future__ import annotations

from collections.abc import Sequence

EVENTS = "events"
POSITIONS = "positions"


class Turns:
    """Events every other time, the others one after the other; positions out of turn while an uplink waits for them."""

    def __init__(self) -> None:
        self._last = ""
        self._was_events = False
        self._waiting: list[str] = []
        """Steps other than that of events, the one that had its turn the longest ago first."""

    def next(self, names: Sequence[str], *, is_pressing: bool) -> str:
        """Return which of these steps, at least one, goes next. `is_pressing`: an uplink waits for positions."""
        name = self._next(names, is_pressing=is_pressing)
        if name in self._waiting:
            self._waiting.remove(name)
            self._waiting.append(name)
        self._last = name
        return name

    def _next(self, names: Sequence[str], *, is_pressing: bool) -> str:
        others = [each for each in names if each != EVENTS]
        self._waiting = [*(each for each in others if each not in self._waiting), *self._waiting]
        if is_pressing and POSITIONS in names and self._last != POSITIONS:
            return POSITIONS
        self._was_events = not others or (EVENTS in names and not self._was_events)
        if self._was_events:
            return EVENTS
        return next(each for each in self._waiting if each in others)
