"""The task group everything here stands on.

CPython's own leaves its parent marked as cancelled when a child fails while the parent already waits
at the end of the block (3.11 and 3.12; python/cpython issue 116720). On 3.11.2, which Debian 12 and
Raspberry Pi OS 12 ship, every `asyncio.timeout` after that ends in a cancellation instead of a
TimeoutError: a part that was to be tried again would end for ever without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import Any, TypeVar

_T = TypeVar("_T")


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
