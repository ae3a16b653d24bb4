"""What a bus tells beside its values: whether it and its devices are there, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

from drivers.base import Emit, online_point
from drivers.clock import Clock, Stamp
from drivers.modbus.device import Device
from drivers.modbus.presence import Presence
from drivers.reading import Quality, Reading

_log = logging.getLogger(__name__)

TELL_S = 4.0
"""How often online points are repeated; under the 5 s that listeners rely on."""
REPEAT_BAD_S = 8.0
"""How often what cannot be read is said to be bad again; under half of 30 s, the usual stale time."""
WEDGED_S = 30.0
"""Without progress of the owner for this long nothing is repeated: its points go stale, as they must."""


class Telling:
    """Says what is known of one bus and its devices."""

    def __init__(
        self,
        bus: str,
        clock: Clock,
        emit: Emit,
        devices: Collection[Device],
        phase_s: float | None = None,
    ) -> None:
        """`emit` gets the readings; `phase_s` as of the bus."""
        self._bus = bus
        self._clock = clock
        self._emit = emit
        self._devices = devices
        self._phase_s = phase_s
        self.online: bool | None = None
        """Of the bus, as told; None while nobody can know."""

    def say(self, readings: Sequence[Reading]) -> None:
        """Hand readings over, if there are any."""
        if readings:  # a device with outputs alone has none
            self._emit(readings)

    def say_lost(self) -> None:
        """Say that the bus and everything on it cannot be read."""
        self.online = False
        now = self._clock.stamp()
        readings = [self._reading(now)]
        for device in self._devices:
            device.state.port_lost()
            readings += known(device.online_reading(now))
            readings += device.spoil_all("port", now)
        self.say(readings)

    def judge(self, *, is_port_lost: bool) -> None:
        """Tell when the bus as a whole comes or goes: it goes when several devices all fall silent."""
        states = [each.state for each in self._devices]
        all_silent = len(states) > 1 and all(each.online is False for each in states)
        is_silent = all_silent and any(each.presence is Presence.OFFLINE for each in states)
        online = not is_port_lost and not is_silent
        if online == self.online:
            return
        if online and self.online is not None:
            _log.warning("bus %s is online again", self._bus)
        elif not online:
            _log.error("bus %s is offline: none of its devices answers", self._bus)
        self.online = online
        self.say([self._reading(self._clock.stamp())])

    async def tell_regularly(self, progress_s: Callable[[], float]) -> None:
        """Repeat what is online, and what cannot be read, as long as the owner makes progress.

        `progress_s` tells when it last did, in the loop's time.
        """
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        repeat_due_s = due_s + REPEAT_BAD_S
        if self._phase_s is not None:
            due_s -= (due_s - self._phase_s) % TELL_S
        while True:
            due_s += TELL_S
            await asyncio.sleep(due_s - loop.time())
            now_s = loop.time()
            if now_s - progress_s() > WEDGED_S or self.online is None:
                continue
            now = self._clock.stamp()
            readings = [self._reading(now)]
            for device in self._devices:
                readings += known(device.online_reading(now))
            if now_s >= repeat_due_s - 0.1:
                repeat_due_s = now_s + REPEAT_BAD_S
                for device in self._devices:
                    readings += device.bad_again(now)
            self.say(readings)

    def _reading(self, now: Stamp) -> Reading:
        return Reading(
            point=online_point(self._bus),
            value=bool(self.online),
            quality=Quality.GOOD,
            unit="",
            at=now,
        )


def known(reading: Reading | None) -> Sequence[Reading]:
    """Return a reading, if there is one."""
    return () if reading is None else (reading,)
