"""The transition table: complete, sound, and the one that docs/alarm-states.md shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.effects import AlarmState
from agent.core.transitions import (
    AFTER_BOOT,
    TABLE,
    Ending,
    Given,
    Phase,
    Row,
    Situation,
    Timer,
    row_for,
)

DOC = Path(__file__).parents[2] / "docs" / "alarm-states.md"
COMMANDS = (Given.ACK, Given.SILENCE, Given.RESET, Given.RESET_UNKNOWN)


def rendered(row: Row) -> str:
    ending = "" if row.ending is None else row.ending.value
    to = "stays" if row.to is row.situation else row.to.label
    if row.refusal:
        to = f"refused: `{row.refusal}`"
    return f"| {row.situation.label} | {row.given.value} | {ending} | {to} | {row.timer.value} |"


def test_the_document_shows_every_row_of_the_table_and_no_other() -> None:
    lines = DOC.read_text("utf-8").splitlines()
    start = lines.index("| in | given | if it | goes to | delay |") + 2
    end = lines.index("", start)
    assert lines[start:end] == [rendered(row) for row in TABLE]


def test_the_document_names_every_situation() -> None:
    text = DOC.read_text("utf-8")
    for each in Situation:
        assert f"| {each.label} | `{each.state.value}` | {each.phase.value} |" in text


def test_every_situation_and_input_has_exactly_one_row_for_every_ending() -> None:
    seen = [
        (row.situation, row.given, ending)
        for row in TABLE
        for ending in ([row.ending] if row.ending else Ending)
    ]
    assert len(seen) == len(set(seen)) == len(Situation) * len(Given) * len(Ending)


@pytest.mark.parametrize("row", TABLE, ids=rendered)
def test_row_keeps_the_laws_of_an_alarm(row: Row) -> None:
    before, after = row.situation, row.to
    if row.refusal:
        assert row.given in COMMANDS
        assert after is before
        assert row.timer is Timer.KEEP
    if row.given is Given.UNKNOWN:
        assert after.state is before.state, "unknown clears nothing and raises nothing"
    if row.given in (
        Given.MET, Given.NOT_MET, Given.RELEASED, Given.RELEASED_UNKNOWN, Given.BOOT
    ):  # fmt: skip
        assert after.state is before.state, (
            "only a delay that is over, or a person, changes a state"
        )
    if row.given is Given.RELEASED_UNKNOWN:
        is_pending = before.phase is Phase.PENDING
        assert row.timer is (Timer.WHOLE if is_pending else Timer.KEEP), "unknown lets no delay run"
    if row.given is Given.DELAY_OVER_HIDDEN and not before.state.is_active:
        assert not after.state.is_active, "what is suppressed raises nothing new"
    if row.given is Given.BOOT:
        assert after.phase in (Phase.NORMAL, Phase.ACTIVE), "delays are not remembered"
    if after.state is AlarmState.NORMAL and before.state is not AlarmState.NORMAL:
        is_by_person = row.given in (Given.ACK, Given.RESET, Given.DRILL_ENDS)
        assert is_by_person or row.ending in (Ending.ACKED, Ending.ALONE)
        assert row.given is not Given.RESET or before.state is AlarmState.LATCHED_ACKED
    is_timed = after.phase in (Phase.PENDING, Phase.CLEARING)
    if not is_timed and before.phase is not after.phase:
        assert row.timer in (Timer.STOP, Timer.KEEP)
    if before.phase in (Phase.PENDING, Phase.CLEARING) and not is_timed:
        assert row.timer is Timer.STOP, "no delay runs where none is meant to"
    if row.given is Given.REALARM:
        assert (after is Situation.B) if before is Situation.C else (after is before)
    if row.given is Given.DRILL_ENDS:
        assert after.state is AlarmState.NORMAL, "no test outlives its drill"
        assert (after.phase is Phase.PENDING) is (before.phase in (Phase.ACTIVE, Phase.PENDING)), (
            "what still holds is raised for real"
        )
    if is_timed and before.phase is not after.phase:
        begins = Timer.SPENT if row.given is Given.DRILL_ENDS else Timer.START
        assert row.timer is begins, "a delay is begun in full, or is over at once when a drill ends"


@pytest.mark.parametrize("situation", Situation, ids=lambda each: each.label)
@pytest.mark.parametrize("ending", Ending)
def test_every_situation_can_be_ended_by_condition_and_people(
    situation: Situation, ending: Ending
) -> None:
    """From anywhere: the condition goes, its delay passes, somebody acks and resets: normal."""
    for given in (Given.NOT_MET, Given.DELAY_OVER, Given.ACK, Given.RESET):
        situation = row_for(situation, given, ending).to
    assert situation is Situation.A


@pytest.mark.parametrize("situation", Situation, ids=lambda each: each.label)
def test_every_situation_can_alarm(situation: Situation) -> None:
    """From anywhere: the condition comes and its delay passes: active."""
    for given in (Given.MET, Given.DELAY_OVER):
        situation = row_for(situation, given, Ending.LATCHED).to
    assert situation in (Situation.B, Situation.C)


def test_every_state_comes_back_after_a_boot() -> None:
    assert {state: after.state for state, after in AFTER_BOOT.items()} == {
        state: state for state in AlarmState
    }
