"""What a subscriber received, held against what the simulator's ledger says had to arrive. Pure."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.core.effects import AlarmState, EventKind
from agent.outbox.records import Lane
from agent.simulate.faults import TRUE_ANYWAY
from agent.simulate.ledger import Entry, PinDriven, PinMoved, Place, ReadAnswered, decode_counter
from agent.simulate.report import Count, Report, Seen, latency_of
from agent.simulate.scenario import ExpectedAlarm, ExpectedPin, Played, is_about
from agent.uplink import completeness
from agent.uplink.decode import BatchSeen, EventSeen, PayloadFault, decode
from agent.uplink.topics import TopicFault, take_apart
from drivers.clock import Stamp

_NAMED_MOST = 20
"""Examples of each kind of fault that the report names; the counts are always whole."""
KEPT = 50_000
"""Messages remembered by default: at two batches a second some hours; an endless demo forgets its oldest
and is judged on the rest."""
_STAMP_SLACK_S = 0.01
"""Stamps of one moment taken in two places of one machine; more apart means before."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One decoded message with the moment the witness got it."""

    seen: BatchSeen | EventSeen
    at: Stamp


class Witness:
    """Takes every message under a root as it arrives; judges nothing yet."""

    def __init__(self, root: str, kept: int = KEPT) -> None:
        """`kept` bounds how many messages are remembered; stream and seq of all are."""
        self._root = root
        self.book = completeness.Ledger()
        self.arrivals: deque[Arrival] = deque(maxlen=kept)
        """Batches and events, each once, in order of arrival."""
        self.forgotten = 0
        """Messages that went for want of room."""
        self.other = 0
        """Messages on channels that are not counted (status, meta, state, alarm)."""
        self.unreadable = 0
        self.broken: deque[str] = deque(maxlen=_NAMED_MOST)
        """Why the last messages that did not keep the contract could not be read."""

    def take(self, topic: str, payload: bytes, at: Stamp) -> None:
        """Take one message. What cannot be read is counted as such, never dropped."""
        try:
            seen = decode(take_apart(self._root, topic), payload)
        except (TopicFault, PayloadFault) as fault:
            self.unreadable += 1
            self.broken.append(str(fault))
            return
        if not isinstance(seen, BatchSeen | EventSeen):
            self.other += 1
        elif self.book.hear(seen):
            self.forgotten += len(self.arrivals) == self.arrivals.maxlen
            self.arrivals.append(Arrival(seen, at))


def reconcile(
    entries: Sequence[Entry],
    witness: Witness,
    places: Mapping[str, Place],
    played: Sequence[Played] = (),
    *,
    witness_gaps: int = 0,
    forgotten: int = 0,
    due_until_s: float = math.inf,
) -> Report:
    """Return the verdict on a run.

    Args:
        entries: the simulator's ledger, oldest first.
        witness: what was received.
        places: point id to the counter it reads; other points are not counted.
        played: the steps that were played, with what they expect.
        witness_gaps: times the witness's own session was lost.
        due_until_s: monotonic time of the last answers that must have arrived: who stops reading
            leaves an answer or two on the wire.
        forgotten: entries the ledger dropped for want of room; readings older than it are passed over.
    """
    examples: list[str] = list(witness.broken)
    once = tuple(witness.arrivals)
    batches = _count(witness.book, Lane.TELEMETRY, examples)
    events = _count(witness.book, Lane.EVENT, examples)
    start_s = entries[0].at.mono_s if forgotten and entries else -math.inf
    if witness.forgotten and once:
        # What left after the oldest message still remembered can only be in a later one.
        start_s = max(start_s, once[0].at.mono_s)
    readings, wrong, latency = _readings(entries, once, places, (start_s, due_until_s), examples)
    alarms, outputs, moves_ms = _expected(entries, once, played)
    examples += [
        f"not seen: {each.step}: {each.what}" for each in (*alarms, *outputs) if not each.is_seen
    ]
    return Report(
        readings=readings,
        wrong_readings=wrong,
        batches=batches,
        events=events,
        alarms=tuple(alarms),
        alarms_raised=sum(1 for each in once if _raises(each)),
        outputs=tuple(outputs),
        outputs_switched=_switched(entries),
        latency_register_to_subscriber=latency_of(latency),
        latency_contact_to_output=latency_of(moves_ms),
        unreadable_messages=witness.unreadable,
        witness_forgotten=witness.forgotten,
        witness_gaps=witness_gaps,
        ledger_forgotten=forgotten,
        examples=tuple(examples),
    )


def _count(book: completeness.Ledger, lane: Lane, examples: list[str]) -> Count:
    """Return how the messages of a lane fared by stream and seq.

    What the box itself declared lost, and what is still pending when the run is over, is lost too.
    """
    proofs = [proof for proof in book.proofs() if proof.lane == lane]
    spans = [
        (proof.stream, span)
        for proof in proofs
        for span in (*proof.missing, *proof.declared, *proof.pending)
    ]
    examples += [
        f"{lane} missing: {stream}/{span.first}-{span.last}" for stream, span in spans[:_NAMED_MOST]
    ]
    return Count(
        delivered=sum(proof.heard for proof in proofs),
        lost=sum(len(span) for _, span in spans),
        duplicated=sum(proof.doubles for proof in proofs),
    )


def _readings(
    entries: Sequence[Entry],
    arrivals: Sequence[Arrival],
    places: Mapping[str, Place],
    judged_s: tuple[float, float],
    examples: list[str],
) -> tuple[Count, int, list[float]]:
    """`judged_s`: monotonic times between which an answer must have arrived."""
    start_s, due_until_s = judged_s
    answered: dict[tuple[Place, int], ReadAnswered] = {}
    watched = frozenset(places.values())
    for entry in entries:
        if isinstance(entry, ReadAnswered) and entry.place in watched:
            answered[entry.place, entry.value] = entry
    received: Counter[tuple[Place, int]] = Counter()
    latency_ms: list[float] = []
    wrong = 0
    for arrival in arrivals:
        if not isinstance(arrival.seen, BatchSeen):
            continue
        for reading in arrival.seen.batch.readings:
            place = places.get(reading.point)
            if place is None or not reading.is_known:
                continue
            key = (place, _as_int(reading.value))
            found = answered.get(key)
            if found is None and reading.at.mono_s < start_s + _STAMP_SLACK_S:
                continue  # its entry is forgotten
            if found is None or (found.fault and found.fault not in TRUE_ANYWAY):
                wrong += 1
                _name(examples, f"wrong: {reading.point} = {reading.value!r} {_said(key[1])}")
                continue
            received[key] += 1
            if not arrival.seen.is_replay:
                latency_ms.append(1000 * (arrival.at.mono_s - found.at.mono_s))
    lost = [
        key
        for key, entry in answered.items()
        if not entry.fault and start_s <= entry.at.mono_s <= due_until_s and key not in received
    ]
    for place, value in lost[:_NAMED_MOST]:
        _name(examples, f"lost: {place.bus}/{place.unit}/{place.address} = {value} {_said(value)}")
    count = Count(
        delivered=len(received),
        lost=len(lost),
        duplicated=sum(received.values()) - len(received),
    )
    return count, wrong, latency_ms


def _as_int(value: object) -> int:
    """Return a counter value as the ledger has it; -1, which it never has, for what is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return -1
    return int(value) if math.isfinite(value) and value == int(value) else -1


def _said(value: int) -> str:
    unit, address, count = decode_counter(value) if value >= 0 else (0, 0, 0)
    return f"(unit {unit}, address ..{address}, count {count})"


def _expected(
    entries: Sequence[Entry], events: Sequence[Arrival], played: Sequence[Played]
) -> tuple[list[Seen], list[Seen], list[float]]:
    alarms: list[Seen] = []
    outputs: list[Seen] = []
    moves_ms: list[float] = []
    for each in played:
        start_s = each.at.mono_s
        for expect in each.step.expects:
            if isinstance(expect, ExpectedAlarm):
                alarms.append(_alarm(each, expect, events))
                continue
            seen = _pin(each, expect, entries)
            outputs.append(seen)
            driven_s = _driven(entries, start_s)
            if seen.after_ms and driven_s is not None:
                moves_ms.append(seen.after_ms - 1000 * (driven_s - start_s))
    return alarms, outputs, moves_ms


def _alarm(played: Played, expect: ExpectedAlarm, events: Sequence[Arrival]) -> Seen:
    start_s = played.at.mono_s
    states = "/".join(sorted(expect.to_states))
    for each in events:
        if not isinstance(each.seen, EventSeen):
            continue
        event = each.seen.record.event
        after_s = event.at.mono_s - start_s
        if (
            event.kind is EventKind.ALARM
            and event.to_state in expect.to_states
            and is_about(expect.about, event.rule, event.point)
            and -_STAMP_SLACK_S <= after_s <= expect.within_s
        ):
            return Seen(
                step=played.step.name,
                what=f"{expect.about} -> {states}",
                is_seen=True,
                after_ms=round(1000 * max(0.0, after_s), 3),
            )
    return Seen(
        step=played.step.name, what=f"{expect.about} -> {states}", is_seen=False, after_ms=None
    )


def _pin(played: Played, expect: ExpectedPin, entries: Sequence[Entry]) -> Seen:
    """Look for a level: there already when the step began (0 ms), or reached in time."""
    what = f"pin {expect.pin} {'high' if expect.high else 'low'}"
    start_s = played.at.mono_s
    level: bool | None = None
    for entry in entries:
        if not isinstance(entry, PinMoved) or entry.pin != expect.pin:
            continue
        after_s = entry.at.mono_s - start_s
        if after_s < 0:
            level = entry.high
        elif level is expect.high:
            break
        elif entry.high is expect.high and after_s <= expect.within_s:
            return Seen(
                step=played.step.name, what=what, is_seen=True, after_ms=round(1000 * after_s, 3)
            )
    is_there = level is expect.high
    return Seen(
        step=played.step.name, what=what, is_seen=is_there, after_ms=0.0 if is_there else None
    )


def _driven(entries: Sequence[Entry], start_s: float) -> float | None:
    """Return when the step's contact was driven, None if the step drove none."""
    for entry in entries:
        if isinstance(entry, PinDriven) and 0 <= entry.at.mono_s - start_s <= _STAMP_SLACK_S:
            return entry.at.mono_s
    return None


def _raises(arrival: Arrival) -> bool:
    if not isinstance(arrival.seen, EventSeen):
        return False
    event = arrival.seen.record.event
    return event.kind is EventKind.ALARM and event.to_state == AlarmState.ACTIVE_UNACKED


def _switched(entries: Iterable[Entry]) -> int:
    """Count moves of output pins; the first level of each is a start, not a move."""
    levels: dict[int, bool] = {}
    moves = 0
    for entry in entries:
        if isinstance(entry, PinMoved):
            moves += entry.pin in levels and levels[entry.pin] is not entry.high
            levels[entry.pin] = entry.high
    return moves


def _name(examples: list[str], text: str) -> None:
    if len(examples) < 5 * _NAMED_MOST:
        examples.append(text)
