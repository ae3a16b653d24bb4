"""Payloads read back: what a subscriber, the witness and the tests understand of contract v1.

Pure. Unknown fields are passed over (v1 may grow), missing or ill-typed ones are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from agent.core.effects import AlarmState, AlarmView, Event, EventKind
from agent.core.spec import AlarmClass, Label, PointKind, PointSpec
from agent.outbox.records import Batch, EventRecord
from agent.uplink.codec import Schema, StatusReason, WireClass
from agent.uplink.topics import Address, Channel
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading, Value

_Enum = TypeVar("_Enum", bound=StrEnum)


class PayloadFault(ValueError):
    """A payload that does not keep the contract."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSeen:
    """The box said it is there, or somebody said it is not."""

    is_online: bool
    ts_ms: int
    clock: ClockState
    boot: str
    version: str
    reason: StatusReason


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaSeen:
    """The box described itself."""

    ts_ms: int
    boot: str
    site: str
    box: str
    version: str
    config_hash: str
    points: tuple[PointSpec, ...]
    rules: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSeen:
    """A point's last reading."""

    reading: Reading
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSeen:
    """An alarm's current state."""

    alarm: AlarmView
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSeen:
    """A batch of readings."""

    batch: Batch
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSeen:
    """An event."""

    record: EventRecord
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSeen:
    """Somebody asked something of the box; whether it is one the box takes is for its desk to say."""

    id: str
    ts_ms: int
    expires_ms: int
    actor: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSeen:
    """How a command ended."""

    id: str
    is_ok: bool
    code: str
    message: str
    ts_ms: int


Seen = (
    StatusSeen | MetaSeen | StateSeen | AlarmSeen | BatchSeen | EventSeen | CommandSeen | ResultSeen
)


def decode(address: Address, payload: bytes) -> Seen:
    """Return what a message says.

    Raises:
        PayloadFault: not JSON, another schema than its channel's, or a field missing or ill-typed.
    """
    try:
        content = json.loads(payload)
    except ValueError as fault:
        raise PayloadFault(f"{address.channel}/{address.name}: not UTF-8 JSON") from fault
    if not isinstance(content, dict):
        raise PayloadFault(f"{address.channel}/{address.name}: not an object")
    try:
        return _decode(address, _Fields(content))
    except PayloadFault as fault:
        raise PayloadFault(f"{address.channel}/{address.name}: {fault}") from None
    except ValueError as fault:
        raise PayloadFault(f"{address.channel}/{address.name}: {fault}") from fault


class _Fields:
    """A JSON object asked field by field."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def _get(self, name: str) -> Any:  # noqa: ANN401 - JSON: checked by the callers below
        if name not in self._content:
            raise PayloadFault(f"{name!r} is missing")
        return self._content[name]

    def text(self, name: str) -> str:
        found = self._get(name)
        if not isinstance(found, str):
            raise PayloadFault(f"{name!r} is not a text")
        return found

    def whole(self, name: str) -> int:
        found = self._get(name)
        if not isinstance(found, int) or isinstance(found, bool):
            raise PayloadFault(f"{name!r} is not a whole number")
        return found

    def number(self, name: str) -> float:
        found = self._get(name)
        if not isinstance(found, int | float) or isinstance(found, bool):
            raise PayloadFault(f"{name!r} is not a number")
        return float(found)

    def maybe_number(self, name: str) -> float | None:
        return None if self._get(name) is None else self.number(name)

    def flag(self, name: str) -> bool:
        found = self._get(name)
        if not isinstance(found, bool):
            raise PayloadFault(f"{name!r} is not true or false")
        return found

    def maybe_flag(self, name: str) -> bool | None:
        return None if self._get(name) is None else self.flag(name)

    def value(self, name: str) -> Value | None:
        found = self._get(name)
        if found is None or isinstance(found, bool | int | float | str):
            return found
        raise PayloadFault(f"{name!r} is neither flag, number, text nor null")

    def word(self, name: str, words: type[_Enum]) -> _Enum:
        found = self.text(name)
        try:
            return words(found)
        except ValueError:
            raise PayloadFault(f"{name!r}: {found!r} is no {words.__name__}") from None

    def maybe_word(self, name: str, words: type[_Enum]) -> _Enum | None:
        return None if self._get(name) is None else self.word(name, words)

    def part(self, name: str) -> _Fields:
        found = self._get(name)
        if not isinstance(found, dict):
            raise PayloadFault(f"{name!r} is not an object")
        return _Fields(found)

    def parts(self, name: str) -> list[_Fields]:
        found = self._get(name)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise PayloadFault(f"{name!r} is not a list of objects")
        return [_Fields(each) for each in found]

    def facts(self, name: str) -> dict[str, str | int | float | bool | None]:
        if name not in self._content:
            return {}
        part = self.part(name)
        return {fact: part.value(fact) for fact in part.names()}

    def names(self) -> list[str]:
        return list(self._content)

    def all(self) -> Mapping[str, Any]:
        return dict(self._content)

    def stamp(self, clock: ClockState | None = None) -> Stamp:
        state = self.word("clock", ClockState) if clock is None else clock
        return Stamp(self.whole("mono_ms") / 1000, self.whole("ts"), state)


def _decode(address: Address, fields: _Fields) -> Seen:
    schema = fields.word("schema", Schema)
    if schema.split("/")[0] != address.channel:
        raise PayloadFault(f"schema {schema} on channel {address.channel}")
    match address.channel:
        case Channel.STATUS:
            return _status(fields)
        case Channel.META:
            return _meta(fields)
        case Channel.STATE:
            return _state(fields)
        case Channel.ALARM:
            return _alarm(fields)
        case Channel.TELE:
            return _tele(fields)
        case Channel.EVENT:
            return _event(fields, address.name)
        case Channel.CMD:
            return _command(fields)
        case Channel.RES:
            return _result(fields)


def _command(fields: _Fields) -> CommandSeen:
    return CommandSeen(
        id=fields.text("id"),
        ts_ms=fields.whole("ts"),
        expires_ms=fields.whole("expires"),
        actor=fields.text("actor"),
        args=fields.part("args").all(),
    )


def _result(fields: _Fields) -> ResultSeen:
    return ResultSeen(
        id=fields.text("id"),
        is_ok=fields.flag("ok"),
        code=fields.text("code"),
        message=fields.text("message"),
        ts_ms=fields.whole("ts"),
    )


def _status(fields: _Fields) -> StatusSeen:
    return StatusSeen(
        is_online=fields.flag("online"),
        ts_ms=fields.whole("ts"),
        clock=fields.word("clock", ClockState),
        boot=fields.text("boot"),
        version=fields.text("version"),
        reason=fields.word("reason", StatusReason),
    )


def _meta(fields: _Fields) -> MetaSeen:
    return MetaSeen(
        ts_ms=fields.whole("ts"),
        boot=fields.text("boot"),
        site=fields.text("site"),
        box=fields.text("box"),
        version=fields.part("versions").text("agent"),
        config_hash=fields.text("config_hash"),
        points=tuple(
            PointSpec(
                id=each.text("id"),
                kind=each.word("kind", PointKind),
                unit=each.text("unit"),
                zone=each.text("zone"),
                device=each.text("device"),
                is_contact=each.flag("contact"),
                stale_after_s=each.number("stale_after_s"),
                label=Label(en=each.part("label").text("en"), zh=each.part("label").text("zh")),
            )
            for each in fields.parts("points")
        ),
        rules=tuple(each.text("id") for each in fields.parts("rules")),
        outputs=tuple(each.text("id") for each in fields.parts("outputs")),
    )


def _state(fields: _Fields) -> StateSeen:
    return StateSeen(
        reading=_reading(fields, fields.stamp(), fields.text("reason")), boot=fields.text("boot")
    )


def _reading(fields: _Fields, at: Stamp, reason: str = "") -> Reading:
    return Reading(
        point=fields.text("point"),
        value=fields.value("value"),
        quality=fields.word("quality", Quality),
        unit=fields.text("unit"),
        at=at,
        reason=reason,
    )


def _alarm(fields: _Fields) -> AlarmSeen:
    return AlarmSeen(
        alarm=AlarmView(
            rule=fields.text("rule"),
            alarm_class=fields.word("class", AlarmClass),
            state=fields.word("state", AlarmState),
            since=fields.stamp(),
            point=fields.text("point"),
            value=fields.value("value"),
            unit=fields.text("unit"),
            quality=fields.maybe_word("quality", Quality),
            zone=fields.text("zone"),
            is_suppressed=fields.flag("suppressed"),
            is_silenced=fields.flag("silenced"),
            is_latched=fields.flag("latched"),
            is_pending=fields.flag("pending"),
            is_unknown=fields.flag("unknown"),
            actor=fields.text("actor"),
            is_inhibited=fields.flag("inhibited"),
            inhibited_left_s=fields.maybe_number("inhibited_left_s"),
            inhibited_by=fields.text("inhibited_by"),
            is_test=fields.flag("test"),
            is_first_out=fields.flag("first_out"),
            is_chattering=fields.flag("chattering"),
            group=fields.text("group"),
        ),
        boot=fields.text("boot"),
    )


def _tele(fields: _Fields) -> BatchSeen:
    clock = fields.word("clock", ClockState)
    return BatchSeen(
        batch=Batch(
            stream=fields.text("stream"),
            seq=fields.whole("seq"),
            boot=fields.text("boot"),
            clock=clock,
            readings=tuple(_reading(each, each.stamp(clock)) for each in fields.parts("readings")),
        ),
        is_replay=fields.flag("replay"),
    )


def _event(fields: _Fields, subject: str) -> EventSeen:
    event = Event(
        kind=fields.word("kind", EventKind),
        subject=subject,
        at=fields.stamp(),
        alarm_class=fields.word("rule_class", AlarmClass),
        is_test=fields.word("class", WireClass) is WireClass.TEST,
        rule=fields.text("rule"),
        point=fields.text("point"),
        from_state=fields.text("from"),
        to_state=fields.text("to"),
        is_acked=fields.maybe_flag("acked"),
        value=fields.value("value"),
        unit=fields.text("unit"),
        quality=fields.maybe_word("quality", Quality),
        actor=fields.text("actor"),
        reason=fields.text("reason"),
        code=fields.text("code"),
        zone=fields.text("zone"),
        plan=fields.text("plan"),
        detail=fields.facts("detail"),
    )
    return EventSeen(
        record=EventRecord(
            id=fields.text("id"),
            stream=fields.text("stream"),
            seq=fields.whole("seq"),
            boot=fields.text("boot"),
            event=event,
            is_durable=fields.flag("durable"),
        ),
        is_replay=fields.flag("replay"),
    )
