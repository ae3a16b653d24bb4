"""The contract of docs/asyncapi.yaml: the agent's own topics and payloads."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.effects import AlarmView
from agent.core.spec import SiteSpec
from agent.outbox.records import Batch, EventRecord
from agent.uplink import codec
from agent.uplink.codec import Schema, StatusReason
from agent.uplink.message import Message
from agent.uplink.topics import TopicFault, Topics
from drivers.clock import Stamp
from drivers.reading import Reading

HOME = "box"
"""The name under which the box itself is a subject."""


class NativeSink:
    """Maps everything one to one."""

    def __init__(
        self, topics: Topics, *, site: SiteSpec, boot: str, version: str, config_hash: str
    ) -> None:
        self._topics = topics
        self._site = site
        self._boot = boot
        self._version = version
        self._config_hash = config_hash

    def will(self, at: Stamp) -> Message:
        """Return the will; its `ts` is the time of connecting, the only one known beforehand."""
        return self._status(at, is_online=False, reason=StatusReason.LOST)

    def status(self, at: Stamp, reason: StatusReason) -> Sequence[Message]:
        """Return birth, heartbeat or farewell, on the will's topic and retained like it."""
        return (self._status(at, is_online=reason is not StatusReason.STOPPED, reason=reason),)

    def meta(self, at: Stamp) -> Sequence[Message]:
        """Return the self-description."""
        payload = codec.meta(
            self._site,
            at,
            boot=self._boot,
            version=self._version,
            config_hash=self._config_hash,
        )
        return (_message(self._topics.meta, payload, Schema.META, retain=True),)

    def event(self, record: EventRecord, *, is_replay: bool) -> Sequence[Message]:
        """Return an event on its subject's topic, or on the box's where no topic can bear it."""
        try:
            topic = self._topics.event(record.event.subject)
        except TopicFault:
            topic = self._topics.event(HOME)
        return (_message(topic, codec.event(record, is_replay=is_replay), Schema.EVENT),)

    def batch(self, batch: Batch, *, is_replay: bool) -> Sequence[Message]:
        """Return a batch."""
        return (_message(self._topics.tele, codec.tele(batch, is_replay=is_replay), Schema.TELE),)

    def state(self, reading: Reading) -> Sequence[Message]:
        """Return a retained state; none for a point whose id no topic can bear."""
        try:
            topic = self._topics.state(reading.point)
        except TopicFault:
            return ()
        return (_message(topic, codec.state(reading, self._boot), Schema.STATE, retain=True),)

    def alarm(self, view: AlarmView) -> Sequence[Message]:
        """Return a retained alarm state; none for a rule whose id no topic can bear."""
        try:
            topic = self._topics.alarm(view.rule)
        except TopicFault:
            return ()
        return (_message(topic, codec.alarm(view, self._boot), Schema.ALARM, retain=True),)

    def _status(self, at: Stamp, *, is_online: bool, reason: StatusReason) -> Message:
        payload = codec.status(
            at, is_online=is_online, boot=self._boot, version=self._version, reason=reason
        )
        return _message(self._topics.status, payload, Schema.STATUS, retain=True)


def _message(topic: str, payload: bytes, schema: Schema, *, retain: bool = False) -> Message:
    return Message(topic=topic, payload=payload, retain=retain, schema=schema)
