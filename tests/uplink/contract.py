"""The published contract, as a judge: every message of a test run is held against docs/schemas/."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from agent.core.effects import AlarmView
from agent.outbox.records import Batch, EventRecord
from agent.uplink.codec import Schema, StatusReason
from agent.uplink.desk import Answer, Asked
from agent.uplink.message import Arrival, Message
from agent.uplink.sinks import Sink
from agent.uplink.topics import take_apart
from drivers.clock import Stamp
from drivers.reading import Reading

DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = DOCS / "schemas"


def load(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / schema.file).read_text("utf-8"))
    return found


VALIDATORS = {schema: Draft202012Validator(load(schema)) for schema in Schema}


def judge(message: Message) -> None:
    """Fail when a message is not what docs/schemas/ and the table of topics say."""
    content = json.loads(message.payload)
    schema = Schema(content["schema"])
    VALIDATORS[schema].validate(content)
    stray = set(content) - set(VALIDATORS[schema].schema["properties"])
    assert not stray, f"{schema} has undocumented fields {stray}"
    assert message.schema == schema
    channel = take_apart("plantroom/v1", message.topic).channel
    assert schema.split("/")[0] == channel
    assert message.retain is (channel.value in ("status", "meta", "state", "alarm"))
    assert message.expiry_s is None
    assert len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()) == len(
        message.payload
    ), "compact"


class JudgingSink:
    """A sink whose messages are judged: the first twenty of each kind, for time's sake."""

    MOST = 20

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._judged: Counter[str] = Counter()

    def _look(self, messages: Sequence[Message]) -> Sequence[Message]:
        for message in messages:
            self._judged[message.schema] += 1
            if self._judged[message.schema] <= self.MOST:
                judge(message)
        return messages

    def will(self, at: Stamp) -> Message | None:
        will = self._sink.will(at)
        if will is not None:
            judge(will)
        return will

    def status(self, at: Stamp, reason: StatusReason) -> Sequence[Message]:
        return self._look(self._sink.status(at, reason))

    def meta(self, at: Stamp) -> Sequence[Message]:
        return self._look(self._sink.meta(at))

    def event(self, record: EventRecord, *, is_replay: bool) -> Sequence[Message]:
        return self._look(self._sink.event(record, is_replay=is_replay))

    def batch(self, batch: Batch, *, is_replay: bool) -> Sequence[Message]:
        return self._look(self._sink.batch(batch, is_replay=is_replay))

    def state(self, reading: Reading) -> Sequence[Message]:
        return self._look(self._sink.state(reading))

    def alarm(self, view: AlarmView) -> Sequence[Message]:
        return self._look(self._sink.alarm(view))

    def retained(self) -> frozenset[str]:
        return self._sink.retained()

    def hears(self) -> Sequence[str]:
        return self._sink.hears()

    def asked(self, arrival: Arrival) -> Asked | None:
        return self._sink.asked(arrival)

    def answer(self, answer: Answer) -> Sequence[Message]:
        messages = self._sink.answer(answer)
        self._look([each for each in messages if "/res/" in each.topic])
        return messages
