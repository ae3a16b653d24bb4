# ruff: noqa: E501 - a fault is compared as the one line it is printed as
"""Every fault an installer can make is told with its place and its cure, all of a file at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.config.faults import ConfigError
from agent.config.load import load_site

HEAD = "version: 1\nsite: riverside\nbox: plantroom-1\n"
"""Three good lines; what a case adds begins on line 4."""


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    faults: tuple[str, ...]


# fmt: off
CASES = (
    Case('unknown section', """\
zone: []
""", (
        "4:1: zone: unknown key; did you mean 'zones'?",
    )),
    Case('silence that is no fault for too long', """\
faults: {after_s: 101}
""", (
        '4:19: faults.after_s: must be 100.0 or less',
    )),
    Case('unknown key in a bus', """\
buses:
  - {id: a, type: gpio, pollms: 5}
""", (
        "5:25: buses[0].pollms: unknown key; did you mean 'poll_ms'?",
    )),
    Case('unknown bus type', """\
buses:
  - {id: a, type: modbus-tcpp, host: x}
""", (
        "5:19: buses[0].type: unknown type 'modbus-tcpp'; did you mean 'modbus-tcp'?",
    )),
    Case('missing type', """\
buses:
  - {id: a}
""", (
        '5:5: buses[0].type: is missing; one of gpio, modbus-tcp, modbus-rtu, modbus-rtu-tcp',
    )),
    Case('missing host', """\
buses:
  - {id: a, type: modbus-tcp}
""", (
        '5:5: buses[0].host: is missing and must be given',
    )),
    Case('wrong type', """\
buses:
  - {id: a, type: modbus-tcp, host: x, port: '502'}
""", (
        '5:46: buses[0].port: must be a whole number',
    )),
    Case('number where text', """\
buses:
  - {id: a, type: modbus-tcp, host: 5}
""", (
        '5:37: buses[0].host: must be text; put it in quotes',
    )),
    Case('empty value', """\
buses:
  - {id: a, type: modbus-tcp, host: }
""", (
        '5:36: buses[0].host: is empty; give a value or leave the key out',
    )),
    Case('not a list', """\
buses: 5
""", (
        '4:8: buses: must be a list',
    )),
    Case('id with capitals', """\
zones:
  - {id: Hall}
""", (
        '5:10: zones[0].id: must be lowercase letters, digits, dash, dot and underscore, first a letter or digit (it becomes part of an MQTT topic)',
    )),
    Case('duplicate key', """\
timezone: Asia/Shanghai
timezone: UTC
""", (
        '5:1: timezone: stands twice; the first is on line 4',
    )),
    Case('duplicate zone', """\
zones:
  - {id: hall}
  - {id: hall}
""", (
        "6:10: zones[1].id: 'hall' is a zone already, on line 5",
    )),
    Case('zone and bus of one name', """\
zones:
  - {id: hall}
buses:
  - {id: hall, type: gpio}
""", (
        "7:10: buses[0].id: 'hall' is a zone already, on line 5",
    )),
    Case("name of the agent's own", """\
zones:
  - {id: box}
""", (
        "5:10: zones[0].id: 'box' is a name of the agent's own; choose another",
    )),
    Case('input with the name of a built-in point', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: pins.online, bus: pins, pin: 5, kind: key, contact: normally-open}
""", (
        "7:10: inputs[0].id: 'pins.online' is a name of the agent's own; choose another",
    )),
    Case('unit out of range', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 248, quantities: [{name: t, area: input, address: 0, type: u16}]}
""", (
        '7:29: devices[0].unit: must be 1 to 247 (0 is broadcast, 248 to 255 are reserved)',
    )),
    Case('two devices with one unit', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - &d {id: a, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16}]}
  - {<<: *d, id: b}
""", (
        "7:32: devices[1].unit: unit 1 on 'tcp' is 'a' already",
    )),
    Case('two buses on one port', """\
buses:
  - {id: a, type: modbus-rtu, port: /dev/x}
  - {id: b, type: modbus-rtu, port: /dev/x}
""", (
        "6:37: buses[1].port: /dev/x belongs to bus 'a' already; put all its devices on one bus",
    )),
    Case('unknown bus', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tpc, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16}]}
""", (
        "7:18: devices[0].bus: no bus 'tpc'; did you mean 'tcp'?",
    )),
    Case('device on a gpio bus', """\
buses:
  - {id: pins, type: gpio}
devices:
  - {id: a, bus: pins, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16}]}
""", (
        "7:18: devices[0].bus: 'pins' has pins, not units; name a Modbus bus",
    )),
    Case('unknown profile', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, profile: generic-presure}
""", (
        "7:41: devices[0].profile: no profile 'generic-presure'; did you mean 'generic-pressure'?",
    )),
    Case('unknown quantity', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, profile: xy-md02, points: {temprature: off}}
""", (
        "7:59: devices[0].points.temprature: no such quantity; did you mean 'temperature'?",
    )),
    Case('register type in a coil area', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, quantities: [{name: t, area: coil, address: 0, type: u16}]}
""", (
        '7:85: devices[0].quantities[0].type: type u16 in area coil: coils and discrete inputs are bool, registers are any other type (one bit of a register: type bits)',
    )),
    Case('pin of the HAT EEPROM', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: a, bus: pins, pin: 1, kind: key, contact: normally-open}
""", (
        "7:29: inputs[0].pin: must be 2 to 27: pins 0 and 1 are probed for a HAT's EEPROM",
    )),
    Case('pin beyond the header', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: a, bus: pins, pin: 28, kind: key, contact: normally-open}
""", (
        '7:29: inputs[0].pin: must be 2 to 27 (BCM number, not header pin)',
    )),
    Case('pin twice', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 17}
""", (
        "9:46: outputs[0].pin: pin 17 of 'pins' is 'smoke' already",
    )),
    Case('pair pin on the same pin', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: a, bus: pins, pin: 5, pair_pin: 5, kind: key, contact: normally-open}
""", (
        "7:42: inputs[0].pair_pin: pin 5 of 'pins' is 'a' already",
    )),
    Case('output without line', """\
outputs:
  - {id: siren, kind: siren}
""", (
        '5:10: outputs[0].id: needs bus and pin, or device and coil, or device and register',
    )),
    Case('unknown zone', """\
buses:
  - {id: pins, type: gpio}
zones:
  - {id: hall}
inputs:
  - {id: a, bus: pins, pin: 5, kind: key, contact: normally-open, zone: hal}
""", (
        "9:73: inputs[0].zone: no zone 'hal'; did you mean 'hall'?",
    )),
    Case('unknown point', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {point: smok, is: active}}
""", (
        "9:40: rules[0].when.point: no point 'smok'; did you mean 'smoke'?",
    )),
    Case('rule that watches itself', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {any: [{point: smoke, is: active}, {point: r, is: active}]}}
""", (
        '9:75: rules[0].when.any[1].point: a rule cannot watch itself; name a point',
    )),
    Case('threshold on contact', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {point: smoke, above: 1}}
""", (
        "9:47: rules[0].when.above: 'smoke' is a contact; use `is: active`",
    )),
    Case('contact on number', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: air, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: 0, type: s16}, {name: wet, area: discrete, address: 0, type: bool}]}
rules:
  - {id: r, class: supervisory, when: {point: air.t, is: active}}
""", (
        "9:54: rules[0].when.is: 'air.t' is not a contact; use `above:` or `below:`",
    )),
    Case('no condition', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {point: smoke}}
""", (
        '9:32: rules[0].when: a condition is one of {point: .., above: ..}, {point: .., below: ..}, {point: .., is: active}, {point: .., stale: true}, {all: [..]}, {any: [..]}, or one of outside, rises, falls, flat_s, leaks, starts_above, starts_above_usual, schedule, at_least, verify (docs/conditions.md)',
    )),
    Case('two conditions', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {point: smoke, above: 1, below: 3}}
""", (
        "9:47: rules[0].when.above: 'smoke' is a contact; use `is: active`",
        '9:57: rules[0].when.below: a condition has one of these only; put two into `all` or `any`',
    )),
    Case('fire rule that lets go by itself', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {point: smoke, is: active}, latch: false, ack: not-required}
""", (
        '9:67: rules[0].latch: class fire stays until a person resets; leave it out',
        '9:79: rules[0].ack: class fire must be acknowledged; leave it out',
    )),
    Case('negative and not-a-number delays', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fire, when: {point: smoke, is: active}, on_delay_s: -1, off_delay_s: .nan}
""", (
        '9:72: rules[0].on_delay_s: must be 0.0 or more',
        '9:89: rules[0].off_delay_s: must be a finite number',
    )),
    Case('unknown class', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
rules:
  - {id: r, class: fires, when: {point: smoke, is: active}}
""", (
        "9:20: rules[0].class: must be 'fire', 'gas', 'supervisory', 'fault' or 'technical'; did you mean 'fire'?",
    )),
    Case('linkage to nothing', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 23}
rules:
  - {id: r, class: fire, when: {point: smoke, is: active}}
linkage:
  - {id: l, rules: [q], outputs: [sirn]}
  - {id: l, outputs: [siren]}
""", (
        "13:21: linkage[0].rules[0]: no rule 'q'; known: r",
        "13:35: linkage[0].outputs[0]: no output 'sirn'; did you mean 'siren'?",
        "14:10: linkage[1].id: 'l' stands twice, first on line 13",
        '14:10: linkage[1].id: names no alarms; give classes, zones or rules',
    )),
    Case('rule on the health of its own output', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 23}
rules:
  - {id: r, class: fault, when: {point: siren.health, is: inactive}}
linkage:
  - {id: l, rules: [r], outputs: [siren]}
""", (
        "11:41: rules[0].when.point: the rule would switch what it watches: linkage 'l' moves 'siren'",
    )),
    Case('rule on the coil of its own output', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: m, bus: tcp, unit: 1, quantities: [{name: c, area: coil, address: 3, type: bool}]}
outputs:
  - {id: fan, kind: relay, device: m, coil: 3}
rules:
  - {id: r, class: fire, when: {point: m.c, is: active}}
linkage:
  - {id: l, classes: [fire], outputs: [fan]}
""", (
        "11:40: rules[0].when.point: the rule would switch what it watches: linkage 'l' moves 'fan'",
    )),
    Case('health output moved by alarms', """\
buses:
  - {id: pins, type: gpio}
outputs:
  - {id: well, kind: health, bus: pins, pin: 5, active: de-energised}
linkage:
  - {id: l, classes: [fire], outputs: [well]}
""", (
        '7:57: outputs[0].active: a health output is energised while the agent is well, so that a dead box drops out',
        '9:40: linkage[0].outputs[0]: a health output follows the agent, not alarms',
    )),
    Case('fire point without fault alarm', """\
buses:
  - {id: pins, type: gpio}
inputs:
  - {id: smoke, bus: pins, pin: 17, kind: smoke, contact: normally-closed, fault: off}
rules:
  - {id: r, class: fire, when: {point: smoke, is: active}}
""", (
        '7:83: inputs[0].fault: a rule of class fire or gas watches it: its silence must be a fault',
    )),
    Case('topic words and client ids', """\
uplinks:
  - {id: c, host: h, root: 'Plant/#'}
  - {id: c, host: h}
""", (
        '5:28: uplinks[0].root: must be words of lowercase letters, digits, dash, dot, underscore, with / between',
        "6:5: uplinks[1].client_id: same broker and client id as 'c': each would throw the other out",
        "6:10: uplinks[1].id: 'c' stands twice, first on line 5",
    )),
    Case('password in the file', """\
uplinks:
  - {id: c, host: h, password: hunter2}
""", (
        '5:32: uplinks[0].password: secrets do not stand in this file; name where it is: {secret: NAME} (systemd credential), {env: NAME} or {file: PATH}',
    )),
    Case('missing secrets', """\
uplinks:
  - {id: c, host: h, password: {secret: mqtt}}
  - {id: d, host: g, password: {env: NOPE}}
  - {id: e, host: i, password: {file: nope.txt}}
""", (
        "5:32: uplinks[0].password: no credential 'mqtt': this process was given none (systemd LoadCredential=mqtt:/path sets $CREDENTIALS_DIRECTORY)",
        '6:32: uplinks[1].password: the environment variable NOPE is not set',
        '7:32: uplinks[2].password: the file nope.txt is not there',
    )),
    Case('missing tls files', """\
uplinks:
  - {id: c, host: h, tls: {ca_file: nope.pem, cert_file: site.yaml}}
""", (
        '5:37: uplinks[0].tls.ca_file: no such file: nope.pem',
        '5:58: uplinks[0].tls.cert_file: cert_file and key_file go together',
    )),
    Case('page open to the network', """\
local: {host: 0.0.0.0}
""", (
        '4:15: local.host: must be a loopback address such as 127.0.0.1: the page asks nobody who they are; reach it through a tunnel or a proxy that does',
    )),
    Case('unknown timezone', """\
timezone: Asia/Shanghia
""", (
        "4:11: timezone: no such zone; did you mean 'Asia/Shanghai'?",
    )),
    Case('staler than two polls', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16, stale_after_s: 1}]}
""", (
        '7:106: devices[0].quantities[0].stale_after_s: must be at least twice the poll period of 2 s, or one late poll is a fault',
    )),
    Case('loop and range the wrong way', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16, loop: {low: 1, high: 1}, valid: {min: 3, max: 2}}]}
""", (
        '7:97: devices[0].quantities[0].loop: loop: low and high must differ',
        '7:123: devices[0].quantities[0].valid: valid range 3.0 to 2.0: min above max',
    )),
    Case('quantity switched off by a wrong word', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, profile: xy-md02, points: {temperature: no}}
""", (
        "7:72: devices[0].points.temperature: must be 'off'",
    )),
    Case('threshold on words', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16, enum: {0: shut, 1: open}}]}
rules:
  - {id: r, class: supervisory, when: {point: a.t, above: 1}}
""", (
        "9:52: rules[0].when.above: 'a.t' is a word; it cannot be compared",
    )),
    Case('condition without parts', """\
rules:
  - {id: r, class: fire, when: {all: []}}
""", (
        '5:38: rules[0].when.all: must have 1 or more (characters or items)',
    )),
    Case('device without anything', """\
buses:
  - {id: tcp, type: modbus-tcp, host: 127.0.0.1}
devices:
  - {id: a, bus: tcp, unit: 1}
""", (
        '7:10: devices[0].id: has no points and no outputs; give a profile or quantities',
    )),
    Case('many at once', """\
buss: []
buses:
  - {id: a, type: gpio, pol: 3}
  - {id: tcp, type: modbus-tcp, port: 70000}
devices:
  - {id: d, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: 0, type: u16}]}
  - {id: e, bus: nix, unit: 0, quantities: [{name: t, area: input, address: 0, type: u17}]}
inputs:
  - {id: s, bus: a, pin: 50, kind: smoke, contact: normally-open}
rules:
  - {id: r, class: fire, when: {all: [{point: e.t, above: 1}, {point: s, abov: 1}]}}
  - {id: r2, class: fire, when: {point: e.t, above: 1}}
  - {id: r3, class: fire, when: {point: f.t, above: 1}}
local: {port: -1}
""", (
        "4:1: buss: unknown key; did you mean 'buses'?",
        "6:25: buses[0].pol: unknown key; did you mean 'poll_ms'?",
        '7:5: buses[1].host: is missing and must be given',
        '7:39: buses[1].port: must be 65535 or less',
        "10:18: devices[1].bus: no bus 'nix'",
        '10:29: devices[1].unit: must be 1 to 247 (0 is broadcast, 248 to 255 are reserved)',
        "10:86: devices[1].quantities[0].type: must be 'bool', 'u16', 's16', 'u32', 's32', 'u64', 's64', 'f32', 'f64', 'bits', 'bcd16', 'bcd32' or 'string'; did you mean 'u16'?",
        '12:26: inputs[0].pin: must be 2 to 27 (BCM number, not header pin)',
        '14:63: rules[0].when.all[1]: a condition is one of {point: .., above: ..}, {point: .., below: ..}, {point: .., is: active}, {point: .., stale: true}, {all: [..]}, {any: [..]}, or one of outside, rises, falls, flat_s, leaks, starts_above, starts_above_usual, schedule, at_least, verify (docs/conditions.md)',
        "16:41: rules[2].when.point: no point 'f.t'; did you mean 'd.t'?",
        '17:15: local.port: must be 0 or more',
    )),
)
# fmt: on


def faults_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_site(path, env={})
    return tuple(
        str(fault).replace(f"{path.parent}/", "").removeprefix("site.yaml:")
        for fault in caught.value.faults
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_fault_is_told_with_its_place_and_its_cure(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(HEAD + case.text, "utf-8")
    assert faults_of(path) == case.faults


def test_a_slip_in_a_thing_does_not_make_its_other_mentions_faults(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        HEAD
        + """\
buses:
  - {id: tcp, type: modbus-tcp, host: h, timeout_ms: soon}
  - {id: pins, type: gpo}
devices:
  - {id: air, bus: tcp, unit: 1, quantities: [{name: t, area: input, address: -1, type: s16}]}
outputs:
  - {id: siren, kind: siren, bus: pins, pin: 3.5}
rules:
  - {id: warm, class: fire, when: {point: air.t, abov: 50}}
linkage:
  - {id: l, classes: [fir], rules: [warm], outputs: [siren]}
""",
        "utf-8",
    )
    assert [fault.split(": ")[1] for fault in faults_of(path)] == [
        "buses[0].timeout_ms",
        "buses[1].type",
        "devices[0].quantities[0].address",
        "outputs[0].pin",
        "rules[0].when",
        "linkage[0].classes[0]",
    ]


def test_the_three_words_every_site_needs_are_asked_for_at_once(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("zones: []\n", "utf-8")
    assert faults_of(path) == (
        "1:1: box: is missing and must be given",
        "1:1: site: is missing and must be given",
        "1:1: version: is missing and must be given",
    )


def test_a_file_that_is_not_there_is_a_fault_without_a_line(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "site.yaml") == (" cannot be read: No such file or directory",)
