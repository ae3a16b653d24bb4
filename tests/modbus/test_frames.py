"""Only the answer to the question passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.frames import Question, crc16, describe, find_rtu, find_tcp
from tests.modbus.harness import mbap, rtu

READ = Question(unit=7, function=3, data_bytes=4)
GOOD = bytes([3, 4, 1, 2, 3, 4])
WRITE = Question(unit=7, function=5, echo=b"\0\x05\xff\0")
ECHO = b"\x05\0\x05\xff\0"

WRONG = [
    pytest.param(3, bytes([4, 4, 1, 2, 3, 4]), id="other function"),
    pytest.param(7, bytes([4, 4, 1, 2, 3, 4]), id="other read function"),
    pytest.param(7, bytes([3, 2, 1, 2]), id="fewer registers"),
    pytest.param(7, bytes([3, 6, 1, 2, 3, 4, 5, 6]), id="more registers"),
    pytest.param(7, bytes([3, 3, 1, 2, 3, 4]), id="odd byte count"),
    pytest.param(8, GOOD, id="other unit"),
    pytest.param(7, bytes([0x84, 2]), id="exception to another function"),
    pytest.param(7, bytes([0x83, 0]), id="exception without a code"),
    pytest.param(7, ECHO, id="echo of a write"),
]


def test_checksum_of_a_known_frame() -> None:
    # 01 03 00 00 00 01 has the checksum 84 0A: any Modbus tool shows it for this request
    assert crc16(bytes.fromhex("010300000001")) == bytes.fromhex("840a")


@pytest.mark.parametrize(("unit", "pdu"), WRONG)
def test_what_answers_another_question_does_not_pass(unit: int, pdu: bytes) -> None:
    assert find_rtu(READ, rtu(unit, pdu)) == b""
    assert find_tcp(READ, 9, mbap(9, unit, pdu)) == b""
    assert find_rtu(READ, rtu(unit, pdu) + rtu(7, GOOD)) == rtu(7, GOOD)
    assert find_tcp(READ, 9, mbap(9, unit, pdu) + mbap(9, 7, GOOD)) == mbap(9, 7, GOOD)


@pytest.mark.parametrize("transaction", [0, 8, 10, 0xFFFF])
def test_another_transaction_does_not_pass(transaction: int) -> None:
    assert find_tcp(READ, 9, mbap(transaction, 7, GOOD)) == b""


@pytest.mark.parametrize("value", [b"\0\x05\0\0", b"\0\x06\xff\0", b"\0\x05\0\1", b"\0\x05\xff\1"])
def test_an_echo_that_differs_does_not_pass(value: bytes) -> None:
    assert find_rtu(WRITE, rtu(7, b"\x05" + value)) == b""
    assert find_rtu(WRITE, rtu(7, ECHO)) == rtu(7, ECHO)


@pytest.mark.parametrize("noise", [b"\xff", b"\0\0", b"\x07", b"\x07\x03", b"\x07\x03\x04\x01"])
def test_noise_before_an_answer_costs_nothing(noise: bytes) -> None:
    assert find_rtu(READ, noise + rtu(7, GOOD)) == rtu(7, GOOD)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_an_answer_is_found_in_any_noise(before: bytes, after: bytes) -> None:
    found = find_rtu(READ, before + rtu(7, GOOD) + after)
    assert found
    assert READ.is_answer(found[:-2])


@given(st.binary(max_size=300))
def test_what_passes_is_a_whole_frame(received: bytes) -> None:
    frame = find_rtu(READ, received)
    assert not frame or (READ.is_answer(frame[:-2]) and crc16(frame[:-2]) == frame[-2:])
    frame = find_tcp(READ, 9, received)
    assert not frame or READ.is_answer(frame[6:])
    assert describe(READ, received, is_rtu=True)
    assert describe(READ, received, is_rtu=False)


@given(st.integers(0, 8 * len(rtu(7, GOOD)) - 1))
def test_one_flipped_bit_is_never_an_answer(bit: int) -> None:
    frame = bytearray(rtu(7, GOOD))
    frame[bit // 8] ^= 1 << (bit % 8)
    assert find_rtu(READ, bytes(frame)) == b""


@given(st.integers(0, 300))
def test_part_of_an_answer_is_none(length: int) -> None:
    tcp, serial = mbap(9, 7, GOOD), rtu(7, GOOD)
    assert find_tcp(READ, 9, tcp[:length]) == (tcp if length >= len(tcp) else b"")
    assert find_rtu(READ, serial[:length]) == (serial if length >= len(serial) else b"")
