"""A command as it comes over MQTT, checked by hand against docs/schemas/cmd-1.json. Pure.

Stricter than what the box publishes: an unknown field is refused, since it may be the one that was
meant to hold something back.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core.effects import Command, CommandName
from agent.uplink.codec import Schema

SNAPSHOT = "snapshot"
"""Shows everything anew; the one command that is the uplink's own."""

ARGUMENTS: Mapping[str, frozenset[str]] = {
    "ack": frozenset({"target"}),
    "silence": frozenset({"target"}),
    "reset": frozenset({"target", "code"}),
    "inhibit": frozenset({"target", "duration_s"}),
    "uninhibit": frozenset({"target"}),
    "drill": frozenset({"on", "duration_s", "scope", "with_linkage"}),
    "output": frozenset({"target", "on", "duration_s"}),
    "mode": frozenset({"mode"}),
    SNAPSHOT: frozenset(),
}
"""What each command may carry beside a reason. `restore` is none of them: power returns only by a
person on the spot (docs/design.md section 5)."""

MOST_BYTES = 8 * 1024
"""Of a command; the longest sensible one is a drill over a hundred points."""
MOST_SCOPE = 100
LONGEST_TEXT = 200
LONGEST_ACTOR = 64
FURTHEST_MS = 2**53
"""The largest whole number every JSON reader keeps exactly (RFC 8259 section 6)."""

_FIELDS = frozenset({"schema", "id", "ts", "expires", "actor", "args"})
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RequestFault(ValueError):
    """The payload is no command; the text says why. `id` is the asker's where it could be read."""

    def __init__(self, why: str, *, id: str = "") -> None:  # noqa: A002 - the word on the wire
        super().__init__(why)
        self.id = id


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A well-formed command."""

    id: str
    name: str
    ts_ms: int
    expires_ms: int
    actor: str
    target: str = ""
    code: str = ""
    reason: str = ""
    duration_s: float | None = None
    is_on: bool | None = None
    scope: tuple[str, ...] = ()
    with_linkage: bool = False
    mode: str = ""

    def command(self, identity: str) -> Command:
        """Return it as the core takes it; `identity` is where the broker stands.

        Raises:
            ValueError: `snapshot` is none of the core's.
        """
        return Command(
            id=self.id,
            name=CommandName(self.name),
            actor=self.actor,
            origin="mqtt",
            target=self.target,
            code=self.code,
            reason=self.reason,
            duration_s=self.duration_s,
            is_on=self.is_on,
            scope=self.scope,
            with_linkage=self.with_linkage,
            mode=self.mode,
            identity=identity,
        )


def read_request(name: str, payload: bytes) -> Request:
    """Return the command `name` in a payload.

    Raises:
        RequestFault: it is not one.
    """
    content = _parse(payload)
    try:
        return _read(name, content)
    except RequestFault as fault:
        raise RequestFault(str(fault), id=_id_in(content)) from None


def read_id(payload: bytes) -> str:
    """Return the asker's id in whatever this is, for an answer; empty where there is none."""
    try:
        return _id_in(_parse(payload)) if len(payload) <= MOST_BYTES else ""
    except RequestFault:
        return ""


def _id_in(content: Mapping[str, Any]) -> str:
    named = content.get("id")
    return named if isinstance(named, str) and _ID.fullmatch(named) else ""


def _parse(payload: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(payload, object_pairs_hook=_once, parse_constant=_not_a_number)
    except RequestFault:
        raise
    except (ValueError, RecursionError) as fault:
        raise RequestFault("not UTF-8 JSON") from fault
    if not isinstance(content, dict):
        raise RequestFault("not an object")
    return content


def _read(name: str, content: Mapping[str, Any]) -> Request:
    if unknown := sorted(set(content) - _FIELDS):
        raise RequestFault(f"unknown field {unknown[0]!r:.40}")
    if missing := sorted(_FIELDS - set(content)):
        raise RequestFault(f"{missing[0]!r} is missing")
    if content["schema"] != Schema.CMD:
        raise RequestFault(f"schema is not {Schema.CMD}")
    id_ = content["id"]
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise RequestFault("id must be 1 to 64 letters, digits, and any of - _ . :")
    actor = _text("actor", content["actor"], LONGEST_ACTOR)
    if not actor:
        raise RequestFault("a command needs an actor")
    args = content["args"]
    if not isinstance(args, dict):
        raise RequestFault("args is not an object")
    if strange := sorted(set(args) - ARGUMENTS[name] - {"reason"}):
        raise RequestFault(f"{name} takes no argument {strange[0]!r:.40}")
    return Request(
        id=id_,
        name=name,
        ts_ms=_moment("ts", content["ts"]),
        expires_ms=_moment("expires", content["expires"]),
        actor=actor,
        target=_text("target", args.get("target", "")),
        code=_text("code", args.get("code", "")),
        reason=_text("reason", args.get("reason", "")),
        duration_s=_seconds(args.get("duration_s")),
        is_on=_flag("on", args["on"]) if "on" in args else None,
        scope=_scope(args.get("scope", [])),
        with_linkage=_flag("with_linkage", args.get("with_linkage", False)),
        mode=_text("mode", args.get("mode", "")),
    )


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestFault("a field stands there twice")
    return found


def _not_a_number(word: str) -> float:
    raise RequestFault(f"{word} is no JSON")


def _moment(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= FURTHEST_MS:
        raise RequestFault(f"{name} must be milliseconds since 1970-01-01 UTC")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestFault("duration_s must be a number")
    try:
        seconds = float(value)
    except OverflowError as fault:
        raise RequestFault("duration_s must be a number above 0") from fault
    if not math.isfinite(seconds) or seconds <= 0:
        raise RequestFault("duration_s must be a number above 0")
    return seconds


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise RequestFault(f"{name} must be true or false")
    return value


def _scope(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_SCOPE:
        raise RequestFault(f"scope must be a list of at most {MOST_SCOPE} ids")
    return tuple(_text("scope", each) for each in value)


def _text(name: str, value: object, longest: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str):
        raise RequestFault(f"{name} must be text")
    if len(value) > longest:
        raise RequestFault(f"{name} is longer than {longest} characters")
    if _CONTROL.search(value):
        raise RequestFault(f"{name} has control characters")
    try:
        value.encode()
    except UnicodeEncodeError as fault:  # a lone surrogate, which no message could carry back
        raise RequestFault(f"{name} is not Unicode text") from fault
    return value.strip()
