"""The far end of a drain, in a process of its own so that it takes no time from the box.

`python -m benchmarks.drain_consumer HOST PORT ROOT`. Subscribes, says `ready`, then hears everything through
agent.uplink.consumer, the file a cloud team copies. Told on standard input what there was (a line of JSON, the
fields of Due) it waits for it, prints what it can prove (a line of JSON, the fields of Proven) and ends. Each reading's
value is a number of its own, so that readings are counted too and not only records.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.simulate.subscriber import Heard, Subscriber
from agent.uplink.consumer import EVENT, TELEMETRY, Consumer
from benchmarks.event_log import Known, Place, disagreements, journal_of

LAST_S = 300.0
"""Longer than a consumer is behind the box on a busy machine: the broker keeps what it has not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What the box had, told once it is closed."""

    journal: str
    """The directory of the box's outbox."""
    batches: int
    readings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a consumer makes of a drain."""

    streams: int
    events: int
    batches: int
    readings: int
    """Different ones."""
    missing: int
    """Records neither heard nor declared lost, those still pending too: at the end nothing may be."""
    declared: int
    doubled: int
    readings_twice: int
    unlike_the_log: int
    """Events on which the consumer and the box's event log differ."""
    forgotten: int
    """Sessions that the broker did not keep: counts are worth nothing then."""
    notes: tuple[str, ...] = ()

    def is_whole(self, due: Due) -> bool:
        """Whether everything arrived once, and box and consumer agree."""
        wrong = self.missing + self.declared + self.doubled + self.readings_twice
        return (
            wrong + self.unlike_the_log + self.forgotten == 0
            and self.batches == due.batches
            and self.readings == due.readings
        )


class Listener:
    """Hears one box."""

    def __init__(self, root: str) -> None:
        self._consumer = Consumer(root, is_from_start=True)
        self._events: dict[Place, Known] = {}
        self._numbers: set[int] = set()
        self._readings = 0

    def take(self, message: Heard) -> None:
        """Hear a message."""
        if not message.payload:
            return
        heard = self._consumer.hear(message.topic, message.payload, is_retained=message.is_retained)
        content = heard.content
        if not heard.is_new:
            return
        if heard.channel == "event":
            place = (content["stream"], content["seq"])
            self._events[place] = Known(content["id"], content["durable"])
        elif heard.channel == "tele":
            self._numbers.update(int(each["value"]) for each in content["readings"])
            self._readings += len(content["readings"])

    def proven(self, due: Due, forgotten: int) -> Proven:
        """Return what can be proven so far."""
        (ledger,) = self._consumer.ledgers.values()
        proofs = ledger.proofs()
        unlike = disagreements(journal_of(Path(due.journal)), self._events, proofs)
        return Proven(
            streams=len(proofs),
            events=sum(each.heard for each in proofs if each.lane == EVENT),
            batches=sum(each.heard for each in proofs if each.lane == TELEMETRY),
            readings=len(self._numbers),
            missing=sum(len(span) for each in proofs for span in (*each.missing, *each.pending)),
            declared=sum(len(span) for each in proofs for span in each.declared),
            doubled=sum(each.doubles for each in proofs),
            readings_twice=self._readings - len(self._numbers),
            unlike_the_log=len(unlike),
            forgotten=forgotten,
            notes=tuple(unlike[:5]),
        )

    @property
    def heard(self) -> int:
        """Readings and events so far."""
        return self._readings + len(self._events)


async def listen(host: str, port: int, root: str) -> Proven:
    """Hear everything; return once all is there or nothing more comes."""
    listener = Listener(root)
    async with Subscriber(host, port, [f"{root}/#"], listener.take, "drain-consumer") as subscriber:
        print("ready", flush=True)
        due = Due(**json.loads(await asyncio.to_thread(sys.stdin.readline)))
        async with asyncio.timeout(LAST_S):
            before = -1
            while before != listener.heard:
                before = listener.heard
                await asyncio.sleep(1.0)
        return listener.proven(due, subscriber.gaps)


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(listen(sys.argv[1], int(sys.argv[2]), sys.argv[3])))))
