"""Smoke, call points, heat, and sprinkler water that flows."""

from __future__ import annotations

from agent.config.templates.spec import (
    Parameter,
    Pattern,
    Sure,
    Takes,
    Template,
    above,
    any_active,
    deadband,
    on_delay,
)
from agent.core.spec import AlarmClass, Label, PointKind

_DETECTOR = "the detector has filtered already"

SMOKE = Template(
    name="smoke",
    label=Label(en="Smoke detectors", zh="感烟探测器"),
    takes=(
        Takes(
            label=Label(en="alarm contacts", zh="报警触点"), kinds=(PointKind.SMOKE,), is_many=True
        ),
    ),
    parameters=(
        on_delay(0, _DETECTOR),
        Parameter(
            name="verify_s",
            label=Label(en="alarm verification within", zh="报警确认时限"),
            unit="s", low=10, high=60,
            source="NFPA 72 practice, at most 60 s; left out: the first signal alarms",
            sure=Sure.UNVERIFIED,
        ),
        Parameter(
            name="blank_s",
            label=Label(en="nothing counts after the first signal for", zh="首次信号后屏蔽时间"),
            unit="s", low=0, high=9, default=5, source="with verify_s only",
        ),
    ),
    rules=(
        Pattern(
            alarm_class=AlarmClass.FIRE,
            when={
                "$if": "verify_s",
                "then": {"verify": any_active(), "window_s": "$verify_s", "blank_s": "$blank_s"},
                "else": any_active(),
            },
            on_delay_s="$on_delay_s",
            label=Label(en="smoke", zh="烟雾报警"),
        ),
    ),
    note="RS485 units that give ppm are gas sensors and no GB 4715 detectors: not for this.",
)  # fmt: skip

CALL_POINT = Template(
    name="call-point",
    label=Label(en="Manual call points", zh="手动报警按钮"),
    takes=(
        Takes(label=Label(en="contacts", zh="触点"), kinds=(PointKind.CALL_POINT,), is_many=True),
    ),
    rules=(
        Pattern(
            alarm_class=AlarmClass.FIRE,
            when=any_active(),
            label=Label(en="call point pressed", zh="手动报警"),
        ),
    ),
    note="A person pressed it: no delay, no verification, and delays of linkages no longer count.",
)

HEAT = Template(
    name="heat",
    label=Label(en="Heat detectors with a contact", zh="感温探测器（触点）"),
    takes=(
        Takes(
            label=Label(en="alarm contacts", zh="报警触点"), kinds=(PointKind.HEAT,), is_many=True
        ),
    ),
    parameters=(on_delay(0, _DETECTOR),),
    rules=(
        Pattern(
            alarm_class=AlarmClass.FIRE,
            when=any_active(),
            on_delay_s="$on_delay_s",
            label=Label(en="heat", zh="感温报警"),
        ),
    ),
)

SENSED = (PointKind.TEMPERATURE, PointKind.HEAT)
"""Kinds of a measured temperature."""

RISE_S = Parameter(
    name="rise_over_s",
    label=Label(en="measured over", zh="升温测量时间"),
    unit="s", low=20, high=600, default=60, source="an alarm within a minute of a fast rise",
)  # fmt: skip


def _heat(name: str, highest: float, ambient: str) -> Template:
    return Template(
        name=name,
        label=Label(
            en=f"Measured temperature as a heat detector of class {name[-2:].upper()}",
            zh=f"测温点按 {name[-2:].upper()} 级感温报警",
        ),
        takes=(Takes(label=Label(en="temperature", zh="温度"), kinds=SENSED, unit="°C"),),
        parameters=(
            Parameter(
                name="alarm_celsius",
                label=Label(en="alarm above", zh="报警温度"),
                unit="°C", low=54, high=highest, default=57, of="point",
                source=f"EN 54-5 class {name[-2:].upper()}: 54 to {highest:g} °C; 57 is chosen",
                sure=Sure.READ,
            ),
            deadband("deadband_celsius", "°C", 2, 10),
            on_delay(0, "heat is slow enough by itself"),
            Parameter(
                name="rise_celsius",
                label=Label(en="rate of rise above", zh="升温速率"),
                unit="°C", per="min", low=3, high=30, of="point",
                source="GB 16280-2014 4.7: must not alarm at 2 °C/min; left out: no rate of rise",
                sure=Sure.READ,
            ),
            RISE_S,
        ),
        rules=(
            Pattern(
                alarm_class=AlarmClass.FIRE,
                when=above("alarm_celsius", "deadband_celsius"),
                on_delay_s="$on_delay_s",
                label=Label(en="heat", zh="高温报警"),
            ),
            Pattern(
                suffix="rise",
                alarm_class=AlarmClass.FIRE,
                when={
                    "point": "$point",
                    "rises": "$rise_celsius",
                    "per": "minute",
                    "over_s": "$rise_over_s",
                },
                label=Label(en="rapid rise", zh="温升过快"),
            ),
        ),
        note=f"For rooms of at most {ambient} °C. A sensor of its own is no certified detector.",
    )  # fmt: skip


HEAT_A1 = _heat("heat-a1", 65, "50")
HEAT_A2 = _heat("heat-a2", 70, "50")

SPRINKLER_FLOW = Template(
    name="sprinkler-flow",
    label=Label(en="Sprinkler flow switches", zh="水流指示器"),
    takes=(
        Takes(label=Label(en="contacts", zh="触点"), kinds=(PointKind.FLOW,), is_many=True),
    ),
    parameters=(
        on_delay(15, "flow 15 s, EEMUA 191 / ISA-18.2 tables: a surge is no fire", Sure.UNVERIFIED),
    ),
    rules=(
        Pattern(
            alarm_class=AlarmClass.FIRE,
            when=any_active(),
            on_delay_s="$on_delay_s",
            label=Label(en="water flows", zh="水流动作"),
        ),
    ),
    note="A retard set at the switch itself counts too: then on_delay_s 0.",
)  # fmt: skip
