"""What is a command and what is none, by hand-written check and by the published schema alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.uplink.codec import Schema
from agent.uplink.request import ARGUMENTS, Request, RequestFault, read_request
from drivers.clock import ManualClock
from tests.uplink.commands import payload
from tests.uplink.contract import VALIDATORS

CLOCK = ManualClock()
NOW = CLOCK.stamp().wall_ms

SOUND: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ack", {}),
    ("ack", {"target": "shed-fire", "reason": "seen on the camera"}),
    ("reset", {"target": "shed-fire", "code": "false", "reason": "steam"}),
    ("inhibit", {"target": "shed.smoke", "duration_s": 3600, "reason": "painting"}),
    ("uninhibit", {"target": "shed.smoke"}),
    ("drill", {"on": True, "duration_s": 600.0, "scope": ["shed"], "with_linkage": False}),
    ("drill", {"on": False}),
    ("output", {"target": "siren", "on": True, "duration_s": 3}),
    ("mode", {"mode": "manual"}),
    ("snapshot", {}),
)

UNSOUND: tuple[tuple[str, bytes], ...] = (
    ("nothing", b""),
    ("not JSON", b"{"),
    ("not UTF-8", b'{"schema":"\xff"}'),
    ("a list", b"[]"),
    ("a number", b"1"),
    ("deep", b"[" * 100_000),
    ("deep object", b'{"a":' * 50_000),
    ("NaN", payload(CLOCK).replace(b'"ts": ', b'"ts": NaN, "x": ')),
    ("twice", payload(CLOCK).replace(b"{", b'{"id": "other", ', 1)),
    ("other schema", payload(CLOCK, schema="cmd/2")),
    ("extra field", payload(CLOCK, extra=1)),
    ("no id", payload(CLOCK, id=None)),
    ("empty id", payload(CLOCK, id="")),
    ("long id", payload(CLOCK, id="a" * 65)),
    ("id with a slash", payload(CLOCK, id="../c1")),
    ("number as id", payload(CLOCK, id=7)),
    ("no actor", payload(CLOCK, actor="")),
    ("blank actor", payload(CLOCK, actor="   ")),
    ("long actor", payload(CLOCK, actor="a" * 65)),
    ("actor with a line break", payload(CLOCK, actor="a\nb")),
    ("lone surrogate", payload(CLOCK).replace(b"duty officer", b"\\ud800")),
    ("ts as text", payload(CLOCK, ts="now")),
    ("ts as a fraction", payload(CLOCK, ts=NOW + 0.5)),
    ("ts true", payload(CLOCK, ts=True)),
    ("negative ts", payload(CLOCK, ts=-1)),
    ("huge expires", payload(CLOCK, expires=2**70)),
    ("args a list", payload(CLOCK, args=None).replace(b'"args": {}', b'"args": []')),
    ("unknown argument", payload(CLOCK, args={"force": True})),
    ("argument of another command", payload(CLOCK, args={"on": True})),
    ("target a list", payload(CLOCK, args={"target": ["a"]})),
    ("long target", payload(CLOCK, args={"target": "a" * 201})),
    ("reason with a control character", payload(CLOCK, args={"reason": "a\x00b"})),
)


@pytest.mark.parametrize(("name", "args"), SOUND)
def test_a_sound_command_is_read_and_keeps_the_schema(name: str, args: dict[str, Any]) -> None:
    body = payload(CLOCK, args=args)
    VALIDATORS[Schema.CMD].validate(json.loads(body))
    request = read_request(name, body)
    assert (request.id, request.actor, request.ts_ms) == ("c1", "duty officer", NOW)
    assert request.expires_ms == NOW + 60_000
    for argument, value in args.items():
        field = {"on": "is_on"}.get(argument, argument)
        found = getattr(request, field)
        assert (list(found) if isinstance(found, tuple) else found) == value


@pytest.mark.parametrize(("why", "body"), UNSOUND, ids=[why for why, _ in UNSOUND])
def test_what_is_no_command_is_refused(why: str, body: bytes) -> None:
    with pytest.raises(RequestFault) as refused:
        read_request("ack", body)
    assert str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "args",
    [
        {"on": 1},
        {"on": "true"},
        {"duration_s": True},
        {"duration_s": 0},
        {"duration_s": -5},
        {"duration_s": "60"},
        {"duration_s": 10**400},
        {"scope": "shed"},
        {"scope": [1]},
        {"scope": ["a"] * 101},
        {"with_linkage": "no"},
    ],
)
def test_ill_typed_arguments_are_refused(args: dict[str, Any]) -> None:
    with pytest.raises(RequestFault):
        read_request("drill", payload(CLOCK, args=args))


def test_the_askers_id_is_told_where_it_can_be_read() -> None:
    with pytest.raises(RequestFault) as refused:
        read_request("ack", payload(CLOCK, "c7", ts="now"))
    assert refused.value.id == "c7"


def test_no_command_restores_power() -> None:
    assert "restore" not in ARGUMENTS


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_JSON = _PLAIN | st.lists(_PLAIN, max_size=3)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a busy machine
@given(
    name=st.sampled_from(sorted(ARGUMENTS)),
    changes=st.dictionaries(
        st.sampled_from(["schema", "id", "ts", "expires", "actor", "args", "x"]), _JSON
    ),
    args=st.dictionaries(
        st.sampled_from(["target", "code", "reason", "duration_s", "on", "scope", "mode"]), _JSON
    ),
)
def test_whatever_is_read_keeps_the_schema(
    name: str, changes: dict[str, Any], args: dict[str, Any]
) -> None:
    body = payload(CLOCK, **{"args": args, **changes})
    try:
        request = read_request(name, body)
    except RequestFault:
        return
    assert isinstance(request, Request)
    VALIDATORS[Schema.CMD].validate(json.loads(body))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_a_fault(body: bytes) -> None:
    with pytest.raises(RequestFault):
        read_request("ack", body)
