"""How many bytes a reading takes in each of its shapes, by a sample of usual length. Pure."""

from __future__ import annotations

import struct

from agent.config.load import LoadedSite
from agent.core.spec import PointSpec
from agent.outbox.documents import batch_document
from agent.outbox.lines import encode_line
from agent.outbox.records import Batch
from agent.uplink import codec
from drivers.clock import ClockState, Stamp
from drivers.modbus.spec import DataType, QuantitySpec
from drivers.reading import Quality, Reading, Value

_AT = Stamp(123456.789, 1_750_000_000_000, ClockState.SYNCED)
_STREAM = "0123456789ab"
"""As long as one is (agent.outbox.uuid7.stream_id)."""
_BOOT = "01234567-89ab-cdef-0123-456789abcdef"
"""As the kernel tells it (drivers.clock.read_boot_id)."""
_FLOAT = struct.unpack(">f", struct.pack(">f", 123.4))[0]
"""A 32-bit float as it is told: 123.4000015258789."""
_LONG_FLOAT = 123.456789012345


def samples_of(site: LoadedSite) -> dict[str, Reading]:
    """Return a reading of usual length for every point."""
    quantities = {
        device.point(quantity.name): quantity
        for bus in site.modbus_buses
        for device in bus.devices
        for quantity in device.quantities
    }
    return {
        each.id: Reading(
            point=each.id,
            value=_value(quantities[each.id]) if each.id in quantities else _own(each),
            quality=Quality.GOOD,
            unit=each.unit,
            at=_AT,
        )
        for each in site.spec.points
    }


def _own(spec: PointSpec) -> Value:
    """Return a value of a point no device has: a contact, or a number calculated of others."""
    return True if spec.is_contact else _LONG_FLOAT


def _value(quantity: QuantitySpec) -> Value:
    if quantity.type is DataType.BOOL:
        return True
    if quantity.enum:
        return max(quantity.enum.values(), key=lambda each: len(str(each)))
    if quantity.type is DataType.STRING:
        return "x" * 2 * quantity.length
    if quantity.type is DataType.F32 and quantity.scale == 1 and quantity.offset == 0:
        return _FLOAT if quantity.loop is None else _LONG_FLOAT
    if quantity.loop or quantity.type in (DataType.F32, DataType.F64):
        return _LONG_FLOAT
    return 1234 if quantity.scale == 1 and quantity.offset == 0 else 123.4


def _batch(reading: Reading, count: int) -> Batch:
    return Batch(
        stream=_STREAM,
        seq=10_000,
        boot=_BOOT,
        clock=ClockState.SYNCED,
        readings=(reading,) * count,
    )


def tele_bytes(reading: Reading, count: int) -> int:
    """Return the payload of a batch with the reading so many times."""
    return len(codec.tele(_batch(reading, count), is_replay=False))


def line_bytes(reading: Reading, count: int) -> int:
    """Return the line on disk of a batch with the reading so many times."""
    return len(encode_line(10_000, batch_document(_batch(reading, count))))


def state_bytes(reading: Reading) -> int:
    """Return the payload of a retained state."""
    return len(codec.state(reading, _BOOT))


def heartbeat_bytes() -> int:
    """Return the payload of a heartbeat."""
    status = codec.status(
        _AT, is_online=True, boot=_BOOT, version="1.0.0", reason=codec.StatusReason.HEARTBEAT
    )
    return len(status)
