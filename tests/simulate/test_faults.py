"""Faults one by one, byte for byte."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulate.faults import Fault, FaultKind, FaultPlan, Wire, playable, shape, with_burst
from agent.simulate.frames import Framing, crc16, rtu_frame, tcp_frame
from agent.simulate.ledger import Ledger
from agent.simulate.slave import Answer, SimUnit
from agent.simulate.station import Station

PDU = bytes.fromhex("0304000a000b")
ANSWER = Answer(unit=7, pdu=PDU)
GOOD_TCP = tcp_frame(0x1234, 7, PDU)
GOOD_RTU = rtu_frame(7, PDU)


def played(kind: FaultKind, framing: Framing = Framing.RTU, *, seed: int = 1) -> Wire:
    fault = Fault(kind=kind, delay_s=0.3, code=6)
    wire = shape(ANSWER, 0x1234, framing, fault, random.Random(seed))
    assert wire is not None
    return wire


def is_sound(frame: bytes) -> bool:
    return crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")


def test_no_fault_is_a_good_frame() -> None:
    rng = random.Random(0)
    assert shape(ANSWER, 0x1234, Framing.TCP, None, rng) == Wire(data=GOOD_TCP)
    assert shape(ANSWER, 0x1234, Framing.RTU, None, rng) == Wire(data=GOOD_RTU)


def test_silent_is_nothing_at_all() -> None:
    assert shape(ANSWER, 1, Framing.RTU, Fault(kind=FaultKind.SILENT), random.Random(0)) is None


def test_late_is_the_good_frame_later() -> None:
    assert played(FaultKind.LATE) == Wire(data=GOOD_RTU, delay_s=0.3)


def test_wrong_count_is_a_sound_frame_of_one_register_more_or_less() -> None:
    lengths = set()
    for seed in range(20):
        data = played(FaultKind.WRONG_COUNT, seed=seed).data
        assert is_sound(data)
        assert data[:2] == GOOD_RTU[:2]
        assert data[2] == len(data) - 5
        lengths.add(data[2])
    assert lengths == {2, 6}


def test_wrong_function_is_the_neighbour_most_easily_confused() -> None:
    data = played(FaultKind.WRONG_FUNCTION).data
    assert is_sound(data)
    assert data[1] == 4
    assert data[2:-2] == GOOD_RTU[2:-2]


def test_wrong_unit_is_another_units_sound_frame() -> None:
    assert played(FaultKind.WRONG_UNIT).data == rtu_frame(8, PDU)
    assert played(FaultKind.WRONG_UNIT, Framing.TCP).data == tcp_frame(0x1234, 8, PDU)


def test_an_exception_carries_its_code() -> None:
    assert played(FaultKind.EXCEPTION).data == rtu_frame(7, bytes.fromhex("8306"))


def test_bad_crc_touches_the_checksum_only() -> None:
    for seed in range(20):
        data = played(FaultKind.BAD_CRC, seed=seed).data
        assert data[:-2] == GOOD_RTU[:-2]
        assert not is_sound(data)


def test_noise_stands_before_the_good_frame() -> None:
    for framing, good in ((Framing.RTU, GOOD_RTU), (Framing.TCP, GOOD_TCP)):
        data = played(FaultKind.NOISE_BEFORE, framing).data
        assert data.endswith(good)
        assert 1 <= len(data) - len(good) <= 4


def test_half_a_frame() -> None:
    assert played(FaultKind.HALF_FRAME).data == GOOD_RTU[: len(GOOD_RTU) // 2]


def test_a_reset_never_lets_the_whole_answer_out() -> None:
    for seed in range(20):
        wire = played(FaultKind.RESET, Framing.TCP, seed=seed)
        assert wire.is_reset
        assert len(wire.data) < len(GOOD_TCP)
        assert GOOD_TCP.startswith(wire.data)


def test_transaction_zero() -> None:
    assert played(FaultKind.TRANSACTION_ZERO, Framing.TCP).data == tcp_frame(0, 7, PDU)


@given(st.binary(min_size=1, max_size=256), st.integers())
def test_a_burst_flips_its_ends_and_never_spans_more_than_sixteen_bits(
    data: bytes, seed: int
) -> None:
    changed = int.from_bytes(with_burst(data, random.Random(seed)), "little") ^ int.from_bytes(
        data, "little"
    )
    assert changed
    lowest = (changed & -changed).bit_length() - 1
    assert changed.bit_length() - lowest <= 16


@given(st.binary(min_size=2, max_size=253), st.integers())
def test_the_checksum_finds_every_burst(pdu: bytes, seed: int) -> None:
    assert not is_sound(with_burst(rtu_frame(7, pdu), random.Random(seed)))


def test_scripts_run_in_order_per_unit_and_then_all_is_well() -> None:
    plan = FaultPlan()
    late = Fault(kind=FaultKind.LATE, delay_s=0.1)
    plan.script(7, [late, None, late])
    assert [plan.next(1), *(plan.next(7) for _ in range(4))] == [None, late, None, late, None]
    assert plan.played == {FaultKind.LATE: 2}


def test_a_rate_is_kept_and_a_seed_repeats_it() -> None:
    kinds = (FaultKind.LATE, FaultKind.HALF_FRAME)
    plans = [FaultPlan(kinds, rate=0.2, seed=5, delay_s=(0.1, 0.4)) for _ in range(2)]
    first, second = ([plan.next(1) for _ in range(5000)] for plan in plans)
    assert first == second
    faults = [each for each in first if each]
    assert 850 < len(faults) < 1150
    assert {each.kind for each in faults} == set(kinds)
    assert all(0.1 <= each.delay_s <= 0.4 for each in faults)


@pytest.mark.parametrize(
    ("framing", "is_stream", "missing"),
    [
        (Framing.TCP, True, {FaultKind.BAD_CRC, FaultKind.BIT_BURST}),
        (Framing.RTU, True, {FaultKind.TRANSACTION_ZERO}),
        (Framing.RTU, False, {FaultKind.TRANSACTION_ZERO, FaultKind.RESET}),
    ],
)
def test_each_bus_plays_the_faults_it_can_have(
    framing: Framing, is_stream: bool, missing: set[FaultKind], ledger: Ledger
) -> None:
    assert set(FaultKind) - playable(framing, is_stream=is_stream) == missing
    for kind in FaultKind:
        plan = FaultPlan([kind], rate=0.1)
        if kind in missing:
            with pytest.raises(ValueError, match="cannot play"):
                Station("b", [], ledger, framing=framing, is_stream=is_stream, faults=plan)
        else:
            Station("b", [], ledger, framing=framing, is_stream=is_stream, faults=plan)


def test_a_rate_needs_kinds_and_bounds() -> None:
    with pytest.raises(ValueError, match="rate"):
        FaultPlan(rate=0.5)
    with pytest.raises(ValueError, match="rate"):
        FaultPlan([FaultKind.LATE], rate=1.5)


def test_an_absent_register_still_earns_its_exception_frame() -> None:
    assert SimUnit(7, []).answer(bytes.fromhex("0300000001")).pdu == bytes.fromhex("8302")
