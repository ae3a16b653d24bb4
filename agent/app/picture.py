"""One immutable picture of the whole agent, for metrics, page and API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agent import VERSION
from agent.core.engine import Engine
from agent.core.spec import PointSpec, SiteSpec
from agent.local.view import AgentView, OutputView, PointView
from agent.outbox.records import OutboxStats
from agent.uplink.stats import UplinkStats
from drivers.base import BusStats
from drivers.clock import Clock, Stamp


class Picture:
    """Takes the picture from the parts, on the agent's loop."""

    def __init__(
        self,
        *,
        site: SiteSpec,
        engine: Engine,
        clock: Clock,
        boot: str,
        started: Stamp,
        outputs: Callable[[], Sequence[OutputView]],
        buses: Sequence[Callable[[], BusStats]],
        uplinks: Sequence[Callable[[], UplinkStats]],
        outbox: Callable[[], OutboxStats],
        counters: Callable[[], Mapping[str, float]],
        not_ready: Callable[[], Sequence[str]],
        config_ok: Callable[[], bool],
        config_loaded_wall_ms: int,
    ) -> None:
        """`counters` gives `readings`, `dropped_readings` and `loop_lag_s`."""
        self._site = site
        self._engine = engine
        self._clock = clock
        self._boot = boot
        self._started = started
        self._outputs = outputs
        self._buses = buses
        self._uplinks = uplinks
        self._outbox = outbox
        self._counters = counters
        self._not_ready = not_ready
        self._config_ok = config_ok
        self._config_loaded_wall_ms = config_loaded_wall_ms

    def take(self) -> AgentView:
        """Return the agent as it is now."""
        engine = self._engine
        counters = self._counters()
        return AgentView(
            at=self._clock.stamp(),
            version=VERSION,
            boot=self._boot,
            started=self._started,
            site=self._site,
            points=tuple(self._point(spec) for spec in self._site.points),
            alarms=engine.alarms(),
            orders=engine.standing_orders(),
            outputs=tuple(self._outputs()),
            buses=tuple(stats() for stats in self._buses),
            uplinks=tuple(stats() for stats in self._uplinks),
            outbox=self._outbox(),
            transitions=engine.transitions(),
            readings=int(counters["readings"]),
            dropped_readings=int(counters["dropped_readings"]),
            loop_lag_s=counters["loop_lag_s"],
            config_ok=self._config_ok(),
            config_loaded_wall_ms=self._config_loaded_wall_ms,
            not_ready=tuple(self._not_ready()),
        )

    def _point(self, spec: PointSpec) -> PointView:
        last_good = self._engine.last_good(spec.id)
        return PointView(
            spec=spec,
            reading=self._engine.reading(spec.id),
            last_good_wall_ms=None if last_good is None else last_good.at.wall_ms,
            last_good=last_good,
        )
