"""Orders for the line: writes and read backs that somebody waits for, and how they are carried out.

Writes go before everything, of each output only the latest. A write that fails goes behind those that
were not tried yet, and one to a device that just kept silent behind all others: one dead module must
not hold up the siren on another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.errors import (
    BadReply,
    DriverError,
    NoReply,
    PortUnavailable,
    Refused,
    Unavailable,
)
from drivers.modbus.device import Device
from drivers.modbus.presence import Presence
from drivers.modbus.spec import OutputSpec
from drivers.modbus.switching import question_of, state_of, write_of
from drivers.modbus.transport import Link

ORDER_PAUSE_S = 5.0
"""The same write to an offline device is sent once in this time: it must not block the others
(Wiren Board serial driver: one per 5 s)."""

BUSY_CODES = frozenset({5, 6})
"""Acknowledge, server busy: the same request may work next time (Application Protocol, section 7)."""
GATEWAY_CODES = frozenset({10, 11})
"""Gateway path unavailable, target failed to respond: the answer is the gateway's, not the device's."""


def is_answer(error: DriverError) -> bool:
    """Return whether the device itself answered."""
    return isinstance(error, Refused) and error.code not in GATEWAY_CODES


def is_worth_another_try(error: DriverError) -> bool:
    """Return whether the same request may work next time."""
    return not isinstance(error, Refused) or error.code in BUSY_CODES


@dataclass(slots=True, eq=False)
class Order:
    """One write, or one read back, somebody waits for."""

    device: str
    spec: OutputSpec
    energised: bool | None
    """None: read back."""
    done: asyncio.Future[bool]
    """The state the device confirmed."""
    tries: int = 0
    """Tries that failed."""

    def succeed(self, state: bool) -> None:
        """Tell who waits, if anybody still does."""
        if not self.done.done():
            self.done.set_result(state)

    def fail(self, error: DriverError) -> None:
        """Tell who waits, if anybody still does."""
        if not self.done.done():
            self.done.set_exception(error)


class Orders:
    """Orders that wait for the line."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` tells the owner of the line that there is something to do."""
        self._wake = wake
        self._writes: dict[str, Order] = {}
        self._reads: deque[Order] = deque()
        self._refusal: tuple[str, str] | None = None

    def refuse(self, source: str, reason: str) -> None:
        """Fail everything that waits, and whatever comes until `accept`: the port is not there."""
        self._refusal = source, reason
        for order in (*self._writes.values(), *self._reads):
            order.fail(PortUnavailable(source, reason))
        self._writes.clear()
        self._reads.clear()

    def accept(self) -> None:
        """Let orders wait again."""
        self._refusal = None

    def put(self, order: Order) -> None:
        """Let an order wait; an older write to the same output is told that it came too late.

        Raises:
            PortUnavailable: nothing can be switched at present.
        """
        if self._refusal is not None:
            raise PortUnavailable(*self._refusal)
        if order.energised is None:
            self._reads.append(order)
        else:
            older = self._writes.pop(order.spec.output, None)
            if older is not None:
                older.fail(_superseded(older))
            self._writes[order.spec.output] = order
        self._wake()

    def put_back(self, order: Order) -> None:
        """Let an order that failed wait for its next try; a write is over when a later one waits."""
        if order.energised is None:
            self._reads.append(order)
        elif order.spec.output in self._writes:
            order.fail(_superseded(order))
        else:
            self._writes[order.spec.output] = order

    def take_write(self, rank: Callable[[Order], int]) -> Order | None:
        """Return the write to do next and take it out; of the lowest rank, the one that came first."""
        left = {name: each for name, each in self._writes.items() if not each.done.done()}
        self._writes = left  # nobody waits for the others any more
        if not left:
            return None
        return left.pop(min(left, key=lambda name: rank(left[name])))

    def take_read(self) -> Order | None:
        """Return the next read back somebody still waits for, and take it out."""
        while self._reads:
            order = self._reads.popleft()
            if not order.done.done():
                return order
        return None


def _superseded(order: Order) -> Unavailable:
    return Unavailable(order.spec.output, "superseded by a later command")


class OrderDesk:
    """Carries orders out, one at a time, for the owner of the line."""

    def __init__(
        self,
        source: str,
        link: Link,
        devices: Mapping[str, Device],
        orders: Orders,
        *,
        retries: int,
        on_answer: Callable[[Device, float], None],
        on_failure: Callable[[Device, DriverError, float], None],
    ) -> None:
        """`source` names the bus; the callbacks get the loop's time at which the transaction began."""
        self._source = source
        self._link = link
        self._devices = devices
        self._orders = orders
        self._retries = retries
        self._on_answer = on_answer
        self._on_failure = on_failure

    def next_write(self) -> Order | None:
        """Return the write to do now, taken out of those that wait."""
        return self._orders.take_write(self._rank)

    def _rank(self, order: Order) -> int:
        # A device whose last order failed counts as tried more often than any order can be.
        has_failed = self._devices[order.device].order_failed_s is not None
        return order.tries + (100 if has_failed else 0)

    async def perform(self, order: Order) -> None:
        """Try an order once: tell who waits for it, or put it back for its next try.

        Raises:
            PortUnavailable: the port was lost.
        """
        device = self._devices[order.device]
        if self._is_pointless(device, order):
            order.fail(NoReply(device.id, "offline"))
            return
        error = await self._try(device, order)
        if error is None:
            return
        if isinstance(error, PortUnavailable):
            order.fail(error)
            raise PortUnavailable(self._source, error.message)
        if order.energised is not None and not is_answer(error):
            device.order_failed_s = asyncio.get_running_loop().time()
        order.tries += 1
        most = 1 + (self._retries if device.state.presence is Presence.LIVE else 0)
        if order.tries < most and is_worth_another_try(error):
            self._orders.put_back(order)
        else:
            order.fail(error)

    async def _try(self, device: Device, order: Order) -> DriverError | None:
        """Try an order and tell its success; return what went wrong."""
        started_s = asyncio.get_running_loop().time()
        try:
            state = await self._once(device, order)
        except asyncio.CancelledError:
            order.fail(PortUnavailable(self._source, "stopped"))
            raise
        except DriverError as error:
            self._on_failure(device, error, started_s)
            return error
        self._on_answer(device, started_s)
        device.order_failed_s = None
        if state is None:
            order.fail(BadReply(order.spec.output, "holds neither its `on` nor its `off` value"))
        else:
            order.succeed(state)
        return None

    def _is_pointless(self, device: Device, order: Order) -> bool:
        """Return whether an order is not even tried: an offline device must not cost the others."""
        if device.state.presence is not Presence.OFFLINE:
            return False
        if order.energised is None:
            return True
        failed_s = device.order_failed_s
        return failed_s is not None and asyncio.get_running_loop().time() - failed_s < ORDER_PAUSE_S

    async def _once(self, device: Device, order: Order) -> bool | None:
        """Return the state the device confirmed; None when it is neither."""
        spec = device.spec
        if order.energised is None:
            reply = await self._link.read(
                spec.unit,
                question_of(order.spec),
                source=device.id,
                timeout_s=device.timeout_s,
                gap_s=spec.gap_s,
            )
            return state_of(order.spec, reply.words[0])
        await self._link.write(
            spec.unit,
            write_of(order.spec, order.energised),
            source=device.id,
            timeout_s=device.timeout_s,
            gap_s=spec.gap_s,
        )
        return order.energised
