"""Which answers units on a serial line may still owe, and what to ask so that none is misunderstood.

RTU has no transaction ids: an answer that comes later than time-out and settling looks like that to
the next question of the same unit, function and length. But a unit answers its questions in turn. So
after a silence it is first asked for less: that answer has another length, and once it is there
nothing older can come any more. Pure: it is told the time.
"""

from __future__ import annotations

from dataclasses import replace

from drivers.modbus.plan import Request
from drivers.modbus.registers import BIT_AREAS
from drivers.modbus.spec import Area

FORGET_S = 60.0
"""An answer later than this is not reckoned with."""
IN_VAIN = 3
"""So many soundings without an answer, then the question itself: a unit may answer nothing else."""


def data_bytes(request: Request) -> int:
    """Return how many bytes of data the answer to a read has."""
    is_bits = request.area in BIT_AREAS
    return (request.count + 7) // 8 if is_bits else 2 * request.count


class Owed:
    """What was asked on one line and not answered."""

    def __init__(self) -> None:
        self._asked_s: dict[int, dict[tuple[Area, int], float]] = {}
        """By unit: area and data bytes, and when that was asked last."""
        self._in_vain: dict[int, int] = {}

    def unanswered(self, unit: int, request: Request, now_s: float) -> None:
        """Note that a read met silence: its answer may come yet."""
        self._asked_s.setdefault(unit, {})[_shape(request)] = now_s

    def answered(self, unit: int, request: Request) -> None:
        """Note an answer: if it can only be the answer to this, nothing older comes after it."""
        if _shape(request) not in self._asked_s.get(unit, ()):
            self._asked_s.pop(unit, None)
            self._in_vain.pop(unit, None)

    def sounding(self, unit: int, request: Request, now_s: float) -> Request | None:
        """Return what to ask before a read, so that its answer cannot be mistaken; None for nothing.

        Part of the read itself, so that it is as legal. There is none for a single register or up to
        eight bits: they cannot be had shorter.
        """
        owed = self._asked_s.get(unit)
        if not owed:
            return None
        for shape in [each for each, asked_s in owed.items() if now_s - asked_s > FORGET_S]:
            del owed[shape]
        if _shape(request) not in owed:
            return None
        if self._in_vain.get(unit, 0) >= IN_VAIN:
            self._in_vain[unit] = 0
            return None
        for count in range(request.count - 1, 0, -1):
            shorter = replace(request, count=count, quantities=())
            if _shape(shorter) not in owed:
                self._in_vain[unit] = self._in_vain.get(unit, 0) + 1
                return shorter
        return None


def _shape(request: Request) -> tuple[Area, int]:
    return request.area, data_bytes(request)
