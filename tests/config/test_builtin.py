"""The built-in fault rules: whatever point nobody speaks for ends in a fault that people see."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.load import LoadedSite, load_site
from agent.core.conditions import points_of
from agent.core.effects import AlarmView
from agent.core.engine import Engine
from drivers.clock import ManualClock

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLES = sorted(CONFIG.glob("*.yaml"))


def load(path: Path, folder: Path) -> LoadedSite:
    (folder / "mqtt-password").write_text("x", "utf-8")
    return load_site(path, credentials_dir=folder, env={"PROPERTY_MQTT_PASSWORD": "x"})


def after_silence(site: LoadedSite, silent_s: float) -> dict[str, AlarmView]:
    """The alarms of a site in which nothing was ever said for this long."""
    clock = ManualClock()
    engine = Engine(site.spec)
    engine.start(clock.stamp())
    end_s = clock.mono_s() + silent_s
    while (due_s := engine.next_deadline_s()) is not None and due_s <= end_s:
        clock.advance(max(0.0, due_s - clock.mono_s()))
        engine.on_tick(clock.stamp())
    return {each.rule: each for each in engine.alarms()}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_point_that_says_nothing_is_a_fault_or_lies_under_one(
    path: Path, tmp_path: Path
) -> None:
    site = load(path, tmp_path)
    alarms = after_silence(site, 100.0)
    told = {
        point
        for rule in site.spec.rules
        if rule.id.startswith("fault.") and _is_indicated(alarms, rule.id)
        for point in points_of(rule.condition)
    }
    hidden = {
        point
        for rule in site.spec.rules
        if rule.id.startswith("fault.")
        and any(_is_indicated(alarms, parent) for parent in rule.suppressed_by)
        for point in points_of(rule.condition)
    }
    spoken_for = {f"box.{part}" for part in ("pipeline", "clock", "config", "outbox", "page")}
    spoken_for |= {f"box.certificate-{each.id}" for each in site.uplinks if each.tls}
    silent = {each.id for each in site.spec.points} - told - hidden
    assert silent <= spoken_for, "the agent's own parts: roll call and start speak for these"


def _is_indicated(alarms: dict[str, AlarmView], rule: str) -> bool:
    return alarms[rule].state.is_active and not alarms[rule].is_suppressed


def test_an_uplink_that_never_said_how_it_is_is_down(tmp_path: Path) -> None:
    site = load(CONFIG / "demo.yaml", tmp_path)
    uplink = f"fault.box.uplink-{site.uplinks[0].id}"
    assert not after_silence(site, 1.0)[uplink].state.is_active
    assert after_silence(site, 100.0)[uplink].state.is_active
