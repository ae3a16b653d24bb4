"""Sites, readings and records that the tests of this room send."""

from __future__ import annotations

from agent.core.effects import AlarmState, AlarmView, Event, EventKind
from agent.core.spec import (
    AlarmClass,
    AllOf,
    Contact,
    Label,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    Side,
    SiteSpec,
    Threshold,
)
from agent.outbox.records import Batch, EventRecord
from drivers.clock import ClockState, Stamp
from drivers.reading import Quality, Reading, Value

BOOT = "0d8f6f0e-boot"
T0 = 1_750_000_000_000

SITE = SiteSpec(
    site="riverside",
    box="b1",
    points=(
        PointSpec(
            id="hydrant.pressure",
            kind=PointKind.PRESSURE,
            unit="kPa",
            zone="b1-pump",
            device="hydrant",
            label=Label(en="Hydrant pressure", zh="消火栓压力"),
        ),
        PointSpec(id="shed.smoke", kind=PointKind.SMOKE, zone="shed", is_contact=True),
    ),
    rules=(
        RuleSpec(
            id="shed-fire",
            alarm_class=AlarmClass.FIRE,
            condition=AllOf(
                parts=(
                    Contact(point="shed.smoke"),
                    Threshold(point="hydrant.pressure", side=Side.BELOW, limit=100.0),
                )
            ),
            is_latched=True,
            zone="shed",
            label=Label(en="Smoke in the shed", zh="车棚烟雾"),
        ),
    ),
    outputs=(OutputSpec(id="siren", kind=OutputKind.SIREN, zone="shed"),),
    labels={"shed": Label(en="Shed", zh="车棚")},
)


def stamp(mono_s: float = 1000.0, clock: ClockState = ClockState.SYNCED) -> Stamp:
    return Stamp(mono_s, T0 + round((mono_s - 1000) * 1000), clock)


def reading(
    value: Value | None = 412.5,
    *,
    point: str = "hydrant.pressure",
    quality: Quality = Quality.GOOD,
    unit: str = "kPa",
    mono_s: float = 1000.0,
    reason: str = "",
) -> Reading:
    return Reading(
        point=point, value=value, quality=quality, unit=unit, at=stamp(mono_s), reason=reason
    )


def batch(
    seq: int,
    *,
    count: int = 2,
    stream: str = "t1",
    mono_s: float = 1000.0,
    values: tuple[Value, ...] = (),
) -> Batch:
    values = values or tuple(float(seq * 1000 + n) for n in range(count))
    return Batch(
        stream=stream,
        seq=seq,
        boot=BOOT,
        clock=ClockState.SYNCED,
        readings=tuple(reading(each, mono_s=mono_s) for each in values),
    )


def event(
    seq: int,
    *,
    subject: str = "shed-fire",
    stream: str = "e1",
    mono_s: float = 1000.0,
    is_test: bool = False,
    detail: dict[str, str | int | float | bool | None] | None = None,
    kind: EventKind = EventKind.ALARM,
) -> EventRecord:
    return EventRecord(
        id=f"0197c4f0-0000-7000-8000-{seq:012x}",
        stream=stream,
        seq=seq,
        boot=BOOT,
        event=Event(
            kind=kind,
            subject=subject,
            at=stamp(mono_s),
            alarm_class=AlarmClass.FIRE,
            is_test=is_test,
            rule=subject,
            point="shed.smoke",
            from_state="normal",
            to_state="active_unacked",
            is_acked=False,
            value=True,
            quality=Quality.GOOD,
            zone="shed",
            detail=detail or {},
        ),
    )


def alarm(state: AlarmState = AlarmState.ACTIVE_UNACKED) -> AlarmView:
    return AlarmView(
        rule="shed-fire",
        alarm_class=AlarmClass.FIRE,
        state=state,
        since=stamp(),
        point="shed.smoke",
        value=True,
        unit="",
        quality=Quality.GOOD,
        zone="shed",
        is_latched=True,
        actor="guard",
        is_inhibited=True,
        inhibited_left_s=12.5,
        inhibited_by="lin",
        is_test=True,
        is_first_out=True,
        is_chattering=True,
        group="shed",
    )
