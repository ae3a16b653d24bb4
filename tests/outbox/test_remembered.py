"""What the alarm snapshot says in a word this version does not know is still an alarm."""

from __future__ import annotations

from agent.core.effects import AlarmState
from agent.outbox.snapshot_documents import snapshot_record

ALARM = {"rule": "smoke", "since_wall_ms": 1, "actor": "", "is_silenced": False}


def test_an_unknown_state_comes_back_as_an_alarm_nobody_has_seen() -> None:
    snapshot = snapshot_record(
        None,
        [{**ALARM, "state": "smouldering"}, {**ALARM, "rule": "leak", "state": "latched_acked"}],
    )
    assert [(each.rule, each.state) for each in snapshot.memories] == [
        ("smoke", AlarmState.ACTIVE_UNACKED),
        ("leak", AlarmState.LATCHED_ACKED),
    ]
