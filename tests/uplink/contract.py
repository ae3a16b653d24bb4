"""The published contract, as a judge: messages held against docs/schemas/ and the table of topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from agent.uplink.codec import Schema
from agent.uplink.message import Message
from agent.uplink.topics import Channel, TopicFault, take_apart

DOCS = Path(__file__).parents[2] / "docs"
SCHEMAS = DOCS / "schemas"
RETAINED = frozenset({Channel.STATUS, Channel.META, Channel.STATE, Channel.ALARM})


def load(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / schema.file).read_text("utf-8"))
    return found


def closed(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that allows no field it does not describe: ours has none that is not documented."""
    made = dict(node)
    if "properties" in node:
        made["properties"] = {name: closed(each) for name, each in node["properties"].items()}
        made.setdefault("additionalProperties", False)
    if isinstance(node.get("items"), dict):
        made["items"] = closed(node["items"])
    return made


VALIDATORS = {schema: Draft202012Validator(load(schema)) for schema in Schema}
_CLOSED = {schema: Draft202012Validator(closed(load(schema))) for schema in Schema}


def hold(content: dict[str, Any]) -> Schema:
    """Return a payload's schema; fail when it does not keep it, or has a field that is not documented."""
    schema = Schema(content["schema"])
    _CLOSED[schema].validate(content)
    return schema


def judge(message: Message, root: str = "plantroom/v1") -> Schema:
    """Return the schema of a message; fail when it is not what the contract says."""
    content = json.loads(message.payload)
    schema = hold(content)
    assert message.schema == schema
    try:
        channel: Channel | None = take_apart(root, message.topic).channel
    except TopicFault:
        assert schema is Schema.RES, f"{schema} on {message.topic}"  # where the asker wants it
        channel = None
    assert channel is None or schema.split("/")[0] == channel, f"{schema} on {channel}"
    assert message.retain is (channel in RETAINED), f"retain {message.retain} on {message.topic}"
    assert message.expiry_s is None or schema is Schema.TELE, "only readings may expire"
    assert len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()) == len(
        message.payload
    ), "compact"
    return schema
