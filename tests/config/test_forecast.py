"""What a site asks of its buses is foreseen: the reads that are really made, the load, the worst case."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from pathlib import Path

import pytest

from agent.config.bus_load import HIDDEN_LINE, Assumptions, bus_load
from agent.config.faults import ConfigError, ConfigFault
from agent.config.forecast import Forecast, forecast, warnings_of
from agent.config.load import load_site
from agent.config.positions import parse
from agent.simulate.ledger import Ledger
from agent.simulate.line import RtuLine
from agent.simulate.slave import Block, SimUnit
from drivers.clock import SystemClock
from drivers.modbus.spec import Area, ModbusBusSpec, PollClass, SerialPort
from tests.config.test_examples import EXAMPLES, FOLDER, load
from tests.modbus.harness import Heard, Memory, bus_spec, device, registers, running, tcp_slave

HEAD = """\
version: 1
site: s
box: b
buses:
"""


def site_of(text: str, tmp_path: Path) -> tuple[Forecast, tuple[ConfigFault, ...]]:
    """Return the forecast of a site and the warnings it gives."""
    return foreseen(text, tmp_path, Assumptions())


def foreseen(
    text: str, tmp_path: Path, assumptions: Assumptions
) -> tuple[Forecast, tuple[ConfigFault, ...]]:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + text, "utf-8")
    found = forecast(load_site(path), assumptions)
    return found, warnings_of(found, parse(path.read_bytes(), str(path)))


def line_of(devices: int, *, period_s: float = 2.0, more: str = "", registers: int = 10) -> str:
    """Return a line at 9600 baud with so many devices of so many registers each."""
    text = f"  - {{id: rs485, type: modbus-rtu, port: /dev/ttyS0, poll: {{normal_s: {period_s}}}{more}}}\n"
    text += "devices:\n"
    for unit in range(1, devices + 1):
        text += f"  - {{id: d{unit}, bus: rs485, unit: {unit}, quantities: ["
        text += ", ".join(
            f"{{name: r{at}, area: holding, address: {at}, type: u16}}" for at in range(registers)
        )
        text += "]}\n"
    return text


# -- load ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "load"),
    [
        (1, (0.0417 + 0.05) / 2),
        (15, 15 * (0.0417 + 0.05) / 2),
        (21, 21 * (0.0417 + 0.05) / 2),  # what fits at 50 ms to answer, in 2 s at 9600 baud
    ],
)
def test_the_load_of_a_line_is_wire_time_and_answer_time_over_the_period(
    devices: int, load: float, tmp_path: Path
) -> None:
    found, _ = site_of(line_of(devices), tmp_path)
    (bus,) = found.buses
    assert len(bus.reads) == devices
    assert bus.load == pytest.approx(load, rel=0.001)
    assert bus.worst_load == pytest.approx(load + 0.03, rel=0.001)


def test_a_line_with_room_is_not_warned_of(tmp_path: Path) -> None:
    found, warnings = site_of(line_of(15), tmp_path)
    assert found.buses[0].load == pytest.approx(0.6875, abs=0.001)
    assert warnings == ()


def test_a_line_over_seventy_per_cent_is_warned_of_at_its_place(tmp_path: Path) -> None:
    _, (warning,) = site_of(line_of(16), tmp_path)
    assert warning.path == "buses[0]"
    assert warning.line == 5
    assert "73%" in warning.message
    assert "50 ms" in warning.message
    assert "late" not in warning.message


def test_an_overloaded_line_is_said_to_be_late(tmp_path: Path) -> None:
    _, (warning,) = site_of(line_of(30), tmp_path)
    assert "138% of its time, so polls come late" in warning.message


def test_faster_devices_lift_the_warning(tmp_path: Path) -> None:
    found, warnings = foreseen(line_of(30), tmp_path, Assumptions(turnaround_s=0.0))
    assert found.buses[0].load == pytest.approx(30 * 0.04167 / 2, rel=0.001)
    assert warnings == ()


def test_a_longer_pause_before_a_device_counts(tmp_path: Path) -> None:
    plain, _ = site_of(line_of(1), tmp_path)
    slow, _ = site_of(line_of(1).replace("unit: 1,", "unit: 1, gap_ms: 40,"), tmp_path)
    assert slow.buses[0].reads[0].time_s - plain.buses[0].reads[0].time_s == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("kind", "gateway", "expected", "time_s"),
    [
        ("modbus-tcp", None, None, 0.02),
        ("modbus-tcp", SerialPort(path="", baud=19200), 19200, 0.02 + 0.05 + 0.0208),
        ("modbus-rtu-tcp", None, 9600, 0.02 + 0.05 + 0.0417),
        ("modbus-rtu-tcp", SerialPort(path="", baud=19200), 19200, 0.02 + 0.05 + 0.0208),
    ],
)
def test_what_stands_behind_a_gateway_is_assumed_and_can_be_told(
    kind: str, gateway: SerialPort | None, expected: int | None, time_s: float, tmp_path: Path
) -> None:
    text = line_of(1).replace("modbus-rtu, port: /dev/ttyS0", f"{kind}, host: 127.0.0.1")
    found, _ = foreseen(text, tmp_path, Assumptions(gateway_line=gateway))
    (bus,) = found.buses
    assert (bus.line.baud if bus.line else None) == expected
    assert bus.reads[0].time_s == pytest.approx(time_s, abs=0.0001)
    assert HIDDEN_LINE.baud == 9600


# -- the plan is what the bus does -----------------------------------------------------------------


async def test_the_reads_planned_are_the_reads_the_bus_makes() -> None:
    async with tcp_slave(Memory()) as slave:
        spec = bus_spec(
            slave,
            device(1, registers(3) + registers(2, start=200, poll_class=PollClass.FIRE)),
            device(2, registers(40, step=5), max_registers=30, max_gap=4),
            device(3),  # no points: asked only whether it is there
            periods_s={PollClass.FIRE: 0.02, PollClass.NORMAL: 0.05, PollClass.SLOW: 0.1},
        )
        planned = {
            (read.unit, read.request.address, read.request.count)
            for read in bus_load(spec, Assumptions()).reads
        }
        heard = Heard()
        async with running(spec, heard):
            await heard.until(lambda: len(slave.memory.asked) >= 3 * len(planned))
    asked = {(each.unit, each.address, each.count) for each in slave.memory.asked}
    assert asked == planned
    assert len(planned) > 5


@pytest.mark.parametrize(("baud", "turnaround_s"), [(9600, 0.0), (19200, 0.02)])
async def test_a_line_that_is_never_idle_makes_the_reads_foreseen(
    baud: int, turnaround_s: float
) -> None:
    clock = SystemClock()
    units = [SimUnit(unit, [Block(Area.HOLDING, 0, [unit] * 10)]) for unit in (1, 2, 3)]
    line = RtuLine(units, Ledger(clock), baud=baud, pace=True, turnaround_s=turnaround_s)
    async with line:
        spec = ModbusBusSpec(
            id="line",
            port=SerialPort(path=line.path, baud=baud),
            devices=tuple(device(unit, registers(10)) for unit in (1, 2, 3)),
            periods_s=dict.fromkeys(PollClass, 0.01),
        )
        reads = bus_load(spec, Assumptions(turnaround_s=turnaround_s)).reads
        heard = Heard()
        async with running(spec, heard, clock):
            await heard.until(lambda: len(heard.of("d3.r9")) > 1)
            for _ in range(10):
                before, begin_s = len(heard.of("d1.r0")), clock.mono_s()
                await asyncio.sleep(1.5)
                done = len(heard.of("d1.r0")) - before
                rounds_s = clock.mono_s() - begin_s
                foreseen = rounds_s / sum(each.time_s for each in reads)
                assert done <= 1.05 * foreseen + 1
                if done >= 0.6 * foreseen:
                    return  # a busy machine may need more than one try, the line does not
    raise AssertionError(f"{done} of {foreseen:.1f} rounds foreseen")


async def test_a_device_polled_seldom_is_also_asked_whether_it_is_there() -> None:
    async with tcp_slave(Memory()) as slave:
        spec = bus_spec(
            slave,
            device(1, registers(4, poll_class=PollClass.SLOW)),
            periods_s={PollClass.FIRE: 1, PollClass.NORMAL: 2, PollClass.SLOW: 60},
        )
    periods = sorted(read.period_s for read in bus_load(spec, Assumptions()).reads)
    assert periods == [5, 60]


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        ("max_registers: 1, ", "devices[0].max_registers: 'd1.r0' takes 2 registers, one read of 'd1' gives 1"),
        ("profile: NARROW, ", "devices[0].quantities[0].type: 'd1.r0' takes 2 registers, one read of 'd1' gives 1"),
    ],
)  # fmt: skip
def test_a_quantity_wider_than_the_reads_of_its_device_is_a_fault(
    device: str, fault: str, tmp_path: Path
) -> None:
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text(
        "{title: t, sources: [s], max_registers: 1,"
        " quantities: [{name: q, area: holding, address: 50, type: u16}]}\n",
        "utf-8",
    )
    text = line_of(1, registers=1).replace("type: u16", "type: f32")
    text = text.replace("unit: 1, ", "unit: 1, " + device.replace("NARROW", str(narrow)))
    with pytest.raises(ConfigError) as caught:
        site_of(text, tmp_path)
    assert [f"{each.path}: {each.message}" for each in caught.value.faults] == [fault]


# -- how late a fire is seen -----------------------------------------------------------------------

FIRE_LINE = """\
  - {id: rs485, type: modbus-rtu, port: /dev/ttyS0, timeout_ms: TIMEOUT, settle_ms: 500, poll: {fire_s: 1}}
devices:
  - {id: heat, bus: rs485, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16POLL}]}
  - {id: a, bus: rs485, unit: 2, quantities: [{name: x, area: input, address: 0, type: u16}]}
  - {id: b, bus: rs485, unit: 3, quantities: [{name: x, area: input, address: 0, type: u16}]}
  - {id: c, bus: rs485, unit: 4, quantities: [{name: x, area: input, address: 0, type: u16}]}
rules:
  - {id: hot, class: fire, when: {point: heat.t, above: 57}, on_delay_s: 3}
"""


CONTACT = """\
  - {id: pins, type: gpio, poll_ms: 50}
inputs:
  - {id: smoke, bus: pins, pin: 5, kind: smoke, contact: normally-closed, debounce_ms: DEBOUNCE}
rules:
  - {id: r, class: fire, when: {point: smoke, is: active}}
"""


def fire_line(timeout_ms: int = 500, poll: str = "") -> str:
    return FIRE_LINE.replace("TIMEOUT", str(timeout_ms)).replace("POLL", poll)


def test_a_fire_point_among_answering_devices_waits_its_period_and_a_little(tmp_path: Path) -> None:
    found, warnings = site_of(fire_line(), tmp_path)
    (point,) = found.fire_points
    assert (point.point, point.rules, point.on_delay_s) == ("heat.t", ("hot",), 3)
    # a period, the read on the line, a read of another class let through, its own
    assert point.all_alive_s == pytest.approx(1 + 3 * 0.0729, abs=0.001)
    assert warnings == ()


def test_each_device_that_falls_silent_makes_a_fire_point_later(tmp_path: Path) -> None:
    late = []
    for silent in range(4):
        found, _ = foreseen(fire_line(), tmp_path, Assumptions(silent_devices=silent))
        late.append(found.fire_points[0].worst_s)
    # two tries and one more question of 0.5 + 0.5 s until three have failed and 3 s have passed
    assert [b - a for a, b in pairwise(late)] == pytest.approx([3.0] * 3)
    assert found.fire_points[0].tolerated == 2


def test_a_deadline_missed_with_one_silent_device_is_warned_of(tmp_path: Path) -> None:
    found, warnings = site_of(fire_line(timeout_ms=5000), tmp_path)
    assert not found.fire_points[0].is_in_time
    assert found.fire_points[0].tolerated == 0
    (warning,) = warnings
    assert warning.path == "buses[0]"
    assert "'heat.t' may be read" in warning.message
    assert "one silent device beside it" in warning.message


def test_a_fire_point_the_site_polls_slowly_is_warned_of(tmp_path: Path) -> None:
    beside = "}, {name: other, area: input, address: 90, type: u16"
    found, (warning,) = site_of(fire_line(poll=", poll: slow" + beside), tmp_path)
    assert found.fire_points[0].period_s == 30
    assert found.fire_points[0].tolerated == -1
    assert "up to 33" in warning.message


def test_a_fire_point_that_is_also_the_proof_of_its_device_is_read_as_often(tmp_path: Path) -> None:
    found, warnings = site_of(fire_line(poll=", poll: slow"), tmp_path)
    assert found.fire_points[0].period_s == 5
    assert warnings == ()


def test_a_point_that_a_fire_rule_watches_by_way_of_another_is_a_fire_point(tmp_path: Path) -> None:
    text = fire_line().replace("point: heat.t, above", "point: rise, above")
    text += "derived:\n  - {id: rise, kind: temperature, how: rate, from: smooth, window_s: 60}\n"
    text += "  - {id: smooth, kind: temperature, how: median, from: heat.t, n: 3}\n"
    found, _ = site_of(text, tmp_path)
    assert [each.point for each in found.fire_points] == ["heat.t"]
    assert found.fire_points[0].all_alive_s == pytest.approx(1 + 3 * 0.0729, abs=0.001)


def test_more_urgent_reads_that_fill_the_line_leave_no_bound(tmp_path: Path) -> None:
    text = fire_line(poll=", poll: normal").replace("fire_s: 1", "fire_s: 0.05")
    text += "  - {id: h2, class: gas, when: {point: a.x, above: 5}}\n"
    found, warnings = site_of(text, tmp_path)
    assert [each.worst_s for each in found.fire_points if each.point == "heat.t"] == [math.inf]
    assert any("an unlimited time" in each.message for each in warnings)


def test_a_contact_debounced_for_too_long_is_warned_of_at_its_place(tmp_path: Path) -> None:
    found, warnings = site_of(CONTACT.replace("DEBOUNCE", "200"), tmp_path)
    assert found.fire_points[0].worst_s == pytest.approx(0.25)
    assert warnings == ()
    _, (warning,) = site_of(CONTACT.replace("DEBOUNCE", "10000"), tmp_path)
    assert warning.path == "inputs[0]"


async def test_a_real_bus_keeps_the_worst_case_when_a_device_falls_silent() -> None:
    fire = registers(1, poll_class=PollClass.FIRE)
    async with tcp_slave(Memory()) as slave:
        spec = bus_spec(
            slave,
            device(1, fire),
            *(device(unit, registers(2)) for unit in (2, 3, 4)),
            periods_s={PollClass.FIRE: 0.1, PollClass.NORMAL: 0.1, PollClass.SLOW: 1.0},
            offline_after_s=0.3,
        )
        assumptions = Assumptions(tcp_answer_s=0.01, silent_devices=2)
        site_bus = bus_load(spec, assumptions)
        bound_s = 0.1 + 2 * site_bus.silence_cost_s + 0.1
        heard = Heard()
        async with running(spec, heard):
            await heard.until(lambda: len(heard.of("d4.r0")) > 2)
            slave.memory.silent_units.update({3, 4})
            await asyncio.sleep(bound_s + 0.5)
    times = [each.at.mono_s for each in heard.of("d1.r0")]
    gaps = [after - before for before, after in pairwise(times)]
    assert 0.15 < max(gaps) <= bound_s


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_asks_no_more_than_its_wires_can_bear(name: str, tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("x", "utf-8")
    found = forecast(load(name, tmp_path), Assumptions())
    path = FOLDER / f"{name}.yaml"
    assert warnings_of(found, parse(path.read_bytes(), str(path))) == ()
    assert found.fire_points
