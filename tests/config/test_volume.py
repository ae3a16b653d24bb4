"""The estimate of the data volume, held against a day of readings through the real gates and the real codec."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.config.bus_load import Assumptions
from agent.config.forecast import forecast
from agent.config.load import LoadedSite, load_site
from agent.config.volume import Count, Volume
from agent.core.telemetry import StateGate, TelemetryGate
from agent.outbox.documents import batch_document
from agent.outbox.lines import encode_line
from agent.outbox.records import Batch
from agent.outbox.telemetry import TelemetryStore
from agent.uplink import codec
from drivers.clock import ClockState, ManualClock, Stamp
from drivers.reading import Quality, Reading, Value

DAY_S = 86_400
UPTIME_S = 200_000.0
"""Some days after the start of the box."""

SITE = """\
version: 1
site: riverside
box: b1
buses:
  - {id: pins, type: gpio}
  - {id: line, type: modbus-rtu, port: /dev/ttyS0, baud: 19200, poll: {normal_s: PERIOD, slow_s: 60}}
devices:
  - id: dev
    bus: line
    unit: 1
    quantities:
      - {name: a, area: holding, address: 0, type: s16, scale: 0.1, unit: "°C", kind: temperature, telemetry: POLICY}
      - {name: b, area: holding, address: 1, type: u16, unit: kPa, kind: pressure, telemetry: POLICY}
inputs:
  - {id: hall.leak, bus: pins, pin: 5, kind: leak, contact: normally-closed, telemetry: POLICY}
uplinks:
  - {id: cloud, host: 127.0.0.1}
outbox: {max_mib: 16}
"""


def site_of(policy: str, tmp_path: Path, period_s: float = 5) -> LoadedSite:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("POLICY", policy).replace("PERIOD", str(period_s)), "utf-8")
    return load_site(path)


def volume_of(site: LoadedSite) -> Volume:
    return forecast(site, Assumptions()).volume


@dataclass
class Measured:
    """What a day really made."""

    readings: int = 0
    payload_bytes: int = 0
    disk_bytes: int = 0
    states: int = 0


Signal = Callable[[float], Value]


def day(
    site: LoadedSite, signals: dict[str, Signal], period_s: float, *, is_away: bool = False
) -> Measured:
    """Run the site's points through gates, batches and codec for a day of manual time.

    Linked, each read's readings leave as a batch; `is_away`, batches gather for `gathering_s`.
    """
    clock = ManualClock(UPTIME_S)
    store = TelemetryStore(site.outbox, "0197c4f0-0000-7000-8000-000000000000", clock)
    specs = {each.id: each for each in site.spec.points}
    gates = {name: TelemetryGate(specs[name].telemetry) for name in signals}
    states = {name: StateGate(specs[name]) for name in signals}
    done = Measured()
    sent = 0
    for at_s, names in rounds(period_s):
        stamp = Stamp(at_s, 1_750_000_000_000 + round(at_s * 1000), ClockState.SYNCED)
        clock.advance(at_s - clock.mono_s())
        if store.is_open and (not is_away or at_s - store.opened_s >= site.outbox.gathering_s):
            store.seal()
        for name in names:
            value = signals[name](at_s)
            reading = Reading(
                point=name, value=value, quality=Quality.GOOD, unit=specs[name].unit, at=stamp
            )
            done.states += states[name].passes(reading, at_s)
            if gates[name].passes(reading, at_s):
                done.readings += 1
                store.add(reading)
        while sent < store.queue.last_seq:
            sent += 1
            batch = store.queue.get(sent)
            assert isinstance(batch, Batch)
            done.payload_bytes += len(codec.tele(batch, is_replay=False))
            done.disk_bytes += len(encode_line(sent, batch_document(batch)))
        store.queue.forget_done(sent, unwritten_too=True)
    return done


def rounds(period_s: float) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Yield when the device is polled, and when contacts are told again: 5 s and up to one look on."""
    begin_s = UPTIME_S
    times: list[tuple[float, tuple[str, ...]]]
    times = [(begin_s + n * period_s, ("dev.a", "dev.b")) for n in range(int(DAY_S / period_s))]
    times += [(begin_s + 0.7 + 5.05 * n, ("hall.leak",)) for n in range(int(DAY_S / 5.05))]
    return iter(sorted(times))


def calm() -> dict[str, Signal]:
    """Return a plant room: temperature that drifts over the day, pressure that breathes, a dry rope."""
    dice = random.Random(7)

    def celsius(at_s: float) -> Value:
        return round(23 + 4 * math.sin(at_s * 2 * math.pi / DAY_S) + dice.gauss(0, 0.012), 1)

    def pressure(at_s: float) -> Value:
        return round(412 + 12 * math.sin(at_s * 2 * math.pi / 1200) + dice.gauss(0, 1))

    return {"dev.a": celsius, "dev.b": pressure, "hall.leak": lambda at_s: at_s % 8640 < 30}


def own_points(volume: Volume, pick: Callable[[object], Count]) -> Count:
    """Return the sum over the three points that the day plays."""
    total = Count(least=0, guess=0, most=0)
    for each in volume.points:
        if each.point in ("dev.a", "dev.b", "hall.leak"):
            total += pick(each)
    return total


@pytest.mark.parametrize(
    "policy",
    [
        "{mode: every}",
        "{mode: interval, interval_s: 60}",
        "{mode: interval, interval_s: 7}",
        "{mode: interval, interval_s: 1}",
    ],
)
@pytest.mark.parametrize("is_away", [False, True], ids=["linked", "away"])
def test_every_and_interval_are_foreseen_within_five_per_cent_and_the_disk_roughly(
    policy: str, is_away: bool, tmp_path: Path
) -> None:
    site = site_of(policy, tmp_path)
    volume = volume_of(site)
    real = day(site, calm(), 5, is_away=is_away)
    readings = own_points(volume, lambda each: each.readings)  # type: ignore[attr-defined]
    assert readings.least == readings.guess == readings.most
    assert readings.guess == pytest.approx(real.readings, rel=0.02)
    if is_away:
        # sparse points of one period share a batch more often than by chance
        assert 0.9 * real.disk_bytes <= volume.disk.guess <= 1.25 * real.disk_bytes
    else:
        assert volume.uplinks[0].telemetry.guess == pytest.approx(real.payload_bytes, rel=0.05)


@pytest.mark.parametrize(
    "policy",
    [
        "{mode: change}",
        "{mode: change, interval_s: 7}",
        "{mode: change, deadband: 5}",
        "{mode: change, deadband: 5, interval_s: 600}",
    ],
)
def test_change_is_guessed_within_a_factor_of_two_and_a_half_and_bounded(
    policy: str, tmp_path: Path
) -> None:
    site = site_of(policy, tmp_path)
    volume = volume_of(site)
    real = day(site, calm(), 5)
    telemetry = volume.uplinks[0].telemetry
    assert telemetry.guess / 2.5 <= real.payload_bytes <= telemetry.guess * 2.5
    readings = own_points(volume, lambda each: each.readings)  # type: ignore[attr-defined]
    assert 0.99 * readings.least <= real.readings <= readings.most
    states = own_points(volume, lambda each: each.states)  # type: ignore[attr-defined]
    assert real.states <= states.most * 1.01


def test_a_day_in_which_nothing_changes_makes_the_least(tmp_path: Path) -> None:
    site = site_of("{mode: change, interval_s: 47}", tmp_path)
    still: dict[str, Signal] = {
        "dev.a": lambda _: 23.5,
        "dev.b": lambda _: 412,
        "hall.leak": lambda _: False,
    }
    real = day(site, still, 5)
    readings = own_points(volume_of(site), lambda each: each.readings)  # type: ignore[attr-defined]
    assert readings.least == pytest.approx(real.readings, rel=0.01)


def test_a_day_in_which_every_number_differs_makes_the_most(tmp_path: Path) -> None:
    site = site_of("{mode: change}", tmp_path)
    wild: dict[str, Signal] = {
        "dev.a": lambda at_s: at_s % 10 / 10,
        "dev.b": lambda at_s: int(at_s % 10),
        "hall.leak": lambda _: False,
    }
    real = day(site, wild, 5)
    readings = own_points(volume_of(site), lambda each: each.readings)  # type: ignore[attr-defined]
    assert real.readings <= readings.most <= 1.05 * real.readings


def test_none_makes_nothing_of_its_own(tmp_path: Path) -> None:
    volume = volume_of(site_of("{mode: none}", tmp_path))
    assert own_points(volume, lambda each: each.readings) == Count(least=0, guess=0, most=0)  # type: ignore[attr-defined]


def test_the_outbox_holds_as_many_days_as_its_telemetry_part_has_room_for(tmp_path: Path) -> None:
    volume = volume_of(site_of("{mode: every}", tmp_path, period_s=1))
    assert volume.room_bytes == int(16 * 1024 * 1024 * (3 / 4 - 1 / 64))
    assert volume.days.guess == pytest.approx(volume.room_bytes / volume.disk.guess)
    assert volume.days.least <= volume.days.guess <= volume.days.most


def test_an_overloaded_bus_gives_no_more_readings_than_it_has_time_for(tmp_path: Path) -> None:
    volume = volume_of(site_of("{mode: every}", tmp_path, period_s=0.01))
    readings = next(each for each in volume.points if each.point == "dev.a").readings
    assert readings.guess == pytest.approx(DAY_S / 0.0646, rel=0.05)


def test_an_uplink_with_tls_and_a_longer_root_costs_more_on_the_link(tmp_path: Path) -> None:
    plain = volume_of(site_of("{mode: every}", tmp_path)).uplinks[0]
    path = tmp_path / "site.yaml"
    text = path.read_text("utf-8")
    path.write_text(
        text.replace("host: 127.0.0.1", "host: 127.0.0.1, tls: {}, root: plantroom/very/long"),
        "utf-8",
    )
    costly = volume_of(load_site(path)).uplinks[0]
    # its certificate is one more point, told rarely
    assert costly.telemetry.guess == pytest.approx(plain.telemetry.guess, rel=1e-3)
    assert costly.link.guess > 1.05 * plain.link.guess


def test_a_calculated_point_is_told_with_each_of_its_sources(tmp_path: Path) -> None:
    site = site_of("{mode: every}", tmp_path)
    path = tmp_path / "site.yaml"
    derived = "derived:\n  - {id: both, kind: pressure, unit: kPa, how: sum, of: [dev.b, far.c],"
    derived += " telemetry: {mode: every}}\n"
    far = "  - {id: far, bus: line, unit: 2, quantities: [{name: c, area: input, address: 0, type: u16, unit: kPa}]}\n"
    text = path.read_text("utf-8").replace("inputs:\n", far + "inputs:\n") + derived
    path.write_text(text, "utf-8")
    points = {each.point: each for each in volume_of(load_site(path)).points}
    assert points["both"].offered == points["dev.b"].offered + points["far.c"].offered
    assert len(points) == len(volume_of(site).points) + 3  # far.c, far.online, both
