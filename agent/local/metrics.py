"""The agent as Prometheus sees it: one exposition per scrape, built from one view.

Names after docs/design.md section 9. Values appear only while they are good or uncertain, in base
units; times are stamps, not ages; what is known to exist starts at 0. A part that fails is named by
`plantroom_scrape_errors` and takes none of the others with it. When the agent's loop does not
answer there is no view: then `plantroom_agent_responding` is 0 and nothing else is claimed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from agent.core.effects import AlarmState
from agent.core.spec import AlarmClass
from agent.local.summary import quality_of
from agent.local.units import conversion_of
from agent.local.view import AgentView, PointView
from agent.outbox.records import Lane
from drivers.clock import ClockState
from drivers.reading import Quality

_log = logging.getLogger(__name__)

FAILURE_REASONS = ("timeout", "bad reply", "exception", "port")
"""drivers.base.DeviceStats.failures."""

DROP_REASONS = ("overflow", "damage")
"""agent.outbox.records.LaneStats.dropped."""

_MEASURED = frozenset({Quality.GOOD, Quality.UNCERTAIN})


def expose(view: AgentView | None, accept: str = "") -> tuple[bytes, str]:
    """Return the exposition and its content type; `view` None: the agent's loop did not answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ViewCollector(view))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class ViewCollector(Collector):
    """Turns one view into metric families; never raises."""

    def __init__(self, view: AgentView | None) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Yield every family of every part that can be told."""
        yield _gauge(
            "agent_responding",
            "Whether the agent's loop answered this scrape.",
            float(self._view is not None),
        )
        if self._view is None:
            return
        errors = GaugeMetricFamily(
            "plantroom_scrape_errors", "Whether a part of this scrape failed.", labels=["part"]
        )
        for part, tell in PARTS.items():
            try:
                families = list(tell(self._view))
            except Exception as error:  # noqa: BLE001 - whatever it is, the rest must still be told
                _log.debug("metrics part %s failed: %r", part, error)
                errors.add_metric([part], 1.0)
            else:
                errors.add_metric([part], 0.0)
                yield from families
        yield errors


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"plantroom_{name}", text, value=value)


def _gauges(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"plantroom_{name}", text, labels=labels)


def _count(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"plantroom_{name}", text, value=value)


def _counts(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"plantroom_{name}", text, labels=labels)


def _box(view: AgentView) -> Iterable[Metric]:
    build = _gauges("build_info", "Version and place of this box.", "version", "site", "box")
    build.add_metric([view.version, view.site.site, view.site.box], 1.0)
    yield build
    yield _gauge(
        "ready", "Whether the agent is ready; /readyz says why not.", float(not view.not_ready)
    )
    yield _gauge(
        "clock_synchronized",
        "Whether the wall clock was set from the network since boot.",
        float(view.at.clock is ClockState.SYNCED),
    )
    yield _gauge(
        "event_loop_lag_seconds", "How late the agent's loop runs its timers.", view.loop_lag_s
    )
    yield _gauge(
        "config_last_reload_successful",
        "Whether the configuration on disk is the one that runs.",
        float(view.config_ok),
    )
    yield _gauge(
        "config_last_reload_success_timestamp_seconds",
        "When the running configuration was loaded.",
        view.config_loaded_wall_ms / 1000,
    )
    yield _count("readings", "Readings processed.", view.readings)
    yield _count(
        "readings_dropped", "Readings dropped because the queue was full.", view.dropped_readings
    )


def _points(view: AgentView) -> Iterable[Metric]:
    info = _gauges("point_info", "What a point is.", "point", "kind", "fire_zone", "device", "unit")
    good = _gauges(
        "point_good", "Whether a point's value can be trusted now.", "point", "fire_zone"
    )
    success = _gauges(
        "point_last_success_timestamp_seconds",
        "When a point was last good; absent before the first time.",
        "point",
        "fire_zone",
    )
    for point in view.points:
        spec = point.spec
        info.add_metric([spec.id, spec.kind, spec.zone, spec.device, spec.unit], 1.0)
        quality = quality_of(point, view.at)
        good.add_metric([spec.id, spec.zone], float(quality is Quality.GOOD))
        if point.last_good_wall_ms is not None:
            success.add_metric([spec.id, spec.zone], point.last_good_wall_ms / 1000)
    yield from (info, good, success)


def _values(view: AgentView) -> Iterable[Metric]:
    families: dict[str, GaugeMetricFamily] = {}

    def add(name: str, text: str, value: float, **labels: str) -> None:
        family = families.get(name)
        if family is None:
            family = families[name] = _gauges(name, text, *labels)
        family.add_metric(tuple(labels.values()), value)

    for point in view.points:
        if quality_of(point, view.at) in _MEASURED:
            _add_value(point, add)
    yield from families.values()


def _add_value(point: PointView, add: Callable[..., None]) -> None:
    reading, spec = point.reading, point.spec
    if reading is None or reading.value is None:
        return
    value, place = reading.value, {"point": spec.id, "fire_zone": spec.zone}
    if isinstance(value, bool):
        add("contact_active", "Whether a contact is in its active position.", float(value), **place)
    elif isinstance(value, str):
        add("point_state", "The state a point tells in words.", 1.0, **place, state=value)
    elif math.isfinite(value):
        known = conversion_of(spec.kind, reading.unit or spec.unit)
        if known is None:
            text = "A value whose unit has no metric of its own, as it is in the label `unit`."
            add("point_value", text, float(value), **place, unit=reading.unit or spec.unit)
        else:
            add(known.name, known.help, value * known.factor, **place)


def _alarms(view: AgentView) -> Iterable[Metric]:
    labels = ("rule", "class", "fire_zone")
    standing = _gauges("alarm_standing", "Whether an alarm is in any state but normal.", *labels)
    active = _gauges("alarm_active", "Whether the condition of an alarm holds.", *labels)
    unacked = _gauges("alarm_unacknowledged", "Whether an alarm waits for a person.", *labels)
    suppressed = _gauges("alarm_suppressed", "Whether a parent fault hides an alarm.", *labels)
    silenced = _gauges("alarm_silenced", "Whether a person silenced an alarm's sounders.", *labels)
    unknown = _gauges("alarm_unknown", "Whether an alarm's condition cannot be told.", *labels)
    inhibited = _gauges("alarm_inhibited", "Whether a person took an alarm out.", *labels)
    test = _gauges(
        "alarm_test",
        "Whether an alarm was raised in a drill; it counts as no alarm elsewhere.",
        *labels,
    )
    chattering = _gauges("alarm_chattering", "Whether an alarm comes and goes too often.", *labels)
    since = _gauges(
        "alarm_state_since_timestamp_seconds", "When an alarm came into its state.", *labels
    )
    for alarm in view.alarms:
        place = (alarm.rule, alarm.alarm_class, alarm.zone)
        is_real = not alarm.is_test  # a drill never leaves as an alarm
        standing.add_metric(place, float(is_real and alarm.state is not AlarmState.NORMAL))
        active.add_metric(place, float(is_real and alarm.state.is_active))
        unacked.add_metric(place, float(is_real and not alarm.state.is_acked))
        inhibited.add_metric(place, float(alarm.is_inhibited))
        test.add_metric(place, float(alarm.is_test))
        chattering.add_metric(place, float(alarm.is_chattering))
        suppressed.add_metric(place, float(alarm.is_suppressed))
        silenced.add_metric(place, float(alarm.is_silenced))
        unknown.add_metric(place, float(alarm.is_unknown))
        since.add_metric(place, alarm.since.wall_ms / 1000)
    yield from (standing, active, unacked, suppressed, silenced, unknown, since)
    yield from (inhibited, test, chattering)
    transitions = _counts("alarm_transitions", "States entered by alarms.", "class", "to")
    known = {(each, str(state)): 0 for each in AlarmClass for state in AlarmState}
    for (each, to), count in (known | view.transitions).items():
        transitions.add_metric((each, to), count)
    yield transitions


def _orders(view: AgentView) -> Iterable[Metric]:
    orders = view.orders
    yield _gauge("drill_running", "Whether a drill runs.", float(orders.drill_left_s is not None))
    yield _gauge(
        "linkage_manual",
        "Whether linkage to equipment waits for a person.",
        float(orders.is_manual),
    )
    yield _gauge("output_testing", "Whether an output is being tested.", float(orders.is_testing))
    cut = _gauges("output_cut", "Whether an output waits for a person to restore it.", "output")
    for output in view.site.outputs:
        cut.add_metric([output.id], float(output.id in orders.cut))
    yield cut


def _outputs(view: AgentView) -> Iterable[Metric]:
    labels = ("output", "kind", "fire_zone")
    demanded = _gauges("output_demanded", "Whether an output is asked to be active.", *labels)
    active = _gauges("output_active", "Whether an output is active, as read back.", *labels)
    readable = _gauges("output_readable", "Whether an output could be read back.", *labels)
    fault = _gauges("output_fault", "Whether an output is at fault.", *labels)
    failures = _counts("output_failures", "Times an output did not do as asked.", *labels)
    for output in view.outputs:
        place = (output.spec.id, output.spec.kind, output.spec.zone)
        demanded.add_metric(place, float(output.is_demanded))
        readable.add_metric(place, float(output.is_active is not None))
        if output.is_active is not None:
            active.add_metric(place, float(output.is_active))
        fault.add_metric(place, float(bool(output.fault)))
        failures.add_metric(place, output.failures)
    yield from (demanded, active, readable, fault, failures)


def _buses(view: AgentView) -> Iterable[Metric]:
    bus_up = _gauges("bus_up", "Whether a bus can be used.", "bus", "kind")
    late = _counts("poll_late", "Polls skipped because the one before still ran.", "bus")
    duration = HistogramMetricFamily(
        "plantroom_poll_duration_seconds", "How long requests took.", labels=["bus"]
    )
    device_up = _gauges("device_up", "Whether a device answers.", "device", "bus")
    requests = _counts("poll_requests", "Requests to a device.", "device", "bus")
    failures = _counts(
        "poll_failures", "Requests without a usable answer.", "device", "bus", "reason"
    )
    success = _gauges(
        "device_last_success_timestamp_seconds",
        "When a device last answered; absent before the first time.",
        "device",
        "bus",
    )
    for bus in view.buses:
        bus_up.add_metric((bus.id, bus.kind), float(bus.online))
        late.add_metric((bus.id,), bus.late_polls)
        if bus.transaction_buckets_s:
            buckets = [(_bound(bound_s), count) for bound_s, count in bus.transaction_buckets_s]
            if buckets[-1][0] != "+Inf":
                buckets.append(("+Inf", buckets[-1][1]))
            duration.add_metric((bus.id,), buckets, bus.transaction_sum_s)
        for device in bus.devices:
            place = (device.id, device.bus)
            device_up.add_metric(place, float(device.online))
            requests.add_metric(place, device.requests)
            for reason, count in (dict.fromkeys(FAILURE_REASONS, 0) | device.failures).items():
                failures.add_metric((*place, reason), count)
            if device.last_success_wall_ms is not None:
                success.add_metric(place, device.last_success_wall_ms / 1000)
    yield from (bus_up, late, duration, device_up, requests, failures, success)


def _bound(bound_s: float) -> str:
    return "+Inf" if math.isinf(bound_s) else repr(float(bound_s))


def _uplinks(view: AgentView) -> Iterable[Metric]:
    info = _gauges("uplink_info", "Where an uplink leads.", "uplink", "broker")
    connected = _gauges("mqtt_connected", "Whether an uplink is connected.", "uplink")
    connects = _counts("mqtt_connects", "Connections made.", "uplink")
    publishes = _counts("mqtt_publishes", "Messages sent.", "uplink")
    failures = _counts(
        "mqtt_publish_failures", "Messages refused or lost with a connection.", "uplink"
    )
    puback = _gauges(
        "mqtt_last_puback_timestamp_seconds",
        "When the broker last took a message; absent before the first time.",
        "uplink",
    )
    certificate = _gauges(
        "mqtt_certificate_end_timestamp_seconds",
        "When the first certificate of an uplink ends: the broker's, the box's or their authority's.",
        "uplink",
    )
    for uplink in view.uplinks:
        place = (uplink.id,)
        if uplink.certificate_ends_wall_ms is not None:
            certificate.add_metric(place, uplink.certificate_ends_wall_ms / 1000)
        info.add_metric((uplink.id, uplink.broker), 1.0)
        connected.add_metric(place, float(uplink.is_connected))
        connects.add_metric(place, uplink.connects)
        publishes.add_metric(place, uplink.publishes)
        failures.add_metric(place, uplink.publish_failures)
        if uplink.last_puback_wall_ms is not None:
            puback.add_metric(place, uplink.last_puback_wall_ms / 1000)
    yield from (info, connected, connects, publishes, failures, puback, certificate)


def _outbox(view: AgentView) -> Iterable[Metric]:
    outbox = view.outbox
    up = outbox is not None and outbox.is_writable
    yield _gauge("outbox_writable", "Whether records reach the disk.", float(up))
    if outbox is None:
        return
    records = _gauges("outbox_records", "Records not yet taken by every uplink.", "lane")
    size = _gauges("outbox_bytes", "Bytes on disk.", "lane")
    oldest = _gauges(
        "outbox_oldest_timestamp_seconds", "Oldest unsent record; absent when none.", "lane"
    )
    dropped = _counts("outbox_dropped", "Records given up.", "lane", "reason")
    lanes = {stats.lane: stats for stats in outbox.lanes}
    for lane in Lane:
        known = dict.fromkeys(DROP_REASONS, 0)
        if (stats := lanes.get(lane)) is not None:
            records.add_metric((lane,), stats.records)
            size.add_metric((lane,), stats.bytes_on_disk)
            if stats.oldest_wall_ms is not None:
                oldest.add_metric((lane,), stats.oldest_wall_ms / 1000)
            known |= stats.dropped
        for reason, count in known.items():
            dropped.add_metric((lane, reason), count)
    yield from (records, size, oldest, dropped)
    yield _count("outbox_commits", "Groups of records made durable.", outbox.commits)
    yield _count("outbox_written_bytes", "Bytes written to disk.", outbox.bytes_written)
    yield _count("outbox_write_failures", "Writes the disk refused.", outbox.write_failures)
    beyond = "Records sent beyond what may come twice after a cut, as the disk was stuck."
    yield _count("outbox_beyond_window", beyond, outbox.beyond_window)
    yield _gauge(
        "outbox_written_today_bytes", "Bytes written since midnight UTC.", outbox.bytes_today
    )
    if outbox.outage_days is not None:
        days = "Outage that telemetry has room for at the present rate."
        yield _gauge("outbox_outage_room_seconds", days, outbox.outage_days * 86_400)
    unsent = _gauges("outbox_unsent_records", "Records an uplink has not delivered.", "uplink")
    for uplink, count in outbox.unsent_by_uplink.items():
        unsent.add_metric((uplink,), count)
    yield unsent


PARTS = MappingProxyType(
    {
        "box": _box,
        "points": _points,
        "values": _values,
        "alarms": _alarms,
        "orders": _orders,
        "outputs": _outputs,
        "buses": _buses,
        "uplinks": _uplinks,
        "outbox": _outbox,
    }
)
"""Name of each part, as in the label `part`, and what tells it."""
