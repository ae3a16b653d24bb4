"""What a good site file becomes: specs for drivers, core, outbox, uplinks and page."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config.faults import ConfigError
from agent.config.load import LoadedSite, TimeSource, load_site
from agent.core.spec import (
    AlarmClass,
    AllOf,
    AnyOf,
    Contact,
    Label,
    PointKind,
    Side,
    TelemetryMode,
    Threshold,
    Unheard,
)
from agent.outputs import StopState
from agent.uplink.spec import Protocol
from drivers.gpio.spec import ContactForm, InputSpec, LineSpec, Pull
from drivers.modbus.spec import (
    Area,
    CoilOutputSpec,
    DataType,
    LoopSpec,
    PollClass,
    SerialPort,
    TcpPort,
)

SITE = """\
version: 1
site: riverside
box: plantroom-1
label: {en: Riverside, zh: 江畔}
zones:
  - {id: hall, label: {en: Hall, zh: 大厅}}
  - {id: pumps}
buses:
  - {id: pins, type: gpio, chip: 4, poll_ms: 20}
  - {id: tcp, type: modbus-tcp, host: 10.0.0.7, poll: {fire_s: 0.5, slow_s: 60}, timeout_ms: 250}
  - {id: line, type: modbus-rtu, port: /dev/ttyUSB0, baud: 19200, parity: E}
  - {id: gw, type: modbus-rtu-tcp, host: 10.0.0.8, port: 4001}
devices:
  - id: tank
    bus: tcp
    unit: 7
    zone: pumps
    max_registers: 20
    max_gap: 0
    timeout_ms: 400
    gap_ms: 5
    telemetry: {mode: interval, interval_s: 5}
    quantities:
      - {name: level, area: input, address: 3, type: u16, unit: mm, kind: level, loop: {low: 0, high: 3000}}
      - {name: full, area: discrete, address: 0, type: bool, kind: level, telemetry: {mode: every}}
      - {name: state, area: holding, address: 9, type: u16, enum: {0: off, 1: run}, poll: slow, zone: hall}
      - {name: trip, area: holding, address: 10, type: bits, bit: 2, enum: {0: false, 1: true}, fault: off}
  - {id: relays, bus: line, unit: 1}
  - {id: far, bus: gw, unit: 1, quantities: [{name: t, area: input, address: 0, type: s16}]}
inputs:
  - id: smoke
    bus: pins
    pin: 17
    kind: smoke
    contact: normally-closed
    pull: none
    debounce_ms: 100
    pair_pin: 18
    zone: hall
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 23, active_high: false}
  - {id: cut, kind: cut-off, bus: pins, pin: 25}
  - {id: fan, kind: relay, device: relays, coil: 4, at_stop: active}
  - {id: well, kind: health, bus: pins, pin: 24}
rules:
  - {id: fire, class: fire, when: {any: [{point: smoke, is: active}, {point: tank.level, below: 100, deadband: 5}]}}
  - id: both
    class: supervisory
    when: {all: [{point: tank.full, is: inactive}, {point: far.t, above: 30}, {point: tank.state, stale: true}]}
    on_delay_s: 3
    off_delay_s: 4
    latch: true
  - {id: note, class: technical, when: {point: tank.trip, is: active}}
linkage:
  - {id: evacuate, classes: [fire], zones: [hall], outputs: [siren, cut]}
  - {id: air, rules: [fire], outputs: [fan]}
uplinks:
  - {id: cloud, host: broker.example, protocol: 3.1.1, username: box}
  - {id: second, host: 127.0.0.1, port: 1884, protocol: 5, root: a/b, client_id: x}
outbox: {max_mib: 64, commit_interval_s: 0}
local: {port: null}
paths: {data: /srv/data, run: /srv/run}
time: {source: chrony}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, "utf-8")
    return path


@pytest.fixture
def site(path: Path) -> LoadedSite:
    return load_site(path)


def test_contacts_and_lines_go_to_their_chip(site: LoadedSite) -> None:
    (bus,) = site.gpio_buses
    assert (bus.id, bus.chip, bus.poll_s) == ("pins", 4, 0.02)
    assert bus.inputs == (
        InputSpec(
            point="smoke",
            pin=17,
            contact=ContactForm.NORMALLY_CLOSED,
            pull=Pull.NONE,
            debounce_s=0.1,
            pair_pin=18,
        ),
    )
    assert bus.outputs == (
        LineSpec(output="siren", pin=23, active_high=False),
        LineSpec(output="cut", pin=25),
        LineSpec(output="well", pin=24),
    )


def test_no_line_is_claimed_energised(site: LoadedSite) -> None:
    assert not any(line.initial_energised for bus in site.gpio_buses for line in bus.outputs)


def test_ports_and_periods_go_to_their_bus(site: LoadedSite) -> None:
    tcp, line, gw = site.modbus_buses
    assert tcp.port == TcpPort(host="10.0.0.7", port=502)
    assert tcp.timeout_s == 0.25
    assert tcp.periods_s == {PollClass.FIRE: 0.5, PollClass.NORMAL: 2.0, PollClass.SLOW: 60.0}
    assert line.port == SerialPort(path="/dev/ttyUSB0", baud=19200, parity="E", stop_bits=1)
    assert gw.port == TcpPort(host="10.0.0.8", port=4001, rtu=True)


def test_registers_and_coils_go_to_their_device(site: LoadedSite) -> None:
    (tank,) = site.modbus_buses[0].devices
    (relays,) = site.modbus_buses[1].devices
    level, full, state, trip = tank.quantities
    assert (tank.unit, tank.max_registers, tank.max_gap) == (7, 20, 0)
    assert (tank.timeout_s, tank.gap_s) == (0.4, 0.005)
    assert (level.area, level.address, level.type) == (Area.INPUT, 3, DataType.U16)
    assert level.loop == LoopSpec(low=0, high=3000)
    assert full.type is DataType.BOOL
    assert state.enum == {0: "off", 1: "run"}
    assert (trip.bit, trip.enum) == (2, {0: False, 1: True})
    assert relays.outputs == (CoilOutputSpec(output="fan", address=4),)


def test_what_a_fire_rule_watches_is_polled_as_urgent(site: LoadedSite) -> None:
    classes = {q.name: q.poll_class for q in site.modbus_buses[0].devices[0].quantities}
    assert classes == {
        "level": PollClass.FIRE,
        "full": PollClass.NORMAL,
        "state": PollClass.SLOW,
        "trip": PollClass.NORMAL,
    }


def test_points_carry_kind_unit_zone_and_policy(site: LoadedSite) -> None:
    points = {point.id: point for point in site.spec.points}
    level, full, state = points["tank.level"], points["tank.full"], points["tank.state"]
    assert (level.kind, level.unit, level.zone, level.device) == (
        PointKind.LEVEL,
        "mm",
        "pumps",
        "tank",
    )
    assert (level.telemetry.mode, level.telemetry.interval_s) == (TelemetryMode.INTERVAL, 5)
    assert full.telemetry.mode is TelemetryMode.EVERY
    assert [points[name].is_contact for name in ("smoke", "tank.full", "tank.trip")] == [True] * 3
    assert [points[name].is_contact for name in ("tank.level", "tank.state")] == [False] * 2
    assert state.zone == "hall"
    assert state.stale_after_s == 180  # three missed polls of 60 s
    assert (points["smoke"].stale_after_s, level.stale_after_s) == (15, 15)


def test_rules_become_conditions_in_the_words_of_the_core(site: LoadedSite) -> None:
    fire, both, note = site.spec.rules[:3]
    assert fire.condition == AnyOf(
        parts=(
            Contact(point="smoke"),
            Threshold(point="tank.level", side=Side.BELOW, limit=100, deadband=5),
        )
    )
    assert both.condition == AllOf(
        parts=(
            Contact(point="tank.full", is_active=False),
            Threshold(point="far.t", side=Side.ABOVE, limit=30),
            Unheard(point="tank.state"),
        )
    )
    assert (both.on_delay_s, both.off_delay_s) == (3, 4)
    assert [rule.is_latched for rule in (fire, both, note)] == [True, True, False]
    assert [rule.needs_ack for rule in (fire, both, note)] == [True, True, False]
    assert [rule.zone for rule in (fire, both, note)] == ["hall", "pumps", "pumps"]


def test_outputs_know_their_bus_their_coil_and_what_a_stop_leaves(site: LoadedSite) -> None:
    assert dict(site.line_of) == {"siren": "pins", "cut": "pins", "fan": "line", "well": "pins"}
    assert dict(site.at_stop) == {
        "siren": StopState.INACTIVE,
        "cut": StopState.HOLD,
        "fan": StopState.ACTIVE,
        "well": StopState.INACTIVE,
    }
    assert {each.id: each.is_energised_when_active for each in site.spec.outputs} == {
        "siren": True,
        "cut": False,
        "fan": True,
        "well": True,
    }


def test_settings_of_outbox_uplinks_and_page(site: LoadedSite) -> None:
    cloud, second = site.uplinks
    assert (cloud.port, cloud.protocol, cloud.client_id) == (1883, Protocol.V311, "plantroom-1")
    assert (second.protocol, second.root, second.client_id) == (Protocol.V5, "a/b", "x")
    assert site.outbox.directory == Path("/srv/data/outbox")
    assert (site.outbox.max_bytes, site.outbox.commit_interval_s) == (64 * 1024 * 1024, 0)
    assert (site.local.port, site.local.socket) == (None, Path("/srv/run/plantroom.sock"))
    assert site.time_source is TimeSource.CHRONY
    assert site.label == Label(en="Riverside", zh="江畔")
    assert site.spec.labels["hall"] == Label(en="Hall", zh="大厅")


@pytest.mark.parametrize(
    ("arguments", "data", "run"),
    [
        ({}, "/srv/data", "/srv/run"),
        ({"env": {"PLANTROOM_DATA": "/e/d", "PLANTROOM_RUN": "/e/r"}}, "/e/d", "/e/r"),
        (
            {"env": {"PLANTROOM_DATA": "/e/d"}, "data_dir": Path("/o/d"), "run_dir": Path("/o/r")},
            "/o/d",
            "/o/r",
        ),
    ],
)
def test_folders_come_from_option_then_environment_then_file(
    path: Path, arguments: dict[str, object], data: str, run: str
) -> None:
    site = load_site(path, **arguments)  # type: ignore[arg-type]
    assert (site.paths.data, site.paths.run) == (Path(data), Path(run))


# -- values on top of the file ---------------------------------------------------------------------


def test_single_values_are_set_by_id_or_position(path: Path) -> None:
    site = load_site(
        path,
        sets={
            "buses.tcp.port": "15020",
            "buses.line.port": "/dev/pts/3",
            "uplinks.0.host": "127.0.0.1",
            "faults.after_s": "20",
            "devices.tank.quantities.0.scale": "0.5",
        },
    )
    assert site.modbus_buses[0].port == TcpPort(host="10.0.0.7", port=15020)
    assert isinstance(site.modbus_buses[1].port, SerialPort)
    assert site.modbus_buses[1].port.path == "/dev/pts/3"
    assert site.uplinks[0].host == "127.0.0.1"
    assert site.modbus_buses[0].devices[0].quantities[0].scale == 0.5
    assert {rule.id: rule.on_delay_s for rule in site.spec.rules}["fault.smoke"] == 20


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("buses.tpc.port", "1", "--set buses.tpc.port: nothing is called 'tpc' there; did you mean 'tcp'?"),
        ("site.x", "1", "--set site.x: 'x' is below a single value"),
        ("buses.tcp.port", "abc", "--set buses[1].port: must be a whole number"),
        ("buses.tcp.port", "[", "--set buses.tcp.port:1:2: not YAML: expected the node content, but "
         "found '<stream end>', while parsing a flow node that began on line 1"),
        ("outbox.size", "3", "--set outbox.size: unknown key; known: commit_interval_s, max_mib, replay_readings_s"),
    ],
)  # fmt: skip
def test_an_option_that_is_wrong_is_told_as_that_option(
    path: Path, name: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_site(path, sets={name: value})
    assert said in [str(fault) for fault in caught.value.faults]


def test_the_hash_tells_file_and_options_apart(path: Path) -> None:
    first = load_site(path).config_hash
    assert load_site(path).config_hash == first
    assert load_site(path, sets={"buses.tcp.port": "503"}).config_hash != first
    path.write_text(SITE + "# a remark\n", "utf-8")
    assert load_site(path).config_hash != first


# -- built in --------------------------------------------------------------------------------------


def test_every_source_output_and_part_has_a_point(site: LoadedSite) -> None:
    built_in = {point.id for point in site.spec.points if "." in point.id} - {
        "tank.level",
        "tank.full",
        "tank.state",
        "tank.trip",
        "far.t",
    }
    assert built_in == {
        *(f"{each}.online" for each in ("pins", "tcp", "line", "gw", "tank", "relays", "far")),
        *(f"{each}.health" for each in ("siren", "cut", "fan", "well")),
        *(f"box.{each}" for each in ("pipeline", "outbox", "clock", "config", "page")),
        "box.uplink-cloud",
        "box.uplink-second",
    }


def test_every_point_but_those_opted_out_has_a_fault_rule_under_its_parents(
    site: LoadedSite,
) -> None:
    rules = {rule.id: rule for rule in site.spec.rules}
    watched = {point.id for point in site.spec.points if not point.id.endswith(".online")}
    sources = {"pins", "tcp", "line", "gw", "tank", "relays", "far"}
    assert {name.removeprefix("fault.") for name in rules if name.startswith("fault.")} == (
        watched | sources
    ) - {"tank.trip"}
    assert rules["fault.tank.level"].suppressed_by == ("fault.tank", "fault.tcp")
    assert rules["fault.tank"].suppressed_by == ("fault.tcp",)
    assert rules["fault.tcp"].suppressed_by == ()
    assert rules["fault.smoke"].suppressed_by == ("fault.pins",)
    assert rules["fault.fan.health"].suppressed_by == ("fault.relays", "fault.line")
    for rule in rules.values():
        assert set(rule.suppressed_by) <= set(rules)


def test_a_parent_is_in_fault_before_its_children(site: LoadedSite) -> None:
    delays = {rule.id: rule.on_delay_s for rule in site.spec.rules}
    offline_s = 3.0  # drivers.modbus.spec, offline_after_s
    assert delays["fault.tcp"] < delays["fault.tank"]
    assert offline_s + delays["fault.tank"] < delays["fault.tank.level"] == 10


def test_silence_of_a_source_is_a_fault_as_much_as_its_saying_so(site: LoadedSite) -> None:
    rules = {rule.id: rule for rule in site.spec.rules}
    assert rules["fault.tcp"].condition == AnyOf(
        parts=(Contact(point="tcp.online", is_active=False), Unheard(point="tcp.online"))
    )
    assert rules["fault.box.outbox"].condition == Contact(point="box.outbox", is_active=False)
    assert rules["fault.smoke"].condition == Unheard(point="smoke")


def test_built_in_rules_restore_by_themselves_and_the_clock_is_technical(site: LoadedSite) -> None:
    rules = [rule for rule in site.spec.rules if rule.id.startswith("fault.")]
    assert not any(rule.is_latched or rule.needs_ack for rule in rules)
    assert {rule.id for rule in rules if rule.alarm_class is not AlarmClass.FAULT} == {
        "fault.box.clock"
    }


def test_built_in_rules_can_ask_for_an_acknowledgement(path: Path) -> None:
    site = load_site(path, sets={"faults.ack": "required", "faults.class": "technical"})
    rule = {each.id: each for each in site.spec.rules}["fault.smoke"]
    assert (rule.needs_ack, rule.alarm_class) == (True, AlarmClass.TECHNICAL)


# -- warnings --------------------------------------------------------------------------------------


def warnings_of(path: Path, text: str) -> list[str]:
    path.write_text("version: 1\nsite: a\nbox: b\n" + text, "utf-8")
    return [str(warning).removeprefix(f"{path}:") for warning in load_site(path).warnings]


PINS = "buses:\n  - {id: pins, type: gpio}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PINS + "inputs:\n  - {id: s, bus: pins, pin: 5, kind: smoke, contact: normally-open}\n"
         "rules:\n  - {id: r, class: fire, when: {point: s, is: active}}\n",
         ["7:54: inputs[0].contact: a broken wire looks like peace: use the normally-closed contact, "
          "or both contacts with pair_pin"]),
        (PINS + "inputs:\n  - {id: s, bus: pins, pin: 5, kind: smoke, contact: normally-closed}\n",
         ["7:10: inputs[0].id: no rule watches it: it can never raise an alarm"]),
        (PINS + "outputs:\n  - {id: o, kind: siren, bus: pins, pin: 5}\n",
         ["7:10: outputs[0].id: no linkage names it: it never moves"]),
        (PINS + "inputs:\n  - {id: c, bus: pins, pin: 5, kind: call-point, contact: normally-closed}\n"
         "rules:\n  - {id: r, class: fire, when: {point: c, is: active}, on_delay_s: 3}\n",
         ["9:40: rules[0].when.point: a call point is pressed by a person: no on_delay_s is due"]),
        (PINS + "inputs:\n"
         "  - {id: a, bus: pins, pin: 5, kind: smoke, contact: normally-closed}\n"
         "  - {id: b, bus: pins, pin: 6, kind: heat, contact: normally-closed}\n"
         "outputs:\n  - {id: cut, kind: cut-off, bus: pins, pin: 7}\n"
         "rules:\n  - {id: r, class: fire, when: {all: [{point: a, is: active}, {point: b, is: active}]}}\n"
         "linkage:\n  - {id: l, classes: [fire], outputs: [cut]}\n",
         ["14:10: linkage[0].id: both signals of 'r' come from bus 'pins': one fault takes both"]),
        (PINS + "inputs:\n  - {id: a, bus: pins, pin: 5, kind: smoke, contact: normally-closed}\n"
         "outputs:\n  - {id: cut, kind: cut-off, bus: pins, pin: 7}\n"
         "rules:\n  - {id: r, class: fire, when: {point: a, is: active}}\n"
         "linkage:\n  - {id: l, rules: [r], classes: [fire], outputs: [cut]}\n",
         ["13:10: linkage[0].id: 'r' cuts or starts equipment on one signal; GB 50116 4.1.6 asks for two"]),
        (PINS + "inputs:\n  - {id: a, bus: pins, pin: 5, kind: smoke, contact: normally-closed}\n"
         "outputs:\n  - {id: o, kind: siren, bus: pins, pin: 7}\n"
         "rules:\n  - {id: r, class: fire, when: {point: a, is: active}}\n"
         "linkage:\n  - {id: l, rules: [r], classes: [gas], outputs: [o]}\n",
         ["13:10: linkage[0].id: no alarm can match all of this: its outputs never move"]),
        ("uplinks:\n  - {id: c, host: h, username: u, password: {file: site.yaml}}\n",
         ["5:45: uplinks[0].password: goes over the network readable; add tls"]),
    ],
)  # fmt: skip
def test_what_is_allowed_but_unwise_is_a_warning(
    tmp_path: Path, text: str, said: list[str]
) -> None:
    assert warnings_of(tmp_path / "site.yaml", text) == said


# -- anything at all -------------------------------------------------------------------------------

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 300), st.floats(allow_nan=False), st.text(max_size=5)
)


def _mutate(data: st.DataObject, text: str) -> str:
    """Break a good file in a few places: swap words, drop or double lines, shift them."""
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.integers(0, 4)):
            case 0:
                del lines[index]
            case 1:
                lines.insert(index, lines[data.draw(st.integers(0, len(lines) - 1))])
            case 2:
                lines[index] = " " + lines[index]
            case 3:
                words = lines[index].split(" ")
                words[data.draw(st.integers(0, len(words) - 1))] = repr(data.draw(_scalars))
                lines[index] = " ".join(words)
            case _:
                lines[index] = lines[index].replace(
                    ":", data.draw(st.sampled_from(["", ": [", ": {", "::"])), 1
                )
        if not lines:
            break
    return "\n".join(lines) + "\n"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_broken_file_is_a_list_of_faults_and_nothing_else(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(_mutate(data, SITE), "utf-8")
    faults: tuple[object, ...] = ()
    site: LoadedSite | None = None
    try:
        site = load_site(path)
    except ConfigError as error:
        faults = error.faults
    assert (site is None) == bool(faults)
