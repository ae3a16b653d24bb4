"""The demo's room: physics, wiring, the timeline, and playing it on a stage of real parts."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.effects import CommandName
from agent.simulate import demo
from agent.simulate.demo import build_demo_room, counter_places
from agent.simulate.ledger import Ledger, PinDriven, PinMoved, Place, encode_counter
from agent.simulate.pins import NotedPins
from agent.simulate.play import Stage, play
from agent.simulate.proxy import LinkState
from agent.simulate.room import NORMAL, PlantRoom, Quantity, Ramp
from agent.simulate.scenario import (
    LABELS,
    LEAST_S,
    DrivePin,
    ExpectedAlarm,
    ExpectedPin,
    Move,
    Played,
    Press,
    Scenario,
    SetLink,
    Silence,
    Step,
    StepName,
    demo_scenario,
    is_about,
)
from drivers.clock import ManualClock, SystemClock
from drivers.gpio.pins import MockPins
from drivers.modbus.spec import (
    Area,
    DataType,
    DeviceSpec,
    ModbusBusSpec,
    QuantitySpec,
    SerialPort,
    TcpPort,
)


def read(unit: object, area: Area, address: int, count: int) -> bytes:
    function = 3 if area is Area.HOLDING else 4
    answer: bytes = unit.answer(struct.pack(">BHH", function, address, count)).pdu  # type: ignore[attr-defined]
    assert answer[0] == function, answer.hex()
    return answer[2:]


# -- physics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("now_s", "value"), [(0, 10), (100, 10), (105, 15), (110, 20), (1000, 20)])
def test_a_ramp_is_level_straight_level(now_s: float, value: float) -> None:
    assert Ramp(start=10, end=20, from_s=100, over_s=10).at(now_s) == value


def test_a_move_begins_where_the_quantity_is(clock: ManualClock) -> None:
    room = PlantRoom(clock)
    room.move(Quantity.GAS_PERCENT_LEL, 40, 10)
    clock.advance(5)
    room.move(Quantity.GAS_PERCENT_LEL, 0, 10)
    assert room.value(Quantity.GAS_PERCENT_LEL) == 20
    clock.advance(5)
    assert room.value(Quantity.GAS_PERCENT_LEL) == 10


@given(st.floats(0, 1e6))
def test_a_normal_room_stays_normal(after_s: float) -> None:
    clock = ManualClock()
    room = PlantRoom(clock)
    clock.advance(after_s)
    for quantity, value in NORMAL.items():
        assert abs(room.value(quantity) - value) <= max(0.05 * value, 0.0)


def test_without_power_nothing_charges_and_the_shed_cools(clock: ManualClock) -> None:
    room = PlantRoom(clock)
    room.move(Quantity.CHARGING_A, 28)
    room.move(Quantity.SHED_CELSIUS, 72)
    assert room.charging_w > 6000
    room.set_power(False)
    assert (room.charging_w, room.mains_v, room.value(Quantity.CHARGING_A)) == (0, 0, 0)
    clock.advance(60)
    assert room.value(Quantity.SHED_CELSIUS) < 25
    room.set_power(True)
    assert room.value(Quantity.CHARGING_A) > 27


# -- wiring ----------------------------------------------------------------------------------------


def test_every_unit_says_what_the_room_is_like(clock: ManualClock) -> None:
    built = build_demo_room(Ledger(clock))
    tcp, line = built.tcp.station.units, built.line.station.units
    (pressure,) = struct.unpack(">f", read(tcp[demo.HYDRANT], Area.HOLDING, 0, 2))
    assert pressure == pytest.approx(built.room.value(Quantity.HYDRANT_KPA))
    (volts,) = struct.unpack(">f", read(tcp[demo.CHARGER], Area.INPUT, 0x0000, 2))
    (amps,) = struct.unpack(">f", read(tcp[demo.CHARGER], Area.INPUT, 0x0006, 2))
    (watts,) = struct.unpack(">f", read(tcp[demo.CHARGER], Area.INPUT, 0x000C, 2))
    assert (volts, watts) == (230, pytest.approx(230 * amps))
    assert len(read(tcp[demo.CHARGER], Area.INPUT, 0x0156, 2)) == 4
    assert read(tcp[demo.GAS_METER], Area.INPUT, 0, 1) == b"\x00\x00"
    built.room.move(Quantity.HALL_CELSIUS, -5)
    celsius, percent = struct.unpack(">hH", read(tcp[demo.HALL_AIR], Area.INPUT, 1, 2))
    assert -52 <= celsius <= -48
    assert 440 <= percent <= 460
    celsius, _ = struct.unpack(">hH", read(line[demo.SHED_AIR], Area.INPUT, 1, 2))
    assert 238 <= celsius <= 242
    (level,) = struct.unpack(">H", read(line[demo.SUMP], Area.HOLDING, 0, 1))
    assert 177 <= level <= 183
    assert line[demo.RELAYS].answer(bytes.fromhex("0100000008")).pdu == bytes.fromhex("010100")


def test_all_but_the_relays_count_and_no_two_counters_are_alike(clock: ManualClock) -> None:
    built = build_demo_room(Ledger(clock))
    seen: set[int] = set()
    for station in (built.tcp.station, built.line.station):
        for number, unit in station.units.items():
            if station is built.line.station and number == demo.RELAYS:
                continue
            for _ in range(50):
                value = int.from_bytes(read(unit, Area.HOLDING, demo.COUNTER_ADDRESS, 2), "big")
                assert value >> 24 == number
                assert value not in seen
                seen.add(value)
    assert len(seen) == 6 * 50


def test_counters_are_found_in_the_agents_own_configuration() -> None:
    counter = QuantitySpec(name="counter", area=Area.HOLDING, address=100, type=DataType.U32)
    other = QuantitySpec(name="level", area=Area.HOLDING, address=0, type=DataType.U16)
    buses = [
        ModbusBusSpec(
            id="meters",
            port=TcpPort(host="127.0.0.1"),
            devices=(
                DeviceSpec(id="hydrant", unit=1, quantities=(other, counter)),
                DeviceSpec(
                    id="gas", unit=4, quantities=(counter,), points={"counter": "gas-count"}
                ),
            ),
        ),
        ModbusBusSpec(
            id="rs485",
            port=SerialPort(path="/dev/null"),
            devices=(DeviceSpec(id="sump", unit=3, quantities=(other,)),),
        ),
    ]
    assert counter_places(buses) == {
        "hydrant.counter": Place("meters", 1, 100),
        "gas-count": Place("meters", 4, 100),
    }


def test_the_cut_off_relay_holds_the_chargers_power(clock: ManualClock) -> None:
    built = build_demo_room(Ledger(clock))
    built.on_output(demo.SIREN_PIN, False)
    assert built.room.is_powered
    built.on_output(demo.CUT_OFF_PIN, False)
    assert not built.room.is_powered


# -- the timeline ----------------------------------------------------------------------------------


@pytest.mark.parametrize("round_number", range(6))
@pytest.mark.parametrize("total_s", [LEAST_S, 30.0, 75.0, 300.0])
def test_every_round_has_all_steps_in_time_and_order(total_s: float, round_number: int) -> None:
    scenario = demo_scenario(total_s, round_number)
    assert {step.name for step in scenario.steps} == set(StepName)
    times = [step.at_s for step in scenario.steps]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] < total_s
    order = [step.name for step in scenario.steps]
    assert order.index(StepName.LINK_LOST) < order.index(StepName.LINK_BACK)
    assert order.index(StepName.RECOVERED) < order.index(StepName.ACK) < order.index(StepName.RESET)


@pytest.mark.parametrize("round_number", range(6))
def test_every_cause_is_undone_within_its_round(round_number: int) -> None:
    pins = dict(demo.RESTING)
    quantities = dict(NORMAL)
    silent: set[int] = set()
    link = LinkState.PASS
    for step in demo_scenario(75, round_number).steps:
        for act in step.acts:
            match act:
                case DrivePin():
                    pins[act.pin] = act.high
                case Move():
                    quantities[act.quantity] = act.to
                case Silence():
                    silent = silent | {act.unit} if act.is_silent else silent - {act.unit}
                case SetLink():
                    link = act.state
                case Press():
                    pass
        if step.name is StepName.RECOVERED:
            assert (pins, quantities, silent, link) == (
                demo.RESTING,
                NORMAL,
                set(),
                LinkState.PASS,
            )


def test_everything_can_be_seen_before_the_causes_are_gone_even_in_thirty_seconds() -> None:
    scenario = demo_scenario(30.0)
    recovered_s = next(each.at_s for each in scenario.steps if each.name is StepName.RECOVERED)
    dead = next(each for each in scenario.steps if each.name is StepName.DEVICE_DEAD)
    # A dead device takes the agent 3 s and half of faults.after_s = 6 s, and the polls around them.
    assert recovered_s - dead.at_s > 12
    hot = next(each for each in scenario.steps if each.name is StepName.SHED_HOT)
    assert recovered_s - hot.at_s > 5


def test_a_short_demo_keeps_its_pace_and_drops_what_it_cannot_show() -> None:
    scenario = demo_scenario(8.0)
    assert [step.name for step in scenario.steps] == [
        StepName.NORMAL,
        StepName.LEAK,
        StepName.SMOKE,
        StepName.DEVICE_DEAD,
        StepName.LEAK_OVER,
        StepName.PRESSURE_SLOW,
    ]
    for step in scenario.steps:
        assert all(step.at_s + each.within_s <= 8.0 for each in step.expects)
    with pytest.raises(ValueError, match="time"):
        demo_scenario(0)


def test_rounds_differ_repeatably_and_the_first_is_always_the_same() -> None:
    assert demo_scenario(75, 3) == demo_scenario(75, 3)
    rounds = [demo_scenario(75, each).steps for each in range(6)]
    assert len({repr(each) for each in rounds}) == 6
    links = {
        act.state
        for steps in rounds
        for step in steps
        for act in step.acts
        if isinstance(act, SetLink)
    }
    assert links == set(LinkState)


def test_every_step_has_its_name_in_both_languages() -> None:
    assert set(LABELS) == set(StepName)
    assert all(label.en and label.zh for label in LABELS.values())


@pytest.mark.parametrize(
    ("about", "rule", "point", "is_it"),
    [
        ("smoke", "smoke", "hall.smoke", True),
        ("hydrant-low", "hydrant-low-low", "hydrant.pressure", False),
        ("hydrant.", "hydrant-low", "hydrant.pressure", True),
        ("gas-meter", "gas-meter", "gas-meter.online", True),
        ("gas-meter", "gas-meter.gas", "gas-meter.gas", False),
    ],
)
def test_what_an_expectation_is_about(about: str, rule: str, point: str, is_it: bool) -> None:
    assert is_about(about, rule, point) is is_it


# -- playing it ------------------------------------------------------------------------------------


class Switchboard:
    """Units, link and person that note what is asked of them."""

    def __init__(self, refusals: int = 0) -> None:
        self.noted: list[object] = []
        self._refusals = refusals

    def set_silent(self, unit: int, is_silent: bool) -> None:
        self.noted.append((unit, is_silent))

    async def set_state(self, state: LinkState) -> None:
        self.noted.append(state)

    async def command(self, name: CommandName, code: str) -> bool:
        self.noted.append((name, code))
        self._refusals -= 1
        return self._refusals < 0


async def test_a_scenario_acts_on_pins_room_units_link_and_person(ledger: Ledger) -> None:
    pins, board, room = MockPins(), Switchboard(refusals=1), PlantRoom(SystemClock())
    scenario = Scenario(
        steps=(
            Step(
                name=StepName.SMOKE,
                at_s=0.0,
                acts=(DrivePin(17, True), Move(Quantity.GAS_PERCENT_LEL, 5.0, 0.0)),
            ),
            Step(
                name=StepName.RESET,
                at_s=0.05,
                acts=(
                    Silence(4, True),
                    Press(CommandName.RESET, "test", again_s=0.01),
                    SetLink(LinkState.CUT),
                ),
            ),
        ),
        total_s=0.1,
    )
    played: list[Played] = []
    seen: list[Played] = []
    stage = Stage(pins=NotedPins(pins, ledger), units=board, link=board, person=board, room=room)
    await play(scenario, stage, SystemClock(), played, seen.append)
    assert played == seen
    assert [each.step.name for each in played] == [StepName.SMOKE, StepName.RESET]
    assert 0.045 < played[1].at.mono_s - played[0].at.mono_s < 0.5
    assert pins.level(17)
    assert room.value(Quantity.GAS_PERCENT_LEL) == 5.0
    reset = (CommandName.RESET, "test")
    assert board.noted == [(4, True), LinkState.CUT, reset, reset]
    (driven,) = ledger.entries
    assert isinstance(driven, PinDriven)
    assert (driven.pin, driven.high) == (17, True)


async def test_a_person_gives_up_after_three_refusals(ledger: Ledger) -> None:
    board = Switchboard(refusals=100)
    press = Press(CommandName.ACK, again_s=0.001)
    scenario = Scenario(steps=(Step(name=StepName.ACK, at_s=0, acts=(press,)),), total_s=0.02)
    stage = Stage(
        pins=MockPins(), units=board, link=board, person=board, room=PlantRoom(SystemClock())
    )
    await play(scenario, stage, SystemClock(), [])
    assert board.noted == [(CommandName.ACK, "")] * 3


async def test_outputs_are_seen_as_they_move_not_as_anybody_tells(ledger: Ledger) -> None:
    pins = MockPins()
    line = pins.open().claim_output(23, False)
    moves: list[tuple[int, bool]] = []
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(
            NotedPins(pins, ledger).watch([23], lambda *move: moves.append(move), 0.001),
            name="watch",
        )
        for high in (True, False):
            await asyncio.sleep(0.02)
            line.set(high)
        await asyncio.sleep(0.02)
        watching.cancel()
    assert moves == [(23, False), (23, True), (23, False)]
    assert [(each.pin, each.high) for each in ledger.entries if isinstance(each, PinMoved)] == moves


def test_expectations_name_real_pins_and_positive_times() -> None:
    for step in demo_scenario(30).steps:
        for each in step.expects:
            assert each.within_s > 0
            if isinstance(each, ExpectedPin):
                assert each.pin in demo.OUTPUT_PINS
            else:
                assert isinstance(each, ExpectedAlarm)


async def test_the_whole_room_runs_on_its_two_buses(ledger: Ledger) -> None:
    built = build_demo_room(ledger)
    async with built.tcp, built.line:
        reader, writer = await asyncio.open_connection(built.tcp.host, built.tcp.port)
        writer.write(bytes.fromhex("000100000006 01 0300640002"))
        answer = await reader.readexactly(13)
        writer.close()
    assert int.from_bytes(answer[9:], "big") == encode_counter(1, 100, 0)
    assert len(ledger.entries) == 1
