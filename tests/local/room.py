"""A plant room on a bad day, as the page is shown it, and a door that stands in for the agent."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from agent.core.effects import (
    AlarmState,
    AlarmView,
    Command,
    Event,
    EventKind,
    Outcome,
)
from agent.core.spec import (
    AlarmClass,
    Contact,
    Label,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    SiteSpec,
)
from agent.local.server import LocalServer
from agent.local.spec import LocalSpec
from agent.local.view import AgentView, OutputView, PointView
from agent.outbox.records import EventRecord, Lane, LaneStats, OutboxStats
from agent.uplink.stats import UplinkStats
from drivers.base import BusStats, DeviceStats
from drivers.clock import ManualClock, Stamp
from drivers.reading import Quality, Reading, Value

NO_LABEL = Label()

NOW = ManualClock().stamp()


def ago(seconds: float) -> Stamp:
    return Stamp(NOW.mono_s - seconds, NOW.wall_ms - round(seconds * 1000))


def reading(
    point: str,
    value: Value | None,
    unit: str = "",
    *,
    quality: Quality = Quality.GOOD,
    age_s: float = 1.0,
    reason: str = "",
) -> Reading:
    return Reading(
        point=point, value=value, quality=quality, unit=unit, at=ago(age_s), reason=reason
    )


def point(
    name: str,
    kind: PointKind,
    value: Value | None = None,
    unit: str = "",
    *,
    label: Label = NO_LABEL,
    zone: str = "pump-room",
    quality: Quality = Quality.GOOD,
    age_s: float = 1.0,
    reason: str = "",
    is_heard: bool = True,
    last_good: Value | None = None,
) -> PointView:
    spec = PointSpec(
        id=name,
        kind=kind,
        unit=unit,
        zone=zone,
        device=name.split(".")[0],
        label=label,
        is_contact=isinstance(value, bool),
    )
    heard = reading(name, value, unit, quality=quality, age_s=age_s, reason=reason)
    return PointView(
        spec=spec,
        reading=heard if is_heard else None,
        last_good_wall_ms=ago(age_s + 40).wall_ms if is_heard else None,
        last_good=None if last_good is None else reading(name, last_good, unit, age_s=age_s + 40),
    )


def alarm(
    rule: str,
    alarm_class: AlarmClass,
    state: AlarmState = AlarmState.NORMAL,
    since_s: float = 100.0,
    **more: object,
) -> AlarmView:
    fields: dict[str, object] = {
        "rule": rule,
        "alarm_class": alarm_class,
        "state": state,
        "since": ago(since_s),
        "point": "shed.smoke",
        "value": None,
        "unit": "",
        "quality": None,
        "zone": "shed",
    }
    return AlarmView(**(fields | more))  # type: ignore[arg-type]


POINTS = (
    point(
        "shed.smoke",
        PointKind.SMOKE,
        True,
        zone="shed",
        label=Label(en="Shed smoke", zh="车棚烟感"),
    ),
    point(
        "hydrant.pressure",
        PointKind.PRESSURE,
        420.0,
        "kPa",
        label=Label(en="Hydrant pressure", zh="消火栓压力"),
    ),
    point(
        "sprinkler.pressure",
        PointKind.PRESSURE,
        None,
        "kPa",
        quality=Quality.STALE,
        age_s=95,
        reason="timeout",
        last_good=512.5,
        label=Label(en="Sprinkler pressure", zh="喷淋压力"),
    ),
    point("room.temperature", PointKind.TEMPERATURE, 31.25, "degC"),
    point(
        "room.humidity",
        PointKind.HUMIDITY,
        48.0,
        "%RH",
        quality=Quality.UNCERTAIN,
        reason="saturated",
    ),
    point("tank.level", PointKind.LEVEL, 1.8, "m"),
    point("extinguisher.level", PointKind.LEVEL, 80, "%"),
    point("shed.residual", PointKind.RESIDUAL_CURRENT, 120.0, "mA", zone="shed"),
    point("shed.current", PointKind.CURRENT, 16.5, "A", zone="shed"),
    point("meter.voltage", PointKind.VOLTAGE, 231.0, "V"),
    point("meter.power", PointKind.POWER, 2.5, "kW"),
    point("meter.energy", PointKind.ENERGY, 10.0, "kWh"),
    point("meter.frequency", PointKind.FREQUENCY, 50.02, "Hz"),
    point("shed.charging", PointKind.DURATION, 2, "h", zone="shed"),
    point("gas.methane", PointKind.GAS, 4.0, "%LEL"),
    point("gas.co", PointKind.GAS, 30, "ppm"),
    point("lift.state", PointKind.LIFT, "maintenance"),
    point("odd.one", PointKind.GENERIC, 7, "furlong"),
    point("leak.rope", PointKind.LEAK, None, quality=Quality.BAD, reason="line fault"),
    point("new.sensor", PointKind.HEAT, None, "degC", is_heard=False, quality=Quality.STALE),
    point("broken.ratio", PointKind.GENERIC, math.nan, "%"),
    point("old.temperature", PointKind.TEMPERATURE, 20.0, "degC", age_s=500.0),
    point("meter.online", PointKind.ONLINE, False, zone=""),
)

ALARMS = (
    alarm(
        "bus-down",
        AlarmClass.FAULT,
        AlarmState.ACTIVE_UNACKED,
        700,
        zone="pump-room",
        point="meter.online",
        value=False,
        quality=Quality.GOOD,
    ),
    alarm(
        "shed-heat", AlarmClass.FIRE, AlarmState.LATCHED_ACKED, 20, is_latched=True, actor="王工"
    ),
    alarm(
        "shed-smoke",
        AlarmClass.FIRE,
        AlarmState.ACTIVE_UNACKED,
        90,
        is_latched=True,
        value=True,
        quality=Quality.GOOD,
    ),
    alarm(
        "hydrant-low",
        AlarmClass.SUPERVISORY,
        AlarmState.ACTIVE_ACKED,
        4000,
        zone="pump-room",
        point="hydrant.pressure",
        value=420.0,
        unit="kPa",
        quality=Quality.GOOD,
        is_silenced=True,
    ),
    alarm("filter-dirty", AlarmClass.TECHNICAL, AlarmState.RETURNED_UNACKED, 90_000),
    alarm("meter-silent", AlarmClass.FAULT, AlarmState.ACTIVE_UNACKED, 650, is_suppressed=True),
    alarm("tank-low", AlarmClass.SUPERVISORY, is_pending=True),
    alarm(
        "leak-room", AlarmClass.SUPERVISORY, is_unknown=True, point="leak.rope", quality=Quality.BAD
    ),
    alarm("gas-high", AlarmClass.GAS),
)

RULES = tuple(
    RuleSpec(
        id=each.rule,
        alarm_class=each.alarm_class,
        condition=Contact(point=each.point),
        zone=each.zone,
        label=Label(en="Shed smoke detector", zh="电动车棚烟感")
        if each.rule == "shed-smoke"
        else Label(),
    )
    for each in ALARMS
)

OUTPUTS = (
    OutputView(
        spec=OutputSpec(
            id="siren",
            kind=OutputKind.SIREN,
            zone="shed",
            label=Label(en="Shed siren", zh="车棚警报器"),
        ),
        is_demanded=True,
        is_active=True,
        fault="",
        failures=0,
    ),
    OutputView(
        spec=OutputSpec(id="cut-off", kind=OutputKind.CUT_OFF, zone="shed"),
        is_demanded=True,
        is_active=False,
        fault="read-back differs",
        failures=3,
    ),
    OutputView(
        spec=OutputSpec(id="valve", kind=OutputKind.VALVE),
        is_demanded=False,
        is_active=None,
        fault="",
        failures=1,
    ),
    OutputView(
        spec=OutputSpec(id="lamp", kind=OutputKind.LAMP),
        is_demanded=False,
        is_active=False,
        fault="",
        failures=0,
    ),
)

BUSES = (
    BusStats(
        id="rs485-1",
        kind="modbus-rtu",
        online=True,
        late_polls=2,
        transaction_buckets_s=((0.01, 5), (0.1, 90), (math.inf, 100)),
        transaction_sum_s=4.5,
        devices=(
            DeviceStats(
                id="hydrant",
                bus="rs485-1",
                online=True,
                requests=400,
                failures={"timeout": 1},
                last_success_wall_ms=ago(1).wall_ms,
            ),
            DeviceStats(
                id="meter",
                bus="rs485-1",
                online=False,
                requests=90,
                failures={"timeout": 88, "bad reply": 2},
                last_success_wall_ms=None,
            ),
        ),
    ),
    BusStats(
        id="gpio",
        kind="gpio",
        online=True,
        late_polls=0,
        transaction_buckets_s=(),
        transaction_sum_s=0.0,
        devices=(),
    ),
)

UPLINKS = (
    UplinkStats(
        id="cloud",
        broker="mqtt.example.com:8883",
        is_connected=True,
        reason="",
        connects=2,
        publishes=1200,
        publish_failures=0,
        last_puback_wall_ms=ago(2).wall_ms,
    ),
    UplinkStats(
        id="duty-room",
        broker="10.0.0.9:1883",
        is_connected=False,
        reason="connection refused",
        connects=0,
        publishes=0,
        publish_failures=0,
        last_puback_wall_ms=None,
    ),
)

OUTBOX = OutboxStats(
    is_writable=True,
    fault="",
    lanes=(
        LaneStats(
            lane=Lane.EVENT,
            records=3,
            bytes_on_disk=70_000,
            oldest_wall_ms=ago(1200).wall_ms,
            dropped={},
            last_seq=77,
            stream="s1",
        ),
        LaneStats(
            lane=Lane.TELEMETRY,
            records=9000,
            bytes_on_disk=9_000_000,
            oldest_wall_ms=ago(9000).wall_ms,
            dropped={"overflow": 12},
            last_seq=9001,
            stream="s2",
        ),
    ),
    commits=900,
    bytes_written=12_000_000,
    write_failures=1,
    unsent_by_uplink={"cloud": 0, "duty-room": 9003},
)

SITE = SiteSpec(
    site="block-7",
    box="pi-1",
    points=tuple(each.spec for each in POINTS),
    rules=RULES,
    outputs=tuple(each.spec for each in OUTPUTS),
    labels={"shed": Label(en="E-bike shed", zh="电动车棚"), "pump-room": Label(zh="水泵房")},
)

VIEW = AgentView(
    at=NOW,
    version="0.1.0",
    boot="b00t",
    started=ago(86_500),
    site=SITE,
    points=POINTS,
    alarms=ALARMS,
    outputs=OUTPUTS,
    buses=BUSES,
    uplinks=UPLINKS,
    outbox=OUTBOX,
    transitions={(AlarmClass.FIRE, "active_unacked"): 2},
    readings=123_456,
    dropped_readings=0,
    loop_lag_s=0.001,
    config_ok=True,
    config_loaded_wall_ms=ago(86_400).wall_ms,
    not_ready=("outbox is recovering",),
)

CALM = dataclasses.replace(
    VIEW,
    points=POINTS[:1],
    outputs=OUTPUTS[:1],
    alarms=tuple(
        dataclasses.replace(each, state=AlarmState.NORMAL, is_unknown=False, is_pending=False)
        for each in ALARMS
    ),
    not_ready=(),
)


class FakeAgent:
    """A door as the agent gives it: its calls run on the agent's loop and are short."""

    def __init__(self, shown: AgentView = VIEW) -> None:
        self.shown = shown
        self.commands: list[Command] = []
        self.outcome = Outcome(ok=True, code="done", message="")
        self.views = 0
        self.error: Exception | None = None

    async def view(self) -> AgentView:
        assert asyncio.get_running_loop() is self.loop
        self.views += 1
        if self.error is not None:
            raise self.error
        return self.shown

    async def submit(self, command: Command) -> Outcome:
        assert asyncio.get_running_loop() is self.loop
        self.commands.append(command)
        return self.outcome

    async def events(self, limit: int) -> Sequence[EventRecord]:
        return [
            EventRecord(
                id=f"e{number}",
                stream="s1",
                seq=number,
                boot="b00t",
                event=Event(kind=EventKind.ALARM, subject="shed-smoke", at=NOW, value=True),
            )
            for number in range(5, 0, -1)
        ][:limit]

    loop: asyncio.AbstractEventLoop


class Health:
    """Hears what the page says of itself."""

    def __init__(self) -> None:
        self.told: list[tuple[bool, str]] = []
        self._changed = asyncio.Event()

    def __call__(self, ok: bool, why: str) -> None:
        self.told.append((ok, why))
        self._changed.set()

    async def until(self, ok: bool) -> str:
        async with asyncio.timeout(5):
            while not self.told or self.told[-1][0] is not ok:
                self._changed.clear()
                await self._changed.wait()
        return self.told[-1][1]


@asynccontextmanager
async def served(
    agent: FakeAgent, spec: LocalSpec | None = None, *, answer_s: float = 2.0
) -> AsyncIterator[LocalServer]:
    """Serve a fake agent on a free port, until the test leaves."""
    agent.loop = asyncio.get_running_loop()
    health = Health()
    server = LocalServer(
        spec or LocalSpec(port=0), agent, agent.loop, on_health=health, answer_s=answer_s
    )
    server.start()
    try:
        await health.until(True)
        yield server
    finally:
        assert await server.stop(5.0), "the page did not end"


def base(server: LocalServer) -> str:
    return f"http://127.0.0.1:{server.port}"
