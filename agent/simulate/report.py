"""The verdict on a run of the demo."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How one kind of thing fared."""

    delivered: int
    lost: int
    duplicated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution in milliseconds; zeros when nothing was measured."""

    samples: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Something expected, and whether it came."""

    step: str
    what: str
    is_seen: bool
    after_ms: float | None
    """From the step to the event's stamp, or to the pin's move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The verdict."""

    readings: Count
    """Counter values that left the simulator in true answers."""
    wrong_readings: int
    """Good readings of a value the simulator never gave for that point."""
    batches: Count
    events: Count
    alarms: tuple[Seen, ...]
    alarms_raised: int
    outputs: tuple[Seen, ...]
    outputs_switched: int
    latency_register_to_subscriber: Latency
    """Answer leaving the simulator to message at the witness, live messages only."""
    latency_contact_to_output: Latency
    """Contact driven to output pin moved, in steps that expect one."""
    unreadable_messages: int
    witness_gaps: int
    witness_forgotten: int
    ledger_forgotten: int
    examples: tuple[str, ...]
    """Some of what is wrong, for people."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, wrong, unexpected or missing, and the witness heard everything.

        Duplicates of whole batches and events are legal at QoS 1 and only counted; a reading that
        comes in two different batches is not.
        """
        return not (
            self.readings.lost
            or self.readings.duplicated
            or self.wrong_readings
            or self.batches.lost
            or self.events.lost
            or self.unreadable_messages
            or self.witness_gaps
            or self.readings.delivered == 0
            or any(not each.is_seen for each in (*self.alarms, *self.outputs))
        )

    def to_json(self) -> str:
        """Return the report as one JSON object with `ok` first."""
        return json.dumps({"ok": self.is_clean, **asdict(self)}, ensure_ascii=False)


def latency_of(samples_ms: list[float]) -> Latency:
    """Return the distribution of samples, by nearest rank."""
    ordered = sorted(samples_ms)

    def rank(share: float) -> float:
        if not ordered:
            return 0.0
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

    return Latency(
        samples=len(ordered),
        p50_ms=rank(0.5),
        p95_ms=rank(0.95),
        p99_ms=rank(0.99),
        max_ms=rank(1.0),
    )
