"""Contacts as timelines: levels in, states out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gpio.inputs import ContactFilter, State, Trouble
from drivers.gpio.spec import ContactForm, InputSpec, Pull

NO = ContactForm.NORMALLY_OPEN
NC = ContactForm.NORMALLY_CLOSED
FAULT = Trouble.LINE_FAULT


def made(
    contact: ContactForm = NO, pull: Pull = Pull.UP, debounce_s: float = 0.05, pair: bool = False
) -> ContactFilter:
    return ContactFilter(
        InputSpec(
            point="p",
            pin=17,
            contact=contact,
            pull=pull,
            debounce_s=debounce_s,
            pair_pin=27 if pair else None,
        )
    )


@pytest.mark.parametrize(
    ("contact", "pull", "is_high", "has_left_rest"),
    [
        (NO, Pull.UP, True, False),
        (NO, Pull.UP, False, True),
        (NO, Pull.DOWN, False, False),
        (NO, Pull.DOWN, True, True),
        (NO, Pull.NONE, False, True),
        (NC, Pull.UP, False, False),
        (NC, Pull.UP, True, True),
        (NC, Pull.DOWN, True, False),
        (NC, Pull.DOWN, False, True),
        (NC, Pull.NONE, True, True),
    ],
)
def test_the_first_level_decides_at_once_by_form_and_pull(
    contact: ContactForm, pull: Pull, is_high: bool, has_left_rest: bool
) -> None:
    judge = made(contact, pull)
    assert judge.look(is_high, None, 0.0)
    assert judge.state is has_left_rest
    assert judge.due_s() is None


def play(judge: ContactFilter, steps: list[tuple[float, bool, bool | None]]) -> list[State]:
    states: list[State] = []
    for at_s, is_high, pair in steps:
        if judge.look(is_high, pair, at_s):
            assert judge.state is not None
            states.append(judge.state)
    return states


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("a change held for the debounce time", [(0, 1), (1, 0), (1.049, 0), (1.05, 0)], [0, 1]),
        ("a shorter glitch is not told", [(0, 1), (1, 0), (1.03, 1), (1.2, 1)], [0]),
        ("bounce restarts the time", [(0, 1), (1, 0), (1.04, 1), (1.06, 0), (1.1, 0)], [0]),
        ("... and then it is told", [(0, 1), (1, 0), (1.04, 1), (1.06, 0), (1.11, 0)], [0, 1]),
        ("there and back", [(0, 1), (1, 0), (1.05, 0), (2, 1), (2.05, 1)], [0, 1, 0]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_debounce(name: str, steps: list[tuple[float, int]], expected: list[int]) -> None:
    assert play(made(), [(at, bool(high), None) for at, high in steps]) == [
        bool(each) for each in expected
    ]


def test_no_debounce_tells_at_once() -> None:
    assert play(made(debounce_s=0), [(0, True, None), (0.1, False, None), (0.1, True, None)]) == [
        False,
        True,
        False,
    ]


def test_it_wants_to_be_looked_at_when_the_debounce_time_is_over() -> None:
    judge = made()
    judge.look(True, None, 0.0)
    judge.look(False, None, 1.0)
    assert judge.due_s() == pytest.approx(1.05)
    judge.look(False, None, 1.05)
    assert judge.due_s() is None


def test_a_contact_that_never_rests_has_no_value() -> None:
    judge = made()
    states = play(judge, [(step * 0.02, step % 2 == 0, None) for step in range(80)])
    assert states == [False, Trouble.UNSTEADY]
    assert play(judge, [(2.0, False, None), (2.06, False, None)]) == [True]


@pytest.mark.parametrize(
    ("name", "steps", "expected"),
    [
        ("rest", [(0, 1, 0)], [False]),
        ("off rest", [(0, 0, 1)], [True]),
        ("both open at first", [(0, 1, 1)], [FAULT]),
        ("both closed at first", [(0, 0, 0)], [FAULT]),
        (
            "change-over passes through both open",
            [(0, 1, 0), (1, 1, 1), (1.01, 0, 1), (1.06, 0, 1)],
            [False, True],
        ),
        ("cut wire", [(0, 1, 0), (1, 1, 1), (1.05, 1, 1)], [False, FAULT]),
        ("short", [(0, 1, 0), (1, 0, 0), (1.05, 0, 0)], [False, FAULT]),
        (
            "a mended wire must hold too",
            [(0, 1, 1), (1, 1, 0), (1.04, 1, 0), (1.05, 1, 0)],
            [FAULT, False],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pair_supervision(
    name: str, steps: list[tuple[float, int, int]], expected: list[State]
) -> None:
    judge = made(pair=True)
    assert play(judge, [(at, bool(a), bool(b)) for at, a, b in steps]) == expected


def test_forgetting_makes_the_next_look_the_first() -> None:
    judge = made()
    judge.look(True, None, 0.0)
    judge.forget()
    assert judge.state is None
    assert judge.look(False, None, 1.0)
    assert judge.state is True


@given(
    st.lists(st.tuples(st.floats(0.001, 0.2), st.booleans()), max_size=40),
    st.booleans(),
    st.sampled_from([0.0, 0.03, 0.1]),
)
def test_whatever_happened_a_level_that_stays_is_told(
    steps: list[tuple[float, bool]], final: bool, debounce_s: float
) -> None:
    judge = made(debounce_s=debounce_s)
    now_s = 0.0
    judge.look(True, None, now_s)
    for wait_s, is_high in steps:
        now_s += wait_s
        judge.look(is_high, None, now_s)
    judge.look(final, None, now_s)
    judge.look(final, None, now_s + debounce_s + 0.001)
    assert judge.state is (not final)
    assert judge.due_s() is None
