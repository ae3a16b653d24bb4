"""One connection to a broker: what may be in flight, how large, how long, and what counts as taken.

A refused PUBACK is an error, a lost link ends every waiting publish at once, a half-made connection
leaves nothing behind, and what the broker says it can take is kept (tests/uplink/test_connection.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiomqtt

from agent.uplink.client import Client
from agent.uplink.dial import Dialler, Target
from agent.uplink.errors import LinkLost, Refused, TooLarge
from agent.uplink.limits import MOST_IN_FLIGHT, Hearing
from agent.uplink.message import Arrival, Message
from agent.uplink.spec import UplinkSpec

PACKET_OVERHEAD_BYTES = 64
"""Fixed header, packet id and properties of a PUBLISH beside topic and payload, rounded up."""

_FAILURE = 128
"""Reason codes from here on are failures (MQTT 5.0 section 2.4)."""


class Connection:
    """A live MQTT connection; made by `open`, ended by `close` or `abandon`, never used again."""

    def __init__(self, spec: UplinkSpec, client: Client) -> None:
        self._client = client
        self._puback_timeout_s = 1.5 * spec.keepalive_s
        limits = client.limits
        self._window = asyncio.Semaphore(min(MOST_IN_FLIGHT, limits.receive_maximum))
        self.window = min(MOST_IN_FLIGHT, spec.window, limits.receive_maximum)
        """Publishes that may be in flight."""
        self._payload_cap = spec.max_payload_bytes
        self._packet_cap = limits.max_packet_bytes

    @classmethod
    async def open(
        cls,
        spec: UplinkSpec,
        dialler: Dialler,
        *,
        client_id: str,
        will: Message | None,
        timeout_s: float = 10.0,
        hearing: Hearing | None = None,
    ) -> Connection:
        """Connect, at most 2 x `timeout_s`: once for the socket, once for the broker's answer.

        `hearing` bounds what is taken from the broker; None takes everything.

        Raises:
            Unreachable: no socket, no answer, or not accepted (with the broker's code).
        """
        target = Target(
            host=spec.host,
            port=spec.port,
            tls=spec.tls,
            timeout_s=timeout_s,
            unacked_s=2.0 * spec.keepalive_s,
        )
        sock = await dialler.dial(target, timeout_s=timeout_s)
        try:
            client = Client(spec, client_id, will, hearing)
        except BaseException:
            sock.close()
            raise
        try:
            await client.connect_on(sock, timeout_s)
        except BaseException:
            await client.abandon()
            raise
        return cls(spec, client)

    async def publish(self, message: Message) -> None:
        """Publish with QoS 1 and return when the broker has acknowledged it.

        When it does not return, whether the broker has the message is unknown, except for
        `Refused` and `TooLarge`: then it has not. On MQTT 3.1.1 a broker cannot refuse.

        Raises:
            TooLarge: over our cap or the broker's.
            Refused: the broker said no, and why.
            LinkLost: the connection ended, or no answer in 1.5 x keepalive.
        """
        size = len(message.payload)
        if size > self._payload_cap:
            raise TooLarge(message.topic, size, self._payload_cap)
        if self._packet_cap is not None:
            packet = size + len(message.topic) + PACKET_OVERHEAD_BYTES
            if packet > self._packet_cap:
                raise TooLarge(message.topic, packet, self._packet_cap)
        async with self._window:
            try:
                async with asyncio.timeout(self._puback_timeout_s):
                    reason = await self._client.send(message)
            except TimeoutError:
                raise LinkLost(f"no PUBACK within {self._puback_timeout_s:g} s") from None
        if reason.value >= _FAILURE:
            raise Refused(message.topic, reason.value, str(reason))

    async def subscribe(self, pattern: str, *, timeout_s: float = 10.0) -> None:
        """Ask for messages with QoS 1.

        Raises:
            Refused: the broker said no.
            LinkLost: the connection ended, or no answer in `timeout_s`.
        """
        codes = await self._client.ask_for(pattern, timeout_s)
        for code in codes:
            if code.value >= _FAILURE:
                raise Refused(pattern, code.value, str(code))

    async def messages(self) -> AsyncIterator[Arrival]:
        """Yield what arrives, for ever; waiting on it is how the end of the link is noticed.

        Raises:
            LinkLost: the connection ended.
        """
        try:
            async for heard in self._client.messages:
                asker = heard.properties
                yield Arrival(
                    topic=str(heard.topic),
                    payload=heard.payload if isinstance(heard.payload, bytes) else b"",
                    is_retained=bool(heard.retain),
                    response_topic=getattr(asker, "ResponseTopic", ""),
                    correlation=getattr(asker, "CorrelationData", None),
                )
                self._client.acknowledge(heard)  # whoever it was for asks for the next one
        except aiomqtt.MqttError as fault:
            raise self._client.loss() from fault

    async def close(self, *, timeout_s: float = 2.0) -> None:
        """Say goodbye (the will is not published) and end the connection within `timeout_s`."""
        await self._client.say_goodbye(timeout_s)
        await self._client.abandon()

    async def abandon(self) -> None:
        """End the connection without a word: the broker will publish the will."""
        await self._client.abandon()
