"""The exposition: names, units, zeros, and what is not said."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.core.effects import AlarmState, OrdersView
from agent.core.spec import AlarmClass, PointKind
from agent.local.metrics import PARTS, expose
from agent.local.units import conversion_of
from agent.local.view import AgentView
from tests.local.room import VIEW

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(view: AgentView | None) -> Samples:
    text = expose(view)[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(found: Samples, name: str, **labels: str) -> float:
    """Return the only sample of this name with at least these labels."""
    hits = [
        value
        for (each, marks), value in found.items()
        if each == f"plantroom_{name}" and frozenset(labels.items()) <= marks
    ]
    assert len(hits) == 1, (name, labels, hits)
    return hits[0]


def names(found: Samples, **labels: str) -> set[str]:
    return {name for name, marks in found if frozenset(labels.items()) <= marks}


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("pressure_pascals", "hydrant.pressure", 420_000.0),
        ("temperature_celsius", "room.temperature", 31.25),
        ("humidity_ratio", "room.humidity", 0.48),
        ("level_meters", "tank.level", 1.8),
        ("level_ratio", "extinguisher.level", 0.8),
        ("residual_current_amperes", "shed.residual", 0.12),
        ("current_amperes", "shed.current", 16.5),
        ("voltage_volts", "meter.voltage", 231.0),
        ("power_watts", "meter.power", 2500.0),
        ("energy_joules", "meter.energy", 3.6e7),
        ("frequency_hertz", "meter.frequency", 50.02),
        ("duration_seconds", "shed.charging", 7200.0),
        ("gas_lel_ratio", "gas.methane", 0.04),
        ("gas_concentration_ratio", "gas.co", 3e-5),
        ("contact_active", "shed.smoke", 1.0),
        ("contact_active", "meter.online", 0.0),
    ],
)
def test_values_appear_in_base_units(name: str, point: str, value: float) -> None:
    assert one(samples(VIEW), name, point=point) == pytest.approx(value)


def test_words_and_unknown_units_are_not_guessed_at() -> None:
    found = samples(VIEW)
    assert one(found, "point_state", point="lift.state", state="maintenance") == 1.0
    assert one(found, "point_value", point="odd.one", unit="furlong") == 7.0
    assert conversion_of(PointKind.POWER, "mW") is None


@pytest.mark.parametrize(
    "point",
    ["sprinkler.pressure", "leak.rope", "new.sensor", "broken.ratio", "old.temperature"],
)
def test_a_point_without_a_usable_value_has_no_value_and_is_not_good(point: str) -> None:
    found = samples(VIEW)
    assert one(found, "point_good", point=point) == 0.0
    assert names(found, point=point) <= {
        "plantroom_point_info",
        "plantroom_point_good",
        "plantroom_point_last_success_timestamp_seconds",
    }


def test_an_uncertain_value_is_shown_but_not_called_good() -> None:
    assert one(samples(VIEW), "point_good", point="room.humidity") == 0.0


def test_a_point_never_heard_of_has_no_time_of_success() -> None:
    found = samples(VIEW)
    name = "plantroom_point_last_success_timestamp_seconds"
    assert name not in names(found, point="new.sensor")


def test_alarms_tell_class_zone_and_who_must_act() -> None:
    found = samples(VIEW)
    fire = {"rule": "shed-smoke", "class": "fire", "fire_zone": "shed"}
    assert one(found, "alarm_active", **fire) == 1.0
    assert one(found, "alarm_unacknowledged", **fire) == 1.0
    assert one(found, "alarm_standing", rule="shed-heat") == 1.0
    assert one(found, "alarm_active", rule="shed-heat") == 0.0
    assert one(found, "alarm_unknown", rule="leak-room") == 1.0
    assert one(found, "alarm_suppressed", rule="meter-silent") == 1.0
    assert one(found, "alarm_standing", rule="gas-high") == 0.0


def test_a_drills_alarm_is_a_test_and_no_alarm_and_what_people_ordered_is_told() -> None:
    first = VIEW.alarms[0]
    test = dataclasses.replace(first, is_test=True, state=AlarmState.ACTIVE_UNACKED)
    out = dataclasses.replace(first, rule="out", is_inhibited=True, is_chattering=True)
    supply = VIEW.site.outputs[0].id
    orders = OrdersView(
        is_manual=True, cut=frozenset({supply}), drill_left_s=60.0, drill_scope=("hall",)
    )
    view = dataclasses.replace(VIEW, alarms=(test, out), orders=orders)
    found = samples(view)
    assert one(found, "alarm_test", rule=test.rule) == 1.0
    for name in ("alarm_active", "alarm_standing", "alarm_unacknowledged"):
        assert one(found, name, rule=test.rule) == 0.0
    assert one(found, "alarm_inhibited", rule="out") == 1.0
    assert one(found, "alarm_chattering", rule="out") == 1.0
    assert one(found, "drill_running") == 1.0
    assert one(found, "linkage_manual") == 1.0
    assert one(found, "output_cut", output=supply) == 1.0
    assert one(samples(VIEW), "drill_running") == 0.0


def test_known_series_start_at_zero() -> None:
    found = samples(VIEW)
    for each in AlarmClass:
        for state in AlarmState:
            value = one(found, "alarm_transitions_total", **{"class": each, "to": state})
            assert value == (2.0 if (each, state) == ("fire", "active_unacked") else 0.0)
    for lane in ("event", "telemetry"):
        for reason in ("overflow", "damage"):
            expected = 12.0 if (lane, reason) == ("telemetry", "overflow") else 0.0
            value = one(found, "outbox_dropped_total", lane=lane, reason=reason)
            assert value == expected
    for reason, count in {"timeout": 1.0, "bad reply": 0.0, "exception": 0.0, "port": 0.0}.items():
        assert one(found, "poll_failures_total", device="hydrant", reason=reason) == count


def test_durations_of_requests_are_a_histogram_per_bus() -> None:
    found = samples(VIEW)
    assert one(found, "poll_duration_seconds_bucket", bus="rs485-1", le="0.1") == 90.0
    assert one(found, "poll_duration_seconds_bucket", bus="rs485-1", le="+Inf") == 100.0
    assert one(found, "poll_duration_seconds_count", bus="rs485-1") == 100.0
    assert one(found, "poll_duration_seconds_sum", bus="rs485-1") == 4.5


def test_an_output_that_cannot_be_read_claims_no_state() -> None:
    found = samples(VIEW)
    assert one(found, "output_readable", output="valve") == 0.0
    assert "plantroom_output_active" not in names(found, output="valve")
    assert one(found, "output_active", output="siren") == 1.0
    assert one(found, "output_failures_total", output="cut-off") == 3.0


def test_times_are_stamps() -> None:
    found = samples(VIEW)
    assert one(found, "mqtt_last_puback_timestamp_seconds") == VIEW.at.wall_ms / 1000 - 2
    assert one(found, "outbox_oldest_timestamp_seconds", lane="event") == (
        VIEW.at.wall_ms / 1000 - 1200
    )


def test_without_an_answer_nothing_is_claimed_but_that() -> None:
    found = samples(None)
    assert one(found, "agent_responding") == 0.0
    assert [name for name, _ in found if name.startswith("plantroom_")] == [
        "plantroom_agent_responding"
    ]


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_that_fails_is_named_and_the_others_are_told(part: str) -> None:
    fields = {
        "box": "config_loaded_wall_ms",
        "points": "points",
        "values": "points",
        "alarms": "alarms",
        "outputs": "outputs",
        "orders": "orders",
        "buses": "buses",
        "uplinks": "uplinks",
        "outbox": "outbox",
    }
    broken = dataclasses.replace(VIEW, **{fields[part]: "not what was promised"})  # type: ignore[arg-type]
    found = samples(broken)
    assert one(found, "scrape_errors", part=part) == 1.0
    shared = {"points", "values"} if part in ("points", "values") else {part}
    for other in set(PARTS) - shared:
        assert one(found, "scrape_errors", part=other) == 0.0


def test_no_outbox_is_an_outbox_that_cannot_write() -> None:
    assert one(samples(dataclasses.replace(VIEW, outbox=None)), "outbox_writable") == 0.0


def test_promtool_has_nothing_to_say(need: Callable[[str], str]) -> None:
    result = subprocess.run(
        [need("promtool"), "check", "metrics"],
        input=expose(VIEW)[0],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_openmetrics_is_spoken_when_asked() -> None:
    body, kind = expose(VIEW, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
