"""Outputs on coils: what is asked of them waits here for the owner of the line."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import DriverError, NoReply, PortUnavailable, Unavailable
from drivers.modbus.spec import CoilOutputSpec, DeviceSpec


@dataclass(slots=True, eq=False)
class CoilOrder:
    """One write, or one read back, somebody waits for."""

    device: str
    output: str
    address: int
    energised: bool | None
    """None: read back."""
    done: asyncio.Future[bool]
    """The state the device confirmed."""

    def succeed(self, state: bool) -> None:
        """Tell who waits, if anybody still does."""
        if not self.done.done():
            self.done.set_result(state)

    def fail(self, error: DriverError) -> None:
        """Tell who waits, if anybody still does."""
        if not self.done.done():
            self.done.set_exception(error)


class CoilOrders:
    """Orders that wait for the line: writes first, of each output only the latest."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` tells the owner of the line that there is something to do."""
        self._wake = wake
        self._writes: dict[str, CoilOrder] = {}
        self._reads: deque[CoilOrder] = deque()
        self._refusal: tuple[str, str] | None = None

    def refuse(self, source: str, reason: str) -> None:
        """Fail everything that waits, and whatever comes until `accept`: the port is not there."""
        self._refusal = source, reason
        while (order := self.take()) is not None:
            order.fail(PortUnavailable(source, reason))

    def accept(self) -> None:
        """Let orders wait again."""
        self._refusal = None

    def put(self, order: CoilOrder) -> None:
        """Let an order wait; an older write to the same output is told that it came too late.

        Raises:
            PortUnavailable: nothing can be switched at present.
        """
        if self._refusal is not None:
            raise PortUnavailable(*self._refusal)
        if order.energised is None:
            self._reads.append(order)
        else:
            older = self._writes.pop(order.output, None)
            if older is not None:
                older.fail(Unavailable(order.output, "superseded by a later command"))
            self._writes[order.output] = order
        self._wake()

    def take(self) -> CoilOrder | None:
        """Return the next order somebody still waits for, and take it out; None when there is none."""
        while self._writes:
            order = self._writes.pop(next(iter(self._writes)))
            if not order.done.done():
                return order
        while self._reads:
            order = self._reads.popleft()
            if not order.done.done():
                return order
        return None


class CoilLine:
    """An output on a coil; implements drivers.base.OutputLine."""

    def __init__(
        self, device: DeviceSpec, spec: CoilOutputSpec, orders: CoilOrders, longest_s: float
    ) -> None:
        """`longest_s` is the longest the owner of the line can take to get to an order and do it."""
        self._device = device.id
        self._spec = spec
        self._orders = orders
        self._longest_s = longest_s

    @property
    def id(self) -> str:
        """The output's id in the configuration."""
        return self._spec.output

    async def write(self, energised: bool) -> None:
        """Switch the coil; returns when the device has confirmed it. See drivers.base.OutputLine.

        A write nobody waits for any more is not sent, a later one replaces an earlier that waits.
        """
        await self._ordered(energised)

    async def read_back(self) -> bool:
        """Return whether the coil is on, asked of the device. See drivers.base.OutputLine."""
        return await self._ordered(None)

    async def _ordered(self, energised: bool | None) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        order = CoilOrder(self._device, self.id, self._spec.address, energised, done)
        self._orders.put(order)
        try:
            async with asyncio.timeout(self._longest_s):
                return await done
        except DriverError:
            raise  # a NoReply is a TimeoutError too
        except TimeoutError as error:
            raise NoReply(self.id, "the bus did not get to it") from error
