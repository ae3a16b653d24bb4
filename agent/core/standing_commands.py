"""What people order for a time: inhibit, uninhibit, drill. Each wish is done or refused with a code."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

from agent.core.board import Board
from agent.core.cause import Cause
from agent.core.drills import LONGEST_S
from agent.core.effects import Command, Outcome
from agent.core.gathering import Gathering


def inhibit(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Take out one rule, or every rule that watches a point."""
    if not command.target:
        return _refused("bad_argument", "an inhibit needs a rule or a point")
    alarms = board.inhibits.meant(command.target)
    if not alarms:
        return _refused("unknown_rule", f"{command.target} is no rule, and no rule watches it")
    if not command.reason.strip():
        return _refused("no_reason", "an inhibit needs a reason")
    seconds = _checked_time(command.duration_s, board.inhibits.longest_s, "an inhibit")
    if isinstance(seconds, Outcome):
        return seconds
    free = [alarm for alarm in alarms if alarm.inhibit is None]
    if not free:
        return _refused("already_inhibited", f"{command.target} is inhibited; end that first")
    for alarm in free:
        board.inhibits.begin(alarm, seconds, replace(cause, code=""), out)
    return _done(f"{', '.join(each.spec.id for each in free)} inhibited for {seconds:g} s")


def uninhibit(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Take in again one rule, or every rule that watches a point."""
    if not command.target:
        return _refused("bad_argument", "say which rule or point")
    alarms = board.inhibits.meant(command.target)
    if not alarms:
        return _refused("unknown_rule", f"{command.target} is no rule, and no rule watches it")
    inhibited = [alarm for alarm in alarms if alarm.inhibit is not None]
    if not inhibited:
        return _refused("not_inhibited", f"{command.target} is not inhibited")
    for alarm in inhibited:
        board.inhibits.end(alarm, replace(cause, code=""), out)
    return _done(f"{', '.join(each.spec.id for each in inhibited)} no longer inhibited")


def drill(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Start a drill, or end the one that runs."""
    if command.is_on is None:
        return _refused("bad_argument", "say whether the drill starts or stops")
    if not command.is_on:
        if not board.drills.is_running:
            return _refused("no_drill", "no drill is running")
        board.drills.end(replace(cause, code=""), out)
        return _done("drill ended")
    if not command.scope:
        return _refused("bad_argument", "a drill needs the points or zones it is about")
    if unknown := board.drills.unknown(command.scope):
        return _refused("unknown_point", f"{unknown[0]} is neither a point nor a zone")
    seconds = _checked_time(command.duration_s, LONGEST_S, "a drill")
    if isinstance(seconds, Outcome):
        return seconds
    if board.drills.is_running:
        return _refused("drill_runs", "a drill is running; end it first")
    why = replace(cause, code="")
    scope = tuple(dict.fromkeys(command.scope))
    board.drills.begin(scope, seconds, why, out, with_linkage=command.with_linkage)
    return _done(f"drill in {', '.join(scope)} for {seconds:g} s")


def _checked_time(seconds: float | None, longest_s: float, what: str) -> Outcome | float:
    """Return the refusal of a time that is none or too long, else the time."""
    if seconds is None:
        return _refused("no_end", f"{what} needs an end: say for how long")
    if not isfinite(seconds) or seconds <= 0:
        return _refused("bad_argument", "a time is a number of seconds above 0")
    if seconds > longest_s:
        return _refused("too_long", f"{what} lasts {longest_s:g} s at most")
    return seconds


def _done(message: str) -> Outcome:
    return Outcome(ok=True, code="done", message=message)


def _refused(code: str, message: str) -> Outcome:
    return Outcome(ok=False, code=code, message=message)
