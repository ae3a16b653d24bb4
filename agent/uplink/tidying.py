"""What this site once left at the broker and does not have any more is taken away there.

A retained state of a removed point would look like a fresh one for ever. So the topics that may stand
at the broker are noted on disk before anything is published on them, and what a later configuration
does not have is cleared with an empty retained message (MQTT 5.0 section 3.3.1.3).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from agent.uplink.message import Message
from agent.uplink.notes import Note

_log = logging.getLogger(__name__)

_TOPICS = "topics"


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
