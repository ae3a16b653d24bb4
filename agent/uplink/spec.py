"""Settings of an uplink."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Protocol(StrEnum):
    """MQTT versions. On 3.1.1 a refused publish cannot be seen (docs/uplinks.md)."""

    V5 = "5"
    V311 = "3.1.1"


class SinkName(StrEnum):
    """Platforms whose dialect is spoken."""

    NATIVE = "native"
    HOME_ASSISTANT = "homeassistant"
    THINGSBOARD = "thingsboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSpec:
    """TLS towards the broker; verification is always on."""

    ca_file: Path | None = None
    """None: the system's authorities."""
    cert_file: Path | None = None
    key_file: Path | None = None
    alpn: tuple[str, ...] = ()
    warn_days: int = 21
    """A certificate that ends sooner is a fault; 0: never."""


DEFAULT_ALLOW = ("ack", "silence", "snapshot")
"""What a cloud may ask when the site says nothing: what ends no alarm and moves no equipment. A silence
ends with the next alarm, and each of them leaves its event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsSpec:
    """What may be asked over an uplink (docs/uplinks.md, "Commands")."""

    allow: tuple[str, ...] = DEFAULT_ALLOW
    """Names of commands; empty: nothing is listened to."""
    longest_s: int = 300
    """A command may not be valid for longer; so long its id is remembered, and a broker keeps it."""
    per_minute: int = 60
    """Carried out, on average; so many more than that at once as `BURST`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSpec:
    """A broker, a sink and how to talk to them."""

    id: str
    host: str
    port: int = 1883
    sink: SinkName = SinkName.NATIVE
    root: str = "plantroom/v1"
    protocol: Protocol = Protocol.V5
    client_id: str = ""
    """Empty: the box id."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 20
    """A silently dead link is noticed within twice this."""
    window: int = 20
    """Publishes in flight; at most 20 (what brokers and paho take without queueing)."""
    max_payload_bytes: int = 128 * 1024
    telemetry_expiry_s: int | None = None
    """How long a broker keeps readings for a subscriber that is away (MQTT 5); None: for ever."""
    reconnect_cap_s: float = 10.0
    tls: TlsSpec | None = None
    commands: CommandsSpec = CommandsSpec()
