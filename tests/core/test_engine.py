"""The engine's door: time, order, staleness, commands, broken rules, memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.effects import (
    AlarmState,
    AlarmView,
    Effect,
    Event,
    EventKind,
    Record,
    SetOutput,
    ShowAlarm,
    ShowState,
    Telemeter,
)
from agent.core.engine import Engine
from agent.core.memory import AlarmMemory, LogPosition, apply_event
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
    Condition,
    Contact,
    Linkage,
    OutputKind,
    OutputSpec,
    PointKind,
    PointSpec,
    RuleSpec,
    Scheduled,
    Side,
    SiteSpec,
    TelemetryMode,
    TelemetryPolicy,
    Threshold,
    Unheard,
)
from drivers.clock import ManualClock, Stamp
from drivers.reading import Quality, Reading
from tests.core.test_voting import Utc
from tests.core.timeline import World


def point(name: str = "p", **more: object) -> PointSpec:
    return replace(PointSpec(id=name, kind=PointKind.GENERIC), **more)  # type: ignore[arg-type]


def rule(name: str = "r", condition: Condition | None = None, **more: object) -> RuleSpec:
    plain = RuleSpec(
        id=name, alarm_class=AlarmClass.FAULT, condition=condition or Contact(point="p")
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def site(*rules: RuleSpec, points: tuple[PointSpec, ...] = (point(),), kinds: str = "") -> SiteSpec:
    """A site whose outputs, one of each of `kinds`, are linked to every rule."""
    outputs = tuple(OutputSpec(id=kind, kind=OutputKind(kind)) for kind in kinds.split())
    linkage = Linkage(id="all", outputs=tuple(output.id for output in outputs))
    return SiteSpec(
        site="s", box="box-1", points=points, rules=rules, outputs=outputs, linkages=(linkage,)
    )


def only(effects: list[Effect], kind: type[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def told(effects: list[Effect]) -> list[tuple[str, str, str]]:
    """Subject, from and to of the events among `effects`."""
    return [
        (each.event.subject, each.event.from_state, each.event.to_state)
        for each in effects
        if isinstance(each, Record)
    ]


RAISED = ("r", "normal", "active_unacked")

# -- order and time --------------------------------------------------------------------------------


def test_outputs_stand_before_events_before_telemetry_before_what_is_shown() -> None:
    world = World(site(rule(), kinds="siren"))
    names = [type(effect).__name__ for effect in world.read({"p": True})]
    assert names == ["SetOutput", "Record", "Telemeter", "ShowState", "ShowAlarm"]


def test_what_is_stored_and_shown_of_a_point_is_its_reading() -> None:
    world = World(site())
    reading = world.reading("p", 5.0)
    effects = world.engine.on_readings([reading], world.clock.stamp())
    assert effects == [Telemeter(reading=reading), ShowState(reading=reading)]


def test_in_a_block_the_output_of_the_last_reading_stands_before_the_telemetry_of_the_first() -> (
    None
):
    every = TelemetryPolicy(mode=TelemetryMode.EVERY)
    world = World(site(rule(), points=(point(), point("q", telemetry=every)), kinds="relay"))
    effects = world.read({"q": 1.0, "p": True})
    assert effects[0] == SetOutput(output="relay", is_active=True, cause="r")
    assert len(only(effects, Telemeter)) == 2


def test_an_output_that_would_change_and_change_back_in_one_call_is_left_alone() -> None:
    world = World(
        site(rule(needs_ack=False), rule("s", Contact(point="p", is_active=False)), kinds="siren")
    )
    world.read({"p": True})
    effects = world.read({"p": False})
    assert told(effects) == [("r", "active_unacked", "normal"), ("s", "normal", "active_unacked")]
    assert only(effects, SetOutput) == []


def test_at_the_start_every_output_is_set_once() -> None:
    engine = Engine(site(rule(condition=Unheard(point="p")), kinds="siren relay health"))
    effects = engine.start(ManualClock().stamp())
    assert only(effects, SetOutput) == [
        SetOutput(output="siren", is_active=True, cause="r"),
        SetOutput(output="relay", is_active=True, cause="r"),
        SetOutput(output="health", is_active=False, cause="r"),
    ]


def test_an_output_nobody_demands_is_set_at_the_start_too() -> None:
    engine = Engine(site(kinds="relay health"))
    assert only(engine.start(ManualClock().stamp()), SetOutput) == [
        SetOutput(output="relay", is_active=False, cause="start"),
        SetOutput(output="health", is_active=True, cause="start"),
    ]


def test_a_delay_that_was_over_before_a_late_handed_in_block_is_over() -> None:
    """The loop was held up: three readings come at once, the delay ran out between them."""
    world = World(site(rule(on_delay_s=3.0), kinds="siren"))
    block = []
    for value in (True, True, False):
        block.append(world.reading("p", value))
        world.clock.advance(2.5)
    effects = world.do(world.engine.on_readings(block, world.clock.stamp()))
    assert told(effects) == [RAISED, ("r", "active_unacked", "returned_unacked")]


def test_in_the_very_moment_an_on_delay_is_over_and_an_off_delay_is_not() -> None:
    """The cautious side of both, whatever the reading of that moment says."""
    world = World(site(rule(on_delay_s=3.0, off_delay_s=5.0)))
    world.read({"p": True})
    world.clock.advance(3.0)
    assert told(world.read({"p": None})) == [RAISED]
    world.read({"p": False})
    world.clock.advance(5.0)
    assert told(world.read({"p": None})) == []
    assert world.alarms() == {"r": "active_unacked"}


def test_an_on_delay_that_was_over_when_a_late_tick_tells_that_the_hour_has_passed_is_over() -> (
    None
):
    clock = ManualClock(wall_ms=60_000 * 30_000_000)
    first = clock.stamp().wall_ms // 60_000
    hour = Scheduled(
        calendar=Utc(), days=frozenset(range(7)), from_min=first % 1440, to_min=first % 1440 + 1
    )
    world = World(site(rule(condition=hour, on_delay_s=30.0)), clock=clock)
    assert world.events == []
    clock.advance(61.0)
    assert told(world.tick()) == [RAISED, ("r", "active_unacked", "returned_unacked")]


def test_an_off_delay_that_was_over_before_a_new_reading_is_over() -> None:
    world = World(site(rule(off_delay_s=5.0)))
    world.read({"p": True})
    world.read({"p": False})
    world.clock.advance(5.1)
    assert told(world.read({"p": True})) == [
        ("r", "active_unacked", "returned_unacked"),
        ("r", "returned_unacked", "active_unacked"),
    ]


def test_an_event_carries_the_stamp_and_value_of_the_reading_that_decided() -> None:
    hot = Threshold(point="p", side=Side.ABOVE, limit=57.0)
    world = World(site(rule(condition=hot, zone="shed")))
    reading = replace(world.reading("p", 60.5), unit="celsius")
    world.clock.advance(0.25)
    (record,) = only(world.engine.on_readings([reading], world.clock.stamp()), Record)
    assert isinstance(record, Record)
    event = record.event
    assert (event.kind, event.rule, event.point, event.zone) == (EventKind.ALARM, "r", "p", "shed")
    assert (event.at, event.value, event.unit, event.quality) == (
        reading.at, 60.5, "celsius", Quality.GOOD,
    )  # fmt: skip
    (view,) = world.engine.alarms()
    assert (view.since, view.value, view.point) == (reading.at, 60.5, "p")


def test_an_event_by_a_delay_carries_the_tick_and_the_value_of_that_moment() -> None:
    hot = Threshold(point="p", side=Side.ABOVE, limit=57.0)
    world = World(site(rule(condition=hot, on_delay_s=2.0)))
    world.read({"p": 58.0})
    world.clock.advance(1.0)
    world.read({"p": 63.0})
    world.clock.advance(1.0)
    world.tick()
    (event,) = world.events
    assert (event.value, event.at) == (63.0, world.clock.stamp())


def test_a_step_of_the_wall_clock_moves_no_delay() -> None:
    world = World(site(rule(on_delay_s=10.0)))
    world.read({"p": True})
    world.clock.step_wall(-86_400)
    world.clock.advance(9.9)
    assert told(world.tick()) == []
    world.clock.step_wall(172_800)
    world.clock.advance(0.1)
    assert told(world.tick()) == [RAISED]


def test_an_alarm_told_of_an_older_moment_by_another_point_keeps_its_own_time() -> None:
    both = AllOf(parts=(Contact(point="p"), Contact(point="q")))
    world = World(site(rule(condition=both), points=(point(), point("q"))))
    early = world.reading("q", True)
    world.clock.advance(2.0)
    world.read({"p": True})
    effects = world.do(world.engine.on_readings([early], world.clock.stamp()))
    assert told(effects) == [RAISED]


def test_deadlines_are_told_and_only_while_something_waits() -> None:
    clock = ManualClock()
    engine = Engine(site(rule(on_delay_s=5.0), points=(point(stale_after_s=30.0),)))
    assert engine.next_deadline_s() is None
    engine.start(clock.stamp())
    assert engine.next_deadline_s() == clock.mono_s() + 30.0
    at = clock.advance(10.0)
    engine.on_readings([Reading(point="p", value=True, quality=Quality.GOOD, unit="", at=at)], at)
    assert engine.next_deadline_s() == clock.mono_s() + 5.0


def test_a_flapping_contact_leaves_no_pile_of_deadlines() -> None:
    world = World(site(rule(on_delay_s=60.0, off_delay_s=5.0)))
    for step in range(4000):
        world.clock.advance(0.01)
        world.read({"p": step % 2 == 0})
    assert len(world.engine._timers._heap) <= 2


def test_an_entry_overtaken_by_an_earlier_one_is_not_waited_for() -> None:
    world = World(
        site(rule(on_delay_s=60.0, off_delay_s=5.0), points=(point(stale_after_s=900.0),))
    )
    world.read({"p": True})  # waits for 60 s
    world.read({"p": False})
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_UNACKED, since_wall_ms=5)
    world.do(world.engine.restore(memory, world.clock.stamp()))
    start_s = world.clock.mono_s()
    assert world.engine.next_deadline_s() == start_s + 5.0
    world.clock.advance(5.0)
    assert told(world.tick()) == [("r", "active_unacked", "returned_unacked")]
    assert world.engine.next_deadline_s() == start_s + 900.0


# -- staleness -------------------------------------------------------------------------------------


def test_a_silent_point_is_made_stale_once_told_and_shown() -> None:
    world = World(site(points=(point(stale_after_s=30.0, unit="kPa"),)))
    world.read({"p": 1.0})
    world.clock.advance(29.9)
    assert world.tick() == []
    world.clock.advance(0.1)
    effects = world.tick()
    stale = world.engine.reading("p")
    assert stale == Reading(
        point="p", value=None, quality=Quality.STALE, unit="kPa",
        at=world.clock.stamp(), reason="no reading for 30 s",
    )  # fmt: skip
    assert effects == [Telemeter(reading=stale), ShowState(reading=stale)]
    world.clock.advance(3600)
    assert world.tick() == []
    assert world.engine.next_deadline_s() is None
    world.read({"p": 2.0})
    assert world.engine.reading("p") != stale


def test_a_point_never_read_becomes_stale_after_the_start() -> None:
    world = World(site(points=(point(stale_after_s=20.0),)))
    assert world.engine.reading("p") is None
    world.clock.advance(20.0)
    world.tick()
    stale = world.engine.reading("p")
    assert stale is not None
    assert stale.quality is Quality.STALE


def test_what_nobody_heard_of_does_not_clear_an_alarm_even_if_the_tick_is_late() -> None:
    """Off-delay 60 s, stale after 30 s: from 30 s on nothing is known, so nothing has cleared."""
    world = World(site(rule(off_delay_s=60.0)))
    world.read({"p": True})
    world.read({"p": False})
    world.clock.advance(100.0)
    world.tick()
    assert world.alarms() == {"r": "active_unacked"}


def test_nor_if_a_reading_comes_before_the_late_tick() -> None:
    world = World(site(rule(off_delay_s=60.0)))
    world.read({"p": True})
    world.read({"p": False})
    world.clock.advance(100.0)
    world.read({"p": False})
    assert world.alarms() == {"r": "active_unacked"}
    world.clock.advance(30.0)
    world.read({"p": False})
    world.clock.advance(30.0)
    world.read({"p": False})
    world.tick()
    assert world.alarms() == {"r": "returned_unacked"}


def test_a_pending_alarm_whose_delay_was_over_before_silence_began_is_raised() -> None:
    world = World(site(rule(on_delay_s=20.0)))
    world.read({"p": True})
    world.clock.advance(100.0)
    assert told(world.tick()) == [RAISED]


def test_a_point_its_driver_called_stale_is_not_told_of_twice() -> None:
    world = World(site(points=(point(stale_after_s=30.0),)))
    stale = Reading(
        point="p", value=None, quality=Quality.STALE, unit="", at=world.clock.stamp(), reason="gone"
    )
    assert world.engine.on_readings([stale], world.clock.stamp()) != []
    world.clock.advance(30.0)
    assert world.tick() == []


def test_a_rule_on_a_point_nobody_declared_is_unknown_and_never_normal_by_silence() -> None:
    world = World(site(rule(condition=Contact(point="nobody"))))
    world.clock.advance(3600)
    world.tick()
    assert [view.is_unknown for view in world.engine.alarms()] == [True]


def test_the_last_good_reading_is_kept_while_a_point_is_bad_or_silent() -> None:
    world = World(site())
    assert world.engine.last_good("p") is None
    good = world.reading("p", 1.0)
    world.read({"p": 1.0})
    world.clock.advance(5)
    world.read({"p": None})
    assert world.engine.last_good("p") == good
    world.clock.advance(3600)
    world.tick()
    assert world.engine.last_good("p") == good
    assert world.engine.last_good("nobody") is None


def test_a_reading_that_is_not_good_is_no_last_good_one() -> None:
    world = World(site())
    doubtful = replace(world.reading("p", 1.0), quality=Quality.UNCERTAIN)
    world.do(world.engine.on_readings([doubtful], world.clock.stamp()))
    assert world.engine.last_good("p") is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_a_fault_and_not_only_an_unknown_limit(value: float) -> None:
    high = rule("high", Threshold(point="p", side=Side.ABOVE, limit=57.0))
    world = World(site(high, rule("fault.p", Unheard(point="p"))))
    world.read({"p": value})
    assert world.alarms() == {"fault.p": "active_unacked"}
    world.read({"p": 20.0})
    assert world.alarms() == {"fault.p": "returned_unacked"}


def test_an_older_reading_is_stored_and_not_evaluated() -> None:
    hidden = TelemetryPolicy(mode=TelemetryMode.NONE)
    world = World(site(rule(), points=(point(), point("q", telemetry=hidden))))
    old, unseen = world.reading("p", True), world.reading("q", True)
    world.clock.advance(1.0)
    world.read({"p": False, "q": False})
    effects = world.do(world.engine.on_readings([old, unseen], world.clock.stamp()))
    assert effects == [Telemeter(reading=old)]
    assert world.alarms() == {}
    assert world.engine.late_readings == 2


def test_a_stamp_from_the_future_does_not_make_later_readings_old() -> None:
    world = World(site(rule()))
    ahead = replace(world.reading("p", False), at=Stamp(world.clock.mono_s() + 1e6, 0))
    world.do(world.engine.on_readings([ahead], world.clock.stamp()))
    assert told(world.read({"p": True})) == [RAISED]


def test_a_stamp_that_is_no_number_is_taken_for_now() -> None:
    world = World(site(rule()))
    odd = replace(world.reading("p", True), at=Stamp(float("nan"), 0))
    assert told(world.do(world.engine.on_readings([odd], world.clock.stamp()))) == [RAISED]
    world.clock.advance(30.0)
    world.tick()
    assert world.engine.reading("p") != odd


def test_readings_of_points_nobody_declared_are_counted_and_ignored() -> None:
    world = World(site(rule()))
    assert world.read({"nobody": True}) == []
    assert world.engine.unknown_readings == 1
    assert world.engine.reading("nobody") is None


def test_readings_before_the_start_are_taken_too() -> None:
    clock = ManualClock()
    engine = Engine(site(rule(), kinds="siren"))
    early = Reading(point="p", value=True, quality=Quality.GOOD, unit="", at=clock.stamp())
    assert told(engine.on_readings([early], clock.stamp())) == [RAISED]
    assert only(engine.start(clock.stamp()), SetOutput) == [
        SetOutput(output="siren", is_active=True, cause="r")
    ]


# -- a broken rule ---------------------------------------------------------------------------------


class Brittle(float):
    """A limit that cannot be compared: what a bug in a condition looks like."""

    is_broken = True

    def __add__(self, other: float) -> Brittle:
        return self

    def __lt__(self, other: float) -> bool:
        if self.is_broken:
            raise ZeroDivisionError("brittle")
        return super().__lt__(other)


def test_a_rule_that_raises_is_unknown_and_said_so_once_and_the_others_go_on() -> None:
    limit = Brittle(57.0)
    broken = rule(
        "broken", Threshold(point="p", side=Side.ABOVE, limit=limit), alarm_class=AlarmClass.FIRE,
        zone="shed",
    )  # fmt: skip
    sound = rule("sound", Threshold(point="p", side=Side.ABOVE, limit=57.0))
    world = World(site(broken, sound))
    world.read({"p": 60.0})
    world.read({"p": 61.0})
    failure, raised = world.events
    assert (failure.kind, failure.subject, failure.to_state, failure.code) == (
        EventKind.SYSTEM, "broken", "failed", "rule_failed",
    )  # fmt: skip
    assert (failure.alarm_class, failure.reason) == (AlarmClass.FAULT, "ZeroDivisionError: brittle")
    assert raised.subject == "sound"
    assert [view.is_unknown for view in world.engine.alarms()] == [True, False]

    limit.is_broken = False
    world.read({"p": 62.0})
    assert [(event.subject, event.to_state) for event in world.events[2:]] == [
        ("broken", "recovered"),
        ("broken", "active_unacked"),
    ]


def test_a_rule_that_broke_names_the_point_whose_reading_it_broke_at() -> None:
    hot = Threshold(point="p", side=Side.ABOVE, limit=Brittle(57.0))
    both = AllOf(parts=(Contact(point="q"), hot))
    world = World(site(rule(condition=both), points=(point("q"), point())))
    world.read({"q": True})
    assert [each.point for each in world.engine.alarms()] == ["q"]
    world.read({"p": 60.0})
    assert [each.point for each in world.engine.alarms()] == ["p"]


def test_the_alarm_of_a_rule_that_broke_cannot_be_reset() -> None:
    limit = Brittle(57.0)
    limit.is_broken = False
    hot = Threshold(point="p", side=Side.ABOVE, limit=limit)
    world = World(site(rule(condition=hot, is_latched=True)))
    world.read({"p": 60.0})
    world.command("ack")
    limit.is_broken = True
    world.read({"p": 20.0})
    assert world.command("reset", "r").code == "rule_failed"
    assert world.alarms() == {"r": "active_acked"}


# -- commands --------------------------------------------------------------------------------------


def last_command(world: World) -> Event:
    return [event for event in world.events if event.kind is EventKind.COMMAND][-1]


@pytest.mark.parametrize(
    ("name", "more", "code"),
    [
        ("ack", {"target": "nobody"}, "unknown_rule"),
        ("ack", {"target": "r"}, "not_active"),
        ("silence", {"target": "r"}, "not_active"),
        ("reset", {"target": "r"}, "not_active"),
        ("ack", {}, "not_active"),
        ("silence", {}, "not_active"),
        ("reset", {}, "not_active"),
        ("reset", {"code": "whatever"}, "bad_argument"),
        ("reset", {"code": "false"}, "bad_argument"),
        ("ack", {"actor": ""}, "bad_argument"),
    ],
)
def test_a_refused_command_says_why_is_recorded_and_changes_nothing(
    name: str, more: dict[str, str], code: str
) -> None:
    world = World(site(rule(), kinds="siren"))
    world.read({"p": False})
    before = world.engine.alarms()
    outcome = world.command(name, **more)
    assert (outcome.ok, outcome.code) == (False, code)
    assert outcome.message
    assert world.engine.alarms() == before
    (event,) = world.events
    target = more.get("target", "")
    assert (event.kind, event.to_state, event.code) == (EventKind.COMMAND, name, code)
    assert event.subject == ("r" if target == "r" else "box-1")
    assert event.actor == more.get("actor", "anna")


def test_a_command_to_all_does_what_it_can_and_names_what_it_could_not() -> None:
    rules = (rule("a", is_latched=True), rule("b", Contact(point="q"), is_latched=True))
    world = World(site(*rules, points=(point(), point("q"))))
    world.read({"p": True, "q": True})
    world.command("ack")
    world.read({"p": False})
    outcome = world.command("reset", code="false", reason="steam")
    assert outcome.ok
    assert outcome.message == "a reset; refused: b (condition_holds)"
    assert world.alarms() == {"b": "active_acked"}
    reset = world.events[-2]
    assert (reset.rule, reset.to_state) == ("a", "normal")
    assert (reset.actor, reset.code, reset.reason) == ("anna", "false", "steam")
    assert last_command(world).code == "done"


def test_a_command_repeated_is_done_and_moves_nothing() -> None:
    world = World(site(rule(is_latched=True), kinds="siren"))
    world.read({"p": True})
    for name in ("ack", "silence"):
        assert world.command(name, "r").ok
        assert world.command(name, "r").ok
    kinds = [event.kind for event in world.events]
    assert kinds.count(EventKind.ALARM) == 2
    assert kinds.count(EventKind.SILENCE) == 1
    assert kinds.count(EventKind.COMMAND) == 4


def test_acknowledging_names_the_person_until_the_alarm_ends() -> None:
    world = World(site(rule(is_latched=True)))
    world.read({"p": True})
    world.command("ack", "r", actor="bo")
    world.read({"p": False})
    assert world.engine.alarms()[0].actor == "bo"
    world.command("reset", "r", actor="chen")
    assert world.engine.alarms()[0].actor == ""


def test_an_output_a_person_stopped_names_the_command() -> None:
    world = World(site(rule(), kinds="siren"))
    world.read({"p": True})
    world.command("silence")
    assert only(world.effects, SetOutput)[-1] == SetOutput(
        output="siren", is_active=False, cause="silence"
    )


def test_a_silence_ended_by_a_new_alarm_names_it() -> None:
    rules = (rule("a"), rule("b", Contact(point="q"), alarm_class=AlarmClass.FIRE))
    world = World(site(*rules, points=(point(), point("q")), kinds="siren"))
    world.read({"p": True})
    world.command("silence", "a")
    world.read({"q": True})
    ended = world.events[-1]
    assert (ended.kind, ended.rule, ended.from_state, ended.to_state, ended.code, ended.reason) == (
        EventKind.SILENCE, "a", "silenced", "unsilenced", "new_alarm", "b",
    )  # fmt: skip
    assert [each.is_silenced for each in world.engine.alarms()] == [False, False]


def test_a_silenced_alarm_that_was_acknowledged_since_sounds_again_with_a_new_one() -> None:
    rules = (rule("a"), rule("b", Contact(point="q"), alarm_class=AlarmClass.FIRE))
    world = World(site(*rules, points=(point(), point("q")), kinds="siren"))
    world.read({"p": True})
    world.command("silence", "a")
    world.command("ack", "a")
    world.read({"q": True})
    assert [each.is_silenced for each in world.engine.alarms()] == [False, False]
    assert world.events[-1].to_state == "unsilenced"


# -- outputs by kind -------------------------------------------------------------------------------

KINDS = "siren buzzer strobe relay valve cut-off lamp health"


@pytest.mark.parametrize(
    ("commands", "active"),
    [
        ((), "siren buzzer strobe relay valve cut-off lamp"),
        (("ack",), "siren strobe relay valve cut-off lamp"),
        (("silence",), "strobe relay valve cut-off lamp"),
        (("ack", "silence"), "strobe relay valve cut-off lamp"),
    ],
)
def test_what_ack_and_silence_stop(commands: tuple[str, ...], active: str) -> None:
    world = World(site(rule(alarm_class=AlarmClass.FIRE), kinds=KINDS))
    world.read({"p": True})
    for name in commands:
        world.command(name)
    assert set(world.active_outputs()) == set(active.split())
    world.read({"p": False})
    assert set(world.active_outputs()) == set(active.split()), "latched: as before"
    world.command("ack")
    world.command("reset")
    assert world.active_outputs() == ["health"]


def test_suppression_stops_what_indicates_and_never_what_protects() -> None:
    parent = rule("parent", Contact(point="q"))
    child = rule("child", suppressed_by=("parent",))
    world = World(
        replace(
            site(parent, child, points=(point(), point("q")), kinds=KINDS),
            linkages=(Linkage(id="l", outputs=tuple(KINDS.split()), rules=("child",)),),
        )
    )
    world.read({"p": True})
    world.read({"q": True})
    assert set(world.active_outputs()) == {"relay", "valve", "cut-off"}
    world.read({"q": False})
    assert set(world.active_outputs()) == set(KINDS.split()) - {"health"}


def test_a_linkage_names_alarms_by_every_field_it_fills() -> None:
    rules = (
        rule("a", zone="east", alarm_class=AlarmClass.FIRE),
        rule("b", Contact(point="q"), alarm_class=AlarmClass.FIRE),
    )
    east_fire = Linkage(
        id="l", outputs=("siren", "nobody"), classes=(AlarmClass.FIRE,), zones=("west",)
    )
    world = World(
        replace(
            site(*rules, points=(point(), point("q", zone="west")), kinds="siren"),
            linkages=(east_fire,),
        )
    )
    world.read({"p": True})
    assert world.active_outputs() == []
    world.read({"q": True})
    assert world.active_outputs() == ["siren"], "b has no zone of its own: that of its point"


# -- suppression -----------------------------------------------------------------------------------


def family() -> World:
    """bus over device over point, each with a contact of its own and a delay of 1 s."""
    rules = tuple(
        rule(name, Contact(point=name), on_delay_s=1.0, needs_ack=False, suppressed_by=parents)
        for name, parents in (("point", ("device",)), ("device", ("bus",)), ("bus", ()))
    )
    return World(site(*rules, points=tuple(point(name) for name in ("bus", "device", "point"))))


def test_when_all_fall_at_once_only_the_topmost_is_told() -> None:
    world = family()
    world.read({"point": True, "device": True, "bus": True})
    world.clock.advance(1.0)
    effects = world.tick()
    assert told(effects) == [
        ("bus", "normal", "active_unacked"),
        ("device", "unsuppressed", "suppressed"),
        ("point", "unsuppressed", "suppressed"),
    ]
    assert world.alarms() == {"bus": "active_unacked"}


def test_what_is_released_gets_its_on_delay_anew_and_then_speaks() -> None:
    world = family()
    world.read({"point": True, "device": True, "bus": True})
    world.clock.advance(5.0)
    world.tick()
    assert told(world.read({"bus": False})) == [
        ("bus", "active_unacked", "normal"),
        ("device", "suppressed", "unsuppressed"),
        ("point", "suppressed", "unsuppressed"),
    ]
    world.clock.advance(1.0)
    assert told(world.tick()) == [
        ("device", "normal", "active_unacked"),
        ("point", "unsuppressed", "suppressed"),
    ]


def test_a_suppressed_alarm_that_was_told_before_is_told_to_have_ended() -> None:
    world = family()
    world.read({"device": True})
    world.clock.advance(1.0)
    world.tick()
    world.read({"bus": True})
    world.clock.advance(1.0)
    world.tick()
    assert told(world.read({"device": False})) == [("device", "active_unacked", "normal")]


def test_a_circle_of_parents_ends() -> None:
    rules = (
        rule("a", suppressed_by=("b",)),
        rule("b", Contact(point="p"), suppressed_by=("a", "b")),
        rule("c", Contact(point="p"), suppressed_by=("a",)),
    )
    world = World(site(*rules))
    world.read({"p": True})
    assert world.alarms() == {"a": "active_unacked"}


def test_what_is_remembered_as_active_suppresses_from_the_start() -> None:
    memory = AlarmMemory(rule="bus", state=AlarmState.ACTIVE_ACKED, since_wall_ms=7, actor="bo")
    site_ = family().site
    engine = Engine(site_, (memory,))
    assert told(engine.start(ManualClock().stamp())) == [
        ("device", "unsuppressed", "suppressed"),
        ("point", "unsuppressed", "suppressed"),
    ]
    by_rule = {view.rule: view for view in engine.alarms()}
    assert by_rule["device"].is_suppressed
    assert (by_rule["bus"].actor, by_rule["bus"].since.wall_ms) == ("bo", 7)


# -- memory ----------------------------------------------------------------------------------------


def test_a_remembered_alarm_demands_its_outputs_at_the_start_and_only_a_person_ends_it() -> None:
    memory = AlarmMemory(
        rule="r", state=AlarmState.LATCHED_UNACKED, since_wall_ms=5, is_silenced=True
    )
    position = LogPosition(stream="s", seq=9)
    engine = Engine(site(rule(is_latched=True), kinds="siren relay"), (memory,))
    assert engine.snapshot(position).memories == (memory,)
    assert engine.snapshot(position).position == position
    assert only(engine.start(ManualClock().stamp()), SetOutput) == [
        SetOutput(output="siren", is_active=False, cause="start"),
        SetOutput(output="relay", is_active=True, cause="r"),
    ]


def test_an_alarm_whose_rule_is_gone_is_ended_by_an_event() -> None:
    gone = AlarmMemory(rule="gone", state=AlarmState.ACTIVE_UNACKED, since_wall_ms=5)
    normal = AlarmMemory(rule="r", state=AlarmState.NORMAL, since_wall_ms=5)
    engine = Engine(site(rule()), (gone, normal))
    (record,) = only(engine.start(ManualClock().stamp()), Record)
    assert isinstance(record, Record)
    assert (record.event.rule, record.event.to_state, record.event.code) == (
        "gone", "normal", "rule_removed",
    )  # fmt: skip
    memories = {"gone": gone}
    apply_event(memories, record.event)
    assert memories == {}


def test_a_memory_that_comes_late_is_merged_with_outputs_and_what_it_hides() -> None:
    parent = rule("parent", Contact(point="q"), is_latched=True)
    child = rule("child", suppressed_by=("parent",))
    world = World(site(parent, child, points=(point(), point("q")), kinds="siren"))
    memory = AlarmMemory(rule="parent", state=AlarmState.ACTIVE_UNACKED, since_wall_ms=5)
    effects = world.do(world.engine.restore(memory, world.clock.stamp()))
    assert effects[0] == SetOutput(output="siren", is_active=True, cause="parent")
    assert told(effects) == [("child", "unsuppressed", "suppressed")]
    assert world.shown["parent"] is AlarmState.ACTIVE_UNACKED
    assert told(world.read({"q": False}))[0] == ("parent", "active_unacked", "latched_unacked")


def test_a_memory_that_comes_after_its_condition_was_read_is_judged_by_it() -> None:
    world = World(site(rule()))
    world.read({"p": False})
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_UNACKED, since_wall_ms=5)
    effects = world.do(world.engine.restore(memory, world.clock.stamp()))
    assert told(effects) == [("r", "active_unacked", "returned_unacked")]


def test_what_moved_since_the_start_is_newer_than_a_late_memory() -> None:
    world = World(site(rule()))
    world.read({"p": True})
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5, actor="bo")
    assert world.do(world.engine.restore(memory, world.clock.stamp())) == []
    assert world.alarms() == {"r": "active_unacked"}


def test_a_late_memory_of_a_rule_that_is_gone_is_ended_by_an_event() -> None:
    world = World(site(rule()))
    memory = AlarmMemory(rule="gone", state=AlarmState.LATCHED_ACKED, since_wall_ms=5)
    effects = world.do(world.engine.restore(memory, world.clock.stamp()))
    assert told(effects) == [("gone", "latched_acked", "normal")]


def test_a_late_memory_in_normal_of_a_rule_that_is_gone_tells_nothing() -> None:
    world = World(site(rule()))
    memory = AlarmMemory(rule="gone", state=AlarmState.NORMAL, since_wall_ms=5)
    assert world.do(world.engine.restore(memory, world.clock.stamp())) == []


def test_a_late_memory_of_a_rule_that_breaks_stands_as_it_was() -> None:
    limit = Brittle(57.0)
    limit.is_broken = False
    world = World(site(rule(condition=Threshold(point="p", side=Side.ABOVE, limit=limit))))
    world.read({"p": 20.0})
    limit.is_broken = True
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5, actor="bo")
    world.do(world.engine.restore(memory, world.clock.stamp()))
    assert world.alarms() == {"r": "active_acked"}
    world.read({"p": 21.0})
    assert (world.events[-1].to_state, world.alarms()) == ("failed", {"r": "active_acked"})
    limit.is_broken = False
    world.read({"p": 22.0})
    assert world.alarms() == {}


def start_with_more_to_come(*memories: AlarmMemory, kinds: str) -> World:
    """A site whose outputs are linked to a latched rule, started before all its memory has come."""
    world = World(site(rule(is_latched=True), kinds=kinds))
    world.outputs.clear()
    world.engine = Engine(world.site, memories, is_memory_whole=False)
    world.do(world.engine.start(world.clock.stamp()))
    return world


LATCHED = AlarmMemory(rule="r", state=AlarmState.LATCHED_ACKED, since_wall_ms=5, actor="bo")


def test_what_cuts_or_shuts_is_not_told_to_restore_before_all_memory_has_come() -> None:
    world = start_with_more_to_come(kinds="siren relay valve cut-off")
    assert world.outputs == {"siren": False}
    world.read({"p": False})
    world.do(world.engine.memory_is_whole())
    assert world.outputs == {"siren": False, "relay": False, "valve": False, "cut-off": False}
    assert world.do(world.engine.memory_is_whole()) == []


def test_a_cut_off_with_a_latch_that_comes_late_never_restores() -> None:
    world = start_with_more_to_come(kinds="cut-off")
    world.read({"p": False})
    world.do(world.engine.restore(LATCHED, world.clock.stamp()))
    world.do(world.engine.memory_is_whole())
    moves = [each.is_active for each in world.effects if isinstance(each, SetOutput)]
    assert moves[1:] == [True]  # the first belongs to the world before the restart


def test_an_alarm_cuts_at_once_although_memory_is_not_whole_and_stays_cut_until_it_is() -> None:
    plain = World(site(rule(needs_ack=False), kinds="cut-off"))
    plain.outputs.clear()
    plain.engine = Engine(plain.site, is_memory_whole=False)
    plain.do(plain.engine.start(plain.clock.stamp()))
    plain.read({"p": True})
    assert plain.outputs == {"cut-off": True}
    plain.read({"p": False})
    assert plain.outputs == {"cut-off": True}
    plain.do(plain.engine.memory_is_whole())
    assert plain.outputs == {"cut-off": False}


def test_a_memory_in_normal_takes_back_an_older_one_that_was_known_before_the_start() -> None:
    world = start_with_more_to_come(LATCHED, kinds="siren cut-off")
    assert world.outputs == {"siren": True, "cut-off": True}
    world.do(world.engine.restore(replace(LATCHED, state=AlarmState.NORMAL), world.clock.stamp()))
    world.do(world.engine.memory_is_whole())
    assert world.alarms() == {}
    assert world.outputs == {"siren": False, "cut-off": False}


def test_a_memory_in_normal_takes_back_nothing_that_moved_since_the_start() -> None:
    world = start_with_more_to_come(LATCHED, kinds="siren")
    world.read({"p": True})
    world.do(world.engine.restore(replace(LATCHED, state=AlarmState.NORMAL), world.clock.stamp()))
    assert world.alarms() == {"r": "active_unacked"}
    assert world.outputs == {"siren": True}


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "late"])
def test_over_a_restart_an_active_limit_is_gone_only_past_its_deadband(is_late: bool) -> None:
    low = Threshold(point="p", side=Side.BELOW, limit=100.0, deadband=20.0)
    either = AnyOf(parts=(low, Contact(point="q")))
    memory = AlarmMemory(rule="r", state=AlarmState.ACTIVE_ACKED, since_wall_ms=5, actor="bo")
    for condition in (low, either, AllOf(parts=(either,))):
        world = World(site(rule(condition=condition), points=(point(), point("q"))))
        world.engine = Engine(world.site, () if is_late else (memory,))
        world.do(world.engine.start(world.clock.stamp()))
        world.read({"p": 110.0, "q": False})
        if is_late:
            assert world.alarms() == {}
            world.do(world.engine.restore(memory, world.clock.stamp()))
        assert world.alarms() == {"r": "active_acked"}
        world.read({"p": 121.0})
        assert world.alarms() == {}


def test_over_a_restart_a_limit_that_was_not_active_is_met_at_the_limit_itself() -> None:
    low = Threshold(point="p", side=Side.BELOW, limit=100.0, deadband=20.0)
    memory = AlarmMemory(rule="r", state=AlarmState.LATCHED_ACKED, since_wall_ms=5, actor="bo")
    engine = Engine(site(rule(condition=low, is_latched=True)), (memory,))
    world = World(site())
    engine.start(world.clock.stamp())
    engine.on_readings([world.reading("p", 110.0)], world.clock.stamp())
    assert [each.state for each in engine.alarms()] == [AlarmState.LATCHED_ACKED]


def test_a_state_written_by_a_newer_version_is_held_for_an_active_alarm() -> None:
    memories: dict[str, AlarmMemory] = {}
    event = Event(
        kind=EventKind.ALARM, subject="r", rule="r", at=Stamp(1.0, 1000), to_state="shelved"
    )
    apply_event(memories, event)
    assert memories["r"].state is AlarmState.ACTIVE_UNACKED


def test_events_that_move_no_alarm_leave_the_memory_alone() -> None:
    memories: dict[str, AlarmMemory] = {}
    for kind in EventKind:
        if kind is not EventKind.ALARM:
            apply_event(memories, Event(kind=kind, subject="r", rule="r", at=Stamp(1.0, 1000)))
    assert memories == {}


def test_transitions_are_counted_by_class_and_state() -> None:
    world = World(site(rule(), rule("f", alarm_class=AlarmClass.FIRE)))
    world.read({"p": True})
    world.read({"p": False})
    assert world.engine.transitions() == {
        (AlarmClass.FAULT, "active_unacked"): 1,
        (AlarmClass.FAULT, "returned_unacked"): 1,
        (AlarmClass.FIRE, "active_unacked"): 1,
        (AlarmClass.FIRE, "latched_unacked"): 1,
    }


# -- what is shown ---------------------------------------------------------------------------------


def views_shown(effects: list[Effect]) -> list[AlarmView]:
    return [each.alarm for each in effects if isinstance(each, ShowAlarm)]


def test_an_alarm_is_shown_when_it_becomes_pending_unknown_or_known_and_not_otherwise() -> None:
    world = World(site(rule(on_delay_s=9.0)))
    (known,) = views_shown(world.read({"p": False}))
    assert (known.is_unknown, known.is_pending) == (False, False)
    (pending,) = views_shown(world.read({"p": True}))
    assert (pending.is_pending, pending.state) == (True, AlarmState.NORMAL)
    (unknown,) = views_shown(world.read({"p": None}))
    assert (unknown.is_unknown, unknown.is_pending) == (True, True)
    (normal,) = views_shown(world.read({"p": False}))
    assert (normal.is_unknown, normal.is_pending) == (False, False)
    world.clock.advance(1.0)
    assert views_shown(world.read({"p": False})) == []


def test_every_alarm_is_shown_at_the_start_as_of_the_start() -> None:
    clock = ManualClock()
    engine = Engine(site(rule(), rule("s")))
    views = views_shown(engine.start(clock.stamp()))
    assert [(view.rule, view.state, view.since) for view in views] == [
        ("r", AlarmState.NORMAL, clock.stamp()),
        ("s", AlarmState.NORMAL, clock.stamp()),
    ]
    assert views == list(engine.alarms())


def test_a_latched_alarm_says_so() -> None:
    world = World(site(rule(is_latched=True), rule("s")))
    assert [view.is_latched for view in world.engine.alarms()] == [False, False]
    world.read({"p": True})
    assert [view.is_latched for view in world.engine.alarms()] == [True, False]


# -- work done -------------------------------------------------------------------------------------


def test_a_reading_looks_only_at_the_rules_of_its_point_and_only_when_its_value_changed() -> None:
    looks: list[float] = []

    class Counted(float):
        def __lt__(self, other: float) -> bool:
            looks.append(other)
            return super().__lt__(other)

    rules = tuple(
        rule(f"r{n}", Threshold(point=f"p{n % 100}", side=Side.ABOVE, limit=Counted(50.0)))
        for n in range(1000)
    )
    world = World(site(*rules, points=tuple(point(f"p{n}") for n in range(100))))
    world.read({"p7": 20.0})
    assert looks == [20.0] * 10
    world.read({"p7": 20.0})
    assert len(looks) == 10
    world.read({"p7": 21.0})
    assert len(looks) == 20
