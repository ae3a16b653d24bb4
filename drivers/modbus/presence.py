"""Whether a device answers, apart from whether its port is open. Told the time."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from drivers.backoff import Backoff
from drivers.base import DeviceStats

ASK_FIRST_S = 0.5
ASK_CAP_S = 10.0
"""Pauses between attempts to reach a silent device (as the Wiren Board serial driver: 0.5 s to 10 s)."""

SUSPECT_SHARE = 0.3
"""The part of the bus time that devices may cost together which just fell silent."""

BURST_S = 60.0
"""A share is kept over this long: after a quiet minute an absent device is found back at once."""


class Presence(StrEnum):
    """What is known of a device."""

    ASKED = "asked"
    """Not heard of yet, or just fallen silent: its polls are held while one question goes out."""
    LIVE = "live"
    OFFLINE = "offline"


class DeviceState:
    """The history of one device's answers."""

    def __init__(
        self, device: str, bus: str, *, offline_failures: int, offline_after_s: float
    ) -> None:
        """A device is offline after that many failures in a row AND that long without an answer."""
        self.id = device
        self._bus = bus
        self._offline_failures = offline_failures
        self._offline_after_s = offline_after_s
        self._backoff = Backoff(ASK_FIRST_S, ASK_CAP_S)
        self._silent_since_s: float | None = None
        self._in_a_row = 0
        self._requests = 0
        self._failures: Counter[str] = Counter()
        self._last_success_wall_ms: int | None = None
        self.presence = Presence.ASKED
        self.was_asked = False
        """Whether any question went out since the port was opened."""
        self.ask_due_s = 0.0
        """When a device that is not live is to be asked again."""
        self.online: bool | None = None
        """As told to the world; None while nobody can know."""

    def answered(self, wall_ms: int) -> bool:
        """Note an answer, be it a refusal; return whether the device came online with it."""
        self._requests += 1
        self._last_success_wall_ms = wall_ms
        self._in_a_row = 0
        self._silent_since_s = None
        self._backoff.reset()
        self.was_asked = True
        self.presence = Presence.LIVE
        came = self.online is not True
        self.online = True
        return came

    def count(self, reason: str) -> None:
        """Count a failure that says nothing about whether the device is there."""
        self._failures[reason] += 1

    def failed(self, asked_s: float, now_s: float, reason: str) -> bool:
        """Note that a question sent at `asked_s` got no answer; return whether it went offline now."""
        self._requests += 1
        self._failures[reason] += 1
        self._in_a_row += 1
        self.was_asked = True
        if self._silent_since_s is None:
            self._silent_since_s = asked_s
        if self.presence is not Presence.LIVE:
            self.ask_due_s = now_s + self._backoff.next_s()
        has_failed_enough = self._in_a_row >= self._offline_failures
        if not has_failed_enough or now_s - self._silent_since_s < self._offline_after_s:
            return False
        went = self.presence is not Presence.OFFLINE
        self.presence = Presence.OFFLINE
        self.online = False
        return went

    def suspect(self, now_s: float) -> None:
        """Hold the polls of a live device that failed one: it is asked by itself from now on."""
        if self.presence is Presence.LIVE:
            self.presence = Presence.ASKED
            self.ask_due_s = now_s + self._backoff.next_s()

    def forget(self) -> None:
        """Be asked anew, as after the start: the port is another or was away."""
        self._silent_since_s = None
        self._in_a_row = 0
        self._backoff.reset()
        self.was_asked = False
        self.ask_due_s = 0.0
        self.presence = Presence.ASKED

    def port_lost(self) -> None:
        """Note that the port went: nobody can say that the device answers."""
        self.online = False

    def stats(self) -> DeviceStats:
        """Return the counters as they are now."""
        return DeviceStats(
            id=self.id,
            bus=self._bus,
            online=bool(self.online),
            requests=self._requests,
            failures=dict(self._failures),
            last_success_wall_ms=self._last_success_wall_ms,
        )


class Share:
    """A part of the time, kept over a minute: what is not used is saved, what is overdrawn is owed."""

    def __init__(self, share: float, now_s: float) -> None:
        """`share` from 0 to 1."""
        self._share = share
        self._saved_s = share * BURST_S
        self._at_s = now_s
        self._yields_until_s = now_s

    def has_left(self, now_s: float) -> bool:
        """Return whether more may be spent."""
        self._refill(now_s)
        return self._saved_s > 0

    def free_at_s(self, now_s: float) -> float:
        """Return when more may be spent."""
        self._refill(now_s)
        if self._saved_s > 0:
            return now_s
        return now_s + (1e-3 - self._saved_s) / self._share if self._share > 0 else float("inf")

    def must_yield(self, now_s: float) -> bool:
        """Return whether those who wait go first: savings are for idle time, nobody waits for them."""
        return now_s < self._yields_until_s

    def spend(self, cost_s: float) -> None:
        """Take off what something took."""
        self._saved_s -= cost_s

    def yield_after(self, cost_s: float, now_s: float) -> None:
        """Let those who wait go first until what was in their way up to now is down to the share."""
        rest_s = cost_s / self._share - cost_s if self._share > 0 else float("inf")
        self._yields_until_s = now_s + rest_s

    def _refill(self, now_s: float) -> None:
        gained_s = (now_s - self._at_s) * self._share
        self._saved_s = min(self._share * BURST_S, self._saved_s + gained_s)
        self._at_s = now_s
