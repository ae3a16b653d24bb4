"""The way from the page's thread to the agent's loop and back, with a limit on waiting.

The page never holds up the agent: at most one view is asked for at a time however many requests
wait for it, and a command that the agent's loop reaches too late is not carried out any more.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from agent.core.effects import Command, Outcome
from agent.local.contract import AgentDoor
from agent.local.view import AgentView
from agent.outbox.records import EventRecord

_log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_S = 2.0
"""How long the agent's loop may take to answer; past it /healthz says it does not (docs/design.md 9)."""


class NoAnswer(Exception):
    """The agent gave no answer: nothing is known of its state now."""


class AgentSilent(NoAnswer):
    """The agent's loop did not answer within the time allowed."""


class AgentFailed(NoAnswer):
    """The agent's loop runs, but the question ended in an error."""


class Bridge:
    """Asks the door from the page's loop. Used on the page's loop only."""

    def __init__(
        self, door: AgentDoor, agent_loop: asyncio.AbstractEventLoop, answer_s: float = ANSWER_S
    ) -> None:
        self._door = door
        self._agent_loop = agent_loop
        self._answer_s = answer_s
        self._view: concurrent.futures.Future[AgentView] | None = None
        self._is_failing = False

    async def view(self) -> AgentView:
        """Return the agent as it is now; requests that come together share one answer.

        Raises:
            NoAnswer: the agent did not answer.
        """
        if self._view is None or self._view.done():
            self._view = self._cross(self._door.view)
        return await self._wait(self._view)

    async def submit(self, command: Command) -> Outcome:
        """Hand a command over and return how it ended.

        Raises:
            AgentSilent: no answer in time. If the loop had not begun it by then, it never will;
                if it had, how it ended is not known.
            AgentFailed: it ended in an error.
        """
        return await self._wait(self._cross(lambda: self._door.submit(command)))

    async def events(self, limit: int) -> Sequence[EventRecord]:
        """Return the newest `limit` events, newest first.

        Raises:
            NoAnswer: the agent did not answer.
        """
        return await self._wait(self._cross(lambda: self._door.events(limit)))

    def _cross(self, ask: Callable[[], Awaitable[T]]) -> concurrent.futures.Future[T]:
        # Both loops count time on CLOCK_MONOTONIC, so a deadline made here is good over there.
        deadline_s = asyncio.get_running_loop().time() + self._answer_s
        question = _ask_in_time(ask, deadline_s)
        try:
            return asyncio.run_coroutine_threadsafe(question, self._agent_loop)
        except RuntimeError as error:
            question.close()
            raise AgentSilent("loop does not answer: it has ended") from error

    async def _wait(self, asked: concurrent.futures.Future[T]) -> T:
        here = asyncio.get_running_loop()
        landed = asyncio.Event()

        def land(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the page's loop may have ended meanwhile
                here.call_soon_threadsafe(landed.set)

        asked.add_done_callback(land)
        try:
            async with asyncio.timeout(self._answer_s):
                await landed.wait()
        except TimeoutError as error:
            raise AgentSilent("loop does not answer") from error
        try:
            answer = asked.result()
        except (AgentSilent, TimeoutError, concurrent.futures.CancelledError) as error:
            raise AgentSilent("loop does not answer in time") from error
        except Exception as error:
            if not self._is_failing:
                _log.exception("the page's question to the agent failed")
            self._is_failing = True
            raise AgentFailed(f"the agent could not answer: {type(error).__name__}") from error
        self._is_failing = False
        return answer


async def _ask_in_time(ask: Callable[[], Awaitable[T]], deadline_s: float) -> T:
    """Run on the agent's loop: ask, unless the one who wanted to know has given up already."""
    if asyncio.get_running_loop().time() >= deadline_s:
        raise AgentSilent("the loop came back too late")
    async with asyncio.timeout_at(deadline_s):
        return await ask()
