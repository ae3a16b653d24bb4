"""The transition table of an alarm, as data. docs/alarm-states.md shows it; a test keeps the two alike.

Rows A to F are the alarm states of ISA-18.2 (ANSI/ISA-18.2-2016, alarm state transition diagram) with
the two latched ones that reset needs; `+` is an on-delay running, `-` an off-delay running.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from types import MappingProxyType
from typing import NamedTuple

from agent.core.effects import AlarmState


class Phase(StrEnum):
    """Where the condition stands, after its delays."""

    NORMAL = "normal"
    PENDING = "pending"
    """It holds, and the on-delay runs (or is frozen by unknown, or waits for a parent fault to go)."""
    ACTIVE = "active"
    CLEARING = "clearing"
    """It held, and the off-delay runs."""


class Situation(Enum):
    """An alarm state with the phase of its condition: all there are."""

    A = (AlarmState.NORMAL, Phase.NORMAL)
    A_PENDING = (AlarmState.NORMAL, Phase.PENDING)
    B = (AlarmState.ACTIVE_UNACKED, Phase.ACTIVE)
    B_CLEARING = (AlarmState.ACTIVE_UNACKED, Phase.CLEARING)
    C = (AlarmState.ACTIVE_ACKED, Phase.ACTIVE)
    C_CLEARING = (AlarmState.ACTIVE_ACKED, Phase.CLEARING)
    D = (AlarmState.RETURNED_UNACKED, Phase.NORMAL)
    D_PENDING = (AlarmState.RETURNED_UNACKED, Phase.PENDING)
    E = (AlarmState.LATCHED_UNACKED, Phase.NORMAL)
    E_PENDING = (AlarmState.LATCHED_UNACKED, Phase.PENDING)
    F = (AlarmState.LATCHED_ACKED, Phase.NORMAL)
    F_PENDING = (AlarmState.LATCHED_ACKED, Phase.PENDING)

    def __init__(self, state: AlarmState, phase: Phase) -> None:
        self.state = state
        self.phase = phase

    @property
    def is_timed(self) -> bool:
        """Whether a delay is in progress."""
        return self.phase in (Phase.PENDING, Phase.CLEARING)

    @property
    def label(self) -> str:
        """The letter of the state; `+` for a running on-delay, `-` for a running off-delay."""
        return self.name.replace("_PENDING", "+").replace("_CLEARING", "-")


class Given(StrEnum):
    """What can happen to an alarm."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "unknown"
    DELAY_OVER = "delay over"
    DELAY_OVER_HIDDEN = "delay over, hidden"
    """Suppressed by a parent fault, or inhibited by a person."""
    RELEASED = "suppression ends"
    RELEASED_UNKNOWN = "suppression ends, unknown"
    ACK = "ack"
    SILENCE = "silence"
    RESET = "reset"
    RESET_UNKNOWN = "reset, unknown"
    REALARM = "re-alarm"
    """It was acknowledged and still stands: it has to be seen anew."""
    DRILL_ENDS = "drill ends"
    """Only for what was raised in the drill."""
    BOOT = "boot"


class Ending(StrEnum):
    """What it takes to end an alarm whose condition is gone."""

    LATCHED = "latched"
    """A person's reset."""
    ACKED = "needs ack"
    """A person's acknowledgement."""
    ALONE = "ends alone"


class Timer(StrEnum):
    """What happens to the delay."""

    KEEP = ""
    START = "start"
    """From its full length: the on-delay into `+`, the off-delay into `-`."""
    RUN = "run on"
    """With what was left of it when it froze; nothing if it runs already."""
    FREEZE = "freeze"
    WHOLE = "whole again, frozen"
    """Its full length is left of it; unknown does not let it run."""
    STOP = "stop"
    SPENT = "over at once"


class Row(NamedTuple):
    """In `situation`, when `given` (and the alarm is of that `ending`, if one is named): go to `to`."""

    situation: Situation
    given: Given
    to: Situation
    timer: Timer = Timer.KEEP
    refusal: str = ""
    """A command refused with this code; nothing changes."""
    ending: Ending | None = None


_A, _Ap, _B, _Bc, _C, _Cc, _D, _Dp, _E, _Ep, _F, _Fp = Situation
(
    _MET, _NOT, _UNK, _OVER, _HIDDEN, _RELEASED, _RELEASED_UNK, _ACK, _SILENCE, _RESET, _RESET_UNK,
    _REALARM, _DRILL_ENDS, _BOOT,
) = Given  # fmt: skip
_KEEP, _START, _RUN, _FREEZE, _WHOLE, _STOP, _SPENT = Timer
_LATCHED, _ACKED, _ALONE = Ending

_NOT_ACTIVE = "not_active"
_HOLDS = "condition_holds"
_UNKNOWN = "condition_unknown"
_UNACKED = "unacknowledged"

TABLE: tuple[Row, ...] = (
    # A, normal
    Row(_A, _MET, _Ap, _START),
    Row(_A, _NOT, _A),
    Row(_A, _UNK, _A),
    Row(_A, _OVER, _A),
    Row(_A, _HIDDEN, _A),
    Row(_A, _RELEASED, _A),
    Row(_A, _RELEASED_UNK, _A),
    Row(_A, _ACK, _A, refusal=_NOT_ACTIVE),
    Row(_A, _SILENCE, _A, refusal=_NOT_ACTIVE),
    Row(_A, _RESET, _A, refusal=_NOT_ACTIVE),
    Row(_A, _RESET_UNK, _A, refusal=_NOT_ACTIVE),
    Row(_A, _REALARM, _A),
    Row(_A, _DRILL_ENDS, _A),
    Row(_A, _BOOT, _A),
    # A+, normal, on-delay running
    Row(_Ap, _MET, _Ap, _RUN),
    Row(_Ap, _NOT, _A, _STOP),
    Row(_Ap, _UNK, _Ap, _FREEZE),
    Row(_Ap, _OVER, _B, _STOP),
    Row(_Ap, _HIDDEN, _Ap, _FREEZE),
    Row(_Ap, _RELEASED, _Ap, _START),
    Row(_Ap, _RELEASED_UNK, _Ap, _WHOLE),
    Row(_Ap, _ACK, _Ap, refusal=_NOT_ACTIVE),
    Row(_Ap, _SILENCE, _Ap, refusal=_NOT_ACTIVE),
    Row(_Ap, _RESET, _Ap, refusal=_NOT_ACTIVE),
    Row(_Ap, _RESET_UNK, _Ap, refusal=_NOT_ACTIVE),
    Row(_Ap, _REALARM, _Ap),
    Row(_Ap, _DRILL_ENDS, _Ap),
    Row(_Ap, _BOOT, _A, _STOP),
    # B, active, nobody has acknowledged
    Row(_B, _MET, _B),
    Row(_B, _NOT, _Bc, _START),
    Row(_B, _UNK, _B),
    Row(_B, _OVER, _B),
    Row(_B, _HIDDEN, _B),
    Row(_B, _RELEASED, _B),
    Row(_B, _RELEASED_UNK, _B),
    Row(_B, _ACK, _C),
    Row(_B, _SILENCE, _B),
    Row(_B, _RESET, _B, refusal=_HOLDS),
    Row(_B, _RESET_UNK, _B, refusal=_UNKNOWN),
    Row(_B, _REALARM, _B),
    Row(_B, _DRILL_ENDS, _Ap, _SPENT),
    Row(_B, _BOOT, _B),
    # B-, as B, off-delay running
    Row(_Bc, _MET, _B, _STOP),
    Row(_Bc, _NOT, _Bc),
    Row(_Bc, _UNK, _B, _STOP),
    Row(_Bc, _OVER, _E, _STOP, ending=_LATCHED),
    Row(_Bc, _OVER, _D, _STOP, ending=_ACKED),
    Row(_Bc, _OVER, _A, _STOP, ending=_ALONE),
    Row(_Bc, _HIDDEN, _E, _STOP, ending=_LATCHED),
    Row(_Bc, _HIDDEN, _D, _STOP, ending=_ACKED),
    Row(_Bc, _HIDDEN, _A, _STOP, ending=_ALONE),
    Row(_Bc, _RELEASED, _Bc),
    Row(_Bc, _RELEASED_UNK, _Bc),
    Row(_Bc, _ACK, _Cc),
    Row(_Bc, _SILENCE, _Bc),
    Row(_Bc, _RESET, _Bc, refusal=_HOLDS),
    Row(_Bc, _RESET_UNK, _Bc, refusal=_UNKNOWN),
    Row(_Bc, _REALARM, _Bc),
    Row(_Bc, _DRILL_ENDS, _A, _STOP),
    Row(_Bc, _BOOT, _B, _STOP),
    # C, active, acknowledged
    Row(_C, _MET, _C),
    Row(_C, _NOT, _Cc, _START),
    Row(_C, _UNK, _C),
    Row(_C, _OVER, _C),
    Row(_C, _HIDDEN, _C),
    Row(_C, _RELEASED, _C),
    Row(_C, _RELEASED_UNK, _C),
    Row(_C, _ACK, _C),
    Row(_C, _SILENCE, _C),
    Row(_C, _RESET, _C, refusal=_HOLDS),
    Row(_C, _RESET_UNK, _C, refusal=_UNKNOWN),
    Row(_C, _REALARM, _B),
    Row(_C, _DRILL_ENDS, _Ap, _SPENT),
    Row(_C, _BOOT, _C),
    # C-, as C, off-delay running
    Row(_Cc, _MET, _C, _STOP),
    Row(_Cc, _NOT, _Cc),
    Row(_Cc, _UNK, _C, _STOP),
    Row(_Cc, _OVER, _F, _STOP, ending=_LATCHED),
    Row(_Cc, _OVER, _A, _STOP, ending=_ACKED),
    Row(_Cc, _OVER, _A, _STOP, ending=_ALONE),
    Row(_Cc, _HIDDEN, _F, _STOP, ending=_LATCHED),
    Row(_Cc, _HIDDEN, _A, _STOP, ending=_ACKED),
    Row(_Cc, _HIDDEN, _A, _STOP, ending=_ALONE),
    Row(_Cc, _RELEASED, _Cc),
    Row(_Cc, _RELEASED_UNK, _Cc),
    Row(_Cc, _ACK, _Cc),
    Row(_Cc, _SILENCE, _Cc),
    Row(_Cc, _RESET, _Cc, refusal=_HOLDS),
    Row(_Cc, _RESET_UNK, _Cc, refusal=_UNKNOWN),
    Row(_Cc, _REALARM, _Cc),
    Row(_Cc, _DRILL_ENDS, _A, _STOP),
    Row(_Cc, _BOOT, _C, _STOP),
    # D, returned to normal, nobody has acknowledged
    Row(_D, _MET, _Dp, _START),
    Row(_D, _NOT, _D),
    Row(_D, _UNK, _D),
    Row(_D, _OVER, _D),
    Row(_D, _HIDDEN, _D),
    Row(_D, _RELEASED, _D),
    Row(_D, _RELEASED_UNK, _D),
    Row(_D, _ACK, _A),
    Row(_D, _SILENCE, _D),
    Row(_D, _RESET, _D, refusal=_UNACKED),
    Row(_D, _RESET_UNK, _D, refusal=_UNACKED),
    Row(_D, _REALARM, _D),
    Row(_D, _DRILL_ENDS, _A),
    Row(_D, _BOOT, _D),
    # D+, as D, on-delay running
    Row(_Dp, _MET, _Dp, _RUN),
    Row(_Dp, _NOT, _D, _STOP),
    Row(_Dp, _UNK, _Dp, _FREEZE),
    Row(_Dp, _OVER, _B, _STOP),
    Row(_Dp, _HIDDEN, _Dp, _FREEZE),
    Row(_Dp, _RELEASED, _Dp, _START),
    Row(_Dp, _RELEASED_UNK, _Dp, _WHOLE),
    Row(_Dp, _ACK, _Ap),
    Row(_Dp, _SILENCE, _Dp),
    Row(_Dp, _RESET, _Dp, refusal=_HOLDS),
    Row(_Dp, _RESET_UNK, _Dp, refusal=_UNACKED),
    Row(_Dp, _REALARM, _Dp),
    Row(_Dp, _DRILL_ENDS, _Ap),
    Row(_Dp, _BOOT, _D, _STOP),
    # E, latched, nobody has acknowledged
    Row(_E, _MET, _Ep, _START),
    Row(_E, _NOT, _E),
    Row(_E, _UNK, _E),
    Row(_E, _OVER, _E),
    Row(_E, _HIDDEN, _E),
    Row(_E, _RELEASED, _E),
    Row(_E, _RELEASED_UNK, _E),
    Row(_E, _ACK, _F),
    Row(_E, _SILENCE, _E),
    Row(_E, _RESET, _E, refusal=_UNACKED),
    Row(_E, _RESET_UNK, _E, refusal=_UNKNOWN),
    Row(_E, _REALARM, _E),
    Row(_E, _DRILL_ENDS, _A),
    Row(_E, _BOOT, _E),
    # E+, as E, on-delay running
    Row(_Ep, _MET, _Ep, _RUN),
    Row(_Ep, _NOT, _E, _STOP),
    Row(_Ep, _UNK, _Ep, _FREEZE),
    Row(_Ep, _OVER, _B, _STOP),
    Row(_Ep, _HIDDEN, _Ep, _FREEZE),
    Row(_Ep, _RELEASED, _Ep, _START),
    Row(_Ep, _RELEASED_UNK, _Ep, _WHOLE),
    Row(_Ep, _ACK, _Fp),
    Row(_Ep, _SILENCE, _Ep),
    Row(_Ep, _RESET, _Ep, refusal=_HOLDS),
    Row(_Ep, _RESET_UNK, _Ep, refusal=_UNKNOWN),
    Row(_Ep, _REALARM, _Ep),
    Row(_Ep, _DRILL_ENDS, _Ap),
    Row(_Ep, _BOOT, _E, _STOP),
    # F, latched, acknowledged
    Row(_F, _MET, _Fp, _START),
    Row(_F, _NOT, _F),
    Row(_F, _UNK, _F),
    Row(_F, _OVER, _F),
    Row(_F, _HIDDEN, _F),
    Row(_F, _RELEASED, _F),
    Row(_F, _RELEASED_UNK, _F),
    Row(_F, _ACK, _F),
    Row(_F, _SILENCE, _F),
    Row(_F, _RESET, _A),
    Row(_F, _RESET_UNK, _F, refusal=_UNKNOWN),
    Row(_F, _REALARM, _F),
    Row(_F, _DRILL_ENDS, _A),
    Row(_F, _BOOT, _F),
    # F+, as F, on-delay running
    Row(_Fp, _MET, _Fp, _RUN),
    Row(_Fp, _NOT, _F, _STOP),
    Row(_Fp, _UNK, _Fp, _FREEZE),
    Row(_Fp, _OVER, _B, _STOP),
    Row(_Fp, _HIDDEN, _Fp, _FREEZE),
    Row(_Fp, _RELEASED, _Fp, _START),
    Row(_Fp, _RELEASED_UNK, _Fp, _WHOLE),
    Row(_Fp, _ACK, _Fp),
    Row(_Fp, _SILENCE, _Fp),
    Row(_Fp, _RESET, _Fp, refusal=_HOLDS),
    Row(_Fp, _RESET_UNK, _Fp, refusal=_UNKNOWN),
    Row(_Fp, _REALARM, _Fp),
    Row(_Fp, _DRILL_ENDS, _Ap),
    Row(_Fp, _BOOT, _F, _STOP),
)

_BY_KEY = MappingProxyType(
    {
        (row.situation, row.given, ending): row
        for row in TABLE
        for ending in (Ending if row.ending is None else (row.ending,))
    }
)

AFTER_BOOT = MappingProxyType(
    {row.situation.state: row.to for row in TABLE if row.given is Given.BOOT}
)
"""The situation a remembered state comes back to: delays in progress are not remembered."""


def row_for(situation: Situation, given: Given, ending: Ending) -> Row:
    """Return the one row that applies."""
    return _BY_KEY[situation, given, ending]
