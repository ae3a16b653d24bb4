"""Ports opened without blocking the loop: opening a serial port or asking for a name can hang."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

from drivers.errors import PortUnavailable

T = TypeVar("T")


class BlockingCall(Generic[T]):
    """One call at a time in a daemon thread, waited for no longer than told.

    A call that hangs is not doubled: the next attempt waits for the same one. What it returns after
    nobody waits any more is given to `discard`.
    """

    def __init__(self, name: str, call: Callable[[], T], discard: Callable[[T], None]) -> None:
        """`name` is the thread's name."""
        self._name = name
        self._call = call
        self._discard = discard
        self._running: Future[T] | None = None

    async def result(self, timeout_s: float) -> T:
        """Return what the call returns, or raise what it raises.

        Raises:
            TimeoutError: it is still under way.
        """
        running = self._running
        if running is None:
            running = self._running = Future()
            threading.Thread(
                target=_fulfil, args=(running, self._call), name=self._name, daemon=True
            ).start()
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake(_: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(done.set)

        running.add_done_callback(wake)
        async with asyncio.timeout(timeout_s):
            await done.wait()
        self._running = None
        return running.result()

    def abandon(self) -> None:
        """Wait no more: a result still to come is discarded."""
        if self._running is not None:
            self._running.add_done_callback(self._discard_result)
            self._running = None

    def _discard_result(self, finished: Future[T]) -> None:
        if finished.exception() is None:
            self._discard(finished.result())


def run_detached(name: str, call: Callable[[], None]) -> None:
    """Run a blocking call nobody waits for, and that raises nothing, in a daemon thread."""
    threading.Thread(target=call, name=name, daemon=True).start()


def resolve(source: str, host: str, port: int) -> tuple[str, ...]:
    """Return the addresses of a host, in the resolver's order; blocking.

    Raises:
        PortUnavailable: there is no such name, or nobody to ask.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PortUnavailable(source, f"{host}: {error.strerror or error}") from error
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


def _fulfil(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(error)
