"""What was lost or dropped, merged, and told as events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.effects import Event, EventKind
from agent.outbox.manifest import Damage
from agent.outbox.records import Lane
from drivers.clock import Stamp

OVERFLOW = "overflow"
"""There was no room left."""
PURGED = "purged"
"""A person had it removed."""


@dataclass(slots=True)
class _Range:
    first_seq: int
    last_seq: int
    count: int


class Gaps:
    """Ranges dropped and not yet told, one per lane, stream and reason."""

    def __init__(self, box: str) -> None:
        self._box = box
        self._ranges: dict[tuple[Lane, str, str], _Range] = {}
        self.dropped: dict[Lane, dict[str, int]] = {lane: {} for lane in Lane}
        """Records lost since start, by lane and reason (`overflow`, `damage`)."""

    def __bool__(self) -> bool:
        """Whether something waits to be told."""
        return bool(self._ranges)

    def note(
        self,
        lane: Lane,
        stream: str,
        first_seq: int,
        last_seq: int,
        count: int,
        why: str = OVERFLOW,
    ) -> None:
        """Note records dropped for want of room, or why else."""
        self._count(lane, why, count)
        self._merge((lane, stream, why), first_seq, last_seq, count)

    def retell(self, gap: Event) -> None:
        """Have a gap event that goes unsent itself told again, merged with what is told next."""
        detail = gap.detail
        first, last, count = (detail[name] for name in ("first_seq", "last_seq", "count"))
        if isinstance(first, int) and isinstance(last, int) and isinstance(count, int):
            key = (Lane(str(detail["lane"])), str(detail["stream"]), str(detail["reason"]))
            self._merge(key, first, last, count)

    def _merge(self, key: tuple[Lane, str, str], first_seq: int, last_seq: int, count: int) -> None:
        known = self._ranges.get(key)
        if known is None:
            self._ranges[key] = _Range(first_seq, last_seq, count)
        else:
            known.first_seq = min(known.first_seq, first_seq)
            known.last_seq = max(known.last_seq, last_seq)
            known.count += count

    def tell(self, at: Stamp) -> list[Event]:
        """Return a gap event for each range noted since the last call."""
        events = [
            Event(
                kind=EventKind.GAP,
                subject=self._box,
                at=at,
                reason=reason,
                detail={
                    "lane": lane.value,
                    "stream": stream,
                    "first_seq": lost.first_seq,
                    "last_seq": lost.last_seq,
                    "count": lost.count,
                    "reason": reason,
                },
            )
            for (lane, stream, reason), lost in self._ranges.items()
        ]
        self._ranges.clear()
        return events

    def damage_events(self, damages: Iterable[Damage], at: Stamp) -> list[Event]:
        """Return an event for each piece of damage, and count the records."""
        events = []
        for each in damages:
            self._count(each.lane, "damage", 1 if each.count is None else each.count)
            events.append(
                Event(
                    kind=EventKind.DAMAGE,
                    subject=self._box,
                    at=at,
                    reason=each.reason,
                    detail={
                        "lane": each.lane.value,
                        "stream": each.stream,
                        "first_seq": each.first_seq,
                        "last_seq": each.last_seq,
                        "count": each.count,
                        "reason": each.reason,
                        "file": each.file,
                    },
                )
            )
        return events

    def _count(self, lane: Lane, reason: str, count: int) -> None:
        counts = self.dropped[lane]
        counts[reason] = counts.get(reason, 0) + count
