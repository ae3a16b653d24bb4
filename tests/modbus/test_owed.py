"""Answers that come later than the line was kept silent for: none is taken for another's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from drivers.modbus.owed import FORGET_S, IN_VAIN, Owed
from drivers.modbus.plan import Request
from drivers.modbus.spec import Area
from drivers.reading import Quality, Reading
from tests.modbus.harness import (
    Asked,
    Heard,
    Send,
    bus_spec,
    device,
    pty_slave,
    registers,
    rtu,
    running,
)


def read(count: int, area: Area = Area.HOLDING, address: int = 0) -> Request:
    return Request(area=area, address=address, count=count)


def test_a_unit_that_owes_nothing_is_asked_the_question_itself() -> None:
    owed = Owed()
    owed.answered(1, read(4))
    assert owed.sounding(1, read(4), 0.0) is None


def test_a_read_whose_answer_may_still_come_is_led_by_a_shorter_one() -> None:
    owed = Owed()
    owed.unanswered(1, read(4, address=10), 0.0)
    assert owed.sounding(1, read(4, address=70), 1.0) == read(3, address=70)
    assert owed.sounding(1, read(5), 1.0) is None
    assert owed.sounding(1, read(4, Area.INPUT), 1.0) is None
    assert owed.sounding(2, read(4), 1.0) is None


def test_an_answer_of_another_length_ends_what_was_owed() -> None:
    owed = Owed()
    owed.unanswered(1, read(4), 0.0)
    owed.answered(1, read(3))
    assert owed.sounding(1, read(4), 1.0) is None


def test_an_answer_of_the_same_length_may_be_the_late_one_and_ends_nothing() -> None:
    owed = Owed()
    owed.unanswered(1, read(4), 0.0)
    owed.answered(1, read(4))
    assert owed.sounding(1, read(4), 1.0) == read(3)


def test_a_sounding_may_be_made_again_as_long_as_the_question_was_not() -> None:
    owed = Owed()
    for asked_s, count in ((0.0, 4), (1.0, 3)):
        owed.unanswered(1, read(count), asked_s)
    assert owed.sounding(1, read(4), 2.0) == read(3)
    owed.answered(1, read(3))  # to whichever of the two: both came after the question
    assert owed.sounding(1, read(4), 2.1) is None


def test_a_sounding_older_than_the_question_proves_nothing() -> None:
    owed = Owed()
    for asked_s, count in ((0.0, 4), (1.0, 3), (2.0, 4)):
        owed.unanswered(1, read(count), asked_s)
    assert owed.sounding(1, read(4), 3.0) == read(2)
    owed.answered(1, read(3))  # may be the one from before
    assert owed.sounding(1, read(4), 3.1) == read(2)
    owed.answered(1, read(2))
    assert owed.sounding(1, read(4), 3.2) is None


def test_after_soundings_in_vain_the_question_itself_is_asked() -> None:
    owed = Owed()
    owed.unanswered(1, read(9), 0.0)
    for _ in range(IN_VAIN):
        sounding = owed.sounding(1, read(9), 1.0)
        assert sounding is not None
        owed.unanswered(1, sounding, 1.0)
    assert owed.sounding(1, read(9), 1.0) is None
    assert owed.sounding(1, read(9), 1.0) is not None


@pytest.mark.parametrize("request_", [read(1), read(8, Area.COIL), read(3, Area.DISCRETE)])
def test_what_cannot_be_had_shorter_has_no_sounding(request_: Request) -> None:
    owed = Owed()
    owed.unanswered(1, request_, 0.0)
    assert owed.sounding(1, request_, 1.0) is None


def test_bits_are_sounded_by_whole_bytes() -> None:
    owed = Owed()
    owed.unanswered(1, read(16, Area.COIL), 0.0)
    assert owed.sounding(1, read(15, Area.COIL), 1.0) == read(8, Area.COIL)


def test_what_is_owed_for_a_minute_is_forgotten() -> None:
    owed = Owed()
    owed.unanswered(1, read(4), 0.0)
    assert owed.sounding(1, read(4), FORGET_S + 0.1) is None


class _Counting:
    """A slave that answers one question after the other, one in five late, with the question's number."""

    def __init__(self, lateness_s: float) -> None:
        self.asked = 0
        self.late = 0
        self._lateness_s = lateness_s
        self._free_s = 0.0

    async def answer(self, asked: Asked, _transaction: int, send: Send) -> bool:
        self.asked += 1
        number, is_late = self.asked, self.asked % 5 == 0
        self.late += is_late
        now_s = asyncio.get_running_loop().time()
        self._free_s = max(now_s, self._free_s) + (self._lateness_s if is_late else 0.002)
        await asyncio.sleep(self._free_s - now_s)
        data = number.to_bytes(2, "big") * asked.count
        send(rtu(asked.unit, bytes([asked.function, len(data)]) + data))
        return True


@pytest.mark.parametrize("lateness_s", [0.16, 0.2, 0.3])
async def test_an_answer_later_than_time_out_and_settling_is_not_taken_for_the_next(
    lateness_s: float,
) -> None:
    slow = _Counting(lateness_s)
    wrong: list[str] = []

    class Judged(Heard):
        def emit(self, readings: Sequence[Reading]) -> None:
            super().emit(readings)
            wrong.extend(
                f"{each.point}: answer {each.value} to question {slow.asked}"
                for each in readings
                if ".r" in each.point and each.quality is Quality.GOOD and each.value != slow.asked
            )

    heard = Judged()
    one = device(1, (*registers(3), *registers(3, start=100)), max_gap=0)
    async with pty_slave() as slave:
        slave.misbehave = slow.answer
        spec = bus_spec(slave, one, timeout_s=0.1, settle_s=0.05, offline_after_s=60.0)
        async with running(spec, heard):
            await heard.until(lambda: slow.late >= 5 and len(heard.of("d1.r100")) > 5, within_s=30)
    assert not wrong
