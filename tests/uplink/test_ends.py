"""A part of an uplink ends although nobody ended it: the uplink fails aloud and can be run again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agent.outbox.records import EventRecord
from drivers.tasks import EndedByItselfError
from tests.uplink.broker import Broker
from tests.uplink.fake_cursor import FakeCursor
from tests.uplink.rig import running, until
from tests.uplink.samples import event


class TornCursor(FakeCursor):
    """Its next wait, or its next answer, ends as cancelled once it is torn."""

    torn = ""

    async def wait(self) -> None:
        await super().wait()
        await self._tear("wait")

    async def take_events(self, most: int, *, regardless: bool = False) -> Sequence[EventRecord]:
        await self._tear("take_events")
        return await super().take_events(most, regardless=regardless)

    async def _tear(self, what: str) -> None:
        if self.torn == what:
            self.torn = ""
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future


@pytest.mark.parametrize("torn", ["wait", "take_events"])
async def test_an_uplink_whose_sender_ends_as_cancelled_fails(broker: Broker, torn: str) -> None:
    cursor = TornCursor()
    with pytest.raises(ExceptionGroup) as failed:  # noqa: PT012 - the uplink runs in the block
        async with running(broker.port, cursor=cursor) as rig:
            await until(lambda: rig.uplink.stats().is_connected)
            await asyncio.sleep(0.05)
            cursor.torn = torn
            cursor.put(event(1))
            await until(rig.task.done)
    assert failed.value.split(EndedByItselfError)[0] is not None
    assert not rig.uplink.stats().is_connected
    assert rig.links[-1] == (False, "stopped")

    async with running(broker.port, cursor=cursor) as again:
        await until(lambda: again.uplink.stats().is_connected and not cursor.unsent())
