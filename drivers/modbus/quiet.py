"""When a line may be spoken on: gaps between frames, and the silence kept after silence. Told the time."""

from __future__ import annotations

from drivers.modbus.frames import SHORTEST_RTU
from drivers.modbus.spec import SerialPort, TcpPort
from drivers.modbus.wiretime import gap_s


def frame_gap_s(port: SerialPort | TcpPort) -> float:
    """Return the silence between two frames; none on TCP."""
    return 0.0 if isinstance(port, TcpPort) else gap_s(port)


class Quiet:
    """The silences of one line."""

    def __init__(self, *, gap_s: float, settle_s: float, is_rtu: bool) -> None:
        """`gap_s` between frames, `settle_s` after a time-out or a cancel."""
        self._gap_s = gap_s
        self._settle_s = settle_s
        self._is_rtu = is_rtu
        self._unasked_since_s: float | None = None
        self.gap_over_s = 0.0
        """From when on something may be written."""
        self._settled_s = 0.0

    @property
    def over_s(self) -> float:
        """From when on something may be read: a gap or a settling ends then."""
        return max(self.gap_over_s, self._settled_s)

    def asking(self) -> None:
        """Note that a question goes out: what comes from now on may be its answer."""
        self._unasked_since_s = None

    def asked(self, now_s: float, *, is_answered: bool) -> None:
        """Note that a transaction is over."""
        self.gap_over_s = now_s + self._gap_s
        if not is_answered:
            self._settled_s = now_s + self._settle_s

    def hear_unasked(self, length: int, now_s: float) -> None:
        """Keep silent anew: on RTU, what comes while nothing is asked may be followed by more.

        Less than the shortest frame is no answer: drivers of a line add such bytes when they let go
        of it, and a frame's gap is enough. A babbling line holds a read up for two settlings at most.
        """
        if not self._is_rtu:
            return
        if self._unasked_since_s is None:
            self._unasked_since_s = now_s
        from_s = min(now_s, self._unasked_since_s + self._settle_s)
        self.gap_over_s = max(self.gap_over_s, from_s + self._gap_s)
        if length >= SHORTEST_RTU:
            self._settled_s = max(self._settled_s, from_s + self._settle_s)
