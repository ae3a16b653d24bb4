"""Settings of an uplink."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Protocol(StrEnum):
    """MQTT versions. On 3.1.1 a refused publish cannot be seen (docs/uplinks.md)."""

    V5 = "5"
    V311 = "3.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSpec:
    """TLS towards the broker; verification is always on."""

    ca_file: Path | None = None
    """None: the system's authorities."""
    cert_file: Path | None = None
    key_file: Path | None = None
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSpec:
    """A broker, a sink and how to talk to them."""

    id: str
    host: str
    port: int = 1883
    sink: str = "native"
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
    reconnect_cap_s: float = 10.0
    tls: TlsSpec | None = None
