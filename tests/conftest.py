"""What every test gets.

No task may outlive its test, no error may go unheard, the loop may not be blocked, no message may break the
published contract.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from drivers.clock import ManualClock
from tests.uplink.watch import BARE, Watch, watching

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI") == "true"

# A busy machine is no fault of the code: no example is judged by how long it took.
settings.register_profile(
    "plantroom", settings.get_profile("ci" if IN_CI else "default"), deadline=None
)
settings.load_profile("plantroom")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Watch every asynchronous test for tasks and errors left behind."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "no_leftovers")


@pytest_asyncio.fixture
async def no_leftovers(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test that leaves a task behind, or whose loop met an exception nobody awaited."""
    loop = asyncio.get_running_loop()
    unheard: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: unheard.append(context))
    before = asyncio.all_tasks()
    yield
    own = {asyncio.current_task()}  # a fixture ends in another task than it began in
    left = [task for task in asyncio.all_tasks() - before - own if not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=1)
    assert not left, f"tasks left behind: {[task.get_name() for task in left]}"
    assert not unheard, f"errors nobody heard: {unheard}"


@pytest.fixture(scope="session")
def contract_watch() -> Iterator[Watch]:
    """What sees every message of the whole session."""
    watch = Watch()
    with watching(watch):
        yield watch
    watch.verdict()


@pytest.fixture(autouse=True)
def contract_is_kept(request: pytest.FixtureRequest, contract_watch: Watch) -> Iterator[None]:
    """Fail a test in which a message was published, or a command taken, that breaks docs/schemas."""
    yield
    if any(request.path == ROOT / each for each in BARE):
        contract_watch.faults.clear()
    contract_watch.verdict()


@pytest.fixture
def unblocked_loop() -> Iterator[BlockBuster]:
    """Fail a test in which `agent` or `drivers` blocks the event loop (file, socket or sleep calls)."""
    with blockbuster_ctx("agent") as guard:
        yield guard


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves only when told."""
    return ManualClock()


@pytest.fixture
def need() -> Callable[[str], str]:
    """Return the path of a program; without it skip loudly on a laptop, fail in CI."""

    def find(program: str) -> str:
        path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/bin")
        if path is None:
            message = f"{program} is not installed (make test installs it on Debian)"
            if IN_CI:
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find
