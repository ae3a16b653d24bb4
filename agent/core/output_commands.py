"""What people ask of outputs: restore, test, and the mode of linkage. Each wish is done or refused with a code."""

from __future__ import annotations

from math import isfinite

from agent.core.board import Board
from agent.core.cause import Cause
from agent.core.effects import Command, Event, EventKind, Outcome
from agent.core.gathering import Gathering
from agent.core.memory import AUTO, MANUAL

ON_THE_SPOT = frozenset({"cli", "page", "key"})
"""Where a person stands before the equipment. Never a cloud (design section 5)."""


def restore(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Give back what was cut, once nothing asks for the cut any more."""
    output = board.linkages.outputs.get(command.target)
    if output is None:
        return _refused("unknown_output", f"there is no output '{command.target}'")
    if command.origin not in ON_THE_SPOT:
        return _refused("not_on_spot", "only a person on the spot gives power back")
    if output.is_demanded():
        return _refused(
            "latched", f"{command.target}: an alarm still asks for it; reset that first"
        )
    if output.is_held:
        return _refused(
            "latched", f"{command.target}: what was before the start is still being read"
        )
    if not output.is_cut:
        return _refused("not_active", f"{command.target} does not wait for a person")
    board.linkages.restore(output, cause, out)
    return _done(f"{command.target} restored")


def test_output(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Make an output active for a short time, or end its test."""
    output = board.linkages.outputs.get(command.target)
    if output is None:
        return _refused("unknown_output", f"there is no output '{command.target}'")
    if command.is_on is None:
        return _refused("bad_argument", "say whether the test starts or stops")
    if not output.spec.test_max_s:
        return _refused(
            "not_allowed", f"{command.target} is not tested (test_max_s in its settings)"
        )
    if not command.is_on:
        if output.test_until_s <= cause.at_s:
            return _refused("not_active", f"{command.target} is not being tested")
        board.linkages.test(output, 0.0, cause, out)
        return _done(f"test of {command.target} ended")
    seconds = command.duration_s
    if seconds is None:
        return _refused("no_end", "a test needs an end: say for how long")
    if not isfinite(seconds) or seconds <= 0:
        return _refused("bad_argument", "a time is a number of seconds above 0")
    if seconds > output.spec.test_max_s:
        return _refused("too_long", f"a test of it lasts {output.spec.test_max_s:g} s at most")
    if output.forbids() is not False:
        return _refused(
            "interlocked", f"{command.target}: its interlock forbids it, or is not known"
        )
    board.linkages.test(output, seconds, cause, out)
    return _done(f"{command.target} tested for {seconds:g} s")


def set_mode(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Switch linkage to equipment to auto or manual."""
    if command.mode not in (AUTO, MANUAL):
        return _refused("bad_argument", "the mode is auto or manual")
    linkages = board.linkages
    is_manual = command.mode == MANUAL
    if linkages.is_manual is is_manual and linkages.is_mode_known:
        return _done(f"linkage is {command.mode} already")
    out.record(
        Event(
            kind=EventKind.MODE,
            subject=board.box,
            at=cause.at,
            # What it was before the start is not known yet: it is told all the same, and newer.
            from_state=_mode_word(linkages.is_manual) if linkages.is_mode_known else "",
            to_state=command.mode,
            actor=command.actor,
            reason=command.reason,
        )
    )
    linkages.set_mode(is_manual, cause, out)
    return _done(f"linkage is {command.mode}")


def _mode_word(is_manual: bool) -> str:
    return MANUAL if is_manual else AUTO


def _done(message: str) -> Outcome:
    return Outcome(ok=True, code="done", message=message)


def _refused(code: str, message: str) -> Outcome:
    return Outcome(ok=False, code=code, message=message)
