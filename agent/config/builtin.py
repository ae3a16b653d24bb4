"""The points and fault rules every site has without asking: silence never looks like normal.

Points: `<id>.online` of each bus and device, `<output>.health`, `box.<part>`. Rules: `fault.<what>`
for each of them and for each measured point, hidden (`suppressed_by`) while the thing it hangs on is
itself in fault. A parent's delay is shorter than its children's, so that one dead bus is one fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.config.catalogue import Catalogue
from agent.config.model_site import UplinkModel
from agent.config.model_wires import FaultsModel
from agent.core.spec import (
    AlarmClass,
    AnyOf,
    Condition,
    Contact,
    DerivedHow,
    Label,
    PointKind,
    PointSpec,
    RuleSpec,
    TelemetryMode,
    TelemetryPolicy,
    Unheard,
)
from agent.outputs import state_point
from drivers.base import online_point

PROOF_S = 15.0
"""Online and health points are told again every 5 s at most (drivers, outputs); three missed is stale."""

NEVER_S = 1e9
"""The agent's own parts speak when something changes: their health does not age."""

BUS_SHARE, DEVICE_SHARE = 0.1, 0.3
"""Parts of `faults.after_s` that a bus and a device may be away before it is a fault: with the 3 s a device
is given before it counts as offline (drivers.modbus.spec), both come before their points do."""

AFTER_SOURCES_S = 1.0
"""How much later than its sources a derived point is a fault, so that theirs hides it."""

CLOCK_AFTER_S = 60.0
"""A Pi boots without a clock; time synchronisation is given this long (design section 6)."""

_PARTS = {
    "box.pipeline": Label(en="Pipeline", zh="处理管线"),
    "box.outbox": Label(en="Outbox", zh="本地存储"),
    "box.clock": Label(en="Clock", zh="时钟"),
    "box.config": Label(en="Configuration", zh="配置"),
    "box.page": Label(en="Local page", zh="本地页面"),
}

_QUIET = TelemetryPolicy(mode=TelemetryMode.CHANGE, interval_s=3600.0)
"""Health is telemetry when it changes, and once an hour."""


def builtin_points(catalogue: Catalogue) -> Iterator[PointSpec]:
    """Yield the points that are there without being configured."""
    site = catalogue.site
    for bus in site.buses:
        yield _contact(online_point(bus.id), PointKind.ONLINE, bus.label.spec(), device=bus.id)
    for device in site.devices:
        yield _contact(
            online_point(device.id),
            PointKind.ONLINE,
            device.label.spec(),
            device=device.id,
            zone=device.zone or "",
        )
    for output in site.outputs:
        yield _contact(
            f"{output.id}.health",
            PointKind.HEALTH,
            output.label.spec(),
            device=output.device or output.bus or "",
            zone=output.zone or "",
        )
        if output.feedback is not None:
            yield _contact(
                state_point(output.id),
                PointKind.FEEDBACK,
                output.label.spec(),
                device=output.device or output.bus or "",
                zone=output.zone or "",
            )
    for point, label in _PARTS.items():
        yield _contact(point, PointKind.HEALTH, label, stale_after_s=NEVER_S)
    for uplink in site.uplinks:
        label = Label(en=f"Uplink {uplink.id}", zh=f"上行 {uplink.id}")
        yield _contact(f"box.uplink-{uplink.id}", PointKind.HEALTH, label, stale_after_s=NEVER_S)
        if uplink.tls is not None:
            point = f"box.certificate-{uplink.id}"
            yield _contact(point, PointKind.HEALTH, _certificate(uplink), stale_after_s=NEVER_S)


def _contact(
    point: str,
    kind: PointKind,
    label: Label,
    *,
    device: str = "",
    zone: str = "",
    stale_after_s: float = PROOF_S,
) -> PointSpec:
    return PointSpec(
        id=point,
        kind=kind,
        zone=zone,
        device=device,
        label=label,
        telemetry=_QUIET,
        stale_after_s=stale_after_s,
        is_contact=True,
    )


def builtin_rules(catalogue: Catalogue, measured: Iterable[PointSpec]) -> Iterator[RuleSpec]:
    """Yield the fault rules, parents before children. `measured` are the site's own points."""
    site = catalogue.site
    settings = site.faults
    for bus in site.buses:
        yield _rule(
            settings,
            bus.id,
            _away(online_point(bus.id)),
            after_s=settings.after_s * BUS_SHARE,
            label=_told(bus.label.spec(), bus.id, "does not answer", "无应答"),
        )
    for device in site.devices:
        yield _rule(
            settings,
            device.id,
            _away(online_point(device.id)),
            after_s=settings.after_s * DEVICE_SHARE,
            label=_told(device.label.spec(), device.id, "does not answer", "无应答"),
            zone=device.zone or "",
            under=(device.bus,),
        )
    opted_out = _opted_out(catalogue)
    for point in measured:
        if point.id not in opted_out:
            yield _rule(
                settings,
                point.id,
                Unheard(point=point.id),
                after_s=settings.after_s + _later_s(catalogue, point.id),
                label=_told(point.label, point.id, "has no valid reading", "无有效读数"),
                zone=point.zone,
                under=_behind(catalogue, point.id, opted_out)
                if point.id in catalogue.derived
                else _above(catalogue, point.device),
            )
    for output in site.outputs:
        health = f"{output.id}.health"
        on_pin = output.device is None
        yield _rule(
            settings,
            health,
            _away(health),
            after_s=settings.after_s * (DEVICE_SHARE if on_pin else 1.0),
            label=_told(output.label.spec(), output.id, "does not obey", "动作失败"),
            zone=output.zone or "",
            under=_above(catalogue, output.device or output.bus or ""),
        )
    yield from _box_rules(catalogue)


def _box_rules(catalogue: Catalogue) -> Iterator[RuleSpec]:
    settings = catalogue.site.faults
    for point, label in _PARTS.items():
        is_clock = point == "box.clock"
        yield RuleSpec(
            id=f"fault.{point}",
            alarm_class=AlarmClass.TECHNICAL if is_clock else AlarmClass(settings.alarm_class),
            condition=Contact(point=point, is_active=False),
            on_delay_s=CLOCK_AFTER_S if is_clock else 0.0,
            needs_ack=not is_clock and settings.ack == "required",
            label=_told(label, point, "is not well", "异常"),
        )
    for uplink in catalogue.site.uplinks:
        point = f"box.uplink-{uplink.id}"
        yield _rule(
            settings,
            point,
            _away(point),
            after_s=settings.after_s,
            label=Label(en=f"Uplink {uplink.id} is down", zh=f"上行 {uplink.id} 中断"),
        )
        if uplink.tls is not None:
            point = f"box.certificate-{uplink.id}"
            yield RuleSpec(
                id=f"fault.{point}",
                alarm_class=AlarmClass(settings.alarm_class),
                condition=Contact(point=point, is_active=False),
                needs_ack=settings.ack == "required",
                label=_told(_certificate(uplink), point, "ends soon", "即将到期"),
            )


def _certificate(uplink: UplinkModel) -> Label:
    return Label(en=f"Certificate of uplink {uplink.id}", zh=f"上行 {uplink.id} 证书")


def _away(point: str) -> Condition:
    """Told that it is away, or told nothing: neither is peace."""
    return AnyOf(parts=(Contact(point=point, is_active=False), Unheard(point=point)))


def _rule(
    settings: FaultsModel,
    watched: str,
    condition: Condition,
    *,
    after_s: float,
    label: Label,
    zone: str = "",
    under: tuple[str, ...] = (),
) -> RuleSpec:
    return RuleSpec(
        id=f"fault.{watched}",
        alarm_class=AlarmClass(settings.alarm_class),
        condition=condition,
        on_delay_s=after_s,
        needs_ack=settings.ack == "required",
        zone=zone,
        label=label,
        suppressed_by=tuple(f"fault.{parent}" for parent in under),
    )


def _above(catalogue: Catalogue, source: str) -> tuple[str, ...]:
    """Return what hangs above a point or output of `source`: the device and its bus, or the bus."""
    device = next((each for each in catalogue.site.devices if each.id == source), None)
    return (source,) if device is None else (source, device.bus)


def _behind(catalogue: Catalogue, point: str, opted_out: frozenset[str]) -> tuple[str, ...]:
    """Return what a derived point hangs on: its sources, and what those hang on."""
    found = [each for each in catalogue.derived[point].sources if each not in opted_out]
    for root in sorted(catalogue.roots(point)):
        if root in catalogue.inputs:
            found += _above(catalogue, catalogue.inputs[root].bus)
        elif root in catalogue.counters:
            found += _above(catalogue, catalogue.counters[root].bus)
        elif root in catalogue.measured:
            found += _above(catalogue, catalogue.measured[root].device.id)
    return tuple(dict.fromkeys(found))


def _later_s(catalogue: Catalogue, point: str) -> float:
    """Return how much later than others a point is a fault: a derived one after its sources.

    A rate tells nothing before half its window is known (agent.core.derived): after a start that is
    no fault. A source that is silent is one in its own time.
    """
    derived = catalogue.derived.get(point)
    if derived is None:
        return 0.0
    fills_s = (derived.window_s or 0.0) / 2 if derived.how is DerivedHow.RATE else 0.0
    deepest_s = max((_later_s(catalogue, each) for each in derived.sources), default=0.0)
    return AFTER_SOURCES_S + fills_s + deepest_s


def _opted_out(catalogue: Catalogue) -> frozenset[str]:
    return frozenset(
        [each.id for each in catalogue.site.inputs if each.fault == "off"]
        + [item.point for item in catalogue.measured.values() if item.settings.fault == "off"]
        + [each.id for each in catalogue.counters.values() if each.fault == "off"]
        + [each.id for each in catalogue.derived.values() if each.fault == "off"]
    )


def _told(label: Label, name: str, en: str, zh: str) -> Label:
    return Label(en=f"{label.en or name} {en}", zh=f"{label.zh or label.en or name}{zh}")
