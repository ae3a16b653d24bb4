"""What is wrong with a site file, for the person who has to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The way to a place in the file: `("buses", 0, "port")`."""


def written(path: KeyPath) -> str:
    """Return a path as people write it: `buses[0].port`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ConfigFault:
    """One thing to mend (or, as a warning, to think about)."""

    file: str
    line: int
    """From 1; 0 where there is no line (an option, a file that cannot be read)."""
    column: int
    """From 1, in characters; 0 where there is none."""
    path: str
    """As `buses[0].port`; empty for the file as a whole."""
    message: str
    """What is wrong and what would be right; never a secret."""

    def __str__(self) -> str:
        """Return `file:line:column: path: message`."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ConfigError(Exception):
    """The configuration cannot be used; `faults` holds every reason found, in the order of the file."""

    def __init__(self, faults: Iterable[ConfigFault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, else what is known, else nothing."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    if not words:
        return ""
    shown = ", ".join(words[:_SHOWN])
    return f"; known: {shown}" + (", ..." if len(words) > _SHOWN else "")


_SHOWN = 12
"""Known words listed before the list is cut; one line of a terminal."""
