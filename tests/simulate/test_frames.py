"""Framing: what a device makes of bytes, whole, in pieces, or between garbage."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulate.frames import (
    Adu,
    Function,
    RefusedRequest,
    Request,
    RtuParser,
    TcpParser,
    crc16,
    exception_pdu,
    pack_bits,
    read_bits_pdu,
    read_request,
    read_words_pdu,
    rtu_frame,
    tcp_frame,
    unpack_bits,
    written_pdu,
)

READ = bytes.fromhex("03006b0003")


def reads() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda function, address, count: struct.pack(">BHH", function, address, count),
        st.integers(1, 4),
        st.integers(0, 65000),
        st.integers(1, 125),
    )


def writes() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda address, words: (
            struct.pack(">BHHB", 16, address, len(words), 2 * len(words))
            + struct.pack(f">{len(words)}H", *words)
        ),
        st.integers(0, 65000),
        st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123),
    )


requests = reads() | writes()


def test_the_checksum_of_the_specification() -> None:
    # Serial Line 1.02, 6.2.2: the CRC of 02 07 is 0x1241, sent as 41 12.
    assert rtu_frame(2, b"\x07") == bytes.fromhex("02074112")
    assert crc16(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS


@pytest.mark.parametrize(
    ("pdu", "request_"),
    [
        # Examples of Application Protocol 1.1b3, section 6.
        ("0100130013", Request(Function(1), 0x13, 19)),
        ("0200c40016", Request(Function(2), 0xC4, 22)),
        ("03006b0003", Request(Function(3), 0x6B, 3)),
        ("0400080001", Request(Function(4), 8, 1)),
        ("0500acff00", Request(Function(5), 0xAC, 1, (1,))),
        ("0500ac0000", Request(Function(5), 0xAC, 1, (0,))),
        ("0600010003", Request(Function(6), 1, 1, (3,))),
        ("0f0013000a02cd01", Request(Function(15), 0x13, 10, (1, 0, 1, 1, 0, 0, 1, 1, 1, 0))),
        ("100001000204000a0102", Request(Function(16), 1, 2, (0x0A, 0x0102))),
    ],
)
def test_the_specifications_own_requests_are_understood(pdu: str, request_: Request) -> None:
    assert read_request(bytes.fromhex(pdu)) == request_


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("", 1),
        ("07", 1),
        ("2b0e0100", 1),
        ("83006b0003", 1),
        ("03006b", 3),
        ("0300000000", 3),
        ("030000007e", 3),
        ("01000007d1", 3),
        ("03000000017f", 3),
        ("0500ac1234", 3),
        ("06000100037f", 3),
        ("1000010002040001", 3),
        ("10000100020300010002", 3),
        ("0f0013000a01cd01", 3),
        ("03ffff0002", 2),
    ],
)
def test_a_bad_request_earns_the_right_exception(pdu: str, code: int) -> None:
    with pytest.raises(RefusedRequest) as refused:
        read_request(bytes.fromhex(pdu))
    assert refused.value.code == code


def test_answers_are_those_of_the_specification() -> None:
    assert read_words_pdu(3, [0x022B, 0, 0x64]) == bytes.fromhex("0306022b00000064")
    assert read_bits_pdu(1, unpack_bits(bytes.fromhex("cd6b05"), 19)) == bytes.fromhex("0103cd6b05")
    assert exception_pdu(1, 2) == bytes.fromhex("8102")
    for pdu in ("0500acff00", "0500ac0000", "0600010003"):
        assert written_pdu(read_request(bytes.fromhex(pdu))) == bytes.fromhex(pdu)
    assert written_pdu(read_request(bytes.fromhex("100001000204000a0102"))).hex() == "1000010002"


@given(st.lists(st.integers(0, 1), min_size=1, max_size=2000))
def test_bits_survive_packing(bits: list[int]) -> None:
    assert list(unpack_bits(pack_bits(bits), len(bits))) == bits


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), requests), max_size=5), st.randoms())
def test_tcp_requests_come_out_whole_however_the_stream_is_cut(
    sent: list[tuple[int, bytes]], rng: random.Random
) -> None:
    stream = b"".join(tcp_frame(number, 1, pdu) for number, pdu in sent)
    parser = TcpParser()
    found: list[Adu] = []
    while stream:
        cut = rng.randint(1, len(stream))
        found += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert [(each.transaction, each.pdu) for each in found] == sent


@given(st.lists(st.tuples(st.integers(1, 247), requests), max_size=5), st.randoms())
def test_rtu_requests_come_out_whole_however_the_stream_is_cut(
    sent: list[tuple[int, bytes]], rng: random.Random
) -> None:
    stream = b"".join(rtu_frame(unit, pdu) for unit, pdu in sent)
    parser = RtuParser()
    found: list[Adu] = []
    while stream:
        cut = rng.randint(1, len(stream))
        found += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert [(each.unit, each.pdu) for each in found] == sent
    assert not parser.is_waiting


@given(st.binary(max_size=40), st.integers(1, 247), requests)
def test_an_rtu_request_behind_noise_is_found_once_the_line_is_quiet(
    noise: bytes, unit: int, pdu: bytes
) -> None:
    parser = RtuParser()
    found = parser.feed(noise + rtu_frame(unit, pdu)) + parser.silence()
    if (unit, pdu) not in [(each.unit, each.pdu) for each in found]:
        # One time in 65,536 noise and the head of a request make a frame with a true checksum.
        made = (rtu_frame(each.unit, each.pdu) for each in found)
        assert any(each in noise + rtu_frame(unit, pdu) for each in made)
    assert [(each.unit, each.pdu) for each in parser.feed(rtu_frame(unit, pdu))] == [(unit, pdu)]


@given(st.binary(max_size=600))
def test_garbage_on_a_line_never_raises_and_silence_clears_it(garbage: bytes) -> None:
    parser = RtuParser()
    for each in parser.feed(garbage) + parser.silence():
        body = bytes([each.unit]) + each.pdu
        assert rtu_frame(each.unit, each.pdu) in garbage
        assert len(body) >= 2
    assert not parser.is_waiting
    assert parser.feed(rtu_frame(1, READ))[0].pdu == READ


@given(st.binary(max_size=600))
def test_garbage_on_tcp_never_raises_and_ends_after_one_longest_frame(garbage: bytes) -> None:
    parser = TcpParser()
    parser.feed(garbage)
    # What garbage announced is at most one frame of 260 bytes.
    found = parser.feed(b"".join(tcp_frame(each, 1, READ) for each in range(1, 60)))
    assert (found[-1].transaction, found[-1].pdu) == (59, READ)


def test_a_request_with_a_bad_checksum_is_not_answered() -> None:
    frame = bytearray(rtu_frame(1, READ))
    frame[-1] ^= 1
    parser = RtuParser()
    assert parser.feed(bytes(frame)) + parser.silence() == []


def test_an_unknown_function_is_a_request_too() -> None:
    frame = rtu_frame(1, bytes.fromhex("2b0e0100"))
    assert [each.pdu for each in RtuParser().feed(frame)] == [bytes.fromhex("2b0e0100")]
