"""Wire times of Modbus RTU, against a table computed apart from the code."""

from __future__ import annotations

import pytest

from drivers.modbus.plan import Request
from drivers.modbus.quiet import frame_gap_s
from drivers.modbus.spec import Area, SerialPort
from drivers.modbus.wiretime import character_s, gap_s, read_s, write_coil_s

# Baud, registers, ms with 10 bits a character (8N1), ms with 11 (8E1): 8 characters of request, 5 and
# two for each register of reply, two silences of 3.5 characters, above 19200 baud of 1.75 ms.
TABLE = (
    (4800, 1, 45.8, 50.4), (4800, 10, 83.3, 91.7), (4800, 60, 291.7, 320.8), (4800, 125, 562.5, 618.7),
    (9600, 1, 22.9, 25.2), (9600, 10, 41.7, 45.8), (9600, 60, 145.8, 160.4), (9600, 125, 281.3, 309.4),
    (19200, 1, 11.5, 12.6), (19200, 10, 20.8, 22.9), (19200, 60, 72.9, 80.2), (19200, 125, 140.6, 154.7),
    (38400, 1, 7.4, 7.8), (38400, 10, 12.1, 13.0), (38400, 60, 38.1, 41.6), (38400, 125, 72.0, 78.8),
    (115200, 1, 4.8, 4.9), (115200, 10, 6.4, 6.7), (115200, 60, 15.0, 16.2), (115200, 125, 26.3, 28.6),
)  # fmt: skip


def line(baud: int, parity: str = "N", stop_bits: int = 1) -> SerialPort:
    return SerialPort(path="/dev/ttyS0", baud=baud, parity=parity, stop_bits=stop_bits)


@pytest.mark.parametrize(("baud", "count", "ten_bits_ms", "eleven_bits_ms"), TABLE)
def test_reading_registers_takes_the_line_as_long_as_the_table_says(
    baud: int, count: int, ten_bits_ms: float, eleven_bits_ms: float
) -> None:
    request = Request(area=Area.HOLDING, address=0, count=count)
    assert read_s(request, line(baud)) * 1000 == pytest.approx(ten_bits_ms, abs=0.06)
    assert read_s(request, line(baud, "E")) * 1000 == pytest.approx(eleven_bits_ms, abs=0.06)
    assert read_s(request, line(baud, "N", 2)) == read_s(request, line(baud, "O"))


@pytest.mark.parametrize(
    ("baud", "bits_ms", "write_ms"), [(9600, 21.9, 24.0), (19200, 10.9, 12.0), (115200, 4.7, 4.9)]
)
def test_eight_coils_take_one_byte_and_a_written_coil_is_repeated(
    baud: int, bits_ms: float, write_ms: float
) -> None:
    coils = Request(area=Area.COIL, address=0, count=8)
    assert read_s(coils, line(baud)) * 1000 == pytest.approx(bits_ms, abs=0.06)
    assert write_coil_s(line(baud)) * 1000 == pytest.approx(write_ms, abs=0.06)


def test_nine_bits_take_a_second_byte() -> None:
    port = line(9600)
    eight, nine = (read_s(Request(area=Area.DISCRETE, address=0, count=n), port) for n in (8, 9))
    assert nine - eight == pytest.approx(character_s(port))


@pytest.mark.parametrize(
    ("baud", "parity", "gap_ms"),
    [
        (1200, "N", 29.17), (1200, "E", 32.08), (9600, "N", 3.65), (9600, "E", 4.01),
        (19200, "E", 2.01), (38400, "N", 1.75), (115200, "E", 1.75),
    ],
)  # fmt: skip
def test_between_frames_there_are_three_and_a_half_characters(
    baud: int, parity: str, gap_ms: float
) -> None:
    assert frame_gap_s(line(baud, parity)) * 1000 == pytest.approx(gap_ms, abs=0.01)
    assert gap_s(line(baud, parity)) * 1000 == pytest.approx(gap_ms, abs=0.01)
