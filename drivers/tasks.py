"""The task group everything here stands on.

CPython's own leaves its parent marked as cancelled when a child fails while the parent already waits
at the end of the block (3.11 and 3.12; python/cpython issue 116720). On 3.11.2, which Debian 12 and
Raspberry Pi OS 12 ship, every `asyncio.timeout` after that ends in a cancellation instead of a
TimeoutError: a part that was to be tried again would end for ever without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

_T = TypeVar("_T")


class EndedByItselfError(Exception):
    """A part that lasts until it is cancelled ended, and nobody had cancelled it."""


async def until_cancelled(part: Callable[[], Awaitable[object]]) -> None:
    """Run a part that lasts until it is cancelled; for a group that must not go on without it.

    A group takes any task that ends as cancelled for one that somebody cancelled, and keeps silent:
    also one that waited for a future which was cancelled.

    Raises:
        EndedByItselfError: it ended, or as cancelled although nobody cancelled it.
    """
    try:
        await part()
    except asyncio.CancelledError as stray:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise EndedByItselfError("ended as cancelled, and nobody cancelled it") from stray
    raise EndedByItselfError("ended by itself")


class TaskGroup(asyncio.TaskGroup):
    """An asyncio.TaskGroup that leaves its parent as it found it."""

    def __init__(self) -> None:
        super().__init__()
        self._running: set[asyncio.Task[Any]] = set()

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[_T]:
        """Start a task that ends before the group does."""
        task = super().create_task(coro, name=name, context=context)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all tasks as if it were the last line of the block: there the parent's mark is cleared."""
        if error is None:
            try:
                while self._running:
                    await asyncio.wait(self._running)
            except asyncio.CancelledError as cancelled:
                kind, error, trace = type(cancelled), cancelled, cancelled.__traceback__
        await super().__aexit__(kind, error, trace)
