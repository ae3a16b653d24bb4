"""Every point of a site read once, past any schedule: what an installer holds against the displays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from agent.cli.contacts import read_contacts
from agent.cli.hardware import said
from agent.cli.taken import Round, Taken, bad_reading
from agent.config.load import LoadedSite
from drivers.clock import Clock
from drivers.errors import DriverError, NoReply, PortUnavailable, Refused
from drivers.gpio.pins import OpenPins
from drivers.gpio.spec import GpioBusSpec
from drivers.modbus.plan import SPLIT_CODES, Request, plan_reads, split, words_of
from drivers.modbus.registers import BIT_AREAS, Decoder
from drivers.modbus.spec import (
    Area,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    QuantitySpec,
    RegisterOutputSpec,
    TcpPort,
)
from drivers.modbus.transport import Link, Reply
from drivers.reading import Reading
from drivers.tasks import TaskGroup


async def read_once(
    site: LoadedSite,
    clock: Clock,
    open_chip: Callable[[GpioBusSpec], OpenPins],
    *,
    device: str = "",
    bus: str = "",
) -> Round:
    """Return every point of the site, or of one device or bus, each read once; never raises for a wire.

    Buses are read side by side, the devices of one bus one after another. Outputs are not touched.
    """
    rounds: list[asyncio.Task[Round]] = []
    async with TaskGroup() as tasks:
        for chip in site.gpio_buses:
            if not device and bus in ("", chip.id):
                work = read_contacts(chip, clock, open_chip(chip))
                rounds.append(tasks.create_task(work, name=f"read {chip.id}"))
        for line in site.modbus_buses:
            wanted = [each for each in line.devices if device in ("", each.id)]
            if wanted and bus in ("", line.id):
                rounds.append(
                    tasks.create_task(_BusRound(line, clock).read(wanted), name=f"read {line.id}")
                )
    whole = Round()
    for each in rounds:
        whole.taken += each.result().taken
        whole.troubles += each.result().troubles
    return whole


class _BusRound:
    """One Modbus port, opened for one round."""

    def __init__(self, spec: ModbusBusSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._link = Link(spec.id, spec.port, clock, settle_s=spec.settle_s, on_lost=lambda: None)
        self._has_transactions = isinstance(spec.port, TcpPort) and not spec.port.rtu
        self._round = Round()
        self._is_dead = False

    async def read(self, devices: Sequence[DeviceSpec]) -> Round:
        try:
            for device in devices:
                await self._device(device)
        finally:
            self._link.abandon()
        return self._round

    async def _device(self, device: DeviceSpec) -> None:
        quantities = device.quantities or _read_backs(device)
        requests = list(
            plan_reads(
                quantities,
                max_registers=device.max_registers,
                max_bits=device.max_bits,
                max_gap=device.max_gap,
            )
        )
        by_name: dict[str, Taken] = {}
        tries = 1 + self._spec.retries
        while requests:
            request = requests.pop(0)
            begun_s = self._clock.mono_s()
            try:
                reply = await self._ask(device, request, tries)
            except DriverError as error:
                is_too_much = isinstance(error, Refused) and error.code in SPLIT_CODES
                if is_too_much and (smaller := split(request)):
                    requests[:0] = smaller
                    continue
                if isinstance(error, NoReply):
                    tries = 1  # a dead device is not asked twice for everything
                by_name |= self._nothing(device, request, error)
                continue
            took_ms = 1000 * max(0.0, reply.at.mono_s - begun_s)
            by_name |= self._values(device, request, reply, took_ms)
        self._round.taken += [by_name[each.name] for each in quantities]

    async def _read(self, device: DeviceSpec, request: Request) -> Reply:
        return await self._link.read(
            device.unit,
            request,
            source=device.id,
            timeout_s=device.timeout_s or self._spec.timeout_s,
            gap_s=device.gap_s,
        )

    async def _ask(self, device: DeviceSpec, request: Request, tries: int) -> Reply:
        """Return the reply to a read; a port that is closed is opened, a failed try is tried again."""
        while True:
            tries -= 1
            try:
                if not self._link.is_open:
                    await self._open()
                sounding = self._link.sounding(device.unit, request)
                # a late answer to what kept silent is not taken for this one's
                if sounding is not None:
                    with suppress(Refused):
                        await self._read(device, sounding)
                return await self._read(device, request)
            except Refused:
                raise
            except DriverError:
                if isinstance(self._spec.port, TcpPort) and not self._has_transactions:
                    self._link.close()  # or a late answer could not be told from the next one
                if tries <= 0:
                    raise

    async def _open(self) -> None:
        """Open the port; one that does not open is not tried again for every device behind it."""
        if self._is_dead:
            raise PortUnavailable(self._spec.id, "not there")
        try:
            await self._link.open()
        except PortUnavailable as error:
            self._is_dead = True
            self._round.troubles.append(f"bus {self._spec.id}: {said(error)}")
            raise

    def _values(
        self, device: DeviceSpec, request: Request, reply: Reply, took_ms: float
    ) -> dict[str, Taken]:
        values = {}
        for each in request.quantities:
            words = words_of(request, each, reply.words)
            decoded = Decoder(each).decode(words)
            values[each.name] = Taken(
                bus=self._spec.id,
                device=device.id,
                raw=_raw(each, words),
                reading=Reading(
                    point=_point(device, each),
                    value=decoded.value,
                    quality=decoded.quality,
                    unit=each.unit,
                    at=reply.at,
                    reason=decoded.reason,
                ),
                took_ms=took_ms,
            )
        return values

    def _nothing(
        self, device: DeviceSpec, request: Request, error: DriverError
    ) -> dict[str, Taken]:
        at = self._clock.stamp()
        return {
            each.name: Taken(
                bus=self._spec.id,
                device=device.id,
                raw="",
                reading=bad_reading(_point(device, each), each.unit, _reason(error), at),
                took_ms=None,
            )
            for each in request.quantities
        }


def _read_backs(device: DeviceSpec) -> tuple[QuantitySpec, ...]:
    """Return the lines of a device that has nothing but outputs: reading them back shows it is there."""
    return tuple(
        QuantitySpec(
            name=each.output,
            area=Area.HOLDING,
            address=each.address if each.read_back is None else each.read_back,
            type=DataType.U16,
            kind="feedback",
            enum={each.on: True, each.off: False},
        )
        if isinstance(each, RegisterOutputSpec)
        else QuantitySpec(
            name=each.output,
            area=Area.COIL,
            address=each.address,
            type=DataType.BOOL,
            kind="feedback",
        )
        for each in device.outputs
    )


def _point(device: DeviceSpec, quantity: QuantitySpec) -> str:
    return device.point(quantity.name) if device.quantities else quantity.name


def _raw(quantity: QuantitySpec, words: Sequence[int]) -> str:
    if quantity.area in BIT_AREAS:
        return str(int(bool(words[0])))
    return " ".join(f"{word:04x}" for word in words)


def _reason(error: DriverError) -> str:
    """Return the word a running bus gives its readings for the same failure."""
    if isinstance(error, Refused):
        return f"exception {error.code}"
    if isinstance(error, NoReply):
        return "timeout"
    return "port" if isinstance(error, PortUnavailable) else "bad reply"
