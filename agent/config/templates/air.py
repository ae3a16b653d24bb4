"""Gas, and the air of rooms."""

from __future__ import annotations

from agent.config.templates.fire import SENSED
from agent.config.templates.spec import (
    Parameter,
    Pattern,
    Sure,
    Takes,
    Template,
    above,
    below,
    deadband,
    off_delay,
    on_delay,
)
from agent.core.spec import AlarmClass, Label, PointKind


def _gas(
    name: str, label: Label, unit: str, levels: tuple[float, float], most: tuple[float, float],
    source: str,
) -> Template:  # fmt: skip
    ending = {"%LEL": "lel", "ppm": "ppm"}[unit]
    first, second = f"level_1_{ending}", f"level_2_{ending}"
    return Template(
        name=name,
        label=label,
        takes=(Takes(label=Label(en="gas", zh="气体浓度"), kinds=(PointKind.GAS,), unit=unit),),
        parameters=(
            Parameter(
                name=first, label=Label(en="level 1 above", zh="一级报警"), unit=unit, low=1,
                high=most[0], default=levels[0], of="point", source=source, sure=Sure.WEAK,
            ),
            Parameter(
                name=second, label=Label(en="level 2 above", zh="二级报警"), unit=unit, low=1,
                high=most[1], default=levels[1], of="point", source=source, sure=Sure.WEAK,
            ),
            deadband(f"deadband_{ending}", unit, 2, 20),
            on_delay(0, "gas is told at once"),
        ),
        ascending=((first, second),),
        rules=(
            Pattern(
                suffix="1",
                alarm_class=AlarmClass.GAS,
                when=above(first, f"deadband_{ending}"),
                on_delay_s="$on_delay_s",
                label=Label(en="level 1", zh="一级报警"),
            ),
            Pattern(
                suffix="2",
                alarm_class=AlarmClass.GAS,
                when=above(second, f"deadband_{ending}"),
                on_delay_s="$on_delay_s",
                label=Label(en="level 2", zh="二级报警"),
            ),
        ),
    )  # fmt: skip


GAS = _gas(
    "gas", Label(en="Combustible gas", zh="可燃气体"), "%LEL", (25, 50), (25, 50),
    "GB/T 50493-2019: level 1 at most 25, level 2 at most 50 %LEL",
)  # fmt: skip
CARBON_MONOXIDE = _gas(
    "carbon-monoxide", Label(en="Carbon monoxide", zh="一氧化碳"), "ppm", (24, 160), (100, 500),
    "usual set points of the trade",
)  # fmt: skip

ROOM_TEMPERATURE = Template(
    name="room-temperature",
    label=Label(en="Room temperature", zh="室温"),
    takes=(Takes(label=Label(en="temperature", zh="温度"), kinds=SENSED, unit="°C"),),
    parameters=(
        Parameter(
            name="low_celsius", label=Label(en="low below", zh="低温"), unit="°C", low=-40, high=30,
            default=5, of="point", source="daily frost check of the trade below 5 °C",
            sure=Sure.WEAK,
        ),
        Parameter(
            name="high_celsius", label=Label(en="high above", zh="高温"), unit="°C", low=0, high=80,
            default=40, of="point", source="electronics of plant rooms are made for 40 °C",
        ),
        deadband("deadband_celsius", "°C", 2, 10),
        on_delay(60, "temperature 60 s, EEMUA 191 / ISA-18.2 tables", Sure.UNVERIFIED),
        off_delay(60),
    ),
    ascending=(("low_celsius", "high_celsius"),),
    rules=(
        Pattern(
            suffix="low",
            alarm_class=AlarmClass.SUPERVISORY,
            when=below("low_celsius", "deadband_celsius"),
            on_delay_s="$on_delay_s",
            off_delay_s="$off_delay_s",
            label=Label(en="low", zh="过低"),
        ),
        Pattern(
            suffix="high",
            alarm_class=AlarmClass.SUPERVISORY,
            when=above("high_celsius", "deadband_celsius"),
            on_delay_s="$on_delay_s",
            off_delay_s="$off_delay_s",
            label=Label(en="high", zh="过高"),
        ),
    ),
)  # fmt: skip

ROOM_HUMIDITY = Template(
    name="room-humidity",
    label=Label(en="Room humidity", zh="湿度"),
    takes=(Takes(label=Label(en="humidity", zh="湿度"), kinds=(PointKind.HUMIDITY,), unit="%RH"),),
    parameters=(
        Parameter(
            name="high_percent", label=Label(en="high above", zh="湿度上限"), unit="%RH", low=30,
            high=100, default=80, of="point", source="below what condenses on cold metal",
        ),
        deadband("deadband_percent", "%RH", 5, 20),
        on_delay(600, "damp air comes and goes with a door"),
        off_delay(600),
    ),
    rules=(
        Pattern(
            alarm_class=AlarmClass.TECHNICAL,
            when=above("high_percent", "deadband_percent"),
            on_delay_s="$on_delay_s",
            off_delay_s="$off_delay_s",
            label=Label(en="high", zh="过高"),
        ),
    ),
)  # fmt: skip
