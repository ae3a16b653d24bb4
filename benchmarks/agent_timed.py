"""The real command line on mock pins that write down when they moved.

`python -m benchmarks.agent_timed [--stalled] NOTES run ...`. Each line of NOTES is `in|out PIN LEVEL SECONDS` on the
monotonic clock, which all processes of the machine share. Inputs are moved by a thread of their own, as lgpio's
callbacks come from one. `--stalled`: the disk is a card that takes two writes a second, one sync after the other,
whoever asks.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import agent.cli.service
from agent.cli import main
from drivers.clock import SystemClock
from drivers.gpio.pins import InputPin, MockPins, OutputPin, Pins
from drivers.gpio.spec import Pull


class Notes:
    """A file that keeps lines even when the process is killed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._clock = SystemClock()

    def moved(self, word: str, pin: int, high: bool) -> None:
        """Note a move that happens now."""
        os.write(self._file, f"{word} {pin} {int(high)} {self._clock.mono_s():.6f}\n".encode())


class _Output:
    def __init__(self, claimed: OutputPin, pin: int, notes: Notes) -> None:
        self._claimed = claimed
        self._pin = pin
        self._notes = notes

    def set(self, high: bool) -> None:
        self._claimed.set(high)
        self._notes.moved("out", self._pin, high)

    def is_high(self) -> bool:
        return self._claimed.is_high()


class _Chip:
    def __init__(self, pins: Pins, notes: Notes) -> None:
        self._pins = pins
        self._notes = notes

    def claim_input(self, pin: int, pull: Pull) -> InputPin:
        return self._pins.claim_input(pin, pull)

    def claim_output(self, pin: int, high: bool) -> OutputPin:
        return _Output(self._pins.claim_output(pin, high), pin, self._notes)

    def close(self) -> None:
        self._pins.close()


class TimedPins(MockPins):
    """Mock pins with notes."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes
        self._moves: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        threading.Thread(target=self._move, name="wires", daemon=True).start()

    def open(self) -> Pins:
        """Open the chip."""
        return _Chip(super().open(), self._notes)

    def drive(self, pin: int, high: bool) -> None:
        """Have the thread move an input."""
        self._moves.put((pin, high))

    def _move(self) -> None:
        while True:
            pin, high = self._moves.get()
            self._notes.moved("in", pin, high)
            super().drive(pin, high)


_STALL_S = 0.5


def stall() -> None:
    """Let every sync of this process take its turn on a card of two writes a second."""
    card = threading.Lock()

    def slowly(sync: Callable[[int], None]) -> Callable[[int], None]:
        def late(fd: int) -> None:
            with card:
                time.sleep(_STALL_S)
            sync(fd)

        return late

    vars(os).update(fdatasync=slowly(os.fdatasync), fsync=slowly(os.fsync))


if __name__ == "__main__":
    if sys.argv[1] == "--stalled":
        del sys.argv[1]
        stall()
    notes = Notes(Path(sys.argv[1]))
    agent.cli.service.MockPins = lambda: TimedPins(notes)  # type: ignore[attr-defined,assignment]
    main(sys.argv[2:])
