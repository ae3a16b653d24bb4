"""From models to the specs that the drivers, the core and the shell are built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from agent.config.builtin import NEVER_S, PROOF_S, builtin_points, builtin_rules
from agent.config.catalogue import Catalogue, Measured
from agent.config.check_conditions import leaves
from agent.config.check_outputs import on_off_of, pulse_coil_of
from agent.config.check_rules import LATCHED, rule_zone
from agent.config.check_wires import poll_period_s
from agent.config.conditions import condition_spec
from agent.config.model_base import TelemetryModel
from agent.config.model_outputs import OutputModel
from agent.config.model_rules import RuleModel
from agent.config.model_site import TlsModel, UplinkModel
from agent.config.model_wires import (
    DeviceModel,
    GpioBusModel,
    SerialBusModel,
    TcpBusModel,
)
from agent.config.outputs import key_specs, linkage_specs, output_rules, output_specs
from agent.core.spec import (
    AlarmClass,
    DerivedSpec,
    OutputKind,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
)
from agent.outputs import StopState
from agent.uplink.spec import CommandsSpec, Protocol, SinkName, TlsSpec, UplinkSpec
from drivers.gpio.spec import CounterSpec, GpioBusSpec, InputSpec, LineSpec
from drivers.modbus.spec import (
    CoilOutputSpec,
    DeviceSpec,
    ModbusBusSpec,
    PollClass,
    PulseOutputSpec,
    QuantitySpec,
    RegisterOutputSpec,
    SerialPort,
    TcpPort,
)
from drivers.modbus.spec import OutputSpec as ModbusOutputSpec

_MISSED_POLLS = 3
"""A point is stale after this many polls without a reading, and not before PROOF_S."""


_PER_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0}


# -- the core --------------------------------------------------------------------------------------


def site_spec(catalogue: Catalogue) -> SiteSpec:
    """Return what the core knows of the site, built-in points and fault rules included."""
    site = catalogue.site
    measured = (
        *_input_points(catalogue),
        *_device_points(catalogue),
        *_counter_points(catalogue),
        *_derived_points(catalogue),
    )
    labelled = (*site.zones, *site.devices, *site.buses)
    return SiteSpec(
        site=site.site,
        box=site.box,
        points=(*measured, *builtin_points(catalogue)),
        rules=(
            *_rules(catalogue, measured),
            *builtin_rules(catalogue, measured),
            *output_rules(site),
        ),
        outputs=output_specs(site),
        linkages=linkage_specs(site),
        keys=key_specs(site),
        derived=tuple(_derived(catalogue)),
        inhibit_max_s=site.inhibit_max_h * 3600,
        labels={each.id: each.label.spec() for each in labelled},
    )


def _input_points(catalogue: Catalogue) -> Iterator[PointSpec]:
    for each in catalogue.site.inputs:
        yield PointSpec(
            id=each.id,
            kind=each.kind,
            zone=each.zone or "",
            device=each.bus,
            label=each.label.spec(),
            telemetry=(each.telemetry or TelemetryModel()).spec(),
            stale_after_s=PROOF_S,
            is_contact=True,
        )


def _device_points(catalogue: Catalogue) -> Iterator[PointSpec]:
    buses = {bus.id: bus for bus in catalogue.site.buses if not isinstance(bus, GpioBusModel)}
    urgent = _urgent(catalogue)
    for device in catalogue.site.devices:
        for item in catalogue.by_device[device.id]:
            settings, quantity = item.settings, _polled(item, urgent)
            policy = (settings.telemetry or device.telemetry or TelemetryModel()).spec()
            period_s = poll_period_s(buses[device.bus], quantity.poll_class)
            yield PointSpec(
                id=item.point,
                kind=PointKind(quantity.kind),
                unit=quantity.unit,
                zone=settings.zone or device.zone or "",
                device=device.id,
                label=settings.label.spec(),
                telemetry=policy,
                state_deadband=policy.deadband
                if settings.state_deadband is None
                else settings.state_deadband,
                stale_after_s=settings.stale_after_s or max(PROOF_S, _MISSED_POLLS * period_s),
                is_contact=item.is_contact,
            )


def _counter_points(catalogue: Catalogue) -> Iterator[PointSpec]:
    for each in catalogue.site.counters:
        policy = (each.telemetry or TelemetryModel()).spec()
        yield PointSpec(
            id=each.id,
            kind=PointKind(each.kind),
            unit=each.unit,
            zone=each.zone or "",
            device=each.bus,
            label=each.label.spec(),
            telemetry=policy,
            state_deadband=policy.deadband if each.state_deadband is None else each.state_deadband,
            stale_after_s=PROOF_S,
        )


def _derived_points(catalogue: Catalogue) -> Iterator[PointSpec]:
    for each in catalogue.site.derived:
        policy = (each.telemetry or TelemetryModel()).spec()
        yield PointSpec(
            id=each.id,
            kind=each.kind,
            unit=each.unit,
            zone=catalogue.zone_of(each.id),
            label=each.label.spec(),
            telemetry=policy,
            state_deadband=policy.deadband if each.state_deadband is None else each.state_deadband,
            stale_after_s=NEVER_S,  # it is told bad the moment a source is stale
        )


def _derived(catalogue: Catalogue) -> Iterator[DerivedSpec]:
    counting = (PointKind.COUNT, PointKind.ENERGY)
    for each in catalogue.site.derived:
        yield DerivedSpec(
            point=each.id,
            how=each.how,
            sources=each.sources,
            unit=each.unit,
            window_s=each.window_s or 0.0,
            per_s=_PER_S[each.per or "minute"],
            count=each.n or 0,
            is_counter=catalogue.kind_of(each.sources[0]) in counting,
        )


def _rules(catalogue: Catalogue, points: Iterable[PointSpec]) -> Iterator[RuleSpec]:
    kinds = {point.id: point.kind for point in points}
    site = catalogue.site
    for rule in site.rules:
        needs_ack = rule.alarm_class is not AlarmClass.TECHNICAL
        yield RuleSpec(
            id=rule.id,
            alarm_class=rule.alarm_class,
            condition=condition_spec(rule.when, site.timezone),
            on_delay_s=rule.on_delay_s,
            off_delay_s=rule.off_delay_s,
            is_latched=rule.alarm_class in LATCHED or bool(rule.latch),
            needs_ack=needs_ack if rule.ack is None else rule.ack == "required",
            zone=rule_zone(rule, catalogue),
            label=rule.label.spec(),
            group=rule.group or "",
            realarm_s=rule.realarm_s,
            is_call_point=_is_call_point(rule, kinds),
        )


def _is_call_point(rule: RuleModel, kinds: Mapping[str, PointKind]) -> bool:
    if rule.call_point is not None:
        return rule.call_point
    watched = {leaf.point for leaf, _ in leaves(rule.when)}
    return bool(watched) and all(kinds.get(each) is PointKind.CALL_POINT for each in watched)


# -- buses -----------------------------------------------------------------------------------------


def gpio_specs(catalogue: Catalogue) -> tuple[GpioBusSpec, ...]:
    """Return the GPIO buses with everything on them.

    Every line is claimed de-energised: for a siren that is silence, for a cut-off that drops out it is
    the safe side until the alarm memory is known.
    """
    site = catalogue.site
    return tuple(
        GpioBusSpec(
            id=bus.id,
            chip=bus.chip,
            poll_s=bus.poll_ms / 1000,
            inputs=tuple(
                InputSpec(
                    point=each.id,
                    pin=each.pin,
                    contact=each.contact,
                    pull=each.pull,
                    debounce_s=each.debounce_ms / 1000,
                    pair_pin=each.pair_pin,
                )
                for each in site.inputs
                if each.bus == bus.id
            ),
            counters=tuple(
                CounterSpec(
                    point=each.id,
                    pin=each.pin,
                    contact=each.contact,
                    max_hz=each.max_hz,
                    unit=each.unit,
                    per_pulse=each.per_pulse,
                    pull=each.pull,
                    debounce_s=each.debounce_ms / 1000,
                )
                for each in site.counters
                if each.bus == bus.id
            ),
            outputs=tuple(
                LineSpec(output=each.id, pin=each.pin, active_high=each.active_high)
                for each in site.outputs
                if each.bus == bus.id and each.pin is not None
            ),
        )
        for bus in site.buses
        if isinstance(bus, GpioBusModel)
    )


def modbus_specs(catalogue: Catalogue) -> tuple[ModbusBusSpec, ...]:
    """Return the Modbus buses with everything on them."""
    return tuple(
        _modbus_bus(bus, catalogue)
        for bus in catalogue.site.buses
        if not isinstance(bus, GpioBusModel)
    )


def _modbus_bus(bus: TcpBusModel | SerialBusModel, catalogue: Catalogue) -> ModbusBusSpec:
    urgent = _urgent(catalogue)
    port: TcpPort | SerialPort
    if isinstance(bus, SerialBusModel):
        port = SerialPort(path=bus.port, baud=bus.baud, parity=bus.parity, stop_bits=bus.stop_bits)
    else:
        port = TcpPort(host=bus.host, port=bus.port, rtu=bus.type == "modbus-rtu-tcp")
    return ModbusBusSpec(
        id=bus.id,
        port=port,
        devices=tuple(
            _device(device, catalogue, urgent)
            for device in catalogue.site.devices
            if device.bus == bus.id
        ),
        timeout_s=bus.timeout_ms / 1000,
        settle_s=bus.settle_ms / 1000,
        periods_s={each: poll_period_s(bus, each) for each in PollClass},
        retries=bus.retries,
    )


def _device(device: DeviceModel, catalogue: Catalogue, urgent: frozenset[str]) -> DeviceSpec:
    profile = catalogue.profiles.get(device.id)
    spec = DeviceSpec(
        id=device.id,
        unit=device.unit,
        quantities=tuple(_polled(item, urgent) for item in catalogue.by_device[device.id]),
        outputs=tuple(
            _device_output(output)
            for output in catalogue.site.outputs
            if output.device == device.id
        ),
    )
    if profile is not None:
        spec = replace(
            spec,
            max_registers=profile.max_registers,
            max_gap=profile.max_gap,
            timeout_s=profile.timeout_s,
            gap_s=profile.gap_s,
        )
    if device.max_registers is not None:
        spec = replace(spec, max_registers=device.max_registers)
    if device.max_gap is not None:
        spec = replace(spec, max_gap=device.max_gap)
    if device.timeout_ms is not None:
        spec = replace(spec, timeout_s=device.timeout_ms / 1000)
    if device.gap_ms is not None:
        spec = replace(spec, gap_s=device.gap_ms / 1000)
    return spec


def _device_output(output: OutputModel) -> ModbusOutputSpec:
    if output.coil is None:
        on, off = on_off_of(output)
        return RegisterOutputSpec(
            output=output.id,
            address=output.register_ or 0,
            on=on,
            off=off,
            read_back=output.read_back,
        )
    if output.pulse_ms is None:
        return CoilOutputSpec(output=output.id, address=output.coil)
    return PulseOutputSpec(
        output=output.id,
        address=output.coil,
        pulse_address=pulse_coil_of(output),
        pulse_s=output.pulse_ms / 1000,
    )


def _urgent(catalogue: Catalogue) -> frozenset[str]:
    """Return the points that rules of class fire or gas watch, be it by what is derived of them."""
    return frozenset(
        root
        for rule in catalogue.site.rules
        if rule.alarm_class in LATCHED
        for leaf, _ in leaves(rule.when)
        for root in catalogue.roots(leaf.point)
    )


def _polled(item: Measured, urgent: frozenset[str]) -> QuantitySpec:
    """What a fire or gas rule watches is polled as such, unless the site says otherwise."""
    if item.point in urgent and item.settings.poll is None:
        return replace(item.quantity, poll_class=PollClass.FIRE)
    return item.quantity


# -- outputs and uplinks ---------------------------------------------------------------------------


def line_buses(catalogue: Catalogue) -> dict[str, str]:
    """Return the bus each output is switched through."""
    bus_of = {device.id: device.bus for device in catalogue.site.devices}
    return {
        output.id: output.bus if output.bus is not None else bus_of[output.device or ""]
        for output in catalogue.site.outputs
    }


def stop_states(catalogue: Catalogue) -> dict[str, StopState]:
    """Return what each output is left in at a stop in good order.

    What switches equipment stays as it is (a smoke fan must not stop because an agent is upgraded);
    what makes noise or light falls silent, since a process that is gone could not stop it.
    """
    holding = (OutputKind.CUT_OFF, OutputKind.VALVE, OutputKind.RELAY)
    return {
        output.id: StopState(output.at_stop)
        if output.at_stop is not None
        else StopState.HOLD
        if output.kind in holding
        else StopState.INACTIVE
        for output in catalogue.site.outputs
    }


def uplink_spec(uplink: UplinkModel, box: str, password: str | None, folder: Path) -> UplinkSpec:
    """Return an uplink; relative TLS files begin at `folder`."""
    return UplinkSpec(
        id=uplink.id,
        host=uplink.host,
        port=uplink.port,
        sink=SinkName(uplink.sink),
        root=uplink.root,
        protocol=Protocol(uplink.protocol),
        client_id=uplink.client_id or box,
        username=uplink.username,
        password=password,
        keepalive_s=uplink.keepalive_s,
        max_payload_bytes=uplink.max_payload_kib * 1024,
        telemetry_expiry_s=None
        if uplink.telemetry_expires_h is None
        else max(1, round(uplink.telemetry_expires_h * 3600)),
        tls=None if uplink.tls is None else _tls(uplink.tls, folder),
        commands=CommandsSpec(
            allow=uplink.commands.allow,
            longest_s=uplink.commands.longest_s,
            per_minute=uplink.commands.per_minute,
        ),
    )


def _tls(tls: TlsModel, folder: Path) -> TlsSpec:
    return TlsSpec(
        ca_file=None if tls.ca_file is None else folder / tls.ca_file,
        cert_file=None if tls.cert_file is None else folder / tls.cert_file,
        key_file=None if tls.key_file is None else folder / tls.key_file,
        alpn=tls.alpn,
        warn_days=tls.warn_days,
    )
