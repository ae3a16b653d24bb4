"""Units: tables, exceptions, counters, and what the ledger is told."""

from __future__ import annotations

import struct

import pytest

from agent.simulate.faults import Fault, FaultKind, FaultPlan
from agent.simulate.frames import Adu, Framing
from agent.simulate.ledger import (
    Ledger,
    Place,
    ReadAnswered,
    WriteTaken,
    decode_counter,
    encode_counter,
)
from agent.simulate.slave import Block, Computed, Counter, SimUnit, f32_words, s16_word
from agent.simulate.station import Station
from drivers.clock import ManualClock
from drivers.modbus.spec import Area


def ask(unit: SimUnit, text: str) -> str:
    return unit.answer(bytes.fromhex(text)).pdu.hex()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("010000000a", "01028d01"),
        ("0200010003", "020105"),
        ("0300020002", "030403ea03eb"),
        ("04007c0001", "0402084c"),
        ("0300310001", "03020419"),
        ("0300310002", "8302"),
        ("0300320001", "8302"),
        ("04007d0001", "8402"),
        ("0600000007", "0600000007"),
        ("0600640001", "8602"),
        ("050000ff00", "050000ff00"),
        ("05000aff00", "8502"),
        ("0f0000000a020000", "0f0000000a"),
        ("100000000204000a000b", "1000000002"),
        ("1000310002040001 0002", "9002"),
        ("08", "8801"),
    ],
)
def test_a_unit_answers_as_the_protocol_says(
    units: tuple[SimUnit, ...], asked: str, answer: str
) -> None:
    assert ask(units[0], asked) == answer


def test_writes_are_read_back_and_a_refused_write_changes_nothing(
    units: tuple[SimUnit, ...],
) -> None:
    ask(units[0], "100000000204000a000b")
    assert ask(units[0], "0300000002") == "0304000a000b"
    ask(units[0], "1000310002040001 0002")
    assert units[0].value(Area.HOLDING, 49) == 1049
    ask(units[0], "0f0000000a02ff03")
    assert ask(units[0], "010000000a") == "0102ff03"
    with pytest.raises(LookupError):
        units[0].value(Area.HOLDING, 50)


def test_every_answer_carries_another_counter_and_it_says_where_it_is_from() -> None:
    unit = SimUnit(7, [Counter(7, 100, first=0xFFFE)])
    seen = [
        decode_counter(int.from_bytes(unit.answer(bytes.fromhex("0300640002")).pdu[2:], "big"))
        for _ in range(3)
    ]
    assert seen == [(7, 100, 0xFFFE), (7, 100, 0xFFFF), (7, 100, 0)]
    assert encode_counter(7, 100, 0x10001) == 0x07640001


def test_half_a_counter_is_not_a_counter_value() -> None:
    unit = SimUnit(1, [Counter(1, 100)])
    assert unit.answer(bytes.fromhex("0300640001")).counted == ()
    assert unit.answer(bytes.fromhex("0300640002")).counted[0].value == encode_counter(1, 100, 1)


def test_computed_registers_are_asked_once_an_answer() -> None:
    calls = 0

    def words() -> tuple[int, ...]:
        nonlocal calls
        calls += 1
        return f32_words(450.5)

    unit = SimUnit(1, [Computed(Area.HOLDING, 0, 2, words)])
    answer = unit.answer(bytes.fromhex("0300000002")).pdu
    assert struct.unpack(">f", answer[2:]) == (450.5,)
    assert calls == 1


@pytest.mark.parametrize(
    ("value", "word"), [(-1, 0xFFFF), (231.4, 231), (99999, 0x7FFF), (-99999, 0x8000)]
)
def test_a_signed_word(value: float, word: int) -> None:
    assert s16_word(value) == word


@pytest.mark.parametrize("unit", [0, 248])
def test_unit_ids_have_limits(unit: int) -> None:
    with pytest.raises(ValueError, match="1 to 247"):
        SimUnit(unit, [])


def test_overlapping_blocks_and_double_units_are_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="twice"):
        SimUnit(1, [Block(Area.COIL, 0, [0] * 5), Block(Area.COIL, 4, [0])])
    with pytest.raises(ValueError, match="twice"):
        Station("b", [SimUnit(1, []), SimUnit(1, [])], ledger, framing=Framing.TCP, is_stream=True)


def test_the_ledger_is_told_when_the_answer_leaves_not_before(clock: ManualClock) -> None:
    ledger = Ledger(clock)
    station = Station(
        "line", [SimUnit(7, [Counter(7, 100)])], ledger, framing=Framing.RTU, is_stream=False
    )
    reply = station.reply(Adu(7, bytes.fromhex("0300640002")))
    assert reply is not None
    assert not ledger.entries
    left = clock.advance(0.25)
    station.left(reply)
    assert ledger.entries == (
        ReadAnswered(place=Place("line", 7, 100), value=encode_counter(7, 100, 0), at=left),
    )


def test_writes_are_noted_and_a_broadcast_is_carried_out_by_all_without_an_answer(
    units: tuple[SimUnit, ...], clock: ManualClock
) -> None:
    ledger = Ledger(clock)
    station = Station("line", units, ledger, framing=Framing.RTU, is_stream=False)
    assert station.reply(Adu(0, bytes.fromhex("050001ff00"))) is None
    assert station.reply(Adu(0, bytes.fromhex("0300000001"))) is None
    assert [unit.value(Area.COIL, 1) for unit in units] == [1, 1]
    assert ledger.entries == tuple(
        WriteTaken(place=Place("line", number, 1), area=Area.COIL, value=1, at=clock.stamp())
        for number in (1, 7)
    )


def test_an_absent_unit_is_silence(units: tuple[SimUnit, ...], ledger: Ledger) -> None:
    station = Station("line", units, ledger, framing=Framing.RTU, is_stream=False)
    assert station.reply(Adu(3, bytes.fromhex("0300000001"))) is None


def test_a_fault_is_named_in_the_ledger_and_a_silent_unit_counts_nothing(
    units: tuple[SimUnit, ...], ledger: Ledger
) -> None:
    plan = FaultPlan()
    plan.script(1, [Fault(kind=FaultKind.BAD_CRC), None])
    station = Station("line", units, ledger, framing=Framing.RTU, is_stream=False, faults=plan)
    asked = Adu(1, bytes.fromhex("0300640002"))
    for _ in range(2):
        reply = station.reply(asked)
        assert reply is not None
        station.left(reply)
    plan.set_silent(1, True)
    assert station.reply(asked) is None
    plan.set_silent(1, False)
    assert [each.fault for each in ledger.entries if isinstance(each, ReadAnswered)] == [
        "bad crc",
        "",
    ]
    again = station.reply(asked)
    assert again is not None
    assert again.answer.counted[0].value == encode_counter(1, 100, 2)


def test_a_full_ledger_says_how_much_it_forgot(clock: ManualClock) -> None:
    ledger = Ledger(clock, kept=3)
    for each in range(5):
        ledger.moved(each, True)
    assert len(ledger.entries) == 3
    assert ledger.forgotten == 2
