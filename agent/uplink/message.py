"""What goes over a connection, whatever it says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One publish, always with QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False
    schema: str = ""
    """Repeated as the MQTT 5 user property `schema`; empty: none."""
    content_type: str = "application/json"
    expiry_s: int | None = None
    """None: never expires."""
    correlation: bytes | None = None
    """What an asker wants back with the answer (MQTT 5 correlation data)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One message heard."""

    topic: str
    payload: bytes
    is_retained: bool
    """It stood at the broker before the subscription; on MQTT 5 also: it was published to stand there."""
    response_topic: str = ""
    """Where the asker wants the answer too (MQTT 5)."""
    correlation: bytes | None = None
