"""A simulated site: everything the agent asks for is there, plausible, moving, and never a sentinel."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.load import load_site
from agent.simulate.faults import FaultKind, playable
from agent.simulate.frames import Framing
from agent.simulate.ledger import Ledger
from agent.simulate.line import RtuLine
from agent.simulate.pin_door import answer, serve_pins
from agent.simulate.pin_hand import DoorFailed, hold_pins, levels
from agent.simulate.site import RatedFaults, build_slave, build_units, faults_for
from agent.simulate.slave import SimUnit
from agent.simulate.tcp import TcpSlave
from agent.simulate.values import moving
from drivers.clock import ManualClock
from drivers.gpio.inputs import ContactFilter
from drivers.gpio.pins import MockPins
from drivers.gpio.spec import ContactForm, InputSpec, Pull
from drivers.modbus.plan import plan_reads, words_of
from drivers.modbus.profiles import list_profiles, load_profile
from drivers.modbus.registers import BIT_AREAS, Decoded, Decoder
from drivers.modbus.spec import (
    Area,
    CoilOutputSpec,
    DataType,
    DeviceSpec,
    LoopSpec,
    ModbusBusSpec,
    Order,
    QuantitySpec,
    SerialPort,
    TcpPort,
)
from drivers.reading import Quality

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[2] / "config").glob("*.yaml")
    if "version: 1" in path.read_text("utf-8")
)
FUNCTIONS = {Area.COIL: 1, Area.DISCRETE: 2, Area.HOLDING: 3, Area.INPUT: 4}


def bus(*devices: DeviceSpec, port: TcpPort | SerialPort | None = None) -> ModbusBusSpec:
    return ModbusBusSpec(id="line", port=port or TcpPort(host="h"), devices=devices)


def asked(unit: SimUnit, device: DeviceSpec) -> dict[str, Decoded]:
    """Read everything of a device exactly as the agent plans it."""
    values: dict[str, Decoded] = {}
    for request in plan_reads(
        device.quantities, max_registers=device.max_registers, max_gap=device.max_gap
    ):
        pdu = bytes([FUNCTIONS[request.area]])
        pdu += request.address.to_bytes(2, "big") + request.count.to_bytes(2, "big")
        reply = unit.answer(pdu).pdu
        assert reply[0] == pdu[0], f"{device.id} refuses {request}"
        data = reply[2:]
        if request.area in BIT_AREAS:
            words = [data[n // 8] >> (n % 8) & 1 for n in range(request.count)]
        else:
            words = [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2)]
        for each in request.quantities:
            values[each.name] = Decoder(each).decode(words_of(request, each, words))
    return values


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_is_served_with_good_values_at_all_times(name: str) -> None:
    profile = load_profile(name)
    device = DeviceSpec(
        id=name,
        unit=1,
        quantities=profile.quantities,
        max_registers=profile.max_registers,
        max_gap=profile.max_gap,
    )
    clock = ManualClock()
    (unit,) = build_units(bus(device), clock)
    seen = set()
    for _ in range(50):
        values = asked(unit, device)
        assert len(values) == len(profile.quantities)
        assert {key: each for key, each in values.items() if each.quality is not Quality.GOOD} == {}
        seen.add(tuple(each.value for each in values.values()))
        clock.advance(7.3)
    is_alive = any(
        each.type is not DataType.BOOL and not each.enum and each.kind != "leak"
        for each in profile.quantities
    )
    assert (len(seen) > 1) is is_alive


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_site_is_served_whole(path: Path) -> None:
    clock = ManualClock()
    site = load_site(path, sets={"uplinks": "[]"})
    assert site.modbus_buses
    for line in site.modbus_buses:
        units = {each.unit: each for each in build_units(line, clock, seed=4)}
        for device in line.devices:
            for name, value in asked(units[device.unit], device).items():
                assert value.quality is Quality.GOOD, f"{device.id}.{name}"


def test_the_same_seed_gives_the_same_values() -> None:
    device = DeviceSpec(id="a", unit=1, quantities=load_profile("eastron-sdm120").quantities)
    shown = []
    for seed in (1, 1, 2):
        clock = ManualClock()
        (unit,) = build_units(bus(device), clock, seed=seed)
        clock.advance(5)
        shown.append(asked(unit, device))
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]


def test_energy_only_grows() -> None:
    spec = QuantitySpec(
        name="e", area=Area.INPUT, address=0, type=DataType.U32, unit="Wh", kind="energy"
    )
    words = moving(spec, Random(1))
    values = [Decoder(spec).decode(words(float(now))).value for now in range(0, 3600, 60)]
    assert values == sorted(values, key=float)  # type: ignore[arg-type]
    assert values[0] != values[-1]


def test_bit_fields_of_one_register_do_not_wipe_each_other_out() -> None:
    pieces = [
        QuantitySpec(
            name=f"b{bit}",
            area=Area.HOLDING,
            address=3,
            type=DataType.BITS,
            bit=bit,
            enum={1: True},
        )
        for bit in (0, 5, 15)
    ]
    device = DeviceSpec(id="a", unit=1, quantities=tuple(pieces))
    (unit,) = build_units(bus(device), ManualClock())
    assert {each.value for each in asked(unit, device).values()} == {True}


def test_coils_stay_as_the_agent_writes_them() -> None:
    relay = QuantitySpec(name="r", area=Area.COIL, address=2, type=DataType.BOOL)
    device = DeviceSpec(
        id="a", unit=1, quantities=(relay,), outputs=(CoilOutputSpec(output="siren", address=2),)
    )
    (unit,) = build_units(bus(device), ManualClock())
    assert asked(unit, device)["r"].value is False
    assert unit.answer(bytes.fromhex("050002ff00")).pdu == bytes.fromhex("050002ff00")
    assert asked(unit, device)["r"].value is True


@st.composite
def quantities(draw: st.DrawFn) -> QuantitySpec:
    kind = draw(st.sampled_from([each for each in DataType if each is not DataType.BOOL]))
    low = draw(st.none() | st.floats(-1e6, 1e6))
    high = draw(st.none() | st.floats(-1e6, 1e6))
    if low is not None and high is not None and low > high:
        low, high = high, low
    has_loop = draw(st.booleans()) and kind is not DataType.STRING
    return QuantitySpec(
        name="q",
        area=Area.HOLDING,
        address=0,
        type=kind,
        unit=draw(st.sampled_from(["", "kPa", "V", "mA", "Wh", "°C"])),
        kind=draw(st.sampled_from(["generic", "energy", "level", "gas", "count", "current"])),
        word_order=draw(st.sampled_from(list(Order))),
        byte_order=draw(st.sampled_from(list(Order))),
        scale=draw(st.sampled_from([1.0, 0.1, 0.001, -0.1, 10.0])),
        offset=draw(st.sampled_from([0.0, -40.0, 1000.0])),
        bit=2,
        bit_count=3,
        length=4,
        sentinels=tuple(draw(st.lists(st.sampled_from([0, 0x7FFF, 0xFFFF, 450]), max_size=2))),
        valid_min=low,
        valid_max=high,
        loop=LoopSpec(low=0.0, high=100.0) if has_loop else None,
    )


@given(quantities(), st.integers(0, 5), st.floats(0, 1e7))
def test_whatever_a_quantity_is_its_registers_have_its_width_and_do_not_turn_bad(
    spec: QuantitySpec, seed: int, later_s: float
) -> None:
    words = moving(spec, Random(seed))
    decoder = Decoder(spec)
    first, later = words(0.0), words(later_s)
    assert len(first) == len(later) == decoder.width
    assert all(0 <= word <= 0xFFFF for word in (*first, *later))
    if decoder.decode(first).quality is Quality.GOOD:
        assert decoder.decode(later).quality is Quality.GOOD


# -- buses and faults ----------------------------------------------------------------------------------


def test_a_bus_is_served_on_its_own_kind_of_port() -> None:
    ledger = Ledger(ManualClock())
    assert isinstance(build_slave(bus(port=SerialPort(path="/dev/x")), ledger), RtuLine)
    for rtu, framing in ((False, Framing.TCP), (True, Framing.RTU)):
        slave = build_slave(bus(port=TcpPort(host="h", rtu=rtu)), ledger)
        assert isinstance(slave, TcpSlave)
        assert slave.station.framing is framing


def test_each_fault_comes_at_its_own_rate() -> None:
    rates = {FaultKind.SILENT: 0.3, FaultKind.EXCEPTION: 0.1}
    faults = RatedFaults(rates, seed=7)
    drawn = [faults.next(1) for _ in range(10_000)]
    for kind, rate in rates.items():
        count = sum(each is not None and each.kind is kind for each in drawn)
        assert count == faults.played[kind]
        assert abs(count / len(drawn) - rate) < 0.02  # four standard deviations
    assert [each and each.kind for each in drawn] == [
        each and each.kind
        for other in (RatedFaults(rates, seed=7),)
        for each in (other.next(1) for _ in range(10_000))
    ]


def test_a_script_comes_before_chance() -> None:
    faults = RatedFaults({FaultKind.EXCEPTION: 1.0})
    faults.set_silent(2, True)
    silent, by_chance = faults.next(2), faults.next(1)
    assert silent is not None
    assert by_chance is not None
    assert (silent.kind, by_chance.kind) == (FaultKind.SILENT, FaultKind.EXCEPTION)


@pytest.mark.parametrize(
    "rates",
    [{FaultKind.LATE: -0.1}, {FaultKind.LATE: 1.1}, {FaultKind.LATE: 0.6, FaultKind.RESET: 0.6}],
)
def test_rates_that_are_none_are_refused(rates: dict[FaultKind, float]) -> None:
    with pytest.raises(ValueError, match="rate"):
        RatedFaults(rates)


def test_a_bus_gets_only_the_faults_its_wire_can_have() -> None:
    rates = dict.fromkeys(FaultKind, 0.01)
    serial = faults_for(bus(port=SerialPort(path="/dev/x")), rates)
    tcp = faults_for(bus(port=TcpPort(host="h")), rates)
    assert serial.kinds == playable(Framing.RTU, is_stream=False)
    assert tcp.kinds == playable(Framing.TCP, is_stream=True)


# -- contacts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", list(ContactForm))
@pytest.mark.parametrize("pull", list(Pull))
@pytest.mark.parametrize("pair", [None, 5])
@pytest.mark.parametrize("is_active", [False, True])
def test_levels_are_what_the_agent_takes_for_rest_and_for_active(
    form: ContactForm, pull: Pull, pair: int | None, is_active: bool
) -> None:
    spec = InputSpec(point="smoke", pin=4, contact=form, pull=pull, pair_pin=pair)
    pins = levels([spec], ["smoke"] if is_active else ())
    contact = ContactFilter(spec)
    contact.look(pins[4], None if pair is None else pins[pair], 0.0)
    assert contact.state is is_active


async def test_contacts_are_held_at_every_agent_that_opens_its_door(tmp_path: Path) -> None:
    door = tmp_path / "pins"
    news: asyncio.Queue[bool] = asyncio.Queue()
    open_doors: list[asyncio.StreamWriter] = []
    async with asyncio.TaskGroup() as tasks:
        hand = tasks.create_task(hold_pins(door, {17: True, 27: False}, news.put_nowait), name="h")
        for _ in range(2):
            pins = MockPins()
            async with asyncio.timeout(5):
                server = await asyncio.start_unix_server(partial(talk, pins, open_doors), door)
                assert await news.get() is True
            assert (pins.level(17), pins.level(27)) == (True, False)
            server.close()  # the agent dies: its door and the open line with it
            door.unlink(missing_ok=True)  # from Python 3.13 on the server takes it away
            open_doors.pop().close()
            async with asyncio.timeout(5):
                assert await news.get() is False
        hand.cancel()


async def talk(
    pins: MockPins,
    open_doors: list[asyncio.StreamWriter],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    open_doors.append(writer)
    while line := await reader.readline():
        writer.write(f"{answer(pins, line.decode())}\n".encode())


async def test_a_pin_the_agent_refuses_is_told(tmp_path: Path) -> None:
    door = tmp_path / "pins"
    async with asyncio.TaskGroup() as tasks:
        agent = tasks.create_task(serve_pins(MockPins(), door), name="agent")
        with pytest.raises(DoorFailed, match="drive 99 1"):
            async with asyncio.timeout(5):
                await hold_pins(door, {99: True}, lambda _: None)
        agent.cancel()


async def test_a_door_that_is_held_closes_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = tmp_path / "pins"
    held = asyncio.Event()

    def changed(is_held: bool) -> None:
        if is_held:
            held.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        hand = tasks.create_task(hold_pins(door, {17: True}, changed), name="hand")
        agent = tasks.create_task(serve_pins(MockPins(), door), name="agent")
        await held.wait()
        agent.cancel()
        await asyncio.wait([agent])
        # what was left would be ended with the loop, and the library calls that an error
        assert asyncio.all_tasks() == {asyncio.current_task(), hand}
        hand.cancel()
    assert not caplog.records
