"""Whom to ask of the devices that do not answer, and how much of the line that may cost. Told the time."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from drivers.modbus.device import Device
from drivers.modbus.presence import SUSPECT_SHARE, Presence, Share

ALL_SILENT_SHARE = 0.5
"""The part of the bus time that questions may take while no device answers: the rest is for orders."""


class SilentDevices:
    """The devices of one bus that are not live, in the order in which they are asked."""

    def __init__(
        self, devices: Collection[Device], *, probe_share: float, has_transactions: bool
    ) -> None:
        """`has_transactions`: answers carry the id of their question (Modbus TCP)."""
        self._devices = devices
        self._has_transactions = has_transactions
        self._just_asked = False
        self._unanswered: Device | None = None
        self._ask_again: Device | None = None
        self._probe_share = Share(probe_share, 0.0)
        self._suspect_share = Share(SUSPECT_SHARE, 0.0)
        self._all_silent_share = Share(ALL_SILENT_SHARE, 0.0)

    def next_to_ask(self, now_s: float, *, is_poll_due: bool) -> Device | None:
        """Return the silent device to ask now: never two between polls, and within their share.

        A device never asked before does not wait for the polls of others: it may be a fire detector.
        """
        again, self._ask_again = self._ask_again, None
        if again is not None and not self._is_any_live():
            self._just_asked = True
            return again
        if self._just_asked:
            return None
        chosen: Device | None = None
        for device in self._devices:
            state = device.state
            if state.presence is Presence.LIVE or state.ask_due_s > now_s:
                continue
            if state.was_asked and not self._may_be_asked(device, now_s, is_poll_due):
                continue
            if chosen is None or state.ask_due_s < chosen.state.ask_due_s:
                chosen = device
        self._just_asked = chosen is not None
        return chosen

    def let_one_in(self) -> bool:
        """Note that polls had their chance; return whether a device was asked just before."""
        asked, self._just_asked = self._just_asked, False
        return asked

    def due_s(self, now_s: float) -> Iterator[float]:
        """Return when each silent device may be asked."""
        for device in self._devices:
            if device.state.presence is not Presence.LIVE:
                yield max(device.state.ask_due_s, self.share_of(device).free_at_s(now_s))

    def must_yield(self, now_s: float) -> bool:
        """Return whether the others go first: a silence just was in their way."""
        return self._suspect_share.must_yield(now_s)

    def answered(self) -> None:
        """Note that whoever was asked is live."""
        self._unanswered = None

    def unanswered(self, device: Device, share: Share, cost_s: float, *, was_asked: bool) -> None:
        """Note that a question met silence, and what it cost; `share` and `was_asked` from before it.

        Some slaves take the frame behind a request to another unit for that unit's answer (libmodbus
        3.1.6, RTU) and would never hear the only question they get: such a device is asked twice in a
        row. With a live device on the line its answer comes in between. Not in the first round: who is
        there is found sooner.
        """
        before, self._unanswered = self._unanswered, device
        if (
            not self._has_transactions
            and was_asked
            and before not in (None, device)
            and not self._is_any_live()
        ):
            self._ask_again = device
        if was_asked:
            share.spend(cost_s)

    def let_others_first(self, cost_s: float, now_s: float) -> None:
        """After a silence, let the polls that waited for it go first."""
        for share in (self._suspect_share, self._probe_share):
            share.yield_after(cost_s, now_s)

    def share_of(self, device: Device) -> Share:
        """Return the share of the bus time out of which a device is asked."""
        if not self._is_any_live():
            return self._all_silent_share
        if device.state.presence is Presence.OFFLINE:
            return self._probe_share
        return self._suspect_share

    def _may_be_asked(self, device: Device, now_s: float, is_poll_due: bool) -> bool:
        share = self.share_of(device)
        return share.has_left(now_s) and not (is_poll_due and share.must_yield(now_s))

    def _is_any_live(self) -> bool:
        return any(each.state.presence is Presence.LIVE for each in self._devices)
