"""What this site once left at the broker and does not have any more is taken away there.

A retained state of a removed point would look like a fresh one for ever. So the topics that may stand
at the broker are noted on disk before anything is published on them, and what a later configuration
does not have is cleared with an empty retained message (MQTT 5.0 section 3.3.1.3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

from agent.outbox.worker import Worker
from agent.uplink.message import Message
from agent.uplink.notes import PATIENCE_S, Note

_log = logging.getLogger(__name__)

_TOPICS = "topics"
_TOLD_MOST = 100
"""Topics of a removed uplink that are named."""
_PREFIX, _SUFFIX = "retained-", ".json"


class Tidying:
    """The retained topics of one uplink, over restarts."""

    def __init__(self, note: Note, current: frozenset[str]) -> None:
        self._note = note
        self._current = current
        self._stale: frozenset[str] = frozenset()
        self._is_noted = False

    async def prepare(self) -> None:
        """Note what this run may publish on; before the first connection."""
        table = await self._note.load()
        before = frozenset(table.get(_TOPICS, ()) if table is not None else ())
        self._stale = before - self._current
        if self._current <= before:
            self._is_noted = not self._stale
        elif self._stale:
            await self._save(before | self._current)
        else:
            self._is_noted = await self._save(self._current)

    async def tidy(self, say: Callable[[Sequence[Message]], Awaitable[bool]]) -> None:
        """Clear what is not ours any more; `say` returns whether the broker took it.

        What it did not take is tried on the next connection.
        """
        for topic in sorted(self._stale):
            if await say((Message(topic=topic, payload=b"", retain=True, content_type=""),)):
                self._stale -= {topic}
                _log.info("cleared at the broker: %s", topic)
        if not self._stale and not self._is_noted:
            self._is_noted = await self._save(self._current)

    async def _save(self, topics: frozenset[str]) -> bool:
        return await self._note.save({_TOPICS: sorted(topics)})


def note_path(folder: Path, uplink: str) -> Path:
    """Return where the retained topics of an uplink are noted."""
    return folder / f"{_PREFIX}{uplink}{_SUFFIX}"


async def forget_removed(folder: Path, uplinks: Collection[str]) -> None:
    """Remove the notes of uplinks that the site does not have any more, and tell what they left.

    Nobody has a link to their brokers now, and a note that stayed would be taken for that of a later
    uplink of the same name, at whatever broker.
    """
    kept = {note_path(folder, uplink) for uplink in uplinks}
    worker = Worker("removed uplinks")
    try:
        looking = worker.submit(lambda: sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}")))
        async with asyncio.timeout(PATIENCE_S):
            found = await looking
        for path in (each for each in found if each not in kept):
            table = await Note(path).load()
            left = [] if table is None else list(table.get(_TOPICS, ()))
            removing = worker.submit(path.unlink)
            async with asyncio.timeout(PATIENCE_S):
                await removing
            _log.warning(
                "uplink %s was taken out; %d retained topics may still stand at its broker%s",
                path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX),
                len(left),
                "".join(f"\n  {topic}" for topic in left[:_TOLD_MOST]),
            )
    except (OSError, TimeoutError) as fault:
        _log.error("notes of removed uplinks stay in %s: %s", folder, fault or "the disk hangs")
    finally:
        worker.stop()
