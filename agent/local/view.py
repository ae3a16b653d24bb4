"""What metrics, page and API are shown: one immutable picture of the agent, taken on its loop."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.effects import AlarmView, OrdersView
from agent.core.spec import AlarmClass, OutputSpec, PointSpec, SiteSpec
from agent.outbox.records import OutboxStats
from agent.uplink.stats import UplinkStats
from drivers.base import BusStats
from drivers.clock import Stamp
from drivers.reading import Reading

NO_ORDERS = OrdersView()


@dataclass(frozen=True, slots=True, kw_only=True)
class PointView:
    """A point with its last reading, None before the first."""

    spec: PointSpec
    reading: Reading | None
    last_good_wall_ms: int | None
    last_good: Reading | None = None
    """The last reading with quality good, shown struck out while there is no usable one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputView:
    """An output: what is asked of it and what was read back."""

    spec: OutputSpec
    is_demanded: bool
    is_active: bool | None
    """Read back; None when it could not be read."""
    fault: str
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """The whole agent at one moment."""

    at: Stamp
    version: str
    boot: str
    started: Stamp
    site: SiteSpec
    points: tuple[PointView, ...]
    alarms: tuple[AlarmView, ...]
    """Every rule, normal ones too."""
    outputs: tuple[OutputView, ...]
    buses: tuple[BusStats, ...]
    uplinks: tuple[UplinkStats, ...]
    outbox: OutboxStats | None
    transitions: dict[tuple[AlarmClass, str], int]
    """Alarm transitions since start, by class and state entered."""
    readings: int
    """Readings processed since start."""
    dropped_readings: int
    """Readings dropped because the pipeline's queue was full."""
    loop_lag_s: float
    config_ok: bool
    config_loaded_wall_ms: int
    orders: OrdersView = NO_ORDERS
    not_ready: tuple[str, ...]
    """Why the agent is not ready, for people; empty when it is."""
