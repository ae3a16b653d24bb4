"""The seam to aiomqtt and paho, and what they leave open.

A refused PUBACK is seen, nothing blocks the loop, the socket is ours, and whatever the libraries make
of a peer's bytes ends the link (tests/uplink/test_connection.py pins each).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from aiomqtt.exceptions import MqttConnectError
from aiomqtt.types import PahoSocket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.uplink.errors import LinkLost, Unreachable
from agent.uplink.limits import MOST_IN_FLIGHT, TAKEN_BYTES, Hearing, Limits, Waiting
from agent.uplink.message import Message
from agent.uplink.spec import Protocol, UplinkSpec
from drivers.clock import next_beat_s

TICK_S = 1.0
"""How often keep-alive is looked after."""

_KEEP_ALIVE_TIMEOUT = 141
"""MQTT 5.0 section 3.14.2.1: 0x8D Keep Alive timeout."""

_log = logging.getLogger(__name__)
_paho_log = logging.getLogger(f"{__name__}.library")


class Client(aiomqtt.Client):
    """aiomqtt's client, connected on a socket that is already open, seen through its callbacks."""

    def __init__(
        self,
        spec: UplinkSpec,
        client_id: str,
        will: Message | None,
        hearing: Hearing | None = None,
    ) -> None:
        self._is_v5 = is_v5 = spec.protocol is Protocol.V5
        super().__init__(
            spec.host,
            spec.port,
            username=spec.username,
            password=spec.password,
            identifier=client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if is_v5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if is_v5 else True,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, 1, will.retain),
            max_inflight_messages=MOST_IN_FLIGHT,
            logger=_paho_log,
        )
        # Ours is the window; the library's warning about many pending calls would only be noise.
        self.pending_calls_threshold = 1000
        # paho pings after one keepalive and gives up after another, looked at once a second: two
        # seconds less keep the whole within 2 x keepalive_s.
        self._ping_after_s = max(1, spec.keepalive_s - 2)
        self._spec = spec
        self._waiting: dict[int, asyncio.Future[ReasonCode]] = {}
        self._is_sending = False
        self._is_silent = False
        self._is_told = False
        self._is_flooded = False
        self._hearing = hearing
        self._heard = 0
        """Messages in this tick."""
        self._unread = Waiting()
        self._of_kind: dict[tuple[str, str, int | None], Properties] = {}
        self._tick: asyncio.TimerHandle | None = None
        self._client.disable_logger()  # it logs as errors what is told here as exceptions
        self.limits = Limits()
        self._client.on_connect = self._heard_connack
        self._client.on_disconnect = self._heard_end
        self._client.on_publish = self._heard_puback
        self._client.on_message = self._heard_message
        if hearing is not None:
            # Acknowledged when it was looked at (`acknowledge`), not when it came: a broker that keeps to
            # what it may have under way then keeps the rest, and what a crash cuts off comes again.
            self._client.manual_ack_set(True)
            take = self._client._sock_recv  # noqa: SLF001

            # The library asks for all of a packet, and that a hundred times before it lets us look at it.
            def take_little(bufsize: int) -> bytes:
                return take(min(bufsize, TAKEN_BYTES))

            self._client._sock_recv = take_little  # type: ignore[method-assign]  # noqa: SLF001

    async def connect_on(self, sock: socket.socket, timeout_s: float) -> None:
        # paho would look up the name and make the socket itself, blocking; it is given ours.
        # Everything left in its connect() only queues bytes.
        self._client._create_socket = lambda: sock  # type: ignore[method-assign]  # noqa: SLF001
        try:
            keeps = self._is_v5 and self._hearing is not None and self._hearing.keeps_s > 0
            self._client.connect(
                self._spec.host,
                self._spec.port,
                self._ping_after_s,
                clean_start=not keeps if self._is_v5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=self._connect_properties(),
            )
            async with asyncio.timeout(timeout_s):
                await self._connected
        except TimeoutError:
            raise Unreachable(f"{self._where}: no CONNACK within {timeout_s:g} s") from None
        except MqttConnectError as fault:
            code = fault.rc.value if isinstance(fault.rc, ReasonCode) else None
            raise Unreachable(f"{self._where}: not accepted: {fault.rc}", code=code) from fault
        except (aiomqtt.MqttError, OSError, ValueError) as fault:
            raise Unreachable(f"{self._where}: {fault}") from fault
        self._disconnected.add_done_callback(self._end_waiting)

    async def send(self, message: Message) -> ReasonCode:
        if self._disconnected.done():
            raise self.loss()
        # Written at once: to be told by the selector that it can be costs two calls of the kernel and a turn.
        self._is_sending = True
        try:
            info = self._client.publish(
                message.topic, message.payload, 1, message.retain, self._properties_of(message)
            )
        finally:
            self._is_sending = False
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise LinkLost(f"{self._where}: {paho.error_string(info.rc)}")
        answer: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._waiting[info.mid] = answer
        self._write()
        sock = self._client.socket()
        if sock is not None and self._client.want_write():
            self._loop.add_writer(sock.fileno(), self._write)
        try:
            return await answer
        finally:
            self._waiting.pop(info.mid, None)

    async def ask_for(self, pattern: str, timeout_s: float) -> list[ReasonCode]:
        try:
            if self._is_v5:
                codes = await self.subscribe(
                    pattern,
                    options=SubscribeOptions(qos=1, retainAsPublished=self._hearing is not None),
                    timeout=timeout_s,
                )
            else:
                codes = await self.subscribe(pattern, 1, timeout=timeout_s)
        except aiomqtt.MqttError as fault:
            if self._disconnected.done():
                raise self.loss() from fault
            raise LinkLost(f"{self._where}: subscribe: {fault}") from fault
        return [code for code in codes if isinstance(code, ReasonCode)]

    def acknowledge(self, message: aiomqtt.Message) -> None:
        """Tell the broker that a message was looked at, where it waits for that; then it sends more."""
        if self._hearing is None:
            return
        self._unread.let_go(len(message.payload) if isinstance(message.payload, bytes) else 0)
        if not self._disconnected.done():
            self._client.ack(message.mid, message.qos)

    async def say_goodbye(self, timeout_s: float) -> None:
        if self._disconnected.done() or self._client.disconnect() != paho.MQTT_ERR_SUCCESS:
            return
        with contextlib.suppress(TimeoutError, aiomqtt.MqttError, OSError):
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._disconnected)

    async def abandon(self) -> None:
        """Close the socket, leave no future unheard and nothing scheduled. Safe to repeat."""
        self._client._sock_close()  # noqa: SLF001 - the public disconnect() would drop the will
        for future in (self._connected, self._disconnected):
            future.cancel()
            if not future.cancelled():
                future.exception()
        self._end_waiting(self._disconnected)

    def loss(self) -> LinkLost:
        """Return why the connection ended."""
        ended = self._disconnected
        fault = ended.exception() if ended.done() and not ended.cancelled() else None
        code = fault.rc if isinstance(fault, aiomqtt.MqttCodeError) else None
        if self._is_flooded:
            most = self._hearing.most_bytes if self._hearing is not None else 0
            return LinkLost(
                f"{self._where}: a message of more than {most} bytes came", is_flooded=True
            )
        if self._is_silent:
            return LinkLost(f"{self._where}: silent for longer than the keepalive allows")
        if self._is_told and isinstance(code, ReasonCode):
            why = f"{self._where}: ended by the broker: {code}"
            return LinkLost(why, code=code.value, is_by_peer=True)
        # Without a DISCONNECT the library only knows "unspecified error".
        why = "connection lost" if fault is None or code is not None else str(fault)
        return LinkLost(f"{self._where}: {why}", is_by_peer=True)

    def _properties_of(self, message: Message) -> Properties | None:
        """Return what goes with a message, made once for all of a kind: the library takes its time over it."""
        if not self._is_v5:
            return None
        if message.correlation is not None:
            return _properties(message)
        kind = (message.content_type, message.schema, message.expiry_s)
        known = self._of_kind.get(kind)
        if known is None:
            known = self._of_kind[kind] = _properties(message)
        return known

    def _connect_properties(self) -> Properties | None:
        if not self._is_v5 or self._hearing is None:
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = MOST_IN_FLIGHT
        if self._hearing.keeps_s:
            properties.SessionExpiryInterval = self._hearing.keeps_s
        return properties

    @property
    def _where(self) -> str:
        return f"{self._spec.host}:{self._spec.port}"

    # -- the socket on the loop: at once, never by call_soon as the library does, since by then the
    # -- socket may be closed and its number belong to another

    def _on_socket_open(self, client: paho.Client, userdata: object, sock: PahoSocket) -> None:
        self._loop.add_reader(sock.fileno(), self._read)
        self._tick = self._loop.call_at(next_beat_s(self._loop.time(), TICK_S), self._look_after)

    def _on_socket_close(self, client: paho.Client, userdata: object, sock: PahoSocket) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _on_socket_register_write(
        self, client: paho.Client, userdata: object, sock: PahoSocket
    ) -> None:
        if not self._is_sending:
            self._loop.add_writer(sock.fileno(), self._write)

    def _read(self) -> None:
        try:
            self._client.loop_read()
            # Bytes already decrypted wake no selector.
            while isinstance(sock := self._client.socket(), ssl.SSLSocket) and sock.pending():
                self._client.loop_read()
            self._heed_flood()
        except Exception as fault:  # noqa: BLE001 - whatever it makes of a peer's bytes ends the link
            self._break(fault)

    def _heed_flood(self) -> None:
        if self._hearing is None:
            return
        if self._client._in_packet["remaining_length"] > self._hearing.most_bytes:  # noqa: SLF001
            self._is_flooded = True
            raise ValueError("packet too large")
        sock = self._client.socket()
        if self._heard > self._hearing.most_per_s and sock is not None:
            self._loop.remove_reader(sock.fileno())  # until the next tick

    def _heard_message(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        message: paho.MQTTMessage,
    ) -> None:
        self._heard += 1
        if self._hearing is not None and len(message.payload) > self._hearing.most_bytes:
            self._is_flooded = True
            raise ValueError("packet too large")
        if self._hearing is not None and not self._unread.take(len(message.payload)):
            # Reading on is worth more than they: what the box itself says is acknowledged here too.
            if self._unread.dropped == 1:
                _log.warning(
                    "%s: messages come faster than they are done; some are lost", self._where
                )
            client.ack(message.mid, message.qos)
            return
        self._on_message(client, userdata, message)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as fault:  # noqa: BLE001 - as above
            self._break(fault)

    def _look_after(self) -> None:
        self._tick = self._loop.call_at(next_beat_s(self._loop.time(), TICK_S), self._look_after)
        sock = self._client.socket()
        if self._hearing is not None and self._heard > self._hearing.most_per_s and sock:
            self._loop.add_reader(sock.fileno(), self._read)
        self._heard = 0
        try:
            self._client.loop_misc()
        except Exception as fault:  # noqa: BLE001 - as above
            self._break(fault)

    def _break(self, fault: Exception) -> None:
        self._client._sock_close()  # noqa: SLF001
        for future in (self._connected, self._disconnected):
            if not future.done():
                future.set_exception(aiomqtt.MqttError(f"{type(fault).__name__}: {fault}"))
                return

    def _heard_connack(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.limits = Limits(
            # 0 is a protocol error (MQTT 5.0 section 3.2.2.3.3); a window of none would hang.
            receive_maximum=max(1, getattr(properties, "ReceiveMaximum", 65535)),
            max_packet_bytes=getattr(properties, "MaximumPacketSize", None),
        )
        self._on_connect(client, userdata, flags, reason_code, properties)

    def _heard_end(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        # Where no DISCONNECT came, the library gives 141 (keep alive timeout) for a silent link.
        self._is_told = flags.is_disconnect_packet_from_server
        self._is_silent = not self._is_told and reason_code.value == _KEEP_ALIVE_TIMEOUT
        if not self._connected.done():
            # The library would let the caller wait for a CONNACK that cannot come any more.
            self._connected.set_exception(aiomqtt.MqttError("closed before CONNACK"))
            return
        self._on_disconnect(client, userdata, flags, reason_code, properties)

    def _heard_puback(
        self,
        client: paho.Client,
        userdata: Any,  # noqa: ANN401 - paho's signature
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        answer = self._waiting.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)

    def _end_waiting(self, _ended: asyncio.Future[None]) -> None:
        loss = self.loss()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(loss)
                answer.exception()  # the waiter may be cancelled already: that is no fault


class _Packed(Properties):
    """Properties of a PUBLISH that are put into bytes once, not at each of its publishes."""

    def pack(self) -> bytes:
        """Return the bytes."""
        packed: bytes | None = self.__dict__.get("packed")
        if packed is None:
            # not by an attribute: the library takes it for a property
            packed = self.__dict__["packed"] = super().pack()  # type: ignore[no-untyped-call]
        return packed


def _properties(message: Message) -> Properties:
    """Return what goes with a message beside its payload."""
    properties = _Packed(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.PayloadFormatIndicator = 1
    if message.content_type:
        properties.ContentType = message.content_type
    if message.schema:
        properties.UserProperty = [("schema", message.schema)]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return properties
