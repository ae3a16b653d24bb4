"""A daemon thread that does one blocking thing after another for the event loop.

A daemon, since a sync on a dying card may never return and must not hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One thread and its queue. Started by the first job, ended by `stop` (or with the process)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._given = 0
        self._ended = 0

    @property
    def waiting(self) -> int:
        """How many jobs are not done; of those somebody gave up waiting for too."""
        return self._given - self._ended

    def submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Queue a job and return its outcome to come, on the running loop.

        A caller that gives up leaves the job running; its outcome is then dropped.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            outcome: Any = None
            error: BaseException | None = None
            try:
                outcome = job()
            except BaseException as caught:  # noqa: BLE001 - handed to whoever awaits the job
                error = caught
            self._ended += 1  # on one thread only
            # a closed loop has nobody left to tell
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, future, outcome, error)

        self._given += 1
        self._jobs.put(run)
        if self._thread is None:
            self._thread = threading.Thread(
                target=_work, args=(self._jobs,), name=self._name, daemon=True
            )
            self._thread.start()
        return future

    def stop(self) -> None:
        """Let the thread end after what is queued; a later job starts another. Waits for nothing."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread = None
            self._jobs = SimpleQueue()


def _work(jobs: SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := jobs.get()) is not None:
        job()


def _settle(future: asyncio.Future[Any], outcome: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(outcome)
