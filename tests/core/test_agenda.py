"""The heap of deadlines."""

from __future__ import annotations

from math import inf

from agent.core.agenda import Agenda
from agent.core.appointments import Appointment, Appointments
from agent.core.cause import Cause
from agent.core.gathering import Gathering
from drivers.clock import Stamp


class Waiter:
    def __init__(self) -> None:
        self.scheduled_s = inf


def test_each_is_called_once_in_the_order_of_time() -> None:
    agenda: Agenda[Waiter] = Agenda()
    first, second = Waiter(), Waiter()
    agenda.call(second, 2.0)
    agenda.call(first, 1.0)
    assert agenda.next_s() == 1.0
    assert list(agenda.due(0.9)) == []
    assert list(agenda.due(2.0)) == [first, second]
    assert list(agenda.due(2.0)) == []
    assert agenda.next_s() is None


def test_a_later_call_does_not_put_off_an_earlier_one() -> None:
    agenda: Agenda[Waiter] = Agenda()
    one = Waiter()
    agenda.call(one, 1.0)
    agenda.call(one, 5.0)
    assert list(agenda.due(9.0)) == [one]


def test_an_earlier_call_overtakes_and_the_overtaken_one_is_void() -> None:
    agenda: Agenda[Waiter] = Agenda()
    one = Waiter()
    agenda.call(one, 5.0)
    agenda.call(one, 1.0)
    assert list(agenda.due(9.0)) == [one]
    assert list(agenda.due(9.0)) == []
    agenda.call(one, 5.0)
    agenda.call(one, 1.0)
    assert list(agenda.due(1.0)) == [one]
    assert agenda.next_s() is None


def test_who_asks_again_while_being_called_is_called_again_when_due() -> None:
    agenda: Agenda[Waiter] = Agenda()
    one = Waiter()
    agenda.call(one, 1.0)
    for each in agenda.due(3.0):
        agenda.call(each, 4.0)
    assert agenda.next_s() == 4.0


def test_a_call_at_no_time_is_none() -> None:
    agenda: Agenda[Waiter] = Agenda()
    agenda.call(Waiter(), inf)
    assert agenda.next_s() is None


# -- appointments ----------------------------------------------------------------------------------


def test_appointments_are_kept_in_the_order_of_their_times_and_one_may_move_another() -> None:
    kept: list[str] = []
    appointments = Appointments()
    last = Appointment(lambda cause, out: kept.append("last"))
    moved = Appointment(lambda cause, out: kept.append("moved"))

    def move(cause: Cause, out: Gathering) -> None:
        kept.append("first")
        appointments.make(moved, 10.0)

    first = Appointment(move)
    appointments.make(last, 1.0)
    appointments.make(last, 4.0)
    appointments.make(moved, 3.0)
    appointments.make(first, 2.0)
    for now_s in (5.0, 9.9, 10.0):
        kept.append(f"at {now_s:g}")
        at = Stamp(now_s, 0)
        appointments.keep(Cause(at=at, at_s=now_s), Gathering(now_s))
    assert kept == ["at 5", "first", "last", "at 9.9", "at 10", "moved"]
    assert appointments.next_s() is None
