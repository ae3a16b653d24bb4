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


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One message heard."""

    topic: str
    payload: bytes
    is_retained: bool
    """It stood at the broker before the subscription."""
