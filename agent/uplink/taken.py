"""The commands already taken, by id, over restarts: none is carried out twice.

An id is on the disk before its command is carried out, and stays for as long as the command could
come again. Shared by all uplinks of a box.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.effects import Outcome
from agent.uplink.notes import Note
from drivers.clock import ClockState, Stamp

MOST_IDS = 5_000
"""Beyond it nothing is taken: forgetting one early could let it in again. More than the longest expiry
times the fastest rate that the configuration takes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A command that was begun."""

    until_ms: int
    """Remembered so long (wall clock)."""
    outcome: Outcome | None = None
    """None: the agent ended before it was known."""


class TakenCommands:
    """Which ids were begun, and how they ended."""

    def __init__(self, path: Path) -> None:
        self._note = Note(path)
        self._taken: dict[str, Taken] = {}
        self._is_loaded = False
        self._loading = asyncio.Lock()
        self.is_forgetful = False
        """Nothing is known of earlier runs: what was made before this one may have been carried out."""

    async def load(self) -> None:
        """Bring in what earlier runs took; does nothing the second time."""
        async with self._loading:  # two uplinks may hear their first command at once
            if self._is_loaded:
                return
            table = await self._note.load()
            self.is_forgetful = table is None
            for id_, entry in (table or {}).items():
                self._taken[id_] = _entry(entry)
            self._is_loaded = True

    def find(self, id_: str) -> Taken | None:
        """Return what is known of an id."""
        return self._taken.get(id_)

    async def begin(self, id_: str, until_ms: int, now: Stamp) -> bool:
        """Remember an id that is about to be carried out; return whether it is on the disk."""
        if now.clock is ClockState.SYNCED:
            for old in [each for each, it in self._taken.items() if it.until_ms < now.wall_ms]:
                del self._taken[old]
        if len(self._taken) >= MOST_IDS:
            _log.error("%d commands are remembered already", MOST_IDS)
            return False
        self._taken[id_] = Taken(until_ms=until_ms)
        return await self._note.save(self._table())

    async def finish(self, id_: str, outcome: Outcome) -> None:
        """Remember how it ended."""
        self._taken[id_] = Taken(until_ms=self._taken[id_].until_ms, outcome=outcome)
        await self._note.save(self._table())

    def forget(self, id_: str) -> None:
        """Let an id go that was begun and, as it turned out, not carried out."""
        self._taken.pop(id_, None)

    def _table(self) -> dict[str, Any]:
        return {
            id_: [it.until_ms]
            if it.outcome is None
            else [it.until_ms, it.outcome.ok, it.outcome.code, it.outcome.message]
            for id_, it in self._taken.items()
        }


def _entry(entry: list[Any]) -> Taken:
    if len(entry) < 4:
        return Taken(until_ms=entry[0])
    return Taken(until_ms=entry[0], outcome=Outcome(ok=entry[1], code=entry[2], message=entry[3]))
