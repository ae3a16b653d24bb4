"""Outputs on Modbus devices, as the agent switches them."""

from __future__ import annotations

import asyncio

from drivers.errors import DriverError, NoReply
from drivers.modbus.orders import Order, Orders
from drivers.modbus.spec import DeviceSpec, OutputSpec


class ModbusLine:
    """An output on a device; implements drivers.base.OutputLine."""

    def __init__(
        self, device: DeviceSpec, spec: OutputSpec, orders: Orders, longest_s: float
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

    @property
    def longest_s(self) -> float:
        """How long a write or read back may take, tries included; see drivers.base.OutputLine."""
        return self._longest_s

    async def write(self, energised: bool) -> None:
        """Switch it, or start its pulse; returns when the device has confirmed it.

        A write nobody waits for any more is not sent, a later one replaces an earlier that waits.
        See drivers.base.OutputLine.
        """
        await self._ordered(energised)

    async def read_back(self) -> bool:
        """Return whether it is on, asked of the device. See drivers.base.OutputLine."""
        return await self._ordered(None)

    async def _ordered(self, energised: bool | None) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._orders.put(Order(self._device, self._spec, energised, done))
        try:
            async with asyncio.timeout(self._longest_s):
                return await done
        except DriverError:
            raise  # a NoReply is a TimeoutError too
        except TimeoutError as error:
            raise NoReply(self.id, "the bus did not get to it") from error
