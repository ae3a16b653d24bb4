"""A person's wish as it comes in, JSON or form, checked before it goes anywhere."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping

from agent.core.effects import Command, CommandName

CLOSING_CODES = ("real", "false", "test", "maintenance")
"""docs/design.md section 5."""

MOST_CHARACTERS = 200
"""Of an actor, a target or a remark."""

_TEXTS = frozenset({"id", "name", "target", "actor", "code", "reason", "mode"})
_FIELDS = _TEXTS | {"duration_s", "is_on", "scope", "with_linkage"}
MOST_PLACES = 100
"""Of the scope of a drill."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class NotUnderstood(ValueError):
    """The request is no command; the text says why."""


def read_json(body: str, origin: str) -> Command:
    """Return the command in a JSON object with `name` and any of the other fields.

    Raises:
        NotUnderstood: it is not one.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise NotUnderstood("the body is not an object")
    return read_fields(fields, origin)


def read_fields(fields: Mapping[str, object], origin: str) -> Command:
    """Return the command in these fields; `origin` is `page` or `cli`.

    Raises:
        NotUnderstood: an unknown field, a value of the wrong type or too long, an unknown name or code.
    """
    if unknown := sorted(set(fields) - _FIELDS):
        raise NotUnderstood(f"unknown field {unknown[0]!r:.40}")
    texts = {key: _text(key, fields.get(key, "")) for key in _TEXTS}
    try:
        name = CommandName(texts["name"])
    except ValueError as error:
        raise NotUnderstood(f"name must be one of {', '.join(CommandName)}") from error
    if texts["code"] and texts["code"] not in CLOSING_CODES:
        raise NotUnderstood(f"code must be one of {', '.join(CLOSING_CODES)}")
    if texts["id"] and not _ID.fullmatch(texts["id"]):
        raise NotUnderstood("id must be 1 to 64 letters, digits, dashes or underscores")
    return Command(
        id=texts["id"] or str(uuid.uuid4()),
        name=name,
        actor=texts["actor"] or origin,
        origin=origin,
        target=texts["target"],
        code=texts["code"],
        reason=texts["reason"],
        mode=texts["mode"],
        duration_s=_seconds(fields.get("duration_s")),
        is_on=_switch("is_on", fields.get("is_on")),
        scope=_places(fields.get("scope", [])),
        with_linkage=_switch("with_linkage", fields.get("with_linkage")) or False,
    )


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotUnderstood("duration_s must be a number of seconds")
    return float(value)


def _switch(key: str, value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise NotUnderstood(f"{key} must be true or false")


def _places(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_PLACES:
        raise NotUnderstood(f"scope must be a list of at most {MOST_PLACES} points and zones")
    return tuple(_text("scope", each) for each in value)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise NotUnderstood(f"{key} must be text")
    if len(value) > MOST_CHARACTERS:
        raise NotUnderstood(f"{key} is longer than {MOST_CHARACTERS} characters")
    if _CONTROL.search(value):
        raise NotUnderstood(f"{key} has control characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which no record or message could carry
        raise NotUnderstood(f"{key} is not Unicode text") from error
    return value.strip()
