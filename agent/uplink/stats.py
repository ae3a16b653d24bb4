"""An uplink as it is now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkStats:
    """Counters of one uplink since start."""

    id: str
    broker: str
    """host:port, without user or secret."""
    is_connected: bool
    reason: str
    """Why not connected; empty when connected."""
    connects: int
    publishes: int
    publish_failures: int
    last_puback_wall_ms: int | None
    hears_commands: bool = False
    """Subscribed to commands, and the broker agreed."""
    certificate_ends_wall_ms: int | None = None
    """When the first certificate of the link ends: the broker's, the box's own or their authority's."""
