"""Which answers units on a serial line may still owe, and what to ask so that none is misunderstood.

RTU has no transaction ids: an answer that comes later than time-out and settling looks like that to
the next question of the same unit, function and length. But a unit answers its questions in turn. So
after a silence it is first asked for less: that answer has another length, and once it is there
nothing older can come any more. Pure: it is told the time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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


@dataclass(slots=True)
class _Open:
    """Questions of one shape that met silence: when the first of them was asked, and when the last."""

    first_s: float
    last_s: float


class Owed:
    """What was asked on one line and not answered."""

    def __init__(self) -> None:
        self._open: dict[int, dict[tuple[Area, int], _Open]] = {}
        """By unit; by area and bytes of data, all that tells one answer from another."""
        self._in_vain: dict[int, int] = {}

    def unanswered(self, unit: int, request: Request, now_s: float) -> None:
        """Note that a read met silence: its answer may come yet."""
        opened = self._open.setdefault(unit, {})
        shape = _shape(request)
        if shape in opened:
            opened[shape].last_s = now_s
        else:
            opened[shape] = _Open(now_s, now_s)

    def answered(self, unit: int, request: Request) -> None:
        """Note an answer: whatever was asked before all it may be the answer to comes no more."""
        opened = self._open.get(unit)
        if not opened:
            return
        own = opened.get(_shape(request))
        if own is None:
            del self._open[unit]
        else:
            older = [shape for shape, each in opened.items() if each.last_s < own.first_s]
            for shape in older:
                del opened[shape]
            if not older:
                return
        self._in_vain.pop(unit, None)

    def sounding(self, unit: int, request: Request, now_s: float) -> Request | None:
        """Return what to ask before a read, so that its answer cannot be mistaken; None for nothing.

        Part of the read itself, so that it is as legal. There is none for a single register or up to
        eight bits: they cannot be had shorter.
        """
        opened = self._open.get(unit)
        if not opened:
            return None
        for shape in [each for each, asked in opened.items() if now_s - asked.last_s > FORGET_S]:
            del opened[shape]
        own = opened.get(_shape(request))
        if own is None:
            return None
        if self._in_vain.get(unit, 0) >= IN_VAIN:
            self._in_vain[unit] = 0
            return None
        for count in range(request.count - 1, 0, -1):
            shorter = replace(request, count=count, quantities=())
            shape = _shape(shorter)
            # as good: one that was asked only after the last of these
            if shape not in opened or opened[shape].first_s > own.last_s:
                self._in_vain[unit] = self._in_vain.get(unit, 0) + 1
                return shorter
        return None


def _shape(request: Request) -> tuple[Area, int]:
    return request.area, data_bytes(request)
