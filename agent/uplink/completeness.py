"""The consumer's ledger (agent.uplink.consumer), fed with messages already decoded. Pure."""

from __future__ import annotations

from agent.outbox.records import Lane
from agent.uplink import consumer
from agent.uplink.consumer import REORDER, Span, StreamProof
from agent.uplink.decode import BatchSeen, EventSeen

__all__ = ["REORDER", "Ledger", "Span", "StreamProof"]


class Ledger(consumer.Ledger):
    """Keeps book of all streams of one box."""

    def hear(self, seen: EventSeen | BatchSeen) -> bool:
        """Enter a message and return whether it is new; False is a double, to be dropped."""
        if isinstance(seen, BatchSeen):
            return self.enter(Lane.TELEMETRY.value, seen.batch.stream, seen.batch.seq)
        record = seen.record
        is_new = self.enter(Lane.EVENT.value, record.stream, record.seq)
        if is_new:
            self.learn(record.event.kind.value, record.event.detail)
        return is_new
