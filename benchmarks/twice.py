"""What was sent more than once, held against the connection whose end it came again after (Z3).

A record sent again is counted for the connection it was sent on before. Two kills with little sent between them
are then not one kill with twice the window, and a link lost in the middle of a life is not the kill at its end.
Counted is what was sent, not what was acknowledged: the broker has it, whether the agent heard of that or not.
"""

from __future__ import annotations

from collections import Counter

from agent.outbox.cursor import BEYOND
from agent.simulate.subscriber import Heard
from agent.uplink.decode import BatchSeen, EventSeen, decode
from agent.uplink.topics import take_apart
from benchmarks.agent_plant import ROOT
from benchmarks.outbox_writes import Accepted

_SAID = BEYOND.split("%s: ")[1].split("%d")[0]


class Twice:
    """Follows what goes to the broker."""

    def __init__(self) -> None:
        self._connection = 0
        self._before = 0
        """The last connection of the life before."""
        self._last: dict[Accepted, int] = {}
        """On which connection a record was sent last."""
        self._again: Counter[int] = Counter()
        self._stuck: set[int] = set()
        """Connections of lives in which the disk was stuck and the agent said so."""
        self.repeated = 0
        """Sent again on the same connection, where nothing was refused: never right."""
        self.stuck_lives = 0

    def connected(self) -> None:
        """Note a new connection."""
        self._connection += 1

    def sent(self, message: Heard) -> None:
        """Note a message on its way to the broker."""
        if not message.payload:
            return
        seen = decode(take_apart(ROOT, message.topic), message.payload)
        if isinstance(seen, BatchSeen):
            record = Accepted("telemetry", seen.batch.stream, seen.batch.seq)
        elif isinstance(seen, EventSeen):
            record = Accepted("event", seen.record.stream, seen.record.seq)
        else:
            return
        last = self._last.get(record)
        self._last[record] = self._connection
        if last == self._connection:
            self.repeated += 1
        elif last is not None:
            self._again[last] += 1

    def life_ended(self, log: str) -> None:
        """Note the end of a process, by what it said in its life."""
        if _SAID in log:
            self.stuck_lives += 1
            self._stuck.update(range(self._before + 1, self._connection + 1))
        self._before = self._connection

    @property
    def most(self) -> int:
        """Sent again after the end of one connection, at most, while the disk took positions."""
        return max((n for each, n in self._again.items() if each not in self._stuck), default=0)

    @property
    def most_stuck(self) -> int:
        """Sent again after the end of one connection, at most, of lives in which the disk was stuck."""
        return max((self._again[each] for each in self._stuck), default=0)
