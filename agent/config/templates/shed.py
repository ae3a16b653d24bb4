"""The e-bike charging shed."""

from __future__ import annotations

from agent.config.templates.fire import RISE_S, SENSED
from agent.config.templates.spec import (
    Parameter,
    Pattern,
    Share,
    Sure,
    Takes,
    Template,
    above,
    active,
    any_active,
    deadband,
    on_delay,
)
from agent.core.spec import AlarmClass, Label, PointKind

_FIRE, _WATCH = AlarmClass.FIRE, AlarmClass.SUPERVISORY
_HOT = above("alarm_celsius", "deadband_celsius", "temperature")
_RISES = {"point": "$temperature", "rises": "$rise_celsius", "per": "minute", "over_s": "$rise_over_s"}  # fmt: skip

CHARGING_SHED = Template(
    name="charging-shed",
    label=Label(en="E-bike charging shed", zh="电动自行车充电棚"),
    takes=(
        Takes(
            name="smoke", label=Label(en="smoke contacts", zh="感烟触点"),
            kinds=(PointKind.SMOKE,), is_many=True, is_required=False,
        ),
        Takes(
            name="temperature", label=Label(en="air temperature", zh="环境温度"),
            kinds=SENSED, unit="°C", is_required=False,
        ),
        Takes(
            name="cable", label=Label(en="cable or terminal temperature", zh="电缆或端子温度"),
            kinds=SENSED, unit="°C", is_required=False,
        ),
        Takes(
            name="current", label=Label(en="supply current", zh="充电电流"),
            kinds=(PointKind.CURRENT,), unit="A", is_required=False,
        ),
        Takes(
            name="residual", label=Label(en="residual current", zh="剩余电流"),
            kinds=(PointKind.RESIDUAL_CURRENT,), unit="mA", is_required=False,
        ),
        Takes(
            name="charging", label=Label(en="a charge is going on", zh="正在充电"),
            kinds=(PointKind.FEEDBACK, PointKind.MAINS), is_required=False,
        ),
    ),
    parameters=(
        Parameter(
            name="warn_celsius", label=Label(en="air warning above", zh="环境温度预警"),
            unit="°C", low=35, high=60, default=50, of="temperature",
            source="below the class A1 / A2 band",
        ),
        Parameter(
            name="alarm_celsius", label=Label(en="air alarm above", zh="环境温度报警"),
            unit="°C", low=54, high=70, default=57, of="temperature",
            source="57 to 65 °C, the class A1 / A2 band of EN 54-5",
        ),
        deadband("deadband_celsius", "°C", 2, 10, of="temperature"),
        Parameter(
            name="rise_warn_celsius", label=Label(en="rise warning above", zh="升温预警"),
            unit="°C", per="min", low=3, high=30, default=5, of="temperature",
            source="above the 2 °C/min at which nothing may alarm (GB 16280-2014 4.7)",
        ),
        Parameter(
            name="rise_warn_over_s", label=Label(en="measured over", zh="升温预警时间"),
            unit="s", low=20, high=600, default=120, source="5 °C/min for 2 min",
        ),
        Parameter(
            name="rise_celsius", label=Label(en="rise alarm above", zh="升温报警"),
            unit="°C", per="min", low=3, high=30, default=8, of="temperature",
            source="8 to 10 °C/min; never at 2 °C/min (GB 16280-2014 4.7)",
        ),
        RISE_S,
        Parameter(
            name="cable_warn_celsius", label=Label(en="cable warning above", zh="电缆温度预警"),
            unit="°C", low=45, high=90, default=65, of="cable",
            source="below the alarm",
        ),
        Parameter(
            name="cable_alarm_celsius", label=Label(en="cable alarm above", zh="电缆温度报警"),
            unit="°C", low=45, high=140, default=75, of="cable",
            source="70 to 80 °C; GB 14287.3 detectors reach 45 to 140 °C", sure=Sure.UNVERIFIED,
        ),
        Parameter(
            name="rated_a", label=Label(en="rated current", zh="额定电流"),
            unit="A", low=1, high=2000, of="current",
            source="the circuit's rating; needed with `current`",
        ),
        Parameter(
            name="over_a", label=Label(en="over-current above", zh="过流报警"),
            unit="A", low=1, high=2500, default=Share(of="rated_a", factor=1.1), of="current",
            source="110 % for 5 s; a plug of the trade cuts above 16.5 A for 5 s",
        ),
        on_delay(30, "above rated for 30 s", name="rated_delay_s"),
        on_delay(5, "110 % for 5 s", name="over_delay_s"),
        Parameter(
            name="residual_warn_ma", label=Label(en="residual warning above", zh="剩余电流预警"),
            unit="mA", low=20, high=1000, default=300, of="residual",
            source="GB 50116-2013 9.2.3: set point 300 to 500 mA", sure=Sure.READ,
        ),
        Parameter(
            name="residual_alarm_ma", label=Label(en="residual alarm above", zh="剩余电流报警"),
            unit="mA", low=20, high=1000, default=500, of="residual",
            source="GB 50116-2013 9.2.3: set point 300 to 500 mA", sure=Sure.READ,
        ),
        on_delay(5, "rides out a switch-on", name="residual_delay_s"),
        Parameter(
            name="charge_warn_h", label=Label(en="long charge above", zh="充电时长预警"),
            unit="h", low=1, high=23, default=8, factor=3600,
            source="notices of several counties advise 8 h", sure=Sure.WEAK,
        ),
        Parameter(
            name="charge_alarm_h", label=Label(en="over-charge above", zh="超时充电"),
            unit="h", low=1, high=24, default=10, factor=3600, source="10 to 12 h",
        ),
    ),
    ascending=(
        ("warn_celsius", "alarm_celsius"),
        ("rise_warn_celsius", "rise_celsius"),
        ("cable_warn_celsius", "cable_alarm_celsius"),
        ("rated_a", "over_a"),
        ("residual_warn_ma", "residual_alarm_ma"),
        ("charge_warn_h", "charge_alarm_h"),
    ),
    rules=(
        Pattern(
            suffix="smoke", alarm_class=_FIRE, when=any_active("smoke"),
            label=Label(en="smoke", zh="烟雾报警"),
        ),
        Pattern(
            suffix="cut", alarm_class=_FIRE,
            when={"$two": ({"$each": "smoke", "is": "active"}, {"any": (_HOT, _RISES)})},
            label=Label(en="fire by two signals", zh="双信号火警"),
        ),
        Pattern(
            suffix="hot", alarm_class=_FIRE, when=_HOT, label=Label(en="heat", zh="高温报警"),
        ),
        Pattern(
            suffix="rise", alarm_class=_FIRE, when=_RISES,
            label=Label(en="rapid rise", zh="温升过快"),
        ),
        Pattern(
            suffix="warm", alarm_class=_WATCH,
            when=above("warn_celsius", "deadband_celsius", "temperature"),
            on_delay_s=30, off_delay_s=60, label=Label(en="warm", zh="温度偏高"),
        ),
        Pattern(
            suffix="rising", alarm_class=_WATCH,
            when={
                "point": "$temperature", "rises": "$rise_warn_celsius", "per": "minute",
                "over_s": "$rise_warn_over_s",
            },
            off_delay_s=60, label=Label(en="temperature rises", zh="温度上升较快"),
        ),
        Pattern(
            suffix="cable-warm", alarm_class=_WATCH,
            when={"point": "$cable", "above": "$cable_warn_celsius", "deadband": 2},
            on_delay_s=30, off_delay_s=60, label=Label(en="cable warm", zh="电缆温度偏高"),
        ),
        Pattern(
            suffix="cable-hot", alarm_class=_WATCH, is_latched=True,
            when={"point": "$cable", "above": "$cable_alarm_celsius", "deadband": 2},
            on_delay_s=5, off_delay_s=60, label=Label(en="cable hot", zh="电缆温度报警"),
        ),
        Pattern(
            suffix="above-rated", alarm_class=_WATCH,
            when={"point": "$current", "above": "$rated_a"},
            on_delay_s="$rated_delay_s", off_delay_s=30,
            label=Label(en="current above rated", zh="超过额定电流"),
        ),
        Pattern(
            suffix="over-current", alarm_class=_WATCH, is_latched=True,
            when={"point": "$current", "above": "$over_a"},
            on_delay_s="$over_delay_s", off_delay_s=30,
            label=Label(en="over-current", zh="过流报警"),
        ),
        Pattern(
            suffix="residual-warn", alarm_class=_WATCH,
            when={"point": "$residual", "above": "$residual_warn_ma"},
            on_delay_s="$residual_delay_s", off_delay_s=60,
            label=Label(en="residual current high", zh="剩余电流偏高"),
        ),
        Pattern(
            suffix="residual", alarm_class=_WATCH, is_latched=True,
            when={"point": "$residual", "above": "$residual_alarm_ma"},
            on_delay_s="$residual_delay_s", off_delay_s=60,
            label=Label(en="residual current", zh="剩余电流报警"),
        ),
        Pattern(
            suffix="long-charge", alarm_class=_WATCH, when=active("charging"),
            on_delay_s="$charge_warn_h", label=Label(en="long charge", zh="充电时间较长"),
        ),
        Pattern(
            suffix="over-time", alarm_class=_WATCH, is_latched=True, when=active("charging"),
            on_delay_s="$charge_alarm_h", label=Label(en="charged too long", zh="超时充电"),
        ),
    ),
    note="Link the cut-off to `<id>-cut`: both of two signals, or two of three and more, of which a dead one "
    "leaves it to the rest (GB 50116 4.1.6). "
    "`<id>-over-current`, `-over-time` and `-cable-hot` latch, so a cut-off may hang on them. A residual "
    "current notifies; it cuts only if the site links it.",
)  # fmt: skip
