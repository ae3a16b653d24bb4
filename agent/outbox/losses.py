"""Telling of what was lost on disk or refused by a broker, and looking for it. Loop thread only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from agent.core.effects import Event, EventKind
from agent.outbox.disk import Disk
from agent.outbox.gaps import Gaps
from agent.outbox.making_room import Step
from agent.outbox.manifest import Damage
from agent.outbox.queue import LaneQueue
from agent.outbox.records import Batch, EventRecord, Lane
from drivers.clock import Clock

_log = logging.getLogger(__name__)


class Losses:
    """Damage found, records set aside, segments to be looked at; each told once."""

    def __init__(
        self,
        disk: Disk,
        events: LaneQueue[EventRecord],
        gaps: Gaps,
        clock: Clock,
        append: Callable[[Event], EventRecord],
    ) -> None:
        self._disk = disk
        self._events = events
        self._gaps = gaps
        self._clock = clock
        self._append = append
        self._suspects: set[tuple[Lane, int]] = set()
        self._aside: list[EventRecord | Batch] = []
        self._passed_over: set[tuple[Lane, int]] = set()
        self._damage_key: int | None = None
        """The last event that tells of damage, until the disk knows that it was told."""
        self._verified_s = 0.0

    @property
    def is_told(self) -> bool:
        """Whether all that was found is told and noted as told, and nothing is suspected."""
        return self._damage_key is None and not self._suspects

    def suspect(self, lane: Lane, numbers: Sequence[int]) -> None:
        """Have segments looked at in which a reader met damage."""
        self._suspects.update((lane, number) for number in numbers)

    def passed_over(self, lane: Lane, number: int, stream: str, seq: int) -> None:
        """Tell of a stored record that no uplink can be handed, once however many meet it."""
        if (lane, number) in self._passed_over:
            return
        self._passed_over.add((lane, number))
        self.tell((_one(lane, "undecodable", stream, seq),))

    def set_aside(self, record: EventRecord | Batch, reason: str) -> None:
        """Quarantine a record no broker takes, and tell of it."""
        self._aside.append(record)
        is_event = isinstance(record, EventRecord)
        if isinstance(record, EventRecord) and record.event.kind is EventKind.DAMAGE:
            return
        lane = Lane.EVENT if is_event else Lane.TELEMETRY
        self.tell((_one(lane, f"refused: {reason}"[:200], record.stream, record.seq),))

    def tell(self, damages: Sequence[Damage]) -> None:
        """Make events of damage."""
        for event in self._gaps.damage_events(damages, self._clock.stamp()):
            _log.error("outbox: records lost: %s", event.detail)
            record = self._append(event)
            self._damage_key = self._events.base + record.seq

    def steps(self) -> list[tuple[str, Step]]:
        """Return what is to be written of it now."""
        due: list[tuple[str, Step]] = []
        if self._aside:
            aside = tuple(self._aside)
            due.append(
                ("aside", (partial(self._disk.keep_aside, aside), partial(self._kept, len(aside))))
            )
        if self._damage_key is not None and self._events.written >= self._damage_key:
            due.append(("damage", (self._disk.mark_damage, self._marked)))
        return due

    def look(self, now_s: float, pause_s: float) -> Step | None:
        """Return the next segment to be looked at: a suspect, or every `pause_s` one not yet looked at."""
        is_turn = now_s - self._verified_s >= pause_s and self._disk.has_unverified()
        if not self._suspects and not is_turn:
            return None
        self._verified_s = now_s
        suspects, self._suspects = frozenset(self._suspects), set()
        return partial(self._disk.verify, suspects), self.tell

    def _kept(self, count: int, _: object) -> None:
        del self._aside[:count]

    def _marked(self, _: object) -> None:
        self._damage_key = None


def _one(lane: Lane, reason: str, stream: str, seq: int) -> Damage:
    return Damage(
        lane=lane, file="", reason=reason, stream=stream, first_seq=seq, last_seq=seq, count=1
    )
