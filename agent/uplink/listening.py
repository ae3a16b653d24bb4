"""Everything a broker says below a root, over its restarts, for whoever watches (`plantroom tail`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agent.uplink.connection import Connection
from agent.uplink.dial import Dialler
from agent.uplink.errors import LinkLost, Unreachable
from agent.uplink.message import Arrival
from agent.uplink.spec import UplinkSpec

PAUSE_S = 1.0

_REFUSED = frozenset({4, 5, 134, 135, 138})
"""CONNACK: bad user or password, not authorised, banned (MQTT 3.1.1 section 3.2.2.3, MQTT 5 3.2.2.2)."""


async def listen(
    spec: UplinkSpec,
    *,
    client_id: str,
    patterns: Sequence[str],
    on_arrival: Callable[[Arrival], None],
    on_link: Callable[[str], None],
) -> None:
    """Hear everything until cancelled; `on_link` is told why there is no link, and "" when there is.

    Raises:
        Unreachable: the broker lets nobody in with these credentials; others are tried again.
        Refused: it allows no such subscription.
    """
    dialler = Dialler()
    told: str | None = None
    while True:
        try:
            connection = await Connection.open(spec, dialler, client_id=client_id, will=None)
            try:
                for pattern in patterns:
                    await connection.subscribe(pattern)
                told = ""
                on_link(told)
                async for arrival in connection.messages():
                    on_arrival(arrival)
            finally:
                await connection.abandon()
        except (LinkLost, Unreachable) as fault:
            if isinstance(fault, Unreachable) and fault.code in _REFUSED:
                raise
            if str(fault) != told:
                told = str(fault)
                on_link(told)
        await asyncio.sleep(PAUSE_S)
