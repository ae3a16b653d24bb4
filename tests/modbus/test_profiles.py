"""Register maps: those that come with the agent are right, a wrong one is told where and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.modbus.plan import plan_reads
from drivers.modbus.profile import decode_sample
from drivers.modbus.profiles import ProfileError, list_profiles, load_profile, parse_profile
from drivers.modbus.spec import Area, DataType, Order, PollClass
from drivers.reading import Quality

NEEDED = {
    "eastron-sdm120", "eastron-sdm230", "eastron-sdm630", "pzem-004t", "pzem-016", "schneider-iem3000",
    "chint-dtsu666", "xy-md02", "renke-rs-ws-n01", "zts-3008-ws-n01", "waveshare-relay-8ch",
    "waveshare-io-8ch", "waveshare-ai-8ch", "n4aib16", "wp3082adam", "qdy30a", "wb-mwac-v2",
    "homemaster-wld-521", "homemaster-alm-173", "generic-pressure", "generic-4-20ma",
}  # fmt: skip


def test_the_profiles_people_need_are_there() -> None:
    assert set(list_profiles()) >= NEEDED


@pytest.mark.parametrize("name", list_profiles())
def test_samples_decode_to_what_they_mean(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.samples
    for sample in profile.samples:
        decoded = decode_sample(profile, sample)
        for quantity, value in sample.values.items():
            assert decoded[quantity].value == pytest.approx(value), quantity
            assert (decoded[quantity].quality is Quality.BAD) == (value is None), quantity


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_can_be_read_and_says_where_it_comes_from(name: str) -> None:
    profile = load_profile(name)
    assert all(each.strip() for each in profile.sources)
    requests = plan_reads(
        profile.quantities, max_registers=profile.max_registers, max_gap=profile.max_gap
    )
    assert sum(len(each.quantities) for each in requests) == len(profile.quantities)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_every_area_of_a_needed_profile_has_a_sample(name: str) -> None:
    profile = load_profile(name)
    sampled = {quantity for sample in profile.samples for quantity in sample.values}
    for area in {each.area for each in profile.quantities}:
        assert any(each.name in sampled for each in profile.quantities if each.area is area)


def test_a_pzem_is_read_at_once() -> None:
    profile = load_profile("pzem-004t")
    (request,) = plan_reads(profile.quantities, max_registers=profile.max_registers)
    assert (request.area, request.address, request.count) == (Area.INPUT, 0, 10)


GOOD = """\
title: A meter
sources: [its manual]
serial: {unit: 3, baud: 4800, parity: E, stop_bits: 1}
max_registers: 60
max_gap: 2
timeout_ms: 250
gap_ms: 40
quantities:
  - name: power
    area: input
    address: 0x000C
    type: s32
    unit: kW
    kind: power
    word_order: little
    scale: 0.1
    sentinels: [0x7FFFFFFF]
    valid: {min: -100, max: 100}
    poll: fire
  - {name: state, area: holding, address: 3, type: u16, enum: {0: closed, 1: open, 2: true}}
coils: {siren: 5}
verify: [{quantity: power, min: 0, max: 10}]
samples:
  - {request: 04 00 0c 00 02, response: 04 04 00 7b 00 00, values: {power: 12.3}, source: bench}
"""


def test_everything_a_file_says_arrives(tmp_path: Path) -> None:
    file = tmp_path / "my-meter.yaml"
    file.write_text(GOOD, "utf-8")
    profile = load_profile(file)
    assert load_profile(str(file)) == profile
    assert (profile.name, profile.title, profile.unverified) == ("my-meter", "A meter", False)
    assert (profile.max_registers, profile.max_gap) == (60, 2)
    assert (profile.timeout_s, profile.gap_s) == (0.25, 0.04)
    assert profile.serial is not None
    assert (profile.serial.unit, profile.serial.baud, profile.serial.parity) == (3, 4800, "E")
    power, state = profile.quantities
    assert (power.area, power.address, power.type) == (Area.INPUT, 12, DataType.S32)
    assert (power.word_order, power.sentinels) == (Order.LITTLE, (0x7FFFFFFF,))
    assert (power.valid_min, power.valid_max, power.poll_class) == (-100, 100, PollClass.FIRE)
    assert state.enum == {0: "closed", 1: "open", 2: True}
    assert profile.coils == {"siren": 5}
    assert profile.verify[0].max == 10
    assert decode_sample(profile, profile.samples[0])["power"].value == 12.3


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("type: s32", "type: s33", "bad.yaml:12: quantities[0].type: "),
        ("unit: kW", "unti: kW", "bad.yaml:13: quantities[0].unti: no such key"),
        ("address: 0x000C", "address: 70000", "bad.yaml:11: quantities[0].address: "),
        ("scale: 0.1", "scale: 0", "bad.yaml:9: quantities[0]: scale 0"),
        ("area: input", "area: coil", "bad.yaml:9: quantities[0]: type s32 in area coil"),
        ("name: state", "name: power", "bad.yaml:20: quantities[1].name: power is there twice"),
        ("max_registers: 60", "max_registers: 1", "bad.yaml:9: quantities[0]: power: takes 2"),
        ("{quantity: power", "{quantity: force", "verify[0].quantity: there is no quantity force"),
        ("values: {power", "values: {force", "values.force: there is no quantity force"),
        (", source: bench", "", "samples[0]: say where the exchange was seen"),
        ("04 04 00 7b 00 00", "04 04 00 7b 00", "samples[0]: response is 04 04 and 4 bytes"),
        ("04 00 0c 00 02", "05 00 0c 00 02", "samples[0]: request is function 01 to 04"),
        ("sources: [its manual]", "sources: []", "bad.yaml:2: sources: "),
        ("title: A meter", "title: [", "not YAML"),
    ],
)
def test_a_fault_names_its_line_and_the_cure(old: str, new: str, fault: str) -> None:
    assert old in GOOD
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(old, new), "bad.yaml", "bad")
    assert fault in str(caught.value)
    assert all(each.startswith("bad.yaml:") for each in caught.value.faults)


def test_all_faults_are_told_at_once() -> None:
    text = GOOD.replace("type: s32", "type: s33").replace("max_gap: 2", "max_gap: 999")
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "bad.yaml", "bad")
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize("text", ["", "- 1", "just text", "a: &a [*a]", "\x00"])
def test_what_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(ProfileError):
        parse_profile(text, "bad.yaml", "bad")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"profile sdm120: .* known: .*eastron-sdm120"):
        load_profile("sdm120")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * 300_000])
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ProfileError):
        load_profile(file)
