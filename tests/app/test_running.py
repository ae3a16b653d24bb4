"""The order of start and stop, in this process on mock pins; what hangs, fails or comes late in it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from agent.app import remembering
from agent.app.wiring import wire
from agent.core.effects import Command, CommandName, EventKind, SetOutput
from agent.core.engine import Engine
from agent.core.memory import AlarmSnapshot
from agent.outbox.outbox import Outbox
from drivers.clock import SystemClock
from drivers.errors import PortUnavailable
from drivers.gpio.pins import MockPins, Pins
from tests.app.room import CUT_OFF, HEAT, SIREN, SMOKE, Run, at_rest, running, site_in

GIVEN_UP = "the test is over"


def is_claimed(pins: MockPins, pin: int) -> bool:
    """Whether a pin is claimed as an output: nobody else can drive it then."""
    try:
        pins.drive(pin, pins.level(pin))
    except ValueError:
        return True
    return False


def slow_memory(monkeypatch: pytest.MonkeyPatch, delay_s: float) -> None:
    """The alarm memory takes this long to read."""
    load = Outbox.load_snapshot

    async def load_slowly(self: Outbox) -> AlarmSnapshot | None:
        await asyncio.sleep(delay_s)
        return await load(self)

    monkeypatch.setattr(Outbox, "load_snapshot", load_slowly)


async def until_told(run: Run, *, started: int, stopped: int) -> None:
    """Wait until the journal holds just so many starts and stops, once it is recovered."""
    assert run.agent is not None
    words: list[str] = []
    try:
        async with asyncio.timeout(5):
            while (words.count("started"), words.count("stopped")) != (started, stopped):
                await asyncio.sleep(0.01)
                events = [each.event for each in await run.agent.events(100)]
                words = [each.to_state for each in events if each.kind is EventKind.SYSTEM]
    except TimeoutError:
        raise AssertionError(f"told {words}") from None


# -- start -----------------------------------------------------------------------------------------


async def test_outputs_are_claimed_before_memory_is_read_and_rules_armed_before_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(site_in(tmp_path))
    run.pins.drive(SMOKE, False)  # there is smoke already
    order: list[str] = []
    load, start = Outbox.load_snapshot, Engine.start

    async def load_noted(self: Outbox) -> AlarmSnapshot | None:
        if is_claimed(run.pins, SIREN) and is_claimed(run.pins, CUT_OFF):
            order.append("outputs claimed")
        order.append("memory")
        return await load(self)

    def start_noted(self: Engine, *args: object) -> object:
        order.append("rules")
        return start(self, *args)  # type: ignore[arg-type]

    def on_word(word: str) -> None:
        if word == "ready":
            order.append("ready")

    monkeypatch.setattr(Outbox, "load_snapshot", load_noted)
    monkeypatch.setattr(Engine, "start", start_noted)
    run.told.on_word = on_word
    async with running(run):
        assert order[:4] == ["outputs claimed", "memory", "rules", "ready"]
        assert (await run.alarms())["smoke"] == "active_unacked"
        await run.until(lambda: run.pins.level(SIREN))


async def test_ready_waits_for_no_modbus_and_modbus_begins_after_it(tmp_path: Path) -> None:
    came_after: list[list[str]] = []
    heard = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came_after.append(list(run.told.words))
        heard.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    run = Run(site_in(tmp_path, ("port: 9}", f"port: {port}}}")))
    async with server, running(run):
        async with asyncio.timeout(5):
            await heard.wait()
        assert came_after[0] == ["ready"]


@pytest.mark.parametrize("what", ["memory", "chip"])
async def test_what_hangs_holds_up_the_start_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = Run(site_in(tmp_path))
    let_go = threading.Event()
    if what == "memory":
        slow_memory(monkeypatch, 3600)
        opened = run.pins.open
    else:

        def opened() -> Pins:
            let_go.wait()
            raise PortUnavailable("pins", GIVEN_UP)

    began_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
        tasks.create_task(run.live(lambda _: opened), name="agent under test")
        await run.until(lambda: run.told.words == ["ready"])
        assert asyncio.get_running_loop().time() - began_s < 6.0
        run.stop.set()
    let_go.set()


@pytest.mark.parametrize("what", ["memory", "chip"])
async def test_a_wish_to_stop_ends_the_waits_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = Run(site_in(tmp_path))
    let_go, asked = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    if what == "memory":

        async def load_never(_: Outbox) -> None:
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(Outbox, "load_snapshot", load_never)
        opened = run.pins.open
    else:

        def opened() -> Pins:
            loop.call_soon_threadsafe(asked.set)
            let_go.wait()
            raise PortUnavailable("pins", GIVEN_UP)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run.live(lambda _: opened), name="agent under test")
        await asked.wait()
        await asyncio.sleep(0.05)
        began_s = loop.time()
        run.stop.set()
        await asyncio.wait({task})
        # The outputs of a chip that is not there take their 0.8 s; none of the start's waits is left.
        assert loop.time() - began_s < (0.8 if what == "memory" else 1.8)
    let_go.set()
    assert run.told.words[-1] == "stopping"


# -- memory ----------------------------------------------------------------------------------------


async def heat_latches(tmp_path: Path) -> MockPins:
    """Run once: heat, the supply is cut, the heat is gone, the alarm stays; return the pins."""
    async with running(Run(site_in(tmp_path))) as run:
        await run.until(lambda: run.pins.level(CUT_OFF))
        run.pins.drive(HEAT, False)
        await run.until(lambda: not run.pins.level(CUT_OFF))
        run.pins.drive(HEAT, True)
        await run.until_alarm("heat", "latched_unacked")
    return run.pins


@pytest.mark.parametrize("delay_s", [0.0, 1.2], ids=["in time", "late"])
async def test_a_cut_off_with_a_latch_stays_cut_over_a_restart_however_late_memory_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay_s: float
) -> None:
    pins = await heat_latches(tmp_path)
    before = len(pins.history(CUT_OFF))
    slow_memory(monkeypatch, delay_s)
    async with running(Run(site_in(tmp_path), pins=pins)) as run:
        await run.until_alarm("heat", "latched_unacked")
        await asyncio.sleep(0.1)
        assert True not in pins.history(CUT_OFF)[before:]


async def test_without_a_latch_the_supply_returns_once_the_memory_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_memory(monkeypatch, 1.2)
    async with running(Run(site_in(tmp_path))) as run:
        assert not run.pins.level(CUT_OFF)
        await run.until(lambda: run.pins.level(CUT_OFF))


async def test_while_the_log_cannot_be_recovered_the_supply_stays_off_and_it_is_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(_: Outbox) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Outbox, "recovered", never)
    monkeypatch.setattr(remembering, "HELD_TOLD_S", 0.05)
    async with running(Run(site_in(tmp_path))) as run:
        await run.until(lambda: "told to restore" in caplog.text)
        assert not run.pins.level(CUT_OFF)
        run.pins.drive(SMOKE, False)
        await run.until(lambda: run.pins.level(SIREN))


async def test_an_alarm_raised_before_memory_came_does_not_take_its_place_on_disk(
    tmp_path: Path,
) -> None:
    pins = await heat_latches(tmp_path)
    pins.drive(SMOKE, False)
    with pytest.MonkeyPatch.context() as patched:
        slow_memory(patched, 1.2)
        async with running(Run(site_in(tmp_path), pins=pins)) as run:
            assert (await run.alarms())["smoke"] == "active_unacked"
            await run.until_alarm("heat", "latched_unacked")
    async with running(Run(site_in(tmp_path), pins=pins)) as run:
        states = await run.alarms()
        assert (states["smoke"], states["heat"]) == ("active_unacked", "latched_unacked")


async def test_a_stop_before_memory_came_costs_no_memory(
    tmp_path: Path,
) -> None:
    pins = await heat_latches(tmp_path)
    pins.drive(SMOKE, False)
    with pytest.MonkeyPatch.context() as patched:
        slow_memory(patched, 3600)
        async with running(Run(site_in(tmp_path), pins=pins)) as run:
            assert (await run.alarms())["smoke"] == "active_unacked"
    async with running(Run(site_in(tmp_path), pins=pins)) as run:
        await run.until_alarm("heat", "latched_unacked")
        await run.until_alarm("smoke", "active_unacked")


async def test_memory_that_cannot_be_read_is_a_fault_and_no_refused_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Outbox) -> None:
        raise KeyError("state")

    monkeypatch.setattr(Outbox, "load_snapshot", fail)
    async with running(Run(site_in(tmp_path))) as run:
        await run.until_alarm("fault.box.outbox", "active_unacked", "active_acked")
        await run.until(lambda: run.pins.level(CUT_OFF))
        run.pins.drive(SMOKE, False)
        await run.until(lambda: run.pins.level(SIREN))


# -- stop ------------------------------------------------------------------------------------------


async def test_at_a_stop_sirens_fall_silent_first_and_what_was_told_is_on_disk(
    tmp_path: Path,
) -> None:
    run = Run(site_in(tmp_path))
    async with running(run):
        run.pins.drive(SMOKE, False)
        await run.until(lambda: run.pins.level(SIREN))
    assert run.told.words == ["ready", "stopping"]
    assert not run.pins.level(SIREN)
    async with running(Run(site_in(tmp_path), pins=at_rest())) as again:
        await again.until_alarm("smoke", "latched_unacked", "active_unacked")
        await until_told(again, started=2, stopped=1)


async def test_at_a_changeover_a_sounding_siren_holds_and_systemd_hears_of_no_end(
    tmp_path: Path,
) -> None:
    run = Run(site_in(tmp_path), is_changeover=True)
    async with running(run):
        run.pins.drive(SMOKE, False)
        await run.until(lambda: run.pins.level(SIREN))
    assert run.pins.level(SIREN)
    assert run.told.words == ["ready"]


async def test_a_wish_to_end_during_a_changeover_silences_the_siren_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(site_in(tmp_path), is_changeover=True)
    close = Outbox.close

    async def close_noted(self: Outbox, deadline_s: float) -> None:
        assert run.pins.level(SIREN)
        run.is_changeover = False
        await close(self, deadline_s)

    monkeypatch.setattr(Outbox, "close", close_noted)
    async with running(run):
        run.pins.drive(SMOKE, False)
        await run.until(lambda: run.pins.level(SIREN))
    assert not run.pins.level(SIREN)
    assert run.told.words == ["ready", "stopping"]


async def test_no_output_can_beat_for_another_part_of_the_watchdogs_conjunction(
    tmp_path: Path,
) -> None:
    site = site_in(tmp_path, ("{id: siren,", "{id: loop,"), ("outputs: [siren]", "outputs: [loop]"))
    pins = at_rest()
    parts = wire(site, clock=SystemClock(), boot="b", open_chip=lambda _: pins.open)
    parts.progress.register("loop", 0.02)
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(parts.outputs.run(), name="outputs")
        await asyncio.sleep(0.05)
        parts.outputs.set(SetOutput(output="loop", is_active=True, cause="smoke"))
        await asyncio.sleep(0.005)
        assert [each.part for each in parts.progress.verdict()] == ["loop"]
        working.cancel()


async def test_a_command_that_comes_while_stopping_is_not_carried_out(tmp_path: Path) -> None:
    run = Run(site_in(tmp_path))
    async with running(run):
        run.pins.drive(SMOKE, False)
        await run.until_alarm("smoke", "active_unacked")
    assert run.agent is not None
    wish = Command(id="1", name=CommandName.ACK, actor="Li", origin="page", target="smoke")
    with pytest.raises(Exception, match="stops"):
        await run.agent.submit(wish)
    assert (await run.alarms())["smoke"] == "active_unacked"


async def test_what_led_to_a_bug_is_on_disk_before_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bug(Exception):
        pass

    def fail(*_: object) -> None:
        raise Bug

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "on_readings", fail)
        with pytest.raises(ExceptionGroup) as caught:
            await Run(site_in(tmp_path)).live()
        assert caught.group_contains(Bug)
    async with running(Run(site_in(tmp_path))) as again:
        await until_told(again, started=2, stopped=0)


# -- what is shown ---------------------------------------------------------------------------------


async def test_a_refused_reload_shows_in_the_picture_and_as_a_fault(tmp_path: Path) -> None:
    async with running(Run(site_in(tmp_path))) as run:
        assert (await run.view()).config_ok
        assert run.agent is not None
        run.agent.tell_config("site.yaml:4:1: zone: unknown key")
        await run.until_alarm("fault.box.config", "active_unacked", "active_acked")
        assert not (await run.view()).config_ok


async def test_the_last_good_reading_is_shown_while_a_point_has_none(tmp_path: Path) -> None:
    async with running(Run(site_in(tmp_path))) as run:
        run.pins.unplug()
        await run.until_alarm("fault.pins", "active_unacked")
        points = {each.spec.id: each for each in (await run.view()).points}
        smoke = points["hall.smoke"]
        assert smoke.reading is not None
        assert smoke.reading.value is None
        assert smoke.last_good is not None
        assert smoke.last_good.value is False
        assert smoke.last_good_wall_ms == smoke.last_good.at.wall_ms
        assert points["tank.level"].last_good is None
