"""Slaves to poll: one that obeys the protocol on command and one that breaks it, on TCP and on a pty.

Every register holds a number made of its address (`value_at`), so that an answer taken for the wrong
question cannot look right.
"""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from drivers.backoff import Backoff
from drivers.clock import Clock, SystemClock
from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import crc16
from drivers.modbus.spec import (
    Area,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    PollClass,
    QuantitySpec,
    SerialPort,
    TcpPort,
)
from drivers.reading import Quality, Reading


def value_at(unit: int, address: int) -> int:
    """Return what register `address` of a unit holds."""
    return (unit << 11) ^ (address * 7 + 3)


def bit_at(unit: int, address: int) -> bool:
    """Return what coil or discrete input `address` of a unit holds before anybody writes it."""
    return value_at(unit, address) % 3 == 0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as a slave sees it."""

    unit: int
    function: int
    address: int
    count: int
    """For functions 05 and 06 the value written."""


Answer = Callable[[Asked], Awaitable[bytes | None]]
"""Returns function and data, None for silence."""


@dataclass
class Memory:
    """Answers as a good device does; told units and addresses do not exist."""

    units: frozenset[int] = frozenset(range(1, 248))
    illegal: frozenset[int] = frozenset()
    coils: dict[tuple[int, int], bool] = field(default_factory=dict)
    written: dict[tuple[int, int], int] = field(default_factory=dict)
    """Holding registers that were written, by unit and address."""
    flash_at: int | None = None
    """Where function 05 switches coil 0 and up on for value x 100 ms, as a Waveshare relay does."""
    asked: list[Asked] = field(default_factory=list)
    delay_s: float = 0.0
    silent_units: set[int] = field(default_factory=set)

    async def answer(self, asked: Asked) -> bytes | None:
        self.asked.append(asked)
        if asked.unit in self.silent_units or asked.unit not in self.units:
            return None
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.reply(asked)

    def reply(self, asked: Asked) -> bytes:
        span = range(asked.address, asked.address + asked.count)
        if asked.function == 6:
            self.written[asked.unit, asked.address] = asked.count
            return bytes([6]) + _word(asked.address) + _word(asked.count)
        if self.flash_at is not None and asked.function == 5 and asked.address >= self.flash_at:
            coil = asked.unit, asked.address - self.flash_at
            self.coils[coil] = True
            asyncio.get_running_loop().call_later(
                asked.count * 0.1, self.coils.__setitem__, coil, False
            )
            return bytes([5]) + _word(asked.address) + _word(asked.count)
        if asked.function == 5:
            self.coils[asked.unit, asked.address] = asked.count == 0xFF00
            return bytes([5]) + _word(asked.address) + _word(asked.count)
        if any(each in self.illegal for each in span):
            return bytes([asked.function | 0x80, 2])
        if asked.function in (1, 2):
            bits = [self.coils.get((asked.unit, each), bit_at(asked.unit, each)) for each in span]
            data = bytearray((asked.count + 7) // 8)
            for index, bit in enumerate(bits):
                data[index // 8] |= bit << (index % 8)
            return bytes([asked.function, len(data)]) + bytes(data)
        words = b"".join(
            _word(self.written.get((asked.unit, each), value_at(asked.unit, each))) for each in span
        )
        return bytes([asked.function, len(words)]) + words


def _word(value: int) -> bytes:
    return (value & 0xFFFF).to_bytes(2, "big")


def rtu(unit: int, pdu: bytes) -> bytes:
    """Return the RTU frame of a PDU."""
    return bytes([unit]) + pdu + crc16(bytes([unit]) + pdu)


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Return the TCP frame of a PDU."""
    return _word(transaction) + b"\0\0" + _word(len(pdu) + 1) + bytes([unit]) + pdu


Send = Callable[[bytes], None]
Misbehaviour = Callable[[Asked, int, Send], Awaitable[bool]]
"""Gets the request, its transaction id (0 on RTU) and a way to send raw bytes; returns whether it
dealt with the request, else it is answered well."""


async def well(_asked: Asked, _transaction: int, _send: Send) -> bool:
    return False


@dataclass
class Slave:
    """A slave on some wire; `misbehave` may take over any request."""

    port: TcpPort | SerialPort
    memory: Memory
    misbehave: Misbehaviour = well
    connections: int = 0
    drop: Callable[[], None] = lambda: None
    """Ends every connection, or hangs up the line."""

    async def serve(self, asked: Asked, transaction: int, is_tcp: bool, send: Send) -> None:
        if await self.misbehave(asked, transaction, send):
            self.memory.asked.append(asked)
            return
        pdu = await self.memory.answer(asked)
        if pdu is not None:
            send(mbap(transaction, asked.unit, pdu) if is_tcp else rtu(asked.unit, pdu))


def parse(body: bytes) -> Asked:
    return Asked(
        body[0], body[1], int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")
    )


@asynccontextmanager
async def tcp_slave(
    memory: Memory | None = None, *, is_rtu: bool = False, port: int = 0
) -> AsyncIterator[Slave]:
    """A slave on a free TCP port."""
    writers: set[asyncio.StreamWriter] = set()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        slave.connections += 1
        writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        task.add_done_callback(handlers.discard)
        try:
            async with asyncio.TaskGroup() as answers:
                while True:
                    transaction, body = 0, b""
                    if is_rtu:
                        body = await reader.readexactly(8)
                    else:
                        head = await reader.readexactly(6)
                        transaction = int.from_bytes(head[:2], "big")
                        body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
                    answers.create_task(
                        slave.serve(parse(body), transaction, not is_rtu, writer.write)
                    )
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    number = server.sockets[0].getsockname()[1]

    def drop() -> None:
        for writer in list(writers):
            writer.transport.abort()

    slave = Slave(_tcp(number, is_rtu), memory or Memory())
    slave.drop = drop
    try:
        yield slave
    finally:
        server.close()
        drop()
        async with asyncio.timeout(2):
            while handlers:
                await asyncio.wait(handlers)


def _tcp(number: int, is_rtu: bool) -> TcpPort:
    return TcpPort(host="127.0.0.1", port=number, rtu=is_rtu)


@asynccontextmanager
async def pty_slave(memory: Memory | None = None) -> AsyncIterator[Slave]:
    """A slave on one end of a pty; the other end's name is the serial port (a pty has no parity)."""
    master, client = pty.openpty()
    tty.setraw(master)
    tty.setraw(client)
    name = os.ttyname(client)
    loop = asyncio.get_running_loop()
    received = bytearray()
    is_open = True
    slave = Slave(SerialPort(path=name, baud=115200), memory or Memory())

    def send(data: bytes) -> None:
        if is_open:
            os.write(master, data)

    def drop() -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            loop.remove_reader(master)
            os.close(master)
            os.close(client)

    slave.drop = drop
    async with asyncio.TaskGroup() as answers:

        def ready() -> None:
            with suppress(BlockingIOError):
                received.extend(os.read(master, 1024))
            while len(received) >= 8:
                body = bytes(received[:8])
                del received[:8]
                assert crc16(body[:6]) == body[6:], "a request was broken"
                answers.create_task(slave.serve(parse(body), 0, False, send))

        os.set_blocking(master, False)
        loop.add_reader(master, ready)
        try:
            yield slave
        finally:
            drop()


class Heard:
    """Collects readings and lets a test wait for them."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.calls = 0
        self._more = asyncio.Event()

    def emit(self, readings: Sequence[Reading]) -> None:
        assert readings
        self.calls += 1
        self.readings.extend(readings)
        self._more.set()

    def of(self, point: str) -> list[Reading]:
        return [each for each in self.readings if each.point == point]

    def last(self, point: str) -> Reading | None:
        return next((each for each in reversed(self.readings) if each.point == point), None)

    def value(self, point: str) -> object:
        last = self.last(point)
        return None if last is None else last.value

    def reason(self, point: str) -> str:
        last = self.last(point)
        return "" if last is None else last.reason

    async def until(self, is_met: Callable[[], bool], within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            while not is_met():
                self._more.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._more.wait()


def registers(
    count: int, *, start: int = 0, step: int = 1, **more: object
) -> tuple[QuantitySpec, ...]:
    """Return `count` u16 holding registers called r<address>."""
    return tuple(
        QuantitySpec(
            **{  # type: ignore[arg-type]
                "name": f"r{address}",
                "area": Area.HOLDING,
                "address": address,
                "type": DataType.U16,
                **more,
            }
        )
        for address in range(start, start + count * step, step)
    )


def device(unit: int, quantities: tuple[QuantitySpec, ...] = (), **more: object) -> DeviceSpec:
    return DeviceSpec(
        **{"id": f"d{unit}", "unit": unit, "quantities": quantities, **more}  # type: ignore[arg-type]
    )


def bus_spec(slave: Slave, *devices: DeviceSpec, **more: object) -> ModbusBusSpec:
    return ModbusBusSpec(
        **{  # type: ignore[arg-type]
            "id": "bus",
            "port": slave.port,
            "devices": devices,
            "timeout_s": 0.1,
            "settle_s": 0.1,
            "periods_s": {
                PollClass.FIRE: 0.02,
                PollClass.NORMAL: 0.03,
                PollClass.SLOW: 0.2,
            },
            "offline_after_s": 0.3,
            **more,
        }
    )


@asynccontextmanager
async def running(
    spec: ModbusBusSpec, heard: Heard, clock: Clock | None = None
) -> AsyncIterator[ModbusBus]:
    """Run a bus until the block ends."""
    bus = ModbusBus(spec, clock or SystemClock(), heard.emit, backoff=Backoff(0.02, 0.1))
    async with asyncio.TaskGroup() as tasks:
        running_task = tasks.create_task(bus.run(), name="bus under test")
        try:
            yield bus
        finally:
            running_task.cancel()


def wrong_values(heard: Heard, *devices: DeviceSpec) -> list[Reading]:
    """Return every reading called good whose value is not that of its own register."""
    right: dict[str, object] = {}
    for each in devices:
        for quantity in each.quantities:
            is_bit = quantity.area in (Area.COIL, Area.DISCRETE)
            at = bit_at if is_bit else value_at
            right[each.point(quantity.name)] = at(each.unit, quantity.address)
    return [
        each
        for each in heard.readings
        if each.quality is Quality.GOOD and each.point in right and each.value != right[each.point]
    ]
