"""The task group: a failed child leaves no mark on its parent, on no version of Python."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drivers.tasks import EndedByItselfError, TaskGroup, until_cancelled


async def fail(after_s: float = 0.0) -> None:
    await asyncio.sleep(after_s)
    raise ValueError("planted")


def marks() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@pytest.mark.parametrize("waits_in_block", [False, True])
async def test_a_failed_child_leaves_its_parent_unmarked(waits_in_block: bool) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the block is what is tested
        async with TaskGroup() as tasks:
            tasks.create_task(fail(0.01), name="fails")
            tasks.create_task(asyncio.sleep(60), name="sleeps")
            if waits_in_block:
                await asyncio.sleep(60)
    assert [str(each) for each in caught.value.exceptions] == ["planted"]
    assert marks() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)


async def test_an_error_in_the_block_ends_the_children_and_comes_first() -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the block is what is tested
        async with TaskGroup() as tasks:
            sleeper = tasks.create_task(asyncio.sleep(60), name="sleeps")
            await asyncio.sleep(0)
            raise LookupError("block")
    assert [str(each) for each in caught.value.exceptions] == ["block"]
    assert sleeper.cancelled()
    assert marks() == 0


async def test_children_started_while_waiting_are_waited_for() -> None:
    done: list[str] = []

    async def grandchild() -> None:
        await asyncio.sleep(0.01)
        done.append("grandchild")

    async with TaskGroup() as tasks:

        async def child() -> None:
            await asyncio.sleep(0.01)
            tasks.create_task(grandchild(), name="grandchild")
            done.append("child")

        tasks.create_task(child(), name="child")
    assert done == ["child", "grandchild"]


async def test_a_cancelled_parent_is_cancelled_and_so_are_its_children() -> None:
    children: list[asyncio.Task[None]] = []

    async def parent() -> None:
        async with TaskGroup() as tasks:
            children.append(tasks.create_task(asyncio.sleep(60), name="sleeps"))

    async with TaskGroup() as outer:
        task = outer.create_task(parent(), name="parent")
        await asyncio.sleep(0.01)
        task.cancel()
    assert task.cancelled()
    assert children[0].cancelled()


async def wait_for_a_future_somebody_cancels() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


@pytest.mark.parametrize("part", [wait_for_a_future_somebody_cancels, lambda: asyncio.sleep(0)])
async def test_a_part_that_ends_though_nobody_cancelled_it_ends_the_group(
    part: Callable[[], Awaitable[None]],
) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the block is what is tested
        async with TaskGroup() as tasks:
            tasks.create_task(until_cancelled(part), name="ends")
            tasks.create_task(asyncio.sleep(60), name="sleeps")
    assert isinstance(caught.value.exceptions[0], EndedByItselfError)


@pytest.mark.parametrize("is_begun", [False, True])
async def test_a_part_that_is_cancelled_ends_as_cancelled(is_begun: bool) -> None:
    async with TaskGroup() as tasks:
        task = tasks.create_task(until_cancelled(lambda: asyncio.sleep(60)), name="sleeps")
        if is_begun:
            await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
