"""How records look on one platform: pure maps from the agent's values to messages.

A sink is picked by `sink:` of an uplink. It returns no message for what its platform has no place
for; such a record counts as delivered. It never raises for what a record holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.core.effects import AlarmView
from agent.outbox.records import Batch, EventRecord
from agent.uplink.codec import StatusReason
from agent.uplink.desk import Answer, Asked
from agent.uplink.message import Arrival, Message
from drivers.clock import Stamp
from drivers.reading import Reading


class Sink(Protocol):
    """One platform's dialect."""

    def will(self, at: Stamp) -> Message | None:
        """Return what the broker shall say when it loses the box; None where there is no will."""

    def status(self, at: Stamp, reason: StatusReason) -> Sequence[Message]:
        """Return birth, heartbeat or farewell."""

    def meta(self, at: Stamp) -> Sequence[Message]:
        """Return the box's description of itself, after each connect."""

    def event(self, record: EventRecord, *, is_replay: bool) -> Sequence[Message]:
        """Return an event."""

    def batch(self, batch: Batch, *, is_replay: bool) -> Sequence[Message]:
        """Return a batch of readings."""

    def state(self, reading: Reading) -> Sequence[Message]:
        """Return a point's last reading."""

    def alarm(self, view: AlarmView) -> Sequence[Message]:
        """Return an alarm's state."""

    def retained(self) -> frozenset[str]:
        """Return every topic on which this site leaves something at the broker."""

    def hears(self) -> Sequence[str]:
        """Return what to subscribe to for commands."""

    def asked(self, arrival: Arrival) -> Asked | None:
        """Return the command in a message; None: it is none (then it is passed over)."""

    def answer(self, answer: Answer) -> Sequence[Message]:
        """Return how a command ended, for its asker."""
