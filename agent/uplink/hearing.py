"""One connection's ear: commands heard on it, handed to the desk, answered on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.uplink.connection import Connection
from agent.uplink.desk import Answer, CommandDesk
from agent.uplink.errors import Refused, TooLarge
from agent.uplink.message import Message
from agent.uplink.sinks import Sink

MOST_WAITING = 64
"""Answers that may wait for the broker; beyond it nothing more is looked at until there is room."""

ROOM_WITHIN_S = 10.0
"""An answer for which there is no room by then is dropped (the asker asks again by its id)."""

_log = logging.getLogger(__name__)


class Ear:
    """Listens on one connection until it ends. Without a desk nothing is listened to."""

    def __init__(
        self,
        connection: Connection,
        sink: Sink,
        desk: CommandDesk | None,
        show_all: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._sink = sink
        self._desk = desk
        self._show_all = show_all
        self._answers: asyncio.Queue[Answer] = asyncio.Queue(MOST_WAITING)

    async def open(self, uplink: str) -> str:
        """Subscribe; return why commands do not come, empty when they do.

        Raises:
            LinkLost: the connection ended.
        """
        if self._desk is None or not self._desk.allow:
            return ""
        try:
            for pattern in self._sink.hears():
                await self._connection.subscribe(pattern)
        except Refused as fault:
            return f"{uplink} hears no commands: {fault}"
        return ""

    async def listen(self) -> None:
        """Take what comes, until the link ends.

        Raises:
            LinkLost: the connection ended.
        """
        async for arrival in self._connection.messages():
            asked = self._sink.asked(arrival)
            if asked is None or self._desk is None:
                _log.debug("nothing is done with %s", arrival.topic)
                continue
            answer = await self._desk.take(asked, self._show_all)
            if answer is None:
                continue
            try:
                async with asyncio.timeout(ROOM_WITHIN_S):
                    await self._answers.put(answer)
            except TimeoutError:
                _log.warning("an answer is dropped: the broker takes them too slowly")

    async def answer(self) -> None:
        """Send answers one by one, for ever. A refused one is no fault of the link.

        Raises:
            LinkLost: the connection ended.
        """
        while True:
            answer = await self._answers.get()
            for message in self._sink.answer(answer):
                await self._send(message)

    async def _send(self, message: Message) -> None:
        try:
            await self._connection.publish(message)
        except (Refused, TooLarge) as fault:
            _log.warning("an answer is not taken: %s", fault)
