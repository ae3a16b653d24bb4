"""The clock on the wall of the site, with its summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WallCalendar:
    """Minutes of the week in a time zone (agent.core.spec.Calendar)."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def minute_of_week(self, wall_ms: int) -> tuple[int, int]:
        """Return the day (0 for Monday) and the minute of the day at UTC milliseconds."""
        local = (_EPOCH + timedelta(milliseconds=wall_ms)).astimezone(self._zone)
        return local.weekday(), local.hour * 60 + local.minute
