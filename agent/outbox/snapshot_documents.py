"""The alarm snapshot as TinyDB tables: position, alarms, inhibits, drill, outputs, mode, delays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.effects import AlarmState
from agent.core.memory import (
    AlarmMemory,
    AlarmSnapshot,
    DelayMemory,
    DrillMemory,
    InhibitMemory,
    LogPosition,
    Orders,
)
from agent.core.standing import Left
from drivers.clock import ClockState, Stamp

Rows = Sequence[Mapping[str, Any]]


def snapshot_tables(snapshot: AlarmSnapshot) -> dict[str, dict[str, Any]]:
    """Return an alarm snapshot as tables; `position` and `drill` hold one document at most."""
    position, drill = snapshot.position, snapshot.orders.drill
    return {
        "position": _numbered(
            [] if position is None else [{"stream": position.stream, "seq": position.seq}]
        ),
        "alarms": _numbered(
            [
                {
                    "rule": each.rule,
                    "state": each.state.value,
                    "since_wall_ms": each.since_wall_ms,
                    "actor": each.actor,
                    "is_silenced": each.is_silenced,
                    "is_test": each.is_test,
                    "is_first_out": each.is_first_out,
                }
                for each in snapshot.memories
            ]
        ),
        "inhibits": _numbered(
            [
                {"rule": each.rule, "actor": each.actor, "reason": each.reason, **_left(each.left)}
                for each in snapshot.orders.inhibits.values()
            ]
        ),
        "drill": _numbered(
            []
            if drill is None
            else [
                {
                    "scope": list(drill.scope),
                    "with_linkage": drill.with_linkage,
                    "actor": drill.actor,
                    "reason": drill.reason,
                    **_left(drill.left),
                }
            ]
        ),
        "outputs": _numbered(
            [{"cut": each} for each in sorted(snapshot.orders.cut)]
            + [{"running": each} for each in sorted(snapshot.orders.running)]
        ),
        "mode": _numbered([{"is_manual": True}] if snapshot.orders.is_manual else []),
        "delays": _numbered(
            [{"rule": each.rule, "left_s": each.left_s} for each in snapshot.delays]
        ),
    }


def snapshot_record(
    position: Mapping[str, Any] | None,
    alarms: Rows,
    inhibits: Rows = (),
    drill: Mapping[str, Any] | None = None,
    delays: Rows = (),
    outputs: Rows = (),
    mode: Mapping[str, Any] | None = None,
) -> AlarmSnapshot:
    """Return the snapshot that documents hold; what an older version did not write is at rest.

    Raises:
        ValueError: they hold none.
    """
    try:
        return AlarmSnapshot(
            memories=tuple(
                AlarmMemory(
                    rule=each["rule"],
                    state=_remembered_state(each["state"]),
                    since_wall_ms=each["since_wall_ms"],
                    actor=each["actor"],
                    is_silenced=each["is_silenced"],
                    is_test=each.get("is_test", False),
                    is_first_out=each.get("is_first_out", False),
                )
                for each in alarms
            ),
            position=None
            if position is None
            else LogPosition(stream=position["stream"], seq=position["seq"]),
            orders=Orders(
                inhibits={
                    each["rule"]: InhibitMemory(
                        rule=each["rule"],
                        left=_left_of(each),
                        actor=each["actor"],
                        reason=each["reason"],
                    )
                    for each in inhibits
                },
                drill=None
                if drill is None
                else DrillMemory(
                    scope=tuple(drill["scope"]),
                    left=_left_of(drill),
                    with_linkage=drill["with_linkage"],
                    actor=drill["actor"],
                    reason=drill["reason"],
                ),
                cut=frozenset(each["cut"] for each in outputs if "cut" in each),
                running=frozenset(each["running"] for each in outputs if "running" in each),
                is_manual=mode is not None and mode["is_manual"] is True,
            ),
            delays=tuple(DelayMemory(rule=each["rule"], left_s=each["left_s"]) for each in delays),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no snapshot: {error!r}") from error


def _remembered_state(word: object) -> AlarmState:
    """Return the state; one this version does not know (after a downgrade) is an alarm to look at."""
    try:
        return AlarmState(str(word))
    except ValueError:
        return AlarmState.ACTIVE_UNACKED


def _numbered(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {str(number): each for number, each in enumerate(documents, start=1)}


def _left(left: Left) -> dict[str, Any]:
    return {"left_s": left.seconds, "wall_ms": left.at.wall_ms, "clock": left.at.clock.value}


def _left_of(document: Mapping[str, Any]) -> Left:
    # The monotonic time of an earlier run means nothing now.
    at = Stamp(0.0, document["wall_ms"], ClockState(document["clock"]))
    return Left(seconds=document["left_s"], at=at)
