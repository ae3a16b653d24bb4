"""Every message of every test, held against the published contract; tests/conftest.py puts it in place.

Looked at where messages leave and arrive: what an uplink publishes and what it leaves as a will, what a
subscriber of the simulator hears (there the agent is a process of its own), and each command that a
desk has read as one. It is kept until its test is over and judged then, so that no test gets slower in
what it measures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jsonschema import ValidationError
from paho.mqtt.reasoncodes import ReasonCode

from agent.simulate.subscriber import Heard, OnMessage, Subscriber
from agent.uplink import desk
from agent.uplink.client import Client
from agent.uplink.message import Message
from agent.uplink.request import Request, read_request
from agent.uplink.spec import SinkName, UplinkSpec
from agent.uplink.topics import TopicFault, take_apart
from tests.uplink.contract import RETAINED, hold, judge

ROOT = "plantroom/v1"

BARE = frozenset({"tests/uplink/test_connection.py", "tests/cloud/test_rules.py"})
"""Test modules that publish texts without a meaning over a bare connection, to try the line or the
broker's rules; no uplink runs in them (test_watch.py)."""


Look = Callable[..., str]


class Watch:
    """What was seen since the start, and what did not keep the contract."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._faults: list[str] = []
        self._waiting: list[tuple[str, Look, tuple[Any, ...]]] = []

    @property
    def seen(self) -> Counter[str]:
        """Judged messages by schema; `cleared` and the names of the other sinks beside them."""
        self._settle()
        return self._seen

    @property
    def faults(self) -> list[str]:
        """What broke the contract."""
        self._settle()
        return self._faults

    def sent(self, spec: UplinkSpec, message: Message) -> None:
        """An uplink publishes this, or leaves it as its will."""
        if spec.sink is not SinkName.NATIVE and not message.schema:
            self._seen[spec.sink] += 1  # another platform's format: its golden files hold it
        elif not message.payload:
            self._note(message.topic, self._cleared, spec.root, message)
        else:
            self._note(message.topic, self._judged, spec.root, message)

    def heard(self, message: Heard) -> None:
        """A witness of an agent in another process heard this."""
        try:
            address = take_apart(ROOT, message.topic)
        except TopicFault:
            return
        if message.payload:
            self._note(message.topic, self._held, str(address.channel), message)

    def read(self, name: str, payload: bytes) -> None:
        """A desk took this for a command."""
        self._note(f"cmd/{name}", self._held, "cmd", payload)

    def verdict(self) -> None:
        """Fail when something did not keep the contract since the last time."""
        faults = self.faults.copy()
        self.faults.clear()
        assert not faults, "\n".join(faults[:10])

    def _note(self, where: str, look: Look, *about: Any) -> None:
        self._waiting.append((where, look, about))

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for where, look, about in waiting:
            try:
                self._seen[look(*about)] += 1
            except (AssertionError, ValidationError, ValueError, KeyError, TypeError) as fault:
                self._faults.append(f"{where}: {fault}")

    @staticmethod
    def _cleared(root: str, message: Message) -> str:
        assert message.retain, "an empty message that clears nothing"
        assert take_apart(root, message.topic).channel in RETAINED
        return "cleared"

    @staticmethod
    def _judged(root: str, message: Message) -> str:
        return judge(message, root)

    @staticmethod
    def _held(channel: str, about: Heard | bytes) -> str:
        payload = about.payload if isinstance(about, Heard) else about
        schema = hold(json.loads(payload))
        assert schema.split("/")[0] == channel, f"{schema} on {channel}"
        return schema


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Let `watch` see everything until the end."""
    send, begin, subscribe = Client.send, Client.__init__, Subscriber.__init__

    async def watched_send(self: Client, message: Message) -> ReasonCode:
        watch.sent(self._spec, message)
        return await send(self, message)

    def watched_begin(
        self: Client, spec: UplinkSpec, client_id: str, will: Message | None, *more: Any
    ) -> None:
        if will is not None:
            watch.sent(spec, will)
        begin(self, spec, client_id, will, *more)

    def watched_read(name: str, payload: bytes) -> Request:
        request = read_request(name, payload)
        watch.read(name, payload)
        return request

    def watched_subscribe(
        self: Subscriber, host: str, port: int, filters: Any, on_message: OnMessage, client_id: str
    ) -> None:
        def hear(heard: Heard) -> None:
            watch.heard(heard)
            on_message(heard)

        subscribe(self, host, port, filters, hear, client_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "send", watched_send)
        patch.setattr(Client, "__init__", watched_begin)
        patch.setattr(desk, "read_request", watched_read)
        patch.setattr(Subscriber, "__init__", watched_subscribe)
        yield
