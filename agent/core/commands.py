"""What people ask of alarms: one entry for every origin, each wish with an outcome and an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent.core.alarm import Alarm
from agent.core.board import RULE_FAILED, Board
from agent.core.cause import Cause
from agent.core.effects import AlarmState, Command, CommandName, Event, EventKind, Outcome
from agent.core.gathering import Gathering
from agent.core.output_commands import restore, set_mode, test_output
from agent.core.spec import AlarmClass
from agent.core.standing_commands import drill, inhibit, uninhibit
from agent.core.transitions import Given
from drivers.clock import Stamp

CLOSING_CODES = frozenset({"", "real", "false", "test", "maintenance"})
"""How a reset says what the alarm was; empty where a key can say nothing (design section 5)."""

DONE = "done"
NOT_ACTIVE = "not_active"
_VERBS = {
    CommandName.ACK: "acknowledged",
    CommandName.SILENCE: "silenced",
    CommandName.RESET: "reset",
}
_WHY = {
    "unknown_rule": "there is no such rule",
    NOT_ACTIVE: "there is nothing to do it to",
    "condition_holds": "the condition still holds, or its delay is running",
    "condition_unknown": "the condition cannot be told: a point it looks at gives no good value",
    "unacknowledged": "nobody has acknowledged it",
    RULE_FAILED: "the rule cannot be evaluated",
}


def obey(board: Board, command: Command, now: Stamp, box: str, out: Gathering) -> Outcome:
    """Carry out `command`, or refuse it with a code; either way one event says so."""
    cause = Cause(
        at=now,
        at_s=now.mono_s,
        actor=command.actor,
        code=command.code,
        reason=command.reason,
        command=command.name.value,
    )
    alarm = board.alarms.get(command.target)
    is_test = alarm is not None and alarm.is_test
    outcome = _fault_of(command) or HANDLERS[command.name](board, command, cause, out)
    out.record(
        Event(
            kind=EventKind.COMMAND,
            subject=command.target
            if alarm is not None or command.target in board.linkages.outputs
            else box,
            at=now,
            alarm_class=AlarmClass.TECHNICAL if alarm is None else alarm.spec.alarm_class,
            rule="" if command.target in board.linkages.outputs else command.target,
            to_state=command.name.value,
            actor=command.actor,
            code=outcome.code,
            reason=command.reason,
            zone="" if alarm is None else alarm.zone,
            is_test=is_test,
            detail={
                "id": command.id,
                "origin": command.origin,
                "identity": command.identity,
            },
        )
    )
    return outcome


def _fault_of(command: Command) -> Outcome | None:
    """Return the refusal of a command that makes no sense whatever the alarms are."""
    fault = ""
    if not command.actor:
        fault = "a command needs an actor"
    elif command.name is CommandName.RESET and command.code not in CLOSING_CODES:
        fault = "the closing code is one of real, false, test, maintenance"
    elif command.name is CommandName.RESET and command.code == "false" and not command.reason:
        fault = "a false alarm needs its cause as the reason"
    return Outcome(ok=False, code="bad_argument", message=fault) if fault else None


def _answer_alarms(board: Board, command: Command, cause: Cause, out: Gathering) -> Outcome:
    """Acknowledge, silence or reset one alarm or all that it can apply to."""
    if command.target and command.target not in board.alarms:
        return _refused("unknown_rule", command.target)
    if command.target:
        meant = [board.alarms[command.target]]
    else:
        meant = [alarm for alarm in board.alarms.values() if _concerns(command.name, alarm)]
    done: list[str] = []
    refused: list[tuple[str, str]] = []
    for alarm in sorted(meant, key=lambda each: each.order):
        code = board.obey(alarm, _given(command.name, alarm), cause, out)
        if code == "condition_unknown" and alarm.is_failed:
            code = RULE_FAILED
        if _pulses(board, command, alarm, code, cause, out):
            done.append(f"{alarm.spec.id}: supply of its detectors pulsed, and when quiet,")
        elif code:
            refused.append((alarm.spec.id, code))
        else:
            done.append(alarm.spec.id)
    if not done:
        rule, code = refused[0] if refused else ("", NOT_ACTIVE)
        return _refused(code, rule)
    message = f"{', '.join(done)} {_VERBS[command.name]}"
    if refused:
        message += "; refused: " + ", ".join(f"{rule} ({code})" for rule, code in refused)
    return Outcome(ok=True, code=DONE, message=message)


def _pulses(
    board: Board, command: Command, alarm: Alarm, code: str, cause: Cause, out: Gathering
) -> bool:
    """Return whether a reset that a detector's own latch refuses is begun at its supply."""
    is_refused_reset = command.name is CommandName.RESET and code == "condition_holds"
    return is_refused_reset and board.reset_lines.begin(alarm, cause, out)


def _concerns(name: CommandName, alarm: Alarm) -> bool:
    """Return whether a command to all is meant for `alarm`."""
    if name is CommandName.ACK:
        return not alarm.state.is_acked
    return alarm.state is not AlarmState.NORMAL


def _given(name: CommandName, alarm: Alarm) -> Given:
    if name is CommandName.ACK:
        return Given.ACK
    if name is CommandName.SILENCE:
        return Given.SILENCE
    return Given.RESET_UNKNOWN if alarm.truth is None else Given.RESET


def _refused(code: str, rule: str) -> Outcome:
    return Outcome(ok=False, code=code, message=f"{rule}: {_WHY[code]}" if rule else _WHY[code])


Handler = Callable[[Board, Command, Cause, Gathering], Outcome]
"""Carries out one command, or refuses it with a code and changes nothing. The event is made by `obey`."""

HANDLERS: Mapping[CommandName, Handler] = MappingProxyType(
    {
        CommandName.ACK: _answer_alarms,
        CommandName.SILENCE: _answer_alarms,
        CommandName.RESET: _answer_alarms,
        CommandName.INHIBIT: inhibit,
        CommandName.UNINHIBIT: uninhibit,
        CommandName.DRILL: drill,
        CommandName.RESTORE: restore,
        CommandName.OUTPUT: test_output,
        CommandName.MODE: set_mode,
    }
)
"""Who carries out what."""
