"""Lifts, extinguishers, and the supplies everything hangs on."""

from __future__ import annotations

from agent.config.templates.spec import (
    Parameter,
    Pattern,
    Share,
    Sure,
    Takes,
    Template,
    above,
    active,
    below,
    deadband,
    off_delay,
    on_delay,
)
from agent.core.spec import AlarmClass, Label, PointKind

LIFT = Template(
    name="lift",
    label=Label(en="Lift", zh="电梯"),
    takes=(
        Takes(
            name="fault", label=Label(en="out of order", zh="故障"),
            kinds=(PointKind.LIFT,), is_required=False,
        ),
        Takes(
            name="trapped", label=Label(en="person trapped", zh="困人"),
            kinds=(PointKind.LIFT,), is_required=False,
        ),
    ),
    parameters=(
        on_delay(30, "a door that closes again is no fault", name="fault_delay_s"),
        on_delay(5, "told before the person calls", name="trapped_delay_s"),
    ),
    rules=(
        Pattern(
            suffix="fault", alarm_class=AlarmClass.SUPERVISORY, when=active("fault"),
            on_delay_s="$fault_delay_s", label=Label(en="lift out of order", zh="电梯故障"),
        ),
        Pattern(
            suffix="trapped", alarm_class=AlarmClass.SUPERVISORY, when=active("trapped"),
            on_delay_s="$trapped_delay_s", is_latched=True,
            label=Label(en="person trapped", zh="电梯困人"),
        ),
    ),
    note="GB/T 24476 names the states a lift gives. The call button to the rescue service stays as it is.",
)  # fmt: skip

EXTINGUISHER = Template(
    name="extinguisher",
    label=Label(en="Extinguisher pressure", zh="灭火器压力"),
    takes=(
        Takes(label=Label(en="pressure", zh="压力"), kinds=(PointKind.PRESSURE,), unit="kPa"),
    ),
    parameters=(
        Parameter(
            name="low_kpa", label=Label(en="low below", zh="低压"), unit="kPa", low=100, high=20_000,
            of="point", is_required=True, source="lower end of the green band on its gauge",
        ),
        Parameter(
            name="high_kpa", label=Label(en="high above", zh="高压"), unit="kPa", low=100,
            high=30_000, of="point",
            source="upper end of the green band; left out: no high alarm",
        ),
        deadband("deadband_kpa", "kPa", 20, 500),
        on_delay(60, "an extinguisher loses pressure slowly"),
        off_delay(60),
    ),
    ascending=(("low_kpa", "high_kpa"),),
    rules=(
        Pattern(
            suffix="low", alarm_class=AlarmClass.SUPERVISORY,
            when=below("low_kpa", "deadband_kpa"),
            on_delay_s="$on_delay_s", off_delay_s="$off_delay_s",
            label=Label(en="low", zh="过低"),
        ),
        Pattern(
            suffix="high", alarm_class=AlarmClass.SUPERVISORY,
            when=above("high_kpa", "deadband_kpa"),
            on_delay_s="$on_delay_s", off_delay_s="$off_delay_s",
            label=Label(en="high", zh="过高"),
        ),
    ),
)  # fmt: skip

POWER = Template(
    name="power",
    label=Label(en="Mains and battery", zh="主电与备电"),
    takes=(
        Takes(
            name="mains", label=Label(en="mains lost", zh="主电故障"),
            kinds=(PointKind.MAINS,), is_required=False,
        ),
        Takes(
            name="battery", label=Label(en="battery at fault", zh="备电故障"),
            kinds=(PointKind.MAINS, PointKind.FEEDBACK), is_required=False,
        ),
        Takes(
            name="voltage", label=Label(en="battery voltage", zh="电池电压"),
            kinds=(PointKind.VOLTAGE,), unit="V", is_required=False,
        ),
    ),
    parameters=(
        on_delay(2, "a dip of the mains is no loss", name="mains_delay_s"),
        on_delay(10, "a battery takes a moment to be charged again", name="battery_delay_s"),
        Parameter(
            name="nominal_v", label=Label(en="nominal voltage", zh="标称电压"), unit="V", low=6,
            high=120, of="voltage", source="the battery's plate; needed with `voltage`",
        ),
        Parameter(
            name="low_v", label=Label(en="battery low below", zh="电池欠压"), unit="V", low=5,
            high=120, default=Share(of="nominal_v", factor=0.9), of="voltage",
            source="lead acid, 10.8 V of 12 V: what is left is little", sure=Sure.UNVERIFIED,
        ),
        deadband("deadband_v", "V", 0.5, 5, of="voltage"),
    ),
    ascending=(("low_v", "nominal_v"),),
    rules=(
        Pattern(
            suffix="mains", alarm_class=AlarmClass.FAULT, when=active("mains"),
            on_delay_s="$mains_delay_s", label=Label(en="mains lost", zh="主电故障"),
        ),
        Pattern(
            suffix="battery", alarm_class=AlarmClass.FAULT, when=active("battery"),
            on_delay_s="$battery_delay_s", label=Label(en="battery at fault", zh="备电故障"),
        ),
        Pattern(
            suffix="battery-low", alarm_class=AlarmClass.FAULT,
            when=below("low_v", "deadband_v", "voltage"), on_delay_s="$battery_delay_s",
            label=Label(en="battery low", zh="电池欠压"),
        ),
    ),
)  # fmt: skip
