"""The contract of docs/asyncapi.yaml: the agent's own topics and payloads."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from agent.core.effects import AlarmView
from agent.core.spec import SiteSpec
from agent.outbox.records import Batch, EventRecord
from agent.uplink import codec
from agent.uplink.codec import Schema, StatusReason
from agent.uplink.desk import Answer, Asked
from agent.uplink.message import Arrival, Message
from agent.uplink.topics import Channel, TopicFault, Topics, is_answerable, take_apart
from drivers.clock import Stamp
from drivers.reading import Reading

HOME = "box"
"""The name under which the box itself is a subject."""


class NativeSink:
    """Maps everything one to one."""

    def __init__(
        self,
        topics: Topics,
        *,
        site: SiteSpec,
        boot: str,
        version: str,
        config_hash: str,
        telemetry_expiry_s: int | None = None,
    ) -> None:
        """`telemetry_expiry_s` is how long a broker keeps readings; None: for ever, like all else."""
        self._topics = topics
        self._telemetry_expiry_s = telemetry_expiry_s
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
        return (
            Message(
                topic=self._topics.tele,
                payload=codec.tele(batch, is_replay=is_replay),
                schema=Schema.TELE,
                expiry_s=self._telemetry_expiry_s,
            ),
        )

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

    def retained(self) -> frozenset[str]:
        """Return the topics of status, description, states and alarms."""
        topics = [self._topics.status, self._topics.meta]
        for channel, ids in (
            (Channel.STATE, [each.id for each in self._site.points]),
            (Channel.ALARM, [each.id for each in self._site.rules]),
        ):
            for id_ in ids:
                with contextlib.suppress(TopicFault):
                    topics.append(self._topics.of(channel, id_))
        return frozenset(topics)

    def hears(self) -> Sequence[str]:
        """Return the subscription to this box's commands."""
        return (self._topics.all_of(Channel.CMD),)

    def asked(self, arrival: Arrival) -> Asked | None:
        """Return what stands on `cmd/<name>`."""
        try:
            address = take_apart(self._topics.root, arrival.topic)
        except TopicFault:
            return None
        if address.channel is not Channel.CMD:
            return None
        return Asked(
            name=address.name,
            payload=arrival.payload,
            is_retained=arrival.is_retained,
            response_topic=arrival.response_topic,
            correlation=arrival.correlation,
        )

    def answer(self, answer: Answer) -> Sequence[Message]:
        """Return the result on `res/<name>`, and on the asker's response topic."""
        payload = codec.res(answer.id, answer.outcome, answer.at)
        topics = []
        with contextlib.suppress(TopicFault):
            topics.append(self._topics.of(Channel.RES, answer.asked.name))
        if is_answerable(self._topics, answer.asked.response_topic) and (
            answer.asked.response_topic not in topics
        ):
            topics.append(answer.asked.response_topic)
        return [
            Message(
                topic=topic,
                payload=payload,
                schema=Schema.RES,
                correlation=answer.asked.correlation,
            )
            for topic in topics
        ]

    def _status(self, at: Stamp, *, is_online: bool, reason: StatusReason) -> Message:
        payload = codec.status(
            at, is_online=is_online, boot=self._boot, version=self._version, reason=reason
        )
        return _message(self._topics.status, payload, Schema.STATUS, retain=True)


def _message(topic: str, payload: bytes, schema: Schema, *, retain: bool = False) -> Message:
    return Message(topic=topic, payload=payload, retain=retain, schema=schema)
