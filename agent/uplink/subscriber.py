"""The other end: hears boxes over MQTT and reads what they say (witness, `tail`, tests)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.uplink.connection import Connection
from agent.uplink.decode import PayloadFault, Seen, decode
from agent.uplink.dial import Dialler
from agent.uplink.message import Arrival
from agent.uplink.spec import UplinkSpec
from agent.uplink.topics import Address, TopicFault, fleet, take_apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message that keeps the contract."""

    address: Address
    seen: Seen
    is_retained: bool
    size: int
    """Bytes of the payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled:
    """A message that does not keep the contract, and why."""

    topic: str
    why: str
    is_retained: bool


class Subscriber:
    """A subscription that is in force."""

    def __init__(self, connection: Connection, root: str) -> None:
        self._connection = connection
        self._root = root

    async def messages(self) -> AsyncIterator[Heard | Garbled]:
        """Yield everything heard, for ever. What is heard and not yet asked for waits in memory.

        Raises:
            LinkLost: the connection ended; subscribe anew.
        """
        async for arrival in self._connection.messages():
            if arrival.payload:  # empty: a retained message was taken away
                yield self._read(arrival)

    def _read(self, arrival: Arrival) -> Heard | Garbled:
        try:
            address = take_apart(self._root, arrival.topic)
            seen = decode(address, arrival.payload)
        except (TopicFault, PayloadFault) as fault:
            return Garbled(topic=arrival.topic, why=str(fault), is_retained=arrival.is_retained)
        return Heard(
            address=address,
            seen=seen,
            is_retained=arrival.is_retained,
            size=len(arrival.payload),
        )


@asynccontextmanager
async def subscribe(
    spec: UplinkSpec,
    *,
    client_id: str,
    patterns: Sequence[str] = (),
    dialler: Dialler | None = None,
    timeout_s: float = 10.0,
) -> AsyncIterator[Subscriber]:
    """Connect to the spec's broker and subscribe; `patterns` defaults to every box under its root.

    Raises:
        Unreachable: no connection.
        Refused: the broker allows no such subscription.
        LinkLost: the connection ended before all subscriptions were in force.
    """
    connection = await Connection.open(
        spec, dialler or Dialler(), client_id=client_id, will=None, timeout_s=timeout_s
    )
    try:
        for pattern in patterns or (fleet(spec.root),):
            await connection.subscribe(pattern, timeout_s=timeout_s)
        yield Subscriber(connection, spec.root)
        await connection.close()
    finally:
        await connection.abandon()
