"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import typer

from agent.cli.orders import seconds_of

NOW = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400), ("7d", 604_800), ("45", 2700), ("5s", 5)],
)  # fmt: skip
def test_how_long(typed: str, seconds: float) -> None:
    assert seconds_of(typed, None) == seconds


def test_until_when_is_today_or_tomorrow() -> None:
    assert seconds_of(None, "18:30", NOW) == 1800
    assert seconds_of(None, "17:00", NOW) == 23 * 3600
    assert seconds_of(None, None) is None


@pytest.mark.parametrize(
    ("for_", "until"), [("soon", None), ("2x", None), ("", None), (None, "25:00"), (None, "6"), ("1h", "18:30")]
)  # fmt: skip
def test_what_is_no_time_is_refused(for_: str | None, until: str | None) -> None:
    with pytest.raises(typer.BadParameter):
        seconds_of(for_, until, NOW)
