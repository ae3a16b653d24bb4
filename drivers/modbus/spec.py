"""Buses, devices and registers, as data. Addresses are 0-based protocol addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from drivers.reading import Value


class Area(StrEnum):
    """The four tables of the Modbus data model (Application Protocol 1.1b3, section 4.3)."""

    COIL = "coil"  # function 01 / 05
    DISCRETE = "discrete"  # function 02
    HOLDING = "holding"  # function 03 / 06 / 16
    INPUT = "input"  # function 04


class DataType(StrEnum):
    """How the words of a quantity are to be understood."""

    BOOL = "bool"  # one coil or discrete input
    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    F64 = "f64"
    BITS = "bits"  # a field of one register: bit, bit_count
    BCD16 = "bcd16"
    BCD32 = "bcd32"
    STRING = "string"


class Order(StrEnum):
    """Which end comes first."""

    BIG = "big"
    LITTLE = "little"


class PollClass(StrEnum):
    """How urgent a point is; each bus gives every class a period."""

    FIRE = "fire"
    NORMAL = "normal"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSpec:
    """A 4-20 mA loop: the decoded number is a current, mapped linearly to the unit (NAMUR NE43)."""

    low: float
    """Engineering value at 4 mA."""
    high: float
    """Engineering value at 20 mA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantitySpec:
    """One quantity of a device: where its words are and what they mean."""

    name: str
    """The quantity's name; the point id is `<device>.<name>`."""
    area: Area
    address: int
    type: DataType
    unit: str = ""
    kind: str = "generic"
    """What it measures, a word of agent.core.spec.PointKind; drivers only carry it."""
    word_order: Order = Order.BIG
    byte_order: Order = Order.BIG
    scale: float = 1.0
    offset: float = 0.0
    """value = raw * scale + offset."""
    bit: int = 0
    """For `bits`: lowest bit of the field, 0 is the least significant."""
    bit_count: int = 1
    length: int = 1
    """For `string`: registers."""
    sentinels: tuple[int, ...] = ()
    """Raw (unsigned, whole width) values that mean "no value": quality bad."""
    valid_min: float | None = None
    valid_max: float | None = None
    """Outside of these, in engineering units: quality bad."""
    enum: dict[int, Value] = field(default_factory=dict)
    """Raw to word (or to True / False); a raw value that is not in it is quality bad."""
    loop: LoopSpec | None = None
    poll_class: PollClass = PollClass.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class CoilOutputSpec:
    """An output of the agent on one coil of a device."""

    output: str
    address: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOutputSpec:
    """An output on one holding register, which holds one of two values."""

    output: str
    address: int
    on: int = 1
    off: int = 0
    """0 to 65535."""
    read_back: int | None = None
    """The holding register that tells the state, in the same two values; None: the one written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseOutputSpec:
    """An output that the module itself ends: switched on for a time, kept by the module."""

    output: str
    address: int
    """The coil: read back, and switched off to end a pulse before its time."""
    pulse_address: int
    """Where function 05 starts a pulse, value in units of 100 ms (Waveshare: 0x0200 + relay)."""
    pulse_s: float
    """0.1 to 3276.7 s."""


OutputSpec = CoilOutputSpec | RegisterOutputSpec | PulseOutputSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A unit on a bus."""

    id: str
    unit: int
    """1 to 247 (Modbus over serial line 1.02, section 2.2)."""
    quantities: tuple[QuantitySpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    max_registers: int = 125
    """Registers in one read; 125 is the protocol's limit (section 6.3 of the Application Protocol)."""
    max_bits: int = 2000
    max_gap: int = 8
    """Registers nobody asked for that a read may span to save a request."""
    timeout_s: float | None = None
    """None: the bus's."""
    gap_s: float = 0.0
    """Extra silence before a request to this device."""
    points: dict[str, str] = field(default_factory=dict)
    """Point id of a quantity where it is not `<device>.<quantity>`."""

    def point(self, quantity: str) -> str:
        """Return the point id of a quantity."""
        return self.points.get(quantity, f"{self.id}.{quantity}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpPort:
    """A TCP connection; `rtu` frames it as RTU over TCP."""

    host: str
    port: int = 502
    rtu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialPort:
    """A serial line."""

    path: str
    baud: int = 9600
    parity: str = "N"
    """N, E or O."""
    stop_bits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusBusSpec:
    """One port and the devices on it."""

    id: str
    port: TcpPort | SerialPort
    devices: tuple[DeviceSpec, ...]
    timeout_s: float = 0.5
    settle_s: float = 0.5
    """Silence kept after a time-out or cancel, so that a late reply is not taken for the next one."""
    periods_s: dict[PollClass, float] = field(
        default_factory=lambda: {PollClass.FIRE: 1.0, PollClass.NORMAL: 2.0, PollClass.SLOW: 30.0}
    )
    offline_failures: int = 3
    offline_after_s: float = 3.0
    """A device is offline after this many failures in a row AND this long without an answer."""
    probe_share: float = 0.03
    """The part of the bus time that dead devices may cost together."""
    retries: int = 1
    """Tries again for a live device within one poll, before the poll counts as failed."""

    @property
    def kind(self) -> str:
        """The bus type as in the configuration."""
        if isinstance(self.port, SerialPort):
            return "modbus-rtu"
        return "modbus-rtu-tcp" if self.port.rtu else "modbus-tcp"
