"""The telemetry store in memory: one open batch, and sealed ones until they are acknowledged or on disk."""

from __future__ import annotations

from agent.outbox.pace import Pace
from agent.outbox.queue import LaneQueue
from agent.outbox.records import Batch, Lane
from agent.outbox.spec import OutboxSpec
from agent.outbox.uuid7 import stream_id
from drivers.clock import Clock, ClockState
from drivers.reading import Reading

BATCH_BYTES = 64 * 1024
"""A batch is sealed at about this many bytes on the wire: half of what an uplink takes by default."""

_WIRE_BYTES = 110
"""What a reading takes on the wire besides its texts, about (`tele/1`)."""

_ROW_BYTES = 52 - _WIRE_BYTES
_HEAD_BYTES = 160
"""What a reading takes on disk other than on the wire, and what each batch takes besides."""

READING_BYTES = 350
"""What a reading takes in memory, about (measured with tracemalloc: 300 to 400 bytes)."""


class TelemetryStore:
    """The telemetry lane of this run."""

    def __init__(self, spec: OutboxSpec, boot: str, clock: Clock) -> None:
        self._boot = boot
        self._clock = clock
        self._most = spec.batch_readings
        self._open: list[Reading] = []
        self._open_bytes = 0
        self._open_clock = ClockState.SYNCED
        self.opened_s = 0.0
        """Monotonic; when the open batch got its first reading."""
        self.pace = Pace(clock.mono_s())
        self.queue: LaneQueue[Batch] = LaneQueue(Lane.TELEMETRY, stream_id())

    @property
    def is_open(self) -> bool:
        """Whether the open batch holds a reading."""
        return bool(self._open)

    def add(self, reading: Reading) -> bool:
        """Put a reading into the open batch; return whether a batch began or was sealed."""
        opened = self._open
        is_news = False
        if not opened or reading.at.clock is not self._open_clock:
            self.seal()
            opened = self._open
            self.opened_s = self._clock.mono_s()
            self._open_clock = reading.at.clock
            is_news = True
        opened.append(reading)
        value = reading.value
        self._open_bytes += _WIRE_BYTES + len(reading.point) + len(reading.unit)
        if isinstance(value, str):
            self._open_bytes += len(value)
        if len(opened) >= self._most or self._open_bytes >= BATCH_BYTES:
            self.seal()
            is_news = True
        return is_news

    def seal(self) -> None:
        """Make the open batch immutable and give it its seq; nothing happens when it is empty."""
        if not self._open:
            return
        batch = Batch(
            stream=self.queue.stream,
            seq=self.queue.next_seq(),
            boot=self._boot,
            clock=self._open_clock,
            readings=tuple(self._open),
        )
        self.queue.put(batch, len(self._open) * READING_BYTES, self.opened_s)
        on_disk = self._open_bytes + _HEAD_BYTES + _ROW_BYTES * len(self._open)
        self.pace.note(self._clock.mono_s(), len(self._open), on_disk)
        self._open = []
        self._open_bytes = 0
