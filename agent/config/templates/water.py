"""Water where it should not be, and too little of it where it should."""

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
    any_active,
    below,
    deadband,
    off_delay,
    on_delay,
)
from agent.core.spec import AlarmClass, Label, PointKind

_HAMMER = "10 to 30 s ride out water hammer"
_PRESSURE = Takes(
    label=Label(en="pressure", zh="压力"), kinds=(PointKind.PRESSURE,), unit="kPa"
)  # fmt: skip

LEAK = Template(
    name="leak",
    label=Label(en="Water leak detectors", zh="漏水检测"),
    takes=(
        Takes(label=Label(en="contacts", zh="触点"), kinds=(PointKind.LEAK,), is_many=True),
    ),
    parameters=(
        on_delay(
            3, "2 to 5 s: condensation and cleaning are the usual false alarms", Sure.UNVERIFIED
        ),
        off_delay(30, "a rope dries slowly"),
    ),
    rules=(
        Pattern(
            alarm_class=AlarmClass.SUPERVISORY,
            when=any_active(),
            on_delay_s="$on_delay_s",
            off_delay_s="$off_delay_s",
            label=Label(en="water leak", zh="漏水报警"),
        ),
    ),
)  # fmt: skip


def _main(name: str, label: Label, low_kpa: float, source: str) -> Template:
    return Template(
        name=name,
        label=label,
        takes=(_PRESSURE,),
        parameters=(
            Parameter(
                name="low_kpa",
                label=Label(en="low below", zh="低压"),
                unit="kPa", low=10, high=2500, default=low_kpa, of="point",
                source=source, sure=Sure.WEAK, differs=True,
            ),
            Parameter(
                name="low_low_kpa",
                label=Label(en="very low below", zh="极低压"),
                unit="kPa", low=5, high=2500, default=Share(of="low_kpa", factor=0.5), of="point",
                source="tells an empty system from a weak one",
            ),
            Parameter(
                name="working_kpa",
                label=Label(en="working pressure", zh="工作压力"),
                unit="kPa", low=50, high=2500, of="point",
                source="the design documents; left out: no high alarm",
            ),
            Parameter(
                name="high_kpa",
                label=Label(en="high above", zh="高压"),
                unit="kPa", low=50, high=3000, default=Share(of="working_kpa", factor=1.2),
                of="point", source="1.2 x working pressure",
            ),
            deadband("deadband_kpa", "kPa", 5, 200),
            on_delay(15, _HAMMER, Sure.UNVERIFIED),
            on_delay(5, "an empty main is told sooner", name="low_low_on_delay_s"),
            off_delay(15),
        ),
        ascending=(
            ("low_low_kpa", "low_kpa", "working_kpa", "high_kpa"), ("low_kpa", "high_kpa"),
        ),
        rules=(
            Pattern(
                suffix="low",
                alarm_class=AlarmClass.SUPERVISORY,
                when=below("low_kpa", "deadband_kpa"),
                on_delay_s="$on_delay_s",
                off_delay_s="$off_delay_s",
                label=Label(en="low", zh="过低"),
            ),
            Pattern(
                suffix="low-low",
                alarm_class=AlarmClass.SUPERVISORY,
                when=below("low_low_kpa", "deadband_kpa"),
                on_delay_s="$low_low_on_delay_s",
                off_delay_s="$off_delay_s",
                label=Label(en="very low", zh="极低"),
            ),
            Pattern(
                suffix="high",
                alarm_class=AlarmClass.SUPERVISORY,
                when=above("high_kpa", "deadband_kpa"),
                on_delay_s="$on_delay_s",
                off_delay_s="$off_delay_s",
                label=Label(en="high", zh="过高"),
            ),
        ),
    )  # fmt: skip


HYDRANT = _main(
    "hydrant",
    Label(en="Hydrant main pressure", zh="消火栓管网压力"),
    70,
    "GB 50974-2014, static minimum: 70 residential, 100 class-I high-rise public and industrial "
    "(150 above 100 m), 140 municipal",
)
SPRINKLER = _main(
    "sprinkler",
    Label(en="Sprinkler main pressure", zh="喷淋管网压力"),
    100,
    "GB 50974-2014, static minimum of automatic sprinklers",
)

VALVE_TAMPER = Template(
    name="valve-tamper",
    label=Label(en="Valves that must stay open", zh="信号阀"),
    takes=(
        Takes(label=Label(en="contacts", zh="触点"), kinds=(PointKind.VALVE,), is_many=True),
    ),
    parameters=(on_delay(5, "somebody brushes past"),),
    rules=(
        Pattern(
            alarm_class=AlarmClass.SUPERVISORY,
            when=any_active(),
            on_delay_s="$on_delay_s",
            label=Label(en="valve not open", zh="阀门未全开"),
        ),
    ),
)  # fmt: skip

SLOW_LEAK = Template(
    name="slow-leak",
    label=Label(en="Slow leak of a main with a jockey pump", zh="管网缓慢泄漏（稳压泵）"),
    takes=(
        Takes(
            name="pump",
            label=Label(en="the jockey pump runs", zh="稳压泵运行"),
            kinds=(PointKind.PUMP, PointKind.FEEDBACK),
        ),
        Takes(
            name="pressure",
            label=Label(en="pressure", zh="压力"),
            kinds=(PointKind.PRESSURE,), unit="kPa", is_required=False,
        ),
    ),
    parameters=(
        Parameter(
            name="falls_kpa",
            label=Label(en="falls with the pump off by", zh="停泵时压降"),
            unit="kPa", per="h", low=1, high=500, default=20, of="pressure",
            source="fits a main that loses its jockey band of 70 to 100 kPa in four hours",
            sure=Sure.UNVERIFIED,
        ),
        Parameter(
            name="over_s",
            label=Label(en="by regression over", zh="回归时间"),
            unit="s", low=1800, high=14_400, default=3600,
            source="30 to 60 minutes with the pump off", sure=Sure.UNVERIFIED,
        ),
        Parameter(
            name="starts",
            label=Label(en="starts an hour above", zh="每小时启动次数上限"),
            unit="", per="h", low=1, high=100, default=15, is_whole=True,
            source="GB 50974 practice: jockey starts at most 15 an hour", sure=Sure.UNVERIFIED,
        ),
        Parameter(
            name="usual_factor",
            label=Label(en="starts above usual by the factor", zh="超出常态倍数"),
            unit="x", low=1.2, high=10, default=2,
            source="a rise above its own baseline",
        ),
    ),
    rules=(
        Pattern(
            suffix="falling",
            alarm_class=AlarmClass.SUPERVISORY,
            when={
                "point": "$pressure", "leaks": "$falls_kpa", "over_s": "$over_s",
                "while": {"point": "$pump", "is": "inactive"},
            },
            label=Label(en="pressure falls slowly", zh="压力缓慢下降"),
        ),
        Pattern(
            suffix="starts",
            alarm_class=AlarmClass.SUPERVISORY,
            when={"point": "$pump", "starts_above": "$starts", "per": "hour"},
            label=Label(en="starts too often", zh="启动过于频繁"),
        ),
        Pattern(
            suffix="unusual",
            alarm_class=AlarmClass.TECHNICAL,
            when={"point": "$pump", "starts_above_usual": "$usual_factor", "per": "hour"},
            label=Label(en="starts more often than usual", zh="启动次数高于常态"),
        ),
    ),
    note="With a pressure it also looks at how fast the main empties while the pump stands.",
)  # fmt: skip

TANK_LEVEL = Template(
    name="tank-level",
    label=Label(en="Tank level", zh="水箱液位"),
    takes=(Takes(label=Label(en="level", zh="液位"), kinds=(PointKind.LEVEL,), unit="mm"),),
    parameters=(
        Parameter(
            name="low_mm",
            label=Label(en="low below", zh="低液位"),
            unit="mm", low=10, high=50_000, of="point", is_required=True,
            source="the level that still holds the fire reserve: the design documents",
        ),
        Parameter(
            name="high_mm",
            label=Label(en="high above", zh="高液位"),
            unit="mm", low=10, high=50_000, of="point",
            source="below the overflow; left out: no high alarm",
        ),
        deadband("deadband_mm", "mm", 50, 1000),
        on_delay(60, "level 60 s, EEMUA 191 / ISA-18.2 tables", Sure.UNVERIFIED),
        off_delay(60),
    ),
    ascending=(("low_mm", "high_mm"),),
    rules=(
        Pattern(
            suffix="low",
            alarm_class=AlarmClass.SUPERVISORY,
            when=below("low_mm", "deadband_mm"),
            on_delay_s="$on_delay_s",
            off_delay_s="$off_delay_s",
            label=Label(en="low", zh="过低"),
        ),
        Pattern(
            suffix="high",
            alarm_class=AlarmClass.SUPERVISORY,
            when=above("high_mm", "deadband_mm"),
            on_delay_s="$on_delay_s",
            off_delay_s="$off_delay_s",
            label=Label(en="high", zh="过高"),
        ),
    ),
)  # fmt: skip

PUMP_START = Template(
    name="pump-start",
    label=Label(en="Pump that does not start when it should", zh="水泵应启未启"),
    takes=(
        Takes(
            name="running",
            label=Label(en="the pump runs", zh="水泵运行"),
            kinds=(PointKind.PUMP, PointKind.FEEDBACK),
        ),
        Takes(
            name="demand",
            label=Label(en="the pump is called for", zh="启泵信号"),
            kinds=(PointKind.PUMP, PointKind.FLOW, PointKind.KEY),
            is_required=False,
        ),
        Takes(
            name="pressure",
            label=Label(en="pressure", zh="压力"),
            kinds=(PointKind.PRESSURE,), unit="kPa", is_required=False,
        ),
    ),
    parameters=(
        Parameter(
            name="start_kpa",
            label=Label(en="starts below", zh="启泵压力"),
            unit="kPa", low=10, high=2500, of="pressure",
            source="the pressure switch of the main pump; needed with `pressure`",
        ),
        deadband("deadband_kpa", "kPa", 5, 200, of="pressure"),
        on_delay(
            30, "GB 50974: in full run within 2 min of the signal; 30 s tells it while there is time",
            Sure.UNVERIFIED,
        ),
    ),
    rules=(
        Pattern(
            suffix="demand",
            alarm_class=AlarmClass.SUPERVISORY,
            when={"all": (active("demand"), {"point": "$running", "is": "inactive"})},
            on_delay_s="$on_delay_s",
            is_latched=True,
            label=Label(en="called for and not running", zh="有启泵信号未启动"),
        ),
        Pattern(
            suffix="pressure",
            alarm_class=AlarmClass.SUPERVISORY,
            when={
                "all": (
                    below("start_kpa", "deadband_kpa", "pressure"),
                    {"point": "$running", "is": "inactive"},
                )
            },
            on_delay_s="$on_delay_s",
            is_latched=True,
            label=Label(en="pressure down and not running", zh="压力低未启动"),
        ),
    ),
    note="Give `demand`, or `pressure` with start_kpa, or both.",
)  # fmt: skip
