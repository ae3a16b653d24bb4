"""What a site asks of a Modbus bus: every read, its time on the line, and the load. Pure.

The reads are those the driver makes (drivers.modbus.device plans them with drivers.modbus.plan); their
times are those of the wire (drivers.modbus.wiretime) and what a device is assumed to think.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.modbus.device import Device
from drivers.modbus.plan import Request
from drivers.modbus.presence import ASK_CAP_S, ASK_FIRST_S
from drivers.modbus.spec import DeviceSpec, ModbusBusSpec, PollClass, SerialPort
from drivers.modbus.wiretime import TURNAROUND_S, read_s, write_coil_s

FULL_SHARE = 0.7
"""Above this part of its time a line has too little left for retries and writes (the project's own
mark, between a line at rest and one that is always late)."""

TCP_ANSWER_S = 0.02
"""What a Modbus TCP device is assumed to take, its network included. A gateway with a serial line
behind it takes that line's time on top (`Assumptions.gateway_line`)."""

HIDDEN_LINE = SerialPort(path="", baud=9600)
"""What stands behind a transparent gateway (RTU over TCP) unless told: 9600 8N1, as most Chinese
devices are delivered."""

SHORTEST_PAUSE = 0.8
"""Part of a pause that its jitter leaves at least (drivers.backoff: 80 to 100 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What the site file cannot tell."""

    turnaround_s: float = TURNAROUND_S
    tcp_answer_s: float = TCP_ANSWER_S
    gateway_line: SerialPort | None = None
    """The line behind every gateway; None: none behind Modbus TCP, HIDDEN_LINE behind RTU over TCP."""
    silent_devices: int = 1
    """How many devices of a bus fall silent at the same moment in its worst case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRead:
    """One read as the driver makes it."""

    device: str
    unit: int
    request: Request
    points: tuple[str, ...]
    """Empty for a read that only asks whether the device is there."""
    poll_class: PollClass
    period_s: float
    time_s: float
    """Of the line, from the first character to the end of the silence after the reply."""

    @property
    def share(self) -> float:
        """The part of the line's time this takes."""
        return self.time_s / self.period_s


@dataclass(frozen=True, slots=True, kw_only=True)
class BusLoad:
    """One Modbus bus."""

    id: str
    kind: str
    line: SerialPort | None
    """The serial line, be it the one assumed behind a gateway; None for plain TCP."""
    reads: tuple[PlannedRead, ...]
    probe_share: float
    """The part of the time that devices which stay silent may take together."""
    silence_cost_s: float
    """The line's time one device takes from falling silent until it counts as offline, at most."""

    @property
    def load(self) -> float:
        """The part of the line's time that polls take with every device alive; over 1 they are late."""
        return sum(each.share for each in self.reads)

    @property
    def worst_load(self) -> float:
        """As `load`, with the share of devices that stay silent on top."""
        return self.load + self.probe_share

    @property
    def is_full(self) -> bool:
        """Whether it is too much."""
        return self.load > FULL_SHARE


def bus_load(spec: ModbusBusSpec, assumptions: Assumptions) -> BusLoad:
    line = _line(spec, assumptions)
    return BusLoad(
        id=spec.id,
        kind=spec.kind,
        line=line,
        reads=tuple(_reads(spec, line, assumptions)),
        probe_share=spec.probe_share,
        silence_cost_s=max((silence_cost_s(spec, each) for each in spec.devices), default=0.0),
    )


def _line(spec: ModbusBusSpec, assumptions: Assumptions) -> SerialPort | None:
    if isinstance(spec.port, SerialPort):
        return spec.port
    return assumptions.gateway_line or (HIDDEN_LINE if spec.port.rtu else None)


def _reads(
    spec: ModbusBusSpec, line: SerialPort | None, assumptions: Assumptions
) -> Iterator[PlannedRead]:
    for device in spec.devices:
        for poll in Device(device, spec).polls:
            request = poll.what.request
            yield PlannedRead(
                device=device.id,
                unit=device.unit,
                request=request,
                points=tuple(device.point(each.name) for each in request.quantities),
                poll_class=poll.poll_class,
                period_s=poll.period_s,
                time_s=transaction_s(spec, line, assumptions, request) + device.gap_s,
            )


def transaction_s(
    spec: ModbusBusSpec,
    line: SerialPort | None,
    assumptions: Assumptions,
    request: Request | None,
) -> float:
    """Return the time of a read, or of writing a coil."""
    network_s = 0.0 if isinstance(spec.port, SerialPort) else assumptions.tcp_answer_s
    if line is None:
        return network_s
    wire_s = write_coil_s(line) if request is None else read_s(request, line)
    return network_s + assumptions.turnaround_s + wire_s


def silence_cost_s(spec: ModbusBusSpec, device: DeviceSpec) -> float:
    """Return the line's time a device takes from falling silent until it is offline."""
    timeout_s = spec.timeout_s if device.timeout_s is None else device.timeout_s
    once_s = timeout_s + spec.settle_s + device.gap_s
    # after one silence only what is more urgent is asked beside the other tries of the same read
    asked = spec.retries + max(1, len({each.poll_class for each in device.quantities}))
    passed_s, pause_s = asked * once_s, ASK_FIRST_S
    while asked < spec.offline_failures or passed_s < spec.offline_after_s:
        passed_s += SHORTEST_PAUSE * pause_s + once_s
        pause_s = min(ASK_CAP_S, 2 * pause_s)
        asked += 1
    return asked * once_s
